//! `loadgen`: WebSocket clients by the hundred thousand from one thread, and honest figures about the server.
//!
//! Owns the process: arguments in, a report on standard output, an exit code. Everything else goes to standard error.

mod accounts;
mod api;
mod catch_up;
mod chat;
mod cli;
mod condition;
mod drive;
mod echo;
mod engine;
mod idle;
mod interrupt;
mod judge;
mod machine;
mod pace;
mod parallel;
mod presence;
mod process;
mod progress;
mod reconnect;
mod report;
mod run;
mod sampler;
mod sequence;
mod session;
mod stamp;
mod target;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Command};
use crate::report::{Judgement, Report};

/// The run was carried out, but messages or connections were lost, or a condition of `--fail-if` was not held.
const EXIT_UNCLEAN: u8 = 1;
/// The run could not be carried out.
const EXIT_FAILED: u8 = 2;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_UNCLEAN),
        Err(error) => {
            eprintln!("loadgen: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Carries out what was asked for; `true` if it was clean.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    let common = cli.command.common();
    judge::ensure_known(&cli.command, &common.fail_if)?;
    let report = match &cli.command {
        Command::Echo(args) => echo::run(args)?,
        Command::Idle(args) => idle::run(args)?,
        Command::Chat(args) => chat::run(args)?,
        Command::CatchUp(args) => catch_up::run(args)?,
        Command::Presence(args) => presence::run(args)?,
    };
    let judged = judge::judged(&report, &common.fail_if);
    let report = Report { judged, ..report };
    let text = if common.json { report.json() + "\n" } else { report.text() };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write the report")?;
    // Beside the report, for the log of whoever reads that as JSON.
    for judgement in report.judged.iter().filter(|judgement| !judgement.passes()) {
        eprintln!("loadgen: {}", judgement.row());
    }
    Ok(report.clean() && report.judged.iter().all(Judgement::passes))
}
