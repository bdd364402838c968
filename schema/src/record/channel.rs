//! Channels and their members. FlatBuffers.
//!
//! Upholds the order of visibility ranges (I10).

use super::flat_records;
use crate::event::Role;
use crate::flat::flat_tables;
use crate::generated::rookery::record as fb;
use crate::id::{Seq, UserId};
use crate::limits::MEMBER_RANGES_MAX;
use crate::op::{ChannelKind, PastAccess};
use crate::time::UnixMs;

/// `channel`: what a channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Direct, group or large; it never changes.
    pub kind: ChannelKind,
    /// Its title; empty for a direct one.
    pub title: String,
    /// The user who made it.
    pub creator: UserId,
    /// When it was made.
    pub created_ms: UnixMs,
    /// Raised by every change of members, roles, ranges or blocks.
    pub member_epoch: u64,
    /// Members now.
    pub member_count: u32,
    /// The access of new members to what was sent before they joined.
    pub past: PastAccess,
}

/// `member`: one user's membership of one channel, kept after leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// The role: what the user may do.
    pub role: Role,
    /// Whether the user wants no notifications.
    pub muted: bool,
    /// When the user first joined.
    pub joined_ms: UnixMs,
    /// The seqs that the user may read, ascending, at most 8. The last is open while the user is a member.
    pub ranges: Vec<SeqRange>,
}

/// Seqs that a member may read: those after `after`, up to and with `through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqRange {
    /// The head when the user joined.
    pub after: Seq,
    /// The head when the user left; none while it is a member.
    pub through: Option<Seq>,
}

flat_records! {
    ChannelRecord "channel" format 1 { kind, title, creator, created_ms, member_epoch, member_count, past }
    MemberRecord "member" format 1 { role, muted, joined_ms, ranges }, check ranges_ascend
}

flat_tables! { SeqRange as SeqRange { after, through } }

impl MemberRecord {
    fn ranges_ascend(&self) -> Result<(), String> {
        if self.ranges.len() > MEMBER_RANGES_MAX as usize {
            return Err(format!("{} ranges of one member", self.ranges.len()));
        }
        let mut at = Some(Seq::ZERO);
        for range in &self.ranges {
            let SeqRange { after, through } = *range;
            if at.is_none_or(|at| after < at) || through.is_some_and(|through| through < after) {
                return Err(format!("I10: {range:?} does not ascend behind {at:?}"));
            }
            at = through;
        }
        Ok(())
    }
}
