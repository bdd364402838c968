//! A small world for tests of the layers: users 1 to 9, the group `g` of 1, 2 and 3, the direct channel `d` of 1 and 2.
//!
//! Owns the words in which tests speak. A script is batches separated by `;`, each of operations separated by `,`:
//!
//! ```text
//! 1 sends a           to channel g, the text "a" under the id "a"      d.1 sends a      to channel d
//! 1 sends a=hello     another text under the id "a"                    1 sends a@-31    an id made 31 days ago
//! 1 sends a re 2      in reply to seq 2                                1 sends a to 2+3 mentions users 2 and 3
//! 1 sends a with 11+12 carries two media: `with none` says that it has some and names none
//! 1 marks 2           has read up to seq 2
//! 1 adds 4            or `adds 4 admin`                                1 removes 4
//! x.1 opens 3         makes the direct channel x                       x.1 makes 2+3    or `makes 2+3 key K`
//! l.1 founds 2+3      makes the large channel l; `founds 2+3 all`, where new members may read all of its past
//! A.1 starts feed     makes A the feed of 1              A.1 posts a for friends    or `for public`, and `to 2+3`
//! 1 edits e of 2      message 2 gets the text "e", the operation the id "e"; `of 2 at 1`, at revision 1, not 0
//! 1 deletes e of 2    message 2, under the id "e"
//! 1 puts e=👍 on 2     and `1 takes f=👍 off 2`
//! 1 types on          or `types off`
//! 1 titles crabs      1 mutes on, or `mutes off`                       d.1 blocks 2     d.1 unblocks 2
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use chat::appender::{Appender, Batch, Finished};
use chat::check::{self, Checked};
use chat::view::{Proposal, Verdict};
use chat::{LayerError, history, inbox, keys, view};
use futures_lite::future::block_on;
use kv::memory::{CommitFault, Faults, MemoryEngine, MemoryOptions, MemoryStore, NoFaults, ScriptedFaults};
use kv::{Begin, Engine, Generation, RangeRequest, Row, Transaction};
use schema::command::{History, HistoryPage, HistoryWindow};
use schema::event::Role;
use schema::mesh::{LiveBody, LiveEvent};
use schema::op::{ChannelKind, CreateOp, EditOp, PastAccess, ReactOp, SendOp};
use schema::record::{NodeRecord, UserRecord};
use schema::view::Partition;
use schema::{
    Audience, ChannelId, ChannelOp, ClientMsgId, ErrorCode, Event, EventBody, Incarnation, MediaId, Member, Message,
    MessageKind, OpReply, Owner, Position, Refusal, Ruling, Seq, ShardIndex, Stamp, Standing, UnixMs, UserId, View,
    message,
};

/// When every script begins.
pub(crate) const WALL: UnixMs = UnixMs(1_800_000_000_000);
pub(crate) const DAY_MS: u64 = 24 * 3600 * 1000;

pub(crate) struct World<E> {
    pub(crate) engine: E,
    pub(crate) view: Arc<View>,
    pub(crate) appenders: Vec<Appender>,
    pub(crate) wall: UnixMs,
    pub(crate) ticket: u64,
    pub(crate) replies: BTreeMap<u64, Result<OpReply, Refusal>>,
    pub(crate) hints: Vec<(Owner, Stamp, Vec<Event>)>,
    pub(crate) live: Vec<(Owner, Vec<LiveEvent>)>,
    pub(crate) feeds: Vec<(ChannelId, Vec<EventBody>)>,
    pub(crate) fenced: bool,
    pub(crate) life: Incarnation,
}

/// A store in which the users and the two channels exist.
pub(crate) fn store() -> MemoryStore {
    let store = MemoryStore::new(Generation(7));
    World::claim(quiet(&store), 1, 1).populate();
    store
}

/// A process that has a store open, whose faults are these.
pub(crate) fn open(store: &MemoryStore, faults: impl Faults + 'static) -> MemoryEngine {
    MemoryEngine::open(store, MemoryOptions { faults: Box::new(faults), ..MemoryOptions::default() })
}

/// One without faults.
pub(crate) fn quiet(store: &MemoryStore) -> MemoryEngine {
    open(store, NoFaults)
}

/// One whose commits end like this, the first of them first.
pub(crate) fn scripted(store: &MemoryStore, fates: &[CommitFault]) -> MemoryEngine {
    open(store, ScriptedFaults::new(fates.iter().copied()))
}

/// An engine over `store`, claimed by life 2, whose commits end like this, the first of them first.
pub(crate) fn faulty(store: &MemoryStore, fates: &[CommitFault]) -> MemoryEngine {
    World::claim(quiet(store), 2, 1);
    scripted(store, fates)
}

/// The small world behind a script.
pub(crate) fn world(script: &str) -> World<MemoryEngine> {
    world_after(&[], script)
}

/// The same, where commits end so.
pub(crate) fn world_after(fates: &[CommitFault], script: &str) -> World<MemoryEngine> {
    let mut world = World::current(faulty(&store(), fates));
    world.run(script);
    world
}

/// All rows of a range, as far as one page goes.
pub(crate) fn rows<E: Engine>(engine: &E, range: &RangeRequest) -> Vec<Row> {
    block_on(engine.begin(Begin::Fresh).get_range(range)).expect("readable").rows
}

/// Changes rows, past all layers.
pub(crate) fn write<E: Engine>(engine: &E, change: impl FnOnce(&mut E::Tx)) {
    let mut tx = engine.begin(Begin::Fresh);
    change(&mut tx);
    block_on(tx.commit()).expect("written");
}

/// What came of a question, in words, or the code of its refusal.
pub(crate) fn words(result: Result<String, LayerError>) -> String {
    match result {
        Ok(words) => words,
        Err(LayerError::Refused(refusal)) => u16::from(refusal.code).to_string(),
        Err(error) => panic!("{error}"),
    }
}

/// An account of this name.
pub(crate) fn account(name: &str) -> UserRecord {
    UserRecord { username: name.to_owned(), created_ms: WALL, ..UserRecord::default() }
}

/// A text that is sent.
pub(crate) fn text(from: u64, client_msg_id: ClientMsgId, body: impl Into<Arc<str>>) -> ChannelOp {
    let (from, kind, mentions) = (UserId(from), MessageKind::Text, message::no_mentions());
    let (body, reply_to, ruling, audience, media) = (body.into(), None, None, None, Vec::new());
    ChannelOp::Send(SendOp { from, client_msg_id, kind, body, reply_to, mentions, ruling, audience, media })
}

impl<E: Engine> World<E> {
    /// A node's life that takes over the store.
    pub(crate) fn claim(engine: E, incarnation: u64, shards: u16) -> Self {
        let view = block_on(view::claim(&engine, Incarnation(incarnation), shards)).expect("claimed");
        Self::under(engine, view)
    }

    /// The node that the store's view names, as it stands.
    pub(crate) fn current(engine: E) -> Self {
        let current = block_on(view::current(&engine)).expect("readable").expect("claimed before");
        Self::under(engine, current.view)
    }

    fn under(engine: E, view: View) -> Self {
        let owners: std::collections::BTreeSet<Owner> =
            (0..2_000).map(|id| view.home_of_channel(ChannelId(id))).collect();
        let life = view.owners()[0].incarnation;
        let appenders = owners.into_iter().map(Appender::new).collect();
        Self {
            engine,
            view: Arc::new(view),
            appenders,
            wall: WALL,
            ticket: 0,
            replies: BTreeMap::new(),
            hints: Vec::new(),
            live: Vec::new(),
            feeds: Vec::new(),
            fenced: false,
            life,
        }
    }

    /// Makes the users and the two channels.
    pub(crate) fn populate(&mut self) {
        self.make_users(1..=9);
        assert_eq!(self.run("g.1 makes 2+3; d.1 opens 2"), "made g; made d");
    }

    pub(crate) fn make_users(&self, users: impl IntoIterator<Item = u64>) {
        write(&self.engine, |tx| {
            users
                .into_iter()
                .for_each(|user| tx.set(&keys::user(UserId(user)), &account(&format!("user{user}")).encode()));
        });
    }

    /// What is stored holds the invariants.
    pub(crate) fn holds(&self) -> Checked {
        block_on(check::run(&self.engine, |_| {})).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A page of what a user may read of a channel.
    pub(crate) fn history(
        &self,
        user: u64,
        at: &str,
        window: HistoryWindow,
        limit: u32,
    ) -> Result<HistoryPage, LayerError> {
        let request = History { channel_id: channel(at), window, limit };
        block_on(history::page(&self.engine, UserId(user), &request))
    }

    /// The appender of a channel's home.
    pub(crate) fn home(&mut self, channel: ChannelId) -> &mut Appender {
        let owner = self.view.home_of_channel(channel);
        &mut self.appenders[usize::from(owner.shard.0)]
    }

    /// Runs a script to its end. Replies in the script's own shape.
    pub(crate) fn run(&mut self, script: &str) -> String {
        let batches: Vec<Vec<u64>> = script.split(';').map(|batch| self.run_batch(batch)).collect();
        let batches = batches.iter().map(|tickets| {
            let replies: Vec<String> = tickets.iter().map(|ticket| self.reply(*ticket)).collect();
            replies.join(", ")
        });
        batches.collect::<Vec<_>>().join("; ")
    }

    fn run_batch(&mut self, batch: &str) -> Vec<u64> {
        let ops = batch.split(',').map(str::trim).filter(|op| !op.is_empty());
        let tickets = ops.map(|op| self.push(op)).collect();
        self.drain();
        tickets
    }

    /// Queues one operation.
    pub(crate) fn push(&mut self, op: &str) -> u64 {
        let (channel, op) = parse(op);
        self.push_op(channel, op)
    }

    pub(crate) fn push_op(&mut self, channel: ChannelId, op: ChannelOp) -> u64 {
        self.ticket += 1;
        let ticket = self.ticket;
        let epoch = self.view.epoch;
        self.home(channel).push(ticket, epoch, channel, op);
        ticket
    }

    /// Runs batches until nothing is queued, under the newest view once one has ended. Of those that leave beside each other
    /// the last is the first to end.
    pub(crate) fn drain(&mut self) {
        for shard in 0..self.appenders.len() {
            while !self.appenders[shard].is_idle() {
                loop {
                    let beside: Vec<Batch> = std::iter::from_fn(|| self.next_batch(shard)).collect();
                    if beside.is_empty() {
                        break;
                    }
                    beside.into_iter().rev().for_each(|batch| self.run_one(shard, batch));
                }
                if !self.appenders[shard].is_idle() {
                    self.read_view();
                }
            }
            assert!(self.appenders[shard].is_idle());
            assert_eq!(self.appenders[shard].queued_bytes(), 0);
        }
    }

    /// What a node does whose batch was fenced.
    fn read_view(&mut self) {
        let current = (0..100).find_map(|_| block_on(view::current(&self.engine)).ok()).expect("readable");
        match current.map(|current| current.view).filter(|view| view.member(self.life).is_some()) {
            Some(view) => self.view = Arc::new(view),
            None => self.appenders.iter_mut().for_each(Appender::expel),
        }
    }

    pub(crate) fn next_batch(&mut self, shard: usize) -> Option<Batch> {
        let (view, wall) = (Arc::clone(&self.view), self.wall);
        self.appenders[shard].next_batch(&view, wall)
    }

    pub(crate) fn run_one(&mut self, shard: usize, batch: Batch) {
        let outcome = block_on(batch.run(self.engine.clone()));
        let Finished { replies, hints, live, feeds, fenced } = self.appenders[shard].finished(outcome);
        for (ticket, reply) in replies {
            assert!(self.replies.insert(ticket, reply).is_none(), "one reply for each operation");
        }
        self.hints.extend(hints);
        self.live.extend(live);
        self.feeds.extend(feeds);
        self.fenced |= fenced.is_some();
    }

    pub(crate) fn outcome(&self, ticket: u64) -> Option<&Result<OpReply, Refusal>> {
        self.replies.get(&ticket)
    }

    pub(crate) fn reply(&self, ticket: u64) -> String {
        match self.outcome(ticket) {
            None => "no reply".into(),
            Some(Ok(OpReply::Sent { seq, duplicate: false, .. })) => format!("{seq}"),
            Some(Ok(OpReply::Sent { seq, duplicate: true, .. })) => format!("{seq} again"),
            Some(Ok(OpReply::Marked { read_seq, unread })) => format!("read {read_seq} unread {unread}"),
            Some(Ok(OpReply::Created { channel, existed: false })) => format!("made {}", name(*channel)),
            Some(Ok(OpReply::Created { channel, existed: true })) => format!("existed {}", name(*channel)),
            Some(Ok(OpReply::Changed { changed: true })) => "changed".into(),
            Some(Ok(OpReply::Changed { changed: false })) => "unchanged".into(),
            Some(Ok(OpReply::Revised { revision })) => format!("revision {revision}"),
            Some(Ok(OpReply::Reacted { count })) => format!("count {count}"),
            Some(Ok(OpReply::Told)) => "told".into(),
            Some(Err(refusal)) => u16::from(refusal.code).to_string(),
        }
    }

    /// What was told live, in words: the event, then to whom of which homes.
    pub(crate) fn told_live(&self) -> String {
        let words = self.live.iter().flat_map(|(home, events)| {
            assert!(events.iter().flat_map(|event| &event.users).all(|&user| self.view.home_of_user(user) == *home));
            events.iter().map(live_words)
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// What the feed of a large channel told, in words.
    pub(crate) fn fed(&self, of: &str) -> String {
        let of = channel(of);
        let fed = self.feeds.iter().filter(|(channel, _)| *channel == of);
        let words = fed.flat_map(|(_, bodies)| bodies.iter().map(|body| body_words(of, body)));
        words.collect::<Vec<_>>().join(", ")
    }

    /// A user's whole inbox in words, read in pages of `rows`.
    pub(crate) fn inbox(&self, user: u64, rows: u32) -> String {
        let mut words = Vec::new();
        let mut after = Position::START;
        loop {
            let limits = inbox::InboxLimits { rows, bytes: 1 << 20, at_connect: false };
            let page = block_on(inbox::read(&self.engine, UserId(user), after, 0, limits)).expect("readable");
            let schema::page::InboxPage::Events { events, through, exhausted } = page else { return "behind".into() };
            assert!(events.iter().all(|event| after < event.position && event.position <= through), "I6: {events:?}");
            assert!(through > after || exhausted, "I6: a page moves on from {after}, or is the last");
            words.extend(events.iter().map(event_words));
            after = through;
            if exhausted {
                return words.join(", ");
            }
        }
    }
}

pub(crate) fn event_words(event: &Event) -> String {
    body_words(event.channel, &event.body)
}

fn body_words(channel: ChannelId, body: &EventBody) -> String {
    let channel = name(channel);
    match body {
        EventBody::Message(message) if message.deleted => format!("{channel}{} gone", message.seq),
        EventBody::Message(message) => format!("{channel}{}={}{}", message.seq, message.body, carried(message)),
        EventBody::Edited(message) => format!("{channel}{} edited={}{}", message.seq, message.body, carried(message)),
        EventBody::Deleted { seq, .. } => format!("{channel}{seq} deleted"),
        EventBody::Reaction { seq, emoji, count, on, .. } => {
            format!("{channel}{seq} {}{emoji}{count}", if *on { '+' } else { '-' })
        }
        EventBody::Membership { user, change, .. } => format!("{channel} {change:?} {user}").to_lowercase(),
        EventBody::Read { read_seq, .. } => format!("{channel} read {read_seq}"),
    }
}

/// What a message carries, in words: ` [cat.jpg, report.pdf]`.
pub(crate) fn carried(message: &Message) -> String {
    assert_eq!(message.kind, MessageKind::Text.with(&message.media), "{message:?}");
    let names: Vec<&str> = message.media.iter().map(|media| &*media.name).collect();
    if names.is_empty() { String::new() } else { format!(" [{}]", names.join(", ")) }
}

fn live_words(event: &LiveEvent) -> String {
    let users: Vec<String> = event.users.iter().map(ToString::to_string).collect();
    let (channel, users) = (name(event.channel), users.join("+"));
    match event.body.clone() {
        LiveBody::Published { event, data, open_only } => {
            format!("{channel} {event} {data} to {users}{}", if open_only { " if open" } else { "" })
        }
        LiveBody::Typing { user, on, open_only } => {
            let (on, open) = (if on { "on" } else { "off" }, if open_only { " if open" } else { "" });
            format!("{channel} {user} types {on} to {users}{open}")
        }
        LiveBody::FeedHead { count } => format!("{channel} feed +{count} to {users}"),
        LiveBody::Read { user, read_seq } => format!("{channel} {user} read {read_seq} to {users}"),
        LiveBody::Blocked { by, user, on } => {
            format!("{channel} {by} {} {user} to {users}", if on { "blocks" } else { "unblocks" })
        }
    }
}

pub(crate) fn channel(name: &str) -> ChannelId {
    ChannelId(u64::from(*name.as_bytes().first().expect("a channel's name is a letter")))
}

pub(crate) fn name(channel: ChannelId) -> char {
    char::from(u8::try_from(channel.0).expect("a channel's name is a letter"))
}

fn user(text: &str) -> UserId {
    UserId(text.parse().unwrap_or_else(|_| panic!("{text} is no user")))
}

fn users(text: &str) -> Vec<UserId> {
    text.split('+').map(user).collect()
}

pub(crate) fn parse(text: &str) -> (ChannelId, ChannelOp) {
    let mut words = text.split(' ');
    let who = words.next().expect("who");
    let (at, by) = who.split_once('.').unwrap_or(("g", who));
    let (by, verb, object) = (user(by), words.next().expect("what"), words.next().expect("to what"));
    let rest: Vec<&str> = words.collect();
    let op = match (verb, rest.as_slice()) {
        ("sends", rest) => send(by, object, rest),
        ("starts", []) if object == "feed" => create(ChannelKind::Feed, by, Vec::new(), None),
        ("posts", ["for", audience, rest @ ..]) => post(by, object, audience, rest),
        ("marks", []) => ChannelOp::Mark { user: by, read_seq: Seq(object.parse().expect("a seq")) },
        ("adds", []) => ChannelOp::AddMember { by, user: user(object), role: Role::Member },
        ("adds", ["admin"]) => ChannelOp::AddMember { by, user: user(object), role: Role::Admin },
        ("adds", ["owner"]) => ChannelOp::AddMember { by, user: user(object), role: Role::Owner },
        ("removes", []) => ChannelOp::RemoveMember { by, user: user(object) },
        ("opens", []) => create(ChannelKind::Direct, by, users(object), None),
        ("makes", []) => create(ChannelKind::Group, by, users(object), None),
        ("makes", ["key", key]) => create(ChannelKind::Group, by, users(object), Some((*key).into())),
        ("founds", rest) => found(by, users(object), rest),
        ("edits", ["of", seq, "judged", rest @ ..]) => {
            let mut op = edit(by, object, seq, "0");
            op.set_ruling(Some(ruling(rest)));
            op
        }
        ("edits", ["of", seq]) => edit(by, object, seq, "0"),
        ("edits", ["of", seq, "at", base]) => edit(by, object, seq, base),
        ("deletes", ["of", seq]) => ChannelOp::Delete { by, seq: seq_of(seq), op_id: named(object).0 },
        ("puts", ["on", seq]) => react(by, object, seq, true),
        ("takes", ["off", seq]) => react(by, object, seq, false),
        ("types", []) => ChannelOp::Typing { user: by, on: object == "on" },
        ("publishes", [data]) => ChannelOp::Publish { by, event: object.into(), data: (*data).into() },
        ("titles", []) => ChannelOp::SetTitle { by, title: object.into() },
        ("mutes", []) => ChannelOp::SetMuted { user: by, muted: object == "on" },
        ("blocks", []) => ChannelOp::Block { by, user: user(object), on: true },
        ("unblocks", []) => ChannelOp::Block { by, user: user(object), on: false },
        _ => panic!("{text:?} is no operation"),
    };
    (channel(at), op)
}

fn create(kind: ChannelKind, creator: UserId, members: Vec<UserId>, idempotency_key: Option<Arc<str>>) -> ChannelOp {
    ChannelOp::Create(CreateOp { kind, title: "".into(), creator, members, idempotency_key, past: PastAccess::Joined })
}

fn found(by: UserId, members: Vec<UserId>, rest: &[&str]) -> ChannelOp {
    let past = match rest {
        [] => PastAccess::Joined,
        ["all"] => PastAccess::All,
        _ => panic!("{rest:?}"),
    };
    let (kind, title, creator) = (ChannelKind::Large, "".into(), by);
    ChannelOp::Create(CreateOp { kind, title, creator, members, idempotency_key: None, past })
}

fn edit(by: UserId, object: &str, seq: &str, base: &str) -> ChannelOp {
    let (op_id, body) = named(object);
    let base_revision = base.parse().expect("a revision");
    ChannelOp::Edit(EditOp { by, seq: seq_of(seq), op_id, base_revision, body: body.into(), ruling: None })
}

fn react(by: UserId, object: &str, seq: &str, on: bool) -> ChannelOp {
    let (op_id, emoji) = named(object);
    ChannelOp::React(ReactOp { by, seq: seq_of(seq), op_id, emoji: emoji.parse().expect("an emoji"), on })
}

fn seq_of(text: &str) -> Seq {
    Seq(text.parse().expect("a seq"))
}

/// The id and the text of `id`, `id=text`, `id@days` or `id@days=text`.
fn named(object: &str) -> (ClientMsgId, &str) {
    let (id, text) = object.split_once('=').unwrap_or((object, object.split('@').next().expect("an id")));
    let (name, days) = id.split_once('@').unwrap_or((id, "0"));
    let days: i64 = days.parse().expect("days");
    let made = UnixMs(WALL.0.checked_add_signed(days * DAY_MS.cast_signed()).expect("a day of this age"));
    (ClientMsgId::new(made, name.bytes().fold(0_u128, |hash, byte| hash * 257 + u128::from(byte))), text)
}

fn send(from: UserId, object: &str, rest: &[&str]) -> ChannelOp {
    let (client_msg_id, body) = named(object);
    let (mut reply_to, mut mentions, mut judged) = (None, message::no_mentions(), None);
    let (mut kind, mut media, mut rest) = (MessageKind::Text, Vec::new(), rest);
    if let ["with", named, behind @ ..] = rest {
        kind = MessageKind::Media;
        let named = named.split('+').filter(|&name| name != "none");
        media = named.map(|name| MediaId(name.parse().expect("a media"))).collect();
        rest = behind;
    }
    match rest {
        [] => {}
        ["re", seq] => reply_to = Some(seq_of(seq)),
        ["re", seq, "to", mentioned] => (reply_to, mentions) = (Some(seq_of(seq)), users(mentioned).into()),
        ["to", mentioned] => mentions = users(mentioned).into(),
        ["judged", said @ ..] => judged = Some(ruling(said)),
        _ => panic!("{rest:?}"),
    }
    let (body, ruling, audience) = (body.into(), judged, None);
    ChannelOp::Send(SendOp { from, client_msg_id, kind, body, reply_to, mentions, ruling, audience, media })
}

fn post(from: UserId, object: &str, audience: &str, rest: &[&str]) -> ChannelOp {
    let ChannelOp::Send(mut op) = send(from, object, rest) else { unreachable!("it is one") };
    op.audience = Some(if audience == "public" { Audience::Public } else { Audience::Friends });
    ChannelOp::Send(op)
}

/// What applications said: `no`, `as TEXT`, or `unasked`.
fn ruling(said: &[&str]) -> Ruling {
    match said {
        ["no"] => Ruling::Refuse("be kind".into()),
        ["unasked"] => Ruling::Unasked,
        ["as", text] => Ruling::Change((*text).into()),
        _ => panic!("{said:?}"),
    }
}

/// Whether a refusal is one that a client may repeat.
pub(crate) fn is_temporary(reply: &Result<OpReply, Refusal>) -> bool {
    reply.as_ref().is_err_and(|refusal: &Refusal| ErrorCode::is_temporary(refusal.code))
}

/// What a node proposes that has found everybody else dead: everything for its one shard.
pub(crate) fn alone(me: Incarnation, verdict: &Verdict) -> Proposal {
    let view = View::alone(verdict.epoch, me, 1);
    let (members, owners) = (view.members().to_vec(), view.owners().to_vec());
    Proposal { after: verdict.epoch, members, owners, dead: verdict.dead.clone() }
}

/// Gives partitions to the first shard of a life, which joins if it is not there.
pub(crate) fn give<E: Engine>(engine: &E, partitions: &[Partition], to: u64) {
    let (current, owner) = (block_on(view::current(engine)).expect("readable").expect("claimed").view, first_shard(to));
    let (mut members, mut owners) = (current.members().to_vec(), current.owners().to_vec());
    block_on(view::register(engine, owner.incarnation, &NodeRecord::default())).expect("registered");
    if current.member(owner.incarnation).is_none() {
        let standing = Standing::Home;
        members.push(Member { incarnation: owner.incarnation, shards: 1, weight: 1, standing });
    }
    partitions.iter().for_each(|partition| owners[partition.index()] = owner);
    let proposal = Proposal { after: current.epoch, members, owners, dead: BTreeMap::new() };
    let changed = block_on(view::change(engine, owner.incarnation, &proposal)).expect("answered");
    assert!(changed.is_some(), "nobody else proposes");
}

/// The first shard of a life.
pub(crate) fn first_shard(incarnation: u64) -> Owner {
    Owner { incarnation: Incarnation(incarnation), shard: ShardIndex(0) }
}
