//! `sim`: runs seeds of a whole node, prints their hashes, and stops at the first that shows a violation. `sim storage`: the same
//! of the storage layers alone, thousands of seeds at a time.

mod storage;

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sim::options::Plan;
use sim::{Options, Outcome, Planted, Workload};

/// The node in hostile simulated worlds, and the checkers of what must hold in them.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Runs this seed.
    #[arg(long, required_unless_present = "seeds", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Runs all of A..B, both included, and stops at the first violation.
    #[arg(long, value_name = "A..B", value_parser = parse_seeds)]
    seeds: Option<RangeInclusive<u64>>,
    /// What there is most of in a run.
    #[arg(long, value_name = "NAME", default_value_t)]
    workload: Workload,
    /// Plants a bug, which a checker should catch.
    #[arg(long, value_name = "NAME")]
    planted: Option<Planted>,
    /// Prints every line of the trace.
    #[arg(long)]
    trace: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The storage layers alone: appenders, takeovers and readers over a database in which everything goes wrong.
    Storage(storage::Args),
}

fn parse_seeds(text: &str) -> anyhow::Result<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").context("expected A..B, as in 1..50")?;
    let (first, last) = (first.parse()?, last.trim_start_matches('=').parse()?);
    anyhow::ensure!(first <= last, "{first} is after {last}");
    Ok(first..=last)
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(Command::Storage(args)) = &args.command {
        return storage::run(args);
    }
    let options = |seed| Options { seed, workload: args.workload, planted: args.planted, trace: args.trace };
    let mut out = io::stdout().lock();
    let alone = args.seed.map(|seed| seed..=seed);
    let seeds = args.seeds.clone().or(alone).context("give --seed or --seeds")?;
    let mut races = 0;
    for seed in seeds {
        let options = options(seed);
        if args.seeds.is_none() {
            writeln!(out, "seed {seed}\n{:?}", Plan::of(options))?;
        }
        let outcome = sim::run(options);
        report(&mut out, options, &outcome, args.seeds.is_none())?;
        if outcome.violation.is_some() {
            return Ok(ExitCode::FAILURE);
        }
        races += outcome.races;
    }
    if args.seeds.is_some() {
        writeln!(out, "{races} removals raced with sends")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn report(out: &mut impl Write, options: Options, outcome: &Outcome, alone: bool) -> io::Result<()> {
    match &outcome.violation {
        None if alone => writeln!(out, "{}\nholds\nhash {:016x}", outcome.summary, outcome.hash),
        None => writeln!(out, "seed {} holds, hash {:016x}: {}", options.seed, outcome.hash, outcome.summary),
        Some(violation) => {
            if !options.trace {
                outcome.last.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            }
            writeln!(out, "{}\nviolated {violation}\nhash {:016x}", outcome.summary, outcome.hash)?;
            writeln!(out, "seed {}, repeat with: {}", options.seed, options.command())
        }
    }
}
