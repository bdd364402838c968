//! Worker processes: `loadgen` itself, several times, since one process has so many files and one thread so much time.
//!
//! Owns who holds which sessions, and waits for all of them to have come where they were sent. Each second it says how far they
//! are. Whatever way this process ends, its workers do too.

pub(crate) mod churn;
pub(crate) mod fanout;
pub(crate) mod recording;
pub(crate) mod slow_readers;
pub(crate) mod storm;
pub(crate) mod target;
mod worker;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::worker::Worker;
use crate::crowd::protocol::{LATENCIES, Order, Setup};
use crate::interrupt::Interrupt;
use crate::report::{Latencies, Packed};
use crate::status::Status;

/// How often workers are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a worker may take to answer an order, the machine being busy.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// All workers of a run.
pub(crate) struct Fleet {
    workers: Vec<Worker>,
    /// The sessions of each.
    shares: Vec<Range<u32>>,
    interrupt: Interrupt,
}

/// `count` in whole pieces of `unit`, spread over as few workers as `most` sessions each allow.
pub(crate) fn shares(count: u32, unit: u32, most: u32) -> Vec<Range<u32>> {
    let units = count.div_ceil(unit);
    let workers = units.div_ceil((most / unit).max(1)).max(1);
    let end = |worker: u32| (u64::from(units) * u64::from(worker) / u64::from(workers)) as u32 * unit;
    (0..workers).map(|worker| end(worker).min(count)..end(worker + 1).min(count)).collect()
}

impl Fleet {
    /// Starts a worker for each share, which `setup` makes.
    pub(crate) fn start(
        shares: Vec<Range<u32>>,
        interrupt: &Interrupt,
        setup: impl Fn(usize, Range<u32>) -> Setup,
    ) -> anyhow::Result<Self> {
        let mut fleet = Self { workers: Vec::new(), shares, interrupt: interrupt.clone() };
        for (number, share) in fleet.shares.clone().into_iter().enumerate() {
            fleet.workers.push(Worker::start(number, &setup(number, share))?);
        }
        Ok(fleet)
    }

    /// Whether the user has enough.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.requested()
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// The same order for all.
    pub(crate) fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        self.workers.iter_mut().try_for_each(|worker| worker.order(order))
    }

    /// Has the sessions of all workers opened, `opening` at a time in all.
    pub(crate) fn open(&mut self, opening: u32) -> anyhow::Result<()> {
        let each = opening.div_ceil(self.workers.len() as u32);
        for (worker, share) in self.workers.iter_mut().zip(&self.shares) {
            worker.order(&Order::Open { sessions: share.end - share.start, opening: each })?;
        }
        Ok(())
    }

    /// So many a second over all workers, by their sessions.
    pub(crate) fn rate(&mut self, per_second: f64, order: impl Fn(f64) -> Order) -> anyhow::Result<()> {
        let all = f64::from(self.shares.last().map_or(1, |share| share.end).max(1));
        for (worker, share) in self.workers.iter_mut().zip(&self.shares) {
            worker.order(&order(per_second * f64::from(share.end - share.start) / all))?;
        }
        Ok(())
    }

    /// Has these sessions, of all, written to.
    pub(crate) fn probe(&mut self, sessions: &[u32]) -> anyhow::Result<()> {
        for (worker, share) in self.workers.iter_mut().zip(&self.shares) {
            let own = sessions.iter().filter(|session| share.contains(session)).map(|session| session - share.start);
            worker.order(&Order::Probe { sessions: own.collect() })?;
        }
        Ok(())
    }

    /// Processor time of each so far, as they said last.
    pub(crate) fn cpu_ns(&self) -> Vec<u64> {
        self.workers.iter().map(|worker| worker.last_status().cpu_ns).collect()
    }

    /// Where all stood last.
    pub(crate) fn stands(&self) -> Status {
        together(&self.workers.iter().map(Worker::last_status).collect::<Vec<_>>())
    }

    /// All latencies since this was asked last, those of all workers together, of what there were some.
    pub(crate) fn latencies(&mut self) -> anyhow::Result<BTreeMap<&'static str, Latencies>> {
        self.order(&Order::Tell)?;
        let until = Instant::now() + ANSWER_MAX;
        let mut all = BTreeMap::new();
        for worker in &mut self.workers {
            let told = loop {
                match worker.latencies()? {
                    Some(told) => break told,
                    None if Instant::now() > until => bail!("a worker does not say its latencies"),
                    None => std::thread::sleep(LOOK),
                }
            };
            for (what, packed) in told {
                let known = LATENCIES.into_iter().find(|&known| known == what);
                let opened = STANDARD.decode(packed).ok().and_then(|bytes| Packed::read(&bytes));
                let (what, opened) =
                    known.zip(opened).context("a worker says latencies of another version of this program")?;
                all.entry(what).or_insert_with(Latencies::new).add(&opened);
            }
        }
        Ok(all)
    }

    /// Has all close their connections and end.
    pub(crate) fn end(mut self) {
        self.workers.iter_mut().for_each(Worker::end);
        self.workers.iter_mut().for_each(Worker::wait);
    }
}

/// Waits until `done` says so of all workers together, at most `most`, or until the user has enough. `each_second` is told
/// where they stand, and may end the wait. What it gives is newer than every order that was given before.
///
/// # Errors
/// A worker has ended, or what `each_second` says.
pub(crate) fn wait(
    fleets: &mut [&mut Fleet],
    most: Duration,
    mut each_second: impl FnMut(&Status) -> anyhow::Result<()>,
    done: impl Fn(&Status) -> bool,
) -> anyhow::Result<Status> {
    let (until, mut shown) = (Instant::now() + most, Instant::now());
    loop {
        let workers = fleets.iter_mut().flat_map(|fleet| &mut fleet.workers);
        let statuses = workers.map(Worker::status).collect::<anyhow::Result<Option<Vec<_>>>>()?;
        // Those that have not answered yet are not done.
        let all = statuses.map(|statuses| together(&statuses));
        let is_over = Instant::now() >= until || fleets.iter().any(|fleet| fleet.is_interrupted());
        if let Some(all) = &all
            && (done(all) || is_over)
        {
            return Ok(all.clone());
        }
        if shown.elapsed() >= Duration::from_secs(1) {
            shown = Instant::now();
            each_second(
                &all.unwrap_or_else(|| together(&fleets.iter().map(|fleet| fleet.stands()).collect::<Vec<_>>())),
            )?;
        }
        ensure!(Instant::now() < until + ANSWER_MAX, "workers do not answer for {} s", ANSWER_MAX.as_secs());
        std::thread::sleep(LOOK);
    }
}

fn together(statuses: &[Status]) -> Status {
    let mut all = Status::default();
    statuses.iter().for_each(|status| all.add(status));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_accounts_and_no_larger_than_a_process_holds() {
        check(100, 32, 1_000, "0..100");
        check(100, 32, 64, "0..64 64..100");
        check(1_000, 10, 400, "0..330 330..660 660..1000");
        check(5, 10, 3, "0..5");
        let million = shares(1_000_000, 32, 19_968);
        assert_eq!((million.len(), million[0].start, million[50].end), (51, 0, 1_000_000));
        assert!(million.iter().all(|share| share.end - share.start <= 19_968 && share.start % 32 == 0));
    }

    fn check(count: u32, unit: u32, most: u32, expected: &str) {
        let got: Vec<_> = shares(count, unit, most).iter().map(|share| format!("{share:?}")).collect();
        assert_eq!(got.join(" "), expected, "{count} in pieces of {unit}, {most} each");
    }
}
