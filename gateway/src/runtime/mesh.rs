//! The ways between a shard and the other threads of its node: mailboxes and the store's threads.

use std::sync::Arc;

use host::driver::{Links, Mail};
use host::{Done, Task};
use schema::{Epoch, ShardIndex};
use tokio::sync::Notify;

use crate::uring::{Inbox, Mailbox, MailboxError};

use super::pool::Spawner;

/// Items that a shard's mailbox holds.
pub(crate) const MAIL_MAX: usize = 8_192;

pub(crate) struct NodeLinks {
    pub(crate) mail: Inbox<Mail>,
    pub(crate) done: Inbox<Done>,
    pub(crate) done_sender: Mailbox<Done>,
    pub(crate) spawner: Spawner,
    /// Those of all shards, in the order of their numbers.
    pub(crate) mailboxes: Vec<Mailbox<Mail>>,
    pub(crate) outdated: Arc<Notify>,
}

impl Links for NodeLinks {
    fn mail(&mut self) -> Option<Mail> {
        self.mail.pop()
    }

    fn done(&mut self) -> Option<Done> {
        self.done.pop()
    }

    fn push(&mut self, shard: ShardIndex, mail: Mail) -> Option<Mail> {
        match self.mailboxes[usize::from(shard.0)].push(mail) {
            Err(MailboxError::Full(mail)) => Some(mail),
            Ok(()) | Err(MailboxError::Ended(_)) => None,
        }
    }

    fn spawn(&mut self, task: Task) {
        self.spawner.spawn(task, self.done_sender.clone());
    }

    fn outdated(&mut self, _epoch: Epoch) {
        self.outdated.notify_one();
    }
}
