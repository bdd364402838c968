//! What the HTTP API asks of channels' homes.
//!
//! Owns the way there: the home's mailbox, and a one-shot channel back.

use std::sync::Arc;

use schema::{ChannelId, ChannelOp, ErrorCode, OpReply, Refusal, View};
use tokio::sync::oneshot;

use crate::uring::Mailbox;

use super::handler::Mail;

/// The shards of this node as the HTTP API sees them.
#[derive(Clone)]
pub(super) struct NodeShards {
    view: Arc<View>,
    mailboxes: Arc<[Mailbox<Mail>]>,
}

impl NodeShards {
    pub(super) fn new(view: Arc<View>, mailboxes: Vec<Mailbox<Mail>>) -> Self {
        Self { view, mailboxes: mailboxes.into() }
    }
}

impl api::Shards for NodeShards {
    async fn apply(&self, channel: ChannelId, op: ChannelOp) -> Result<OpReply, Refusal> {
        let home = self.view.home_of_channel(channel);
        let (reply, answer) = oneshot::channel();
        let mail = Mail::Command { channel, op: Box::new(op), reply };
        if self.mailboxes[usize::from(home.shard.0)].push(mail).is_err() {
            let message = "the channel's shard has more to do than it may hold, try again";
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(100));
        }
        let gone = || Refusal::new(ErrorCode::Moving, "the node stops, try again at another");
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}
