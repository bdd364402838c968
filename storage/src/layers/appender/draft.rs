//! One attempt's decisions, as they grow operation by operation. Pure: rows in, writes and replies out.
//!
//! Owns what later operations of a batch must see of earlier ones: heads, lists of members, marks, first replies. What an
//! operation means is in the files beside this one, each of which checks first and writes last, so that an operation which
//! is refused, or lacks a row, leaves no trace.
//! Upholds I2: a seq is the next of the head that this transaction read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use schema::event::{MemberChange, Role};
use schema::op::{ChannelKind, PastAccess};
use schema::record::{ChannelRecord, EventRecord, EventRecordBody, HeadRecord, MemberRecord, RecordError};
use schema::{ChannelId, ChannelOp, ErrorCode, EventBody, Message, OpReply, Refusal, Seq, UnixMs, UserId, View};

use super::Queued;
use super::decided::{Decided, Happened, arrivals, content};
use super::live::Live;
use super::members::{Member, Members};
use super::room::{EVENT_BYTES, Weight, conflict_bytes, written_beyond};
use super::rows::{Rows, Wanted};
use crate::keys;
use crate::layers::planted::{Planted, Plants};
use crate::transaction::RangeRequest;

/// Under what a batch was accepted.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) view: Arc<View>,
    pub(super) wall: UnixMs,
    pub(super) group_members_max: u32,
    pub(super) plants: Plants,
    /// Set by [`Planted::UnknownIsFailure`].
    pub(super) forgets_first_replies: bool,
}

/// Why an operation stops before it has changed anything.
pub(super) enum Halt {
    /// It is refused.
    Refused(Refusal),
    /// It needs rows that were not read; they are wanted now.
    Unread,
    /// A row is damaged.
    Damaged(RecordError),
}

impl From<RecordError> for Halt {
    fn from(error: RecordError) -> Self {
        Self::Damaged(error)
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

/// Decides `ops` in order, as many as fit.
pub(super) fn decide(terms: &Terms, rows: &Rows, ops: &[Queued]) -> Result<Verdict, RecordError> {
    let mut draft = Draft::new(terms, rows);
    for Queued { ticket, channel, op } in ops {
        if !draft.has_room(*channel, op) {
            break;
        }
        match draft.apply(*channel, op) {
            Ok(reply) => draft.replies.push((*ticket, Ok(reply))),
            Err(Halt::Refused(refusal)) => draft.replies.push((*ticket, Err(refusal))),
            Err(Halt::Unread) => {}
            Err(Halt::Damaged(error)) => return Err(error),
        }
    }
    if draft.wanted.is_empty() {
        Ok(Verdict::Decided(Box::new(draft.finish())))
    } else {
        Ok(Verdict::Unread(draft.wanted))
    }
}

/// A channel as the batch has left it so far.
#[derive(Debug)]
pub(super) struct Drafted {
    pub(super) record: ChannelRecord,
    record_changed: bool,
    pub(super) head: HeadRecord,
    head_changed: bool,
    members: Option<Arc<Members>>,
}

/// How who is in a channel changes.
pub(super) enum MembersChange {
    /// A user is a member now.
    Joined(Member),
    /// A member has another role.
    Changed(Member),
    /// A user is none any more.
    Gone(UserId),
    /// One of a direct channel's two has blocked the other, or neither has any more.
    Blocked(bool),
}

pub(super) struct Draft<'a> {
    pub(super) terms: &'a Terms,
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
    happened: Vec<Option<Happened>>,
    /// Where the event of a user's mark stands, so that a later one takes its place.
    read_events: BTreeMap<(UserId, ChannelId), usize>,
    inbox_rows: usize,
    /// Bytes beside [`super::room::ROW_BYTES`] for each row: longer keys and values, and what was read.
    other_bytes: usize,
    pub(super) live: Live,
    feeds: BTreeMap<ChannelId, Vec<EventBody>>,
    replies: Vec<(u64, Result<OpReply, Refusal>)>,
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

    // Room

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

    // Reading

    /// A row as this batch has left it so far.
    pub(super) fn get(&mut self, key: Vec<u8>) -> Step<Option<Bytes>> {
        if let Some(written) = self.writes.get(&key) {
            return Ok(written.clone());
        }
        match self.rows.get(&key) {
            Some(value) => {
                self.other_bytes += conflict_bytes(&key);
                Ok(value.cloned())
            }
            None => {
                self.wanted.rows.insert(key);
                Err(Halt::Unread)
            }
        }
    }

    /// Like [`Self::get`], for rows on which no order depends.
    pub(super) fn get_loose(&mut self, key: Vec<u8>) -> Step<Option<Bytes>> {
        match self.rows.get(&key) {
            Some(value) => Ok(value.cloned()),
            None => {
                self.wanted.loose.insert(key);
                Err(Halt::Unread)
            }
        }
    }

    /// The first rows of a range as this batch has left it so far: [`RANGE_ROWS`] of the store's, and its own.
    pub(super) fn get_range(
        &mut self,
        RangeRequest { begin, end, .. }: RangeRequest,
    ) -> Step<BTreeMap<Vec<u8>, Bytes>> {
        let Some(read) = self.rows.range(&begin) else {
            self.wanted.ranges.insert((begin, end));
            return Err(Halt::Unread);
        };
        let mut rows: BTreeMap<Vec<u8>, Bytes> = read.iter().map(|row| (row.key.to_vec(), row.value.clone())).collect();
        for (key, value) in self.writes.range(begin..end) {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows)
    }

    /// A channel that exists.
    pub(super) fn channel(&mut self, channel: ChannelId) -> Step<&mut Drafted> {
        if !self.channels.contains_key(&channel) {
            let (record, head) = (self.get(keys::channel(channel)), self.get(keys::head(channel)));
            let (record, head) = (record?, head?);
            let Some(record) = record else {
                return refuse(ErrorCode::UnknownChannel, format!("no channel {channel}"));
            };
            let drafted = Drafted {
                record: ChannelRecord::decode(&record)?,
                record_changed: false,
                head: head.map_or(Ok(HeadRecord::default()), |head| HeadRecord::decode(&head))?,
                head_changed: false,
                members: None,
            };
            self.channels.insert(channel, drafted);
        }
        Ok(self.channels.get_mut(&channel).expect("just looked up or put in"))
    }

    /// The list of a channel at the epoch of its row, if it is at hand.
    fn list(&self, channel: ChannelId) -> Option<&Arc<Members>> {
        if let Some(members) = self.channels.get(&channel).and_then(|drafted| drafted.members.as_ref()) {
            return Some(members);
        }
        self.rows.read.get(&channel).or_else(|| self.rows.cached.get(&channel))
    }

    /// Who is in a channel; of a large one, what stands for its list.
    pub(super) fn members(&mut self, channel: ChannelId) -> Step<Arc<Members>> {
        let epoch = self.channel(channel)?.record.member_epoch;
        let current = self.terms.plants.has(Planted::CachedMembership);
        match self.list(channel).filter(|members| current || members.large || members.epoch == epoch).cloned() {
            Some(members) => {
                self.channel(channel)?.members = Some(Arc::clone(&members));
                Ok(members)
            }
            None => {
                self.wanted.lists.insert(channel);
                Err(Halt::Unread)
            }
        }
    }

    /// A user's membership of a channel, if it is a member.
    pub(super) fn find_member(&mut self, channel: ChannelId, user: UserId) -> Step<Option<Member>> {
        let members = self.members(channel)?;
        if !members.large {
            return Ok(members.get(user).cloned());
        }
        match self.get(keys::member(channel, user))? {
            Some(row) => Ok(Some(Member::of(user, &MemberRecord::decode(&row)?))),
            None => Ok(None),
        }
    }

    /// A member of a channel; one who left is told so, one who never was in it that there is no such channel.
    pub(super) fn member(&mut self, channel: ChannelId, user: UserId) -> Step<Member> {
        if let Some(member) = self.find_member(channel, user)? {
            return Ok(member);
        }
        match self.get(keys::former(channel, user))? {
            Some(_) => refuse(ErrorCode::PermissionDenied, format!("user {user} is not in channel {channel} any more")),
            None => refuse(ErrorCode::UnknownChannel, format!("no channel {channel}")),
        }
    }

    /// Whether all these users are members of a channel that was looked at.
    pub(super) fn check_mentions(&mut self, channel: ChannelId, users: &[UserId]) -> Step<()> {
        let mut step = Ok(());
        for &user in users {
            match self.find_member(channel, user) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    return refuse(ErrorCode::BadRequest, format!("user {user}, who is mentioned, is not a member"));
                }
                Err(Halt::Unread) => step = Err(Halt::Unread),
                Err(halt) => return Err(halt),
            }
        }
        step
    }

    /// Refuses what may not happen between two of whom one has blocked the other.
    pub(super) fn check_not_blocked(&mut self, channel: ChannelId) -> Step<()> {
        if self.members(channel)?.blocked {
            return refuse(ErrorCode::Blocked, "one of the two has blocked the other");
        }
        Ok(())
    }

    /// Whether all these accounts exist.
    pub(super) fn users_exist(&mut self, users: impl Iterator<Item = UserId>) -> Step<()> {
        let mut step = Ok(());
        for user in users {
            match self.get_loose(keys::user(user)) {
                Ok(Some(_)) => {}
                Ok(None) => return refuse(ErrorCode::UnknownChannel, format!("no user {user}")),
                Err(Halt::Unread) => step = Err(Halt::Unread),
                Err(halt) => return Err(halt),
            }
        }
        step
    }

    /// Whether each of these users may be in one more channel.
    pub(super) fn users_have_room(&mut self, users: impl Iterator<Item = UserId>) -> Step<()> {
        let mut step = Ok(());
        for user in users {
            match self.get_loose(keys::joined(user)) {
                Ok(row) => {
                    let joined = crate::layers::packed::counter(row.as_ref())?;
                    let joined = joined.saturating_add_signed(self.joined.get(&user).copied().unwrap_or(0));
                    if joined >= u64::from(schema::limits::CHANNELS_OF_USER_MAX) {
                        let limit = schema::limits::CHANNELS_OF_USER_MAX;
                        return refuse(ErrorCode::LimitExceeded, format!("user {user} is in {limit} channels already"));
                    }
                }
                Err(Halt::Unread) => step = Err(Halt::Unread),
                Err(halt) => return Err(halt),
            }
        }
        step
    }

    // Writing: nothing below stops

    pub(super) fn set(&mut self, key: Vec<u8>, value: impl Into<Bytes>) {
        let value = value.into();
        self.other_bytes += written_beyond(&key, &value);
        self.writes.insert(key, Some(value));
    }

    pub(super) fn clear(&mut self, key: Vec<u8>) {
        self.other_bytes += written_beyond(&key, &[]);
        self.writes.insert(key, None);
    }

    /// Clears a range in which this batch writes nothing any more.
    pub(super) fn clear_range(&mut self, range: RangeRequest) {
        self.cleared.push(range);
    }

    /// A new channel, with its list.
    pub(super) fn put_channel(&mut self, channel: ChannelId, record: ChannelRecord, members: Vec<Member>) {
        let members = Arc::new(match record.kind {
            ChannelKind::Direct | ChannelKind::Group => Members::new(record.member_epoch, members),
            ChannelKind::Large => Members::large(),
        });
        // Later operations of this batch find the row, those of this channel the draft.
        self.set(keys::channel(channel), record.encode());
        let drafted = Drafted {
            record,
            record_changed: false,
            head: HeadRecord::default(),
            head_changed: false,
            members: Some(members),
        };
        self.channels.insert(channel, drafted);
    }

    /// What a channel is that was looked at, what of its past is open, and its head.
    pub(super) fn drafted(&self, channel: ChannelId) -> (ChannelKind, PastAccess, Seq) {
        let Drafted { record, head, .. } = self.channels.get(&channel).expect("looked at before");
        (record.kind, record.past, head.seq)
    }

    pub(super) fn put_head(&mut self, channel: ChannelId, head: HeadRecord) {
        let drafted = self.channels.get_mut(&channel).expect("read before it is written");
        (drafted.head, drafted.head_changed) = (head, true);
    }

    pub(super) fn put_title(&mut self, channel: ChannelId, title: &str) {
        let drafted = self.channels.get_mut(&channel).expect("read before it is written");
        (drafted.record.title, drafted.record_changed) = (title.to_owned(), true);
        self.other_bytes += title.len();
    }

    /// A change of who is in a channel, or of what a member may do, and with it the epoch of the channel's row.
    pub(super) fn put_members(&mut self, channel: ChannelId, change: &MembersChange) {
        let drafted = self.channels.get_mut(&channel).expect("read before it is written");
        let members = drafted.members.as_ref().expect("read before it is written");
        drafted.record.member_epoch += 1;
        drafted.record_changed = true;
        let after = match change {
            MembersChange::Joined(member) => {
                drafted.record.member_count += 1;
                members.with(member.clone())
            }
            MembersChange::Changed(member) => members.with(member.clone()),
            MembersChange::Gone(user) => {
                drafted.record.member_count -= 1;
                members.without(*user)
            }
            MembersChange::Blocked(blocked) => members.with_block(*blocked),
        };
        if !members.large {
            drafted.members = Some(Arc::new(after));
            self.members_changed.push(channel);
        }
    }

    /// A membership, in both orders; it takes the place of what was kept after leaving. Who has a role in a large channel is
    /// listed apart.
    pub(super) fn put_member(&mut self, kind: ChannelKind, channel: ChannelId, user: UserId, record: &MemberRecord) {
        let value = Bytes::from(record.encode());
        match (kind, record.role) {
            (ChannelKind::Direct | ChannelKind::Group, _) => {}
            (ChannelKind::Large, Role::Member) => self.clear(keys::officer(channel, user)),
            (ChannelKind::Large, Role::Admin | Role::Owner) => self.set(keys::officer(channel, user), value.clone()),
        }
        self.set(keys::member(channel, user), value.clone());
        self.set(keys::membership(user, channel), value);
    }

    pub(super) fn count_joined(&mut self, user: UserId, change: i64) {
        *self.joined.entry(user).or_default() += change;
    }

    /// A user's mark is at least here.
    pub(super) fn raise_mark(&mut self, user: UserId, channel: ChannelId, seq: Seq) {
        let mark = self.marks.entry((user, channel)).or_default();
        *mark = seq.max(*mark);
    }

    /// What this batch has made of a user's mark so far; zero if nothing.
    pub(super) fn drafted_mark(&self, user: UserId, channel: ChannelId) -> Seq {
        self.marks.get(&(user, channel)).copied().unwrap_or_default()
    }

    /// Who is in a channel, as this batch leaves its list.
    pub(super) fn drafted_members(&self, channel: ChannelId) -> Arc<Members> {
        let members = self.channels.get(&channel).and_then(|drafted| drafted.members.as_ref());
        Arc::clone(members.expect("put in just before"))
    }

    /// Something happened to a message: those who may read it are told by their inboxes, or by a large channel's feed.
    pub(super) fn tell_readers(
        &mut self,
        channel: ChannelId,
        seq: Seq,
        body: EventRecordBody,
        message: Option<Arc<Message>>,
    ) {
        let members = self.drafted_members(channel);
        if members.large {
            self.feeds.entry(channel).or_default().push(content(&body, message.as_ref()));
        } else {
            let audience = members.readers(seq);
            self.tell(channel, body, message, audience);
        }
    }

    /// A membership changed: all members are told, and the one concerned. Of a large channel the members hear it by the feed.
    pub(super) fn tell_membership(&mut self, channel: ChannelId, user: UserId, change: MemberChange, role: Role) {
        let body = EventRecordBody::Membership { user, change, role };
        let members = self.drafted_members(channel);
        if members.large {
            self.feeds.entry(channel).or_default().push(content(&body, None));
            if change != MemberChange::Title {
                self.tell(channel, body, None, Arc::from([user]));
            }
        } else {
            let gone = members.get(user).is_none().then_some(user);
            let audience = match gone {
                None => Arc::clone(&members.users),
                Some(gone) => members.users.iter().copied().chain([gone]).collect(),
            };
            self.tell(channel, body, None, audience);
        }
    }

    /// Something happened that these users' inboxes tell.
    pub(super) fn tell(
        &mut self,
        channel: ChannelId,
        body: EventRecordBody,
        message: Option<Arc<Message>>,
        audience: Arc<[UserId]>,
    ) {
        if let EventRecordBody::Read { user, .. } = body {
            // Of several marks the last stands, at the place of the last: it may not come before what it marks as read.
            if let Some(earlier) = self.read_events.insert((user, channel), self.happened.len()) {
                self.happened[earlier] = None;
                self.inbox_rows -= 1;
            }
        }
        self.inbox_rows += audience.len();
        if let EventRecordBody::Reaction { emoji, .. } = &body {
            self.other_bytes += audience.len() * (32 + emoji.as_str().len() - EVENT_BYTES);
        }
        self.happened.push(Some(Happened { event: EventRecord { channel, body }, message, audience }));
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
