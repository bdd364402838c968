//! The ways between a shard and the other threads of its node: mailboxes and the store's threads.

use host::driver::{Links, Mail};
use host::{Done, Task};
use schema::ShardIndex;
use schema::mesh::MeshFrame;

use crate::uring::{Inbox, Mailbox, MailboxError};

use super::pool::Spawner;
use super::shards::{ShardEnd, TellEnd};

/// Items that a shard's mailbox holds.
pub(crate) const MAIL_MAX: usize = 8_192;

pub(crate) struct NodeLinks {
    pub(crate) mail: Inbox<Mail>,
    pub(crate) done: Inbox<Done>,
    pub(crate) done_sender: Mailbox<Done>,
    pub(crate) spawner: Spawner,
    /// Those of all shards, in the order of their numbers.
    pub(crate) mailboxes: Vec<Mailbox<Mail>>,
    pub(crate) tell_end: TellEnd,
}

impl Links for NodeLinks {
    fn mail(&mut self) -> Option<Mail> {
        self.mail.pop()
    }

    fn done(&mut self) -> Option<Done> {
        self.done.pop()
    }

    fn push(&mut self, shard: ShardIndex, frame: MeshFrame) -> Option<MeshFrame> {
        match self.mailboxes[usize::from(shard.0)].push(Mail::Mesh(frame)) {
            Err(MailboxError::Full(Mail::Mesh(frame))) => Some(frame),
            Ok(()) | Err(MailboxError::Full(_) | MailboxError::Ended(_)) => None,
        }
    }

    fn spawn(&mut self, task: Task) {
        self.spawner.spawn(task, self.done_sender.clone());
    }

    fn fenced(&mut self) {
        (self.tell_end)(ShardEnd::Fenced);
    }
}
