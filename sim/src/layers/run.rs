//! The run itself: what befalls the nodes in its time, the phases, and the judgement at the end.

use std::rc::Rc;

use chat::{LayerError, view};
use kv::{Begin, Engine, Transaction};
use schema::View;
use schema::record::NodeRecord;

use crate::counts::Counts;
use crate::outcome::{Outcome, judged, violated};
use crate::rng::Rng;

use super::device::Device;
use super::judge;
use super::life::{Life, read_arrivals_once};
use super::options::{Hardship, Options};
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
    take_over(&world, &mut rng, Takeover::Claim).await;
    begin_devices(&world);
    for &(at_ms, hardship) in &world.plan.hardships {
        world.tasks.sleep(at_ms.saturating_sub(world.tasks.now_ms())).await;
        apply(&world, hardship, &mut rng).await;
    }
    world.tasks.sleep(world.plan.busy_ms.saturating_sub(world.tasks.now_ms())).await;
    world.note(format_args!("healed"));
    world.faults.heal();
    world.tasks.resume_all();
    world.phase.set(Phase::Settling);
    let settled_ms = world.tasks.now_ms() + SETTLE_MS;
    while world.busy_devices.get() > 0 {
        if world.tasks.now_ms() > settled_ms {
            let asking = world.busy_devices.get();
            let finding = format!("{asking} devices have no answer {SETTLE_MS} ms after all healed");
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

async fn apply(world: &Rc<World>, hardship: Hardship, rng: &mut Rng) {
    world.note(format_args!("{hardship:?}"));
    match hardship {
        Hardship::Steal { stopped_ms, idle } => {
            if let Some(old) = world.active() {
                if idle {
                    wait_for_idle(world, &old).await;
                } else {
                    wait_for_batch(world, &old, rng).await;
                }
                world.tasks.stop(old.part(), stopped_ms);
            }
            let how = if rng.chance(500) { Takeover::Claim } else { Takeover::Verdict };
            take_over(world, rng, how).await;
        }
        Hardship::Duel => {
            let mut others = [rng.part("one"), rng.part("other")];
            let [one, other] = &mut others;
            futures_lite::future::zip(
                take_over(world, one, Takeover::Claim),
                take_over(world, other, Takeover::Verdict),
            )
            .await;
        }
        Hardship::Reshard => {
            if let Some(life) = world.active() {
                wait_for_batch(world, &life, rng).await;
                claim(world, &life, shards(rng), rng).await;
            }
        }
        Hardship::Crash => {
            if let Some(life) = world.active() {
                wait_for_batch(world, &life, rng).await;
                life.end(world);
            }
            take_over(world, rng, Takeover::Claim).await;
        }
        Hardship::Kill | Hardship::PowerLoss => {
            end_all(world);
            match hardship {
                Hardship::PowerLoss => world.store.power_loss(),
                _ => world.store.crash(),
            }
            world.open();
            take_over(world, rng, Takeover::Claim).await;
        }
        Hardship::Away { for_ms } => {
            world.faults.set_away(true);
            world.tasks.sleep(for_ms).await;
            world.faults.set_away(false);
        }
    }
}

/// Waits until the life has a batch under way, if that is soon.
async fn wait_for_batch(world: &World, life: &Life, rng: &mut Rng) {
    for _ in 0..rng.within(1..=200) {
        world.tasks.sleep(0).await;
    }
    for _ in 0..400 {
        if life.is_appending() {
            break;
        }
        world.tasks.sleep(0).await;
    }
    for _ in 0..rng.within(0..=10) {
        world.tasks.sleep(0).await;
    }
}

/// Waits until the life has nothing under way, if that is soon. What it does next it does without knowing.
async fn wait_for_idle(world: &World, life: &Life) {
    for _ in 0..400 {
        if !life.is_appending() {
            break;
        }
        world.tasks.sleep(0).await;
    }
}

/// All nodes end, since the database that they had open does.
fn end_all(world: &World) {
    if let Some(life) = world.last_active() {
        life.end(world);
    }
    for number in 1..=world.lives.get() {
        world.tasks.end(Part::Life(number));
    }
}

fn shards(rng: &mut Rng) -> u16 {
    u16::try_from(rng.within(1..=3)).expect("a few")
}

/// How a life takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takeover {
    /// Whoever owned it before.
    Claim,
    /// Declaring those of the view dead, which they may not be.
    Verdict,
}

/// A new life takes all partitions, and takes clients.
async fn take_over(world: &Rc<World>, rng: &mut Rng, how: Takeover) {
    let (life, shards) = (Life::new(world), shards(rng));
    world.note(format_args!("life {}: {how:?} for {shards} shards", life.number));
    world.done.borrow_mut().takeovers += 1;
    match how {
        Takeover::Claim => claim(world, &life, shards, rng).await,
        Takeover::Verdict => {
            for _attempt in 0..3 {
                match by_verdict(&world.engine(), &life, shards).await {
                    Ok(Some(view)) => return adopt(world, &life, view).await,
                    // The view moved on meanwhile, or the store failed.
                    Ok(None) | Err(_) => world.tasks.sleep(rng.within(1..=10)).await,
                }
            }
            claim(world, &life, shards, rng).await;
        }
    }
}

async fn claim(world: &Rc<World>, life: &Rc<Life>, shards: u16, rng: &mut Rng) {
    loop {
        match view::claim(&world.engine(), life.incarnation, shards).await {
            Ok(view) => return adopt(world, life, view).await,
            Err(_) => world.tasks.sleep(rng.within(1..=10)).await,
        }
    }
}

/// Declares every node of the view dead as it is now.
async fn by_verdict(engine: &impl Engine, life: &Life, shards: u16) -> Result<Option<View>, LayerError> {
    let name = format!("life {}", life.number);
    let record = NodeRecord { name, shards, since_ms: crate::world::WALL, ..NodeRecord::default() };
    view::register(engine, life.incarnation, &record).await?;
    let roll = view::look(engine).await?;
    let dead = roll.active().filter(|&node| node != life.incarnation);
    let dead = dead.map(|node| (node, roll.nodes.get(&node).and_then(|node| node.beat))).collect();
    let alone = View::alone(roll.epoch, life.incarnation, shards);
    let (members, owners) = (alone.members().to_vec(), alone.owners().to_vec());
    let proposal = view::Proposal { after: roll.epoch, members, owners, dead };
    view::change(engine, life.incarnation, &proposal).await
}

async fn adopt(world: &Rc<World>, life: &Rc<Life>, view: View) {
    let epoch = view.epoch;
    world.taken_over.borrow_mut().insert(epoch, world.tasks.polls());
    life.adopt(world, view);
    world.set_active(life);
    let version = newest(world).await;
    world.epochs.borrow_mut().insert(epoch, version);
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

/// The homes of the last view read what they have not.
async fn read_all_arrivals(world: &World, rng: &mut Rng) {
    let Some(life) = world.active() else { return };
    for home in life.homes() {
        while read_arrivals_once(world, home, rng).await != Some(false) {
            world.tasks.sleep(1).await;
        }
    }
}
