//! Connections that this node makes: to each node of the view whose life has a greater number, one a link.
//!
//! Owns who is dialled, and the pauses between attempts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use link::handshake::links_between;
use schema::Incarnation;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::introduction::{self, IntroductionError, Wire};
use super::{Attempts, Neighbour, Neighbours, Tls, Ways};

/// The pauses between attempts: doubled from the first to the last, each up to a half longer by chance.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A connection that lasted that long was good: the next pause is short.
const GOOD: Duration = Duration::from_secs(10);

pub(super) async fn run(ways: Arc<Ways>, mut watched: watch::Receiver<Neighbours>, attempts: Arc<Attempts>) {
    let mut dialled: BTreeMap<Incarnation, (Neighbour, JoinSet<()>)> = BTreeMap::new();
    loop {
        let wanted: Neighbours = watched.borrow_and_update().clone();
        // Dropping a set ends its tasks.
        dialled.retain(|node, (known, _)| wanted.get(node) == Some(known));
        attempts.retain(|node| dialled.contains_key(&node));
        for (&node, neighbour) in wanted.iter().filter(|(node, _)| **node > ways.me.incarnation) {
            dialled.entry(node).or_insert_with(|| {
                let mut links = JoinSet::new();
                for number in 0..links_between(ways.me.shards, neighbour.shards) {
                    let (ways, attempts) = (Arc::clone(&ways), Arc::clone(&attempts));
                    links.spawn(keep(ways, attempts, node, neighbour.address.clone(), number));
                }
                (neighbour.clone(), links)
            });
        }
        if watched.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps one link connected.
async fn keep(ways: Arc<Ways>, attempts: Arc<Attempts>, peer: Incarnation, address: String, number: u16) {
    let mut pause = PAUSE_MIN;
    loop {
        let begun = Instant::now();
        match connect(&ways, peer, &address, number).await {
            Ok(ended) => {
                attempts.connected(peer, number);
                if let Some(ended) = ended {
                    tracing::debug!(peer = format_args!("{:x}", peer.0), number, address, "a link is connected");
                    // Nothing is ever sent: it ends when the shard lets go of the connection.
                    let _ = ended.await;
                }
                if begun.elapsed() >= GOOD {
                    pause = PAUSE_MIN;
                }
            }
            Err(error) => {
                attempts.failed(peer, number, format!("{address}: {error}"));
                let peer = format_args!("{:x}", peer.0).to_string();
                match &error {
                    IntroductionError::Handshake(_) | IntroductionError::Tls(_) | IntroductionError::NoTls => {
                        tracing::warn!(peer, number, address, %error, "a node refuses a link, or is not the one that is meant");
                    }
                    IntroductionError::Io(_) | IntroductionError::Late => {
                        tracing::debug!(peer, number, address, %error, "a link cannot be connected");
                    }
                }
            }
        }
        sleep(pause.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn connect(
    ways: &Ways,
    peer: Incarnation,
    address: &str,
    number: u16,
) -> Result<Option<oneshot::Receiver<()>>, IntroductionError> {
    let stream = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await.map_err(|_| IntroductionError::Late)??;
    stream.set_nodelay(true)?;
    let mut wire = Wire::new(stream, ways.tls.as_ref().map(Tls::dial));
    let established = introduction::dial(&mut wire, ways.secret.clone(), ways.me, peer, number).await?;
    Ok(ways.hand_over(wire, established))
}
