//! Start-up checks that need no store: room for connections, the data directory, the token key, the listeners'
//! addresses.
//!
//! Owns their order, and refuses before anything is opened that others could see, but for the internal listener.

use std::net::TcpListener;
use std::sync::Arc;

use crate::config::{Config, Mode};
use crate::machine::listen::{self, Ready};
use crate::machine::{datadir, files};
use crate::telemetry::metrics::Metrics;

use super::state::NodeState;
use crate::runtime::Clock;

/// What a node has once they have passed.
pub(super) struct Bootstrap {
    pub(super) clock: Clock,
    pub(super) connections_max: u32,
    pub(super) key: api::TokenKey,
    /// Where it will listen, once it serves clients.
    pub(super) ready: Ready,
    pub(super) state: Arc<NodeState>,
}

impl Bootstrap {
    /// Takes what a node needs of the machine, and nothing of the store. What listens is the internal listener.
    pub(super) fn prepare(config: &Config, mode: Mode) -> anyhow::Result<(Self, TcpListener)> {
        let connections_max = connections_max(config)?;
        datadir::prepare(config, mode)?;
        let key = token_key(config)?;
        let internal = listen::open("listen.internal", config.internal)?;
        let ready = Ready {
            api: listen::check_free("listen.api", config.api)?,
            ws: listen::check_free("listen.ws", config.ws)?,
            internal: internal.local_addr()?,
        };
        let metrics = Metrics::new(config.shards(), connections_max, &config.data_dir);
        let state = Arc::new(NodeState::new(connections_max, metrics));
        Ok((Self { clock: Clock::start(), connections_max, key, ready, state }, internal))
    }
}

/// Raises the file limit, and says how many connections it leaves.
fn connections_max(config: &Config) -> anyhow::Result<u32> {
    let file_limit = files::raise()?;
    let connections_max = files::connections_max(file_limit, config.shards())?;
    let Some(wanted) = config.connections else { return Ok(connections_max) };
    if wanted > connections_max {
        tracing::warn!(wanted, connections_max, file_limit, "limits.connections is more than the file limit leaves");
    }
    Ok(wanted.min(connections_max))
}

fn token_key(config: &Config) -> anyhow::Result<api::TokenKey> {
    match &config.key {
        Some(secret) => Ok(api::TokenKey::new(secret.bytes())),
        None => Ok(api::TokenKey::load_or_create(&config.key_file())?),
    }
}
