//! `cargo xtask bench`: echo through rookery beside the baselines in this repository, in turn within one run.
//!
//! Owns the order of runs and what is told of them; `loadgen` owns the load and what it measures, `servers` the programs.
//! Servers are on one core and the generator on another, so what a machine does beside it hits all of them; the figures
//! that it spoils least are processor time a message and its ratio.

mod servers;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::Value;

use self::servers::Server;
use crate::nodes::{Profile, Programs, say};

const EXAMPLES: &str = "Examples:
  Rookery beside both baselines, 100 connections, 60,000 messages a second, five rounds:
      cargo xtask bench

  As the driver is judged with many connections; two builds of rookery in turn, say before and after a change:
      cargo xtask bench --connections 5000 --rate 50000 --rookery /tmp/before/rookery --against tungstenite

  As fast as the server can, one message outstanding on each connection; one frame to 1,000 sockets:
      cargo xtask bench --rate 0
      cargo bench -p gateway --bench fan_out

A round starts each server anew on core 0, has loadgen send from core 1, and stops it. Medians are over rounds. A ratio is the
baseline's processor time a message over rookery's: 2.0 says that rookery does with half of it. A round trip is timed from when its
message was due. Where loadgen itself was the bound it says so, and the round trips are its own.";

/// What is compared, and under which load.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// Connections, all open before anything is measured
    #[arg(long, default_value_t = 100)]
    connections: u32,
    /// Messages a second over all; 0: each connection sends when its last message is back
    #[arg(long, default_value_t = 60_000)]
    rate: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 64)]
    size: u32,
    /// How long each server is measured in a round
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// How often each has its turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What rookery is compared with; may be repeated
    #[arg(long, value_enum, default_values_t = [Baseline::Tungstenite, Baseline::Glommio])]
    against: Vec<Baseline>,
    /// Another build of rookery that has its turn too
    #[arg(long, value_name = "FILE")]
    rookery: Option<std::path::PathBuf>,
    /// How the programs are built
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// Run what was built before
    #[arg(long)]
    no_build: bool,
}

/// A server of this repository that is there to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Baseline {
    /// tokio and tokio-tungstenite, a task a connection (gateway/examples/echo_tungstenite.rs)
    Tungstenite,
    /// glommio's own sockets, a task a connection (gateway/examples/echo_glommio_stream.rs)
    Glommio,
}

impl Baseline {
    fn example(self) -> &'static str {
        match self {
            Self::Tungstenite => "echo_tungstenite",
            Self::Glommio => "echo_glommio_stream",
        }
    }
}

/// One server's turn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Turn {
    per_second: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    /// Whether loadgen was the bound.
    is_bound: bool,
}

/// Builds, runs and prints.
///
/// # Errors
/// If something cannot be built or started, or loadgen lost a message.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    let programs = if bench.no_build {
        Programs::built(bench.profile)?
    } else {
        Programs::build(&["gateway", "loadgen"], bench.profile)?
    };
    if !bench.no_build {
        let names: Vec<&str> = bench.against.iter().map(|baseline| baseline.example()).collect();
        Programs::build_examples("gateway", &names, bench.profile)?;
    }
    let mut servers = vec![("rookery", Server::Rookery(programs.path("rookery")))];
    servers.extend(bench.rookery.iter().map(|path| ("the other rookery", Server::Rookery(path.clone()))));
    for baseline in &bench.against {
        let name = baseline.example();
        servers.push((name, Server::Example(programs.path("examples").join(name))));
    }
    let mut turns: BTreeMap<&str, Vec<Turn>> = BTreeMap::new();
    for round in 1..=bench.rounds {
        for (name, server) in &servers {
            let turn =
                turn(bench, &programs.path("loadgen"), server).with_context(|| format!("{name}, round {round}"))?;
            say(&format!(
                "round {round}: {name} {:.0} a second, {:.1} us of processor a message, round trip {:.0} us, p99 {:.0} us{}",
                turn.per_second,
                turn.cpu_us,
                turn.p50_us,
                turn.p99_us,
                if turn.is_bound { "; loadgen was the bound" } else { "" }
            ));
            turns.entry(name).or_default().push(turn);
        }
    }
    let names: Vec<&str> = servers.iter().map(|(name, _)| *name).collect();
    crate::show(table(&names, &turns));
    Ok(())
}

/// Starts a server, has loadgen send, and stops it.
fn turn(bench: &Bench, loadgen: &Path, server: &Server) -> Result<Turn> {
    let running = server.start()?;
    let mut load = Command::new(loadgen);
    load.args(["echo", "--raw", "--json", "--cpu", "1", "--warmup", "0.5", "--url"]).arg(running.url());
    load.args(["--pid", &running.pid().to_string(), "--connections", &bench.connections.to_string()]);
    load.args(["--seconds", &bench.seconds.to_string(), "--size", &bench.size.to_string()]);
    if bench.rate > 0 {
        load.args(["--rate", &bench.rate.to_string()]);
    }
    let output = load.output().with_context(|| format!("cannot run {}", loadgen.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "loadgen: {}: {said}", output.status);
    running.stop()?;
    let report: Value = serde_json::from_slice(&output.stdout).context("loadgen reports JSON")?;
    measured(&report).with_context(|| format!("not in loadgen's report: {report}"))
}

/// What a report says. Processor time is of the seconds that were measured, in which nobody connects.
fn measured(report: &Value) -> Option<Turn> {
    let (mut cpu_us, mut delivered) = (0.0, 0.0);
    for second in report["by_second"].as_array()? {
        cpu_us += second["server_cpu_percent"].as_f64()? / 100.0 * second["seconds"].as_f64()? * 1e6;
        delivered += second["delivered"].as_f64()?;
    }
    let latencies = &report["latencies_us"]["echo"];
    Some(Turn {
        per_second: report["per_second"].as_f64()?,
        cpu_us: cpu_us / delivered,
        p50_us: latencies["p50"].as_f64()?,
        p99_us: latencies["p99"].as_f64()?,
        is_bound: report["figures_of"].as_str()? != "server",
    })
}

/// Medians, and the ratios of each server's to the first one's.
fn table(names: &[&str], turns: &BTreeMap<&str, Vec<Turn>>) -> String {
    let medians = |name: &str, of: fn(&Turn) -> f64| median(turns[name].iter().map(of).collect());
    let mut text = format!(
        "{:<20} {:>10} {:>14} {:>7} {:>12} {:>7} {:>8}\n",
        "medians", "a second", "processor us", "ratio", "round trip", "ratio", "p99"
    );
    let first = names[0];
    let (first_cpu, first_p50) = (medians(first, |turn| turn.cpu_us), medians(first, |turn| turn.p50_us));
    for &name in names {
        let (cpu, p50) = (medians(name, |turn| turn.cpu_us), medians(name, |turn| turn.p50_us));
        let (rate, p99) = (medians(name, |turn| turn.per_second), medians(name, |turn| turn.p99_us));
        let bound = turns[name].iter().filter(|turn| turn.is_bound).count();
        let bound = if bound > 0 { format!("  loadgen was the bound {bound} times") } else { String::new() };
        text += &format!(
            "{name:<20} {rate:>10.0} {cpu:>14.2} {:>7.2} {p50:>12.0} {:>7.2} {p99:>8.0}{bound}\n",
            cpu / first_cpu,
            p50 / first_p50
        );
    }
    text
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn processor_time_is_of_the_seconds_that_were_measured() {
        let report = json!({
            "per_second": 1000.0, "figures_of": "server", "latencies_us": {"echo": {"p50": 40.0, "p99": 90.0}},
            "by_second": [
                {"seconds": 1.0, "server_cpu_percent": 2.0, "delivered": 1000},
                {"seconds": 0.5, "server_cpu_percent": 4.0, "delivered": 500},
            ],
        });
        let turn = measured(&report).expect("all is there");
        assert_eq!((turn.per_second, turn.p50_us, turn.p99_us, turn.is_bound), (1000.0, 40.0, 90.0, false));
        assert!((turn.cpu_us - 40_000.0 / 1_500.0).abs() < 1e-9, "{turn:?}");
        assert_eq!(measured(&json!({"per_second": 5})), None);
    }

    #[test]
    fn a_ratio_is_of_medians_to_the_first_servers() {
        let turn =
            |cpu_us| Turn { per_second: 100.0, cpu_us, p50_us: cpu_us * 2.0, p99_us: 9.0, is_bound: cpu_us > 30.0 };
        let turns = BTreeMap::from([
            ("rookery", vec![turn(10.0), turn(90.0), turn(12.0)]),
            ("other", vec![turn(24.0), turn(25.0), turn(2.0)]),
        ]);
        let table = table(&["rookery", "other"], &turns);
        let other: Vec<&str> = table.lines().last().expect("a line").split_whitespace().collect();
        assert_eq!(other, ["other", "100", "24.00", "2.00", "48", "2.00", "9"]);
        assert!(table.contains("loadgen was the bound 1 times"), "{table}");
    }
}
