//! `loadgen echo`: messages that a server sends straight back.
//!
//! Owns what is in a message (its number, its due time, its connection) and the proof that each came back unchanged,
//! once and in order; bare with `--raw`, else as commands of sessions.

mod raw;
mod session;
mod tally;
mod threads;

use anyhow::ensure;

use self::raw::RawEcho;
use self::session::{Echoes, STAMP_CHARS};
use self::tally::Tally;
use crate::cli::EchoArgs;
use crate::drive::drive;
use crate::report::Report;
use crate::run::Run;
use schema::limits::ECHO_DATA_BYTES_MAX;

/// Opens the connections, echoes, waits for what is outstanding, and reports.
pub(crate) fn run(args: &EchoArgs) -> anyhow::Result<Report> {
    let (common, load) = (&args.common, &args.load);
    // Made after the run is prepared, which refuses numbers that this machine cannot hold.
    let tally = || Tally::new(common.connections.get(), load.pipeline);
    let report = Report { load: load.paced(), size_bytes: Some(args.size), ..Report::default() };
    if args.threads.get() > 1 {
        return threads::run(args, &report);
    }
    if common.raw {
        let (mut run, mut echo) = Run::connect_raw("echo", common, |run| RawEcho::new(args.size, run.mask, tally()))?;
        let memory = run.memory()?;
        let measured = drive(&mut run, &mut echo, load, common.seconds)?;
        let report = Report { memory, ..echo.tally.report(&measured, report) };
        return run.finish(measured, report);
    }
    ensure!(
        (STAMP_CHARS..=ECHO_DATA_BYTES_MAX as usize).contains(&(args.size as usize)),
        "--size {}: an echo in a session has {STAMP_CHARS} to {ECHO_DATA_BYTES_MAX} bytes; larger ones need --raw",
        args.size
    );
    let span = common.seconds + load.warmup;
    let (mut run, mut echo) =
        Run::connect("echo", common, span, args.devices, false, |_, _| Ok(Echoes::new(args.size, tally())))?;
    let memory = run.memory()?;
    let measured = drive(&mut run, &mut echo, load, common.seconds)?;
    let report = Report { memory, ..echo.talk.tally.report(&measured, report) };
    run.finish(measured, report)
}
