//! The worker of one life that calls webhooks, as that of `notify::worker` does: a lane's page is told, and when it was
//! taken the lane goes on, under the fence. A life that ends takes with it whatever it had under way.

use std::collections::BTreeSet;
use std::rc::Rc;

use chat::LayerError;
use chat::hooks::{self, Hook, LanePage};
use schema::ChannelId;
use schema::record::HookCallRecord;

use crate::rng::Rng;

use super::super::life::Life;
use super::super::options::Broken;
use super::super::world::World;
use super::state::Hooks;

/// Pause between two looks at the markers, at most.
const PAUSE_MS: u64 = 15;
/// Calls of a lane at once.
const CALLS: usize = 4;
/// Lanes that one look begins, at most.
const LANES: usize = 4;

/// A life's worker begins.
pub(in super::super) fn begin(world: &Rc<World>, life: &Rc<Life>) {
    world.tasks.spawn(life.part(), call(Rc::clone(world), Rc::clone(life)));
}

/// The webhooks of a world in which this life still has something to do.
fn goes_on<'a>(world: &'a World, life: &Life) -> Option<&'a Hooks> {
    world.hooks.as_ref().filter(|hooks| !hooks.over.get() && !life.is_out())
}

async fn call(world: Rc<World>, life: Rc<Life>) {
    let mut rng = world.rng.part(&format!("calls {}", life.number));
    while let Some(hooks) = goes_on(&world, &life) {
        world.tasks.sleep(rng.within(1..=PAUSE_MS)).await;
        let Some((worker, engine)) = life.worker() else { continue };
        for hook in &hooks.hooks {
            let busy: BTreeSet<u16> = hooks.busy_lanes(&life, hook);
            match hooks::due(&engine, &worker, hook.id, None, LANES, |lane| !busy.contains(&lane)).await {
                Ok(lanes) => {
                    for lane in lanes {
                        hooks.busy.borrow_mut().insert((life.number, hook.id, lane));
                        let rng = rng.part(&format!("{} {lane} {}", hook.id, world.tasks.polls()));
                        let task = tell(Rc::clone(&world), Rc::clone(&life), hook.clone(), lane, rng);
                        world.tasks.spawn(life.part(), task);
                    }
                }
                Err(error) => life.failed(&world, &error),
            }
        }
    }
}

impl Hooks {
    fn busy_lanes(&self, life: &Life, hook: &Hook) -> BTreeSet<u16> {
        let busy = self.busy.borrow();
        busy.range((life.number, hook.id, 0)..=(life.number, hook.id, u16::MAX)).map(|(_, _, lane)| *lane).collect()
    }
}

/// Tells a lane what there is to tell, for some calls.
async fn tell(world: Rc<World>, life: Rc<Life>, hook: Hook, lane: u16, mut rng: Rng) {
    let Some(hooks) = &world.hooks else { return };
    for _ in 0..CALLS {
        match tell_once(&world, &life, (&hook, lane), &mut rng).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                life.failed(&world, &error);
                break;
            }
        }
    }
    hooks.busy.borrow_mut().remove(&(life.number, hook.id, lane));
}

/// One call of a lane. Whether there may be more to tell.
async fn tell_once(
    world: &Rc<World>,
    life: &Rc<Life>,
    (hook, lane): (&Hook, u16),
    rng: &mut Rng,
) -> Result<bool, LayerError> {
    let Some((worker, engine)) = life.worker() else { return Ok(false) };
    let page = hooks::page(&engine, hook.id, lane).await?;
    if page.from == page.through {
        return Ok(!hooks::rest(&engine, &worker, hook.id, lane).await?);
    }
    let places = (page.from, page.through);
    let call = HookCallRecord {
        at_ms: world.wall(),
        partition: lane,
        events: u16::try_from(page.told.len()).expect("a page has some hundred"),
        status: 200,
        took_ms: 0,
        channel: ChannelId(0),
        why: String::new(),
    };
    let slot = rng.within(0..=u64::from(u16::MAX)) as u16;
    if world.is_broken(Broken::LaneMovesBeforeItIsTaken) {
        hooks::note_told(&engine, &worker, (hook.id, lane), places, (slot, &call)).await?;
    }
    if !serve(world, hook.id, lane, &page, rng).await {
        return Ok(false);
    }
    hooks::note_told(&engine, &worker, (hook.id, lane), places, (slot, &call)).await?;
    Ok(true)
}

/// What the server does with a call: it takes it or not, and answers or not. Whether it is known to have taken it.
async fn serve(world: &World, hook: u64, lane: u16, page: &LanePage, rng: &mut Rng) -> bool {
    let Some(hooks) = &world.hooks else { return false };
    let (rates, goes_wrong) = (&hooks.rates, !world.faults.is_healed());
    world.done.borrow_mut().calls += 1;
    let slow = goes_wrong && rng.chance(rates.slow_permille);
    let answer_ms = rng.within(0..=rates.answer_ms) * if slow { 100 } else { 1 };
    let taken_ms = rng.within(0..=answer_ms);
    world.tasks.sleep(taken_ms).await;
    let takes = !(goes_wrong && rng.chance(rates.refused_permille));
    if takes {
        hooks.taken.borrow_mut().entry(hook).or_default().take(lane, &page.told);
        world.note(format_args!("hook {hook} has lane {lane} from {} through {}", page.from, page.through));
    }
    world.tasks.sleep(answer_ms - taken_ms).await;
    takes && !(goes_wrong && rng.chance(rates.lost_permille))
}
