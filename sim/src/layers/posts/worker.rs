//! The worker of one life that fans posts out, as that of `timeline` does. A life that ends takes with it whatever it had under
//! way.

use std::rc::Rc;

use chat::timelines;

use super::super::life::Life;
use super::super::world::World;

/// Pause between two looks at the marks, at most.
const PAUSE_MS: u64 = 15;
/// Feeds of one look, and steps of each.
const AT_ONCE: usize = 4;

/// A life's worker begins.
pub(in super::super) fn begin(world: &Rc<World>, life: &Rc<Life>) {
    world.tasks.spawn(life.part(), fan_out(Rc::clone(world), Rc::clone(life)));
}

async fn fan_out(world: Rc<World>, life: Rc<Life>) {
    let mut rng = world.rng.part(&format!("fan-out {}", life.number));
    let Some(posts) = &world.posts else { return };
    let active = posts.active(life.number);
    while !posts.over.get() && !life.is_out() {
        world.tasks.sleep(rng.within(1..=PAUSE_MS)).await;
        let Some((worker, engine)) = life.worker() else { continue };
        let feeds = match timelines::due(&engine, &worker, None, AT_ONCE).await {
            Ok(feeds) => feeds,
            Err(error) => {
                life.failed(&world, &error);
                continue;
            }
        };
        for feed in feeds {
            for _ in 0..rng.within(1..=AT_ONCE as u64) {
                let bounds = (&posts.limits, posts.wall(world.tasks.now_ms()));
                match timelines::fan(&engine, &worker, feed, &active, bounds).await {
                    Ok(fanned) => {
                        let mut done = world.done.borrow_mut();
                        done.fan_steps += 1;
                        done.timeline_rows += fanned.rows;
                        if !fanned.more {
                            break;
                        }
                    }
                    Err(error) => {
                        life.failed(&world, &error);
                        break;
                    }
                }
            }
        }
    }
}
