//! Appends a second on the foundationdb engine over the stand-in, beside those on the embedded engine.
//!
//! `cargo run --release -p standin --example engines_rate -- [seconds] [rounds] [directory]`. One shard on one thread
//! keeps so many appends queued or in flight. The engines take turns, each time with a store that is empty, so that a
//! busy machine is as busy for each; printed are medians over the rounds, and their ratio to the embedded engine's. The
//! stand-in's server runs in this process and keeps its rows in a directory, as durable as the embedded engine's, or in
//! memory. Both sides share the machine's cores, so this is a bound from below on what the engine itself costs.

#[path = "../../chat/examples/append_rate/load.rs"]
mod load;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use fdb_c::{Server, ServerOptions, Store};
use futures_lite::future::block_on;
use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use kv::foundationdb::FoundationDb;
use load::{LOADS, Load, Measured, measure, println_row};

/// Appends queued or in flight.
const DEPTHS: [usize; 4] = [1, 32, 500, 2_000];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Embedded,
    StandinDurable,
    StandinMemory,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Embedded, Self::StandinDurable, Self::StandinMemory];

    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::StandinDurable => "fdb, durable",
            Self::StandinMemory => "fdb, memory",
        }
    }

    fn measure(self, within: &Path, load: &Load, depth: usize, span: Duration) -> Result<Measured, Box<dyn Error>> {
        let directory = tempfile::tempdir_in(within)?;
        let rows = directory.path().join("rows");
        let store = match self {
            Self::Embedded => {
                let engine = EmbeddedEngine::open(&rows, EmbeddedOptions::new(1))?;
                let measured = measure(&engine, load, depth, span);
                engine.close();
                return measured;
            }
            Self::StandinDurable => Store::Directory(rows),
            Self::StandinMemory => Store::Memory,
        };
        let server = Server::start(ServerOptions { store, ..ServerOptions::default() })?;
        let cluster = FoundationDb::connect(&server.options(directory.path(), "rookery", 1))?;
        measure(&block_on(cluster.open())?, load, depth, span)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(2.0), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let within = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    println_row(&[
        "load",
        "depth",
        "engine",
        "appends/s",
        "ratio",
        "appends/batch",
        "p50 ms",
        "p99 ms",
        "cpu us/append",
    ]);
    for load in LOADS {
        for depth in DEPTHS {
            let mut found: [Vec<Measured>; 3] = [const { Vec::new() }; 3];
            for _round in 0..rounds {
                for (kind, found) in Kind::ALL.into_iter().zip(&mut found) {
                    found.push(kind.measure(&within, &load, depth, Duration::from_secs_f64(seconds))?);
                }
            }
            let base = median(&found[0], Measured::appends_per_second);
            for (kind, found) in Kind::ALL.into_iter().zip(&found) {
                let rate = median(found, Measured::appends_per_second);
                println_row(&[
                    load.name,
                    &depth.to_string(),
                    kind.name(),
                    &format!("{rate:.0}"),
                    &format!("{:.2}", rate / base),
                    &format!("{:.1}", median(found, |measured| measured.appends / measured.batches)),
                    &format!("{:.2}", median(found, |measured| measured.wait_ms(0.5))),
                    &format!("{:.2}", median(found, |measured| measured.wait_ms(0.99))),
                    &format!("{:.1}", median(found, |measured| measured.cpu_us / measured.appends)),
                ]);
            }
        }
    }
    Ok(())
}

fn median(found: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut numbers: Vec<f64> = found.iter().map(of).collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
