//! Commands of the HTTP API to channels' homes.
//!
//! Owns the way there: the home's mailbox, and a one-shot channel back.

use std::sync::Arc;

use host::driver::Mail;
use schema::mesh::{Kicked, MeshBody, MeshFrame};
use schema::{ChannelId, ChannelOp, ErrorCode, OpReply, Owner, Refusal, UserId, View};
use tokio::sync::oneshot;

use crate::uring::Mailbox;

/// The shards of this node as the HTTP API sees them.
#[derive(Clone)]
pub(crate) struct NodeShards {
    view: Arc<View>,
    mailboxes: Arc<[Mailbox<Mail>]>,
}

impl NodeShards {
    pub(crate) fn new(view: Arc<View>, mailboxes: Vec<Mailbox<Mail>>) -> Self {
        Self { view, mailboxes: mailboxes.into() }
    }

    fn push(&self, home: Owner, mail: Mail) -> Result<(), Refusal> {
        self.mailboxes[usize::from(home.shard.0)].push(mail).map_err(|_| {
            let message = "the home's shard has more to do than it may hold, try again";
            Refusal::new(ErrorCode::Overloaded, message).after_ms(100)
        })
    }
}

impl api::Shards for NodeShards {
    async fn apply(&self, channel: ChannelId, op: ChannelOp) -> Result<OpReply, Refusal> {
        let home = self.view.home_of_channel(channel);
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have gone.
        let answer_to = Box::new(move |answer| drop(reply.send(answer)));
        self.push(home, Mail::Command { channel, op: Box::new(op), answer: answer_to })?;
        let gone = || Refusal::new(ErrorCode::Moving, "the node stops, try again at another");
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    fn kick(&self, user: UserId, whose: Kicked) -> Result<(), Refusal> {
        self.push(self.view.home_of_user(user), Mail::Kick { user, whose })
    }

    fn index(&self, channel: ChannelId) {
        let home = self.view.home_of_channel(channel);
        // What another shard says after a search; this thread has no name of its own, and the home looks only at its
        // own.
        let frame = MeshFrame { from: home, to: home, epoch: self.view.epoch, body: MeshBody::Index { channel } };
        if self.push(home, Mail::Mesh(frame)).is_err() {
            tracing::debug!(%channel, "a home with too much to do was not told that its index is behind");
        }
    }
}
