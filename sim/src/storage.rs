//! `sim storage`: seeds of the storage layers, one line for each that shows a violation, and what all of them came to.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Map, Value, json};
use sim::layers::options::Plan;
use sim::layers::{Broken, Done, Injected, Options, Outcome, run as run_seed};

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// Failing seeds that are told one by one.
const VIOLATIONS_TOLD_MAX: u64 = 20;

/// `sim storage`.
#[derive(Debug, clap::Args)]
#[command(after_help = broken_help())]
pub(crate) struct Args {
    /// Runs this seed, and prints its plan.
    #[arg(long, required_unless_present = "seeds", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Runs seeds 1 to N, or all of A..B, both included.
    #[arg(long, value_name = "N|A..B", value_parser = parse_seeds)]
    seeds: Option<RangeInclusive<u64>>,
    /// Whether appends read at the version of their shard's last commit; by default those of even seeds do.
    #[arg(long, value_name = "BOOL")]
    chained: Option<bool>,
    /// Plants a bug, which the checkers should catch.
    #[arg(long, value_name = "NAME")]
    broken: Option<Broken>,
    /// Prints every line of the trace.
    #[arg(long)]
    trace: bool,
    /// Prints the summary as JSON.
    #[arg(long)]
    json: bool,
}

fn broken_help() -> String {
    let lines = Broken::ALL.iter().map(|broken| format!("  {:<28}{}", broken.name(), broken.what()));
    format!("Broken variants:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

fn parse_seeds(text: &str) -> anyhow::Result<RangeInclusive<u64>> {
    if let Ok(count) = text.parse::<u64>() {
        anyhow::ensure!(count > 0, "one seed at least");
        return Ok(1..=count);
    }
    super::parse_seeds(text).context("expected N or A..B, as in 2000 or 1..50")
}

/// What all seeds came to.
#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    chained: u64,
    violated: u64,
    first_violated: Option<u64>,
    done: Done,
    injected: Injected,
}

impl Totals {
    fn add(&mut self, options: Options, outcome: &Outcome) {
        self.seeds += 1;
        self.chained += u64::from(options.is_chained());
        self.done.add(&outcome.done);
        self.injected.add(&outcome.injected);
        if outcome.violation.is_some() {
            self.violated += 1;
            self.first_violated.get_or_insert(options.seed);
        }
    }

    fn to_json(&self, seconds: f64) -> Value {
        let numbers = |by_kind: &[(&str, u64)]| -> Map<String, Value> {
            by_kind.iter().map(|&(name, count)| (name.to_owned(), count.into())).collect()
        };
        json!({
            "seeds": self.seeds, "chained": self.chained, "violated": self.violated, "first_violated": self.first_violated,
            "done": numbers(&self.done.by_kind()), "injected": numbers(&self.injected.by_kind()), "seconds": seconds,
        })
    }

    fn to_text(&self, seconds: f64) -> String {
        let Self { seeds, chained, violated, first_violated, done, injected } = self;
        let done = done.by_kind().map(|(name, count)| format!("{count} {name}")).join(", ");
        let first = first_violated.map(|first| format!(", the first is {first}")).unwrap_or_default();
        format!(
            "{seeds} seeds ({chained} with chained reads) in {seconds:.1} s: {violated} violated{first}\n\
             done: {done}\ninjected: {injected}"
        )
    }
}

/// Runs them. Failure if any shows a violation.
#[expect(clippy::disallowed_methods, reason = "how long a person waits is no part of a run")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let alone = args.seed.map(|seed| seed..=seed);
    let seeds = args.seeds.clone().or(alone).context("give --seed or --seeds")?;
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut totals = Totals::default();
    let last = *seeds.end();
    for seed in seeds {
        let options = Options { seed, chained: args.chained, broken: args.broken, trace: args.trace };
        if args.seeds.is_none() && !args.json {
            writeln!(out, "seed {seed}, chained reads: {}\n{:?}", options.is_chained(), Plan::draw(seed))?;
        }
        let outcome = run_seed(options);
        totals.add(options, &outcome);
        if !args.json {
            match &outcome.violation {
                _ if args.seeds.is_none() => report(&mut out, options, &outcome)?,
                Some(violation) if totals.violated <= VIOLATIONS_TOLD_MAX => {
                    writeln!(out, "seed {seed} violates {violation}; repeat with: {}", options.command())?;
                }
                Some(_) | None => {}
            }
        }
        if told.elapsed() > PROGRESS {
            told = Instant::now();
            eprintln!("{seed} of {last}, {} violated, {:.0} s", totals.violated, began.elapsed().as_secs_f64());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    if args.json {
        writeln!(out, "{}", totals.to_json(seconds))?;
    } else if args.seeds.is_some() {
        writeln!(out, "{}", totals.to_text(seconds))?;
    }
    Ok(if totals.violated == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One seed alone.
fn report(out: &mut impl Write, options: Options, outcome: &Outcome) -> io::Result<()> {
    let Outcome { hash, done, injected, violation, last } = outcome;
    writeln!(out, "{}", done.by_kind().map(|(name, count)| format!("{count} {name}")).join(", "))?;
    writeln!(out, "injected: {injected}")?;
    match violation {
        None => writeln!(out, "holds\nhash {hash:016x}"),
        Some(violation) => {
            if !options.trace {
                last.iter().try_for_each(|line| writeln!(out, "{line}"))?;
            }
            writeln!(out, "violated {violation}\nhash {hash:016x}\nrepeat with: {}", options.command())
        }
    }
}
