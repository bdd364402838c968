//! `loadgen idle`: connections that are open and quiet.
//!
//! Owns the holding. Pings are answered by the engine. On a bare connection any message is unexpected and fails it; a
//! session may be pushed what the node likes.

use std::time::{Duration, Instant};

use schema::{ErrorReply, Push, Reply, Request};

use crate::accounts;
use crate::cli::IdleArgs;
use crate::drive::{Measured, Usage};
use crate::engine::{Message, Workload};
use crate::progress::Progress;
use crate::report::Report;
use crate::run::{Run, TURN_MAX};
use crate::session::{Sessions, Talk};
use crate::target::{ECHO_PATH, SESSION_PATH};

/// Opens the connections, holds them, and reports.
pub(crate) fn run(args: &IdleArgs) -> anyhow::Result<Report> {
    let common = &args.common;
    if common.raw {
        let mut run = Run::prepare("idle", common, ECHO_PATH, None)?;
        run.open(&mut Quiet)?;
        return hold(run, &mut Quiet, common.seconds);
    }
    let encoding = common.sessions.encoding();
    let mut run = Run::prepare("idle", common, SESSION_PATH, Some(encoding))?;
    let book = accounts::prepare(&common.sessions, common.connections.get(), common.seconds, &run.interrupt)?;
    let mut sessions = Sessions::new(&run, encoding, &book, Quiet);
    run.open_sessions(&mut sessions)?;
    hold(run, &mut sessions, common.seconds)
}

/// Holds the connections for `length`.
fn hold(mut run: Run, workload: &mut impl Workload, length: Duration) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut usage = Usage::default();
    usage.begin();
    let mut progress = Progress::new("holding", length.as_millis() as u64);
    while started.elapsed() < length && run.engine.open_now() > 0 && !run.interrupt.requested() {
        run.engine.turn(workload, length.saturating_sub(started.elapsed()).min(TURN_MAX))?;
        let (open, counts) = (run.engine.open_now(), run.engine.counts());
        progress.show(started.elapsed().as_millis() as u64, || {
            format!("{open} open, {} lost, {} pings answered", counts.closed, counts.pings)
        });
    }
    drop(progress);
    let (cpu_ns, wait_ns) = usage.end();
    let memory = run.memory()?;
    run.finish(&Measured { length: started.elapsed(), cpu_ns, wait_ns }, Report { memory, ..Report::default() })
}

/// Says nothing.
struct Quiet;

impl Workload for Quiet {
    fn message(&mut self, _connection: usize, message: Message<'_>, _now_ns: u64) -> Result<(), String> {
        let (Message::Text(bytes) | Message::Binary(bytes)) = message;
        Err(format!("a message of {} bytes came, though nothing was asked for", bytes.len()))
    }

    fn fill(&mut self, _connection: usize, _now_ns: u64, _out: &mut Vec<u8>) {}
}

impl Talk for Quiet {
    fn reply(
        &mut self,
        _connection: usize,
        id: u32,
        _reply: Result<Reply, ErrorReply>,
        _now_ns: u64,
    ) -> Result<(), String> {
        Err(format!("a reply to request {id} came, though nothing was asked for"))
    }

    fn push(&mut self, _connection: usize, _push: Push, _now_ns: u64) -> Result<(), String> {
        Ok(())
    }

    fn next(&mut self, _connection: usize, _now_ns: u64) -> Option<Request> {
        None
    }
}
