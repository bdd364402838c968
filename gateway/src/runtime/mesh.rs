//! Links between the shards of one node: frames by value through mailboxes.
//!
//! Owns what waits for a mailbox with room, within a bound (I11). A frame beyond the bound is dropped and counted: sessions and homes ask
//! again, and an unanswered operation is answered as temporary by its own shard. Frames of
//! [`must_arrive`](schema::mesh::MeshBody::must_arrive), which are small, have room of their own beyond that.

use std::collections::VecDeque;

use schema::mesh::MeshFrame;

use crate::uring::{Mailbox, MailboxError};

use super::handler::Mail;

/// Bytes of frames that wait for one shard's mailbox, as [`MeshFrame::held_bytes`] counts them.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The same for frames that must arrive. Such a frame has some 300 bytes, and a session leads to a few: half of it is room for those of
/// 70,000 sessions that all come and go while a shard stands still.
const WAITING_BYTES_MUST: usize = 2 * WAITING_BYTES_MAX;

/// The ways from one shard to all of its node.
pub(crate) struct Links {
    links: Vec<Link>,
    /// Frames that found no room.
    pub(crate) dropped: u64,
}

struct Link {
    mailbox: Mailbox<Mail>,
    waiting: VecDeque<MeshFrame>,
    waiting_bytes: usize,
}

impl Links {
    /// A link to each shard, in the order of their numbers.
    pub(crate) fn new(mailboxes: Vec<Mailbox<Mail>>) -> Self {
        let link = |mailbox| Link { mailbox, waiting: VecDeque::new(), waiting_bytes: 0 };
        Self { links: mailboxes.into_iter().map(link).collect(), dropped: 0 }
    }

    /// Sends a frame to a shard, behind those that wait for it.
    pub(crate) fn send(&mut self, shard: usize, frame: MeshFrame) {
        let link = &mut self.links[shard];
        let frame = if link.waiting.is_empty() { link.push(frame) } else { Some(frame) };
        let Some(frame) = frame else { return };
        let most = if frame.body.must_arrive() { WAITING_BYTES_MUST } else { WAITING_BYTES_MAX };
        let bytes = frame.held_bytes();
        if link.waiting_bytes + bytes > most {
            self.dropped += 1;
            return;
        }
        link.waiting_bytes += bytes;
        link.waiting.push_back(frame);
    }

    /// Tries again what waits. Returns whether anything still does.
    pub(crate) fn flush(&mut self) -> bool {
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
        while let Some(frame) = self.waiting.pop_front() {
            let bytes = frame.held_bytes();
            if let Some(frame) = self.push(frame) {
                self.waiting.push_front(frame);
                return;
            }
            self.waiting_bytes -= bytes;
        }
    }

    /// Puts a frame into the mailbox. Returns it if there is no room.
    fn push(&self, frame: MeshFrame) -> Option<MeshFrame> {
        match self.mailbox.push(Mail::Mesh(frame)) {
            Err(MailboxError::Full(Mail::Mesh(frame))) => Some(frame),
            // A shard that has ended hears nothing any more.
            Ok(()) | Err(MailboxError::Full(_) | MailboxError::Ended(_)) => None,
        }
    }
}
