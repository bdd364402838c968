//! Applications as shards ask them before a message is stored: by `notify`.

use std::sync::Arc;

use host::{Asking, Before};
use kv::Engine;
use notify::before::Asker;
use schema::{ChannelId, ChannelOp, UnixMs};

/// Asks by this.
pub(crate) struct Applications<S>(pub(crate) Asker<S>);

impl<S: Engine> Before for Applications<S> {
    fn ask(self: Arc<Self>, channel: ChannelId, op: ChannelOp, wall: UnixMs) -> Asking {
        Box::pin(async move { self.0.ask(channel, op, wall).await })
    }
}
