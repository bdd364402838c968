//! Addresses of a shard's clients, where a connect proxy is asked about their tokens.
//!
//! Owns whose question counts against whom: a connection's client as its request says it, behind proxies that are trusted.
//! Where no service is asked nothing is kept, since an idle connection has few bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{ClientNetwork, Network};
use router::ConnId;
use wire::HeaderMap;

/// Clients by connection. Clones share them; none where they are not to be known.
#[derive(Clone)]
pub(crate) struct Clients(Option<Arc<Known>>);

struct Known {
    trusted: Vec<Network>,
    by_conn: Mutex<HashMap<ConnId, ClientNetwork>>,
}

impl Clients {
    /// Of a node whose tokens are these, behind these proxies.
    pub(crate) fn new(tokens: &api::Tokens, trusted: &[Network]) -> Self {
        let known = || Arc::new(Known { trusted: trusted.to_vec(), by_conn: Mutex::default() });
        Self(tokens.asks_a_service().then(known))
    }

    /// A connection has asked for something, from this address.
    pub(super) fn asked(&self, conn: ConnId, peer: impl FnOnce() -> Option<IpAddr>, headers: &HeaderMap) {
        let Some(known) = &self.0 else { return };
        if let Some(client) = peer().and_then(|peer| ClientNetwork::of(&known.trusted, peer, headers)) {
            known.lock().insert(conn, client);
        }
    }

    /// Whose a connection is, as far as that is known.
    pub(super) fn of(&self, conn: ConnId) -> Option<ClientNetwork> {
        self.0.as_ref()?.lock().get(&conn).copied()
    }

    /// A connection is gone.
    pub(super) fn gone(&self, conn: ConnId) {
        if let Some(known) = &self.0 {
            known.lock().remove(&conn);
        }
    }
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, HashMap<ConnId, ClientNetwork>> {
        self.by_conn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
