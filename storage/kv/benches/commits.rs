//! Commits a second on the embedded engine, `fsync` each group, by the number of committers.
//!
//! `cargo bench -p kv --bench commits`. A commit is 100 new rows of a 24-byte key and a 100-byte value. All
//! committers are tasks of one thread, each with one commit in flight, as a shard's batches are.
//! `STORAGE_BENCH_SECONDS` is the time for each row (3); `STORAGE_BENCH_DIR` where it writes (the temporary directory).
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::cell::Cell;
use std::env;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_executor::LocalExecutor;
use futures_lite::future::block_on;
use kv::embedded::{EmbeddedEngine, EmbeddedOptions, GroupSample};
use kv::{Begin, Engine, Transaction};
use tempfile::TempDir;

const ROWS: u64 = 100;

fn main() {
    let seconds = env::var("STORAGE_BENCH_SECONDS").map_or(3, |text| text.parse().expect("a number"));
    let parent = env::var_os("STORAGE_BENCH_DIR").map_or_else(env::temp_dir, PathBuf::from);
    println!("committers  commits/s    rows/s  per group  ms p50   p90   p99  group store ms p50   p99");
    for committers in [1, 16, 64] {
        let directory = TempDir::new_in(&parent).expect("a temporary directory");
        let engine = EmbeddedEngine::open(directory.path(), EmbeddedOptions::new(1)).expect("a new directory");
        measure(&engine, committers, Duration::from_secs(seconds));
    }
}

fn measure(engine: &EmbeddedEngine, committers: u64, time: Duration) {
    let number = Cell::new(0_u64);
    let latencies = Cell::new(Vec::new());
    engine.stats().take_samples();
    let began = Instant::now();
    let executor = LocalExecutor::new();
    let tasks: Vec<_> = (0..committers)
        .map(|_| {
            executor.spawn(async {
                while began.elapsed() < time {
                    let commit_began = Instant::now();
                    number.set(number.get() + 1);
                    commit(engine, number.get()).await;
                    let mut all = latencies.take();
                    all.push(commit_began.elapsed());
                    latencies.set(all);
                }
            })
        })
        .collect();
    block_on(executor.run(async {
        for task in tasks {
            task.await;
        }
    }));
    let elapsed = began.elapsed().as_secs_f64();
    let mut latencies = latencies.take();
    latencies.sort();
    let samples = engine.stats().take_samples();
    let mut stores: Vec<_> = samples.iter().map(|sample: &GroupSample| sample.took).collect();
    stores.sort();
    let transactions: usize = samples.iter().map(|sample| sample.transactions).sum();
    let commits = latencies.len() as f64;
    println!(
        "{committers:>10} {:>10.0} {:>9.0} {:>10.1} {:>7.2} {:>5.2} {:>5.2} {:>19.2} {:>5.2}",
        commits / elapsed,
        commits * ROWS as f64 / elapsed,
        transactions as f64 / samples.len() as f64,
        ms(&latencies, 50),
        ms(&latencies, 90),
        ms(&latencies, 99),
        ms(&stores, 50),
        ms(&stores, 99),
    );
}

async fn commit(engine: &EmbeddedEngine, number: u64) {
    let mut tx = engine.begin(Begin::Fresh);
    tx.get(b"fence").await.expect("no fault");
    for row in 0..ROWS {
        // Spread over the key space, as inboxes of many users are.
        let spread = (number * ROWS + row).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // Shifted, because keys that begin with 0xFF are the store's own.
        let key = [(spread >> 1).to_be_bytes(), number.to_be_bytes(), row.to_be_bytes()].concat();
        tx.set(&key, &[row as u8; 100]);
    }
    tx.commit().await.expect("nothing conflicts");
}

fn ms(sorted: &[Duration], percent: usize) -> f64 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1_000.0)
}
