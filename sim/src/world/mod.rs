//! The world of one run: what outlives the nodes' lives, and what all its parts share.
//!
//! Owns the store's machine, the phase of the run, the rooms that users write to and the evidence. `setup` fills the
//! store, `nodes` is what is known of each node. Names nobody who lives in it: [`run`](mod@crate::run) puts nodes and
//! devices there, and moves it on.

mod nodes;
pub(crate) mod setup;
mod store;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use schema::op::{ChannelKind, PastAccess};
use schema::{ChannelId, ChannelOp, DeviceId, OpReply, Refusal, UnixMs, UserId, View};
use tokio::sync::oneshot;

use crate::counts::Met;
use crate::facts::Facts;
use crate::faults::FaultState;
use crate::options::{Options, Planted};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::trace::{Trace, note};

use setup::{Size, Start};
use store::StoreMachine;

pub(crate) use nodes::{HOSTS, Node};
pub(crate) use store::Opened;

/// When every run begins, on the wall.
pub(crate) const WALL: UnixMs = UnixMs(1_800_000_000_000);
/// How far the wall leaps, if it does: beyond the days that inboxes and first replies are kept.
const LEAP_MS: u64 = 31 * 24 * 3600 * 1000;

/// How long one user is forgotten, if that is planted: longer than any device may come on with nothing.
const FORGOTTEN_MS: u64 = 40_000;
/// When nothing that went wrong is felt any more.
pub(crate) const WELL_AFTER_MS: u64 = 10_000;

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

/// See the module.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) plan: Plan,
    pub(crate) trace: Trace,
    /// Where the parts' draws are forked from.
    pub(crate) rng: Rng,
    pub(crate) store: StoreMachine,
    pub(crate) nodes: Vec<Node>,
    pub(crate) users: Vec<UserId>,
    pub(crate) rooms: RefCell<Vec<Room>>,
    pub(crate) facts: RefCell<Facts>,
    /// What scenarios ask of the API, one at a time.
    pub(crate) requests: RefCell<VecDeque<Request>>,
    /// Whether anything goes wrong. The same as the phase says, for what has to be `Send`.
    pub(crate) faults: Arc<FaultState>,
    /// The newest view that any node went by.
    view: RefCell<Option<Arc<View>>>,
    /// Whether the wall has leapt.
    pub(crate) leapt: Cell<bool>,
    pub(crate) met: RefCell<Met>,
    /// Frames that found no room, and batches that were fenced, by life and shard.
    pub(crate) of_shards: RefCell<BTreeMap<(u64, u16), (u64, u64)>>,
    phase: Cell<Phase>,
    /// When things went wrong for the last time.
    pub(crate) healed_ms: Cell<Option<u64>>,
    /// How long after that all was as if nothing had (I13).
    pub(crate) well_ms: Cell<Option<u64>>,
    /// Whether a frame was lost on its way to another shard of its node that is asked for again only after a while.
    pub(crate) has_lost: Cell<bool>,
    /// Lives of nodes that have begun.
    pub(crate) lives: Cell<u64>,
    /// When a client last heard anything.
    pub(crate) heard_ms: Cell<u64>,
}

impl World {
    pub(crate) fn new(options: Options, plan: Plan) -> Self {
        let rng = Rng::new(options.seed);
        let size = Size { users: plan.users, groups: plan.groups, larges: plan.larges };
        let Start { store, users, rooms } = setup::fill(&size, &mut rng.part("setup"));
        let trace = Trace::new(options.trace);
        note!(trace, "seed {} {plan:?}", options.seed);
        let starts = |at: usize| plan.joins.iter().all(|join| join.0 != at);
        let world = Self {
            store: StoreMachine::new(store, rng.part("disk")),
            nodes: (0..plan.nodes.len()).map(|at| Node::new(HOSTS[at], starts(at))).collect(),
            leapt: Cell::new(plan.leap_ms == Some(0)),
            options,
            plan,
            trace,
            rng,
            users,
            rooms: RefCell::new(rooms),
            facts: RefCell::default(),
            requests: RefCell::default(),
            faults: Arc::default(),
            view: RefCell::default(),
            met: RefCell::default(),
            of_shards: RefCell::default(),
            phase: Cell::new(Phase::Busy),
            healed_ms: Cell::default(),
            has_lost: Cell::default(),
            well_ms: Cell::default(),
            lives: Cell::default(),
            heard_ms: Cell::default(),
        };
        world.start_store();
        world
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
        self.facts.borrow_mut().debts.begin();
        self.healed_ms.set(Some(self.trace.now_ms()));
        self.set_phase(Phase::Settling);
    }

    /// Whether things go wrong now.
    pub(crate) fn is_hostile(&self) -> bool {
        self.phase() == Phase::Busy
    }

    /// Whether nothing goes wrong any more and nodes have had their time to notice: one that ended shortly before has
    /// others wait for its lease (I13).
    pub(crate) fn is_well(&self) -> bool {
        let grace_ms = if self.plan.is_embedded() { 0 } else { WELL_AFTER_MS };
        self.healed_ms.get().is_some_and(|healed_ms| self.trace.now_ms() >= healed_ms + grace_ms)
    }

    /// Whether a planted bug keeps one user's sessions from what comes next, and the others busy.
    pub(crate) fn is_one_forgotten(&self) -> bool {
        let is_soon = |healed_ms| self.trace.now_ms() < healed_ms + FORGOTTEN_MS;
        self.options.planted == Some(Planted::OneIsForgotten) && self.healed_ms.get().is_some_and(is_soon)
    }

    /// A client heard something.
    pub(crate) fn heard(&self) {
        self.heard_ms.set(self.trace.now_ms());
    }

    /// The wall when the run began, as nodes see it now.
    pub(crate) fn wall_at_zero(&self) -> UnixMs {
        WALL.plus_ms(if self.leapt.get() { LEAP_MS } else { 0 })
    }

    /// The wall now, as nodes tell their clients.
    pub(crate) fn wall(&self) -> UnixMs {
        self.wall_at_zero().plus_ms(self.trace.now_ms())
    }

    /// The store's process begins, or begins again.
    pub(crate) fn start_store(&self) {
        self.store.start(&self.options, &self.plan, &self.faults);
    }

    /// A millisecond has passed for what is on no host.
    pub(crate) fn step(&self) {
        self.store.step(&self.trace, &self.plan, self.is_hostile());
    }

    /// The number of a node's next life, from 1 over all nodes.
    pub(crate) fn begin_life(&self, at: usize) -> u64 {
        let life = self.lives.get() + 1;
        self.lives.set(life);
        self.nodes[at].begin_life(life);
        self.facts.borrow_mut().life_began(life);
        life
    }

    /// The present life of a node is over, or was killed.
    pub(crate) fn end_life(&self, at: usize) {
        if let Some(life) = self.nodes[at].end_life() {
            self.facts.borrow_mut().life_ended(life);
        }
    }

    /// A node goes by a view.
    pub(crate) fn saw_view(&self, view: &Arc<View>) {
        let mut newest = self.view.borrow_mut();
        if newest.as_ref().is_some_and(|newest| newest.epoch >= view.epoch) {
            return;
        }
        let mut met = self.met.borrow_mut();
        met.views += 1;
        if let Some(old) = newest.replace(Arc::clone(view)) {
            met.moves += old.owners().iter().zip(view.owners()).filter(|(one, other)| one != other).count() as u64;
            let gone = old.members().iter().map(|member| member.incarnation);
            let taken = gone.filter(|&node| view.member(node).is_none() && old.owned_by(node) > 0);
            met.takeovers += taken.count() as u64;
        }
    }

    /// For how long a shard stands still from now, if the plan says so.
    pub(crate) fn stall_ms(&self, node: usize, shard: u16) -> Option<u64> {
        let now_ms = self.trace.now_ms();
        let mut stalls = self.plan.shard_stalls.iter().filter(|stall| (stall.node, stall.shard) == (node, shard));
        stalls.find(|stall| stall.span.contains(now_ms)).map(|stall| stall.span.to_ms - now_ms)
    }

    /// Operations that the shards of the present lives have not answered.
    pub(crate) fn pending(&self) -> u64 {
        self.nodes.iter().map(Node::pending).sum()
    }

    /// A node's host for a client: mostly one that takes clients, as discovery says.
    pub(crate) fn any_host(&self, rng: &mut Rng) -> &'static str {
        let serving: Vec<&Node> = self.nodes.iter().filter(|node| node.serves.get()).collect();
        if serving.is_empty() || rng.chance(100) { rng.pick(&self.nodes).host } else { rng.pick(&serving).host }
    }

    /// The name of a device.
    pub(crate) fn device(number: usize) -> DeviceId {
        format!("device-{number}").parse().expect("a legal name")
    }

    /// Whose it is.
    pub(crate) fn user_of_device(&self, number: usize) -> UserId {
        self.users[number % self.users.len()]
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
