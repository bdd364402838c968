//! `sim`: runs seeds of a whole node, prints their hashes, and stops at the first that shows a violation. `sim
//! storage`: the same of the storage layers alone, thousands of seeds at a time.

mod storage;

use std::fmt::Display;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use sim::{Met, Options, Outcome, Plan, Planted, Workload};

/// The node in hostile simulated worlds, and the checkers of what must hold in them.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    seeds: Seeds,
    /// What there is most of in a run.
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    workload: Workload,
    /// Plants a bug, which a checker should catch.
    #[arg(long, value_name = "NAME", value_enum)]
    planted: Option<Planted>,
}

/// Which seeds, and how much is said of them.
#[derive(Debug, clap::Args)]
struct Seeds {
    /// Runs this seed, and prints its plan.
    #[arg(long, required_unless_present = "seeds", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Runs seeds 1 to N, or all of A..B, both included.
    #[arg(long, value_name = "N|A..B", value_parser = parse_seeds)]
    seeds: Option<RangeInclusive<u64>>,
    /// Prints every line of the trace.
    #[arg(long)]
    trace: bool,
}

impl Seeds {
    fn range(&self) -> anyhow::Result<RangeInclusive<u64>> {
        self.seeds.clone().or(self.seed.map(|seed| seed..=seed)).context("give --seed or --seeds")
    }

    /// What one seed came to, with the lines that led to a violation, and the command that repeats it.
    fn report(
        &self,
        out: &mut impl Write,
        seed: u64,
        outcome: &Outcome<impl Display>,
        command: &str,
    ) -> io::Result<()> {
        let Outcome { hash, violation, last, done } = outcome;
        if violation.is_some() && !self.trace {
            last.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        match violation {
            None => writeln!(out, "{done}\nholds\nhash {hash:016x}"),
            Some(violation) => {
                writeln!(out, "{done}\nviolated {violation}\nhash {hash:016x}\nseed {seed}, repeat with: {command}")
            }
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The storage layers alone: appenders, takeovers and readers over a database in which everything goes wrong.
    Storage(storage::Args),
}

fn parse_seeds(text: &str) -> anyhow::Result<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").unwrap_or(("1", text));
    let number =
        |text: &str| text.parse().with_context(|| format!("{text:?} is no seed: N or A..B, as in 50 or 1..50"));
    let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
    anyhow::ensure!(first <= last, "{first} is after {last}");
    Ok(first..=last)
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(Command::Storage(args)) = &args.command {
        return storage::run(args);
    }
    let mut out = io::stdout().lock();
    let is_alone = args.seeds.seed.is_some();
    let mut met = Met::default();
    for seed in args.seeds.range()? {
        let options = Options { seed, workload: args.workload, planted: args.planted, trace: args.seeds.trace };
        if is_alone {
            writeln!(out, "seed {seed}\n{:?}", Plan::of(options))?;
        }
        let outcome = sim::run(options);
        if is_alone || outcome.violation.is_some() {
            args.seeds.report(&mut out, seed, &outcome, &options.command())?;
        } else {
            writeln!(out, "seed {seed} holds, hash {:016x}: {}", outcome.hash, outcome.done)?;
        }
        if outcome.violation.is_some() {
            return Ok(ExitCode::FAILURE);
        }
        met.add(&outcome.done.met);
    }
    if !is_alone {
        writeln!(out, "{met}")?;
    }
    Ok(ExitCode::SUCCESS)
}
