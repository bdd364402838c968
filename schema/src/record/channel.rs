//! What a channel is and who is in it. FlatBuffers.
//!
//! Owns both records and their bytes, and the order of visibility ranges (I10).

use super::RecordError;
use super::flat::{self, Flat};
use crate::enums::Numbered as _;
use crate::event::Role;
use crate::generated::rookery::record as fb;
use crate::id::{Seq, UserId};
use crate::limits::MEMBER_RANGES_MAX;
use crate::op::{ChannelKind, PastAccess};
use crate::time::UnixMs;

const FORMAT: u8 = 1;

/// `channel`: what a channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRecord {
    /// What it is.
    pub kind: ChannelKind,
    /// Its title; empty for a direct one.
    pub title: String,
    /// Who made it.
    pub creator: UserId,
    /// When.
    pub created_ms: UnixMs,
    /// Raised by every change of members, roles, ranges or blocks.
    pub member_epoch: u64,
    /// Members now.
    pub member_count: u32,
    /// What new members may read.
    pub past: PastAccess,
}

impl ChannelRecord {
    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        flat::encode(FORMAT, |builder| {
            let fields = fb::ChannelRecordArgs {
                kind: self.kind.number(),
                title: Some(builder.create_string(&self.title)),
                creator: self.creator.0,
                created_ms: self.created_ms.0,
                member_epoch: self.member_epoch,
                member_count: self.member_count,
                past: self.past.number(),
            };
            fb::ChannelRecord::create(builder, &fields)
        })
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let row = Flat::<fb::ChannelRecord<'_>>::read("channel", FORMAT, bytes)?;
        Ok(Self {
            kind: row.known(ChannelKind::of_number(row.kind()), "kind")?,
            title: row.title().unwrap_or_default().to_owned(),
            creator: UserId(row.creator()),
            created_ms: UnixMs(row.created_ms()),
            member_epoch: row.member_epoch(),
            member_count: row.member_count(),
            past: row.known(PastAccess::of_number(row.past()), "past")?,
        })
    }
}

/// `member`: one user's membership of one channel, kept after leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// What the user may do.
    pub role: Role,
    /// Whether the user wants no notifications.
    pub muted: bool,
    /// When the user first joined.
    pub joined_ms: UnixMs,
    /// The seqs it may read, ascending, at most 8. The last is open while the user is a member.
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

impl MemberRecord {
    /// As it lies in the store.
    ///
    /// # Panics
    /// If the ranges are more than 8, or not ascending, or open before the last.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        if let Err(why) = ranges_ascend(&self.ranges) {
            panic!("I10: {why}: {:?}", self.ranges);
        }
        flat::encode(FORMAT, |builder| {
            let ranges: Vec<_> = self
                .ranges
                .iter()
                .map(|range| {
                    let fields = fb::SeqRangeArgs { after: range.after.0, through: range.through.map(|seq| seq.0) };
                    fb::SeqRange::create(builder, &fields)
                })
                .collect();
            let fields = fb::MemberRecordArgs {
                role: self.role.number(),
                muted: self.muted,
                joined_ms: self.joined_ms.0,
                ranges: Some(builder.create_vector(&ranges)),
            };
            fb::MemberRecord::create(builder, &fields)
        })
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let row = Flat::<fb::MemberRecord<'_>>::read("member", FORMAT, bytes)?;
        let range = |range: fb::SeqRange<'_>| SeqRange { after: Seq(range.after()), through: range.through().map(Seq) };
        let ranges: Vec<SeqRange> = row.ranges().into_iter().flatten().map(range).collect();
        ranges_ascend(&ranges).map_err(|why| row.damaged(why))?;
        Ok(Self {
            role: row.known(Role::of_number(row.role()), "role")?,
            muted: row.muted(),
            joined_ms: UnixMs(row.joined_ms()),
            ranges,
        })
    }
}

/// Whether ranges are what [`MemberRecord::ranges`] promises.
fn ranges_ascend(ranges: &[SeqRange]) -> Result<(), &'static str> {
    if ranges.len() > MEMBER_RANGES_MAX as usize {
        return Err("more ranges than a member may have");
    }
    let mut at = Seq::ZERO;
    for (place, range) in ranges.iter().enumerate() {
        if range.after < at {
            return Err("ranges overlap");
        }
        match range.through {
            Some(through) if through < range.after => return Err("a range ends before it begins"),
            Some(through) => at = through,
            None if place + 1 < ranges.len() => return Err("a range before the last is open"),
            None => {}
        }
    }
    Ok(())
}
