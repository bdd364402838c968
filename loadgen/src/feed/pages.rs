//! Pages by themselves: what one takes where the node has it in its caches, and where it has just been started.
//!
//! Owns the rounds. One page is asked for at a time and nothing else is, so that a figure is of the page.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::compare::{Strictness, What};
use super::graph::Account;
use super::load::{Load, PAGE};
use super::node::Node;

/// What is timed: feeds of ordinary accounts and of those with many friends.
pub(super) const WARM: &str = "warm";
pub(super) const COLD: &str = "cold";
pub(super) const WARM_MANY: &str = "warm-many";
pub(super) const COLD_MANY: &str = "cold-many";
pub(super) const TIMED: [&str; 4] = [WARM, COLD, WARM_MANY, COLD_MANY];

/// Ordinary accounts whose pages are timed in a round.
const READERS: usize = 200;
/// Times that each is read once its page is warm.
const WARM_READS: usize = 10;
/// What a node that has just become ready still does for itself.
const REST: Duration = Duration::from_millis(500);

/// Reads each reader's first page in a new life of the node, and then again. So many lives.
pub(super) fn run(load: &Load, node: &mut Node, lives: u32, rng: &mut Rng) -> anyhow::Result<()> {
    let stars = load.graph.stars.len() as Account;
    for _ in 0..lives {
        if load.interrupted() {
            break;
        }
        node.stop()?;
        node.start()?;
        std::thread::sleep(REST);
        let many: Vec<Account> = load.graph.stars.clone();
        let ordinary = rng.choose_multiple(stars..load.graph.users, READERS);
        for (readers, cold, warm) in [(many, COLD_MANY, WARM_MANY), (ordinary, COLD, WARM)] {
            readers.iter().for_each(|&reader| read(load, reader, cold));
            for _ in 0..WARM_READS {
                readers.iter().for_each(|&reader| read(load, reader, warm));
            }
        }
    }
    Ok(())
}

fn read(load: &Load, reader: Account, as_what: &'static str) {
    let began = Instant::now();
    if load.interrupted() {
        return;
    }
    if let Some(reading) = load.read(reader, What::Feed, PAGE, 1) {
        load.tally().time(as_what, began.elapsed());
        load.compare(&reading, Strictness::Meanwhile, false);
    }
}
