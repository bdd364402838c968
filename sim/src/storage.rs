//! `sim storage`: seeds of the storage layers, one line for each that shows a violation, and what all of them came to.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sim::layers::options::Plan;
use sim::layers::{Broken, Counts, Options, run as run_seed};

use crate::Seeds;

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// Failing seeds that are told one by one.
const VIOLATIONS_TOLD_MAX: u64 = 20;

/// `sim storage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    seeds: Seeds,
    /// Whether appends read at the version of their shard's last commit; by default those of even seeds do.
    #[arg(long, value_name = "BOOL")]
    chained: Option<bool>,
    /// Whether users are notified; by default they are in two of four seeds.
    #[arg(long, value_name = "BOOL")]
    notices: Option<bool>,
    /// Whether applications have webhooks; by default they have in one of three seeds.
    #[arg(long, value_name = "BOOL")]
    hooks: Option<bool>,
    /// Whether users post and read their feeds; by default they do in two of five seeds.
    #[arg(long, value_name = "BOOL")]
    posts: Option<bool>,
    /// Plants a bug, which the checkers should catch.
    #[arg(long, value_name = "NAME", value_enum)]
    broken: Option<Broken>,
    /// Prints the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// What all seeds came to.
#[derive(Debug, Default)]
struct Totals {
    seeds: u64,
    chained: u64,
    violated: u64,
    first_violated: Option<u64>,
    counts: Counts,
}

impl Totals {
    fn to_json(&self, seconds: f64) -> Value {
        let numbers = |by_kind: Vec<(&str, u64)>| -> Map<String, Value> {
            by_kind.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
        };
        let Counts { done, injected } = self.counts;
        json!({
            "seeds": self.seeds, "chained": self.chained, "violated": self.violated, "first_violated": self.first_violated,
            "done": numbers(done.by_kind()), "injected": numbers(injected.by_kind()), "seconds": seconds,
        })
    }

    fn to_text(&self, seconds: f64) -> String {
        let Self { seeds, chained, violated, first_violated, counts } = self;
        let first = first_violated.map(|first| format!(", the first is {first}")).unwrap_or_default();
        format!("{seeds} seeds ({chained} with chained reads) in {seconds:.1} s: {violated} violated{first}\n{counts}")
    }
}

/// Runs them. Failure if any shows a violation.
#[expect(clippy::disallowed_methods, reason = "how long a person waits is no part of a run")]
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let seeds = args.seeds.range()?;
    let told_alone = args.seeds.seed.is_some() && !args.json;
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut totals = Totals::default();
    let last = *seeds.end();
    for seed in seeds {
        let options = Options {
            seed,
            chained: args.chained,
            notices: args.notices,
            hooks: args.hooks,
            posts: args.posts,
            broken: args.broken,
            trace: args.seeds.trace,
        };
        if told_alone {
            writeln!(out, "seed {seed}, chained reads: {}\n{:?}", options.is_chained(), Plan::of(&options))?;
        }
        let outcome = run_seed(options);
        totals.seeds += 1;
        totals.chained += u64::from(options.is_chained());
        totals.counts.done.add(&outcome.done.done);
        totals.counts.injected.add(&outcome.done.injected);
        if told_alone {
            args.seeds.report(&mut out, seed, &outcome, &options.command())?;
        }
        if let Some(violation) = &outcome.violation {
            totals.violated += 1;
            totals.first_violated.get_or_insert(seed);
            if !told_alone && !args.json && totals.violated <= VIOLATIONS_TOLD_MAX {
                writeln!(out, "seed {seed} violates {violation}; repeat with: {}", options.command())?;
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
    } else if !told_alone {
        writeln!(out, "{}", totals.to_text(seconds))?;
    }
    Ok(if totals.violated == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
