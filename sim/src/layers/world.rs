//! The world of one run of the storage layers: what outlives nodes, and what all parts share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use kv::ManualClock;
use kv::memory::{Durability, MemoryEngine, MemoryOptions, MemoryStore};
use lies::{Lie, LyingEngine};
use schema::record::ArrivalRecord;
use schema::{ChannelId, Epoch, Owner, Stamp, UnixMs, UserId};

use crate::counts::Done;
use crate::facts::Facts;
use crate::faults::{DrawnFaults, FaultState};
use crate::rng::Rng;
use crate::trace::{Trace, note};
use crate::world::setup::{Size, Start, fill};
use crate::world::{Room, WALL};

use super::life::Life;
use super::options::{Broken, Options, Plan};
use super::tasks::Tasks;

/// What is happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Clients act, and things go wrong.
    Busy,
    /// Nothing goes wrong any more, and clients finish what they began.
    Settling,
    /// Everybody has finished.
    Over,
}

/// What one home shard read of its arrivals.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// Up to where.
    pub(super) through: Stamp,
    pub(super) rows: Vec<(Stamp, ArrivalRecord)>,
}

/// See the module.
pub(super) struct World {
    pub(super) options: Options,
    pub(super) plan: Plan,
    pub(super) trace: Trace,
    /// Where the parts' draws are forked from.
    pub(super) rng: Rng,
    pub(super) tasks: Tasks,
    pub(super) clock: Arc<ManualClock>,
    pub(super) faults: Arc<FaultState>,
    pub(super) store: MemoryStore,
    engine: RefCell<LyingEngine<MemoryEngine>>,
    openings: Cell<u64>,
    pub(super) users: Vec<UserId>,
    pub(super) rooms: Vec<Room>,
    pub(super) facts: RefCell<Facts>,
    pub(super) done: RefCell<Done>,
    pub(super) phase: Cell<Phase>,
    pub(super) lives: Cell<u64>,
    /// The life that clients connect to: that of the newest view that its taker knows of.
    active: RefCell<Option<Rc<Life>>>,
    /// A version that is no older than the view of each epoch, as its taker read it.
    pub(super) epochs: RefCell<BTreeMap<Epoch, u64>>,
    /// When the taker of each epoch knew that it had it, in polls of the run.
    pub(super) taken_over: RefCell<BTreeMap<Epoch, u64>>,
    /// Transactions that were told of, and under which epoch their batches were accepted.
    pub(super) commits: RefCell<Vec<(Epoch, Stamp)>>,
    pub(super) arrived: RefCell<BTreeMap<Owner, Arrived>>,
    /// The greatest mark that was answered.
    pub(super) marks: RefCell<BTreeMap<(UserId, ChannelId), schema::Seq>>,
    /// Devices that have something to ask, and those that have not read all of their inbox.
    pub(super) busy_devices: Cell<usize>,
    pub(super) readers: Cell<usize>,
    /// The store's last version, once it has one.
    pub(super) last_version: Cell<u64>,
}

impl World {
    pub(super) fn new(options: Options) -> Self {
        let (rng, plan) = (Rng::new(options.seed), Plan::draw(options.seed));
        let size = Size { users: plan.users, groups: plan.groups, larges: plan.larges };
        let Start { store, users, rooms } = fill(&size, &mut rng.part("setup"));
        let trace = Trace::new(options.trace);
        note!(trace, "seed {}, chained reads: {}, {plan:?}", options.seed, options.is_chained());
        let clock: Arc<ManualClock> = Arc::default();
        let world = Self {
            options,
            trace,
            tasks: Tasks::new(rng.part("tasks"), Arc::clone(&clock)),
            rng,
            clock,
            faults: Arc::default(),
            engine: RefCell::new(LyingEngine::new(MemoryEngine::open(&store, MemoryOptions::default()), None)),
            store,
            openings: Cell::new(0),
            users,
            rooms,
            facts: RefCell::default(),
            done: RefCell::default(),
            phase: Cell::new(Phase::Busy),
            lives: Cell::new(1),
            active: RefCell::new(None),
            epochs: RefCell::default(),
            taken_over: RefCell::default(),
            commits: RefCell::default(),
            arrived: RefCell::default(),
            marks: RefCell::default(),
            busy_devices: Cell::new(0),
            readers: Cell::new(0),
            last_version: Cell::new(0),
            plan,
        };
        world.open();
        world
    }

    /// A process opens the store, with faults of its own.
    pub(super) fn open(&self) {
        self.openings.set(self.openings.get() + 1);
        let seed = self.rng.part(&format!("faults {}", self.openings.get())).bits();
        let stepped = self.options.broken.map_or(Durability::Stepped, Broken::durability);
        let has_syncs = self.plan.sync_ms > 0;
        let options = MemoryOptions {
            clock: Arc::clone(&self.clock) as Arc<dyn kv::Clock>,
            durability: if has_syncs { stepped } else { Durability::Immediate },
            faults: Box::new(DrawnFaults::new(seed, self.plan.faults, &self.faults)),
            ..MemoryOptions::default()
        };
        let lie = self.options.broken.and_then(Broken::lie).filter(|lie| *lie != Lie::ReadAboveDurable || has_syncs);
        self.engine.replace(LyingEngine::new(MemoryEngine::open(&self.store, options), lie));
    }

    pub(super) fn engine(&self) -> LyingEngine<MemoryEngine> {
        self.engine.borrow().clone()
    }

    /// Something happened.
    pub(super) fn note(&self, what: std::fmt::Arguments<'_>) {
        self.trace.set_now_ms(self.tasks.now_ms());
        self.trace.line(what);
    }

    pub(super) fn wall(&self) -> UnixMs {
        WALL.plus_ms(self.tasks.now_ms())
    }

    pub(super) fn is_busy(&self) -> bool {
        self.phase.get() == Phase::Busy
    }

    /// The life that a client finds, if one takes clients.
    pub(super) fn active(&self) -> Option<Rc<Life>> {
        self.active.borrow().clone().filter(|life| !life.is_out())
    }

    /// The life that took over last, whether it takes clients or not.
    pub(super) fn last_active(&self) -> Option<Rc<Life>> {
        self.active.borrow().clone()
    }

    /// A life has taken over, unless another has since.
    pub(super) fn set_active(&self, life: &Rc<Life>) {
        let mut active = self.active.borrow_mut();
        if active.as_ref().is_none_or(|other| other.epoch() < life.epoch()) {
            *active = Some(Rc::clone(life));
        }
    }

    /// The channels that a user was put into at the start.
    pub(super) fn rooms_of(&self, user: UserId) -> Vec<&Room> {
        self.rooms.iter().filter(|room| room.members.contains(&user)).collect()
    }
}
