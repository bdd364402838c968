//! `loadgen`: WebSocket clients by the hundred thousand from one thread, and honest figures about the server.
//!
//! Owns the process: arguments in, a report on standard output, an exit code. Everything else goes to standard error.

mod accounts;
mod api;
mod calibrate;
mod catch_up;
mod chat;
mod child;
mod cli;
mod compare;
mod condition;
mod crowd;
mod drive;
mod echo;
mod engine;
mod fleet;
mod idle;
mod interrupt;
mod judge;
mod live;
mod machine;
mod metrics;
mod million;
mod output;
mod pace;
mod page;
mod parallel;
mod plan;
mod presence;
mod process;
mod progress;
mod reconnect;
mod report;
mod run;
mod sampler;
mod scenario;
mod sequence;
mod session;
mod stamp;
mod target;
mod token;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Command, FleetCommand, Measurement};
use crate::output::Outputs;
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
    match &cli.command {
        Command::Measure(Measurement::Chat(args)) if args.scenario.is_some() => {
            said(args.common.outputs.json, scenario::run(args)?)
        }
        Command::Measure(measurement) => measure(measurement),
        Command::Fleet(command) => by_workers(command),
        Command::Compare(args) => {
            let compared = compare::run(&args.before, &args.after)?;
            print(&if args.json { compared.json() + "\n" } else { compared.text() })?;
            Ok(true)
        }
        Command::Plan(args) => {
            let plan = plan::run(&args.profile, args.constants.as_deref())?;
            print(&if args.json { plan.json() + "\n" } else { plan.text() })?;
            Ok(true)
        }
        Command::Calibrate(args) => {
            print(&calibrate::run(args)?)?;
            Ok(true)
        }
    }
}

/// Has workers carry out a command, or is one.
fn by_workers(command: &FleetCommand) -> anyhow::Result<bool> {
    let (json, outcome) = match command {
        FleetCommand::Million(args) => (args.json, million::run(args)?),
        FleetCommand::Storm(args) => (args.target.json, fleet::storm::run(args)?),
        FleetCommand::Churn(args) => (args.target.json, fleet::churn::run(args)?),
        FleetCommand::Fanout(args) => (args.target.json, fleet::fanout::run(args)?),
        FleetCommand::SlowReaders(args) => (args.target.json, fleet::slow_readers::run(args)?),
        FleetCommand::Worker => crowd::run(),
        FleetCommand::Child { parent, program } => child::become_program(*parent, program)?,
    };
    said(json, outcome)
}

fn said(json: bool, outcome: fleet::Outcome) -> anyhow::Result<bool> {
    print(&if json { outcome.json + "\n" } else { outcome.text })?;
    Ok(outcome.clean)
}

fn measure(measurement: &Measurement) -> anyhow::Result<bool> {
    let common = measurement.common();
    judge::ensure_known(measurement, &common.fail_if)?;
    let outputs = Outputs::open(&common.outputs)?;
    let report = match measurement {
        Measurement::Echo(args) => echo::run(args)?,
        Measurement::Idle(args) => idle::run(args)?,
        Measurement::Chat(args) => chat::run(args)?,
        Measurement::CatchUp(args) => catch_up::run(args)?,
        Measurement::Presence(args) => presence::run(args)?,
    };
    let judged = judge::judged(&report, &common.fail_if);
    let report = Report { judged, ..report };
    print(&if common.outputs.json { report.json() + "\n" } else { report.text() })?;
    outputs.write(&report)?;
    // Beside the report, for the log of whoever reads that as JSON.
    for judgement in report.judged.iter().filter(|judgement| !judgement.passes()) {
        eprintln!("loadgen: {}", judgement.row());
    }
    Ok(report.clean() && report.judged.iter().all(Judgement::passes))
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write the report")
}
