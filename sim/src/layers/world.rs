//! The world of one run of the storage layers: what outlives nodes, and what all parts share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use kv::ManualClock;
use kv::memory::{Durability, MemoryEngine, MemoryOptions, MemoryStore};
use lies::{Lie, LyingEngine};
use schema::record::ArrivalRecord;
use schema::{ChannelId, Epoch, Incarnation, Owner, Stamp, UnixMs, UserId};

use crate::counts::Done;
use crate::facts::Facts;
use crate::faults::{DrawnFaults, FaultState};
use crate::rng::Rng;
use crate::trace::{Trace, note};
use crate::world::setup::{Size, Start, fill};
use crate::world::{Room, WALL};

use super::homes::Home;
use super::hooks::state::{self as hooks, Hooks};
use super::life::Life;
use super::notices::start;
use super::notices::state::Notices;
use super::options::{Broken, Options, Plan};
use super::posts::state::{self as posts, Posts};
use super::tasks::Tasks;
use super::views::Views;

/// The engine of one process, which may lie.
pub(super) type Engine = LyingEngine<MemoryEngine>;

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
    /// The database, of which each life is a client.
    engine: RefCell<Engine>,
    openings: Cell<u64>,
    pub(super) users: Vec<UserId>,
    pub(super) rooms: Vec<Room>,
    /// In some worlds users are notified.
    pub(super) notices: Option<Notices>,
    /// In some worlds applications have webhooks.
    pub(super) hooks: Option<Hooks>,
    /// In some worlds users post.
    pub(super) posts: Option<Posts>,
    pub(super) facts: RefCell<Facts>,
    pub(super) done: RefCell<Done>,
    pub(super) phase: Cell<Phase>,
    /// Lives that have not ended, whether they know their end or not.
    lives: RefCell<BTreeMap<Incarnation, Rc<Life>>>,
    pub(super) born: Cell<u64>,
    pub(super) views: RefCell<Views>,
    /// Transactions that were told of, and under which epoch their batches were accepted.
    pub(super) commits: RefCell<Vec<(Epoch, Stamp)>>,
    /// The homes of all lives, also of those that are over.
    pub(super) homes: RefCell<BTreeMap<Owner, Home>>,
    /// What lives had left when it was adopted.
    pub(super) adopted: RefCell<BTreeMap<(Owner, Stamp), ArrivalRecord>>,
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
        let (rng, plan) = (Rng::new(options.seed), Plan::of(&options));
        let size = Size { users: plan.users, groups: plan.groups, larges: plan.larges };
        let Start { store, users, rooms } = fill(&size, &mut rng.part("setup"));
        let trace = Trace::new(options.trace);
        note!(trace, "seed {}, chained reads: {}, {plan:?}", options.seed, options.is_chained());
        let clock: Arc<ManualClock> = Arc::default();
        let notices = options.has_notices().then(|| start::begin(&store, &users, &rooms, &mut rng.part("notices")));
        let hooks = options.has_hooks().then(|| hooks::start(&store, &rooms, &mut rng.part("hooks")));
        let posts = options.has_posts().then(|| posts::start(&store, &mut rng.part("posts")));
        let world = Self {
            options,
            notices,
            hooks,
            posts,
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
            lives: RefCell::default(),
            born: Cell::new(1),
            views: RefCell::default(),
            commits: RefCell::default(),
            homes: RefCell::default(),
            adopted: RefCell::default(),
            marks: RefCell::default(),
            busy_devices: Cell::new(0),
            readers: Cell::new(0),
            last_version: Cell::new(0),
            plan,
        };
        world.open();
        world
    }

    /// The database begins, with faults of its own.
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

    /// The database itself, which has the newest version at hand.
    pub(super) fn engine(&self) -> Engine {
        self.engine.borrow().clone()
    }

    /// The database as a new process has it.
    pub(super) fn client(&self) -> Engine {
        let engine = self.engine.borrow();
        engine.over(engine.inner().client())
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

    pub(super) fn is_broken(&self, broken: Broken) -> bool {
        self.options.broken == Some(broken)
    }

    /// A life that has not ended.
    pub(super) fn life(&self, incarnation: Incarnation) -> Option<Rc<Life>> {
        self.lives.borrow().get(&incarnation).cloned()
    }

    /// All that have not ended, by number.
    pub(super) fn lives(&self) -> Vec<Rc<Life>> {
        let mut lives: Vec<_> = self.lives.borrow().values().cloned().collect();
        lives.sort_by_key(|life| life.number);
        lives
    }

    /// Those that are in the newest view that anybody knows of, and take clients.
    pub(super) fn members(&self) -> Vec<Rc<Life>> {
        let views = self.views.borrow();
        let is_member = |life: &Rc<Life>| {
            views.newest().is_some_and(|view| view.member(life.incarnation).is_some()) && !life.is_out()
        };
        self.lives().into_iter().filter(is_member).collect()
    }

    pub(super) fn is_born(&self, life: &Rc<Life>) {
        self.lives.borrow_mut().insert(life.incarnation, Rc::clone(life));
    }

    pub(super) fn has_ended(&self, life: &Life) {
        self.lives.borrow_mut().remove(&life.incarnation);
    }

    /// The channels that a user was put into at the start.
    pub(super) fn rooms_of(&self, user: UserId) -> Vec<&Room> {
        self.rooms.iter().filter(|room| room.members.contains(&user)).collect()
    }
}
