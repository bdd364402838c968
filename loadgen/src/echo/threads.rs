//! Echoes by several threads, each with connections and an engine of its own: where one thread is the bound.
//!
//! Owns that all begin at one time, and adds up what they found. Nine tenths of a thread's time are the kernel's, mostly
//! the way of what is sent through loopback into the server's socket, so that only another core makes more of it.

use std::num::{NonZeroU32, NonZeroU64};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{bail, ensure};

use super::raw::RawEcho;
use super::tally::Tally;
use crate::cli::EchoArgs;
use crate::drive::drive;
use crate::machine;
use crate::progress;
use crate::report::Report;
use crate::run::Run;

/// How long a thread serves its connections until it looks whether the others are ready.
const LOOK: Duration = Duration::from_millis(5);

/// Threads on their way to the beginning.
#[derive(Debug, Default)]
struct Gate {
    ready: AtomicU32,
    failed: AtomicBool,
}

/// Echoes by as many threads as were asked for.
pub(super) fn run(args: &EchoArgs, report: &Report) -> anyhow::Result<Report> {
    let (threads, connections) = (args.threads.get(), args.common.connections.get());
    ensure!(args.common.raw, "--threads {threads}: sessions are one thread's; add --raw");
    ensure!(threads <= connections, "--threads {threads} are more than --connections {connections}");
    let rate = args.load.rate.map(NonZeroU64::get);
    ensure!(rate.is_none_or(|rate| rate >= u64::from(threads)), "--threads {threads} are more than --rate");
    ensure!(
        args.common.pid.is_none(),
        "--pid: memory is measured while one thread opens its connections; leave out --threads or --pid"
    );
    machine::ensure_files(connections, machine::connections_allowed())?;
    let parts: Vec<EchoArgs> = (0..threads).map(|thread| part(args, thread)).collect();
    let gate = Gate::default();
    let reports = std::thread::scope(|scope| {
        let started: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(thread, part)| {
                let gate = &gate;
                scope.spawn(move || {
                    if thread > 0 {
                        progress::silence();
                    }
                    let found = echo(part, report.clone(), gate, threads);
                    if found.is_err() {
                        gate.failed.store(true, Ordering::Relaxed);
                    }
                    found
                })
            })
            .collect();
        let ended = started.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.collect::<Vec<_>>()
    });
    // The first reason, not that another thread gave up for it.
    if reports.iter().any(Result::is_err) {
        let mut failed: Vec<_> = reports.into_iter().filter_map(Result::err).collect();
        failed.sort_by_key(|error| error.is::<OtherFailed>());
        return Err(failed.swap_remove(0));
    }
    let all = reports.into_iter().map(|report| report.expect("none failed")).reduce(Report::beside);
    Ok(Report { connections, load: args.load.paced(), ..all.expect("there is a thread") })
}

/// A thread gave up because another had failed.
#[derive(Debug, thiserror::Error)]
#[error("another thread failed")]
struct OtherFailed;

/// The share of one thread.
fn part(args: &EchoArgs, thread: u32) -> EchoArgs {
    let threads = args.threads.get();
    let share = |all: u64| {
        let end = |thread: u32| all * u64::from(thread) / u64::from(threads);
        end(thread + 1) - end(thread)
    };
    let mut part = args.clone();
    let connections = share(u64::from(args.common.connections.get())) as u32;
    part.common.connections = NonZeroU32::new(connections).expect("there are as many connections as threads");
    part.load.rate = args.load.rate.and_then(|rate| NonZeroU64::new(share(rate.get())));
    part.common.cpu = args.common.cpu.map(|core| core + thread as usize);
    part
}

fn echo(args: &EchoArgs, report: Report, gate: &Gate, threads: u32) -> anyhow::Result<Report> {
    let tally = || Tally::new(args.common.connections.get(), args.load.pipeline);
    let (mut run, mut echo) = Run::connect_raw("echo", &args.common, |run| RawEcho::new(args.size, run.mask, tally()))?;
    gate.ready.fetch_add(1, Ordering::Relaxed);
    while gate.ready.load(Ordering::Relaxed) < threads && !run.interrupt.requested() {
        if gate.failed.load(Ordering::Relaxed) {
            bail!(OtherFailed);
        }
        run.engine.turn(&mut echo, LOOK)?;
    }
    let measured = drive(&mut run, &mut echo, &args.load, args.common.seconds)?;
    let report = echo.tally.report(&measured, report);
    run.finish(measured, report)
}
