//! Loads whose instructions, or bytes on the heap, are counted: `counts` lists them, `counts LOAD ROUNDS` runs one.
//!
//! Owns the loads. Counting them and comparing with what is committed beside this is `cargo xtask counts`, which takes the
//! difference between two runs of which one has twice the rounds: what they share, from the loader to the making of accounts,
//! counts for nothing. So a load reads no clock and draws nothing by chance, and each of its rounds does the same.

mod append;
mod deliver;
mod group;
mod idle;
mod parse;
mod search;

use std::process::ExitCode;

use schema::Encoding;

/// One load.
struct Load {
    name: &'static str,
    counts: Counts,
    /// Rounds of the shorter run: enough that what a round leaves behind for the next one is even.
    rounds: u32,
    /// Units of a round, and what one is.
    units: u32,
    unit: &'static str,
    run: fn(u32),
}

/// The measure of a load.
enum Counts {
    /// Instructions of the whole run.
    Instructions,
    /// Bytes that are allocated when it ends.
    Bytes,
}

const LOADS: [Load; 7] = [
    Load {
        name: "parse-json",
        counts: Counts::Instructions,
        rounds: 2_000,
        units: 1,
        unit: "a client's frame with a send in JSON, to its command",
        run: |rounds| parse::run(Encoding::Json, rounds),
    },
    Load {
        name: "parse-flatbuffers",
        counts: Counts::Instructions,
        rounds: 2_000,
        units: 1,
        unit: "a client's frame with a send in FlatBuffers, to its command",
        run: |rounds| parse::run(Encoding::Fb, rounds),
    },
    Load {
        name: "deliver",
        counts: Counts::Instructions,
        rounds: 8,
        units: deliver::SESSIONS,
        unit: "each of 500 sessions: a message from the hint to the frame, and the next question",
        run: deliver::run,
    },
    Load {
        name: "append",
        counts: Counts::Instructions,
        rounds: 8,
        units: append::BATCH,
        unit: "a direct message in a batch of 100",
        run: append::run,
    },
    Load {
        name: "search-word",
        counts: Counts::Instructions,
        rounds: 4,
        units: 1,
        unit: "a page of 20 hits for a common word, in 2,000 messages of 20 channels",
        run: |rounds| search::run(search::Query::Word, rounds),
    },
    Load {
        name: "search-two-words",
        counts: Counts::Instructions,
        rounds: 4,
        units: 1,
        unit: "a page for two words, in the same",
        run: |rounds| search::run(search::Query::TwoWords, rounds),
    },
    Load {
        name: "idle-session",
        counts: Counts::Bytes,
        rounds: 2_000,
        units: 1,
        unit: "a session that is logged in and idle, in the router: bytes that are allocated for it",
        run: idle::run,
    },
];

#[expect(clippy::print_stdout, reason = "the list is its output")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => {
            for Load { name, counts, rounds, units, unit, .. } in &LOADS {
                let counts = match counts {
                    Counts::Instructions => "instructions",
                    Counts::Bytes => "bytes",
                };
                println!("{name}\t{counts}\t{rounds}\t{units}\t{unit}");
            }
            return ExitCode::SUCCESS;
        }
        [name, rounds] => {
            let load = LOADS.iter().find(|load| load.name == name);
            if let (Some(load), Ok(rounds)) = (load, rounds.parse()) {
                (load.run)(rounds);
                return ExitCode::SUCCESS;
            }
        }
        _ => {}
    }
    eprintln!("counts: usage: counts [LOAD ROUNDS]; without arguments it lists the loads");
    ExitCode::FAILURE
}
