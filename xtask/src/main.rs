//! Command line of the repository's chores: `cargo xtask <chore>`.
//!
//! Owns the list of them. Each chore is a file.

mod arrows;
mod bench;
mod chaos;
mod cluster;
mod counts;
mod fakes;
mod flatbuffers;
#[cfg(test)]
mod invariants;
mod keys;
mod lines;
mod nodes;
mod notify;
mod sessions;
mod sources;

use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser};

/// Chores of the repository.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
enum Chore {
    /// The gate: formatting, lints, tests, simulator seeds (.ci/run)
    Ci,
    /// Write schema/src/generated from schema/*.fbs
    Flatbuffers(Mode),
    /// Write the table of keys in docs/foundationdb.md from the code
    Keys(Mode),
    /// Count instructions of parsing, delivery, appends and searches, and bytes of a session, under valgrind: counts/figures.txt
    Counts(Mode),
    /// Show the arrows between crates and between their folders, and circles
    Arrows,
    /// Compare echo through rookery with the baselines in this repository: processor time and round trips, in turn
    Bench(bench::Bench),
    /// Run a cluster on this machine until Ctrl-C: the stand-in of FoundationDB and several nodes
    Cluster(cluster::Cluster),
    /// Have loadgen talk to a cluster on this machine while its nodes are killed, paused, restarted or joined by another
    Chaos(chaos::Chaos),
    /// Run a stand-in of each service that notifications go to until Ctrl-C: what arrives, a line each
    Fakes(fakes::Fakes),
    /// Have a node send many notifications to stand-ins, in trouble or not: how fast, at what cost, and that none is lost
    Notify(notify::Notify),
    /// Measure a node's memory for each idle session, by JSON, STOMP and event streams, in turn
    Sessions(sessions::Sessions),
    /// Count lines of code by crate: product, tests, tools, generated
    Lines {
        /// Of this commit; of the working tree without one
        commit: Option<String>,
    },
}

/// What to do about a difference between what is generated and what is committed.
#[derive(Debug, Clone, Copy, Args)]
struct Mode {
    /// Fail if that would change anything
    #[arg(long)]
    check: bool,
}

#[expect(clippy::print_stdout, reason = "a program for people at a terminal")]
fn show(text: String) {
    print!("{text}");
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Ci => gate(),
        Chore::Flatbuffers(mode) => flatbuffers::run(mode),
        Chore::Keys(mode) => keys::run(mode),
        Chore::Counts(mode) => counts::run(mode),
        Chore::Arrows => arrows::print().map(show),
        Chore::Bench(bench) => bench::run(&bench),
        Chore::Cluster(cluster) => cluster::run(&cluster),
        Chore::Chaos(chaos) => return exit(chaos::run(&chaos)),
        Chore::Fakes(options) => fakes::run(&options),
        Chore::Notify(options) => notify::run(&options),
        Chore::Sessions(options) => sessions::run(&options),
        Chore::Lines { commit } => lines::table(commit.as_deref()).map(show),
    };
    exit(done.map(|()| ExitCode::SUCCESS))
}

fn exit(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

/// Runs the gate where it lies, with this terminal.
fn gate() -> anyhow::Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/run");
    let status = Command::new("bash").arg(script).status().context("cannot run bash")?;
    anyhow::ensure!(status.success(), "the gate is red: {status}");
    Ok(())
}
