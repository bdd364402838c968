//! `loadgen`: WebSocket clients by the hundred thousand from one thread, and honest figures about the server.
//!
//! Owns the process: arguments in, a report on standard output, an exit code. Everything else goes to standard error.

mod accounts;
mod api;
mod catch_up;
mod chat;
mod cli;
mod drive;
mod echo;
mod engine;
mod idle;
mod interrupt;
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

/// The run was carried out, but messages or connections were lost.
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
    let (common, report) = match &cli.command {
        Command::Echo(args) => (&args.common, echo::run(args)?),
        Command::Idle(args) => (&args.common, idle::run(args)?),
        Command::Chat(args) => (&args.common, chat::run(args)?),
        Command::CatchUp(args) => (&args.common, catch_up::run(args)?),
        Command::Presence(args) => (&args.common, presence::run(args)?),
    };
    let text = if common.json { report.json() + "\n" } else { report.text() };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write the report")?;
    Ok(report.clean())
}
