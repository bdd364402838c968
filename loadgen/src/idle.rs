//! `loadgen idle`: connections that are open and quiet.
//!
//! Owns the holding. Pings are answered by the engine. On a bare connection any message is unexpected and fails it; a
//! session may be pushed anything but a snapshot, which no session of a load has to need.

use std::time::Duration;

use schema::Reply;

use crate::cli::IdleArgs;
use crate::drive::{Measured, Stopwatch};
use crate::engine::{Message, Workload};
use crate::progress::Progress;
use crate::report::Report;
use crate::run::{Run, TURN_MAX};
use crate::sampler::Sampler;
use crate::session::{Talk, not_asked_for};

/// Opens the connections, holds them, and reports.
pub(crate) fn run(args: &IdleArgs) -> anyhow::Result<Report> {
    let common = &args.common;
    if common.raw {
        let (run, quiet) = Run::connect_raw("idle", common, |_| Quiet)?;
        return hold(run, quiet, common.seconds);
    }
    let (run, sessions) = Run::connect("idle", common, common.seconds, args.devices, false, |_, _| Ok(Quiet))?;
    hold(run, sessions, common.seconds)
}

/// Holds the connections for `length`.
fn hold(mut run: Run, mut workload: impl Workload, length: Duration) -> anyhow::Result<Report> {
    let stopwatch = Stopwatch::start();
    let mut progress = Progress::new("holding", length.as_millis() as u64);
    let mut sampler = Sampler::new(run.engine.now_ns(), run.seen());
    while stopwatch.elapsed() < length && run.engine.open_now() > 0 && !run.interrupt.requested() {
        run.engine.turn(&mut workload, length.saturating_sub(stopwatch.elapsed()).min(TURN_MAX))?;
        let now_ns = run.engine.now_ns();
        if now_ns >= sampler.next_ns() {
            progress.second(sampler.take(now_ns, run.seen()));
        }
        let (open, counts) = (run.engine.open_now(), run.engine.counts());
        progress.show(stopwatch.elapsed().as_millis() as u64, || {
            format!("{open} open, {} lost, {} pings answered", counts.closed, counts.pings)
        });
    }
    drop(progress);
    let by_second = sampler.end(run.engine.now_ns(), run.seen());
    let measured = Measured { by_second, ..stopwatch.stop() };
    let memory = run.memory()?;
    run.finish(measured, Report { memory, ..Report::default() })
}

/// Says nothing.
struct Quiet;

impl Workload for Quiet {
    fn message(&mut self, _connection: usize, message: Message<'_>, _now_ns: u64) -> Result<(), String> {
        let (Message::Text(bytes) | Message::Binary(bytes)) = message;
        Err(format!("a message of {} bytes came, though nothing was asked for", bytes.len()))
    }
}

impl Talk for Quiet {
    fn answered(&mut self, _connection: usize, id: u32, reply: Reply, _now_ns: u64) -> Result<(), String> {
        not_asked_for(id, &reply)
    }
}
