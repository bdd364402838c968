//! The run itself: nodes and devices on the network, the phases, and the judgement at the end.

use std::fmt;
use std::rc::Rc;

use schema::limits::{LEASE_MS, MORE_QUIET_MS, PRESENCE_GRACE_MS, RENEW_MS};
use turmoil::Sim;

use crate::checks;
use crate::client::device::Device;
use crate::counts::Met;
use crate::facts::Standstill;
use crate::hardships::Hardships;
use crate::network::{self, CLIENTS};
use crate::options::Options;
use crate::outcome::{Outcome, Violation, judged};
use crate::plan::Plan;
use crate::trace::note;
use crate::world::{Phase, World};

/// How long everything may take to finish once nothing goes wrong any more: a lost frame between shards is made good
/// within 20 s, and what waits for it within as long again.
const SETTLE_MS: u64 = 60_000;
/// How long readers may take to have everything: the slowest network here carries 10 KB a second.
const CONVERGE_MS: u64 = 180_000;
/// Silence after which nothing more comes: longer than any timer that could hide a lost wakeup, as sessions ask again.
const QUIET_MS: u64 = MORE_QUIET_MS + 2_000;
/// When everybody who watches has been told the truth: what was lost on the way is read anew each minute, at a renewal.
const PRESENCE_MS: u64 = 60_000 + RENEW_MS + 5_000;
/// How long users are watched as they leave: beyond the latest time at which they may be told to be offline.
const LEAVING_MS: u64 = PRESENCE_GRACE_MS + LEASE_MS + 10_000;
/// How often it is looked whether all is well.
const LOOK_EVERY_MS: u64 = 50;

/// What was done in a run.
#[derive(Debug)]
pub struct Done {
    /// In figures, for a person.
    summary: String,
    /// How much of what adds up over runs.
    pub met: Met,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

/// Runs one seed to its end and judges it.
#[must_use]
pub fn run(options: Options) -> Outcome<Done> {
    let world = Rc::new(World::new(options, Plan::of(options)));
    let violation = judged(&world.trace, || {
        play(&world)?;
        checks::all(&world)
    });
    let met = met(&world);
    let done = Done { summary: summary(&world, &met), met };
    Outcome { hash: world.trace.hash(), violation, last: world.trace.last(), done }
}

/// A world in which nothing goes wrong, for scenarios.
pub(crate) fn calm(seed: u64, users: usize) -> World {
    let world = World::new(Options::of_seed(seed), Plan::calm(users));
    world.heal();
    world
}

fn met(world: &World) -> Met {
    let facts = world.facts.borrow();
    let (dropped, fenced_batches) =
        world.of_shards.borrow().values().fold((0, 0), |sum, shard| (sum.0 + shard.0, sum.1 + shard.1));
    Met {
        messages: facts.written.len() as u64,
        acknowledged: facts.acks.iter().filter(|ack| !ack.duplicate).count() as u64,
        lives: world.lives.get(),
        fenced_batches,
        dropped,
        races: checks::races(&facts) as u64,
        ..*world.met.borrow()
    }
}

fn summary(world: &World, met: &Met) -> String {
    let facts = world.facts.borrow();
    format!(
        "{:?} shards, {} devices, {} connects, {} operations, {} pushed, {} snapshots, {met}, well after {} ms, {}, {} s",
        world.plan.nodes,
        world.plan.devices,
        facts.connects,
        facts.operations.values().filter(|operation| operation.done.is_some()).count(),
        facts.pushed.values().map(|pushed| pushed.events.len()).sum::<usize>(),
        facts.snapshots,
        world.well_ms.get().map_or("none".to_owned(), |ms| ms.to_string()),
        facts.debts.longest().map_or("nobody stood still".to_owned(), Standstill::to_string),
        world.trace.now_ms() / 1_000,
    )
}

/// The hosts on which devices live.
fn populate(world: &Rc<World>, sim: &mut Sim<'static>) {
    for (place, host) in CLIENTS.into_iter().enumerate() {
        let world = Rc::clone(world);
        sim.client(host, async move {
            let numbers = (place..world.plan.devices).step_by(CLIENTS.len());
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
    let mut sim = network::of_nodes(world);
    populate(world, &mut sim);
    let mut hardships = Hardships::of(&world.plan, &mut world.rng.part("hardships"));
    let (mut settling_since_ms, mut quiet_since_ms) = (0, 0);
    loop {
        let now_ms = u64::try_from(sim.elapsed().as_millis()).expect("a run is short");
        world.trace.set_now_ms(now_ms);
        hardships.step(world, &mut sim);
        note_whether_well(world);
        let phase = world.phase();
        match phase {
            Phase::Busy if now_ms >= world.plan.busy_ms && hardships.are_over(world) => {
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
        // A client that has seen what must not be sees nothing else that matters.
        if let Some(complaint) = world.facts.borrow().complaints.first() {
            return Err(complaint.clone());
        }
        if world.phase() != phase {
            note!(world.trace, "world: {:?}", world.phase());
        }
        if sim.step().map_err(|error| Violation::new("panic", error.to_string()))? {
            break;
        }
        world.step();
    }
    // At the end the machines lose power once more: what was acknowledged is there all the same.
    world.nodes.iter().for_each(|node| sim.crash(node.host));
    world.store.lose_power();
    Ok(())
}

/// Looks now and then, until it is so, whether all is as if nothing had gone wrong, and who comes on meanwhile (I13).
fn note_whether_well(world: &World) {
    let Some(healed_ms) = world.healed_ms.get() else { return };
    let since_ms = world.trace.now_ms() - healed_ms;
    if world.well_ms.get().is_some() || !since_ms.is_multiple_of(LOOK_EVERY_MS) || !checks::is_well(world) {
        return;
    }
    note!(world.trace, "world: all is well after {since_ms} ms");
    world.well_ms.set(Some(since_ms));
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
    let waiting =
        facts.standing.iter().filter(|(_, device)| !device.is_live || device.unsent > 0 || device.unanswered > 0);
    let mut finding = format!("{SETTLE_MS} ms after everything healed {} operations of shards", world.pending());
    for (name, device) in waiting {
        finding += &format!(", {name} {device:?}");
    }
    Violation::new("I12", finding + " are still waiting")
}
