//! Check that a shared store is at rest: no node serves it.
//!
//! Owns the waiting for a heartbeat. A node says each second that it lives, and one that has said nothing for the lease
//! may be taken over; so who is silent for a lease and a heartbeat has ended, or stands still past the point at which
//! it may come back.

use std::thread;
use std::time::{Duration, Instant};

use chat::view::{self, Roll};
use schema::Incarnation;
use schema::limits::{BEAT_MS, LEASE_MS};

use crate::store::NodeStore;

/// How long a heartbeat is waited for.
const QUIET: Duration = Duration::from_millis(LEASE_MS + BEAT_MS);
/// How often one is looked for.
const LOOK: Duration = Duration::from_millis(BEAT_MS / 4);

/// Waits until it is plain that no node serves this store, and that none stands by, which would begin to serve it.
///
/// # Errors
/// One does, and which; the store's.
pub(super) async fn must_rest<S: NodeStore>(store: &S) -> anyhow::Result<()> {
    if !S::SHARED {
        // It is open here, so nobody else has it.
        return Ok(());
    }
    let first = view::look(store).await?;
    let until = Instant::now() + QUIET;
    while !first.nodes.is_empty() && Instant::now() < until {
        thread::sleep(LOOK);
        let now = view::look(store).await?;
        if let Some(node) = who_spoke(&first, &now) {
            let of = &now.nodes[&node];
            let name = of.record.as_ref().map_or_else(|| format!("{:x}", node.0), |record| record.name.clone());
            if now.active().any(|active| active == node) {
                anyhow::bail!(
                    "node {name} is active on this store (epoch {}); stop it, and those that stand by",
                    now.epoch.0
                );
            }
            anyhow::bail!("node {name} stands by on this store; stop it, and the one that is active");
        }
    }
    Ok(())
}

/// A node that was not there at first, or whose heartbeat has moved since: an active one before others.
fn who_spoke(first: &Roll, now: &Roll) -> Option<Incarnation> {
    let spoke = |node: &Incarnation| first.nodes.get(node).map(|of| of.beat) != now.nodes.get(node).map(|of| of.beat);
    now.active().chain(now.nodes.keys().copied()).find(spoke)
}

#[cfg(test)]
mod tests {
    use chat::view::Node;
    use schema::{Epoch, View};

    use super::*;

    /// `active; node=beat node=beat …`, where a node that is registered and has not beaten yet has no number.
    fn roll(told: &str) -> Roll {
        let (active, nodes) = told.split_once(';').expect("active; nodes");
        let number = |text: &str| text.parse::<u64>().ok();
        let nodes = nodes.split_whitespace().map(|node| {
            let (node, beat) = node.split_once('=').expect("node=beat");
            (Incarnation(number(node).expect("a node")), Node { beat: number(beat), ..Node::default() })
        });
        let view = number(active).map(|active| View::alone(Epoch(1), Incarnation(active), 1));
        Roll { epoch: Epoch(1), view, version: 0, nodes: nodes.collect() }
    }

    #[test]
    fn a_store_is_at_rest_once_no_node_says_a_word() {
        let check = |first: &str, now: &str, expected: Option<u64>| {
            assert_eq!(who_spoke(&roll(first), &roll(now)), expected.map(Incarnation), "{first} then {now}");
        };
        check(";", ";", None);
        check("2; 1=7 2=5", "2; 1=7 2=5", None);
        check("2; 1=7 2=5", "2; 1=7 2=6", Some(2));
        check("2; 1=7 2=5", "2; 1=8 2=6", Some(2));
        // The one that stands by would take over in the middle of a command.
        check("2; 1=7 2=5", "2; 1=8 2=5", Some(1));
        check("2; 2=5", "2; 1= 2=5", Some(1));
        // One that has left is gone.
        check("2; 1=7 2=5", "; 1=7", None);
    }
}
