//! The run itself: the network, the faults in their time, the phases, and the judgement at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use schema::limits::{LEASE_MS, PRESENCE_GRACE_MS, RENEW_MS};
use turmoil::Sim;

use crate::checks;
use crate::client::device::Device;
use crate::options::{Options, Plan};
use crate::outcome::{Outcome, Violation, judged};
use crate::rng::Rng;
use crate::trace::note;
use crate::world::{Met, NODE, Phase, SPARE, World};

/// Hosts of clients: many clients on few hosts, since a run's cost grows with the square of hosts.
const CLIENT_HOSTS: [&str; 2] = ["clients-a", "clients-b"];
/// One step of the simulation, below which nothing is ordered by time.
const STEP: Duration = Duration::from_millis(1);
/// How long everything may take to finish once nothing goes wrong any more: a lost frame between shards is made good
/// within 20 s, and what waits for it within as long again.
const SETTLE_MS: u64 = 60_000;
/// How long readers may take to have everything: the slowest network here carries 10 KB a second.
const CONVERGE_MS: u64 = 180_000;
/// Silence after which nothing more comes: longer than any timer that could hide a lost wakeup, as sessions ask again
/// after 10 s.
const QUIET_MS: u64 = 12_000;
/// When everybody who watches has been told the truth: what was lost on the way is read anew each minute, at a renewal.
const PRESENCE_MS: u64 = 60_000 + RENEW_MS + 5_000;
/// How long users are watched as they leave: beyond the latest time at which they may be told to be offline.
const LEAVING_MS: u64 = PRESENCE_GRACE_MS + LEASE_MS + 10_000;
/// How long the node stays away after a crash, at most.
const AWAY_MS: u64 = 1_500;
/// Segments of a stream that a peer has not read: some 90 KB, as kernels have. Also connections not accepted yet.
const TCP_SEGMENTS: usize = 64;

/// What was done in a run.
#[derive(Debug)]
pub struct Done {
    /// In figures, for a person.
    summary: String,
    /// Removals of members that raced with others' sends (I10).
    pub races: usize,
    /// What went wrong in it.
    pub met: Met,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

/// What is done to the world at a time.
#[derive(Debug, Clone, Copy)]
enum Hardship {
    Crash,
    PowerLoss,
    Restart,
    Hold(&'static str),
    Release(&'static str),
    /// The node is asked to stop.
    Drain,
    /// A node on the other host takes over.
    TakeOver,
    StoreAway(bool),
}

/// Runs one seed to its end and judges it.
#[must_use]
pub fn run(options: Options) -> Outcome<Done> {
    let world = Rc::new(World::new(options, Plan::of(options)));
    let violation = judged(&world.trace, || {
        play(&world)?;
        checks::all(&world)
    });
    let (summary, met) = (summary(&world), world.met.borrow().clone());
    let races = checks::races(&world.facts.borrow());
    let (hash, last) = (world.trace.hash(), world.trace.last());
    Outcome { hash, violation, last, done: Done { summary, races, met } }
}

/// A world in which nothing goes wrong, for scenarios.
pub(crate) fn calm(seed: u64, users: usize) -> World {
    let world = World::new(Options::of_seed(seed), Plan::calm(users));
    world.heal();
    world
}

fn summary(world: &World) -> String {
    let (facts, met) = (world.facts.borrow(), world.met.borrow());
    format!(
        "{} shards, {} devices, {} lives, {} connects, {} sent, {} acked, {} operations, {} pushed, {} snapshots, {} races, {} fenced, {} frames held back, {} dropped, {} s",
        world.plan.shards,
        world.plan.devices,
        world.lives.get(),
        facts.connects,
        facts.written.len(),
        facts.acks.len(),
        facts.operations.values().filter(|operation| operation.done.is_some()).count(),
        facts.pushed.values().map(|pushed| pushed.events.len()).sum::<usize>(),
        facts.snapshots,
        checks::races(&facts),
        met.fenced,
        met.held_back,
        met.dropped.values().sum::<u64>(),
        world.trace.now_ms() / 1_000,
    )
}

/// When what goes wrong does.
fn hardships(plan: &Plan, rng: &mut Rng) -> BTreeMap<u64, Vec<Hardship>> {
    let mut at: BTreeMap<u64, Vec<Hardship>> = BTreeMap::new();
    let ends = plan.crashes_ms.iter().map(|&ms| (ms, Hardship::Crash));
    for (ms, end) in ends.chain(plan.power_losses_ms.iter().map(|&ms| (ms, Hardship::PowerLoss))) {
        at.entry(ms).or_default().push(end);
        at.entry(ms + rng.within(1..=AWAY_MS)).or_default().push(Hardship::Restart);
    }
    for &ms in &plan.drains_ms {
        at.entry(ms).or_default().push(Hardship::Drain);
        at.entry(ms + rng.within(500..=2 * AWAY_MS)).or_default().push(Hardship::Restart);
    }
    for &ms in &plan.takeovers_ms {
        at.entry(ms).or_default().push(Hardship::TakeOver);
    }
    for &(from_ms, to_ms) in &plan.store_away_ms {
        at.entry(from_ms).or_default().push(Hardship::StoreAway(true));
        at.entry(to_ms).or_default().push(Hardship::StoreAway(false));
    }
    for &(from_ms, to_ms) in &plan.holds_ms {
        let host = *rng.pick(&CLIENT_HOSTS);
        at.entry(from_ms).or_default().push(Hardship::Hold(host));
        at.entry(to_ms).or_default().push(Hardship::Release(host));
    }
    at
}

/// The network, and the node on it.
pub(crate) fn network(world: &Rc<World>) -> Sim<'static> {
    let mut rng = world.rng.part("network");
    let mut sim = turmoil::Builder::new()
        .rng_seed(rng.bits())
        .epoch(UNIX_EPOCH)
        .simulation_duration(Duration::from_secs(3_600))
        .tick_duration(STEP)
        .min_message_latency(Duration::from_millis(rng.within(0..=2)))
        .max_message_latency(Duration::from_millis(rng.within(3..=40)))
        // Each refused connection keeps its port.
        .ephemeral_ports(1_024..=65_535)
        .tcp_capacity(TCP_SEGMENTS)
        .build();
    for &host in hosts(world) {
        let world = Rc::clone(world);
        sim.host(host, move || {
            let world = Rc::clone(&world);
            async move { if world.called.get() == host { crate::node::run_life(world, host).await } else { Ok(()) } }
        });
    }
    sim
}

/// Hosts of nodes: two only where one takes over from another, since each host costs.
fn hosts(world: &World) -> &'static [&'static str] {
    if world.plan.takeovers_ms.is_empty() { &[NODE] } else { &[NODE, SPARE] }
}

/// Begins a life of the node on a host.
fn start_life(world: &World, sim: &mut Sim<'_>, host: &'static str) {
    world.called.set(host);
    sim.bounce(host);
}

/// The hosts on which devices live.
fn populate(world: &Rc<World>, sim: &mut Sim<'static>) {
    for (place, host) in CLIENT_HOSTS.into_iter().enumerate() {
        let world = Rc::clone(world);
        sim.client(host, async move {
            let numbers = (place..world.plan.devices).step_by(CLIENT_HOSTS.len());
            let devices: Vec<_> =
                numbers.map(|number| tokio::task::spawn_local(Device::new(&world, number).run())).collect();
            for device in devices {
                device.await?;
            }
            Ok(())
        });
    }
}

/// Moves the world on until everybody has gone.
fn play(world: &Rc<World>) -> Result<(), Violation> {
    let mut sim = network(world);
    populate(world, &mut sim);
    let mut hardships = hardships(&world.plan, &mut world.rng.part("hardships"));
    let mut is_up = true;
    let (mut settling_since_ms, mut quiet_since_ms) = (0, 0);
    loop {
        let now_ms = u64::try_from(sim.elapsed().as_millis()).expect("a run is short");
        world.trace.set_now_ms(now_ms);
        while let Some(due) = hardships.first_entry().filter(|due| *due.key() <= now_ms) {
            due.remove().into_iter().for_each(|hardship| apply(world, &mut sim, hardship, &mut is_up));
        }
        let phase = world.phase();
        match phase {
            Phase::Busy if now_ms >= world.plan.busy_ms && hardships.is_empty() => {
                settling_since_ms = now_ms;
                world.heal();
            }
            Phase::Settling if is_settled(world) => {
                quiet_since_ms = now_ms;
                world.set_phase(Phase::Quiet);
            }
            Phase::Settling if now_ms > settling_since_ms + SETTLE_MS => return Err(unsettled(world)),
            Phase::Quiet if now_ms > settling_since_ms + CONVERGE_MS => return Err(unsettled(world)),
            Phase::Quiet if now_ms > quiet_since_ms.max(world.heard_ms.get()) + QUIET_MS => {
                if !is_settled(world) {
                    return Err(unsettled(world));
                }
                if !world.plan.watches {
                    world.set_phase(Phase::Over);
                } else if now_ms > settling_since_ms + PRESENCE_MS {
                    quiet_since_ms = now_ms;
                    world.facts.borrow_mut().presence.leaving_ms = Some(now_ms);
                    world.set_phase(Phase::Leaving);
                }
            }
            Phase::Leaving if now_ms > quiet_since_ms + LEAVING_MS => world.set_phase(Phase::Over),
            Phase::Busy | Phase::Settling | Phase::Quiet | Phase::Leaving | Phase::Over => {}
        }
        if world.phase() != phase {
            note!(world.trace, "world: {:?}", world.phase());
        }
        if sim.step().map_err(|error| Violation::new("panic", error.to_string()))? {
            break;
        }
        world.store_clock.advance(1);
    }
    // At the end the machine loses power once more: what was acknowledged is there all the same.
    hosts(world).iter().for_each(|host| sim.crash(*host));
    world.engine.take();
    world.store.power_loss();
    Ok(())
}

fn apply(world: &World, sim: &mut Sim<'_>, hardship: Hardship, is_up: &mut bool) {
    note!(world.trace, "world: {hardship:?}");
    match hardship {
        Hardship::Crash if *is_up => {
            hosts(world).iter().for_each(|host| sim.crash(*host));
            world.crash_store();
            *is_up = false;
        }
        Hardship::PowerLoss if *is_up => {
            for host in hosts(world) {
                // Without the partition the sockets' ends would still be told: a crash runs destructors.
                CLIENT_HOSTS.iter().for_each(|client| sim.partition(*host, *client));
                sim.crash(*host);
                CLIENT_HOSTS.iter().for_each(|client| sim.repair(*host, *client));
            }
            world.engine.take();
            world.store.power_loss();
            *is_up = false;
        }
        Hardship::Drain if *is_up => {
            world.ask_to_drain();
            *is_up = false;
        }
        Hardship::Restart if !*is_up => {
            start_life(world, sim, world.serving.get());
            *is_up = true;
        }
        Hardship::TakeOver if *is_up => {
            let other = if world.serving.get() == NODE { SPARE } else { NODE };
            start_life(world, sim, other);
        }
        Hardship::Crash | Hardship::PowerLoss | Hardship::Drain | Hardship::Restart | Hardship::TakeOver => {}
        Hardship::StoreAway(away) => world.faults.set_away(away),
        Hardship::Hold(client) => hosts(world).iter().for_each(|host| sim.hold(*host, client)),
        Hardship::Release(client) => hosts(world).iter().for_each(|host| sim.release(*host, client)),
    }
}

/// Whether everybody is connected and nobody waits for anything.
fn is_settled(world: &World) -> bool {
    let facts = world.facts.borrow();
    let mut devices = facts.standing.values();
    devices.all(|device| device.is_live && device.unsent == 0 && device.unanswered == 0) && world.pending() == 0
}

/// I12: quiet and healed there is no pending work.
fn unsettled(world: &World) -> Violation {
    let facts = world.facts.borrow();
    if let Some(complaint) = facts.complaints.first() {
        return complaint.clone();
    }
    let waiting =
        facts.standing.iter().filter(|(_, device)| !device.is_live || device.unsent > 0 || device.unanswered > 0);
    let mut finding = format!("{SETTLE_MS} ms after everything healed {} operations of shards", world.pending());
    for (name, device) in waiting {
        finding += &format!(", {name} {device:?}");
    }
    Violation::new("I12", finding + " are still waiting")
}
