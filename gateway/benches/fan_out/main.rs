//! Benchmark of fan-out: what one message to all sockets takes of a shard, of a baseline, and of any other server that publishes.
//!
//! Owns the order of rounds: each server has its turn in each, so that what the machine does beside it hits all. Servers are
//! processes of their own on core 0, so that each has its files; their clients are here, on core 1, and drain what comes.
//!
//! ```text
//! cargo bench -p gateway --bench fan_out -- 5000
//! cargo bench -p gateway --bench fan_out -- 5000 --url ws://127.0.0.1:9001/fan --pid $(pidof uws_echo)
//! ```
//! Another server has to send each message to all sockets of the path, the sender's included, without compression; `taskset -c 0`
//! gives it the same core.

mod baseline;
mod client;
mod shard;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};

use self::client::{Clients, Load};

/// Bytes of a message, and how many are sent at once.
const LOADS: [(usize, usize); 9] =
    [(100, 1), (300, 1), (300, 4), (300, 16), (600, 4), (1000, 4), (2000, 4), (4000, 4), (8000, 1)];

#[derive(Parser)]
struct Options {
    /// Sockets of each server.
    #[arg(default_value_t = 1000)]
    sockets: usize,
    /// Another server, and its process; both may be repeated.
    #[arg(long)]
    url: Vec<String>,
    #[arg(long)]
    pid: Vec<u32>,
    /// Rounds of each load, of which medians are told.
    #[arg(long, default_value_t = 21)]
    rounds: usize,
    /// Loads as BYTESxMESSAGES instead of all.
    #[arg(long, value_parser = load)]
    load: Vec<(usize, usize)>,
    /// Is one of the servers, for the benchmark's own use.
    #[arg(long, hide = true)]
    serve: Option<Serve>,
    /// Cargo says so to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn load(text: &str) -> Result<(usize, usize), String> {
    let both = text.split_once('x').and_then(|(bytes, frames)| Some((bytes.parse().ok()?, frames.parse().ok()?)));
    both.ok_or_else(|| format!("{text:?} is not such as 300x4"))
}

#[derive(Clone, Copy, ValueEnum)]
enum Serve {
    /// The driver.
    Shard,
    /// tokio and tokio-tungstenite.
    Baseline,
}

/// A server of this file in a process of its own, which is ended when this is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended already needs nothing.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Serve {
    /// Starts it; gives where it listens.
    fn start(self, sockets: usize) -> anyhow::Result<(Served, String)> {
        let name = self.to_possible_value().context("it has a name")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(sockets.to_string()).args(["--serve", name.get_name()]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("it is piped")?;
        let served = Served(child);
        let mut url = String::new();
        BufReader::new(out).read_line(&mut url)?;
        ensure!(url.starts_with("ws://"), "the {} has not started", name.get_name());
        Ok((served, url.trim().to_owned()))
    }

    fn run(self, sockets: usize) -> anyhow::Result<()> {
        pin(0)?;
        // However the benchmark ends.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match self {
            Self::Shard => shard::serve(sockets, said),
            Self::Baseline => baseline::serve(said),
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is how whoever started this process is told")]
fn said(address: SocketAddr) {
    println!("ws://{address}/fan");
}

/// Has this thread, and those that it will start, run on this core.
fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("there is no core {core}"))
}

/// One of those that are compared.
struct Side {
    name: String,
    clients: Clients,
    _served: Option<Served>,
}

fn sides(options: &Options) -> anyhow::Result<Vec<Side>> {
    let Options { sockets, url, pid, .. } = options;
    ensure!(url.len() == pid.len(), "{} --url and {} --pid: each server has both", url.len(), pid.len());
    let mut sides = Vec::new();
    for (name, serve) in [("shard", Serve::Shard), ("tokio-tungstenite", Serve::Baseline)] {
        let (served, url) = serve.start(*sockets)?;
        let clients = Clients::connect(&url, served.0.id(), *sockets)?;
        sides.push(Side { name: name.to_owned(), clients, _served: Some(served) });
    }
    for (url, &pid) in url.iter().zip(pid) {
        sides.push(Side { name: url.clone(), clients: Clients::connect(url, pid, *sockets)?, _served: None });
    }
    Ok(sides)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(serve) = options.serve {
        return serve.run(options.sockets);
    }
    ensure!(options.rounds > 0, "--rounds 0 measures nothing");
    pin(1)?;
    let mut sides = sides(&options)?;
    eprintln!("{} sockets, medians of {} rounds in alternation", options.sockets, options.rounds);
    let loads = if options.load.is_empty() { LOADS.to_vec() } else { options.load };
    for (payload_bytes, frames) in loads {
        let mut rounds: Vec<Vec<client::Round>> = sides.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (side, rounds) in sides.iter_mut().zip(&mut rounds) {
                let round = side.clients.round(Load { payload_bytes, frames });
                rounds.push(round.with_context(|| side.name.clone())?);
            }
        }
        eprintln!("{frames} messages of {payload_bytes} bytes at once:");
        let medians = |of: fn(&client::Round) -> f64| -> Vec<f64> {
            rounds.iter().map(|rounds| median(rounds.iter().map(of).collect())).collect()
        };
        let (cpu, rate) = (medians(|round| round.cpu_ns_per_delivery), medians(|round| round.deliveries_per_second));
        for ((side, cpu_ns), rate_here) in sides.iter().zip(&cpu).zip(&rate) {
            eprintln!(
                "  {:<28} {cpu_ns:>7.0} ns of processor a delivery ({:.2} of the shard's) {rate_here:>10.0} deliveries a second",
                side.name,
                cpu_ns / cpu[0]
            );
        }
    }
    Ok(())
}
