//! A model of the store: logs, inboxes and arrivals in memory, committed one transaction at a time.
//!
//! Owns what is true. When it executes an operation, at which version, and whether it refuses is its world's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use router::{Arrival, ArrivalsPage, Identity, InboxPage, SnapshotPage, StoreOp, StoreResult};
use schema::command::{History, HistoryPage, HistoryWindow, SnapshotChannel};
use schema::limits::{ARRIVAL_ROWS_MAX, CATCH_UP_ROWS_MAX, INBOX_PAGE_ROWS_MAX};
use schema::mesh::SnapshotPlace;
use schema::message::{no_mentions, no_reactions};
use schema::op::{ChannelKind, SendOp};
use schema::record::{ArrivalEvent, ArrivalRecord, EventRecord, EventRecordBody};
use schema::{
    ChannelId, ChannelOp, ClientMsgId, Cursor, ErrorCode, Event, EventBody, Message, Now, OpReply, Owner, Position,
    Refusal, Seq, Stamp, UserId, View,
};

pub(crate) const GENERATION: u64 = 7;

/// Channels of one page of a snapshot here.
const SNAPSHOT_PAGE: usize = 2;

/// What each home shard is told of a transaction.
pub(crate) type Hints = Vec<(Owner, Stamp, Vec<Event>)>;

#[derive(Default)]
struct Log {
    members: Vec<UserId>,
    messages: Vec<Arc<Message>>,
    ids: BTreeMap<(UserId, ClientMsgId), Seq>,
    marks: BTreeMap<UserId, Seq>,
}

pub(crate) struct Store {
    view: Arc<View>,
    pub(crate) version: u64,
    logs: BTreeMap<ChannelId, Log>,
    pub(crate) inboxes: BTreeMap<UserId, Vec<Event>>,
    /// An inbox keeps what comes after this.
    pub(crate) floors: BTreeMap<UserId, Position>,
    arrivals: BTreeMap<Owner, BTreeMap<Stamp, (ArrivalRecord, Vec<Event>)>>,
    /// Fields of tokens: the user and the one device, by the token's first word.
    pub(crate) users: BTreeMap<String, UserId>,
}

impl Store {
    pub(crate) fn new(view: Arc<View>) -> Self {
        Self {
            view,
            version: 1_000,
            logs: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            floors: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    pub(crate) fn channel(&mut self, id: ChannelId, members: Vec<UserId>) {
        self.logs.entry(id).or_insert_with(|| Log { members, ..Log::default() });
    }

    /// What arrived belongs to an epoch that has ended.
    pub(crate) fn forget_arrivals(&mut self) {
        self.arrivals.clear();
    }

    pub(crate) fn bodies(&self, channel: ChannelId) -> Vec<&str> {
        self.logs.get(&channel).into_iter().flat_map(|log| &log.messages).map(|message| &*message.body).collect()
    }

    /// Executes what is no append, at a version.
    pub(crate) fn execute(&mut self, now: Now, shard: Owner, op: StoreOp, version: u64) -> StoreResult {
        match op {
            StoreOp::Authenticate { token } => StoreResult::Identity(self.identity(now, &token)),
            StoreOp::Apply { .. } => unreachable!("appends are committed in batches"),
            StoreOp::History { user, request } => StoreResult::History(self.history(user, &request)),
            StoreOp::OpenInbox { cursor, .. } => StoreResult::Opened(self.open(cursor)),
            StoreOp::ReadInbox { user, after, at_least, bytes, first } => {
                assert!(version >= at_least);
                StoreResult::Inbox(Ok(self.inbox(user, after, version, bytes, first)))
            }
            StoreOp::Snapshot { user, place } => StoreResult::Snapshot(Ok(self.snapshot(user, place, version))),
            StoreOp::ReadArrivals { after, at_least, have } => {
                assert!(version >= at_least);
                StoreResult::Arrivals(Ok(self.arrivals(shard, after, version, &have)))
            }
            StoreOp::ClearArrivals { through } => {
                if let Some(rows) = self.arrivals.get_mut(&shard) {
                    rows.retain(|&stamp, _| stamp > through);
                }
                StoreResult::Done(Ok(()))
            }
            StoreOp::TrimInbox { .. } => StoreResult::Done(Ok(())),
        }
    }

    fn identity(&self, now: Now, token: &str) -> Result<Identity, Refusal> {
        let mut words = token.split('/');
        let name = words.next().unwrap_or_default();
        let device = words.next().filter(|word| !word.is_empty()).map(|word| word.parse().expect("a device"));
        let lasts_s: u64 = words.next().map_or(3_600, |word| word.parse().expect("seconds"));
        match name {
            "bad" => Err(Refusal::new(ErrorCode::Unauthenticated, "a bad token")),
            "expired" => Err(Refusal::new(ErrorCode::TokenExpired, "an expired token")),
            name => {
                let user = self.users[name];
                Ok(Identity { user, device, expires_ms: now.wall.plus_ms(lasts_s * 1_000) })
            }
        }
    }

    fn open(&self, cursor: Option<Cursor>) -> Result<Cursor, Refusal> {
        let newest = Cursor { generation: GENERATION, position: Position::end_of(self.version) };
        match cursor {
            None => Ok(newest),
            Some(cursor) if cursor.generation == GENERATION && cursor <= newest => Ok(cursor),
            Some(_) => Err(Refusal::new(ErrorCode::BadCursor, "of another store")),
        }
    }

    fn inbox(&self, user: UserId, after: Position, version: u64, bytes_max: u32, first: bool) -> InboxPage {
        let rows = self.inboxes.get(&user).map_or(&[][..], Vec::as_slice);
        let rows = &rows[rows.partition_point(|event| event.position <= after)..];
        let rows = &rows[..rows.partition_point(|event| event.position <= Position::end_of(version))];
        let floor = self.floors.get(&user).copied().unwrap_or_default();
        if after < floor || (first && rows.len() > CATCH_UP_ROWS_MAX as usize) {
            return InboxPage::Behind;
        }
        let mut bytes = 0;
        let mut events: Vec<Event> = Vec::new();
        for event in rows {
            bytes += event.weight_bytes();
            if !events.is_empty() && (bytes > bytes_max || events.len() >= INBOX_PAGE_ROWS_MAX as usize) {
                let through = events.last().expect("not empty").position;
                return InboxPage::Events { events, through };
            }
            events.push(event.clone());
        }
        InboxPage::Events { events, through: Position::end_of(version) }
    }

    fn snapshot(&self, user: UserId, place: Option<SnapshotPlace>, version: u64) -> SnapshotPage {
        let last = place.map_or(ChannelId(0), |place| place.last);
        let mut mine = self.logs.iter().filter(|(id, log)| **id > last && log.members.contains(&user));
        let channels = mine.by_ref().take(SNAPSHOT_PAGE).map(|(&channel_id, log)| SnapshotChannel {
            channel_id,
            kind: ChannelKind::Group,
            head_seq: Seq(log.messages.len() as u64),
            read_seq: Seq::ZERO,
            unread: log.messages.len() as u64,
        });
        let channels = channels.collect();
        SnapshotPage { channels, more: mine.next().is_some(), through: Position::end_of(version) }
    }

    fn arrivals(&self, shard: Owner, after: Stamp, version: u64, have: &BTreeSet<Stamp>) -> ArrivalsPage {
        let end = Position::end_of(version).stamp;
        let all =
            self.arrivals.get(&shard).into_iter().flatten().filter(|(stamp, _)| **stamp > after && **stamp <= end);
        let mut rows: Vec<Arrival> = Vec::new();
        for (&stamp, (record, events)) in all {
            if rows.len() >= ARRIVAL_ROWS_MAX as usize {
                let through = rows.last().expect("not empty").stamp;
                return ArrivalsPage { rows, through, more: true };
            }
            let contents = (!have.contains(&stamp)).then(|| events.clone());
            rows.push(Arrival { stamp, record: record.clone(), contents });
        }
        ArrivalsPage { rows, through: end, more: false }
    }

    fn history(&self, user: UserId, request: &History) -> Result<HistoryPage, Refusal> {
        let log = self.logs.get(&request.channel_id).filter(|log| log.members.contains(&user));
        let log = log.ok_or_else(|| Refusal::new(ErrorCode::UnknownChannel, "no such channel"))?;
        let after = match request.window {
            HistoryWindow::After(seq) => seq,
            HistoryWindow::Newest | HistoryWindow::Before(_) | HistoryWindow::Around(_) => Seq::ZERO,
        };
        let messages = log.messages.iter().filter(|message| message.seq > after).take(request.limit as usize);
        let head_seq = Seq(log.messages.len() as u64);
        Ok(HistoryPage { messages: messages.cloned().collect(), head_seq, first_seq: Seq(1), more: false })
    }

    /// Commits a shard's appends as one transaction.
    pub(crate) fn commit(
        &mut self,
        now: Now,
        ops: impl IntoIterator<Item = (ChannelId, ChannelOp)>,
    ) -> (Vec<Result<OpReply, Refusal>>, Hints) {
        self.version += 10;
        let mut transaction = Transaction { stamp: Stamp { version: self.version, batch: 3 }, events: Vec::new() };
        let replies = ops.into_iter().map(|(channel, op)| self.apply(now, channel, op, &mut transaction)).collect();
        (replies, self.arrive(transaction))
    }

    fn apply(
        &mut self,
        now: Now,
        channel: ChannelId,
        op: ChannelOp,
        transaction: &mut Transaction,
    ) -> Result<OpReply, Refusal> {
        let log = self.logs.get_mut(&channel);
        let unknown = || Refusal::new(ErrorCode::UnknownChannel, "no such channel");
        match op {
            ChannelOp::Send(send) => log.ok_or_else(unknown)?.send(now, channel, send, transaction),
            ChannelOp::Mark { user, read_seq } => {
                let log = log.filter(|log| log.members.contains(&user)).ok_or_else(unknown)?;
                let head = log.messages.len() as u64;
                let mark = log.marks.entry(user).or_default();
                if read_seq.0.min(head) > mark.0 {
                    *mark = Seq(read_seq.0.min(head));
                    transaction.put(channel, vec![user], EventBody::Read { user, read_seq: *mark });
                }
                Ok(OpReply::Marked { read_seq: *mark, unread: head - mark.0 })
            }
            ChannelOp::Create(create) => {
                self.channel(channel, create.members);
                Ok(OpReply::Created { channel, existed: false })
            }
            ChannelOp::Edit(_) | ChannelOp::Delete { .. } => Ok(OpReply::Revised { revision: 1 }),
            ChannelOp::React(_) => Ok(OpReply::Reacted { count: 1 }),
            ChannelOp::Typing { .. } => Ok(OpReply::Told),
            ChannelOp::AddMember { .. }
            | ChannelOp::RemoveMember { .. }
            | ChannelOp::SetTitle { .. }
            | ChannelOp::SetMuted { .. }
            | ChannelOp::Block { .. } => Ok(OpReply::Changed { changed: false }),
        }
    }

    /// Writes inbox rows and arrivals.
    fn arrive(&mut self, Transaction { stamp, events }: Transaction) -> Hints {
        let mut homes: BTreeMap<Owner, (ArrivalRecord, Vec<Event>)> = BTreeMap::new();
        for (event, users) in events {
            let mut audiences: BTreeMap<Owner, Vec<UserId>> = BTreeMap::new();
            for user in users {
                self.inboxes.entry(user).or_default().push(event.clone());
                audiences.entry(self.view.home_of_user(user)).or_default().push(user);
            }
            for (home, users) in audiences {
                let (record, contents) = homes.entry(home).or_default();
                let audience = u16::try_from(record.audiences.len()).expect("few");
                record.audiences.push(users);
                let event_record = EventRecord { channel: event.channel, body: record_of(&event.body) };
                record.events.push(ArrivalEvent { ordinal: event.position.ordinal, audience, event: event_record });
                contents.push(event.clone());
            }
        }
        let mut hints = Vec::new();
        for (home, (record, contents)) in homes {
            self.arrivals.entry(home).or_default().insert(stamp, (record, contents.clone()));
            hints.push((home, stamp, contents));
        }
        hints
    }
}

struct Transaction {
    stamp: Stamp,
    events: Vec<(Event, Vec<UserId>)>,
}

impl Transaction {
    fn put(&mut self, channel: ChannelId, users: Vec<UserId>, body: EventBody) {
        let ordinal = u16::try_from(self.events.len()).expect("few");
        self.events.push((Event { position: self.stamp.at(ordinal), channel, body }, users));
    }
}

impl Log {
    fn send(
        &mut self,
        now: Now,
        channel_id: ChannelId,
        send: SendOp,
        transaction: &mut Transaction,
    ) -> Result<OpReply, Refusal> {
        let key = (send.from, send.client_msg_id);
        if let Some(&seq) = self.ids.get(&key) {
            let first = &self.messages[usize::try_from(seq.0 - 1).expect("few")];
            if first.body != send.body {
                return Err(Refusal::new(ErrorCode::IdReused, "other content"));
            }
            return Ok(OpReply::Sent { seq, sent_ms: first.sent_ms, duplicate: true });
        }
        if !self.members.contains(&send.from) {
            return Err(Refusal::new(ErrorCode::UnknownChannel, "no such channel"));
        }
        let seq = Seq(self.messages.len() as u64 + 1);
        let message = Arc::new(Message {
            channel_id,
            seq,
            revision: 0,
            from: send.from,
            sent_ms: now.wall,
            client_msg_id: send.client_msg_id,
            kind: send.kind,
            body: send.body,
            reply_to: None,
            mentions: no_mentions(),
            edited_ms: None,
            deleted: false,
            reactions: no_reactions(),
        });
        self.ids.insert(key, seq);
        self.messages.push(Arc::clone(&message));
        transaction.put(channel_id, self.members.clone(), EventBody::Message(message));
        Ok(OpReply::Sent { seq, sent_ms: now.wall, duplicate: false })
    }
}

fn record_of(body: &EventBody) -> EventRecordBody {
    match body {
        EventBody::Message(message) => EventRecordBody::Message { seq: message.seq, revision: message.revision },
        EventBody::Edited(message) => EventRecordBody::Edited { seq: message.seq, revision: message.revision },
        &EventBody::Deleted { seq, revision } => EventRecordBody::Deleted { seq, revision },
        EventBody::Reaction { seq, emoji, count, user, on } => {
            let (seq, emoji, count) = (*seq, emoji.clone(), *count);
            EventRecordBody::Reaction { seq, emoji, count, user: *user, on: *on }
        }
        &EventBody::Membership { user, change, role } => EventRecordBody::Membership { user, change, role },
        &EventBody::Read { user, read_seq } => EventRecordBody::Read { user, read_seq },
    }
}
