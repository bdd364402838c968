//! Random histories, indexed at random moments under random faults: a search finds what a look at every message finds.
//!
//! Messages come in bursts of one time, so that pages end among equals; edits and deletions are written as the appender
//! writes them; members come and go. A failing case prints the steps and the seed of the faults to run again.

use std::collections::{BTreeMap, BTreeSet};

use chat::keys;
use chat::{LayerError, search};
use futures_lite::future::block_on;
use kv::memory::{FaultRates, MemoryEngine, MemoryStore, SeededFaults};
use kv::{Begin, Engine, Transaction};
use proptest::prelude::*;
use schema::command::{Search, SearchHit};
use schema::record::{BodyRecord, MemberRecord, MessageRecord};
use schema::{ChannelId, ClientMsgId, MessagePlace, Seq, UnixMs, UserId};

use crate::world::{self, World, channel, open, quiet, store};

const RATES: FaultRates = FaultRates {
    read_permille: 2,
    unavailable_permille: 0,
    conflict_permille: 100,
    refused_permille: 30,
    unknown_permille: 150,
    yields_max: 0,
    cached_lag_max: 0,
};
#[rustfmt::skip]
const WORDS: [&str; 14] = [
    "점심", "심", "점심시간", "시간", "간", "회의", "회의실", "lunch", "Lunch", "meeting", "room", "2026", "네", "ㅋㅋ",
];

#[derive(Debug, Clone)]
enum Step {
    /// A user says so many things at one time.
    Say {
        at: &'static str,
        from: u64,
        words: Vec<usize>,
        times: usize,
    },
    /// A message, counted from the newest, has other words.
    Edit {
        at: &'static str,
        back: u64,
        words: Vec<usize>,
    },
    Delete {
        at: &'static str,
        back: u64,
    },
    /// A group's owner adds or removes another.
    Member {
        user: u64,
        joins: bool,
    },
    /// So many calls of the indexer.
    Index {
        at: &'static str,
        calls: usize,
    },
    Look {
        user: u64,
        words: Vec<usize>,
        limit: u32,
        at: Option<&'static str>,
        from: Option<u64>,
        back_ms: Option<u64>,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || prop_oneof![3 => Just("g"), 1 => Just("d")];
    let words = |most| prop::collection::vec(0..WORDS.len(), 1..=most);
    let say = (at(), 1..4_u64, words(4), prop_oneof![3 => 1..4_usize, 1 => 20..140_usize])
        .prop_map(|(at, from, words, times)| Step::Say { at, from, words, times });
    let edit = (at(), 0..200_u64, words(3)).prop_map(|(at, back, words)| Step::Edit { at, back, words });
    let delete = (at(), 0..200_u64).prop_map(|(at, back)| Step::Delete { at, back });
    let member = (3..6_u64, any::<bool>()).prop_map(|(user, joins)| Step::Member { user, joins });
    let index = (at(), 1..4_usize).prop_map(|(at, calls)| Step::Index { at, calls });
    let narrowed = (prop::option::of(at()), prop::option::of(1..4_u64), prop::option::of(0..12_u64));
    let look = (1..6_u64, words(2), 1..30_u32, narrowed)
        .prop_map(|(user, words, limit, (at, from, back_ms))| Step::Look { user, words, limit, at, from, back_ms });
    prop::collection::vec(prop_oneof![5 => say, 2 => edit, 1 => delete, 1 => member, 4 => index, 5 => look], 1..40)
}

/// A message as the model knows it.
#[derive(Debug, Clone)]
struct Said {
    sent_ms: UnixMs,
    from: UserId,
    /// None of one that was deleted.
    words: Option<Vec<usize>>,
}

struct Run {
    world: World<MemoryEngine>,
    store: MemoryStore,
    seed: u64,
    said: BTreeMap<(ChannelId, Seq), Said>,
    heads: BTreeMap<ChannelId, Seq>,
    /// Edited, and not indexed for certain.
    pending: BTreeSet<ChannelId>,
}

fn run(steps: &[Step], seed: u64) {
    let store = store();
    let world = World::current(quiet(&store));
    let mut run = Run { world, store, seed, said: BTreeMap::new(), heads: BTreeMap::new(), pending: BTreeSet::new() };
    for step in steps {
        run.step(step);
    }
    run.quiet();
    for at in ["g", "d"] {
        run.world.index(at);
    }
    run.pending.clear();
    for user in 1..6 {
        for word in 0..WORDS.len() {
            let look = Step::Look { user, words: vec![word], limit: 50, at: None, from: None, back_ms: None };
            run.step(&look);
        }
    }
}

impl Run {
    fn head(&self, channel: ChannelId) -> Seq {
        self.heads.get(&channel).copied().unwrap_or_default()
    }

    fn quiet(&mut self) -> MemoryEngine {
        let engine = quiet(&self.store);
        self.world.engine = engine.clone();
        engine
    }

    fn faulty(&mut self) -> MemoryEngine {
        self.seed += 1;
        open(&self.store, SeededFaults::new(self.seed, RATES))
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Say { at, from, words, times } => self.say(channel(at), UserId(*from), words, *times),
            Step::Edit { at, back, words } => self.revise(channel(at), *back, Some(words)),
            Step::Delete { at, back } => self.revise(channel(at), *back, None),
            Step::Member { user, joins } => {
                self.quiet();
                self.world.run(&format!("1 {} {user}", if *joins { "adds" } else { "removes" }));
            }
            Step::Index { at, calls } => {
                let engine = self.faulty();
                for _call in 0..*calls {
                    match block_on(search::advance(&engine, channel(at))) {
                        Ok(indexed) => {
                            assert_eq!(indexed.head, self.head(channel(at)));
                            if !indexed.more {
                                self.pending.remove(&channel(at));
                            }
                        }
                        Err(LayerError::Store(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                let engine = self.quiet();
                block_on(search::verify(&engine, channel(at))).expect("the index has what it says it has");
            }
            Step::Look { user, words, limit, at, from, back_ms } => {
                let query: Vec<&str> = words.iter().map(|word| WORDS[*word]).collect();
                let before_ms = back_ms.map(|back_ms| UnixMs(self.world.wall.0 - back_ms));
                let (channel_id, from) = (at.map(channel), from.map(UserId));
                let request =
                    Search { query: query.join(" "), channel_id, from, before_ms, limit: *limit, cursor: None };
                self.look(UserId(*user), words, &request);
            }
        }
    }

    fn say(&mut self, at: ChannelId, from: UserId, words: &[usize], times: usize) {
        self.quiet();
        self.world.wall = UnixMs(self.world.wall.0 + 1);
        let sent_ms = self.world.wall;
        for _time in 0..times {
            let id = ClientMsgId::new(sent_ms, u128::from(self.world.ticket));
            self.world.push_op(at, world::text(from.0, id, text(words)));
        }
        let last = self.world.ticket;
        self.world.drain();
        if self.world.outcome(last).is_some_and(Result::is_ok) {
            for _time in 0..times {
                let seq = self.head(at).next();
                self.heads.insert(at, seq);
                self.said.insert((at, seq), Said { sent_ms, from, words: Some(words.to_vec()) });
            }
        }
    }

    /// Edits or deletes, as the appender does.
    fn revise(&mut self, at: ChannelId, back: u64, words: Option<&Vec<usize>>) {
        let Some(seq) = self.head(at).0.checked_sub(back).filter(|seq| *seq > 0).map(Seq) else { return };
        let said = self.said.get_mut(&(at, seq)).expect("below the head");
        said.words = words.filter(|_| said.words.is_some()).cloned();
        let words = said.words.clone();
        let (engine, key) = (self.quiet(), keys::message(at, seq));
        let row = block_on(engine.begin(Begin::Fresh).get(&key)).expect("readable").expect("below the head");
        let record = MessageRecord::decode(&row).expect("a message");
        let body = BodyRecord::Inline(words.as_deref().map(text).unwrap_or_default().into());
        let record = MessageRecord { revision: record.revision + 1, deleted: words.is_none(), body, ..record };
        world::write(&engine, |tx| {
            tx.set(&key, &record.encode());
            tx.set(&keys::edited(at, seq), b"");
        });
        self.pending.insert(at);
    }

    /// What a look at every message finds, newest first; `None` where the user never was in the channel asked for.
    fn expected(&mut self, user: UserId, words: &[usize], request: &Search) -> Option<Vec<MessagePlace>> {
        let tx = self.quiet().begin(Begin::Fresh);
        let mut found = Vec::new();
        for at in ["g", "d"].map(channel) {
            let rows = [keys::member(at, user), keys::former(at, user)];
            let [member, former] = rows.map(|key| block_on(tx.get(&key)).expect("readable"));
            let row = member.or(former);
            if request.channel_id == Some(at) && row.is_none() {
                return None;
            }
            let ranges = row.map(|row| MemberRecord::decode(&row).expect("a member").ranges).unwrap_or_default();
            for ((_, seq), said) in self.said.range((at, Seq::ZERO)..=(at, Seq(u64::MAX))) {
                let seen =
                    ranges.iter().any(|range| *seq > range.after && range.through.is_none_or(|last| *seq <= last));
                let asked = request.channel_id.is_none_or(|channel| channel == at)
                    && request.from.is_none_or(|from| from == said.from)
                    && request.before_ms.is_none_or(|before| said.sent_ms < before);
                let has = |said: &Vec<usize>| words.iter().all(|word| said.iter().any(|said| holds(*said, *word)));
                if seen && asked && said.words.as_ref().is_some_and(has) {
                    found.push(MessagePlace { sent_ms: said.sent_ms, channel_id: at, seq: *seq });
                }
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        Some(found)
    }

    /// Looks at page after page, all of which together are what is expected, each once.
    fn look(&mut self, user: UserId, words: &[usize], request: &Search) {
        let expected = self.expected(user, words, request);
        let engine = self.faulty();
        let (mut seen, mut request) = (Vec::new(), request.clone());
        loop {
            let page = match block_on(search::query(&engine, user, &request)) {
                Ok(found) => found.page,
                Err(LayerError::Store(_)) => return,
                Err(LayerError::Refused(refusal)) => {
                    assert_eq!((u16::from(refusal.code), &expected), (102, &None), "{request:?} of {user}");
                    return;
                }
                Err(error) => panic!("{error}"),
            };
            let expected = expected.as_ref().unwrap_or_else(|| panic!("{user} was never in {:?}", request.channel_id));
            let limit = request.limit as usize;
            let place =
                |hit: &SearchHit| MessagePlace { sent_ms: hit.sent_ms, channel_id: hit.channel_id, seq: hit.seq };
            let hits: Vec<_> = page.hits.iter().map(place).collect();
            let shown = format!("{request:?} of {user} found {hits:?}, more {}, of {expected:?}", page.more);
            assert!(hits.len() <= limit && page.more == page.cursor.is_some(), "{shown}");
            assert!(hits.iter().all(|hit| expected.contains(hit)), "a stale hit: {shown}");
            // An edit that is not indexed may lack.
            if self.pending.is_empty() {
                let rest = &expected[seen.len()..];
                assert_eq!(page.more, rest.len() > hits.len(), "{shown}");
                assert!(rest.starts_with(&hits), "{shown}");
                let ends_a_time =
                    |count: usize| rest.get(count).is_none_or(|next| next.sent_ms < rest[count - 1].sent_ms);
                let full = hits.len() == limit.min(rest.len());
                let is_first = request.cursor.is_none();
                assert!(full || is_first && ends_a_time(hits.len()) && !ends_a_time(limit), "{shown}");
            }
            seen.extend(hits);
            assert!(seen.is_sorted_by(|one, other| one > other), "a hit twice: {shown}");
            match page.cursor {
                Some(cursor) => request.cursor = Some(cursor),
                None => return,
            }
        }
    }
}

fn text(words: &[usize]) -> String {
    words.iter().map(|word| WORDS[*word]).collect::<Vec<_>>().join(" ")
}

/// Whether a word of a text has what is looked for: a word is itself, Korean is found within.
fn holds(said: usize, wanted: usize) -> bool {
    let (said, wanted) = (WORDS[said], WORDS[wanted]);
    if wanted.is_ascii() { said.eq_ignore_ascii_case(wanted) } else { said.contains(wanted) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_a_look_at_every_message_finds(steps in steps(), seed in 0..u64::MAX / 2) {
        run(&steps, seed);
    }
}
