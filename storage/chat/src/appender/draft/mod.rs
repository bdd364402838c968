//! One attempt's decisions, as they grow operation by operation. Pure: rows in, writes and replies out.
//!
//! Owns what later operations of a batch must see of earlier ones: heads, lists of members, marks, first replies. What
//! an operation means is its own (`operation`); it uses what `reading`, `first_reply` and `writing` offer and sees no
//! field. Upholds I2: a seq is the next of the head that this transaction read.

mod first_reply;
mod graph;
mod reading;
mod writing;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use schema::record::{ChannelRecord, HeadRecord, RecordError};
use schema::{ChannelId, ErrorCode, EventBody, OpReply, Refusal, Seq, UnixMs, UserId, View};

use super::capacity::Cost;
use super::effects::{Effects, Happened, Hooked, arrivals};
use super::live::Live;
use super::members::Members;
use super::rows::{Rows, Wanted};
pub(in crate::appender) use first_reply::{Asked, Change};
pub(in crate::appender) use graph::sight;
pub(in crate::appender) use writing::MembersChange;

use crate::keys;
use kv::transaction::RangeRequest;

/// Under what a batch was accepted.
#[derive(Debug, Clone)]
pub(in crate::appender) struct Terms {
    pub(in crate::appender) view: Arc<View>,
    pub(in crate::appender) wall: UnixMs,
    pub(in crate::appender) group_members_max: u32,
}

/// Why an operation stops before it has changed anything.
pub(in crate::appender) enum Halt {
    /// It is refused.
    Refused(Refusal),
    /// It needs rows that were not read; they are wanted now.
    Unread,
    /// A row that it stands on cannot be read.
    Damaged,
}

impl From<RecordError> for Halt {
    fn from(_noted_where_it_was_read: RecordError) -> Self {
        Self::Damaged
    }
}

pub(in crate::appender) type Step<T> = Result<T, Halt>;

pub(in crate::appender) fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Step<T> {
    Err(Halt::Refused(Refusal::new(code, message)))
}

/// A channel as the batch has left it so far.
#[derive(Debug)]
pub(in crate::appender) struct Drafted {
    pub(in crate::appender) record: ChannelRecord,
    pub(in crate::appender) record_changed: bool,
    pub(in crate::appender) head: HeadRecord,
    pub(in crate::appender) head_changed: bool,
    pub(in crate::appender) members: Option<Arc<Members>>,
}

/// What a batch has come to so far.
pub(in crate::appender) struct Draft<'a> {
    terms: &'a Terms,
    rows: &'a Rows,
    wanted: Wanted,
    channels: BTreeMap<ChannelId, Drafted>,
    /// Channels whose list changed: what is cached of them is outdated if this commits.
    members_changed: Vec<ChannelId>,
    /// Rows as this batch leaves them.
    writes: BTreeMap<Vec<u8>, Option<Bytes>>,
    cleared: Vec<RangeRequest>,
    marks: BTreeMap<(UserId, ChannelId), Seq>,
    joined: BTreeMap<UserId, i64>,
    /// Counters, by key.
    counted: BTreeMap<Vec<u8>, i64>,
    happened: Vec<Option<Happened>>,
    /// Where the event of a user's mark stands, so that a later one takes its place.
    read_events: BTreeMap<(UserId, ChannelId), usize>,
    inbox_rows: usize,
    hooked: Vec<Hooked>,
    /// Bytes beside [`super::capacity::ROW_BYTES`] for each row: longer keys and values, and what was read.
    other_bytes: usize,
    live: Live,
    feeds: BTreeMap<ChannelId, Vec<EventBody>>,
    replies: Vec<(u64, Result<OpReply, Refusal>)>,
}

impl<'a> Draft<'a> {
    pub(in crate::appender) fn new(terms: &'a Terms, rows: &'a Rows) -> Self {
        Self {
            terms,
            rows,
            wanted: Wanted::default(),
            channels: BTreeMap::new(),
            members_changed: Vec::new(),
            writes: BTreeMap::new(),
            cleared: Vec::new(),
            marks: BTreeMap::new(),
            joined: BTreeMap::new(),
            counted: BTreeMap::new(),
            happened: Vec::new(),
            read_events: BTreeMap::new(),
            inbox_rows: 0,
            hooked: Vec::new(),
            other_bytes: 0,
            live: Live::default(),
            feeds: BTreeMap::new(),
            replies: Vec::new(),
        }
    }

    /// When the batch was accepted.
    pub(in crate::appender) fn wall(&self) -> UnixMs {
        self.terms.wall
    }

    /// Members that a group may have.
    pub(in crate::appender) fn group_members_max(&self) -> u32 {
        self.terms.group_members_max
    }

    /// How many members a channel has as far as is known by now: 0 of a large one.
    pub(in crate::appender) fn members_at_hand(&self, channel: ChannelId) -> usize {
        self.list(channel).map_or(0, |members| members.len())
    }

    /// Whether an operation of this cost fits into the transaction; the first always does.
    pub(in crate::appender) fn fits(&self, cost: &Cost) -> bool {
        if self.replies.is_empty() {
            return true;
        }
        let heads_and_records = self.channels.len() * 2;
        let written =
            self.writes.len() + self.cleared.len() + self.marks.len() + self.joined.len() + self.counted.len();
        // What a hook is told takes its row and at most a marker; an operation makes two events at most.
        let hooked = 2 * self.hooked.len() + 4 * self.rows.hooks().len();
        let rows = written + heads_and_records + self.inbox_rows + hooked;
        cost.fits(rows, self.other_bytes)
    }

    /// An operation was decided, behind all before it.
    pub(in crate::appender) fn reply(&mut self, ticket: u64, reply: Result<OpReply, Refusal>) {
        self.replies.push((ticket, reply));
    }

    /// What the batch comes to, or the rows that were wanted and not read.
    pub(in crate::appender) fn finish(mut self) -> Result<Effects, Wanted> {
        if !self.wanted.is_empty() {
            return Err(self.wanted);
        }
        for (&channel, drafted) in &self.channels {
            if drafted.record_changed {
                self.writes.insert(keys::channel(channel), Some(drafted.record.encode().into()));
            }
            if drafted.head_changed {
                self.writes.insert(keys::head(channel), Some(drafted.head.encode().into()));
            }
        }
        let happened: Vec<Happened> = self.happened.into_iter().flatten().collect();
        Ok(Effects {
            arrivals: arrivals(&happened, &self.terms.view),
            live: self.live.by_home(&self.terms.view),
            feeds: self.feeds.into_iter().collect(),
            writes: self.writes,
            cleared: self.cleared,
            marks: self.marks,
            joined: self.joined,
            counted: self.counted,
            happened,
            hooked: self.hooked,
            replies: self.replies,
            members_changed: self.members_changed,
        })
    }
}
