//! What befalls the lives of a run: they come, hand over, stand still, end and are found dead, rightly or not.
//!
//! Owns how each hardship of the plan is carried out. Whatever is proposed may be refused, since others propose too.

use std::collections::BTreeMap;
use std::rc::Rc;

use chat::view::{self, Proposal, Roll};
use schema::op::ChannelKind;
use schema::view::Partition;
use schema::{Incarnation, Member, Owner, ShardIndex, Standing, View};

use crate::rng::Rng;

use super::hooks;
use super::life::Life;
use super::notices;
use super::options::Hardship;
use super::posts;
use super::views;
use super::world::World;

/// Lives at once.
const LIVES_MAX: usize = 5;
/// How much longer than a group is away its home stands still.
const EXCURSION_MORE_MS: u64 = 15;
/// Views in which a life that leaves may hand over.
const DRAIN_STEPS: u32 = 4;

/// Carries out one hardship.
pub(super) async fn befall(world: &Rc<World>, hardship: Hardship, rng: &mut Rng) {
    match hardship {
        Hardship::Join => join(world, rng).await,
        Hardship::Step => {
            if let Some(by) = one(world, rng) {
                wait_for_batch(world, &by, rng).await;
                step(world, &by, rng).await;
            }
        }
        Hardship::Back => {
            if let Some(by) = one(world, rng) {
                back(world, &by, rng).await;
            }
        }
        Hardship::Excursion { for_ms } => excursion(world, for_ms, rng).await,
        Hardship::Drain => drain(world, rng).await,
        Hardship::Death { found_ms } => {
            if let Some(life) = one(world, rng) {
                wait_for_batch(world, &life, rng).await;
                life.end(world);
                world.tasks.sleep(found_ms).await;
                declare_dead(world, life.incarnation, rng).await;
            }
        }
        Hardship::Verdict { stopped_ms } => {
            if let Some(life) = one(world, rng) {
                wait_for_batch(world, &life, rng).await;
                world.tasks.stop(life.part(), stopped_ms);
                declare_dead(world, life.incarnation, rng).await;
            }
        }
        Hardship::Pause { for_ms } => {
            if let Some(life) = one(world, rng) {
                wait_for_batch(world, &life, rng).await;
                world.tasks.stop(life.part(), for_ms);
            }
        }
        Hardship::Steal { stopped_ms, idle } => {
            if let Some(old) = one(world, rng) {
                if idle {
                    wait_for_idle(world, &old).await;
                } else {
                    wait_for_batch(world, &old, rng).await;
                }
                world.tasks.stop(old.part(), stopped_ms);
            }
            steal(world, rng).await;
        }
        Hardship::Duel => {
            let (Some(one_of), Some(other)) = (one(world, rng), one(world, rng)) else { return };
            let [mut first, mut second] = [rng.part("one"), rng.part("other")];
            let both = (step(world, &one_of, &mut first), declare_dead(world, other.incarnation, &mut second));
            futures_lite::future::zip(both.0, both.1).await;
        }
        Hardship::Kill | Hardship::PowerLoss => {
            if let Some(life) = one(world, rng) {
                wait_for_batch(world, &life, rng).await;
            }
            world.lives().iter().for_each(|life| life.end(world));
            match hardship {
                Hardship::PowerLoss => world.store.power_loss(),
                _ => world.store.crash(),
            }
            world.open();
            steal(world, rng).await;
            for _ in 0..rng.below(3) {
                join(world, rng).await;
            }
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

/// One of the lives that are in the view.
fn one(world: &World, rng: &mut Rng) -> Option<Rc<Life>> {
    let members = world.members();
    (!members.is_empty()).then(|| Rc::clone(rng.pick(&members)))
}

/// The members of a view with one in it, as it is to stand there.
fn with(roll: &Roll, member: Member) -> Vec<Member> {
    let others = roll.view.iter().flat_map(View::members).copied();
    others.filter(|other| other.incarnation != member.incarnation).chain([member]).collect()
}

/// What follows a roll with these members.
fn follow(world: &World, roll: &Roll, members: Vec<Member>, rng: &mut Rng) -> Option<Proposal> {
    let owners = views::table(world, roll.view.as_ref(), &members, rng)?;
    Some(Proposal { after: roll.epoch, members, owners, dead: BTreeMap::new() })
}

/// A new life takes everything.
pub(super) async fn steal(world: &Rc<World>, rng: &mut Rng) {
    let life = begin(world, rng).await;
    views::claim(world, &life, rng).await;
}

/// A new life comes, proposed by itself or by another.
pub(super) async fn join(world: &Rc<World>, rng: &mut Rng) {
    if world.members().len() >= LIVES_MAX {
        return;
    }
    let life = begin(world, rng).await;
    let by = one(world, rng).filter(|_| rng.chance(300)).unwrap_or_else(|| Rc::clone(&life));
    let standing = if rng.chance(150) { Standing::Guest } else { Standing::Home };
    let comes = views::member(&life, standing);
    let joined = views::propose(world, &by, rng, |roll, rng| follow(world, roll, with(roll, comes), rng)).await;
    if joined.is_none() {
        life.end(world);
    }
}

/// Partitions move.
async fn step(world: &Rc<World>, by: &Rc<Life>, rng: &mut Rng) {
    let members = |roll: &Roll| roll.view.iter().flat_map(View::members).copied().collect();
    views::propose(world, by, rng, |roll, rng| follow(world, roll, members(roll), rng)).await;
}

/// Partitions move back to where they were, where those are that had them.
async fn back(world: &Rc<World>, by: &Rc<Life>, rng: &mut Rng) {
    let Some(before) = world.views.borrow().owners_before() else { return };
    let as_before = |roll: &Roll, _: &mut Rng| {
        let members = roll.view.as_ref()?.members().to_vec();
        let is_home = |member: &Member| member.standing == Standing::Home;
        let has =
            |owner: &Owner| members.iter().any(|member| member.incarnation == owner.incarnation && is_home(member));
        let owners = before.iter().all(has).then(|| before.clone())?;
        Some(Proposal { after: roll.epoch, members, owners, dead: BTreeMap::new() })
    };
    views::propose(world, by, rng, as_before).await;
}

/// A group's partition moves away, and back while its home stands still.
async fn excursion(world: &Rc<World>, for_ms: u64, rng: &mut Rng) {
    let groups: Vec<_> = world.rooms.iter().filter(|room| room.kind != ChannelKind::Direct).collect();
    let Some(view) = world.views.borrow().newest().cloned().filter(|_| !groups.is_empty()) else { return };
    let partition = Partition::of_channel(rng.pick(&groups).id);
    let from = view.owner(partition);
    let others = world.members().into_iter().filter(|life| life.incarnation != from.incarnation);
    let others: Vec<_> = others.filter(|life| view.owned_by(life.incarnation) > 0).collect();
    let Some(home) = world.life(from.incarnation).filter(|_| !others.is_empty()) else { return };
    let by = rng.pick(&others);
    world.tasks.stop(home.part(), for_ms + EXCURSION_MORE_MS);
    for to in [by.owner(ShardIndex(0)), from] {
        let moves = |roll: &Roll, _: &mut Rng| {
            let view = roll.view.as_ref()?;
            let (members, mut owners) = (view.members().to_vec(), view.owners().to_vec());
            view.member(to.incarnation)?;
            owners[partition.index()] = to;
            Some(Proposal { after: roll.epoch, members, owners, dead: BTreeMap::new() })
        };
        let Some(current) = views::propose(world, by, rng, moves).await else { return };
        if to != from {
            // The others hear of it at once.
            others.iter().for_each(|life| life.learn(world, current.clone()));
            world.tasks.sleep(for_ms).await;
        }
    }
}

/// A life hands over and goes, by itself or helped by another.
async fn drain(world: &Rc<World>, rng: &mut Rng) {
    let (Some(life), Some(by)) = (one(world, rng), one(world, rng)) else { return };
    let leaves = views::member(&life, Standing::Draining);
    for _ in 0..DRAIN_STEPS {
        let stays = |roll: &Roll| roll.view.as_ref().is_some_and(|view| view.member(leaves.incarnation).is_some());
        let hands_over = |roll: &Roll, rng: &mut Rng| {
            if stays(roll) { follow(world, roll, with(roll, leaves), rng) } else { None }
        };
        if views::propose(world, &by, rng, hands_over).await.is_none() {
            return;
        }
        world.tasks.sleep(rng.within(0..=60)).await;
        wait_for_idle(world, &life).await;
        // If it has partitions still, or the store failed, it goes on handing over.
        if let Ok(true) = view::leave(&life.engine, life.incarnation).await {
            world.done.borrow_mut().gone += 1;
            return life.end(world);
        }
    }
}

/// Somebody finds a life dead, rightly or not: one of the others, or a new one.
async fn declare_dead(world: &Rc<World>, dead: Incarnation, rng: &mut Rng) {
    let others: Vec<_> = world.members().into_iter().filter(|life| life.incarnation != dead).collect();
    let is_new = others.is_empty();
    let by = if is_new { begin(world, rng).await } else { Rc::clone(rng.pick(&others)) };
    let comes = views::member(&by, Standing::Home);
    let without = |roll: &Roll, rng: &mut Rng| {
        roll.view.as_ref()?.member(dead)?;
        let members = if is_new { with(roll, comes) } else { roll.view.as_ref()?.members().to_vec() };
        let members: Vec<Member> = members.into_iter().filter(|member| member.incarnation != dead).collect();
        let members = match members.iter().any(|member| member.standing == Standing::Home) {
            true => members,
            // Somebody has to own what is left.
            false => members.into_iter().map(|member| Member { standing: Standing::Home, ..member }).collect(),
        };
        let beat = roll.nodes.get(&dead).and_then(|node| node.beat);
        let proposal = follow(world, roll, members, rng)?;
        Some(Proposal { dead: BTreeMap::from([(dead, beat)]), ..proposal })
    };
    if views::propose(world, &by, rng, without).await.is_some() {
        world.done.borrow_mut().gone += 1;
    } else if is_new {
        by.end(world);
    }
}

/// Nothing goes wrong any more: whoever is in the view and has ended is found.
pub(super) async fn bury_the_dead(world: &Rc<World>, rng: &mut Rng) {
    loop {
        let view = loop {
            match view::current(&world.engine()).await {
                Ok(current) => break current.map(|current| current.view),
                Err(_) => world.tasks.sleep(1).await,
            }
        };
        let members = view.iter().flat_map(View::members).map(|member| member.incarnation);
        let (alive, dead): (Vec<_>, Vec<_>) = members.partition(|&life| world.life(life).is_some());
        match dead.first() {
            _ if alive.is_empty() => steal(world, rng).await,
            Some(&dead) => declare_dead(world, dead, rng).await,
            None => return,
        }
    }
}

/// A process begins, and with it its workers of notifications and webhooks, where there are any.
async fn begin(world: &Rc<World>, rng: &mut Rng) -> Rc<Life> {
    let life = views::begin(world, rng).await;
    if world.notices.is_some() {
        notices::begin(world, &life);
    }
    if world.hooks.is_some() {
        hooks::begin(world, &life);
    }
    if world.posts.is_some() {
        posts::begin(world, &life);
    }
    life
}
