//! What the store was asked and has not answered.

use router::{OpId, StoreOp, StoreResult};
use schema::Refusal;

/// A store operation without an answer.
pub(crate) struct Asked {
    pub(crate) shard: usize,
    pub(crate) op: OpId,
    pub(crate) store: StoreOp,
    /// The store's version when it was asked.
    pub(crate) version: u64,
}

/// The name of an operation of the store.
pub(crate) fn kind_of(store: &StoreOp) -> &'static str {
    match store {
        StoreOp::Authenticate { .. } => "Authenticate",
        StoreOp::Apply { .. } => "Apply",
        StoreOp::History { .. } => "History",
        StoreOp::OpenInbox { .. } => "OpenInbox",
        StoreOp::ReadInbox { .. } => "ReadInbox",
        StoreOp::Snapshot { .. } => "Snapshot",
        StoreOp::ReadArrivals { .. } => "ReadArrivals",
        StoreOp::ClearArrivals { .. } => "ClearArrivals",
        StoreOp::TrimInbox { .. } => "TrimInbox",
        StoreOp::PutPresence { .. } => "PutPresence",
        StoreOp::Visible { .. } => "Visible",
        StoreOp::Search { .. } => "Search",
        StoreOp::Index { .. } => "Index",
        StoreOp::OpenChannel { .. } => "OpenChannel",
        StoreOp::Members { .. } => "Members",
        StoreOp::Subscribe { .. } => "Subscribe",
        StoreOp::LargeOf { .. } => "LargeOf",
    }
}

/// The answer to an operation that is refused.
pub(crate) fn refusal_of(store: &StoreOp, refusal: Refusal) -> StoreResult {
    match store {
        StoreOp::Authenticate { .. } => StoreResult::Identity(Err(refusal)),
        StoreOp::Apply { .. } => StoreResult::Applied(Err(refusal)),
        StoreOp::History { .. } => StoreResult::History(Err(refusal)),
        StoreOp::OpenInbox { .. } => StoreResult::Opened(Err(refusal)),
        StoreOp::ReadInbox { .. } => StoreResult::Inbox(Err(refusal)),
        StoreOp::Snapshot { .. } => StoreResult::Snapshot(Err(refusal)),
        StoreOp::ReadArrivals { .. } => StoreResult::Arrivals(Err(refusal)),
        StoreOp::Visible { .. } => StoreResult::Visible(Err(refusal)),
        StoreOp::Search { .. } => StoreResult::Found(Err(refusal)),
        StoreOp::Index { .. } => StoreResult::Indexed(Err(refusal)),
        StoreOp::OpenChannel { .. } => StoreResult::ChannelOpened(Err(refusal)),
        StoreOp::Members { .. } => StoreResult::Members(Err(refusal)),
        StoreOp::Subscribe { .. } => StoreResult::Subscribed(Err(refusal)),
        StoreOp::LargeOf { .. } => StoreResult::LargeOf(Err(refusal)),
        StoreOp::ClearArrivals { .. } | StoreOp::TrimInbox { .. } | StoreOp::PutPresence { .. } => {
            StoreResult::Done(Err(refusal))
        }
    }
}
