//! State of a run's posts: who there is, the bounds of timelines, and what was answered.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chat::timelines::{Active, Limits};
use chat::{accounts, people};
use futures_lite::future::block_on;
use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore};
use schema::record::UserRecord;
use schema::{ChannelId, Seq, UnixMs, UserId};

use crate::rng::Rng;
use crate::world::WALL;

/// How much faster days pass for readers than the world's clock: 144 ms are a day.
const DAYS_FACTOR: u64 = 600_000;

/// A post or a reply.
pub(super) type PostPlace = (ChannelId, Seq);

/// See the module.
pub(in super::super) struct Posts {
    pub(super) people: Vec<UserId>,
    pub(super) limits: Limits,
    /// People who still wait for an answer.
    pub(in super::super) busy: Cell<usize>,
    /// What each life knows of readers.
    active: RefCell<BTreeMap<u64, Rc<Active>>>,
    /// What was deleted, once that was answered.
    pub(super) deleted: RefCell<BTreeSet<PostPlace>>,
    pub(super) over: Cell<bool>,
}

impl Posts {
    /// The time by which readers' days pass.
    pub(super) fn wall(&self, now_ms: u64) -> UnixMs {
        WALL.plus_ms(now_ms * DAYS_FACTOR)
    }

    /// What the life of this number knows of readers, which ends with it.
    pub(super) fn active(&self, life: u64) -> Rc<Active> {
        Rc::clone(self.active.borrow_mut().entry(life).or_default())
    }
}

/// The people of a world at its start, before anything goes wrong: some of them friends, some of them public.
pub(in super::super) fn start(store: &MemoryStore, rng: &mut Rng) -> Posts {
    let engine = MemoryEngine::open(store, MemoryOptions::default());
    let people: Vec<UserId> = (0..rng.within(3..=8)).map(|_| UserId::new(WALL, rng.bits())).collect();
    for (number, &user) in people.iter().enumerate() {
        let record = UserRecord {
            username: format!("author.{number}"),
            display_name: format!("Author {number}"),
            created_ms: WALL,
            public: rng.chance(600),
            ..UserRecord::default()
        };
        let made = block_on(accounts::create_user(&engine, user, &record, None)).expect("nothing goes wrong yet");
        assert_eq!(made, accounts::SignUp::Created, "users are distinct");
    }
    let befriended = rng.maybe(700, 100..=900) as u32;
    for (at, &one) in people.iter().enumerate() {
        for &other in &people[at + 1..] {
            if rng.chance(befriended) {
                for (user, other) in [(one, other), (other, one)] {
                    block_on(people::put_friend(&engine, user, other, WALL)).expect("nothing goes wrong yet");
                }
            }
        }
    }
    let limits = Limits {
        step_readers: rng.within(1..=4) as u32,
        read_fanout_from: if rng.chance(500) { rng.within(1..=4) } else { 1_000 },
        heavy_max: rng.within(1..=3) as u32,
        dormant_days: if rng.chance(600) { rng.within(1..=3) as u32 } else { 1_000 },
        backfill_posts: rng.within(1..=5) as u32,
        rebuilt_rows: rng.within(1..=8) as u32,
        rows_max: rng.within(1..=12) as u32,
        kept_days: if rng.chance(500) { rng.within(1..=4) as u32 } else { 1_000 },
        kept_rows: 0,
    };
    Posts {
        people,
        limits,
        busy: Cell::new(0),
        active: RefCell::default(),
        deleted: RefCell::default(),
        over: Cell::new(false),
    }
}
