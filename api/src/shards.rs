//! The way from HTTP to the shards.
//!
//! Owns the trait alone. What changes a channel or an inbox is carried out by the channel's home shard, which is the
//! gateway's to find; this crate never writes it.

use schema::mesh::Kicked;
use schema::{ChannelId, ChannelOp, OpReply, Refusal, UserId};

/// Carries operations to the homes of their channels.
pub trait Shards: Clone + Send + Sync + 'static {
    /// Gives `op` to the home of `channel`, and answers once it is durable or refused.
    ///
    /// # Errors
    /// The home's refusal; 114 if it cannot take more, 113 while the channel moves, 115 if the store is away.
    fn apply(&self, channel: ChannelId, op: ChannelOp) -> impl Future<Output = Result<OpReply, Refusal>> + Send;

    /// Asks applications about a user's operation before it is carried out: the operation with what they say of it, for
    /// [`Self::apply`], which judges by that. Nothing changes where none of them wants to be asked. What a backend does in a
    /// user's name is not asked about.
    ///
    /// # Errors
    /// 114 if too much waits for one of them; 115 if the store is away.
    fn ask_before(&self, channel: ChannelId, op: ChannelOp) -> impl Future<Output = Result<ChannelOp, Refusal>> + Send;

    /// Has the user's home close (3503) the sessions of a device or a login that has just been revoked in the store, and
    /// returns once they are told.
    ///
    /// # Errors
    /// 114 if the shard cannot take more, 115 if the home does not answer in time: the sessions may live on until their
    /// token expires, unless this is asked again.
    fn kick(&self, user: UserId, whose: Kicked) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Tells the homes of two users that their friendship, or a block between them that no channel knows of, has begun or
    /// ended: with `hides` neither sees the other's presence until that is judged anew, which it is at once. A hint: if a
    /// shard cannot take it now, lists of watched users show the change when they are judged the next time, within an hour.
    fn visibility(&self, one: UserId, other: UserId, hides: bool);

    /// Tells a channel's home that the index of its words is behind its messages. A hint: if the home cannot take it
    /// now, the next search that reads those messages instead tells it again.
    fn index(&self, channel: ChannelId);
}
