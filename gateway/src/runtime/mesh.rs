//! The ways between a shard and the other threads of its node: mailboxes, and its store operations.

use std::sync::Arc;

use host::driver::{Links, Mail};
use host::{Done, Task};
use schema::{Epoch, ShardIndex};
use tokio::sync::Notify;

use crate::uring::{Inbox, Mailbox, MailboxError};

use super::operations::Operations;

/// Items that a shard's mailbox holds.
pub(crate) const MAIL_MAX: usize = 8_192;

pub(crate) struct NodeLinks {
    pub(crate) mail: Inbox<Mail>,
    pub(super) operations: Operations<Done>,
    /// Those of all shards, in the order of their numbers.
    pub(crate) mailboxes: Vec<Mailbox<Mail>>,
    pub(crate) outdated: Arc<Notify>,
}

impl Links for NodeLinks {
    fn mail(&mut self) -> Option<Mail> {
        self.mail.pop()
    }

    fn done(&mut self) -> Option<Done> {
        self.operations.finished()
    }

    fn push(&mut self, shard: ShardIndex, mail: Mail) -> Option<Mail> {
        match self.mailboxes[usize::from(shard.0)].push(mail) {
            Err(MailboxError::Full(mail)) => Some(mail),
            Ok(()) | Err(MailboxError::Ended(_)) => None,
        }
    }

    fn spawn(&mut self, task: Task) {
        self.operations.spawn(task);
    }

    fn outdated(&mut self, _epoch: Epoch) {
        self.outdated.notify_one();
    }
}
