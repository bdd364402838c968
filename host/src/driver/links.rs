//! Frames and news that wait for other shards' mailboxes.
//!
//! Owns their order and their bound (I11). A frame beyond the bound is dropped and counted: sessions and homes ask
//! again, and an unanswered operation is answered as temporary by its own shard. Frames of
//! [`must_arrive`](schema::mesh::MeshBody::must_arrive), which are small, have room of their own beyond that; one that
//! finds none there is counted as lost, and logged.

use std::collections::VecDeque;

use schema::ShardIndex;

use super::{Links, Mail};

/// What has become of frames that found a full mailbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkFigures {
    /// Bytes that wait now, as [`MeshFrame::held_bytes`] counts them.
    pub waiting_bytes: u64,
    /// Frames dropped since the start that are made good.
    pub dropped: u64,
    /// Frames dropped since the start that should have arrived.
    pub lost: u64,
}

/// What waits, for each shard of the node.
pub(super) struct Queues {
    queues: Vec<Queue>,
    bytes_max: usize,
    must_bytes_max: usize,
    dropped: u64,
    lost: u64,
}

#[derive(Default)]
struct Queue {
    /// Each with its bytes, which take a walk through it to count.
    mail: VecDeque<(usize, Mail)>,
    bytes: usize,
}

impl Queues {
    pub(super) fn new(shards: u16, bytes_max: usize, must_bytes_max: usize) -> Self {
        let queues = (0..shards).map(|_| Queue::default()).collect();
        Self { queues, bytes_max, must_bytes_max, dropped: 0, lost: 0 }
    }

    /// Sends an item to a shard, behind those that wait for it.
    pub(super) fn send(&mut self, links: &mut impl Links, shard: ShardIndex, mail: Mail) {
        let queue = &mut self.queues[usize::from(shard.0)];
        let mail = if queue.mail.is_empty() { links.push(shard, mail) } else { Some(mail) };
        let Some(mail) = mail else { return };
        let must_arrive = mail.must_arrive();
        let bytes = mail.held_bytes();
        let bytes_max = if must_arrive { self.bytes_max + self.must_bytes_max } else { self.bytes_max };
        if queue.bytes + bytes <= bytes_max {
            queue.bytes += bytes;
            queue.mail.push_back((bytes, mail));
        } else if must_arrive {
            tracing::error!(shard = shard.0, ?mail, "a frame that must arrive found no room");
            self.lost += 1;
        } else {
            tracing::debug!(shard = shard.0, "a frame found no room and is left out");
            self.dropped += 1;
        }
    }

    /// Tries again what waits. Returns whether anything still does.
    pub(super) fn flush(&mut self, links: &mut impl Links) -> bool {
        let mut waits = false;
        for (shard, queue) in (0..).map(ShardIndex).zip(&mut self.queues) {
            while let Some((bytes, mail)) = queue.mail.pop_front() {
                if let Some(mail) = links.push(shard, mail) {
                    queue.mail.push_front((bytes, mail));
                    waits = true;
                    break;
                }
                queue.bytes -= bytes;
            }
        }
        waits
    }

    pub(super) fn figures(&self) -> LinkFigures {
        let waiting_bytes = self.queues.iter().map(|queue| queue.bytes as u64).sum();
        LinkFigures { waiting_bytes, dropped: self.dropped, lost: self.lost }
    }
}

#[cfg(test)]
mod tests {
    use schema::mesh::{MeshBody, MeshFrame};
    use schema::{ChannelId, Epoch, Owner, SessionId, UserId};

    use super::*;
    use crate::host::{Done, Task};

    /// One mailbox with so many places.
    struct Mailbox {
        places: usize,
        frames: Vec<MeshFrame>,
    }

    impl Links for Mailbox {
        fn mail(&mut self) -> Option<Mail> {
            None
        }
        fn done(&mut self) -> Option<Done> {
            None
        }
        fn push(&mut self, _: ShardIndex, mail: Mail) -> Option<Mail> {
            let Mail::Mesh(frame) = mail else { panic!("{mail:?} is no frame") };
            if self.frames.len() == self.places {
                return Some(Mail::Mesh(frame));
            }
            self.frames.push(frame);
            None
        }
        fn spawn(&mut self, _: Task) {}
        fn outdated(&mut self, _: Epoch) {}
    }

    fn frame(number: u64, must_arrive: bool) -> MeshFrame {
        let body = match must_arrive {
            true => MeshBody::Unregister { session: SessionId(number), user: UserId(0) },
            false => MeshBody::Index { channel: ChannelId(number) },
        };
        MeshFrame { from: Owner::default(), to: Owner::default(), epoch: Epoch(1), body }
    }

    /// Frames 0, 1, … are sent to a mailbox with one place, `!` ones must arrive; each queue has room for two. Those
    /// arrive that are expected, in their order, and the others are counted.
    fn check(sent: &str, arrives: &[u64], dropped: u64, lost: u64) {
        let frames: Vec<_> = (0..).zip(sent.chars()).map(|(number, kind)| frame(number, kind == '!')).collect();
        let room_bytes = 2 * frames[0].held_bytes();
        let mut queues = Queues::new(1, room_bytes, room_bytes);
        let mut mailbox = Mailbox { places: 1, frames: Vec::new() };
        for frame in &frames {
            queues.send(&mut mailbox, ShardIndex(0), Mail::Mesh(frame.clone()));
        }
        let waiting = arrives.len() as u64 - 1;
        let figures = LinkFigures { waiting_bytes: waiting * frames[0].held_bytes() as u64, dropped, lost };
        assert_eq!(queues.figures(), figures, "{sent}");
        while queues.flush(&mut mailbox) {
            mailbox.places += 1;
        }
        let expected: Vec<_> = arrives.iter().map(|&number| frames[number as usize].clone()).collect();
        assert_eq!(mailbox.frames, expected, "{sent}");
        assert_eq!(queues.figures(), LinkFigures { waiting_bytes: 0, dropped, lost }, "{sent}");
    }

    #[test]
    fn a_full_mailbox_holds_frames_back_within_a_bound_and_those_that_must_arrive_beyond_it() {
        check(".", &[0], 0, 0);
        check("...", &[0, 1, 2], 0, 0);
        check(".....", &[0, 1, 2], 2, 0);
        check("...!.!", &[0, 1, 2, 3, 5], 1, 0);
        check("!!!!!!!", &[0, 1, 2, 3, 4], 0, 2);
        check("!!!.", &[0, 1, 2], 1, 0);
    }
}
