//! Command line of the repository's chores: `cargo xtask <chore>`.
//!
//! Owns the list of them. Each chore is a file.

mod arrows;
mod flatbuffers;
#[cfg(test)]
mod invariants;
mod keys;
mod lines;
mod sources;

use std::process::{Command, ExitCode};

use anyhow::Context as _;

const USAGE: &str = "\
usage: cargo xtask <chore>

chores:
  ci                    the gate: formatting, lints, tests, simulator seeds (.ci/run)
  flatbuffers           write schema/src/generated from schema/*.fbs
  flatbuffers --check   fail if that would change anything
  keys                  write the table of keys in docs/foundationdb.md from the code
  keys --check          fail if that would change anything
  arrows                show the arrows between crates and between their folders, and circles
  lines [commit]        count lines of code by crate: product, tests, tools, generated
";

/// What to do about a difference between what is generated and what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Write what was generated.
    Write,
    /// Fail.
    Check,
}

#[expect(clippy::print_stdout, reason = "a program for people at a terminal")]
fn show(text: String) {
    print!("{text}");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["ci"] => gate(),
        ["flatbuffers"] => flatbuffers::run(Mode::Write),
        ["flatbuffers", "--check"] => flatbuffers::run(Mode::Check),
        ["keys"] => keys::run(Mode::Write),
        ["keys", "--check"] => keys::run(Mode::Check),
        ["arrows"] => arrows::print().map(show),
        ["lines"] => lines::table(None).map(show),
        ["lines", commit] => lines::table(Some(commit)).map(show),
        ["help" | "--help"] => {
            show(USAGE.to_owned());
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the gate where it lies, with this terminal.
fn gate() -> anyhow::Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/run");
    let status = Command::new("bash").arg(script).status().context("cannot run bash")?;
    anyhow::ensure!(status.success(), "the gate is red: {status}");
    Ok(())
}
