//! Links between the shards of one node: FlatBuffers frames through mailboxes.
//!
//! Owns what waits for a mailbox with room, within a bound. A frame beyond the bound is dropped and counted: sessions and
//! homes ask again, and an unanswered operation is answered as temporary by its own shard. What nobody asks for again, which is small,
//! has room of its own beyond that.

use std::collections::VecDeque;

use schema::mesh::MeshFrame;

use crate::uring::{Mailbox, MailboxError};

use super::handler::Mail;

/// Bytes of frames that wait for one shard's mailbox.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The same for frames that must arrive. Such a frame has some 200 bytes, and a session leads to a few: half of it is room for those of
/// 100,000 sessions that all come and go while a shard stands still.
const WAITING_BYTES_MUST: usize = 2 * WAITING_BYTES_MAX;

/// The ways from one shard to all of its node.
pub(super) struct Links {
    links: Vec<Link>,
    /// Frames that found no room.
    pub(super) dropped: u64,
}

struct Link {
    mailbox: Mailbox<Mail>,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
}

impl Links {
    /// A link to each shard, in the order of their numbers.
    pub(super) fn new(mailboxes: Vec<Mailbox<Mail>>) -> Self {
        let link = |mailbox| Link { mailbox, waiting: VecDeque::new(), waiting_bytes: 0 };
        Self { links: mailboxes.into_iter().map(link).collect(), dropped: 0 }
    }

    /// Sends a frame to a shard, behind those that wait for it.
    pub(super) fn send(&mut self, shard: usize, frame: &MeshFrame) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let link = &mut self.links[shard];
        let most = if frame.body.must_arrive() { WAITING_BYTES_MUST } else { WAITING_BYTES_MAX };
        if link.waiting_bytes + bytes.len() > most {
            self.dropped += 1;
            return;
        }
        link.waiting_bytes += bytes.len();
        link.waiting.push_back(bytes);
        link.flush();
    }

    /// Tries again what waits. Returns whether anything still does.
    pub(super) fn flush(&mut self) -> bool {
        let mut waits = false;
        for link in &mut self.links {
            link.flush();
            waits |= !link.waiting.is_empty();
        }
        waits
    }
}

impl Link {
    fn flush(&mut self) {
        while let Some(bytes) = self.waiting.pop_front() {
            let length = bytes.len();
            match self.mailbox.push(Mail::Mesh(bytes)) {
                Ok(()) => self.waiting_bytes -= length,
                Err(MailboxError::Full(Mail::Mesh(bytes))) => {
                    self.waiting.push_front(bytes);
                    return;
                }
                // A shard that has ended hears nothing any more.
                Err(MailboxError::Full(_) | MailboxError::Ended(_)) => self.waiting_bytes -= length,
            }
        }
    }
}
