//! A cluster on this machine, for development: the stand-in of FoundationDB and several nodes, until Ctrl-C.

use std::fs;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::nodes::{Layout, NODES_MAX, Nodes, Profile, Programs, name, say};

/// What kind of cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct Cluster {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    nodes: u16,
    /// Shards of each
    #[arg(long, default_value_t = 2)]
    shards: u16,
    /// The API of the first node; the others' ports are ten apart each, and WebSocket is one further
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// How the programs are built
    #[arg(long, value_enum, default_value_t = Profile::Dev)]
    profile: Profile,
    /// Run what was built before
    #[arg(long)]
    no_build: bool,
}

/// Builds, starts, follows and stops it.
///
/// # Errors
/// If something cannot be built or started, or the store ends by itself, or every node does.
pub(crate) fn run(cluster: &Cluster) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let programs = if cluster.no_build {
        Programs::built(cluster.profile)?
    } else {
        Programs::build(&["standin", "gateway"], cluster.profile)?
    };
    let &Cluster { shards, port, .. } = cluster;
    let mut nodes = Nodes::start(programs, Layout { shards, port, shown: true })?;
    let directory = nodes.directory().to_owned();
    let done = start(&mut nodes, cluster.nodes).and_then(|()| {
        say(&format!("all {} nodes are ready; logs are in {}; Ctrl-C stops them", cluster.nodes, directory.display()));
        let (tell, ended) = mpsc::channel();
        let handle = signals.handle();
        thread::spawn(move || {
            // Ends when the handle is closed.
            for _ in &mut signals {
                let _ = tell.send(());
            }
        });
        let followed = follow(&mut nodes, &ended);
        handle.close();
        say("stopping");
        followed.and(nodes.stop())
    });
    fs::remove_dir_all(&directory)?;
    done
}

fn start(nodes: &mut Nodes, count: u16) -> Result<()> {
    for number in 1..=count {
        nodes.spawn_ready(number)?;
        let [api, ws, internal] = [0, 1, 9].map(|offset| nodes.address(number, offset));
        let pid = nodes.pid(number).unwrap_or_default();
        say(&format!(
            "{}  open http://{api}/  ws://{ws}  metrics http://{internal}/metrics  process {pid}",
            name(number)
        ));
    }
    Ok(())
}

/// Waits until it is to stop. A node that ends meanwhile is named, and the others go on: that is what they are for.
fn follow(nodes: &mut Nodes, ended: &Receiver<()>) -> Result<()> {
    while ended.recv_timeout(Duration::from_millis(200)).is_err() {
        while let Some((number, status)) = nodes.any_ended()? {
            say(&format!("{} has ended ({status}), the others go on", name(number)));
        }
        ensure!(!nodes.is_empty(), "no node is left");
    }
    Ok(())
}
