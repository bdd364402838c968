//! Configuration of a node: defaults, a TOML file, the environment and flags, each over what came before.
//!
//! Owns the keys. Each is a field below whose clap attributes are its name, its flags, its default and its check; the
//! variable and the place in the file follow from the name. `rookery.toml` documents them, and a test compares. A new
//! key is a field here and a paragraph there. Touches nothing that the configuration names: no address is bound and no
//! directory made.

mod error;
mod layers;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches as _};
use schema::limits::{GROUP_MEMBERS_DEFAULT, GROUP_MEMBERS_MAX};

pub use error::{ConfigError, Origin};
pub use values::{LogFormat, SECRET_BYTES, Secret, StoreEngine};
use values::{
    address, host_name, log_filter, network, node_name, origin, path, region, secret, store_prefix, whole, ws_url,
};

/// The documented configuration file, in which every key is commented out at its default.
pub const DOCUMENT: &str = include_str!("../../../rookery.toml");
/// Shards of one node: more cores than any machine this is meant for.
const SHARDS_MAX: u16 = 256;
/// Reserve of free disk bytes by default: the embedded store may write up to 512 MiB of journal before it must flush,
/// and as much again while it merges.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// How the node is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On a developer's machine: loopback only, seeded users, `/debug/echo`.
    Dev,
    /// In production.
    Run,
}

/// Everything a node is told.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Config {
    /// `[listen]`
    #[command(flatten)]
    pub listen: Listen,
    /// `[data]`
    #[command(flatten)]
    pub data: Data,
    /// `[store]`
    #[command(flatten)]
    pub store: Store,
    /// `[node]`
    #[command(flatten)]
    pub node: Node,
    /// `[limits]`
    #[command(flatten)]
    pub limits: Limits,
    /// `[auth]`
    #[command(flatten)]
    pub auth: Auth,
    /// `[log]`
    #[command(flatten)]
    pub log: Log,
    /// `[debug]`
    #[command(flatten)]
    pub debug: Debug,
    /// The value of each key that is not at its default, as it may be shown, and who named it.
    #[arg(skip)]
    named: BTreeMap<&'static str, (String, Origin)>,
}

/// Addresses of the three listeners. Port 0 takes a free one.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Listen {
    /// Where the HTTP API and the web page listen; port 0 takes a free one
    #[arg(id = "listen.api", long = "api", visible_alias = "listen.api", value_name = "IP:PORT")]
    #[arg(default_value = "127.0.0.1:8000", value_parser = address)]
    pub api: SocketAddr,
    /// Where WebSocket clients connect
    #[arg(id = "listen.ws", long = "ws", visible_alias = "listen.ws", value_name = "IP:PORT")]
    #[arg(default_value = "127.0.0.1:8001", value_parser = address)]
    pub ws: SocketAddr,
    /// Where health, metrics and administration listen
    #[arg(id = "listen.internal", long = "internal", visible_alias = "listen.internal", value_name = "IP:PORT")]
    #[arg(default_value = "127.0.0.1:9000", value_parser = address)]
    pub internal: SocketAddr,
    /// Proxies that the API believes about the addresses of its clients: addresses and networks
    #[arg(id = "listen.trusted_proxies", long = "listen.trusted_proxies", value_name = "NETWORK,…")]
    #[arg(value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<api::Network>,
    /// Other origins whose pages may call the API and open WebSockets; * is every one
    #[arg(id = "listen.allowed_origins", long = "listen.allowed_origins", value_name = "ORIGIN,…")]
    #[arg(value_delimiter = ',', value_parser = origin)]
    pub allowed_origins: Vec<api::AllowedOrigin>,
}

/// What is kept on this machine's disk.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Data {
    /// The directory of everything that survives
    #[arg(id = "data.dir", long = "data", visible_alias = "data.dir", value_name = "PATH")]
    #[arg(default_value = "rookery.rkdata", value_parser = path)]
    pub dir: PathBuf,
    /// Free bytes of that directory's file system below which sends are refused (error 115)
    #[arg(id = "data.free_bytes_min", long = "data.free_bytes_min", value_name = "N")]
    #[arg(default_value_t = FREE_BYTES_MIN, value_parser = whole::<u64>(0, 1 << 50))]
    pub free_bytes_min: u64,
}

/// The store's engine, and how it is reached.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Store {
    /// What keeps everything: embedded, in the data directory, or foundationdb, a cluster that several nodes share
    #[arg(id = "store.engine", long = "store.engine", value_name = "embedded|foundationdb")]
    #[arg(default_value = "embedded", value_enum)]
    pub engine: StoreEngine,
    /// Where FoundationDB's cluster is: the path of its cluster file
    #[arg(id = "store.cluster_file", long = "store.cluster_file", value_name = "PATH", value_parser = path)]
    pub cluster_file: Option<PathBuf>,
    /// FoundationDB's client library, version 7.3 or newer: the path of its libfdb_c.so
    #[arg(id = "store.client_library", long = "store.client_library", value_name = "PATH", value_parser = path)]
    pub client_library: Option<PathBuf>,
    /// What every key in the cluster begins with, up to 59 bytes: stores of different prefixes know nothing of each
    /// other
    #[arg(id = "store.prefix", long = "store.prefix", value_name = "TEXT")]
    #[arg(default_value = "rookery", value_parser = store_prefix)]
    pub prefix: String,
    /// Whether appends read at the version of their shard's last commit instead of asking the cluster for its newest
    #[arg(id = "store.chained_appends", long = "store.chained_appends", value_name = "BOOL")]
    #[arg(default_value = "false", action = ArgAction::Set)]
    pub chained_appends: bool,
}

/// The process and its place.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Node {
    /// What this node is called in logs, by probes and by other nodes on its store; the machine's name unless set
    #[arg(id = "node.name", long = "node.name", value_name = "NAME", value_parser = node_name)]
    pub name: Option<String>,
    /// Shards, each a thread with its own sockets; one a core unless set
    #[arg(id = "node.shards", long = "shards", visible_alias = "node.shards", value_name = "N")]
    #[arg(value_parser = whole::<u16>(1, u64::from(SHARDS_MAX)))]
    pub shards: Option<u16>,
    /// Where clients are told to connect: set it behind a proxy, which should speak TLS
    #[arg(id = "node.ws_url", long = "node.ws_url", value_name = "URL", value_parser = ws_url)]
    pub ws_url: Option<String>,
    /// What /v1/servers/best calls this node's place
    #[arg(id = "node.region", long = "node.region", value_name = "TEXT")]
    #[arg(default_value = "local", value_parser = region)]
    pub region: String,
}

/// Bounds that an operator may set.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Limits {
    /// Client connections; one more is refused (close code 3015)
    #[arg(id = "limits.connections", long = "limits.connections", value_name = "N")]
    #[arg(value_parser = whole::<u32>(1, u64::from(u32::MAX)))]
    pub connections: Option<u32>,
    /// Members of a group; one more is refused (error 119)
    #[arg(id = "limits.group_members", long = "limits.group_members", value_name = "N")]
    #[arg(default_value_t = GROUP_MEMBERS_DEFAULT, value_parser = whole::<u32>(2, u64::from(GROUP_MEMBERS_MAX)))]
    pub group_members: u32,
}

/// How users prove who they are.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Auth {
    /// The key that signs access tokens: 64 hexadecimal digits, as `openssl rand -hex 32` prints
    #[arg(id = "auth.key", long = "auth.key", value_name = "HEX", value_parser = secret, hide_env_values = true)]
    pub key: Option<Secret>,
    /// The file of that key: 32 random bytes, readable by nobody else
    #[arg(id = "auth.key_file", long = "auth.key_file", value_name = "PATH", value_parser = path)]
    pub key_file: Option<PathBuf>,
}

/// What is logged.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Log {
    /// Which events are logged, to standard error: a level, or directives such as info,gateway::uring=debug
    #[arg(id = "log.filter", long = "log", visible_alias = "log.filter", value_name = "FILTER")]
    #[arg(default_value = "info", value_parser = log_filter)]
    pub filter: String,
    /// text, json, or auto: text on a terminal, otherwise a JSON object a line
    #[arg(id = "log.format", long = "log.format", value_name = "auto|text|json")]
    #[arg(default_value = "auto", value_enum)]
    pub format: LogFormat,
}

/// What helps in testing and is off in production.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct Debug {
    /// Whether ws://…/debug/echo returns every message unchanged, for conformance suites and measurements
    #[arg(id = "debug.echo", long = "debug.echo", value_name = "BOOL")]
    #[arg(default_value = "false", action = ArgAction::Set)]
    pub echo: bool,
}

/// What `rookery dev` has in place of a key's default.
const DEV_DEFAULTS: [(&str, &str); 2] = [("data.dir", "dev.rkdata"), ("debug.echo", "true")];

/// The keys as clap has them.
static COMMAND: LazyLock<Command> =
    LazyLock::new(|| Config::augment_args(Command::new("rookery")).no_binary_name(true));

/// Every key, by section in the order of `rookery.toml`. Its id is its name, `section.key`.
pub fn keys() -> impl Iterator<Item = &'static Arg> {
    COMMAND.get_arguments()
}

/// The key of exactly this name.
fn find(name: &str) -> Option<&'static Arg> {
    keys().find(|key| key.get_id() == name)
}

/// The flag of a key without its dashes: a short word where it has one, else `section.key`.
#[must_use]
pub fn flag(name: &'static str) -> &'static str {
    find(name).and_then(Arg::get_long).unwrap_or(name)
}

/// The environment variable that sets a key.
#[must_use]
pub fn variable(name: &str) -> String {
    format!("ROOKERY_{}", name.replace('.', "__").to_uppercase())
}

/// The default of a key as text, if it has one.
#[must_use]
pub fn default(key: &Arg, mode: Mode) -> Option<String> {
    let dev = DEV_DEFAULTS.iter().find(|(name, _)| mode == Mode::Dev && key.get_id() == *name);
    let plain = || key.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    dev.map(|(_, text)| (*text).to_owned()).or_else(plain)
}

impl Config {
    /// Default configuration.
    #[must_use]
    pub fn defaults(mode: Mode) -> Self {
        Self::load(mode, None, [], &[]).expect("the defaults are legal")
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
        let mut settings = file.map_or_else(|| Ok(Vec::new()), layers::file)?;
        settings.extend(layers::environment(environment)?);
        settings.extend(layers::flags(flags));
        let mut named = BTreeMap::new();
        for setting in settings {
            let (key, text, origin) = setting.judge()?;
            named.insert(key.get_id().as_str(), (text, origin));
        }
        let defaults = DEV_DEFAULTS.iter().filter(|(name, _)| mode == Mode::Dev && !named.contains_key(name));
        let texts = named.iter().map(|(name, (text, _))| (*name, text.as_str())).chain(defaults.copied());
        let words: Vec<String> = texts.map(|(name, text)| format!("--{name}={text}")).collect();
        let matches = COMMAND.clone().try_get_matches_from(words).expect("each was judged by itself");
        let mut config = Self::from_arg_matches(&matches).expect("every key that is needed has a default");
        config.named = named;
        for (name, (text, _)) in &mut config.named {
            *text = layers::to_toml(find(name).expect("it was judged"), text);
        }
        config.check(mode)?;
        Ok(config)
    }

    /// Who named the value of a key.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.named.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// The value of a key as TOML, `None` where it has none; a secret's value is never shown.
    #[must_use]
    pub fn show(&self, key: &Arg, mode: Mode) -> Option<String> {
        let named = self.named.get(key.get_id().as_str()).map(|(shown, _)| shown.clone());
        named.or_else(|| default(key, mode).map(|text| layers::to_toml(key, &text)))
    }

    /// How many shards to start: what was asked for, else one a core, at least 1.
    #[must_use]
    pub fn shards(&self) -> u16 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.node.shards.unwrap_or_else(|| u16::try_from(cores()).unwrap_or(SHARDS_MAX).min(SHARDS_MAX))
    }

    /// What this node is called in logs, by probes and by other nodes on its store.
    #[must_use]
    pub fn node_name(&self) -> String {
        let host = || host_name(&rustix::system::uname().nodename().to_string_lossy());
        self.node.name.clone().unwrap_or_else(host)
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
        let secured = self.node.ws_url.as_ref().is_some_and(|url| url.starts_with("wss://"));
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

    /// Rules that concern more than one key.
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
