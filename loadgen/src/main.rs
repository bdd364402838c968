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
mod feed;
mod fleet;
mod idle;
mod interrupt;
mod judge;
mod launch;
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
mod status;
mod target;
mod token;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, Command, FleetCommand, Measurement, ReportArgs};
use crate::judge::outline;
use crate::output::Outputs;
use crate::report::{Judgement, Report};
use crate::scenario::Scenario;

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
        Command::Measure(measurement) => measure(measurement),
        Command::Fleet(command) => by_workers(command),
        Command::Feed(args) => reported(&args.report, &outline::of_feed(args), || feed::run(args)),
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
    let run = || match command {
        FleetCommand::Million(args) => million::run(args),
        FleetCommand::Storm(args) => fleet::storm::run(args),
        FleetCommand::Churn(args) => fleet::churn::run(args),
        FleetCommand::Fanout(args) => fleet::fanout::run(args),
        FleetCommand::SlowReaders(args) => fleet::slow_readers::run(args),
        FleetCommand::Worker => crowd::run(),
        FleetCommand::Child { parent, program } => child::become_program(*parent, program)?,
    };
    match outline::of_fleet(command) {
        Some((outline, args)) => reported(args, &outline, run),
        // A worker or a child, which does not come back.
        None => run().map(|report| report.clean()),
    }
}

fn measure(measurement: &Measurement) -> anyhow::Result<bool> {
    let common = measurement.common();
    let scenario = match measurement {
        Measurement::Chat(args) => args.scenario.as_deref().map(Scenario::read).transpose()?,
        _ => None,
    };
    let outline = match &scenario {
        Some(scenario) => outline::of_scenario(&scenario.names(), common.pid),
        None => outline::of(measurement),
    };
    reported(&common.report, &outline, || match (measurement, &scenario) {
        (Measurement::Chat(args), Some(scenario)) => scenario::run(args, scenario),
        (Measurement::Echo(args), _) => echo::run(args),
        (Measurement::Idle(args), _) => idle::run(args),
        (Measurement::Chat(args), None) => chat::run(args),
        (Measurement::CatchUp(args), _) => catch_up::run(args),
        (Measurement::Presence(args), _) => presence::run(args),
    })
}

/// Has a run judged and written where it was asked for; `true` if it was clean and all is held. What cannot be judged or
/// written is refused before the run.
fn reported(args: &ReportArgs, outline: &Report, run: impl FnOnce() -> anyhow::Result<Report>) -> anyhow::Result<bool> {
    judge::ensure_known(outline, &args.fail_if)?;
    let outputs = Outputs::open(args)?;
    let report = run()?;
    let judged = judge::judged(&report, &args.fail_if);
    let report = Report { judged, ..report };
    print(&if args.json { report.json() + "\n" } else { report.text() })?;
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
