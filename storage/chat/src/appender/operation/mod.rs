//! Operations of a channel, one file each: what it reads, what it may cost, what it decides.
//!
//! Owns the seam between them and batches, [`Operation`]: whoever reads, runs, retries, splits and writes batches knows
//! none of them but through it. An operation checks first and writes last, so that one which is refused, or lacks a
//! row, leaves no trace.

mod block;
mod create;
mod delete;
mod edit;
mod mark;
mod members;
mod message;
mod mute;
mod post;
mod publish;
mod react;
mod send;
mod title;
mod typing;

use schema::{ChannelId, ChannelOp, OpReply};

use super::capacity::Cost;
use super::draft::{Draft, Step};
use super::prefetch::Prefetch;

/// One operation of a channel.
pub(super) trait Operation {
    /// Asks for what it is known to read.
    fn prefetch(&self, read: &mut Prefetch<'_>);

    /// What it may add to a transaction, in a channel of so many members, 0 of a large one. Never less than it will.
    fn cost(&self, members: usize) -> Cost;

    /// Checks it against what the draft has read and decided, and adds what it does to the draft.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply>;

    /// What proves that what it has read was so.
    fn proof(&self) -> Proof {
        Proof::Commit
    }
}

/// What proves that what an operation has read was so when its batch committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The commit: all of it is read for conflicts.
    Commit,
    /// That it is read at the newest version: some of it is read loosely, without conflicts.
    Newest,
    /// Nothing: by itself it commits nothing.
    None,
}

/// Does `then` to an operation. The one place that lists them.
pub(super) fn with<R>(op: &ChannelOp, then: impl FnOnce(&dyn Operation) -> R) -> R {
    match op {
        ChannelOp::Send(op) => then(op),
        &ChannelOp::Mark { user, read_seq } => then(&mark::Mark { user, read_seq }),
        ChannelOp::Create(op) => then(op),
        &ChannelOp::AddMember { by, user, role } => then(&members::Add { by, user, role }),
        &ChannelOp::RemoveMember { by, user } => then(&members::Remove { by, user }),
        ChannelOp::Edit(op) => then(op),
        &ChannelOp::Delete { by, seq, op_id } => then(&delete::Delete { by, seq, op_id }),
        ChannelOp::React(op) => then(op),
        &ChannelOp::Typing { user, on } => then(&typing::Typing { user, on }),
        ChannelOp::Publish { by, event, data } => then(&publish::Publish { by: *by, event, data }),
        ChannelOp::SetTitle { by, title } => then(&title::SetTitle { by: *by, title }),
        &ChannelOp::SetMuted { user, muted } => then(&mute::SetMuted { user, muted }),
        &ChannelOp::Block { by, user, on } => then(&block::Block { by, user, on }),
    }
}
