//! The way from HTTP to the shards.
//!
//! Owns the trait alone. What changes a channel or an inbox is carried out by the channel's home shard, which is the
//! gateway's to find; this crate never writes it.

use schema::{ChannelId, ChannelOp, OpReply, Refusal};

/// Carries operations to the homes of their channels.
pub trait Shards: Clone + Send + Sync + 'static {
    /// Gives `op` to the home of `channel`, and answers once it is durable or refused.
    ///
    /// # Errors
    /// The home's refusal; 114 if it cannot take more, 113 while the channel moves, 115 if the store is away.
    fn apply(&self, channel: ChannelId, op: ChannelOp) -> impl Future<Output = Result<OpReply, Refusal>> + Send;
}
