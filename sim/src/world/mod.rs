//! The world of one run: what outlives the node's life, and what all its parts share.
//!
//! Owns the store's disk, the phase of the run, the rooms that users write to and the evidence. `setup` fills the
//! store. Names nobody who lives in it: [`run`](mod@crate::run) puts nodes and devices there, and moves it on.

pub(crate) mod setup;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kv::ManualClock;
use kv::memory::{MemoryEngine, MemoryStore};
use schema::op::{ChannelKind, PastAccess};
use schema::{ChannelId, ChannelOp, DeviceId, OpReply, Refusal, UnixMs, UserId};
use tokio::sync::oneshot;

use crate::facts::Facts;
use crate::faults::FaultState;
use crate::options::{Options, Plan};
use crate::rng::Rng;
use crate::trace::{Trace, note};

use setup::{Size, Start};

/// When every run begins, on the wall.
pub(crate) const WALL: UnixMs = UnixMs(1_800_000_000_000);
/// How far the wall leaps, if it does: beyond the days that inboxes and first replies are kept.
const LEAP_MS: u64 = 31 * 24 * 3600 * 1000;
/// The node's name on the simulated network.
pub(crate) const NODE: &str = "node";
/// The host from which another node takes over, and is taken over.
pub(crate) const SPARE: &str = "spare";

/// What is happening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Clients act, and things go wrong.
    Busy,
    /// Nothing goes wrong any more, and clients finish what they began.
    Settling,
    /// Nobody does anything, so that only what is armed can still happen (I12).
    Quiet,
    /// Some users go for good and some for a moment, as their presence should show.
    Leaving,
    /// Everybody goes.
    Over,
}

/// A channel that users write to.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) id: ChannelId,
    pub(crate) kind: ChannelKind,
    pub(crate) past: PastAccess,
    /// At the start; the first made it and never leaves.
    pub(crate) members: Vec<UserId>,
}

/// What the API is asked for, and who waits for its answer.
pub(crate) enum Request {
    Operate(ChannelId, ChannelOp, oneshot::Sender<Result<OpReply, Refusal>>),
    /// A user's device is to end.
    Revoke(UserId, DeviceId, oneshot::Sender<Result<(), Refusal>>),
}

/// Hardships that a run has met, beside those that its plan shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Met {
    /// Lives of nodes that another has taken over from.
    pub fenced: u64,
    /// Times that a frame found a shard's mailbox full.
    pub held_back: u64,
    /// Frames that found no room to wait either, by life and shard.
    pub dropped: BTreeMap<(u64, u16), u64>,
}

/// See the module.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    /// Where the parts' draws are forked from.
    pub(crate) rng: Rng,
    pub(crate) store: MemoryStore,
    pub(crate) store_clock: Arc<ManualClock>,
    pub(crate) users: Vec<UserId>,
    pub(crate) rooms: RefCell<Vec<Room>>,
    pub(crate) facts: RefCell<Facts>,
    /// What scenarios ask of the API, one at a time.
    pub(crate) requests: RefCell<VecDeque<Request>>,
    /// Whether anything goes wrong. The same as the phase says, for what has to be `Send`.
    pub(crate) faults: Arc<FaultState>,
    /// The store's engine, while it is open.
    pub(crate) engine: RefCell<Option<MemoryEngine>>,
    /// The host on which a node may live, or that has been told to take over.
    pub(crate) called: Cell<&'static str>,
    /// The host whose node serves: where discovery sends clients.
    pub(crate) serving: Cell<&'static str>,
    pub(crate) met: RefCell<Met>,
    /// The life that was asked to stop.
    drains: Cell<Option<u64>>,
    phase: Cell<Phase>,
    /// Lives of the node that have begun.
    pub(crate) lives: Cell<u64>,
    /// When a client last heard anything.
    pub(crate) heard_ms: Cell<u64>,
    /// Operations without an answer, by shard.
    pending: RefCell<BTreeMap<u16, u64>>,
}

impl World {
    pub(crate) fn new(options: Options, plan: Plan) -> Self {
        let rng = Rng::new(options.seed);
        let size = Size { users: plan.users, groups: plan.groups, larges: plan.larges };
        let Start { store, users, rooms } = setup::fill(&size, &mut rng.part("setup"));
        let trace = Trace::new(options.trace);
        note!(trace, "seed {} {plan:?}", options.seed);
        Self {
            options,
            plan,
            trace,
            rng,
            store,
            store_clock: Arc::default(),
            users,
            rooms: RefCell::new(rooms),
            facts: RefCell::default(),
            requests: RefCell::default(),
            faults: Arc::default(),
            engine: RefCell::default(),
            called: Cell::new(NODE),
            serving: Cell::new(NODE),
            met: RefCell::default(),
            drains: Cell::default(),
            phase: Cell::new(Phase::Busy),
            lives: Cell::default(),
            heard_ms: Cell::default(),
            pending: RefCell::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.faults.heal();
        self.set_phase(Phase::Settling);
    }

    /// Whether things go wrong now.
    pub(crate) fn is_hostile(&self) -> bool {
        self.phase() == Phase::Busy
    }

    /// A client heard something.
    pub(crate) fn heard(&self) {
        self.heard_ms.set(self.trace.now_ms());
    }

    /// The wall when the run began, as the node's present life sees it.
    pub(crate) fn wall_at_zero(&self) -> UnixMs {
        let leapt = self.plan.leap_life != 0 && self.lives.get() >= self.plan.leap_life;
        WALL.plus_ms(if leapt { LEAP_MS } else { 0 })
    }

    /// The wall now, as a node tells its clients: that of its present life, or of the last.
    pub(crate) fn wall(&self) -> UnixMs {
        self.wall_at_zero().plus_ms(self.trace.now_ms())
    }

    /// The number of the node's next life, from 1.
    pub(crate) fn begin_life(&self) -> u64 {
        self.pending.borrow_mut().clear();
        self.lives.set(self.lives.get() + 1);
        self.lives.get()
    }

    /// What the shards of the newest life wait for. Earlier ones may be going on, and are over for whoever judges.
    pub(crate) fn set_pending(&self, life: u64, shard: u16, operations: u64) {
        if life == self.lives.get() {
            self.pending.borrow_mut().insert(shard, operations);
        }
    }

    /// The newest life is to stop, as by a signal.
    pub(crate) fn ask_to_drain(&self) {
        self.drains.set(Some(self.lives.get()));
    }

    pub(crate) fn is_asked_to_drain(&self, life: u64) -> bool {
        self.drains.get() == Some(life)
    }

    /// The processes that had the store open have ended, as by `kill -9`.
    pub(crate) fn crash_store(&self) {
        self.engine.take();
        self.store.crash();
    }

    /// For how long a shard stands still from now, if the plan says so.
    pub(crate) fn stall_ms(&self, shard: u16) -> Option<u64> {
        let now_ms = self.trace.now_ms();
        let mut stalls = self.plan.shard_stalls.iter().filter(|stall| stall.0 == shard);
        stalls.find(|&&(_, from_ms, to_ms)| (from_ms..to_ms).contains(&now_ms)).map(|&(_, _, to_ms)| to_ms - now_ms)
    }

    /// Operations that the shards of the newest life have not answered.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.borrow().values().sum()
    }

    /// Large channels in which a user is at the start.
    pub(crate) fn larges_of(&self, user: UserId) -> Vec<ChannelId> {
        let rooms = self.rooms.borrow();
        let own = rooms.iter().filter(|room| room.kind == ChannelKind::Large && room.members.contains(&user));
        own.map(|room| room.id).collect()
    }

    /// A channel that the user is in, or, sometimes, one that it may not be in.
    pub(crate) fn any_room_of(&self, user: UserId, rng: &mut Rng) -> Option<ChannelId> {
        let rooms = self.rooms.borrow();
        let is_stranger = rng.chance(30);
        let own: Vec<ChannelId> =
            rooms.iter().filter(|room| is_stranger || room.members.contains(&user)).map(|room| room.id).collect();
        (!own.is_empty()).then(|| *rng.pick(&own))
    }
}
