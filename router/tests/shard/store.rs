//! A model of the store: logs, inboxes and arrivals in memory, committed one transaction at a time.
//!
//! Owns what is true. When it executes an operation, at which version, and whether it refuses is its world's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use router::{Answered, Claims, Identity, Judgement, Question, store as ask};
use schema::command::{History, HistoryPage, HistoryWindow, ReadMark, SearchHit, SearchPage, SnapshotChannel};
use schema::limits::{ARRIVAL_ROWS_MAX, CATCH_UP_ROWS_MAX, HISTORY_BYTES_MAX, INBOX_PAGE_ROWS_MAX};
use schema::mesh::{LiveEvent, SnapshotPlace};
use schema::op::{ChannelKind, EditOp, SendOp};
use schema::page::{
    Arrival, ArrivalsPage, FoundPage, InboxPage, Indexed, MembersPage, OpenedChannel, SessionStart, SnapshotPage,
};
use schema::record::{ArrivalEvent, ArrivalRecord, EventRecord, PresenceRecord, PushItem, SeqRange};
use schema::{
    ChannelId, ChannelOp, Cursor, Epoch, ErrorCode, Event, EventBody, Now, OpReply, Owner, Position, Refusal, Ruling,
    Seq, Stamp, UserId, View,
};

use crate::log::{Log, Transaction, record_of};
use crate::script::number;

pub(crate) const GENERATION: u64 = 7;

/// Channels of one page of a snapshot here.
const SNAPSHOT_PAGE: usize = 2;

/// What each home shard is told of a transaction.
pub(crate) type Hints = Vec<(Owner, Stamp, Vec<Event>)>;

/// What came of a transaction.
#[derive(Default)]
pub(crate) struct Committed {
    pub(crate) replies: Vec<Result<OpReply, Refusal>>,
    pub(crate) hints: Hints,
    pub(crate) live: Vec<(Owner, Vec<LiveEvent>)>,
    pub(crate) feeds: Vec<(ChannelId, Vec<EventBody>)>,
}

pub(crate) struct Store {
    view: Arc<View>,
    /// Epochs by the versions at which they began.
    epochs: BTreeMap<u64, Epoch>,
    pub(crate) version: u64,
    logs: BTreeMap<ChannelId, Log>,
    pub(crate) inboxes: BTreeMap<UserId, Vec<Event>>,
    /// An inbox keeps what comes after this.
    pub(crate) floors: BTreeMap<UserId, Position>,
    arrivals: BTreeMap<Owner, BTreeMap<Stamp, (ArrivalRecord, Vec<Event>)>>,
    /// Fields of tokens: the user and the one device, by the token's first word.
    pub(crate) users: BTreeMap<String, UserId>,
    /// Logins that are not revoked.
    pub(crate) families: BTreeSet<u64>,
    pub(crate) presence: BTreeMap<UserId, PresenceRecord>,
    pub(crate) blocks: BTreeSet<(UserId, UserId)>,
    pub(crate) pushes: BTreeSet<PushItem>,
    /// Messages that are in the index.
    indexed: BTreeMap<ChannelId, usize>,
    /// Devices that connected, counted.
    opened: u64,
    /// What applications say of everything.
    pub(crate) opinion: Opinion,
}

/// What applications say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Opinion {
    #[default]
    Allow,
    /// It gets a `~` at its end.
    Change,
    Refuse,
    /// Nothing now.
    Busy,
}

impl Store {
    pub(crate) fn new(view: Arc<View>) -> Self {
        Self {
            epochs: BTreeMap::from([(0, view.epoch)]),
            view,
            version: 1_000,
            logs: BTreeMap::new(),
            inboxes: BTreeMap::new(),
            floors: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            users: BTreeMap::new(),
            families: (1..=9).collect(),
            presence: BTreeMap::new(),
            blocks: BTreeSet::new(),
            pushes: BTreeSet::new(),
            indexed: BTreeMap::new(),
            opened: 0,
            opinion: Opinion::default(),
        }
    }

    pub(crate) fn channel(&mut self, id: ChannelId, large: bool, members: Vec<UserId>) {
        self.logs.entry(id).or_insert_with(|| Log::new(large, members));
    }

    /// A user becomes a member, and nobody is told.
    pub(crate) fn join(&mut self, channel: ChannelId, user: UserId) {
        self.logs.get_mut(&channel).expect("it is there").members.push(user);
    }

    /// What arrived belongs to an epoch that has ended.
    pub(crate) fn forget_arrivals(&mut self) {
        self.arrivals.clear();
    }

    pub(crate) fn bodies(&self, channel: ChannelId) -> Vec<&str> {
        self.logs.get(&channel).into_iter().flat_map(|log| &log.messages).map(|message| &*message.body).collect()
    }

    /// Answers any question but an append, at a version.
    pub(crate) fn execute(
        &mut self,
        now: Now,
        (shard, epoch): (Owner, Epoch),
        question: Question,
        version: u64,
    ) -> Answered {
        let moving = || Refusal::new(ErrorCode::Moving, "fenced");
        let is_member = self.view.member(shard.incarnation).is_some();
        match question {
            Question::ReadArrivals(q) if !is_member => q.pending.answer(Err(moving())),
            Question::PutPresence(q) if epoch != self.view.epoch => q.pending.answer(Err(moving())),
            Question::Standing(q) => q.pending.answer(if is_member { Ok(self.view.epoch) } else { Err(moving()) }),
            Question::FamiliesLive(q) => {
                let live = q.request.families.iter().map(|(_, family)| self.families.contains(family)).collect();
                q.pending.answer(Ok(live))
            }
            Question::Authenticate(q) => q.pending.answer(self.identity(now, &q.request.token)),
            Question::AskBefore(q) => {
                let word = self.word(&q.request.op);
                q.pending.answer(Ok(word))
            }
            Question::Apply(_) => unreachable!("appends are committed in batches"),
            Question::History(q) => q.pending.answer(self.history(q.request.user, &q.request.request)),
            Question::Search(q) => q.pending.answer(Ok(self.search(q.request.user, &q.request.request.query))),
            Question::OpenInbox(q) => q.pending.answer(self.open(&q.request)),
            Question::ReadInbox(q) => q.pending.answer(Ok(self.inbox(&q.request, version))),
            Question::Snapshot(q) => q.pending.answer(Ok(self.snapshot(q.request.user, q.request.place, version))),
            Question::ReadArrivals(q) => q.pending.answer(Ok(self.arrivals(shard, &q.request, version))),
            Question::ClearArrivals(q) => {
                self.pushes.extend(q.request.pushes);
                if let Some(rows) = self.arrivals.get_mut(&shard) {
                    rows.retain(|&stamp, _| stamp > q.request.through);
                }
                q.pending.answer(Ok(()))
            }
            Question::TrimInbox(q) => q.pending.answer(Ok(())),
            Question::PutPresence(q) => {
                self.presence.insert(q.request.user, q.request.record);
                q.pending.answer(Ok(()))
            }
            Question::OpenChannel(q) => {
                let ask::OpenChannel { user, channel } = q.request;
                q.pending.answer(self.member_of(user, channel).map(|log| opened(log, user)))
            }
            Question::Members(q) => {
                let ask::Members { user, channel, page } = q.request;
                q.pending.answer(self.member_of(user, channel).map(|log| {
                    let users = log.members.chunks(200).nth(page as usize).unwrap_or_default().to_vec();
                    MembersPage { users, fellows: !log.large }
                }))
            }
            Question::Subscribe(q) => {
                q.pending.answer(self.member_of(q.request.user, q.request.channel).map(Log::head))
            }
            Question::LargeOf(q) => {
                let mine = self.logs.iter().filter(|(_, log)| log.large && log.members.contains(&q.request.user));
                q.pending.answer(Ok(mine.map(|(&channel, _)| channel).collect()))
            }
            Question::Index(q) => {
                // One message at a time.
                let head = self.logs[&q.request.channel].messages.len();
                let indexed = self.indexed.entry(q.request.channel).or_default();
                *indexed = head.min(*indexed + 1);
                let (through, more) = (Seq(*indexed as u64), *indexed < head);
                q.pending.answer(Ok(Indexed { through, head: Seq(head as u64), more }))
            }
            Question::Visible(q) => {
                let ask::Visible { watcher, users, .. } = q.request;
                let stored = |&user: &UserId| {
                    self.sees(watcher, user).then(|| self.presence.get(&user).copied().unwrap_or_default())
                };
                q.pending.answer(Ok(users.iter().map(stored).collect()))
            }
        }
    }

    fn word(&self, op: &ChannelOp) -> Judgement {
        let (ChannelOp::Send(SendOp { body, .. }) | ChannelOp::Edit(EditOp { body, .. })) = op else {
            panic!("nobody is asked about {op:?}")
        };
        match self.opinion {
            Opinion::Allow => Ok(None),
            Opinion::Change => Ok(Some(Ruling::Change(format!("{body}~").into()))),
            Opinion::Refuse => Ok(Some(Ruling::Refuse("rude".into()))),
            Opinion::Busy => Err(Refusal::new(ErrorCode::Overloaded, "busy")),
        }
    }

    /// Whether one sees another's presence: as a fellow member, and not across a block.
    fn sees(&self, watcher: UserId, user: UserId) -> bool {
        let shares = |log: &Log| !log.large && log.members.contains(&watcher) && log.members.contains(&user);
        let is_blocked = self.blocks.contains(&(user, watcher)) || self.blocks.contains(&(watcher, user));
        watcher == user || (!is_blocked && self.logs.values().any(shares))
    }

    fn identity(&self, now: Now, token: &str) -> Result<Identity, Refusal> {
        let words: Vec<&str> = token.split('/').collect();
        let word = |at: usize| words.get(at).copied().filter(|word| !word.is_empty());
        match words[0] {
            "bad" => Err(Refusal::new(ErrorCode::Unauthenticated, "a bad token")),
            "expired" => Err(Refusal::new(ErrorCode::TokenExpired, "an expired token")),
            "unsure" => Ok(Identity::Later(Refusal::new(ErrorCode::StorageUnavailable, "nobody knows now"))),
            name => Ok(Identity::Known(Claims {
                user: self.users[name],
                device: word(1).map(|device| device.parse().expect("a device")),
                family: word(3).map_or(1, number),
                expires_ms: now.wall.plus_ms(word(2).map_or(3_600, number::<u64>) * 1_000),
            })),
        }
    }

    fn open(&mut self, asked: &ask::OpenInbox) -> Result<SessionStart, Refusal> {
        if !self.families.contains(&asked.family) {
            return Err(Refusal::new(ErrorCode::Unauthenticated, "the token was revoked"));
        }
        self.opened += 1;
        let stamp = Stamp { version: self.opened, batch: 0 };
        let newest = Cursor { generation: GENERATION, position: Position::end_of(self.version) };
        match asked.cursor {
            None => Ok(SessionStart { cursor: newest, stamp }),
            Some(cursor) if cursor.generation == GENERATION && cursor <= newest => Ok(SessionStart { cursor, stamp }),
            Some(_) => Err(Refusal::new(ErrorCode::BadCursor, "of another store")),
        }
    }

    fn inbox(&self, asked: &ask::ReadInbox, version: u64) -> InboxPage {
        let &ask::ReadInbox { user, after, at_least, bytes: bytes_max, first } = asked;
        assert!(version >= at_least);
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
                return InboxPage::Events { events, through, exhausted: false };
            }
            events.push(event.clone());
        }
        InboxPage::Events { events, through: Position::end_of(version), exhausted: true }
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

    fn arrivals(&self, shard: Owner, asked: &ask::ReadArrivals, version: u64) -> ArrivalsPage {
        let &ask::ReadArrivals { after, at_least, ref have } = asked;
        assert!(version >= at_least);
        let end = Position::end_of(version).stamp;
        let epoch = *self.epochs.range(..=version).next_back().expect("the first began at 0").1;
        let all =
            self.arrivals.get(&shard).into_iter().flatten().filter(|(stamp, _)| **stamp > after && **stamp <= end);
        let mut rows: Vec<Arrival> = Vec::new();
        for (&stamp, (record, events)) in all {
            if rows.len() >= ARRIVAL_ROWS_MAX as usize {
                let through = rows.last().expect("not empty").stamp;
                return ArrivalsPage { rows, through, more: true, epoch };
            }
            let contents = (!have.contains(&stamp)).then(|| events.clone());
            rows.push(Arrival { stamp, record: record.clone(), contents });
        }
        ArrivalsPage { rows, through: end, more: false, epoch }
    }

    /// Messages that hold a text, as far as they are indexed.
    fn search(&self, user: UserId, text: &str) -> FoundPage {
        let mut found =
            FoundPage { page: SearchPage { hits: Vec::new(), more: false, cursor: None }, behind: Vec::new() };
        for (&channel_id, log) in self.logs.iter().filter(|(_, log)| log.members.contains(&user)) {
            let indexed = self.indexed.get(&channel_id).copied().unwrap_or(0);
            if indexed < log.messages.len() {
                found.behind.push(channel_id);
            }
            for message in log.messages[..indexed].iter().filter(|message| message.body.contains(text)) {
                let (seq, sent_ms, from) = (message.seq, message.sent_ms, message.from);
                found.page.hits.push(SearchHit { channel_id, seq, sent_ms, from, snippet: message.body.to_string() });
            }
        }
        found
    }

    fn member_of(&self, user: UserId, channel: ChannelId) -> Result<&Log, Refusal> {
        let log = self.logs.get(&channel).filter(|log| log.members.contains(&user));
        log.ok_or_else(|| Refusal::new(ErrorCode::UnknownChannel, "no such channel"))
    }

    fn history(&self, user: UserId, request: &History) -> Result<HistoryPage, Refusal> {
        let log = self.member_of(user, request.channel_id)?;
        let after = match request.window {
            HistoryWindow::After(seq) => seq,
            HistoryWindow::Newest | HistoryWindow::Before(_) | HistoryWindow::Around(_) => Seq::ZERO,
        };
        let messages = log.messages.iter().filter(|message| message.seq > after);
        let (mut page, mut bytes) = (Vec::new(), 0);
        for message in messages.take(request.limit as usize) {
            bytes += message.body.len();
            if !page.is_empty() && bytes > HISTORY_BYTES_MAX as usize {
                break;
            }
            page.push(Arc::clone(message));
        }
        let more = page.last().is_some_and(|last| last.seq < log.head());
        Ok(HistoryPage { messages: page, head_seq: log.head(), first_seq: Seq(1), more })
    }

    /// Another view stands from here on.
    pub(crate) fn change(&mut self, view: Arc<View>) {
        self.version += 10;
        self.epochs.insert(self.version, view.epoch);
        self.view = view;
    }

    /// Commits the appends of a shard that knows the view: those of channels that are not its own any more are refused.
    pub(crate) fn commit_by(
        &mut self,
        now: Now,
        shard: Owner,
        ops: impl IntoIterator<Item = (ChannelId, ChannelOp)>,
    ) -> Committed {
        let view = Arc::clone(&self.view);
        let is_ours = |channel: ChannelId| view.home_of_channel(channel) == shard;
        let (mut ours, mut is_kept) = (Vec::new(), Vec::new());
        for (channel, op) in ops {
            is_kept.push(is_ours(channel));
            if is_ours(channel) {
                ours.push((channel, op));
            }
        }
        let mut committed = if ours.is_empty() { Committed::default() } else { self.commit(now, ours) };
        let mut replies = std::mem::take(&mut committed.replies).into_iter();
        let moving = || Err(Refusal::new(ErrorCode::Moving, "it has moved"));
        let reply = |kept: bool| if kept { replies.next().expect("one for each") } else { moving() };
        committed.replies = is_kept.into_iter().map(reply).collect();
        committed
    }

    /// Commits appends as one transaction.
    pub(crate) fn commit(&mut self, now: Now, ops: impl IntoIterator<Item = (ChannelId, ChannelOp)>) -> Committed {
        self.version += 10;
        let mut transaction = Transaction::new(now, Stamp { version: self.version, batch: 3 });
        let replies = ops.into_iter().map(|(channel, op)| self.apply(channel, op, &mut transaction)).collect();
        let Transaction { stamp, events, live, feeds, .. } = transaction;
        Committed { replies, hints: self.arrive(stamp, events), live: self.told(live), feeds }
    }

    fn apply(&mut self, channel: ChannelId, op: ChannelOp, transaction: &mut Transaction) -> Result<OpReply, Refusal> {
        transaction.channel = channel;
        if let ChannelOp::Block { by, user, on } = op {
            if on {
                self.blocks.insert((by, user))
            } else {
                self.blocks.remove(&(by, user))
            };
        }
        match (self.logs.get_mut(&channel), op) {
            (_, ChannelOp::Create(create)) => {
                self.channel(channel, false, create.members);
                Ok(OpReply::Created { channel, existed: false })
            }
            (Some(log), op) => log.apply(op, transaction),
            (None, _) => Err(Refusal::new(ErrorCode::UnknownChannel, "no such channel")),
        }
    }

    /// What is told live, by the homes of those who are told.
    fn told(&self, live: Vec<LiveEvent>) -> Vec<(Owner, Vec<LiveEvent>)> {
        let mut homes: BTreeMap<Owner, Vec<LiveEvent>> = BTreeMap::new();
        for LiveEvent { channel, users, body } in live {
            let mut of: BTreeMap<Owner, Vec<UserId>> = BTreeMap::new();
            for user in users {
                of.entry(self.view.home_of_user(user)).or_default().push(user);
            }
            for (home, users) in of {
                homes.entry(home).or_default().push(LiveEvent { channel, users, body: body.clone() });
            }
        }
        homes.into_iter().collect()
    }

    /// Writes inbox rows and arrivals.
    fn arrive(&mut self, stamp: Stamp, events: Vec<(Event, Vec<UserId>)>) -> Hints {
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

/// A channel as a member sees it.
fn opened(log: &Log, user: UserId) -> OpenedChannel {
    let members = if log.large { Vec::new() } else { log.members.clone() };
    let mark = |user| log.marks.get(&user).copied().unwrap_or_default();
    let reads = members.iter().map(|&user_id| ReadMark { user_id, read_seq: mark(user_id) }).collect();
    let kind = if log.large { ChannelKind::Large } else { ChannelKind::Group };
    let ranges = vec![SeqRange { after: Seq::ZERO, through: None }];
    OpenedChannel { kind, head_seq: log.head(), read_seq: mark(user), ranges, members, reads }
}
