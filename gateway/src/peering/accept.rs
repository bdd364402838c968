//! Connections that other nodes make, and whoever else finds the port.
//!
//! Owns how many of them may be unproven at a time. Each asks for nothing but a nonce and is given little time; where
//! there are too many the oldest makes room, since a node introduces itself within milliseconds and a stranger may never.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::introduction::{self, Wire};
use super::tally::Reason;
use super::{Tls, Ways};

/// Connections that have not proven anything yet. Those of ten nodes of 16 shards that start at once are 160.
const UNPROVEN_MAX: usize = 256;
/// How long no connection is accepted after the system gave none.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn run(ways: Arc<Ways>, listener: TcpListener) {
    // The oldest first, some of which may be through.
    let mut unproven: VecDeque<AbortHandle> = VecDeque::with_capacity(UNPROVEN_MAX);
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no link can be accepted; tried again in 100 ms");
                sleep(PAUSE).await;
                continue;
            }
        };
        if unproven.len() >= UNPROVEN_MAX {
            unproven.retain(|task| !task.is_finished());
        }
        if unproven.len() >= UNPROVEN_MAX
            && let Some(oldest) = unproven.pop_front()
        {
            oldest.abort();
            if ways.tally.count(Reason::Crowded) {
                tracing::warn!("many connections to the links' port do not say who they are: the oldest are closed");
            }
        }
        let ways = Arc::clone(&ways);
        unproven.push_back(tokio::spawn(async move { welcome(&ways, stream, from).await }).abort_handle());
    }
}

async fn welcome(ways: &Ways, stream: TcpStream, from: std::net::SocketAddr) {
    let nodelay = stream.set_nodelay(true);
    let mut wire = Wire::new(stream, ways.tls.as_ref().map(Tls::accept));
    let established = match introduction::accept(&mut wire, ways.secret.clone(), ways.me).await {
        Ok(established) => established,
        Err(error) => {
            if ways.tally.count((&error).into()) {
                tracing::warn!(%from, %error, "a connection to the links' port is refused");
            } else {
                tracing::debug!(%from, %error, "another connection to the links' port is refused");
            }
            return;
        }
    };
    let (peer, number) = (established.peer, established.link);
    tracing::debug!(%from, peer = format_args!("{:x}", peer.0), number, ?nodelay, "a link was accepted");
    // Whoever dialled dials again; this end needs no sign.
    drop(ways.hand_over(wire, established));
}
