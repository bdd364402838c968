//! State of a run's webhooks: which there are, how the server that they call fares, and what it took.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use chat::hooks::{self, Hook, Told, ToldBody};
use chat::keys;
use futures_lite::future::block_on;
use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore};
use kv::{Begin, Engine as _, Transaction as _};
use schema::hook::{HookKind, channel_kind_bit};
use schema::op::ChannelKind;
use schema::record::{EventRecord, HeadRecord, HookRecord};
use schema::{ChannelId, Position, Seq};

use crate::rng::Rng;
use crate::world::{Room, WALL};

/// See the module.
pub(in super::super) struct Hooks {
    pub(super) hooks: Vec<Hook>,
    /// What happened at this version and before is told to none.
    pub(super) since: u64,
    /// The seqs that channels had come to by then.
    pub(super) heads: BTreeMap<ChannelId, Seq>,
    pub(super) rates: Rates,
    pub(super) taken: RefCell<BTreeMap<u64, Taken>>,
    /// Lanes that are being told, by life, so that one life tells each by one task.
    pub(super) busy: RefCell<BTreeSet<(u64, u64, u16)>>,
    pub(super) over: Cell<bool>,
}

/// How the server that is called fares, until all is well.
pub(super) struct Rates {
    /// How long a call takes, at most.
    pub(super) answer_ms: u64,
    /// Of 1,000 calls those that are not taken.
    pub(super) refused_permille: u32,
    /// Of 1,000 calls that are taken those whose answer is lost.
    pub(super) lost_permille: u32,
    /// Of 1,000 calls those that take a hundred times as long.
    pub(super) slow_permille: u32,
}

/// What the server took for one hook.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Places of what it has had.
    places: BTreeSet<(u16, Position)>,
    /// What it took for the first time, in its order: of which lane, where, and what.
    pub(super) events: Vec<(u16, Position, EventRecord)>,
}

impl Taken {
    pub(super) fn take(&mut self, partition: u16, told: &[Told]) {
        for told in told {
            let ToldBody::Channel { event, .. } = &told.body else { continue };
            if self.places.insert((partition, told.position)) {
                self.events.push((partition, told.position, event.clone()));
            }
        }
    }
}

/// The hooks of a world at its start, before anything goes wrong: of everything; of groups' messages; of one channel.
pub(in super::super) fn start(store: &MemoryStore, rooms: &[Room], rng: &mut Rng) -> Hooks {
    let engine = MemoryEngine::open(store, MemoryOptions::default());
    let all = HookKind::ALL.iter().map(|kind| kind.bit()).sum();
    let mut wanted = vec![(all, 0, Vec::new())];
    if rng.chance(500) {
        wanted.push((HookKind::MessageSent.bit(), channel_kind_bit(ChannelKind::Group), Vec::new()));
    }
    if rng.chance(500) {
        wanted.push((all, 0, vec![rng.pick(rooms).id]));
    }
    let make = |(id, (events, kinds, channels)): (u64, (u64, u32, Vec<ChannelId>))| {
        let record = HookRecord {
            app: 9,
            url: "https://hooks.example.com/".into(),
            secret: "whsec_c2VjcmV0".into(),
            events,
            kinds,
            channels,
            created_ms: WALL,
            ..HookRecord::default()
        };
        block_on(hooks::create(&engine, id, &record)).expect("nothing goes wrong yet").expect("it is the first")
    };
    let hooks = (1..).zip(wanted).map(make).collect();
    let head = |room: &Room| {
        let row = block_on(engine.begin(Begin::Fresh).get(&keys::head(room.id))).expect("nothing goes wrong yet");
        (room.id, row.map_or(Seq::ZERO, |row| HeadRecord::decode(&row).expect("a head").seq))
    };
    let heads = rooms.iter().map(head).collect();
    let since = block_on(engine.begin(Begin::Fresh).read_version()).expect("nothing goes wrong yet").0;
    let rates = Rates {
        answer_ms: rng.maybe(800, 1..=20),
        refused_permille: rng.maybe(600, 1..=400) as u32,
        lost_permille: rng.maybe(600, 1..=300) as u32,
        slow_permille: rng.maybe(400, 1..=50) as u32,
    };
    Hooks { hooks, since, heads, rates, taken: RefCell::default(), busy: RefCell::default(), over: Cell::new(false) }
}
