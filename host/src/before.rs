//! Applications that are asked before an operation is carried out.
//!
//! Owns the seam. Which operations may concern one is what the shard was told ([`Orders::set_before`](crate::driver::Orders)); who
//! is asked and what becomes of no answer is the implementor's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use chat::LayerError;
use router::Judgement;
use schema::{ChannelId, ChannelOp, UnixMs};

/// A question under way.
pub type Asking = Pin<Box<dyn Future<Output = Result<Judgement, LayerError>> + Send>>;

/// Asks applications.
pub trait Before: Send + Sync + 'static {
    /// What applications say of a user's operation.
    ///
    /// Must not block, since it is polled where store operations are, and must end within some seconds whoever is asked: the
    /// operation waits, and a bounded number of others may beside it.
    fn ask(self: Arc<Self>, channel: ChannelId, op: ChannelOp, wall: UnixMs) -> Asking;
}
