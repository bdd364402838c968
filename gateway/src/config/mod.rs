//! What a node is told: one typed [`Config`] from a file, the environment and flags.
//!
//! Owns the precedence (a flag over `ROOKERY_SECTION__KEY` over the file over the default), and the rules that concern
//! more than one key. The table in [`keys`] is the only list of keys: help, the documented `rookery.toml` and the
//! checks come from it. Touches nothing that the configuration names: no address is bound and no directory made.

mod document;
mod engine;
mod error;
mod keys;
mod layers;
mod name;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use document::document;
pub use engine::{StoreEngine, StorePrefix};
pub use error::{ConfigError, Origin};
pub use keys::{KEYS, Key};
pub use name::NodeName;
pub use value::{LogFilter, LogFormat, SECRET_BYTES, Secret, WsUrl};

/// How the node is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On a developer's machine: loopback only, seeded users, `/debug/echo`.
    Dev,
    /// In production.
    Run,
}

/// Where the node listens. Port 0 takes a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The public HTTP API and the web page.
    pub api: SocketAddr,
    /// WebSocket clients.
    pub ws: SocketAddr,
    /// Health, metrics and administration.
    pub internal: SocketAddr,
}

/// What is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Where everything that survives lives.
    pub dir: PathBuf,
    /// Free bytes of its file system below which nothing more is accepted.
    pub free_bytes_min: u64,
}

/// What keeps the store, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Which engine. The rest is FoundationDB's.
    pub engine: StoreEngine,
    /// Where the cluster is; `None` for where the client looks.
    pub cluster_file: Option<PathBuf>,
    /// Its client library; `None` for what the loader finds.
    pub client_library: Option<PathBuf>,
    /// What every key begins with.
    pub prefix: StorePrefix,
    /// Whether appends read at the version of their shard's last commit.
    pub chained_appends: bool,
}

/// The process and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What others call it; `None` for the machine's name. See [`Config::node_name`].
    pub name: Option<NodeName>,
    /// Shards; `None` for one a core. See [`Config::shards`].
    pub shards: Option<u16>,
    /// Where clients are told to connect; `None` for `listen.ws`.
    pub ws_url: Option<WsUrl>,
    /// What `/v1/servers/best` calls this node's place.
    pub region: String,
}

/// Bounds that an operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Client connections; `None` for as many as the file limit leaves.
    pub connections: Option<u32>,
    /// Members of a group, at most `GROUP_MEMBERS_MAX`.
    pub group_members: u32,
}

/// How users prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Signs access tokens; `None` for the key in a file.
    pub key: Option<Secret>,
    /// Where that file is; `None` for `token.key` in the data directory. See [`Config::key_file`].
    pub key_file: Option<PathBuf>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Which events.
    pub filter: LogFilter,
    /// In which form.
    pub format: LogFormat,
}

/// What helps in testing and is off in production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debug {
    /// Whether `/debug/echo` on the WebSocket listener returns every message unchanged.
    pub echo: bool,
}

/// Everything a node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[listen]`
    pub listen: Listen,
    /// `[data]`
    pub data: Data,
    /// `[store]`
    pub store: Store,
    /// `[node]`
    pub node: Node,
    /// `[limits]`
    pub limits: Limits,
    /// `[auth]`
    pub auth: Auth,
    /// `[log]`
    pub log: Log,
    /// `[debug]`
    pub debug: Debug,
    /// Who named each key that is not at its default.
    origins: BTreeMap<&'static str, Origin>,
}

impl Config {
    /// What a node is told that is told nothing.
    #[must_use]
    pub fn defaults(mode: Mode) -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (dir, echo) = match mode {
            Mode::Dev => ("dev.rkdata", true),
            Mode::Run => ("rookery.rkdata", false),
        };
        Self {
            listen: Listen { api: loopback(8000), ws: loopback(8001), internal: loopback(9000) },
            data: Data { dir: PathBuf::from(dir), free_bytes_min: keys::FREE_BYTES_MIN },
            store: Store {
                engine: StoreEngine::default(),
                cluster_file: None,
                client_library: None,
                prefix: StorePrefix::default(),
                chained_appends: false,
            },
            node: Node { name: None, shards: None, ws_url: None, region: "local".to_owned() },
            limits: Limits { connections: None, group_members: schema::limits::GROUP_MEMBERS_DEFAULT },
            auth: Auth { key: None, key_file: None },
            log: Log { filter: LogFilter::default(), format: LogFormat::default() },
            debug: Debug { echo },
            origins: BTreeMap::new(),
        }
    }

    /// Reads `file`, then the variables of `environment` whose name has the form `ROOKERY_SECTION__KEY`, then `flags`
    /// (key and text), each over what came before.
    ///
    /// # Errors
    /// The first thing that is wrong, in that order, and then what is wrong with the whole.
    pub fn load(
        mode: Mode,
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[(&'static str, String)],
    ) -> Result<Self, ConfigError> {
        let mut config = Self::defaults(mode);
        let mut settings = match file {
            Some(path) => layers::file(path)?,
            None => Vec::new(),
        };
        settings.extend(layers::environment(environment)?);
        settings.extend(layers::flags(flags));
        for setting in settings {
            config.set(setting)?;
        }
        config.check(mode)?;
        Ok(config)
    }

    /// Who named the value of `key`, one of [`KEYS`]' names.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// How many shards to start: what was asked for, else one a core, at least 1.
    #[must_use]
    pub fn shards(&self) -> u16 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.node.shards.unwrap_or_else(|| u16::try_from(cores()).unwrap_or(keys::SHARDS_MAX).min(keys::SHARDS_MAX))
    }

    /// What this node is called in logs, by probes and by other nodes on its store.
    #[must_use]
    pub fn node_name(&self) -> NodeName {
        self.node.name.clone().unwrap_or_else(NodeName::of_host)
    }

    /// Where the key that signs access tokens is kept, unless [`Auth::key`] holds it.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.auth.key_file.clone().unwrap_or_else(|| self.data.dir.join("token.key"))
    }

    /// What is allowed and yet likely a mistake, a line each.
    #[must_use]
    pub fn warnings(&self, mode: Mode) -> Vec<String> {
        let mut warnings = Vec::new();
        let secured = self.node.ws_url.as_ref().is_some_and(|url| url.as_str().starts_with("wss://"));
        for (key, address) in self.addresses() {
            if mode == Mode::Run && !address.ip().is_loopback() && (key == "listen.internal" || !secured) {
                warnings.push(match key {
                    "listen.internal" => format!(
                        "{key} is {address}: health, metrics and administration are open to whoever reaches it; \
                         bind it to loopback or close it by a firewall"
                    ),
                    _ => format!(
                        "{key} is {address} without TLS: passwords and tokens cross the network in the clear; \
                         put a TLS proxy before it, bind to loopback, and set node.ws_url to its wss:// address"
                    ),
                });
            }
        }
        warnings.extend(self.idle_keys());
        warnings
    }

    /// Keys that somebody set and that mean nothing to the engine in force.
    fn idle_keys(&self) -> impl Iterator<Item = String> {
        let (engine, keys): (&str, &[&str]) = match self.store.engine {
            StoreEngine::Embedded => ("embedded", &["store.cluster_file", "store.client_library", "store.prefix"]),
            StoreEngine::FoundationDb => ("foundationdb", &["data.free_bytes_min"]),
        };
        let set = keys.iter().filter(|key| self.origin(key) != Origin::Default);
        set.map(move |key| format!("{key} is set ({}) and has no effect: store.engine is {engine}", self.origin(key)))
    }

    /// The listeners, by key.
    #[must_use]
    pub fn addresses(&self) -> [(&'static str, SocketAddr); 3] {
        [("listen.api", self.listen.api), ("listen.ws", self.listen.ws), ("listen.internal", self.listen.internal)]
    }

    fn set(&mut self, setting: layers::SettingGiven) -> Result<(), ConfigError> {
        let layers::SettingGiven { name, given, origin } = setting;
        let Some(key) = keys::find(&name) else {
            return Err(ConfigError::UnknownKey { nearest: keys::nearest(&name), name, origin });
        };
        key.set(self, &given, &origin)?;
        self.origins.insert(key.name, origin);
        Ok(())
    }

    /// What no single key can know.
    fn check(&self, mode: Mode) -> Result<(), ConfigError> {
        if self.auth.key.is_some() && self.auth.key_file.is_some() {
            let (first, second) = (self.origin("auth.key"), self.origin("auth.key_file"));
            return Err(ConfigError::Both { keys: ["auth.key", "auth.key_file"], origins: [first, second] });
        }
        let addresses = self.addresses();
        for (at, (key, address)) in addresses.iter().enumerate() {
            if mode == Mode::Dev && !address.ip().is_loopback() {
                return Err(ConfigError::NotLoopback { key, address: *address, origin: self.origin(key) });
            }
            let taken = addresses[..at].iter().find(|(_, other)| other == address && address.port() != 0);
            if let Some((other, _)) = taken {
                return Err(ConfigError::SameAddress { keys: [other, key], address: *address });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
