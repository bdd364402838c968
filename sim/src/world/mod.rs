//! The world of one run: what outlives the node's life, and what all its parts share.
//!
//! Owns the store's disk, the phase of the run, the rooms that users write to and the evidence. `setup` fills the store,
//! `run` moves the world on.

mod run;
pub(crate) mod setup;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kv::ManualClock;
use kv::memory::{MemoryEngine, MemoryStore};
use schema::op::{ChannelKind, PastAccess};
use schema::{ChannelId, ChannelOp, DeviceId, OpReply, Refusal, UnixMs, UserId};
use tokio::sync::oneshot;

use crate::facts::Facts;
use crate::node::{LEAP_MS, WALL};
use crate::options::{Options, Plan};
use crate::rng::Rng;
use crate::trace::Trace;

pub use run::{Outcome, Violation, run};
pub(crate) use run::{calm, network, panic_message};

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
    /// Nothing goes wrong any more. The same as the phase says, for what has to be `Send`.
    pub(crate) healed: Arc<AtomicBool>,
    /// Whether the store answers nothing.
    pub(crate) store_away: Arc<AtomicBool>,
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
    lives: Cell<u64>,
    /// When a client last heard anything.
    heard_ms: Cell<u64>,
    /// Operations without an answer, by shard.
    pending: RefCell<BTreeMap<u16, u64>>,
}

impl World {
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
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

    pub(crate) fn store_is_away(&self) -> bool {
        self.store_away.load(Ordering::Relaxed)
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

    fn pending(&self) -> u64 {
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
