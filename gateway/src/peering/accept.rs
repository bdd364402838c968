//! Connections that other nodes make, and whoever else finds the port.
//!
//! Owns how many of them may be unproven at a time: they ask for nothing but a nonce, and the rest is closed unheard.

use std::sync::Arc;
use std::time::Duration;

use link::handshake::links_between;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::{Ways, introduction};

/// Connections that have not proven anything yet. Those of ten nodes of 16 shards that start at once are 160.
const UNPROVEN_MAX: usize = 256;
/// How long no connection is accepted after the system gave none.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(ways: Arc<Ways>, listener: TcpListener) {
    let unproven = Arc::new(Semaphore::new(UNPROVEN_MAX));
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no link can be accepted; tried again in 100 ms");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&unproven).try_acquire_owned() else {
            tracing::debug!(%from, "too many connections at once say who they are: closed unheard");
            continue;
        };
        let ways = Arc::clone(&ways);
        tokio::spawn(async move {
            welcome(&ways, stream, from).await;
            drop(place);
        });
    }
}

async fn welcome(ways: &Ways, mut stream: TcpStream, from: std::net::SocketAddr) {
    let nodelay = stream.set_nodelay(true);
    let established = match introduction::accept(&mut stream, ways.secret.clone(), ways.me).await {
        Ok(established) => established,
        Err(error) => return tracing::warn!(%from, %error, "a connection to the links' port is refused"),
    };
    let (peer, number) = (established.peer, established.link);
    if number >= links_between(ways.me.shards, established.peer_shards) {
        return tracing::warn!(%from, number, "a node asks for a link that is none between the two");
    }
    tracing::debug!(%from, peer = format_args!("{:x}", peer.0), number, ?nodelay, "a link was accepted");
    // Whoever dialled dials again; this end needs no sign.
    drop(ways.hand_over(stream, established));
}
