//! One attempt's decisions, as they grow operation by operation. Pure: rows in, writes and replies out.
//!
//! Owns what later operations of a batch must see of earlier ones: heads, lists of members, marks, first replies. What an
//! operation means is in the files beside this one, each of which checks first (`reading`) and writes last (`writing`), so
//! that an operation which is refused, or lacks a row, leaves no trace.
//! Upholds I2: a seq is the next of the head that this transaction read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use schema::record::{ChannelRecord, HeadRecord, RecordError};
use schema::{ChannelId, ChannelOp, ErrorCode, EventBody, OpReply, Refusal, Seq, UnixMs, UserId, View};

use super::Queued;
use super::decided::{Decided, Happened, arrivals};
use super::live::Live;
use super::members::Members;
use super::room::Weight;
use super::rows::{Rows, Wanted};
use crate::planted::Plants;
use crate::{damaged, keys};
use kv::transaction::RangeRequest;

/// Under what a batch was accepted.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) view: Arc<View>,
    pub(super) wall: UnixMs,
    pub(super) group_members_max: u32,
    pub(super) plants: Plants,
    /// Set by [`crate::planted::Planted::UnknownIsFailure`].
    pub(super) forgets_first_replies: bool,
}

/// Why an operation stops before it has changed anything.
pub(super) enum Halt {
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

pub(super) type Step<T> = Result<T, Halt>;

pub(super) fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Step<T> {
    Err(Halt::Refused(Refusal::new(code, message)))
}

/// What came of deciding a batch.
pub(super) enum Verdict {
    /// Rows are missing: read them and decide again.
    Unread(Wanted),
    /// The first operations that fit into one transaction, at least one.
    Decided(Box<Decided>),
}

/// Decides `ops` in order, as many as fit. One that stands on a row which cannot be read is refused, and no other.
pub(super) fn decide(terms: &Terms, rows: &Rows, ops: &[Queued]) -> Verdict {
    let mut draft = Draft::new(terms, rows);
    for Queued { ticket, channel, op } in ops {
        if !draft.has_room(*channel, op) {
            break;
        }
        match draft.apply(*channel, op) {
            Ok(reply) => draft.replies.push((*ticket, Ok(reply))),
            Err(Halt::Refused(refusal)) => draft.replies.push((*ticket, Err(refusal))),
            Err(Halt::Unread) => {}
            Err(Halt::Damaged) => draft.replies.push((*ticket, Err(damaged()))),
        }
    }
    if draft.wanted.is_empty() { Verdict::Decided(Box::new(draft.finish())) } else { Verdict::Unread(draft.wanted) }
}

/// A channel as the batch has left it so far.
#[derive(Debug)]
pub(super) struct Drafted {
    pub(super) record: ChannelRecord,
    pub(super) record_changed: bool,
    pub(super) head: HeadRecord,
    pub(super) head_changed: bool,
    pub(super) members: Option<Arc<Members>>,
}

/// What a batch has come to so far. Its fields are `reading`'s and `writing`'s; operations use what those offer.
pub(super) struct Draft<'a> {
    pub(super) terms: &'a Terms,
    pub(super) rows: &'a Rows,
    pub(super) wanted: Wanted,
    pub(super) channels: BTreeMap<ChannelId, Drafted>,
    /// Channels whose list changed: what is cached of them is outdated if this commits.
    pub(super) members_changed: Vec<ChannelId>,
    /// Rows as this batch leaves them.
    pub(super) writes: BTreeMap<Vec<u8>, Option<Bytes>>,
    pub(super) cleared: Vec<RangeRequest>,
    pub(super) marks: BTreeMap<(UserId, ChannelId), Seq>,
    pub(super) joined: BTreeMap<UserId, i64>,
    pub(super) happened: Vec<Option<Happened>>,
    /// Where the event of a user's mark stands, so that a later one takes its place.
    pub(super) read_events: BTreeMap<(UserId, ChannelId), usize>,
    pub(super) inbox_rows: usize,
    /// Bytes beside [`super::room::ROW_BYTES`] for each row: longer keys and values, and what was read.
    pub(super) other_bytes: usize,
    pub(super) live: Live,
    pub(super) feeds: BTreeMap<ChannelId, Vec<EventBody>>,
    pub(super) replies: Vec<(u64, Result<OpReply, Refusal>)>,
}

impl<'a> Draft<'a> {
    fn new(terms: &'a Terms, rows: &'a Rows) -> Self {
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
            happened: Vec::new(),
            read_events: BTreeMap::new(),
            inbox_rows: 0,
            other_bytes: 0,
            live: Live::default(),
            feeds: BTreeMap::new(),
            replies: Vec::new(),
        }
    }

    /// This function only dispatches.
    fn apply(&mut self, channel: ChannelId, op: &ChannelOp) -> Step<OpReply> {
        match op {
            ChannelOp::Send(op) => self.send(channel, op),
            &ChannelOp::Mark { user, read_seq } => self.mark(channel, user, read_seq),
            ChannelOp::Create(op) => self.create(channel, op),
            &ChannelOp::AddMember { by, user, role } => self.add_member(channel, by, user, role),
            &ChannelOp::RemoveMember { by, user } => self.remove_member(channel, by, user),
            ChannelOp::Edit(op) => self.edit(channel, op),
            &ChannelOp::Delete { by, seq, op_id } => self.delete(channel, by, seq, op_id),
            ChannelOp::React(op) => self.react(channel, op),
            &ChannelOp::Typing { user, on } => self.typing(channel, user, on),
            ChannelOp::SetTitle { by, title } => self.set_title(channel, *by, title),
            &ChannelOp::SetMuted { user, muted } => self.set_muted(channel, user, muted),
            &ChannelOp::Block { by, user, on } => self.block(channel, by, user, on),
        }
    }

    /// Whether another operation fits into the transaction; the first always does.
    fn has_room(&self, channel: ChannelId, op: &ChannelOp) -> bool {
        if self.replies.is_empty() {
            return true;
        }
        let members = self.list(channel).map_or(0, |members| members.len());
        let heads_and_records = self.channels.len() * 2;
        let written = self.writes.len() + self.cleared.len() + self.marks.len() + self.joined.len();
        let rows = written + heads_and_records + self.inbox_rows;
        Weight::of(op, members).fits(rows, self.other_bytes)
    }

    fn finish(mut self) -> Decided {
        for (&channel, drafted) in &self.channels {
            if drafted.record_changed {
                self.writes.insert(keys::channel(channel), Some(drafted.record.encode().into()));
            }
            if drafted.head_changed {
                self.writes.insert(keys::head(channel), Some(drafted.head.encode().into()));
            }
        }
        let happened: Vec<Happened> = self.happened.into_iter().flatten().collect();
        Decided {
            arrivals: arrivals(&happened, &self.terms.view),
            live: self.live.by_home(&self.terms.view),
            feeds: self.feeds.into_iter().collect(),
            writes: self.writes,
            cleared: self.cleared,
            marks: self.marks,
            joined: self.joined,
            happened,
            replies: self.replies,
            members_changed: self.members_changed,
        }
    }
}
