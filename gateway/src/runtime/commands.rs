//! Commands of the HTTP API to channels' homes.
//!
//! Owns the way there: the home's mailbox, and a one-shot channel back.

use std::sync::Arc;

use chat::LayerError;
use host::Before;
use host::driver::{Answer, Mail};
use schema::mesh::{Kicked, LiveBody, LiveEvent, MeshBody, MeshFrame};
use schema::{ChannelId, ChannelOp, ErrorCode, Incarnation, OpReply, Owner, Refusal, ShardIndex, UserId};
use tokio::sync::oneshot;

use super::clock::wall;
use super::shards::Commander;
use crate::uring::Mailbox;

/// The shards of this node as the HTTP API sees them.
#[derive(Clone)]
pub(crate) struct NodeShards {
    me: Incarnation,
    commander: Commander,
    mailboxes: Arc<[Mailbox<Mail>]>,
    before: Arc<dyn Before>,
}

impl NodeShards {
    pub(crate) fn new(
        me: Incarnation,
        commander: Commander,
        mailboxes: Vec<Mailbox<Mail>>,
        before: Arc<dyn Before>,
    ) -> Self {
        Self { me, commander, mailboxes: mailboxes.into(), before }
    }

    /// Gives something to a shard of this node, to the home itself if that is here. Any finds the home: what is of one
    /// channel or user takes the same way each time, which keeps its order.
    fn push(&self, id: u64, home: Option<Owner>, mail: Mail) -> Result<(), Refusal> {
        let shards = self.mailboxes.len();
        let here = home.filter(|home| home.incarnation == self.me).map(|home| usize::from(home.shard.0));
        let shard = here.unwrap_or_else(|| usize::try_from(id % shards as u64).expect("below a number of shards"));
        self.mailboxes[shard].push(mail).map_err(|_| {
            let message = "the shard has more to do than it may hold, try again";
            Refusal::new(ErrorCode::Overloaded, message).after_ms(100)
        })
    }
}

impl NodeShards {
    /// Gives something to a shard and waits for its answer.
    async fn ask(&self, id: u64, home: Option<Owner>, mail: impl FnOnce(Answer) -> Mail) -> Result<OpReply, Refusal> {
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have gone.
        self.push(id, home, mail(Box::new(move |answer| drop(reply.send(answer)))))?;
        let gone = || Refusal::new(ErrorCode::Moving, "the node stops, try again at another");
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl NodeShards {
    /// Tells the homes of users that so many posts came into each one's news feed. A hint: a shard with too much to do
    /// is not told.
    pub(crate) fn feeds_grew(&self, users: Vec<UserId>, count: u32) {
        let Some(view) = self.commander.view() else { return };
        let Some(&first) = users.first() else { return };
        // Any shard of this node passes it on to the homes of all.
        let shard = u16::try_from(first.0 % self.mailboxes.len() as u64).expect("below a number of shards");
        let here = Owner { incarnation: self.me, shard: ShardIndex(shard) };
        // It is of no channel.
        let event = LiveEvent { channel: ChannelId(0), users, body: LiveBody::FeedHead { count } };
        let frame = MeshFrame { from: here, to: here, epoch: view.epoch, body: MeshBody::Live { events: vec![event] } };
        if self.push(first.0, Some(here), Mail::Mesh(frame)).is_err() {
            tracing::debug!(count, "a shard with too much to do was not told that feeds have grown");
        }
    }
}

impl api::Shards for NodeShards {
    async fn apply(&self, channel: ChannelId, op: ChannelOp) -> Result<OpReply, Refusal> {
        let home = self.commander.view().map(|view| view.home_of_channel(channel));
        self.ask(channel.0, home, |answer| Mail::Command { channel, op: Box::new(op), answer }).await
    }

    async fn ask_before(&self, channel: ChannelId, mut op: ChannelOp) -> Result<ChannelOp, Refusal> {
        if self.commander.before().has(channel, &op) {
            let asking = Arc::clone(&self.before).ask(channel, op.clone(), wall());
            op.set_ruling(asking.await.map_err(LayerError::into_refusal)??);
        }
        Ok(op)
    }

    async fn kick(&self, user: UserId, whose: Kicked) -> Result<(), Refusal> {
        let home = self.commander.view().map(|view| view.home_of_user(user));
        self.ask(user.0, home, |answer| Mail::Kick { user, whose, answer }).await.map(drop)
    }

    fn visibility(&self, one: UserId, other: UserId, hides: bool) {
        let Some(view) = self.commander.view() else { return };
        // Any shard of this node passes it on to the homes of both.
        let shard = u16::try_from(one.0 % self.mailboxes.len() as u64).expect("below a number of shards");
        let here = Owner { incarnation: self.me, shard: ShardIndex(shard) };
        let body = LiveBody::Blocked { by: one, user: other, on: hides };
        // It is of no channel.
        let event = LiveEvent { channel: ChannelId(0), users: vec![one, other], body };
        let frame = MeshFrame { from: here, to: here, epoch: view.epoch, body: MeshBody::Live { events: vec![event] } };
        if self.push(one.0, Some(here), Mail::Mesh(frame)).is_err() {
            tracing::debug!(%one, %other, "a shard with too much to do was not told whose presence is to be judged anew");
        }
    }

    fn index(&self, channel: ChannelId) {
        let Some(view) = self.commander.view() else { return };
        let home = view.home_of_channel(channel);
        if home.incarnation != self.me {
            // A home elsewhere finds out when the channel is next written to.
            return;
        }
        // What another shard says after a search; this thread has no name of its own, and the home looks only at its
        // own.
        let frame = MeshFrame { from: home, to: home, epoch: view.epoch, body: MeshBody::Index { channel } };
        if self.push(channel.0, Some(home), Mail::Mesh(frame)).is_err() {
            tracing::debug!(%channel, "a home with too much to do was not told that its index is behind");
        }
    }
}
