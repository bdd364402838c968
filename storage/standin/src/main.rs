//! `fdb-standin`: the stand-in's server as a program.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use fdb_c::{Faults, Server, ServerOptions, Store};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

/// A stand-in for FoundationDB, for tests and development, not for data that you want to keep.
///
/// It serves one store over TCP to the libfdb_c.so that is built beside it, so that several `rookery run` share a store
/// on a machine without FoundationDB. Nothing is encrypted and nobody is asked who they are.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXAMPLES)]
struct Args {
    /// Where to listen. Port 0 is one that is free; the cluster file says which.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4500")]
    listen: SocketAddr,
    /// Allows `--listen` on an address that other machines can reach: anybody there can read and write everything.
    #[arg(long)]
    beyond_loopback: bool,
    /// Where to write the cluster file, by which clients find this server.
    #[arg(long, value_name = "PATH")]
    cluster_file: PathBuf,
    /// Keeps rows in this directory, durably, as the embedded engine does. Without it they are gone with the server.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What goes wrong at random is drawn from it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What goes wrong, in operations of 1,000: conflict, unknown_committed, unknown_lost, too_old, future, behind (of
    /// commits), read_too_old, read_future, read_behind (of reads); and delay_ms, of every answer.
    #[arg(long, value_name = "NAME=N,...", default_value = "")]
    faults: Faults,
}

const EXAMPLES: &str = "\
Two nodes on one store:
  fdb-standin --cluster-file /run/user/1000/fdb.cluster --data ./standin-data
  then in each node's rookery.toml:
    [store]
    engine = \"foundationdb\"
    cluster_file = \"/run/user/1000/fdb.cluster\"
    client_library = \"target/debug/libfdb_c.so\"

A hostile store:
  fdb-standin --cluster-file fdb.cluster --seed 7 --faults conflict=50,unknown_committed=10,unknown_lost=10

A store that is away: stop the server with SIGSTOP, continue it with SIGCONT. SIGTERM or SIGINT ends it and prints what
it was asked. RUST_LOG=debug says more.";

fn main() -> io::Result<()> {
    let Args { listen, beyond_loopback, cluster_file, data, seed, faults } = Args::parse();
    let mut out = io::stdout().lock();
    writeln!(out, "fdb-standin: for tests and development, not for data that you want to keep")?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let store = data.map_or(Store::Memory, Store::Directory);
    writeln!(out, "store {store:?}, seed {seed}, {faults:?}")?;
    let server = Server::start(ServerOptions { listen, beyond_loopback, store, seed, faults })?;
    server.write_cluster_file(&cluster_file)?;
    writeln!(out, "listening on {}, cluster file {}", server.address(), cluster_file.display())?;
    out.flush()?;
    signals.forever().next();
    let calls = server.calls();
    drop(server);
    writeln!(out, "{calls:#?}")
}
