//! The worker of one medium: jobs are leased in batches, sent beside each other, and end in batches.
//!
//! Owns the order of these: nothing is leased beyond what may be under way, no attempt begins late in a lease, and no end
//! waits for another attempt. Whether a provider is asked is its breaker's, what follows from an outcome `retry`'s.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat::keys::Queue;
use chat::notices::settings::MESSAGES;
use chat::notices::{self, End, Job, Said, Scan, jobs};
use kv::Engine;
use schema::limits::JOB_LEASE_MS;
use schema::record::SettingsRecord;
use schema::{Medium, UnixMs};
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant as Deadline, sleep_until, timeout_at};

use super::ways::{Taken, Ways};
use super::{EVERY, STOP, Shared, TROUBLE};
use crate::categories::Beyond;
use crate::compose;
use crate::limits::Limits;
use crate::links::{self, About};
use crate::message::Message;
use crate::outcome::Outcome;
use crate::providers::ATTEMPT_MS_MAX;
use crate::quiet;
use crate::retry::{self, Attempt, Next, Why};

/// Attempts of one medium that are under way at once: at 100 ms each, 2,560 a second.
const UNDER_WAY_MAX: usize = 256;
/// Jobs of one lease at most.
const LEASE_MAX: usize = 128;
/// Fewer places than these are no reason to lease while attempts are under way: a transaction for each would be dear.
const LEASE_MIN: usize = 32;
/// Ends of one transaction at most.
const ENDS_MAX: usize = 256;
/// Ends that may wait for a store that does not take them: beyond it no more jobs are leased.
const ENDS_WAITING_MAX: usize = 4 * ENDS_MAX;
/// How long an end waits for others.
const ENDS_EVERY: Duration = Duration::from_millis(20);
/// Why a job is not told that its user's limit leaves no room for.
const TOO_MANY: &str = "it was more than its user's limit";
/// Over how long what waited for the same quiet hours to end is spread.
const SPREAD_MS: u64 = 30_000;
/// Attempts of a job after which it is given up: by the times between them some 40 fit into its day.
const ATTEMPTS_MAX: u32 = 80;
/// An attempt begins no later in its lease than this, so that it ends within it.
const BEGIN_MS_MAX: u64 = JOB_LEASE_MS / 2;
const _: () = assert!(BEGIN_MS_MAX + ATTEMPT_MS_MAX < JOB_LEASE_MS, "an attempt ends before its job is anybody's");

/// An attempt that has ended.
struct Ended {
    job: Job,
    taken: Taken,
    /// Where it went, for a contact that is gone.
    address: String,
    outcome: Outcome,
    took_ms: u64,
}

struct Sender<E> {
    shared: Arc<Shared<E>>,
    medium: Medium,
    ways: Ways,
    /// Where the breakers' clock starts.
    begun: Instant,
    scan: Scan,
    limits: Limits,
    under_way: JoinSet<Ended>,
    ends: Vec<(Job, End)>,
    /// When the first of these came.
    first_end: Option<Instant>,
}

/// Sends what is due by one medium, for as long as the workers run.
pub(super) async fn send<E: Engine>(shared: Arc<Shared<E>>, medium: Medium) {
    let providers = shared.parts.providers.of(medium);
    let ways = Ways::of(providers);
    let scan = Scan::of(Queue::Jobs(medium));
    let (under_way, ends) = (JoinSet::new(), Vec::new());
    let begun = Instant::now();
    let limits = Limits::default();
    Sender { shared, medium, ways, begun, scan, limits, under_way, ends, first_end: None }.run().await;
}

impl<E: Engine> Sender<E> {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut look_at = Deadline::now();
        while !shared.is_stopping() {
            while let Some(ended) = self.under_way.try_join_next() {
                self.ended(ended);
            }
            let is_due = self.first_end.is_some_and(|first| first.elapsed() >= ENDS_EVERY);
            if self.ends.len() >= ENDS_MAX || is_due {
                self.settle().await;
            }
            let room = UNDER_WAY_MAX - self.under_way.len();
            let is_worth_it = (room >= LEASE_MIN || self.under_way.is_empty()) && self.ends.len() < ENDS_WAITING_MAX;
            if is_worth_it && Deadline::now() >= look_at {
                look_at = Deadline::now() + self.begin(room).await;
                // What is under way has its turn before more is begun.
                yield_now().await;
                continue;
            }
            let ends_at = self.first_end.map(|first| Deadline::from_std(first + ENDS_EVERY));
            // Told of jobs that are made from here on.
            let made = pin!(shared.made.notified());
            tokio::select! {
                () = shared.stopped() => {}
                Some(ended) = self.under_way.join_next() => self.ended(ended),
                () = sleep_until(ends_at.unwrap_or_else(far)), if ends_at.is_some() => {}
                () = sleep_until(look_at), if is_worth_it => {}
                () = made, if is_worth_it => look_at = Deadline::now(),
            }
        }
        self.stop().await;
    }

    /// Lets what is under way end, and notes what came of it, within [`STOP`] both.
    async fn stop(mut self) {
        let until = Deadline::now() + STOP;
        let all = async {
            while let Some(ended) = self.under_way.join_next().await {
                self.ended(ended);
            }
        };
        if timeout_at(until, all).await.is_err() {
            let attempts = self.under_way.len();
            tracing::info!(medium = %self.medium, attempts, "attempts were cut off, and are made again");
        }
        if timeout_at(until + STOP, self.settle()).await.is_err() {
            tracing::warn!(medium = %self.medium, jobs = self.ends.len(), "the store did not take the last ends of jobs");
        }
    }

    /// Leases up to `room` jobs and begins an attempt of each. How long to wait before more is looked for.
    async fn begin(&mut self, room: usize) -> Duration {
        let room = match self.ways.room(self.mono(), room.min(LEASE_MAX)) {
            Ok(room) => room,
            Err(wait) => {
                self.shared.parts.counts.stopped(self.medium, true);
                return wait;
            }
        };
        self.shared.parts.counts.stopped(self.medium, false);
        let Some(worker) = self.shared.mine() else { return EVERY };
        let now = self.shared.now();
        let engine = &self.shared.parts.engine;
        let begun = Instant::now();
        let leased = match jobs::lease(engine, &worker, &mut self.scan, now, room).await {
            Ok(leased) => leased,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(medium = %self.medium, error, "jobs were not leased, trying again");
                return TROUBLE;
            }
        };
        if leased.jobs.is_empty() {
            return EVERY;
        }
        let said = match notices::say(engine, &self.shared.reach, &leased.jobs, now).await {
            Ok(said) => said,
            Err(error) => {
                // They are due again when their lease ends.
                let error = &error as &dyn std::error::Error;
                tracing::warn!(medium = %self.medium, error, jobs = leased.jobs.len(), "jobs could not be read");
                return TROUBLE;
            }
        };
        self.shared.make_words(&leased.jobs, &said).await;
        for (job, said) in leased.jobs.into_iter().zip(said) {
            match said {
                Said::Nothing { why } => {
                    self.shared.parts.counts.withdrawn(self.medium);
                    self.end(job, End::Withdrawn { why: why.to_owned() });
                }
                Said::Unreadable => self.give_up(job, dead("a row that it needs cannot be read")),
                Said::Something(_) | Said::Notice(_) if job.record.expires_ms <= now => {
                    self.give_up(job, End::Expired { why: "it expired before it could be sent".to_owned() });
                }
                // Each ended without a word of what came of it: what it says may be what ends its workers.
                Said::Something(_) | Said::Notice(_) if job.record.attempts > ATTEMPTS_MAX => {
                    self.give_up(job, dead("it was begun too often"));
                }
                // A store that takes so long leaves no time for the attempt.
                Said::Something(_) | Said::Notice(_) if begun.elapsed() >= Duration::from_millis(BEGIN_MS_MAX) => {
                    self.end(job, End::Again { at: self.shared.now(), counts: false });
                }
                Said::Something(saying) => {
                    let about = About { category: Some(MESSAGES), is_tracked: false };
                    if let Some(job) = self.let_pass(job, about, &saying.settings, now) {
                        let message = compose::of_channel(&job, &saying);
                        self.attempt(job, about, message);
                    }
                }
                Said::Notice(notice) => {
                    let record = &notice.record;
                    // What is critical nobody can turn off.
                    let category = (!notice.is_critical).then_some(record.category.as_str());
                    let about = About { category, is_tracked: record.track };
                    // What cannot be told takes nothing from what its user may be told.
                    match self.shared.message(&job, &notice) {
                        Ok(message) => {
                            if let Some(job) = self.let_pass(job, about, &notice.settings, now) {
                                self.attempt(job, about, message);
                            }
                        }
                        Err(why) => {
                            let why = format!("payload: template {}: {why}", record.template);
                            self.give_up(job, dead(&why));
                        }
                    }
                }
            }
        }
        if leased.more { Duration::ZERO } else { EVERY }
    }

    fn mono(&self) -> schema::Instant {
        schema::Instant(u64::try_from(self.begun.elapsed().as_nanos()).expect("less than 584 years"))
    }

    /// A job that may be told now: not one whose user wants to be left alone, or has been told enough.
    fn let_pass(&mut self, job: Job, about: About<'_>, settings: &SettingsRecord, now: UnixMs) -> Option<Job> {
        let Some(name) = about.category else { return Some(job) };
        if let Some(ends) = quiet::ends(settings, now) {
            self.shared.parts.counts.quiet(self.medium);
            self.put_off(job, ends.plus_ms(fastrand::u64(..SPREAD_MS)), "its user's quiet hours outlast it");
            return None;
        }
        // What was begun before had its room then.
        if job.record.attempts > 1 {
            return Some(job);
        }
        let category = self.shared.parts.providers.categories().find(name);
        let rate = category.rate(self.medium);
        if self.limits.has_room(rate, job.user, name, now) {
            return Some(job);
        }
        let is_dropped = category.beyond == Beyond::Drop;
        self.shared.parts.counts.limited(self.medium, is_dropped);
        if is_dropped {
            self.end(job, End::Withdrawn { why: TOO_MANY.to_owned() });
        } else {
            let at = self.limits.promise(rate, job.user, name, now);
            self.put_off(job, at, TOO_MANY);
        }
        None
    }

    /// Lets a job wait until a time; not one that is of no use by then, and why.
    fn put_off(&mut self, job: Job, at: UnixMs, why: &str) {
        let end = if at < job.record.expires_ms {
            End::Again { at, counts: false }
        } else {
            End::Withdrawn { why: why.to_owned() }
        };
        self.end(job, end);
    }

    fn attempt(&mut self, job: Job, about: About<'_>, mut message: Message) {
        links::add(self.shared.parts.links.as_deref(), &job, about, &mut message);
        let taken = match self.ways.take(self.mono(), &message) {
            Ok(taken) => taken,
            Err(wait) => {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(JOB_LEASE_MS).max(1);
                // Spread, so that all who wait for one service do not come at once.
                let at = self.shared.now().plus_ms(wait_ms + fastrand::u64(..1_000));
                return self.end(job, End::Again { at, counts: false });
            }
        };
        if let Some(category) = about.category
            && job.record.attempts <= 1
        {
            let rate = self.shared.parts.providers.categories().find(category).rate(self.medium);
            self.limits.take(rate, job.user, category, self.shared.now());
        }
        self.shared.parts.counts.begun(self.medium);
        self.under_way.spawn(async move {
            let begun = Instant::now();
            let outcome = taken.provider.send(&message).await;
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            Ended { job, taken, address: message.target.address, outcome, took_ms }
        });
    }

    fn give_up(&mut self, job: Job, end: End) {
        self.shared.parts.counts.dead(self.medium);
        self.end(job, end);
    }

    /// Notes what came of an attempt, and what follows.
    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        let Ended { job, taken, address, outcome, took_ms } = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Its job is due again when its lease ends, and is given up after some times.
                return tracing::error!(medium = %self.medium, %error, "an attempt broke off");
            }
        };
        let (now, mono) = (self.shared.now(), self.mono());
        self.ways.note(mono, &taken, &outcome);
        let counts = &self.shared.parts.counts;
        counts.ended(self.medium, &outcome, took_ms, now.since_ms(job.record.planned_ms));
        let attempt = Attempt {
            first_ms: job.record.planned_ms,
            expires_ms: job.record.expires_ms,
            counted: job.record.attempts.saturating_sub(1),
        };
        let next = retry::next(now, attempt, &outcome, fastrand::u64(..));
        let provider = taken.provider.name().to_owned();
        let (provider_id, detail) = match outcome {
            Outcome::Sent { provider_id } => (provider_id.unwrap_or_default(), String::new()),
            Outcome::Failed { fault, detail, .. } => {
                tracing::debug!(medium = %self.medium, provider, %fault, detail, "an attempt failed");
                (String::new(), format!("{fault}: {detail}"))
            }
        };
        let end = match next {
            Next::Done => End::Sent { provider, provider_id },
            Next::Again { at } => End::Again { at, counts: true },
            Next::PutOff { at } => End::Again { at, counts: false },
            Next::Forget => End::Gone { address, why: detail },
            Next::Dead { why } => {
                counts.dead(self.medium);
                match why {
                    // The class of the fault says it already.
                    Why::Payload => End::Dead { why: detail },
                    Why::TooLong => End::Dead { why: format!("{}: {detail}", why.word()) },
                    Why::Expired => End::Expired { why: format!("{}: {detail}", why.word()) },
                }
            }
        };
        self.end(job, end);
    }

    fn end(&mut self, job: Job, end: End) {
        self.ends.push((job, end));
        self.first_end.get_or_insert_with(Instant::now);
    }

    /// Notes the ends that there are. Where the store fails they are tried again with the next, for as long as their
    /// leases last.
    async fn settle(&mut self) {
        self.first_end = None;
        while !self.ends.is_empty() {
            let some = self.ends.len().min(ENDS_MAX);
            let now = self.shared.now();
            if let Err(error) = jobs::settle(&self.shared.parts.engine, &self.ends[..some], now).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(medium = %self.medium, error, jobs = some, "ends of jobs were not noted, trying again");
                // Of the others the leases are over, and what is noted would be of nobody's job.
                self.ends.retain(|(job, _)| job.due > now);
                self.first_end = Some(Instant::now() + TROUBLE);
                return;
            }
            self.ends.drain(..some);
        }
    }
}

fn dead(why: &str) -> End {
    End::Dead { why: why.to_owned() }
}

/// A time that does not come.
fn far() -> Deadline {
    Deadline::now() + Duration::from_secs(86_400)
}
