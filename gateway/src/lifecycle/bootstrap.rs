//! Start-up checks that need no store: room for connections, the data directory, the token key, the listeners'
//! addresses.
//!
//! Owns their order, and refuses before anything is opened that others could see, but for the internal listener.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use ::media::Library;
use anyhow::{Context as _, bail};
use link::Secret;
use notify::Providers;

use crate::config::{Config, Mode, Role, StoreEngine};
use crate::machine::listen::{self, PATIENCE, Ready};
use crate::machine::lives::Lives;
use crate::machine::{datadir, files, media, secret};
use crate::peering::Tls;
use crate::telemetry::metrics::Metrics;

use super::issuers;
use super::state::NodeState;
use crate::runtime::Clock;

/// What a node has once they have passed.
pub(super) struct Bootstrap {
    pub(super) clock: Clock,
    pub(super) connections_max: u32,
    pub(super) tokens: api::Tokens,
    pub(super) api_tls: Option<api::Tls>,
    /// Where it will listen, once it serves clients.
    pub(super) ready: Ready,
    pub(super) state: Arc<NodeState>,
    /// Who sends notifications.
    pub(super) providers: Arc<Providers>,
    /// Where pictures and other files are, if they are kept.
    pub(super) library: Option<Library>,
    /// What it needs for links to other nodes; none without a secret, or where its store is not shared.
    pub(super) links: Option<Links>,
    /// The lock of its data directory, and who had it before; none where the store has a lock of its own.
    pub(super) lives: Option<Lives>,
}

/// What a node needs for links to others.
pub(super) struct Links {
    pub(super) secret: Secret,
    pub(super) tls: Option<Tls>,
    pub(super) listener: TcpListener,
    /// Where others find it.
    address: String,
}

impl Links {
    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    /// For comparison with others'.
    pub(super) fn fingerprint(&self) -> u64 {
        fingerprint(&self.secret, self.tls.as_ref())
    }
}

/// Of what links are proven with, which all nodes have in common: the secret, and the authority if there is TLS.
fn fingerprint(secret: &Secret, tls: Option<&Tls>) -> u64 {
    let authority = tls.map(Tls::authority).unwrap_or_default();
    secret.fingerprint_beside(&authority).0
}

/// The same, of what a configuration names.
///
/// # Errors
/// The operator's: what it names cannot be used.
pub(crate) fn links_fingerprint(config: &Config, secret_file: &Path) -> anyhow::Result<u64> {
    let (secret, tls) = (secret::read(secret_file)?, tls(config)?);
    Ok(fingerprint(&secret, tls.as_ref()))
}

impl Bootstrap {
    /// Takes what a node needs of the machine, and nothing of the store. What listens is the internal listener.
    pub(super) fn prepare(config: &Config, mode: Mode) -> anyhow::Result<(Self, TcpListener)> {
        let connections_max = connections_max(config)?;
        datadir::prepare(config, mode)?;
        let lives = match config.engine {
            StoreEngine::FoundationDb => Some(Lives::lock(&config.data_dir)?),
            StoreEngine::Embedded => None,
        };
        let tokens = issuers::tokens(config, token_key(config)?)?;
        let api_tls = api_tls(config)?;
        let providers = config.providers_file.as_deref().map(Providers::load).transpose()?;
        let internal = listen::open("listen.internal", config.internal, PATIENCE)?;
        let free =
            |role, key, address| config.has(role).then(|| listen::check_free(key, address, PATIENCE)).transpose();
        let ready = Ready {
            api: free(Role::Api, "listen.api", config.api)?,
            api_scheme: if config.api_speaks_tls() { "https" } else { "http" },
            ws: free(Role::Gateway, "listen.ws", config.ws)?,
            internal: internal.local_addr()?,
        };
        let links = links(config)?;
        let library = config.has(Role::Api).then(|| media::library(config)).transpose()?.flatten();
        let metrics = Metrics::new(config.shards(), connections_max, &config.data_dir);
        let state = Arc::new(NodeState::new(connections_max, metrics));
        let providers = Arc::new(providers.unwrap_or_default());
        let clock = Clock::start();
        Ok((Self { clock, connections_max, tokens, api_tls, ready, state, providers, library, links, lives }, internal))
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

fn links(config: &Config) -> anyhow::Result<Option<Links>> {
    let (Some(path), StoreEngine::FoundationDb) = (&config.cluster_secret_file, config.engine) else { return Ok(None) };
    let secret = secret::read(path)?;
    let tls = tls(config)?;
    let listener = listen::open("listen.links", config.links, PATIENCE)?;
    let address = match &config.links_address {
        Some(address) => address.clone(),
        None => listener.local_addr()?.to_string(),
    };
    Ok(Some(Links { secret, tls, listener, address }))
}

/// The certificate of the API, if it is to speak TLS.
///
/// # Errors
/// The operator's: a file that cannot be used.
pub(crate) fn api_tls(config: &Config) -> anyhow::Result<Option<api::Tls>> {
    match (&config.api_tls_certificate_file, &config.api_tls_key_file) {
        (Some(certificate), Some(key)) => {
            let tls = api::Tls::load(certificate, key);
            tls.context("listen.api_tls_certificate_file, listen.api_tls_key_file").map(Some)
        }
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => bail!(
            "of listen.api_tls_certificate_file and listen.api_tls_key_file one is set and one is not: name both, or none \
             for an API without TLS"
        ),
    }
}

/// The certificates of links, if there are to be any.
fn tls(config: &Config) -> anyhow::Result<Option<Tls>> {
    let Config { cluster_tls_certificate_file, cluster_tls_key_file, cluster_tls_ca_file, .. } = config;
    match (cluster_tls_certificate_file, cluster_tls_key_file, cluster_tls_ca_file) {
        (None, None, None) => Ok(None),
        (Some(certificate), Some(key), Some(ca)) => Tls::load(certificate, key, ca).map(Some),
        (_, _, _) => bail!(
            "of cluster.tls_certificate_file, cluster.tls_key_file and cluster.tls_ca_file some are set and some are \
             not: name all three, or none for links without TLS"
        ),
    }
}

fn token_key(config: &Config) -> anyhow::Result<api::TokenKey> {
    match &config.key {
        Some(secret) => Ok(api::TokenKey::new(secret.bytes())),
        None => Ok(api::TokenKey::load_or_create(&config.key_file())?),
    }
}
