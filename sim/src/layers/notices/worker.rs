//! The workers of one life: one plans, one leases, asks what there is to say, and has it sent.
//!
//! As those of `notify::worker`, with tasks that the seed lets go on, and what follows from an outcome by the same
//! `notify::retry`. A life that ends takes with it whatever its workers had under way.

use std::rc::Rc;

use chat::LayerError;
use chat::keys::Queue;
use chat::notices::{self as layer, End, Job, Reach, Said, Scan, Worker, jobs};
use notify::retry::{self, Attempt, Next};
use schema::record::ContactRecord;
use schema::{Seq, UnixMs};

use crate::rng::Rng;

use super::super::life::Life;
use super::super::options::Broken;
use super::super::world::{Engine, World};
use super::state::{MEDIA, Notices, id};
use super::{now, provider};

/// Pause between two looks at a queue, at most.
const PAUSE_MS: u64 = 15;

/// A life's workers begin.
pub(in super::super) fn begin(world: &Rc<World>, life: &Rc<Life>) {
    world.tasks.spawn(life.part(), plan(Rc::clone(world), Rc::clone(life)));
    world.tasks.spawn(life.part(), send(Rc::clone(world), Rc::clone(life)));
}

/// The notifications of a world in which this life still has something to do.
fn goes_on<'a>(world: &'a World, life: &Life) -> Option<&'a Notices> {
    world.notices.as_ref().filter(|notices| !notices.over.get() && !life.is_out())
}

async fn plan(world: Rc<World>, life: Rc<Life>) {
    let mut rng = world.rng.part(&format!("plans {}", life.number));
    let (mut items, mut due) = (Scan::of(Queue::Pushes), Scan::of(Queue::Notices));
    let reach = Reach::by(MEDIA);
    while goes_on(&world, &life).is_some() {
        world.tasks.sleep(rng.within(1..=PAUSE_MS)).await;
        let Some((worker, engine)) = life.worker() else { continue };
        let both = async {
            let of_messages = layer::plan(&engine, &worker, &mut items, &reach, now(&world)).await?;
            Ok((of_messages, layer::instances(&engine, &worker, &mut due, &reach, now(&world)).await?))
        };
        match both.await {
            Ok((messages, notices)) if messages.items + notices.items > 0 => {
                world.note(format_args!("life {} plans {messages:?} and {notices:?}", life.number));
            }
            Ok(_) => {}
            Err(error) => life.failed(&world, &error),
        }
    }
}

async fn send(world: Rc<World>, life: Rc<Life>) {
    let mut rng = world.rng.part(&format!("sends {}", life.number));
    let reach = Reach::by(MEDIA);
    let mut queues: Vec<Scan> = MEDIA.iter().map(|&medium| Scan::of(Queue::Jobs(medium))).collect();
    while let Some(notices) = goes_on(&world, &life) {
        world.tasks.sleep(rng.within(1..=PAUSE_MS)).await;
        let Some((worker, engine)) = life.worker() else { continue };
        for scan in &mut queues {
            if let Err(error) = round(&world, &life, notices, (&worker, &engine, &reach), scan, &mut rng).await {
                life.failed(&world, &error);
            }
        }
    }
}

/// Leases some jobs, and begins an attempt of each that has something to say.
async fn round(
    world: &Rc<World>,
    life: &Rc<Life>,
    notices: &Notices,
    (worker, engine, reach): (&Worker, &Engine, &Reach),
    scan: &mut Scan,
    rng: &mut Rng,
) -> Result<(), LayerError> {
    let asked = (world.tasks.polls(), now(world));
    let limit = usize::try_from(rng.within(1..=8)).expect("a few");
    let leased = jobs::lease(engine, worker, scan, asked.1, limit).await?.jobs;
    if let Err(finding) = notices.evidence.borrow_mut().leased(asked, &leased) {
        world.facts.borrow_mut().complain("I9", finding);
    }
    if leased.is_empty() {
        return Ok(());
    }
    let said = layer::say(engine, reach, &leased, asked.1).await?;
    for (job, said) in leased.into_iter().zip(said) {
        world.note(format_args!("life {} has {job:?}", life.number));
        let says = match said {
            Said::Nothing { why } => Err(End::Withdrawn { why: why.to_owned() }),
            Said::Unreadable => Err(End::Dead { why: "unreadable".to_owned() }),
            Said::Something(_) | Said::Notice(_) if job.record.expires_ms <= asked.1 => {
                Err(End::Dead { why: "expired".to_owned() })
            }
            Said::Something(saying) => Ok((saying.contact, saying.seq, asked.1)),
            Said::Notice(notice) => Ok((notice.contact, Seq::ZERO, asked.1)),
        };
        let (ends_world, ends_life, rng) = (Rc::clone(world), Rc::clone(life), rng.part(&format!("{:x}", id(&job))));
        match says {
            Ok(says) => world.tasks.spawn(life.part(), attempt(ends_world, ends_life, job, says, rng)),
            Err(end) => world.tasks.spawn(life.part(), settle(ends_world, ends_life, job, end)),
        }
    }
    Ok(())
}

/// What a job says to whom, and when that was asked.
type Says = (ContactRecord, Seq, UnixMs);

async fn attempt(world: Rc<World>, life: Rc<Life>, job: Job, (contact, said, asked): Says, mut rng: Rng) {
    let Some(notices) = &world.notices else { return };
    if world.is_broken(Broken::EndedBeforeItIsSent) {
        settle(Rc::clone(&world), Rc::clone(&life), job.clone(), sent()).await;
    }
    let outcome = provider::send(&world, notices, &job, (&contact, said, asked), &mut rng).await;
    world.note(format_args!("life {} is answered {outcome:?} of {:?}", life.number, job.notice));
    let attempt = Attempt {
        first_ms: job.record.planned_ms,
        expires_ms: job.record.expires_ms,
        counted: job.record.attempts.saturating_sub(1),
    };
    let end = match retry::next(now(&world), attempt, &outcome, rng.bits()) {
        Next::Done => sent(),
        Next::Again { at } => End::Again { at, counts: true },
        Next::PutOff { at } => End::Again { at, counts: false },
        Next::Forget => End::Gone { address: contact.address, why: "410".to_owned() },
        Next::Dead { why } => End::Dead { why: why.word().to_owned() },
    };
    settle(world, life, job, end).await;
}

fn sent() -> End {
    End::Sent { provider: "simulated".to_owned(), provider_id: String::new() }
}

/// Notes an end, for as long as the lease lasts.
async fn settle(world: Rc<World>, life: Rc<Life>, job: Job, end: End) {
    let Some(notices) = &world.notices else { return };
    let id = id(&job);
    notices.evidence.borrow_mut().leased.remove(&id);
    let ends = [(job, end)];
    loop {
        let settled = layer::jobs::settle(&life.engine, &ends, now(&world)).await;
        let has_lease = now(&world) < ends[0].0.due;
        match settled {
            Ok(settled) => {
                // Once the lease has ended a row that is not there may be another worker's.
                if settled > 0 && has_lease && matches!(ends[0].1, End::Sent { .. }) {
                    notices.evidence.borrow_mut().sent.insert(id, world.tasks.polls());
                }
                return;
            }
            Err(_) if has_lease => world.tasks.sleep(1).await,
            Err(_) => return,
        }
    }
}
