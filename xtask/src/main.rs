//! One door to the repository's chores: `cargo xtask <chore>`.
//!
//! Owns the list of them. Each chore is a file.

mod flatbuffers;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

chores:
  flatbuffers           write schema/src/generated from schema/*.fbs
  flatbuffers --check   fail if that would change anything
";

#[expect(clippy::print_stdout, reason = "a program for people at a terminal")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["flatbuffers"] => flatbuffers::run(flatbuffers::Mode::Write),
        ["flatbuffers", "--check"] => flatbuffers::run(flatbuffers::Mode::Check),
        ["help" | "--help"] => {
            print!("{USAGE}");
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
