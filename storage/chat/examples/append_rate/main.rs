//! Appends a second through `Appender` on the embedded engine, for direct channels and for groups of 100.
//!
//! `cargo run --release -p chat --example append_rate -- [seconds] [directory]`. Each row is one shard on one thread
//! that keeps so many appends queued or in flight; every append is durable before it counts. The directory is emptied
//! before and after; by default it is a temporary one, which may be on a disk that forgets.
//! `standin`'s example `engines_rate` compares this with the foundationdb engine.

mod load;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
use load::{LOADS, measure, println_row};

/// Appends queued or in flight.
const DEPTHS: [usize; 4] = [1, 32, 500, 2_000];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let within: Option<PathBuf> = arguments.next().map(Into::into);
    let directory = within.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    println_row(&["load", "depth", "appends/s", "batches/s", "appends/batch", "p50 ms", "p99 ms", "cpu us/append"]);
    for load in LOADS {
        for depth in DEPTHS {
            let path = directory.path().join(format!("{}-{depth}", load.name));
            let engine = EmbeddedEngine::open(&path, EmbeddedOptions::new(1))?;
            let measured = measure(&engine, &load, depth, Duration::from_secs(seconds))?;
            println_row(&[
                load.name,
                &depth.to_string(),
                &format!("{:.0}", measured.appends_per_second()),
                &format!("{:.0}", measured.batches / measured.seconds),
                &format!("{:.1}", measured.appends / measured.batches),
                &format!("{:.2}", measured.wait_ms(0.5)),
                &format!("{:.2}", measured.wait_ms(0.99)),
                &format!("{:.1}", measured.cpu_us / measured.appends),
            ]);
            engine.close();
            std::fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}
