//! `loadgen echo`: messages that a server sends straight back.
//!
//! Owns what is in a message (its number, its due time, its connection) and the proof that each came back unchanged,
//! once and in order; bare with `--raw`, else as commands of sessions.

mod raw;
mod session;
mod tally;

use anyhow::ensure;

use self::raw::RawEcho;
use self::session::{Echoes, STAMP_CHARS};
use self::tally::Tally;
use crate::accounts;
use crate::cli::EchoArgs;
use crate::drive::drive;
use crate::pace::Pace;
use crate::report::{Load, Report};
use crate::run::Run;
use crate::session::Sessions;
use crate::target::{ECHO_PATH, SESSION_PATH};
use schema::limits::ECHO_DATA_BYTES_MAX;

/// Opens the connections, echoes, waits for what is outstanding, and reports.
pub(crate) fn run(args: &EchoArgs) -> anyhow::Result<Report> {
    let common = &args.common;
    // Made after the run is prepared, which refuses numbers that this machine cannot hold.
    let tally = || Tally::new(common.connections.get(), Pace::Closed { pipeline: args.pipeline });
    let load = match args.rate {
        Some(rate) => Load::Open { rate: rate.get() },
        None => Load::Closed { pipeline: args.pipeline.get() },
    };
    let report = Report { load, size_bytes: Some(args.size), ..Report::default() };
    if common.raw {
        let mut run = Run::prepare("echo", common, ECHO_PATH, None)?;
        let mut echo = RawEcho::new(args.size, run.mask, tally());
        run.open(&mut echo)?;
        let memory = run.memory()?;
        let measured = drive(&mut run, &mut echo, args.rate, args.warmup, common.seconds)?;
        return run.finish(&measured, Report { memory, ..echo.tally.report(&measured, report) });
    }
    ensure!(
        (STAMP_CHARS..=ECHO_DATA_BYTES_MAX as usize).contains(&(args.size as usize)),
        "--size {}: an echo in a session has {STAMP_CHARS} to {ECHO_DATA_BYTES_MAX} bytes; larger ones need --raw",
        args.size
    );
    let mut run = Run::prepare("echo", common, SESSION_PATH, Some(common.sessions.encoding()))?;
    let book = accounts::prepare(&common.sessions, common.connections.get(), run.span(args.warmup), &run.interrupt)?;
    let mut echo = Sessions::new(&run, common.sessions.encoding(), &book, Echoes::new(args.size, tally()));
    run.open_sessions(&mut echo)?;
    let memory = run.memory()?;
    let measured = drive(&mut run, &mut echo, args.rate, args.warmup, common.seconds)?;
    run.finish(&measured, Report { memory, ..echo.talk.tally.report(&measured, report) })
}
