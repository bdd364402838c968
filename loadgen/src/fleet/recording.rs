//! Recording of a run by workers: its phases, one after the other, and its seconds as they pass.
//!
//! Owns when workers are asked for their latencies, which is at the end of each second and of each phase, so that both add up
//! to the whole. What arrives once a phase's load is over, before another begins, is still of that phase.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::{Fleet, wait};
use crate::process::{Process, Usage};
use crate::report::{Counts, CrowdReport, FiguresOf, Latencies, Phase, Provenance, Report, Second, percent_of};
use crate::sampler::{Sampler, Seen, busiest_ns};
use crate::status::Status;

/// Latencies by what was timed.
type Timed = BTreeMap<&'static str, Latencies>;

/// What was seen at the border of a phase.
#[derive(Debug, Clone, Default)]
struct Mark {
    at: Duration,
    counts: Counts,
    /// Of each worker.
    cpu_ns: Vec<u64>,
    usage: Option<Usage>,
}

/// A phase that was begun; the last one goes on until another begins.
#[derive(Debug)]
struct Begun {
    name: String,
    from: Mark,
    to: Mark,
    latencies: Timed,
}

/// A run in progress.
pub(crate) struct Recording {
    started: SystemTime,
    began: Instant,
    /// The server's.
    processes: Vec<Process>,
    sampler: Sampler,
    /// Of the second that runs.
    second: Timed,
    begun: Vec<Begun>,
    /// The last look.
    last: Mark,
    open: u64,
}

impl Recording {
    /// Begins one of all workers of these fleets: what they did before is not of it.
    pub(crate) fn begin(fleets: &mut [&mut Fleet], processes: Vec<Process>) -> anyhow::Result<Self> {
        for fleet in fleets.iter_mut() {
            fleet.latencies()?;
        }
        let stands = wait(fleets, Duration::ZERO, |_| Ok(()), |_| true)?;
        let last = mark(Duration::ZERO, fleets, &stands, &processes);
        let sampler = Sampler::new(0, seen(&last, stands.connected));
        Ok(Self {
            started: SystemTime::now(),
            began: Instant::now(),
            processes,
            sampler,
            second: Timed::new(),
            begun: Vec::new(),
            last,
            open: stands.connected,
        })
    }

    /// The next phase, until `done` says so of all workers together, at most `most`, or until the user has enough. Each
    /// second it says where they stand.
    pub(crate) fn phase(
        &mut self,
        fleets: &mut [&mut Fleet],
        name: &str,
        most: Duration,
        done: impl Fn(&Status) -> bool,
    ) -> anyhow::Result<Status> {
        self.phase_while(fleets, name, most, || Ok(()), done)
    }

    /// The same, and ends with the error of `lives`, which is asked each second.
    pub(crate) fn phase_while(
        &mut self,
        fleets: &mut [&mut Fleet],
        name: &str,
        most: Duration,
        lives: impl FnMut() -> anyhow::Result<()>,
        done: impl Fn(&Status) -> bool,
    ) -> anyhow::Result<Status> {
        let (from, to) = (self.last.clone(), self.last.clone());
        self.begun.push(Begun { name: name.to_owned(), from, to, latencies: Timed::new() });
        let stands = self.follow(fleets, name, most, lives, done)?;
        let this = self.begun.last_mut().expect("it was begun above");
        this.to = self.last.clone();
        Ok(stands)
    }

    /// What is on its way at the end of the last phase arrives. It is of that phase, and its time is not.
    pub(crate) fn drain(
        &mut self,
        fleets: &mut [&mut Fleet],
        most: Duration,
        done: impl Fn(&Status) -> bool,
    ) -> anyhow::Result<Status> {
        self.follow(fleets, "settling", most, || Ok(()), done)
    }

    fn follow(
        &mut self,
        fleets: &mut [&mut Fleet],
        what: &str,
        most: Duration,
        mut lives: impl FnMut() -> anyhow::Result<()>,
        done: impl Fn(&Status) -> bool,
    ) -> anyhow::Result<Status> {
        let began = Instant::now();
        let until = began + most;
        loop {
            let second = self.began + Duration::from_nanos(self.sampler.next_ns());
            let slice = until.min(second).saturating_duration_since(Instant::now());
            let stands = wait(fleets, slice, |_| Ok(()), &done)?;
            let is_over = done(&stands) || Instant::now() >= until || fleets.iter().any(|fleet| fleet.is_interrupted());
            let stands = self.look(fleets)?;
            if is_over {
                return Ok(stands);
            }
            eprintln!("{what} {:.0} s: {}", began.elapsed().as_secs_f64(), stands.line());
            lives()?;
        }
    }

    /// Has workers say what there is since the last look, and takes the running second if it is over.
    fn look(&mut self, fleets: &mut [&mut Fleet]) -> anyhow::Result<Status> {
        for fleet in fleets.iter_mut() {
            for (what, latencies) in fleet.latencies()? {
                let phase = self.begun.last_mut().map(|phase| &mut phase.latencies);
                for timed in [Some(&mut self.second), phase].into_iter().flatten() {
                    timed.entry(what).or_insert_with(Latencies::new).add(&latencies);
                }
            }
        }
        let stands = wait(fleets, Duration::ZERO, |_| Ok(()), |_| true)?;
        self.last = mark(self.began.elapsed(), fleets, &stands, &self.processes);
        self.open = stands.connected;
        let now_ns = self.last.at.as_nanos() as u64;
        if now_ns >= self.sampler.next_ns() {
            let seen = self.seen();
            self.sampler.take(now_ns, seen);
        }
        Ok(stands)
    }

    /// At the last look, with what was timed since the second began.
    fn seen(&mut self) -> Seen {
        let packed = std::mem::take(&mut self.second).into_iter().map(|(what, mut latencies)| (what, latencies.take()));
        Seen { latencies: packed.collect(), ..seen(&self.last, self.open) }
    }

    /// The report as far as it is known here: of workers who stood so in the end. Where sessions `may_lose` their connection,
    /// that is told and no fault.
    pub(crate) fn report(mut self, workers: usize, status: Status, may_lose: bool) -> Report {
        let seen = self.seen();
        let by_second = self.sampler.end(self.last.at.as_nanos() as u64, seen);
        let phases: Vec<Phase> = self.begun.iter().map(|begun| begun.phase(&by_second)).collect();
        let mut latencies_us = Timed::new();
        for (what, latencies) in self.begun.iter().flat_map(|begun| &begun.latencies) {
            latencies_us.entry(what).or_insert_with(Latencies::new).add(latencies);
        }
        let (from, to) = match &self.begun[..] {
            [] => (&self.last, &self.last),
            [first, ..] => (&first.from, &self.begun[self.begun.len() - 1].to),
        };
        let length = to.at - from.at;
        let bound = phases.iter().any(|phase| phase.figures_of == FiguresOf::Generator);
        let closed_reasons = if may_lose { BTreeMap::new() } else { status.lost.clone() };
        Report {
            run: Provenance::new(self.started),
            seconds: length.as_secs_f64(),
            counts: Counts {
                sent: status.sent,
                acked: status.acked,
                delivered: status.delivered,
                lost: status.missing,
                duplicated: status.duplicated,
                out_of_order: status.out_of_order,
                unsent: 0,
            },
            per_second: crate::report::counts_per_second(to.counts.acked - from.counts.acked, length),
            latencies_us,
            closed: closed_reasons.values().sum(),
            closed_reasons,
            pings: status.pings,
            cpu_percent: percent_of(busiest_ns(&from.cpu_ns, &to.cpu_ns), length),
            figures_of: if bound { FiguresOf::Generator } else { FiguresOf::Server },
            crowd: Some(CrowdReport { workers, status, phases, may_lose }),
            by_second,
            ..Report::default()
        }
    }
}

impl Begun {
    fn phase(&self, by_second: &[Second]) -> Phase {
        let Self { name, from, to, latencies } = self;
        let length = to.at.saturating_sub(from.at);
        let (seconds, from_seconds) = (length.as_secs_f64(), from.at.as_secs_f64());
        let cpu_percent = percent_of(busiest_ns(&from.cpu_ns, &to.cpu_ns), length);
        let own = by_second.iter().filter(|second| (from_seconds..to.at.as_secs_f64()).contains(&(second.at as f64)));
        let own: Vec<Second> = own.cloned().collect();
        let delivered = to.counts.delivered - from.counts.delivered;
        let server_ns = from.usage.zip(to.usage).map(|(from, to)| to.cpu_ns.saturating_sub(from.cpu_ns));
        Phase {
            name: name.clone(),
            from_seconds,
            seconds,
            sent: to.counts.sent - from.counts.sent,
            acked: to.counts.acked - from.counts.acked,
            delivered,
            delivered_per_second: crate::report::counts_per_second(delivered, length),
            latencies_us: latencies.clone(),
            cpu_percent,
            figures_of: FiguresOf::new(cpu_percent, &own),
            server_cpu_percent: server_ns.map(|ns| percent_of(ns, length)),
            server_us_per_delivery: server_ns
                .filter(|_| delivered > 0)
                .map(|ns| (ns as f64 / delivered as f64).round() / 1_000.0),
        }
    }
}

fn mark(at: Duration, fleets: &[&mut Fleet], stands: &Status, processes: &[Process]) -> Mark {
    let &Status { sent, acked, delivered, .. } = stands;
    let usages = processes.iter().map(Process::usage);
    let usage = usages.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().reduce(Usage::and));
    let cpu_ns = fleets.iter().flat_map(|fleet| fleet.cpu_ns()).collect();
    Mark { at, counts: Counts { sent, acked, delivered, ..Counts::default() }, cpu_ns, usage }
}

fn seen(mark: &Mark, open: u64) -> Seen {
    let Mark { counts, cpu_ns, usage, .. } = mark.clone();
    Seen { counts, open, cpu_ns, usage, ..Seen::default() }
}
