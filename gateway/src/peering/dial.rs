//! Connections that this node makes: to each node of the view whose life has a greater number, one a link.
//!
//! Owns who is dialled, the pauses between attempts, and what is said of them: of an outage one line when it lasts and one
//! when it is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use link::handshake::links_between;
use schema::Incarnation;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::introduction::{self, IntroductionError, Wire};
use super::outage::Outage;
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
                let dial = Arc::new(Dial {
                    ways: Arc::clone(&ways),
                    attempts: Arc::clone(&attempts),
                    peer: node,
                    address: neighbour.address.clone(),
                    outage: Mutex::default(),
                });
                for number in 0..links_between(ways.me.shards, neighbour.shards) {
                    links.spawn(Arc::clone(&dial).keep(number));
                }
                (neighbour.clone(), links)
            });
        }
        if watched.changed().await.is_err() {
            return;
        }
    }
}

/// A node that is dialled.
struct Dial {
    ways: Arc<Ways>,
    attempts: Arc<Attempts>,
    peer: Incarnation,
    address: String,
    outage: Mutex<Outage>,
}

impl Dial {
    /// Keeps one link connected.
    async fn keep(self: Arc<Self>, number: u16) {
        let mut pause = PAUSE_MIN;
        loop {
            let begun = Instant::now();
            match self.connect(number).await {
                Ok(ended) => {
                    self.attempts.connected(self.peer, number);
                    if let Some(ended) = ended {
                        self.up(number);
                        // Nothing is ever sent: it ends when the shard lets go of the connection.
                        let _ = ended.await;
                        self.down(number, "the connection ended");
                    }
                    if begun.elapsed() >= GOOD {
                        pause = PAUSE_MIN;
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    self.attempts.failed(self.peer, number, format!("{}: {error}", self.address));
                    self.down(number, &error);
                }
            }
            sleep(pause.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn up(&self, number: u16) {
        let (peer, address) = (format_args!("{:x}", self.peer.0), &self.address);
        tracing::debug!(peer, number, address, "a link is connected");
        if self.outage().up(number) {
            tracing::info!(peer, address, "all links to a node are connected again");
        }
    }

    fn down(&self, number: u16, error: &str) {
        let (peer, address) = (format_args!("{:x}", self.peer.0), &self.address);
        if self.outage().down(number, Instant::now().into_std()) {
            tracing::warn!(peer, number, address, error, "links to a node are down: what concerns it waits");
        } else {
            tracing::debug!(peer, number, address, error, "a link is down");
        }
    }

    /// Nothing is left half done by a panic, which ends the process.
    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sign of the connection's end; none if its shard takes none.
    async fn connect(&self, number: u16) -> Result<Option<oneshot::Receiver<()>>, IntroductionError> {
        let Self { ways, peer, address, .. } = self;
        let stream =
            timeout(CONNECT_WITHIN, TcpStream::connect(address)).await.map_err(|_| IntroductionError::Late)??;
        stream.set_nodelay(true)?;
        let mut wire = Wire::new(stream, ways.tls.as_ref().map(Tls::dial));
        let established = introduction::dial(&mut wire, ways.secret.clone(), ways.me, *peer, number).await?;
        Ok(ways.hand_over(wire, established))
    }
}
