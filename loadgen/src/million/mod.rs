//! `loadgen million`: as many sessions as one machine holds, on a cluster of its own.
//!
//! Owns the order: what the machine has, the cluster, accounts, sessions, quiet, talk, a message to sessions drawn at random,
//! and that everything it started is gone in the end.

mod cluster;
mod needs;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use schema::{ChannelId, Encoding, UserId};

use self::cluster::{Cluster, Programs};
use self::needs::{Machine, Plan, Wanted, gigabytes};
use crate::api::Api;
use crate::cli::MillionArgs;
use crate::crowd::protocol::{Order, Room, Setup};
use crate::fleet::Fleet;
use crate::fleet::recording::Recording;
use crate::fleet::target::follow_while;
use crate::interrupt::Interrupt;
use crate::machine;
use crate::parallel::in_parallel;
use crate::process::Usage;
use crate::report::{Cpu, Load, MillionReport, Report, SessionMemory as Memory, Watch};
use crate::status::Status;
use crate::token::Signer;

/// Nodes whose ports fit between the first and where the system takes its own from.
const NODES_MAX: u16 = 250;
/// How long tokens have to be good for.
const SPAN: Duration = Duration::from_secs(6 * 3600);
/// How long sessions may take to be there, all together, and how long messages may be on their way.
const OPENING_MAX: Duration = Duration::from_secs(3 * 3600);
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// How long what was begun for connections may take until memory is read.
const REST: Duration = Duration::from_secs(3);
/// Characters of a message.
const SIZE: u32 = 64;

/// The phases.
pub(crate) const OPENING: &str = "opening";
const RESTING: &str = "resting";
pub(crate) const WATCHING: &str = "watching";
const RESTING_AGAIN: &str = "resting again";
pub(crate) const QUIET: &str = "quiet";
pub(crate) const TALK: &str = "talk";
pub(crate) const PROBES: &str = "probes";

/// What was used at some moment.
struct Used {
    nodes: Usage,
    store: Usage,
    workers: Usage,
    kernel_bytes: u64,
}

/// Carries the run out.
pub(crate) fn run(args: &MillionArgs) -> anyhow::Result<Report> {
    let interrupt = Interrupt::install()?;
    ensure!(
        args.watch.is_none_or(|watched| watched % 2 == 1),
        "--watch {}: groups are of an even number of accounts, so that whom each watches is an odd one",
        args.watch.unwrap_or_default()
    );
    ensure!(
        args.sessions.get() >= 2 * args.devices,
        "--sessions {} of --devices {} each are less than two whole accounts, which write to each other",
        args.sessions,
        args.devices
    );
    let programs = Programs::find(args.rookery.as_deref(), args.standin.as_deref(), args.client_library.as_deref())?;
    let (sessions, devices) = (args.sessions.get(), args.devices);
    // Whole channels are of one worker, and whole groups that watch each other.
    let unit = devices * args.watch.map_or(2, |watched| (watched + 1).next_multiple_of(2));
    let wanted =
        Wanted { sessions, unit, nodes: args.nodes, nodes_max: NODES_MAX, opening: args.opening.map(NonZeroU32::get) };
    let plan = needs::plan(wanted, &Machine::read()?).map_err(|lacks| anyhow!(lacks))?;
    let accounts = sessions.div_ceil(devices).next_multiple_of(2);
    eprintln!(
        "loadgen million: {sessions} sessions of {accounts} accounts; {} nodes, {} workers, some {} of memory",
        plan.nodes,
        plan.shares.len(),
        gigabytes(plan.bytes)
    );
    let mut cluster = Cluster::start(programs, args.port, args.ping_seconds)?;
    let users = cluster.accounts(accounts)?;
    cluster.start_nodes(plan.nodes, &interrupt)?;
    hold(args, &plan, &mut cluster, &users, &interrupt)
}

/// Sessions on nodes that are there.
fn hold(
    args: &MillionArgs,
    plan: &Plan,
    cluster: &mut Cluster,
    users: &[UserId],
    interrupt: &Interrupt,
) -> anyhow::Result<Report> {
    let (sessions, devices) = (args.sessions.get(), args.devices);
    // Of whole pairs of accounts, so that there is somebody to write.
    let whole = sessions / (2 * devices) * (2 * devices);
    let probes = drawn(whole, args.probes.min(whole));
    let rooms = rooms(cluster, users, &probes, devices, interrupt)?;
    let urls = cluster.urls();
    let mut fleet = Fleet::start(plan.shares.clone(), interrupt, |number, share| {
        // Whole accounts, as a share has whole pairs of them.
        let first = share.start / devices;
        let accounts = first..share.end.div_ceil(devices).next_multiple_of(2).min(users.len() as u32);
        let own = rooms.iter().filter(|room| accounts.contains(&room.account));
        Setup {
            urls: urls.clone(),
            json: false,
            token_key: cluster.token_key(),
            span_s: SPAN.as_secs(),
            users: users[accounts.start as usize..accounts.end as usize].to_vec(),
            devices,
            first: share.start,
            sessions: share.end - share.start,
            source: Some(number as u32),
            size: SIZE,
            rooms: own.map(|&room| Room { account: room.account - first, ..room }).collect(),
        }
    })?;
    // Once they have said that they are there, they have what they need before the first connection.
    follow_while(&mut fleet, "starting", SETTLE_MAX, || cluster.must_live(), |_| true)?;
    let before = used(cluster, &fleet)?;
    let mut held = Held { recording: Recording::begin(&mut [&mut fleet], cluster.processes()?)?, fleet, cluster };
    let began = Instant::now();
    held.fleet.open(plan.opening)?;
    let all = u64::from(sessions);
    let stands = held.phase(OPENING, OPENING_MAX, |stands| stands.connected == all)?;
    let opening = began.elapsed();
    ensure!(
        stands.connected == all || interrupt.requested(),
        "{} of {all} sessions were connected after {} s",
        stands.connected,
        OPENING_MAX.as_secs()
    );
    let open = held.used()?;
    held.phase(RESTING, REST, |_| false)?;
    let rested = held.used()?;
    let mut million = MillionReport {
        accounts: users.len() as u32,
        nodes: urls.len(),
        ping_seconds: args.ping_seconds,
        connects_per_second: stands.connected as f64 / opening.as_secs_f64(),
        connect: cpu(&before, &open, stands.connected as f64),
        session: memory(&before, &rested, stands.connected),
        ..MillionReport::default()
    };
    if let Some(group) = args.watch.map(|watched| watched + 1) {
        befriend(held.cluster, users, group, interrupt)?;
        held.fleet.order(&Order::Watch { group })?;
        let watching = held.phase(WATCHING, OPENING_MAX, |stands| stands.watching == all)?;
        held.phase(RESTING_AGAIN, REST, |_| false)?;
        million.watch =
            Some(Watch { users: group - 1, sessions: watching.watching, memory: memory(&rested, &held.used()?, all) });
    }
    let rested = held.used()?;
    let quiet = Instant::now();
    held.phase(QUIET, args.quiet, |_| false)?;
    million.quiet_seconds = quiet.elapsed().as_secs_f64();
    million.quiet = cpu(&rested, &held.used()?, stands.connected as f64 * million.quiet_seconds);
    held.fleet.rate(args.rate, |per_second| Order::Talk { per_second })?;
    held.phase(TALK, args.seconds, |_| false)?;
    held.fleet.order(&Order::Talk { per_second: 0.0 })?;
    let mut status = held.recording.drain(&mut [&mut held.fleet], SETTLE_MAX, Status::is_settled)?;
    held.cluster.must_live()?;
    if !interrupt.requested() {
        held.fleet.probe(&probes)?;
        let written = probes.len() as u64;
        let is_over = |stands: &Status| stands.probed == written && stands.is_settled();
        status = held.phase(PROBES, SETTLE_MAX, is_over)?;
    }
    let Held { recording, fleet, .. } = held;
    let report = Report {
        command: "million",
        url: match &urls[..] {
            [first, .., _] => format!("{first} and {} more", urls.len() - 1),
            _ => urls.concat(),
        },
        encoding: Some(Encoding::Fb.subprotocol()),
        connections: sessions,
        load: Load::Crowd { does: format!("{} messages a second, then one to each of {}", args.rate, probes.len()) },
        size_bytes: Some(SIZE),
        opening_seconds: opening.as_secs_f64(),
        million: Some(million),
        interrupted: interrupt.requested(),
        ..recording.report(fleet.len(), status, false)
    };
    fleet.end();
    Ok(report)
}

/// Sessions that are held, on nodes that have to live.
struct Held<'a> {
    fleet: Fleet,
    cluster: &'a mut Cluster,
    recording: Recording,
}

impl Held<'_> {
    /// One more phase, while all that was started lives. A node that has ended is a better reason than what comes of it.
    fn phase(&mut self, name: &str, most: Duration, done: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        let Self { fleet, cluster, recording } = self;
        let stands = recording.phase_while(&mut [fleet], name, most, || cluster.must_live(), done);
        cluster.must_live()?;
        stands
    }

    fn used(&self) -> anyhow::Result<Used> {
        used(self.cluster, &self.fleet)
    }
}

/// So many sessions of all, each once.
fn drawn(sessions: u32, count: u32) -> Vec<u32> {
    fastrand::choose_multiple(0..sessions, count as usize)
}

/// Direct channels of the accounts of these sessions with the accounts beside them.
fn rooms(
    cluster: &Cluster,
    users: &[UserId],
    probes: &[u32],
    devices: u32,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Room>> {
    let pairs: BTreeSet<u32> = probes.iter().map(|session| session / devices / 2 * 2).collect();
    let pairs: Vec<u32> = pairs.into_iter().collect();
    let (api, signer) = (Api::new(&cluster.apis()), Signer::load(&cluster.token_key(), SPAN)?);
    let done = in_parallel("channels", pairs.len(), interrupt, |at| {
        let first = pairs[at] as usize;
        api.direct(&signer.token(users[first]), users[first + 1])
    });
    let room = |(at, channel): (usize, ChannelId)| Room { channel, account: pairs[at], accounts: 2, large: false };
    let made = done.finished.into_iter().map(room).collect();
    done.failed.map_or(Ok(made), Err)
}

/// Groups of accounts that may see each other.
fn befriend(cluster: &Cluster, users: &[UserId], group: u32, interrupt: &Interrupt) -> anyhow::Result<()> {
    let (api, signer) = (Api::new(&cluster.apis()), Signer::load(&cluster.token_key(), SPAN)?);
    let groups: Vec<_> = users.chunks(group as usize).filter(|group| group.len() > 1).collect();
    let done = in_parallel("groups", groups.len(), interrupt, |at| {
        api.group(&signer.token(groups[at][0]), &format!("watch {at}"), &groups[at][1..]).map(|_| ())
    });
    done.failed.map_or(Ok(()), Err)
}

fn used(cluster: &Cluster, fleet: &Fleet) -> anyhow::Result<Used> {
    let (nodes, store) = cluster.usage()?;
    let Status { cpu_ns, resident_bytes, .. } = fleet.stands();
    Ok(Used { nodes, store, workers: Usage { cpu_ns, resident_bytes }, kernel_bytes: machine::kernel_bytes()? })
}

/// Microseconds of processor time for each of `count`.
fn cpu(from: &Used, to: &Used, count: f64) -> Cpu {
    let each = |of: fn(&Used) -> Usage| of(to).cpu_ns.saturating_sub(of(from).cpu_ns) as f64 / 1_000.0 / count.max(1.0);
    Cpu { nodes_us: each(|used| used.nodes), store_us: each(|used| used.store), workers_us: each(|used| used.workers) }
}

fn memory(from: &Used, to: &Used, sessions: u64) -> Memory {
    let each = |of: fn(&Used) -> u64| (of(to) as f64 - of(from) as f64) / sessions.max(1) as f64;
    Memory {
        nodes_bytes: each(|used| used.nodes.resident_bytes),
        store_bytes: each(|used| used.store.resident_bytes),
        workers_bytes: each(|used| used.workers.resident_bytes),
        kernel_bytes: each(|used| used.kernel_bytes),
    }
}
