//! The run itself: what befalls the nodes in its time, the phases, and the judgement at the end.

use std::rc::Rc;

use kv::{Begin, Engine, Transaction};

use crate::counts::Counts;
use crate::outcome::{Outcome, judged, violated};

use super::device::Device;
use super::homes::read_all_arrivals;
use super::hooks;
use super::judge;
use super::notices;
use super::options::Options;
use super::posts;
use super::story::{befall, bury_the_dead, join, steal};
use super::tasks::{Part, Stuck};
use super::world::{Phase, World};

/// How long everything may take to finish once nothing goes wrong any more (I13's 10 s).
const SETTLE_MS: u64 = 10_000;
/// Beyond the busiest run and its end.
const LATE_MS: u64 = 60_000;

/// Runs one seed to its end and judges it.
#[must_use]
pub fn run(options: Options) -> Outcome<Counts> {
    let world = Rc::new(World::new(options));
    let violation = judged(&world.trace, || {
        match world.tasks.run(main_task(Rc::clone(&world)), LATE_MS) {
            Ok(()) => judge::all(&world)?,
            Err(Stuck::Deadlock) => violated!("I12", "everybody waits, and nothing is left to happen"),
            Err(Stuck::Late { now_ms }) => violated!("I13", "not at rest after {now_ms} ms: {:?}", world.phase.get()),
        }
        Ok(())
    });
    let done = Counts { done: *world.done.borrow(), injected: *world.faults.injected() };
    if violation.is_none() {
        world.note(format_args!("holds: {done:?}, {} polls", world.tasks.polls()));
    }
    Outcome { hash: world.trace.hash(), violation, last: world.trace.last(), done }
}

async fn main_task(world: Rc<World>) {
    let mut rng = world.rng.part("story");
    world.tasks.spawn(Part::World, sync_disk(Rc::clone(&world)));
    steal(&world, &mut rng).await;
    for _ in 1..world.plan.lives {
        join(&world, &mut rng).await;
    }
    begin_devices(&world);
    posts::begin_people(&world);
    if world.notices.is_some() {
        world.tasks.spawn(Part::World, notices::live(Rc::clone(&world)));
    }
    for &(at_ms, hardship) in &world.plan.hardships {
        world.tasks.sleep(at_ms.saturating_sub(world.tasks.now_ms())).await;
        world.note(format_args!("{hardship:?}"));
        befall(&world, hardship, &mut rng).await;
        if world.members().is_empty() {
            steal(&world, &mut rng).await;
        }
    }
    world.tasks.sleep(world.plan.busy_ms.saturating_sub(world.tasks.now_ms())).await;
    world.note(format_args!("healed"));
    world.faults.heal();
    world.tasks.resume_all();
    bury_the_dead(&world, &mut rng).await;
    world.phase.set(Phase::Settling);
    let settled_ms = world.tasks.now_ms() + SETTLE_MS;
    let busy = || world.busy_devices.get() + world.posts.as_ref().map_or(0, |posts| posts.busy.get());
    while busy() > 0 {
        if world.tasks.now_ms() > settled_ms {
            let asking = busy();
            let finding = format!("{asking} clients have no answer {SETTLE_MS} ms after all healed");
            world.facts.borrow_mut().complain("I13", finding);
            break;
        }
        world.tasks.sleep(5).await;
    }
    // What stopped lives had under way has to come to its end too.
    world.tasks.sleep(50).await;
    world.last_version.set(newest(&world).await);
    world.phase.set(Phase::Over);
    read_all_arrivals(&world, &mut rng).await;
    while world.readers.get() > 0 {
        world.tasks.sleep(1).await;
    }
    notices::finish(&world).await;
    hooks::finish(&world).await;
    posts::finish(&world).await;
}

fn begin_devices(world: &Rc<World>) {
    world.busy_devices.set(world.users.len());
    world.readers.set(world.users.len());
    for (number, &user) in world.users.iter().enumerate() {
        world.tasks.spawn(Part::World, Device::new(world, user, number).run());
    }
}

/// The disk, which makes durable what was committed since the last time.
async fn sync_disk(world: Rc<World>) {
    let mut rng = world.rng.part("disk");
    if world.plan.sync_ms == 0 {
        return;
    }
    loop {
        world.tasks.sleep(rng.within(1..=world.plan.sync_ms)).await;
        world.engine().sync();
    }
}

/// A version that is no older than anything that was told so far.
async fn newest(world: &World) -> u64 {
    loop {
        match world.engine().begin(Begin::Fresh).read_version().await {
            Ok(version) => return version.0,
            Err(_) => world.tasks.sleep(1).await,
        }
    }
}
