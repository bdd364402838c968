//! A provider: it takes what it is sent, or not, and answers, or not, as is drawn.

use notify::{Fault, Outcome};

use schema::record::ContactRecord;
use schema::{Seq, UnixMs};

use chat::notices::Job;

use crate::rng::Rng;

use super::super::world::World;
use super::state::{Effect, Notices, SPEED, id};

/// Sends what a job says to its target, and waits for the answer.
pub(super) async fn send(
    world: &World,
    notices: &Notices,
    job: &Job,
    (contact, said, asked): (&ContactRecord, Seq, UnixMs),
    rng: &mut Rng,
) -> Outcome {
    let (rates, goes_wrong) = (&notices.rates, !world.faults.is_healed());
    world.done.borrow_mut().attempts += 1;
    let slow = goes_wrong && rng.chance(rates.slow_permille);
    let lease_ms = schema::limits::JOB_LEASE_MS / SPEED;
    let answer_ms = if slow { rng.within(lease_ms..=2 * lease_ms) } else { rng.within(0..=rates.answer_ms) };
    let taken_ms = rng.within(0..=answer_ms);
    world.tasks.sleep(taken_ms).await;
    let now_ms = world.tasks.now_ms();
    let outcome = if !goes_wrong {
        take(world, notices, job, (said, asked))
    } else if rates.credential_ms.is_some_and(|(from_ms, to_ms)| (from_ms..to_ms).contains(&now_ms)) {
        Outcome::failed(Fault::Credential, "403")
    } else if rng.chance(rates.unreached_permille) {
        Outcome::failed(Fault::Network, "no connection")
    } else if rng.chance(rates.transient_permille) {
        Outcome::failed(Fault::Transient, "503")
    } else if rng.chance(rates.quota_permille) {
        let retry_after_ms = Some(1_000 * rng.within(1..=60));
        Outcome::Failed { fault: Fault::Quota, retry_after_ms, detail: "429".into() }
    } else if rng.chance(rates.gone_permille) {
        if let Some(known) = notices.evidence.borrow_mut().registered(job.user, &job.device)
            && known.address == contact.address
        {
            known.has_ended = true;
        }
        Outcome::failed(Fault::Gone, "410")
    } else {
        let taken = take(world, notices, job, (said, asked));
        if rng.chance(rates.lost_permille) { Outcome::failed(Fault::Network, "no answer") } else { taken }
    };
    world.tasks.sleep(answer_ms - taken_ms).await;
    outcome
}

/// The provider has it: of an id that it has had before nobody hears again.
fn take(world: &World, notices: &Notices, job: &Job, (said, asked): (Seq, UnixMs)) -> Outcome {
    let mut evidence = notices.evidence.borrow_mut();
    let effect = evidence.effects.entry(id(job)).or_insert_with(|| {
        world.done.borrow_mut().told += 1;
        Effect {
            user: job.user,
            device: job.device.clone(),
            notice: job.notice,
            origin: job.record.origin,
            channel: job.record.channel,
            said,
            seq: job.record.seq,
            asked,
            times: 0,
        }
    });
    effect.times += 1;
    Outcome::Sent { provider_id: None }
}
