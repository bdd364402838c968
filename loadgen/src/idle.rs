//! `loadgen idle`: connections that are open and quiet.
//!
//! Owns the holding. Pings are answered by the engine; any message is unexpected and fails the connection.

use std::time::{Duration, Instant};

use crate::cli::IdleArgs;
use crate::engine::{Message, Workload};
use crate::machine::thread_cpu_ns;
use crate::progress::Progress;
use crate::report::{Load, Report, cpu_percent};
use crate::run::{Run, TURN_MAX};
use crate::target::ECHO_PATH;

struct Idle;

impl Workload for Idle {
    fn message(&mut self, _connection: usize, message: Message<'_>, _now_ns: u64) -> Result<(), String> {
        let (Message::Text(bytes) | Message::Binary(bytes)) = message;
        Err(format!("a message of {} bytes came, though nothing was asked for", bytes.len()))
    }

    fn fill(&mut self, _connection: usize, _now_ns: u64, _out: &mut Vec<u8>) {}
}

/// Opens the connections, holds them, and reports.
pub(crate) fn run(args: &IdleArgs) -> anyhow::Result<Report> {
    let mut run = Run::prepare("idle", &args.common, ECHO_PATH)?;
    run.open(&mut Idle)?;
    let (held, cpu_ns) = hold(&mut run, args.common.seconds)?;
    let memory = run.memory()?;
    let (cpu_percent, generator_bound) = cpu_percent(cpu_ns, held);
    let counts = run.engine.counts();
    let report = Report {
        command: "idle",
        url: run.url.clone(),
        connections: args.common.connections.get(),
        load: Load::None,
        size_bytes: None,
        seconds: held.as_secs_f64(),
        opening_seconds: run.opening.as_secs_f64(),
        sent: 0,
        acked: 0,
        delivered: 0,
        lost: 0,
        duplicated: 0,
        out_of_order: 0,
        unsent: 0,
        per_second: 0.0,
        latencies_us: std::collections::BTreeMap::new(),
        closed: counts.closed,
        closed_reasons: counts.reasons.clone(),
        pings: counts.pings,
        cpu_percent,
        generator_bound,
        memory,
        interrupted: run.interrupt.requested(),
    };
    run.engine.close()?;
    Ok(report)
}

/// Holds the connections for `length`; gives how long it was and the CPU time that it took.
fn hold(run: &mut Run, length: Duration) -> anyhow::Result<(Duration, u64)> {
    let (started, cpu_before_ns) = (Instant::now(), thread_cpu_ns());
    let mut progress = Progress::new("holding", length.as_millis() as u64);
    while started.elapsed() < length && run.engine.open_now() > 0 && !run.interrupt.requested() {
        run.engine.turn(&mut Idle, length.saturating_sub(started.elapsed()).min(TURN_MAX))?;
        let (open, counts) = (run.engine.open_now(), run.engine.counts());
        progress.show(started.elapsed().as_millis() as u64, || {
            format!("{open} open, {} lost, {} pings answered", counts.closed, counts.pings)
        });
    }
    Ok((started.elapsed(), thread_cpu_ns() - cpu_before_ns))
}
