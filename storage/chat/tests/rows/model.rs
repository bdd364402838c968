//! Random operations of several users under random faults, against a model that knows only what was answered.
//!
//! Draws channels that are made and founded, admins and mentions among the rest. Checks I2 and I6 by the check of the
//! store, I3 (what was acknowledged is in the history, and nothing else is), I4 (what is sent after an acknowledgement
//! has a greater seq), I5 (one seq an id, one revision an edit, one count a reaction), that an inbox in pages of any
//! size is the same, that marks are those answered, and that arrivals tell what inboxes tell.
//! A failing case prints the scripts and the fault seed to run again.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;

use chat::inbox::InboxLimits;
use chat::keys;
use chat::{arrivals, channels, inbox, view};
use futures_lite::future::block_on;
use kv::memory::{FaultRates, MemoryEngine, MemoryStore, SeededFaults};
use kv::{Begin, Engine, Transaction};
use lies::{Lie, LyingEngine};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use schema::command::HistoryWindow;
use schema::limits::CHANNELS_OF_USER_MAX;
use schema::op::{ChannelKind, EditOp};
use schema::page::InboxPage;
use schema::record::{ArrivalEvent, EventRecord, EventRecordBody};
use schema::{
    ChannelId, ChannelOp, Event, EventBody, Incarnation, Message, OpReply, Owner, Position, Seq, ShardIndex, Stamp,
    UserId,
};

use crate::world::{World, channel, is_temporary, open, parse, quiet, store};

const RATES: FaultRates = FaultRates {
    read_permille: 3,
    unavailable_permille: 0,
    conflict_permille: 120,
    refused_permille: 40,
    unknown_permille: 150,
    yields_max: 0,
    cached_lag_max: 3,
};
/// How often one operation is sent again. A fault comes at most every third commit, and a batch has ten attempts.
const RESENDS_MAX: u32 = 20;

/// What appenders are like.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Sound,
    /// Batches leave beside each other.
    Beside,
    /// Reading at versions of their own commits.
    Chained,
    Lied(Lie),
}

/// What a user was answered.
#[derive(Default)]
struct Model {
    /// By channel and id.
    sent: BTreeMap<(ChannelId, String), Seq>,
    /// The first reply to each change of a message, by its words.
    changes: BTreeMap<String, OpReply>,
    /// The newest revision that was answered, by channel and seq.
    revisions: BTreeMap<(ChannelId, Seq), u32>,
    /// The greatest mark by user and channel, by marking or sending.
    marks: BTreeMap<(UserId, ChannelId), Seq>,
}

impl Model {
    /// One operation was answered for good. `newest` is what each channel had acknowledged before it was pushed.
    fn answered(&mut self, words: &str, reply: &OpReply, newest: &BTreeMap<ChannelId, Seq>) {
        let (channel, op) = parse(words);
        match (op, reply) {
            (ChannelOp::Send(op), &OpReply::Sent { seq, duplicate, .. }) => {
                let id = format!("{} {}", op.from, op.client_msg_id);
                let first = self.sent.insert((channel, id), seq);
                assert!(first.is_none_or(|first| first == seq), "I5: {words} has {first:?} and {seq}");
                assert!(first.is_none() || duplicate, "I5: {words} was answered before");
                let before = newest.get(&channel).copied().unwrap_or_default();
                assert!(
                    duplicate || seq > before,
                    "I4: {words} has {seq}, {before} was acknowledged before it was sent"
                );
                self.mark(op.from, channel, seq);
            }
            (ChannelOp::Mark { user, .. }, &OpReply::Marked { read_seq, .. }) => {
                let before = self.marks.get(&(user, channel)).copied().unwrap_or_default();
                assert!(read_seq >= before, "{words} goes back from {before} to {read_seq}");
                self.mark(user, channel, read_seq);
            }
            (ChannelOp::Edit(EditOp { seq, .. }) | ChannelOp::Delete { seq, .. }, &OpReply::Revised { revision }) => {
                let newest = self.revisions.entry((channel, seq)).or_default();
                *newest = revision.max(*newest);
                self.changed(words, reply);
            }
            (ChannelOp::React(_), OpReply::Reacted { .. }) => self.changed(words, reply),
            (ChannelOp::Create(_), OpReply::Created { .. })
            | (ChannelOp::AddMember { .. } | ChannelOp::RemoveMember { .. }, OpReply::Changed { .. }) => {}
            (_, reply) => panic!("{words} was answered {reply:?}"),
        }
    }

    /// A change that is sent again is answered as it was.
    fn changed(&mut self, words: &str, reply: &OpReply) {
        let first = self.changes.entry(words.to_owned()).or_insert_with(|| reply.clone());
        assert_eq!(first, reply, "I5: {words} was answered before");
    }

    fn mark(&mut self, user: UserId, channel: ChannelId, seq: Seq) {
        let mark = self.marks.entry((user, channel)).or_default();
        *mark = seq.max(*mark);
    }

    fn newest(&self) -> BTreeMap<ChannelId, Seq> {
        let mut newest = BTreeMap::new();
        for (&(channel, _), &seq) in &self.sent {
            let last: &mut Seq = newest.entry(channel).or_default();
            *last = seq.max(*last);
        }
        newest
    }
}

/// Runs batches of operations, each sent again until it is answered for good; every tenth life ends by a takeover.
fn run(batches: &[(Vec<String>, bool)], seed: u64, shards: u16, kind: Kind) {
    let store = store();
    let mut life = 10;
    let mut world = claim(&store, seed, life, shards, kind);
    let mut model = Model::default();
    for (number, (batch, takeover)) in (1..).zip(batches) {
        if *takeover {
            life += 1;
            let mut old = std::mem::replace(&mut world, claim(&store, seed + number, life, shards, kind));
            old.engine = world.engine.clone();
            let ticket = old.push("1 sends stale");
            old.drain();
            assert!(is_temporary(old.outcome(ticket).expect("answered")), "I7: a life that was taken over appended");
        }
        let newest = model.newest();
        let mut open: Vec<&String> = batch.iter().collect();
        for _resend in 0..RESENDS_MAX {
            let tickets: Vec<u64> = open.iter().map(|words| world.push(words)).collect();
            world.drain();
            assert!(!world.fenced, "I7: fenced without a takeover");
            let mut again = Vec::new();
            for (words, ticket) in open.into_iter().zip(tickets) {
                match world.outcome(ticket).expect("every operation is answered") {
                    Ok(reply) => model.answered(words, reply, &newest),
                    refused if is_temporary(refused) => again.push(words),
                    Err(_) => {}
                }
            }
            open = again;
        }
        assert!(open.is_empty(), "unanswered after {RESENDS_MAX} sends: {open:?}");
    }
    verify(&World::current(quiet(&store)), &model);
}

fn claim(store: &MemoryStore, seed: u64, life: u64, shards: u16, kind: Kind) -> World<LyingEngine<MemoryEngine>> {
    let faulty = || open(store, SeededFaults::new(seed, RATES));
    // Claims are tried until they are heard to have succeeded, as a node's start is.
    let engine = faulty();
    let view = (0..10).find_map(|_| block_on(view::claim(&engine, Incarnation(life), shards)).ok());
    let world = World::current(LyingEngine::new(quiet(store), None));
    assert_eq!(Some(&*world.view), view.as_ref(), "the claim stands");
    let appenders = world.appenders.into_iter().map(|appender| match kind {
        Kind::Chained => appender.with_chained_reads(),
        Kind::Beside => appender.with_eager_batches(),
        Kind::Sound | Kind::Lied(_) => appender,
    });
    let lie = if let Kind::Lied(lie) = kind { Some(lie) } else { None };
    World { engine: LyingEngine::new(faulty(), lie), appenders: appenders.collect(), ..world }
}

fn verify(world: &World<MemoryEngine>, model: &Model) {
    world.holds();
    // User 1 is in every channel from its beginning, so it sees all there is.
    let mut by_channel: BTreeMap<ChannelId, BTreeMap<Seq, String>> = BTreeMap::new();
    for ((channel, id), seq) in &model.sent {
        let other = by_channel.entry(*channel).or_default().insert(*seq, id.clone());
        assert_eq!(other, None, "I2: two acknowledged ids at {seq}");
    }
    let mut changes = told_changes(world);
    for name in ["g", "d", "x", "l"] {
        let channel = channel(name);
        let mut stored = BTreeMap::new();
        let mut after = Seq::ZERO;
        loop {
            let Ok(page) = world.history(1, name, HistoryWindow::After(after), 7) else { break };
            for message in &page.messages {
                after = message.seq;
                let told = changes.remove(&(channel, message.seq)).unwrap_or_default();
                verify_message(model, message, told, name != "l");
                stored.insert(message.seq, format!("{} {}", message.from, message.client_msg_id));
            }
            if !page.more {
                break;
            }
        }
        assert_eq!(by_channel.remove(&channel).unwrap_or_default(), stored, "I3: what channel {name} holds");
    }
    for user in 1..=5 {
        verify_user(world, model, UserId(user));
    }
}

/// What an inbox told of one message: its revisions, and who has which emoji there.
#[derive(Default)]
struct Changes {
    revisions: Vec<u32>,
    reactions: BTreeMap<String, BTreeSet<UserId>>,
}

/// What user 1 was told of each message. Every reaction changes something, and counts what it leaves.
fn told_changes(world: &World<MemoryEngine>) -> BTreeMap<(ChannelId, Seq), Changes> {
    let mut changes: BTreeMap<(ChannelId, Seq), Changes> = BTreeMap::new();
    let range = keys::inbox_after(UserId(1), Position::START);
    let page = block_on(world.engine.begin(Begin::Fresh).get_range(&range)).expect("readable");
    assert!(!page.more, "all of it");
    for row in &page.rows {
        let EventRecord { channel, body } = EventRecord::decode(&row.value).expect("an event");
        match body {
            EventRecordBody::Edited { seq, revision } => {
                changes.entry((channel, seq)).or_default().revisions.push(revision);
            }
            EventRecordBody::Deleted { seq, revision } => {
                let of = changes.entry((channel, seq)).or_default();
                of.revisions.push(revision);
                of.reactions.clear();
            }
            EventRecordBody::Reaction { seq, emoji, count, user, on } => {
                let of = changes.entry((channel, seq)).or_default();
                let users = of.reactions.entry(emoji.to_string()).or_default();
                let changed = if on { users.insert(user) } else { users.remove(&user) };
                assert!(changed, "I5: {emoji} of {user} at {seq} of {channel} was told twice");
                assert_eq!(users.len(), count as usize, "I5: {emoji} at {seq} of {channel}");
            }
            EventRecordBody::Message { .. } | EventRecordBody::Membership { .. } | EventRecordBody::Read { .. } => {}
        }
    }
    changes
}

/// A message is what was answered of it, and, where inboxes tell it, what they told.
fn verify_message(model: &Model, message: &Message, told: Changes, in_inboxes: bool) {
    let (channel, seq) = (message.channel_id, message.seq);
    let answered = model.revisions.get(&(channel, seq)).copied().unwrap_or_default();
    assert_eq!(message.revision, answered, "I5: the revision of {seq} in {channel}");
    if !in_inboxes {
        return;
    }
    assert_eq!(told.revisions, (1..=answered).collect::<Vec<_>>(), "I6: what became of {seq} in {channel}");
    let shown = message.reactions.iter().map(|tally| (tally.emoji.to_string(), tally.count as usize, tally.mine));
    let told = told.reactions.iter().filter(|(_, users)| !users.is_empty());
    let told = told.map(|(emoji, users)| (emoji.clone(), users.len(), users.contains(&UserId(1))));
    assert_eq!(shown.collect::<BTreeSet<_>>(), told.collect(), "I5: reactions to {seq} in {channel}");
}

/// The user's inbox in pages of any size is the same, its arrivals tell the same, and its marks are those answered.
fn verify_user(world: &World<MemoryEngine>, model: &Model, user: UserId) {
    let [whole, pieces] = [1_000, 3].map(|rows| {
        let mut told = Vec::new();
        let mut after = Position::START;
        loop {
            let limits = InboxLimits { rows, bytes: 1 << 30, at_connect: false };
            let page = block_on(inbox::read(&world.engine, user, after, 0, limits)).expect("readable");
            let InboxPage::Events { events, through, exhausted } = page else { panic!("behind") };
            told.extend(events);
            after = through;
            if exhausted {
                return told;
            }
        }
    });
    assert_eq!(whole, pieces, "I6: pages of one inbox");
    let home = world.view.home_of_user(user);
    let arrived: Vec<_> = arrivals_of(world, home, user);
    let since = arrived.first().map_or(Position::end_of(u64::MAX), |event: &Event| event.position);
    let recent: Vec<_> = whole.iter().filter(|event| event.position >= since).cloned().collect();
    assert_eq!(arrived, recent, "I6: arrivals under this epoch and the inbox of {user}");
    let listed = block_on(channels::list(&world.engine, user, None, CHANNELS_OF_USER_MAX)).expect("readable");
    for summary in listed.channels {
        let acknowledged = model.marks.get(&(user, summary.id)).copied().unwrap_or_default();
        assert_eq!(summary.read_seq, acknowledged, "the mark of {user} in {}", summary.id);
        if summary.record.kind == ChannelKind::Large {
            let is_membership =
                |event: &&Event| matches!(event.body, EventBody::Membership { .. } | EventBody::Read { .. });
            let told = whole.iter().filter(|event| event.channel == summary.id);
            assert!(told.clone().count() > 0 && told.clone().all(|event| is_membership(&event)), "of a large channel");
            continue;
        }
        let messages = whole.iter().filter(|event| event.channel == summary.id);
        let mut last = messages.filter_map(|event| match &event.body {
            EventBody::Message(message) => Some(message.seq),
            EventBody::Edited(_)
            | EventBody::Deleted { .. }
            | EventBody::Reaction { .. }
            | EventBody::Membership { .. }
            | EventBody::Read { .. } => None,
        });
        let seen = summary.head.seq > summary.joined_after;
        assert_eq!(last.next_back() == Some(summary.head.seq), seen, "I6: the newest of {} for {user}", summary.id);
    }
}

fn arrivals_of(world: &World<MemoryEngine>, home: Owner, user: UserId) -> Vec<Event> {
    let mut told = Vec::new();
    let mut after = Stamp::default();
    let none = BTreeSet::new();
    loop {
        let page = block_on(arrivals::read(&world.engine, home, after, 0, &none, 2)).expect("readable");
        for row in &page.rows {
            let contents = row.contents.as_ref().expect("none were had");
            let mine = |arrival: &ArrivalEvent| row.record.audiences[usize::from(arrival.audience)].contains(&user);
            let events = row.record.events.iter().zip(contents).filter(|(arrival, _)| mine(arrival));
            told.extend(events.map(|(_, event)| event.clone()));
        }
        after = page.through;
        if !page.more {
            return told;
        }
    }
}

fn operations() -> impl Strategy<Value = String> {
    let at = prop_oneof![4 => Just("g"), 3 => Just("d"), 3 => Just("x"), 2 => Just("l")];
    let who = prop_oneof![3 => Just(1_u64), 3 => Just(2), 2 => Just(3), 1 => Just(4), 1 => Just(5)];
    let other = 2..6_u64;
    (at, who, other, 0..40_u32, 0..140_u32).prop_map(|(at, who, other, id, what)| match what {
        0..60 => format!("{at}.{who} sends i{id}"),
        60..75 => format!("{at}.{who} marks {}", id % 12),
        75..84 => format!("{at}.1 adds {other}"),
        84..86 => format!("{at}.1 adds {other} admin"),
        86..92 => format!("{at}.1 removes {other}"),
        92..95 => format!("{at}.{other} removes {other}"),
        95..97 => "x.1 makes 2+4".into(),
        97..100 => "l.1 founds 2+3".into(),
        100..112 => format!("{at}.{who} edits e{id} of {} at {}", id % 7 + 1, id % 2),
        112..116 => format!("{at}.{who} deletes d{id} of {}", id % 7 + 1),
        116..128 => format!("{at}.{who} puts p{id}={} on {}", ["👍", "❤️"][id as usize % 2], id % 5 + 1),
        128..136 => format!("{at}.{who} takes t{id}={} off {}", ["👍", "❤️"][id as usize % 2], id % 5 + 1),
        _ => format!("{at}.{who} sends i{id} to 1"),
    })
}

fn batches() -> impl Strategy<Value = Vec<(Vec<String>, bool)>> {
    prop::collection::vec((prop::collection::vec(operations(), 1..8), prop::bool::weighted(0.08)), 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_answered_is_what_is_stored(batches in batches(), seed in 0..u64::MAX / 2, shards in 1..4_u16) {
        run(&batches, seed, shards, Kind::Sound);
    }

    #[test]
    fn what_was_answered_by_batches_beside_each_other_is_what_is_stored(
        batches in batches(), seed in 0..u64::MAX / 2, shards in 1..4_u16,
    ) {
        run(&batches, seed, shards, Kind::Beside);
    }

    #[test]
    fn what_was_answered_from_chained_reads_is_what_is_stored(
        batches in batches(), seed in 0..u64::MAX / 2, shards in 1..4_u16,
    ) {
        run(&batches, seed, shards, Kind::Chained);
    }
}

#[test]
fn the_model_finds_lies_of_the_engine() {
    for lie in [Lie::SeqInMemory, Lie::UnknownIsFailure] {
        let mut runner = TestRunner::deterministic();
        let found = (0..40).any(|seed| {
            let batches = batches().new_tree(&mut runner).expect("a case").current();
            catch_unwind(|| run(&batches, seed, 1, Kind::Lied(lie))).is_err()
        });
        assert!(found, "{lie:?} is not found in 40 cases");
    }
}

#[test]
fn a_home_is_one_of_the_views_shards() {
    let world = claim(&store(), 1, 10, 3, Kind::Sound);
    let homes: BTreeSet<Owner> = (1..=9).map(|user| world.view.home_of_user(UserId(user))).collect();
    assert!(
        homes.iter().all(|home| home.shard < ShardIndex(3)) && homes.len() > 1,
        "users of several homes: {homes:?}"
    );
}
