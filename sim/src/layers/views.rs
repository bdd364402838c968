//! Views of a run: which there were and since when, and how lives change them.
//!
//! Owns what is known of each view. A change is proposed through a client of its own, which has seen nothing else, so
//! that the version at which it committed is known.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use chat::LayerError;
use chat::view::{self, Current, Proposal, Roll};
use kv::Engine as _;
use schema::record::NodeRecord;
use schema::view::Partition;
use schema::{Epoch, Incarnation, Member, Owner, ShardIndex, Standing, View};

use crate::rng::Rng;

use super::life::Life;
use super::world::{Engine, World};

/// How often a change is tried.
const ATTEMPTS: u32 = 5;

/// The views that anybody has met.
#[derive(Debug, Default)]
pub(super) struct Views {
    views: BTreeMap<Epoch, Known>,
}

#[derive(Debug)]
struct Known {
    view: Arc<View>,
    /// The least version that is known to be no older than its beginning.
    since: u64,
    /// When somebody first knew of it, in polls of the run.
    known_at: u64,
}

impl Views {
    pub(super) fn newest(&self) -> Option<&Arc<View>> {
        self.views.values().next_back().map(|known| &known.view)
    }

    /// The owners under the view before the newest.
    pub(super) fn owners_before(&self) -> Option<Vec<Owner>> {
        self.views.values().rev().nth(1).map(|known| known.view.owners().to_vec())
    }

    /// The first view after an epoch of which somebody knew before this poll of the run.
    pub(super) fn begun_before(&self, epoch: Epoch, polls: u64) -> Option<Epoch> {
        let later = self.views.range(Epoch(epoch.0 + 1)..);
        later.filter(|(_, known)| known.known_at < polls).map(|(&epoch, _)| epoch).next()
    }

    /// The view that had ended `epoch` before `version`, and since when at the latest.
    pub(super) fn ended(&self, epoch: Epoch, version: u64) -> Option<(Epoch, u64)> {
        let later = self.views.range(Epoch(epoch.0 + 1)..);
        later.map(|(&epoch, known)| (epoch, known.since)).find(|(_, since)| version > *since)
    }

    /// Since when at the latest a life was in no view any more. None while it is in the newest, and of one that was in
    /// none.
    pub(super) fn life_ended(&self, life: Incarnation) -> Option<u64> {
        let last = self.views.iter().rfind(|(_, known)| known.view.member(life).is_some())?.0;
        self.views.range(Epoch(last.0 + 1)..).map(|(_, known)| known.since).min()
    }
}

impl World {
    /// Somebody has met a view at a version.
    pub(super) fn note_view(&self, view: &View, version: u64) {
        let polls = self.tasks.polls();
        let mut views = self.views.borrow_mut();
        let before = views.newest().cloned();
        if let Some(known) = views.views.get_mut(&view.epoch) {
            if *known.view != *view {
                self.facts.borrow_mut().complain("I7", format!("there are two views of {:?}", view.epoch));
            }
            known.since = version.min(known.since);
            return;
        }
        let mut done = self.done.borrow_mut();
        done.views += 1;
        if let Some(before) = before {
            let moved = interesting(self).filter(|partition| before.owner(*partition) != view.owner(*partition));
            done.moves += moved.count() as u64;
        }
        let members: Vec<String> = view.members().iter().map(|member| format!("{:x}", member.incarnation.0)).collect();
        drop(done);
        self.note(format_args!("{:?} of {} since {version} or before", view.epoch, members.join("+")));
        views.views.insert(view.epoch, Known { view: Arc::new(view.clone()), since: version, known_at: polls });
    }
}

/// The partitions of the run's users and channels.
fn interesting(world: &World) -> impl Iterator<Item = Partition> {
    let users = world.users.iter().map(|&user| Partition::of_user(user));
    users.chain(world.rooms.iter().map(|room| Partition::of_channel(room.id)))
}

/// A life as a member of a view.
pub(super) fn member(life: &Life, standing: Standing) -> Member {
    Member { incarnation: life.incarnation, shards: life.shard_count, weight: life.shard_count, standing }
}

/// Owners for all partitions: mostly those of before, and some of the interesting ones anywhere, or as the ring has it.
/// None if nobody may own anything.
pub(super) fn table(world: &World, view: Option<&View>, members: &[Member], rng: &mut Rng) -> Option<Vec<Owner>> {
    if rng.chance(300) {
        return router::ring::propose(view, members, usize::try_from(rng.within(100..=4_096)).expect("a number"));
    }
    let shards = |member: &Member| {
        let incarnation = member.incarnation;
        (0..member.shards).map(move |shard| Owner { incarnation, shard: ShardIndex(shard) })
    };
    let of = |standing| members.iter().filter(move |member| member.standing == standing).flat_map(shards);
    let homes: Vec<Owner> = of(Standing::Home).collect();
    let drained: Vec<Owner> = of(Standing::Draining).collect();
    if homes.is_empty() {
        return None;
    }
    // Who drains may give away some now and some later.
    let keeps = rng.chance(500);
    let may_keep = |owner: &&Owner| homes.contains(owner) || keeps && drained.contains(owner);
    let before = |partition: usize| view.map(|view| &view.owners()[partition]).filter(may_keep).copied();
    let mut owners: Vec<Owner> = (0..usize::from(schema::limits::PARTITIONS))
        .map(|partition| before(partition).unwrap_or_else(|| *rng.pick(&homes)))
        .collect();
    for partition in interesting(world) {
        if rng.chance(400) {
            owners[partition.index()] = *rng.pick(&homes);
        }
    }
    Some(owners)
}

/// Proposes what `make` makes of the nodes as they are, until it is made or something is in its way. The view, if it was
/// made.
pub(super) async fn propose(
    world: &Rc<World>,
    by: &Rc<Life>,
    rng: &mut Rng,
    make: impl Fn(&Roll, &mut Rng) -> Option<Proposal>,
) -> Option<Current> {
    for _attempt in 0..ATTEMPTS {
        let client = world.client();
        match try_to(&client, by, rng, &make).await {
            Ok(Tried::Changed(view)) => {
                let version = client.newest().0;
                world.note_view(&view, version);
                by.engine.floor(kv::Version(version));
                let current = Current { view, version };
                by.learn(world, current.clone());
                return Some(current);
            }
            Ok(Tried::Senseless) => return None,
            // The view moved on meanwhile, or the store failed.
            Ok(Tried::InTheWay) | Err(_) => world.tasks.sleep(rng.within(1..=10)).await,
        }
    }
    None
}

enum Tried {
    Changed(View),
    InTheWay,
    /// There is nothing to propose.
    Senseless,
}

async fn try_to(
    engine: &Engine,
    by: &Life,
    rng: &mut Rng,
    make: &impl Fn(&Roll, &mut Rng) -> Option<Proposal>,
) -> Result<Tried, LayerError> {
    let roll = view::look(engine).await?;
    let Some(proposal) = make(&roll, rng) else { return Ok(Tried::Senseless) };
    let changed = view::change(engine, by.incarnation, &proposal).await?;
    Ok(changed.map_or(Tried::InTheWay, Tried::Changed))
}

/// A process begins, and registers. It is in no view yet.
pub(super) async fn begin(world: &Rc<World>, rng: &mut Rng) -> Rc<Life> {
    let life = Life::begin(world, u16::try_from(rng.within(1..=3)).expect("a few"));
    let (name, shards) = (format!("life {}", life.number), life.shard_count);
    let record = NodeRecord { name, shards, since_ms: crate::world::WALL, ..NodeRecord::default() };
    while view::register(&life.engine, life.incarnation, &record).await.is_err() {
        world.tasks.sleep(rng.within(1..=10)).await;
    }
    life
}

/// A life takes everything from everybody.
pub(super) async fn claim(world: &Rc<World>, life: &Rc<Life>, rng: &mut Rng) {
    loop {
        let client = world.client();
        match view::claim(&client, life.incarnation, life.shard_count).await {
            Ok(view) => {
                let version = client.newest().0;
                world.note_view(&view, version);
                return life.learn(world, Current { view, version });
            }
            Err(_) => world.tasks.sleep(rng.within(1..=10)).await,
        }
    }
}
