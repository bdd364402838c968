//! Options of a run that its seed decides, and the bugs that can be planted in it.
//!
//! Each seed draws which hardships it has and how hard each is ("swarm testing"): a run in which everything fails at
//! once hides what one failure alone would show.

use std::ops::RangeInclusive;

use clap::ValueEnum;
use kv::memory::FaultRates;
use lies::Lie;
use schema::limits::{LINK_BYTES_MAX, STORE_TASKS_MAX};

use crate::rng::Rng;

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Everything that happens follows from it.
    pub seed: u64,
    /// What there is most of.
    pub workload: Workload,
    /// A bug to be caught.
    pub planted: Option<Planted>,
    /// Whether every line of the trace is printed as it happens.
    pub trace: bool,
}

/// What there is most of in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Workload {
    /// Whatever the seed draws.
    #[default]
    Drawn,
    /// Members who are removed from groups and added again all the time, while others write there.
    Removals,
}

/// A bug planted to prove that a checker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Planted {
    /// The store answers a commit before it is durable (I3).
    AcknowledgeBeforeDurable,
    /// A page of an inbox that is cut claims to reach the end (I6).
    CursorAheadOfUnreadRow,
    /// Seqs are counted in memory, so an attempt that fails leaves a hole (I2).
    SeqInMemory,
    /// A commit whose result is unknown counts as failed (I5).
    UnknownIsFailure,
    /// The API acknowledges a removal before anybody has carried it out (I10).
    RemovalAcknowledgedEarly,
    /// The node forgets one answer of a hundred (I12).
    AnswerForgotten,
    /// A node from which another has taken over goes on (I12).
    FencedGoesOn,
    /// A shard's mailbox that was full once is not tried again (I12).
    FullMailboxForever,
    /// A frame that found a shard's mailbox full is overtaken by the next one (I4).
    FullMailboxOvertaken,
}

impl Planted {
    /// What the engine lies about, if that has the effect.
    pub(crate) fn lie(self) -> Option<Lie> {
        match self {
            Self::CursorAheadOfUnreadRow => Some(Lie::CursorAheadOfUnreadRow),
            Self::SeqInMemory => Some(Lie::SeqInMemory),
            Self::UnknownIsFailure => Some(Lie::UnknownIsFailure),
            Self::AcknowledgeBeforeDurable
            | Self::RemovalAcknowledgedEarly
            | Self::AnswerForgotten
            | Self::FencedGoesOn
            | Self::FullMailboxForever
            | Self::FullMailboxOvertaken => None,
        }
    }
}

impl Options {
    /// A run of `seed` as it should be.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self { seed, workload: Workload::Drawn, planted: None, trace: false }
    }

    /// The command that repeats this run.
    #[must_use]
    pub fn command(&self) -> String {
        let workload = Some(self.workload).filter(|workload| *workload != Workload::default());
        let flags = flag("workload", workload) + &flag("planted", self.planted);
        format!("cargo run --release -p sim -- --seed {}{flags}", self.seed)
    }
}

/// A flag of the command line and its value, behind a space; nothing where it is not given.
pub(crate) fn flag(name: &str, value: Option<impl ValueEnum>) -> String {
    let value = value.and_then(|value| value.to_possible_value());
    value.map(|value| format!(" --{name} {}", value.get_name())).unwrap_or_default()
}

/// What a seed makes of the world. Printed at the start of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Shards of the node.
    pub shards: u16,
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
    /// When the node's process is killed.
    pub crashes_ms: Vec<u64>,
    /// When the machine loses power.
    pub power_losses_ms: Vec<u64>,
    /// When the node is asked to stop.
    pub drains_ms: Vec<u64>,
    /// When another node takes over.
    pub takeovers_ms: Vec<u64>,
    /// When the store answers nothing, and until when.
    pub store_away_ms: Vec<(u64, u64)>,
    /// Which shards stand still, from when until when.
    pub shard_stalls: Vec<(u16, u64, u64)>,
    /// Places of a shard's mailbox.
    pub mailbox_places: usize,
    /// Bytes of frames that wait for a full mailbox.
    pub link_bytes: usize,
    /// Store tasks that a shard has under way.
    pub store_tasks: usize,
    /// When a host's link holds everything back, and until when.
    pub holds_ms: Vec<(u64, u64)>,
    /// From this life of the node on the wall is 31 days later, so that inboxes are trimmed behind devices' cursors. 0
    /// is never.
    pub leap_life: u64,
    /// How much of a channel's membership changes: pause between two changes, at most. 0 is never.
    pub membership_ms: u64,
    /// Whether devices watch everybody's presence, and users leave at the end.
    pub watches: bool,
    /// How many ask for such changes, independently.
    pub askers: u16,
}

impl Plan {
    /// What `seed` draws.
    fn draw(seed: u64) -> Self {
        let rng = &mut Rng::new(seed).part("plan");
        // Fields are drawn in this order.
        let users = rng.within(3..=6) as usize;
        let busy_ms = rng.within(5_000..=10_000);
        let shards = rng.maybe(900, 1..=4) as u16;
        Self {
            shards,
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
            crashes_ms: times(rng, 600, 3, busy_ms),
            power_losses_ms: times(rng, 600, 3, busy_ms),
            holds_ms: spans(rng, 500, 3, busy_ms, 50..=3_000),
            leap_life: if rng.chance(400) { rng.within(1..=3) } else { 0 },
            watches: rng.chance(400),
            larges: if rng.chance(500) { rng.index(2) + 1 } else { 0 },
            drains_ms: times(rng, 400, 2, busy_ms),
            takeovers_ms: times(rng, 400, 2, busy_ms),
            store_away_ms: spans(rng, 300, 1, busy_ms, 100..=4_000),
            shard_stalls: spans(rng, 500, 4, busy_ms, 20..=1_500)
                .into_iter()
                .map(|(from, to)| (rng.index(shards.into()) as u16, from, to))
                .collect(),
            mailbox_places: *rng.pick(&[8, 64, 8_192]),
            link_bytes: *rng.pick(&[2_048, 65_536, LINK_BYTES_MAX as usize]),
            store_tasks: *rng.pick(&[4, 64, STORE_TASKS_MAX as usize]),
            askers: 1,
        }
    }

    /// What a run is made of.
    #[must_use]
    pub fn of(options: Options) -> Self {
        let drawn = Self::draw(options.seed);
        match options.workload {
            Workload::Drawn => drawn,
            Workload::Removals => Self {
                groups: drawn.groups.max(3),
                busy_ms: 10_000,
                pause_ms: 40,
                // Its wall leaps in no life, so that every message that was seen is still compared.
                leap_life: 0,
                membership_ms: 40,
                watches: false,
                askers: 6,
                ..drawn
            },
        }
    }

    /// Nothing goes wrong, for this many users and their direct channels.
    pub(crate) fn calm(users: usize) -> Self {
        Self {
            shards: 3,
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
}

/// Some times of a run, ascending, of which there may be none.
fn times(rng: &mut Rng, permille: u32, most: u64, busy_ms: u64) -> Vec<u64> {
    let count = if rng.chance(permille) { rng.within(1..=most) } else { 0 };
    let mut at: Vec<u64> = (0..count).map(|_| rng.within(800..=busy_ms)).collect();
    at.sort_unstable();
    at
}

/// The same, each with its end.
fn spans(rng: &mut Rng, permille: u32, most: u64, busy_ms: u64, long_ms: RangeInclusive<u64>) -> Vec<(u64, u64)> {
    let times = times(rng, permille, most, busy_ms);
    times.into_iter().map(|at| (at, at + rng.within(long_ms.clone()))).collect()
}
