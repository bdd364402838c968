//! Plan of a run: what its seed makes of the world.
//!
//! Each seed draws which hardships it has and how hard each is ("swarm testing"): a run in which everything fails at
//! once hides what one failure alone would show.

use std::ops::RangeInclusive;

use kv::memory::FaultRates;
use schema::limits::{LINK_BYTES_MAX, NODE_LINK_RESEND_BYTES_MAX, NODE_LINK_UNSENT_BYTES_MAX, STORE_TASKS_MAX};

use crate::options::{Options, Workload};
use crate::rng::Rng;

/// How many of a thousand lives of nodes ask applications, where they may.
const ASKED_PERMILLE: u32 = 750;

/// Nodes of a world.
pub const NODES_MAX: usize = 5;
/// Hosts of clients: many clients on few hosts, since a run's cost grows with the square of hosts.
pub const CLIENT_HOSTS: usize = 2;

/// A stretch of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its first millisecond.
    pub from_ms: u64,
    /// The first one after it.
    pub to_ms: u64,
}

impl Span {
    pub(crate) fn contains(self, ms: u64) -> bool {
        (self.from_ms..self.to_ms).contains(&ms)
    }
}

/// A shard that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Its node.
    pub node: usize,
    /// Which of the node's.
    pub shard: u16,
    /// When.
    pub span: Span,
}

/// Who is on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A node's host.
    Node(usize),
    /// A host of clients.
    Clients(usize),
}

/// What is wrong with the network between two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disturbance {
    /// One of them.
    pub from: Place,
    /// The other.
    pub to: Place,
    /// What happens there.
    pub how: How,
    /// When.
    pub span: Span,
}

/// What becomes of what is sent over a network that is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It arrives at the end.
    Held,
    /// It is lost.
    Cut,
    /// It is lost on the way from the first to the second.
    CutOneWay,
}

/// What a seed makes of the world. Printed at the start of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Shards of each node, of which there are one to five.
    pub nodes: Vec<u16>,
    /// The share of the partitions that each is to have, beside the others'.
    pub weights: Vec<u16>,
    /// Whether nodes have links, and work as one; else one serves at a time and the others stand by.
    pub is_linked: bool,
    /// Accounts.
    pub users: usize,
    /// Devices in all, each account having at least one.
    pub devices: usize,
    /// Groups at the start. Every two neighbours share a direct channel.
    pub groups: usize,
    /// Large channels at the start, which their members' devices have open.
    pub larges: usize,
    /// For how long clients are busy and things go wrong.
    pub busy_ms: u64,
    /// Pause between two actions of a device, at most.
    pub pause_ms: u64,
    /// Of 1,000 messages those that are large enough to cut pages.
    pub large_permille: u32,
    /// Of 1,000 actions those that end a connection.
    pub disconnect_permille: u32,
    /// Of 1,000 actions those after which nothing is read for a while.
    pub stall_permille: u32,
    /// Of 1,000 hints to another shard those that are lost.
    pub hint_loss_permille: u32,
    /// Of 1,000 other frames to another shard those that are lost.
    pub mesh_loss_permille: u32,
    /// How long a frame to another shard is under way, at most.
    pub mesh_ms: u64,
    /// How long a store future waits at its start, and now and then where it lets others run, at most.
    pub store_ms: u64,
    /// How long the disk takes for a sync, at most.
    pub sync_ms: u64,
    /// Of 1,000 syncs those that take up to a second.
    pub sync_stall_permille: u32,
    /// What goes wrong in the store.
    pub faults: FaultRates,
    /// Pieces of a stream are at most this long.
    pub piece_bytes: u64,
    /// Which nodes start late, and when.
    pub joins: Vec<(usize, u64)>,
    /// Which nodes' processes are killed, and when.
    pub crashes: Vec<(usize, u64)>,
    /// Which nodes' machines lose power, and when.
    pub power_losses: Vec<(usize, u64)>,
    /// Which nodes are asked to stop, and when.
    pub drains: Vec<(usize, u64)>,
    /// When all nodes are restarted, one after the other.
    pub rolling_ms: Option<u64>,
    /// Which nodes' processes stand still, and when.
    pub pauses: Vec<(usize, Span)>,
    /// Which shards stand still, and when.
    pub shard_stalls: Vec<Stall>,
    /// When the store's machine loses power, or its process is killed.
    pub store_losses: Vec<(bool, Span)>,
    /// When the store answers nothing.
    pub store_away: Vec<Span>,
    /// Which nodes are cut off from the store, and when.
    pub store_cuts: Vec<(usize, Span)>,
    /// What is wrong with the network, and when.
    pub disturbances: Vec<Disturbance>,
    /// Places of a shard's mailbox.
    pub mailbox_places: usize,
    /// Bytes of frames that wait for a full mailbox.
    pub link_bytes: usize,
    /// Bytes that wait for the network between two nodes, on each link.
    pub peer_unsent_bytes: usize,
    /// Bytes of frames that must arrive and are not acknowledged, on each link.
    pub peer_resend_bytes: usize,
    /// Store tasks that a shard has under way.
    pub store_tasks: usize,
    /// How many of a thousand lives of nodes ask applications before they store a message.
    pub asked_permille: u32,
    /// When all nodes end, to begin again 31 days later by the wall, so that inboxes are trimmed behind devices' cursors.
    /// 0 is before the first life.
    pub leap_ms: Option<u64>,
    /// How much of a channel's membership changes: pause between two changes, at most. 0 is never.
    pub membership_ms: u64,
    /// How often devices are revoked, which then sign in again: pause between two, at most. 0 is never.
    pub revoke_ms: u64,
    /// Whether devices watch everybody's presence, and users leave at the end.
    pub watches: bool,
    /// How many ask for such changes, independently.
    pub askers: u16,
}

impl Plan {
    /// What `seed` draws.
    fn draw(seed: u64, workload: Workload) -> Self {
        let rng = &mut Rng::new(seed).part("plan");
        // Fields are drawn in this order.
        let count = match rng.below(100) {
            0..30 if workload != Workload::Cluster => 1,
            0..50 => 2,
            50..80 => 3,
            80..90 => 4,
            _ => NODES_MAX,
        };
        let is_alone = count == 1;
        let users = rng.within(3..=6) as usize;
        let busy_ms = if is_alone { rng.within(5_000..=10_000) } else { rng.within(8_000..=20_000) };
        let nodes: Vec<u16> = (0..count).map(|_| rng.maybe(if is_alone { 900 } else { 500 }, 1..=4) as u16).collect();
        let alone = Self {
            users,
            devices: users + rng.maybe(800, 0..=4) as usize,
            groups: rng.maybe(900, 1..=3) as usize,
            busy_ms,
            pause_ms: [40, 120, 400][rng.maybe(1_000, 0..=2) as usize],
            large_permille: rng.maybe(500, 5..=200) as u32,
            disconnect_permille: rng.maybe(800, 2..=60) as u32,
            stall_permille: rng.maybe(500, 0..=30) as u32,
            hint_loss_permille: rng.maybe(600, 0..=400) as u32,
            mesh_loss_permille: rng.maybe(300, 0..=10) as u32,
            mesh_ms: rng.maybe(800, 0..=20),
            store_ms: rng.maybe(900, 0..=6),
            sync_ms: rng.maybe(800, 2..=60),
            sync_stall_permille: rng.maybe(400, 0..=60) as u32,
            piece_bytes: [40, 300, 1_400, 16_384][rng.maybe(1_000, 0..=3) as usize],
            membership_ms: rng.maybe(800, 0..=1_500),
            faults: match rng.maybe(1_000, 0..=2) {
                0 => FaultRates { yields_max: 2, ..FaultRates::default() },
                1 => FaultRates::HOSTILE,
                _ => FaultRates { unknown_permille: 100, conflict_permille: 100, ..FaultRates::HOSTILE },
            },
            crashes: of_nodes(times(rng, 600, 3, busy_ms), rng, count),
            power_losses: of_nodes(times(rng, 600, 3, busy_ms), rng, count),
            disturbances: of_clients(spans(rng, 500, 3, busy_ms, 50..=3_000), rng, count),
            leap_ms: rng.chance(400).then(|| rng.maybe(700, 0..=busy_ms)),
            watches: rng.chance(400),
            larges: if rng.chance(500) { rng.index(2) + 1 } else { 0 },
            drains: of_nodes(times(rng, 400, 2, busy_ms), rng, count),
            store_away: spans(rng, 300, 1, busy_ms, 100..=4_000),
            pauses: of_nodes(spans(rng, 300, 2, busy_ms, 500..=9_000), rng, count),
            shard_stalls: of_nodes(spans(rng, 500, 4, busy_ms, 20..=1_500), rng, count)
                .into_iter()
                .map(|(node, span)| Stall { node, shard: rng.index(nodes[node].into()) as u16, span })
                .collect(),
            mailbox_places: *rng.pick(&[8, 64, 8_192]),
            link_bytes: *rng.pick(&[2_048, 65_536, LINK_BYTES_MAX as usize]),
            store_tasks: *rng.pick(&[4, 64, STORE_TASKS_MAX as usize]),
            revoke_ms: rng.maybe(300, 0..=4_000),
            askers: 1,
            nodes,
            ..Self::default()
        };
        // Only where a shard has as many store tasks as `BEFORE_WAITING_MAX` is an eighth of: with fewer those that wait for an
        // application would leave the store none.
        let asked_permille = if alone.store_tasks >= STORE_TASKS_MAX as usize { ASKED_PERMILLE } else { 0 };
        let alone = Self { asked_permille, ..alone };
        if is_alone { alone } else { alone.among_others(rng) }
    }

    /// The same with what only several nodes can meet.
    fn among_others(mut self, rng: &mut Rng) -> Self {
        let (count, busy_ms) = (self.nodes.len(), self.busy_ms);
        // The first is there from the beginning.
        let late: Vec<usize> = (1..count).filter(|_| rng.chance(300)).collect();
        let between_nodes = spans(rng, 500, 4, busy_ms, 200..=9_000);
        self.disturbances.extend(between_nodes.into_iter().map(|span| {
            let from = rng.index(count);
            let to = (from + 1 + rng.index(count - 1)) % count;
            Disturbance { from: Place::Node(from), to: Place::Node(to), how: how(rng), span }
        }));
        Self {
            // The first is never without partitions, so that somebody is to have them.
            weights: (0..count)
                .map(|at| if at > 0 && rng.chance(100) { 0 } else { rng.within(1..=4) as u16 })
                .collect(),
            // More than any frame: one that never fits behind others would be asked for again for ever.
            peer_unsent_bytes: *rng.pick(&[1_048_576, NODE_LINK_UNSENT_BYTES_MAX as usize]),
            // The least has room for a frame about all devices. One with a text that finds none is lost with what is under way.
            peer_resend_bytes: *rng.pick(&[2_048, 131_072, NODE_LINK_RESEND_BYTES_MAX as usize]),
            joins: late.into_iter().map(|node| (node, rng.within(500..=busy_ms))).collect(),
            rolling_ms: rng.chance(150).then(|| rng.within(500..=busy_ms / 2)),
            store_cuts: of_nodes(spans(rng, 400, 2, busy_ms, 200..=9_000), rng, count),
            store_losses: spans(rng, 200, 1, busy_ms, 100..=2_000)
                .into_iter()
                .map(|span| (rng.chance(500), span))
                .collect(),
            is_linked: rng.chance(600),
            ..self
        }
    }

    /// What a run is made of.
    #[must_use]
    pub fn of(options: Options) -> Self {
        let drawn = Self::draw(options.seed, options.workload);
        match options.workload {
            Workload::Drawn => drawn,
            Workload::Cluster => Self { is_linked: true, ..drawn },
            Workload::Removals => Self {
                groups: drawn.groups.max(3),
                busy_ms: 10_000,
                pause_ms: 40,
                // Its wall leaps in no life, so that every message that was seen is still compared.
                leap_ms: None,
                membership_ms: 40,
                watches: false,
                askers: 6,
                ..drawn
            },
            Workload::Crowded => {
                let nodes: Vec<u16> = drawn.nodes.iter().map(|&shards| shards.max(2)).collect();
                let shard_stalls = (0..drawn.busy_ms / 500)
                    .map(|at| (at * 500, at as usize / nodes.len(), at as usize % nodes.len()))
                    .map(|(ms, turn, node)| Stall {
                        node,
                        shard: (turn % usize::from(nodes[node])) as u16,
                        span: Span { from_ms: ms, to_ms: ms + 400 },
                    })
                    .collect();
                Self { nodes, shard_stalls, pause_ms: 40, mailbox_places: 4, ..drawn }
            }
        }
    }

    /// One node, to which nothing happens, for this many users and their direct channels.
    pub(crate) fn calm(users: usize) -> Self {
        Self {
            nodes: vec![3],
            users,
            pause_ms: 1,
            mesh_ms: 2,
            store_ms: 1,
            sync_ms: 4,
            piece_bytes: 1_400,
            mailbox_places: 8_192,
            link_bytes: LINK_BYTES_MAX as usize,
            store_tasks: STORE_TASKS_MAX as usize,
            ..Self::default()
        }
    }

    /// Whether the store is in the process of the one node, and ends with it.
    pub(crate) fn is_embedded(&self) -> bool {
        self.nodes.len() == 1
    }
}

/// Some times of a run, ascending, of which there may be none.
fn times(rng: &mut Rng, permille: u32, most: u64, busy_ms: u64) -> Vec<u64> {
    let count = if rng.chance(permille) { rng.within(1..=most) } else { 0 };
    let mut at: Vec<u64> = (0..count).map(|_| rng.within(800..=busy_ms)).collect();
    at.sort_unstable();
    at
}

/// The same, each with its end.
fn spans(rng: &mut Rng, permille: u32, most: u64, busy_ms: u64, long_ms: RangeInclusive<u64>) -> Vec<Span> {
    let times = times(rng, permille, most, busy_ms);
    times.into_iter().map(|from_ms| Span { from_ms, to_ms: from_ms + rng.within(long_ms.clone()) }).collect()
}

/// Whom each of them meets.
fn of_nodes<T>(at: Vec<T>, rng: &mut Rng, nodes: usize) -> Vec<(usize, T)> {
    at.into_iter().map(|at| (rng.index(nodes), at)).collect()
}

/// Each between a host of clients and one node, or all of them.
fn of_clients(spans: Vec<Span>, rng: &mut Rng, nodes: usize) -> Vec<Disturbance> {
    let of_span = |span| {
        let (clients, how) = (Place::Clients(rng.index(CLIENT_HOSTS)), how(rng));
        let met = if rng.chance(500) {
            0..nodes
        } else {
            let one = rng.index(nodes);
            one..one + 1
        };
        met.map(move |node| Disturbance { from: Place::Node(node), to: clients, how, span })
    };
    spans.into_iter().flat_map(of_span).collect()
}

fn how(rng: &mut Rng) -> How {
    *rng.pick(&[How::Held, How::Cut, How::CutOneWay])
}
