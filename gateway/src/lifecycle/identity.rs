//! Identity of a node: its life, what it registers of itself, and where clients are told that it is.
//!
//! Owns the beginning of a life: it is noted in the data directory before anybody else may know of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use link::handshake::VERSIONS;
use schema::Incarnation;
use schema::record::NodeRecord;

use crate::config::Config;
use crate::machine::listen::Ready;
use crate::machine::lives::Lives;
use crate::runtime;

use super::bootstrap::{Bootstrap, Links};

/// The identity of this node for others.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub(super) incarnation: Incarnation,
    /// Earlier lives of this node that are known to be over.
    pub(super) earlier: BTreeSet<Incarnation>,
    pub(super) record: NodeRecord,
}

impl Me {
    /// Begins a life.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(super) fn begin(config: &Config, bootstrap: &mut Bootstrap) -> anyhow::Result<Self> {
        let incarnation = Incarnation(getrandom::u64()?);
        let earlier = bootstrap.lives.as_mut().map(|lives| note(lives, incarnation)).unwrap_or_default();
        let Bootstrap { ready, links, tokens, .. } = &*bootstrap;
        let record = NodeRecord {
            name: config.node_name(),
            shards: config.shards(),
            weight: config.weight(),
            region: config.region.clone(),
            ws_url: ws_origin(config, ready.ws),
            api_url: api_origin(config, ready),
            links: links.as_ref().map(Links::address).unwrap_or_default(),
            links_oldest: VERSIONS.oldest,
            links_newest: VERSIONS.newest,
            secret: links.as_ref().map(Links::fingerprint).unwrap_or_default(),
            token_key: tokens.key().fingerprint(),
            since_ms: runtime::wall(),
        };
        Ok(Self { incarnation, earlier, record })
    }
}

/// Notes a life in its data directory. Those before it, which are over.
fn note(lives: &mut Lives, life: Incarnation) -> BTreeSet<Incarnation> {
    if let Err(error) = lives.begin(life) {
        tracing::warn!(%error, "this life is not noted in the data directory: after kill -9 the next one waits for the lease");
    }
    lives.over().iter().copied().collect()
}

/// The WebSocket origin that clients are told; empty where none can connect.
pub(super) fn ws_origin(config: &Config, ws: Option<SocketAddr>) -> String {
    let Some(ws) = ws else { return String::new() };
    config.ws_url.clone().unwrap_or_else(|| format!("ws://{ws}"))
}

/// The API's origin that clients are told; empty where none is named or served.
pub(super) fn api_origin(config: &Config, ready: &Ready) -> String {
    let own = || ready.api.map(|api| format!("{}://{api}", ready.api_scheme)).unwrap_or_default();
    config.api_url.clone().unwrap_or_else(own)
}
