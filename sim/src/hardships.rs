//! Hardships of a run: when each comes, and what it does to the world.

use std::collections::BTreeMap;

use turmoil::Sim;

use crate::network::Disturbed;
use crate::plan::{Disturbance, Plan};
use crate::rng::Rng;
use crate::trace::note;
use crate::world::World;

/// How long a node that was killed stays away, at most: mostly it is back at once, and sometimes others have to do
/// without it.
const AWAY_MS: [u64; 3] = [1_500, 1_500, 9_000];
/// Nodes of a rolling restart, from one to the next.
const ROLLING_MS: std::ops::RangeInclusive<u64> = 1_000..=4_000;

/// What is done to the world at a time.
#[derive(Debug, Clone, Copy)]
enum Hardship {
    Crash(usize),
    PowerLoss(usize),
    /// A node is asked to stop.
    Drain(usize),
    /// A node is there, if it was not.
    Start(usize),
    StandStill(usize, u64),
    Disturb(Disturbance),
    Repair(Disturbance),
    StoreAway(bool),
    StoreCut(usize, bool),
    /// The store's process ends, or its machine loses power.
    StoreEnds(bool),
    StoreStarts,
    /// All nodes end, and the wall leaps.
    Leap,
}

/// What is still to come, and what lasts.
pub(crate) struct Hardships {
    due: BTreeMap<u64, Vec<Hardship>>,
    disturbed: Disturbed,
}

impl Hardships {
    /// Those of a plan.
    pub(crate) fn of(plan: &Plan, rng: &mut Rng) -> Self {
        let mut hardships = Self { due: BTreeMap::new(), disturbed: Disturbed::default() };
        let mut add = |ms, hardship| hardships.due.entry(ms).or_default().push(hardship);
        for &(at, ms) in &plan.joins {
            add(ms, Hardship::Start(at));
        }
        let losses = plan.power_losses.iter().map(|&(at, ms)| (ms, Hardship::PowerLoss(at), at));
        for (ms, end, at) in plan.crashes.iter().map(|&(at, ms)| (ms, Hardship::Crash(at), at)).chain(losses) {
            add(ms, end);
            add(ms + away_ms(plan, rng), Hardship::Start(at));
        }
        for &(at, ms) in &plan.drains {
            add(ms, Hardship::Drain(at));
            add(ms + 500 + 2 * away_ms(plan, rng), Hardship::Start(at));
        }
        let mut roll_ms = plan.rolling_ms;
        for at in 0..plan.nodes.len() {
            if let Some(ms) = roll_ms {
                let next_ms = ms + rng.within(ROLLING_MS);
                add(ms, Hardship::Drain(at));
                add(rng.within(ms + 500..=next_ms), Hardship::Start(at));
                roll_ms = Some(next_ms);
            }
        }
        if let Some(ms) = plan.leap_ms.filter(|ms| *ms > 0) {
            add(ms, Hardship::Leap);
            (0..plan.nodes.len()).for_each(|at| add(ms + away_ms(plan, rng), Hardship::Start(at)));
        }
        for &(at, span) in &plan.pauses {
            add(span.from_ms, Hardship::StandStill(at, span.to_ms));
        }
        for &what in &plan.disturbances {
            add(what.span.from_ms, Hardship::Disturb(what));
            add(what.span.to_ms, Hardship::Repair(what));
        }
        for &span in &plan.store_away {
            add(span.from_ms, Hardship::StoreAway(true));
            add(span.to_ms, Hardship::StoreAway(false));
        }
        for &(at, span) in &plan.store_cuts {
            add(span.from_ms, Hardship::StoreCut(at, true));
            add(span.to_ms, Hardship::StoreCut(at, false));
        }
        for &(loses_power, span) in &plan.store_losses {
            add(span.from_ms, Hardship::StoreEnds(loses_power));
            add(span.to_ms, Hardship::StoreStarts);
        }
        hardships
    }

    /// Whether all of them have come, and no process stands still any more.
    pub(crate) fn are_over(&self, world: &World) -> bool {
        let now_ms = world.trace.now_ms();
        self.due.is_empty() && world.nodes.iter().all(|node| node.stands_until_ms.get() <= now_ms)
    }

    /// Those that are due.
    pub(crate) fn step(&mut self, world: &World, sim: &mut Sim<'_>) {
        while let Some(due) = self.due.first_entry().filter(|due| *due.key() <= world.trace.now_ms()) {
            due.remove().into_iter().for_each(|hardship| self.apply(world, sim, hardship));
        }
    }

    fn apply(&mut self, world: &World, sim: &mut Sim<'_>, hardship: Hardship) {
        note!(world.trace, "world: {hardship:?}");
        let node = |at: usize| &world.nodes[at];
        match hardship {
            Hardship::Crash(at) if node(at).is_up.get() => crash(world, sim, at),
            Hardship::PowerLoss(at) if node(at).is_up.get() => {
                self.disturbed.lose_power(sim, world, at);
                node(at).is_up.set(false);
                world.end_life(at);
                if world.plan.is_embedded() {
                    world.store.lose_power();
                }
            }
            Hardship::Drain(at) if node(at).is_up.get() => {
                node(at).ask_to_drain();
                node(at).is_up.set(false);
            }
            Hardship::Start(at) if !node(at).is_up.get() => {
                world.end_life(at);
                node(at).is_up.set(true);
                if world.store.engine().is_none() && world.plan.is_embedded() {
                    world.start_store();
                }
                sim.bounce(node(at).host);
            }
            Hardship::StandStill(at, until_ms) if node(at).is_up.get() => {
                world.met.borrow_mut().pauses += 1;
                node(at).stands_until_ms.set(until_ms);
            }
            Hardship::Crash(_)
            | Hardship::PowerLoss(_)
            | Hardship::Drain(_)
            | Hardship::Start(_)
            | Hardship::StandStill(..) => {}
            Hardship::Disturb(what) => {
                let begun = self.disturbed.begin(sim, what);
                world.met.borrow_mut().cuts += u64::from(begun);
            }
            Hardship::Repair(what) => self.disturbed.end(sim, what),
            Hardship::StoreAway(away) => world.faults.set_away(away),
            Hardship::StoreCut(at, off) => {
                world.met.borrow_mut().cuts += u64::from(off);
                world.faults.cut_off(at, off);
            }
            Hardship::StoreEnds(loses_power) => {
                if loses_power {
                    world.store.lose_power();
                } else {
                    world.store.crash();
                }
            }
            Hardship::StoreStarts => {
                if world.store.engine().is_none() {
                    world.start_store();
                }
            }
            Hardship::Leap => {
                // One that drains goes on for a while.
                let runs = |at: &usize| node(*at).is_up.get() || node(*at).is_alive();
                (0..world.nodes.len()).filter(runs).for_each(|at| crash(world, sim, at));
                world.leapt.set(true);
            }
        }
    }
}

fn crash(world: &World, sim: &mut Sim<'_>, at: usize) {
    sim.crash(world.nodes[at].host);
    world.nodes[at].is_up.set(false);
    world.end_life(at);
    if world.plan.is_embedded() {
        world.store.crash();
    }
}

fn away_ms(plan: &Plan, rng: &mut Rng) -> u64 {
    let most_ms = if plan.is_embedded() { AWAY_MS[0] } else { *rng.pick(&AWAY_MS) };
    rng.within(1..=most_ms)
}
