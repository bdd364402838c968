//! Configuration of a node: defaults, a TOML file, the environment and flags, each over what came before.
//!
//! Owns the keys. Each is a field of [`Config`] whose clap attributes are its name, its short flag, its default and its
//! check; the variable and the place in the file follow from the name. `rookery.toml` documents them, and a test
//! compares. A new key is a field here and a paragraph there. Touches nothing that the configuration names: no address
//! is bound and no directory made.

mod layers;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{bail, ensure};
use clap::builder::Str;
use clap::{Arg, ArgAction, Args, Command, FromArgMatches as _};
use schema::limits::{DORMANT_DAYS, GROUP_MEMBERS_DEFAULT, GROUP_MEMBERS_MAX, PING_MS, READ_FANOUT_FROM};

use layers::Setting;
pub(crate) use values::{LogFormat, Role, Secret, StoreEngine, TokensOf};
use values::{
    address, api_url, host_name, host_port, log_filter, network, node_name, origin, path, region, secret, store_prefix,
    whole, ws_url,
};

/// The documented configuration file, in which every key is commented out at its default.
pub(crate) const DOCUMENT: &str = include_str!("../../../rookery.toml");
/// Shards of one node: more cores than any machine this is meant for.
const SHARDS_MAX: u16 = 256;
/// Reserve of free disk bytes by default: the embedded store may write up to 512 MiB of journal before it must flush,
/// and as much again while it merges.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Seconds of silence after which a client is pinged.
const PING_SECONDS: u32 = (PING_MS / 1_000) as u32;

/// How the node is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On a developer's machine: loopback only, seeded users, `/debug/echo`.
    Dev,
    /// In production.
    Run,
}

/// The configuration of a node. For each field, `id` is the name of its key, `long` its short flag, and its doc comment
/// the help text.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct Config {
    /// Where the HTTP API and the web page listen; port 0 takes a free one
    #[arg(id = "listen.api", long = "api", value_name = "IP:PORT")]
    #[arg(default_value = "127.0.0.1:8000", value_parser = address)]
    pub(crate) api: SocketAddr,
    /// Where WebSocket clients connect
    #[arg(id = "listen.ws", long = "ws", value_name = "IP:PORT")]
    #[arg(default_value = "127.0.0.1:8001", value_parser = address)]
    pub(crate) ws: SocketAddr,
    /// Where health, metrics and administration listen
    #[arg(id = "listen.internal", long = "internal", value_name = "IP:PORT")]
    #[arg(default_value = "127.0.0.1:9000", value_parser = address)]
    pub(crate) internal: SocketAddr,
    /// Where other nodes of a cluster connect
    #[arg(id = "listen.links", long = "links", value_name = "IP:PORT")]
    #[arg(default_value = "127.0.0.1:8004", value_parser = address)]
    pub(crate) links: SocketAddr,
    /// Proxies that the API believes about the addresses of its clients: addresses and networks
    #[arg(id = "listen.trusted_proxies", value_name = "NETWORK,…", value_delimiter = ',', value_parser = network)]
    pub(crate) trusted_proxies: Vec<api::Network>,
    /// Other origins whose pages may call the API and open WebSockets; * is every one
    #[arg(id = "listen.allowed_origins", value_name = "ORIGIN,…", value_delimiter = ',', value_parser = origin)]
    pub(crate) allowed_origins: Vec<api::AllowedOrigin>,
    /// The file of the API's certificate, PEM, with those between it and an authority's; with it and its key the API
    /// speaks TLS, HTTP/1.1 and HTTP/2
    #[arg(id = "listen.api_tls_certificate_file", value_name = "PATH", value_parser = path)]
    pub(crate) api_tls_certificate_file: Option<PathBuf>,
    /// The file of that certificate's key, PEM, without a password
    #[arg(id = "listen.api_tls_key_file", value_name = "PATH", value_parser = path)]
    pub(crate) api_tls_key_file: Option<PathBuf>,

    /// The directory of everything that survives
    #[arg(id = "data.dir", long = "data", value_name = "PATH", default_value = "rookery.rkdata", value_parser = path)]
    pub(crate) data_dir: PathBuf,
    /// Free bytes of that directory's file system below which sends are refused (error 115)
    #[arg(id = "data.free_bytes_min", value_name = "N")]
    #[arg(default_value_t = FREE_BYTES_MIN, value_parser = whole::<u64>(0, 1 << 50))]
    pub(crate) free_bytes_min: u64,

    /// What keeps everything: embedded, in the data directory, or foundationdb, a cluster that several nodes share
    #[arg(id = "store.engine", value_name = "embedded|foundationdb", default_value = "embedded", value_enum)]
    pub(crate) engine: StoreEngine,
    /// Where FoundationDB's cluster is: the path of its cluster file
    #[arg(id = "store.cluster_file", value_name = "PATH", value_parser = path)]
    pub(crate) cluster_file: Option<PathBuf>,
    /// FoundationDB's client library, version 7.3 or newer: the path of its libfdb_c.so
    #[arg(id = "store.client_library", value_name = "PATH", value_parser = path)]
    pub(crate) client_library: Option<PathBuf>,
    /// What every key in the cluster begins with, up to 59 bytes: stores of different prefixes know nothing of each
    /// other
    #[arg(id = "store.prefix", value_name = "TEXT", default_value = "rookery", value_parser = store_prefix)]
    pub(crate) store_prefix: String,
    /// Whether appends read at the version of their shard's last commit instead of asking the cluster for its newest
    #[arg(id = "store.chained_appends", value_name = "BOOL", default_value = "false", action = ArgAction::Set)]
    pub(crate) chained_appends: bool,

    /// What this node is called in logs, by probes and by other nodes on its store; the machine's name unless set
    #[arg(id = "node.name", value_name = "NAME", value_parser = node_name)]
    name: Option<String>,
    /// Shards, each a thread with its own sockets; one a core unless set
    #[arg(id = "node.shards", long = "shards", value_name = "N")]
    #[arg(value_parser = whole::<u16>(1, SHARDS_MAX.into()))]
    shards: Option<u16>,
    /// Where clients are told to connect: set it behind a proxy, which should speak TLS
    #[arg(id = "node.ws_url", value_name = "URL", value_parser = ws_url)]
    pub(crate) ws_url: Option<String>,
    /// Where clients are told that the HTTP API is: set it behind a proxy, which should speak TLS
    #[arg(id = "node.api_url", value_name = "URL", value_parser = api_url)]
    pub(crate) api_url: Option<String>,
    /// Where other nodes are told to connect: set it where they cannot reach listen.links under its own address
    #[arg(id = "node.links_address", value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) links_address: Option<String>,
    /// This node's share of the work, beside the weights of the others; its shards unless set, and none at 0
    #[arg(id = "node.weight", value_name = "N", value_parser = whole::<u16>(0, u16::MAX.into()))]
    weight: Option<u16>,
    /// Roles of this node: gateway, WebSocket clients and a share of the partitions; api, the HTTP API and the page;
    /// notify, notifications to the users of its partitions who are away
    #[arg(
        id = "node.roles",
        value_name = "gateway,api,notify",
        value_delimiter = ',',
        default_value = "gateway,api,notify",
        value_enum
    )]
    roles: Vec<Role>,
    /// What /v1/servers/best calls this node's place
    #[arg(id = "node.region", value_name = "TEXT", default_value = "local", value_parser = region)]
    pub(crate) region: String,

    /// The file of the secret that all nodes of a cluster share, at least 32 bytes; without one a node works alone, and
    /// others stand by
    #[arg(id = "cluster.secret_file", value_name = "PATH", value_parser = path)]
    pub(crate) cluster_secret_file: Option<PathBuf>,
    /// The file of this node's certificate for links, PEM, made out to the name rookery; with it, its key and the
    /// authority set links are encrypted, and only who shows such a certificate is let in
    #[arg(id = "cluster.tls_certificate_file", value_name = "PATH", value_parser = path)]
    pub(crate) cluster_tls_certificate_file: Option<PathBuf>,
    /// The file of that certificate's key, PEM
    #[arg(id = "cluster.tls_key_file", value_name = "PATH", value_parser = path)]
    pub(crate) cluster_tls_key_file: Option<PathBuf>,
    /// The file of the authority's certificate that has signed those of all nodes, PEM
    #[arg(id = "cluster.tls_ca_file", value_name = "PATH", value_parser = path)]
    pub(crate) cluster_tls_ca_file: Option<PathBuf>,

    /// Client connections; one more is refused (close code 3015)
    #[arg(id = "limits.connections", value_name = "N", value_parser = whole::<u32>(1, u32::MAX.into()))]
    pub(crate) connections: Option<u32>,
    /// Members of a group; one more is refused (error 119)
    #[arg(id = "limits.group_members", value_name = "N")]
    #[arg(default_value_t = GROUP_MEMBERS_DEFAULT, value_parser = whole::<u32>(2, GROUP_MEMBERS_MAX.into()))]
    pub(crate) group_members: u32,
    /// Seconds without a byte of a client after which it is pinged; 35 more without an answer and it is closed (3012)
    #[arg(id = "limits.ping_seconds", value_name = "N")]
    #[arg(default_value_t = PING_SECONDS, value_parser = whole::<u32>(5, 600))]
    pub(crate) ping_seconds: u32,

    /// Friends and followers of an author from which on its posts are written to no feed: readers merge them when they
    /// read
    #[arg(id = "feed.read_fanout_from", value_name = "N")]
    #[arg(default_value_t = READ_FANOUT_FROM, value_parser = whole::<u32>(1, u32::MAX.into()))]
    pub(crate) read_fanout_from: u32,
    /// Days after which a user who does not read its feed gets no rows any more; it is made again when the user is back
    #[arg(id = "feed.dormant_days", value_name = "N")]
    #[arg(default_value_t = DORMANT_DAYS, value_parser = whole::<u32>(1, 365))]
    pub(crate) dormant_days: u32,
    /// Rows of feeds that this node writes in a second at most
    #[arg(id = "feed.rows_per_second", value_name = "N")]
    #[arg(default_value_t = timeline::ROWS_PER_S, value_parser = whole::<u32>(100, 10_000_000))]
    pub(crate) feed_rows_per_s: u32,
    /// Bytes of memory that this node's caches of feeds may take
    #[arg(id = "feed.cache_bytes", value_name = "N")]
    #[arg(default_value_t = timeline::CACHE_BYTES, value_parser = whole::<u64>(1 << 20, 1 << 40))]
    pub(crate) feed_cache_bytes: u64,

    /// The key that signs access tokens: 64 hexadecimal digits, as `openssl rand -hex 32` prints
    #[arg(id = "auth.key", value_name = "HEX", value_parser = secret, hide_env_values = true)]
    pub(crate) key: Option<Secret>,
    /// The file of that key: 32 random bytes, readable by nobody else
    #[arg(id = "auth.key_file", value_name = "PATH", value_parser = path)]
    key_file: Option<PathBuf>,
    /// Whose tokens count: own, of accounts that sign up and log in here; external, of the issuers that issuers_file
    /// lists; both
    #[arg(id = "auth.mode", value_name = "own|external|both", default_value = "own", value_enum)]
    pub(crate) auth_mode: TokensOf,
    /// The file that lists the issuers of external tokens, and a connect proxy
    #[arg(id = "auth.issuers_file", value_name = "PATH", value_parser = path)]
    pub(crate) issuers_file: Option<PathBuf>,

    /// The file that lists who sends notifications, and with which keys; without one nobody does
    #[arg(id = "notify.providers_file", value_name = "PATH", value_parser = path)]
    pub(crate) providers_file: Option<PathBuf>,

    /// The directory of pictures and other files that are uploaded; it must be one that all nodes see, if there are several
    #[arg(id = "media.dir", value_name = "PATH", value_parser = path)]
    pub(crate) media_dir: Option<PathBuf>,
    /// Bytes of a file that comes in one request, and of any picture
    #[arg(id = "media.bytes_max", value_name = "N")]
    #[arg(default_value_t = 25 << 20, value_parser = whole::<u64>(1 << 10, 1 << 30))]
    pub(crate) media_bytes_max: u64,
    /// Bytes of a file that comes in several
    #[arg(id = "media.resumable_bytes_max", value_name = "N")]
    #[arg(default_value_t = 1 << 30, value_parser = whole::<u64>(1 << 10, 1 << 40))]
    pub(crate) media_resumable_bytes_max: u64,
    /// Width times height of a picture
    #[arg(id = "media.pixels_max", value_name = "N")]
    #[arg(default_value_t = 50_000_000, value_parser = whole::<u64>(1, 1 << 30))]
    pub(crate) media_pixels_max: u64,
    /// Uploads under way at once, each with 2 MiB in memory; one account has an eighth of them
    #[arg(id = "media.uploads", value_name = "N")]
    #[arg(default_value_t = 32, value_parser = whole::<u32>(1, 10_000))]
    pub(crate) media_uploads: u32,
    /// What is put before the paths of media: the address of a cache that asks this server
    #[arg(id = "media.base_url", value_name = "URL", value_parser = api_url)]
    pub(crate) media_base_url: Option<String>,
    /// Seconds for which a URL of a media is good at least
    #[arg(id = "media.url_ttl_seconds", value_name = "N")]
    #[arg(default_value_t = 86_400, value_parser = whole::<u64>(60, 30 * 86_400))]
    pub(crate) media_url_ttl_seconds: u64,
    /// The bucket of S3, or of what speaks like it, that keeps media in the place of a directory
    #[arg(id = "media.s3_bucket", value_name = "NAME", value_parser = region)]
    pub(crate) media_s3_bucket: Option<String>,
    /// The bucket's region
    #[arg(id = "media.s3_region", value_name = "NAME", default_value = "us-east-1", value_parser = region)]
    pub(crate) media_s3_region: String,
    /// Where the bucket is, if not at Amazon
    #[arg(id = "media.s3_endpoint", value_name = "URL", value_parser = api_url)]
    pub(crate) media_s3_endpoint: Option<String>,
    /// What the names of objects in the bucket begin with
    #[arg(id = "media.s3_prefix", value_name = "TEXT", default_value = "rookery", value_parser = node_name)]
    pub(crate) media_s3_prefix: String,
    /// The file of the bucket's key: its id on one line, the secret on the next; readable by nobody else
    #[arg(id = "media.s3_key_file", value_name = "PATH", value_parser = path)]
    pub(crate) media_s3_key_file: Option<PathBuf>,

    /// Which events are logged, to standard error: a level, or directives such as info,gateway::uring=debug
    #[arg(id = "log.filter", long = "log", value_name = "FILTER", default_value = "info", value_parser = log_filter)]
    pub(crate) log_filter: String,
    /// text, json, or auto: text on a terminal, otherwise a JSON object a line
    #[arg(id = "log.format", value_name = "auto|text|json", default_value = "auto", value_enum)]
    pub(crate) log_format: LogFormat,

    /// Whether ws://…/debug/echo returns every message unchanged, for conformance suites and measurements
    #[arg(id = "debug.echo", value_name = "BOOL", default_value = "false", action = ArgAction::Set)]
    pub(crate) echo: bool,

    /// Of each key that is not at its default: the value, as it may be shown, and who named it.
    #[arg(skip)]
    named: BTreeMap<&'static str, (String, String)>,
}

/// What `rookery dev` has in place of a key's default.
const DEV_DEFAULTS: [(&str, &str); 2] = [("data.dir", "dev.rkdata"), ("debug.echo", "true")];

/// The keys as clap has them. A key's name is its flag, beside the short one where it has one.
static COMMAND: LazyLock<Command> = LazyLock::new(|| {
    let command = Config::augment_args(Command::new("rookery")).no_binary_name(true);
    command.mut_args(|key| {
        let name = Str::from(key.get_id().clone());
        if key.get_long().is_some() { key.visible_alias(name) } else { key.long(name) }
    })
});

/// Every key, by section in the order of `rookery.toml`. Its id is its name, `section.key`.
pub(crate) fn keys() -> impl Iterator<Item = &'static Arg> {
    COMMAND.get_arguments()
}

/// The key of exactly this name.
fn find(name: &str) -> Option<&'static Arg> {
    keys().find(|key| key.get_id() == name)
}

/// The flag of a key without its dashes: a short word where it has one, else `section.key`.
pub(crate) fn flag(name: &'static str) -> &'static str {
    find(name).and_then(Arg::get_long).unwrap_or(name)
}

/// The environment variable that sets a key.
pub(crate) fn variable(name: &str) -> String {
    format!("ROOKERY_{}", name.replace('.', "__").to_uppercase())
}

/// The default of a key as text, if it has one.
pub(crate) fn default(key: &Arg, mode: Mode) -> Option<String> {
    let dev = DEV_DEFAULTS.iter().find(|(name, _)| mode == Mode::Dev && key.get_id() == *name);
    let plain = || key.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    dev.map(|(_, text)| (*text).to_owned()).or_else(plain)
}

impl Config {
    /// Reads `file`, then the variables of `environment` whose name has the form `ROOKERY_SECTION__KEY`, then `flags`
    /// (key and text), each over what came before.
    ///
    /// # Errors
    /// The operator's to mend, one line that ends in the remedy: the first thing that is wrong, in that order, and then
    /// what is wrong with the whole.
    pub(crate) fn load(
        mode: Mode,
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let mut settings = file.map_or_else(|| Ok(Vec::new()), layers::file)?;
        settings.extend(layers::environment(environment)?);
        settings.extend(flags.iter().map(|(key, text)| Setting::flag(key, text)));
        let mut named = BTreeMap::new();
        for setting in settings {
            named.insert(setting.judge()?.get_id().as_str(), setting);
        }
        let dev = DEV_DEFAULTS.iter().filter(|(name, _)| mode == Mode::Dev && !named.contains_key(name));
        let texts = named.iter().map(|(name, setting)| (*name, setting.text.as_str())).chain(dev.copied());
        let words: Vec<String> = texts.map(|(name, text)| format!("--{name}={text}")).collect();
        let matches = COMMAND.clone().try_get_matches_from(words).expect("each was judged by itself");
        let mut config = Self::from_arg_matches(&matches).expect("every key that is needed has a default");
        let shown = |(name, setting): (&'static str, Setting)| {
            (name, (layers::to_toml(find(name).expect("it was judged"), &setting.text), setting.by))
        };
        config.named = named.into_iter().map(shown).collect();
        config.check(mode)?;
        Ok(config)
    }

    /// Who named the value of a key: a line of the file, a variable, a flag. `None` where it is the default.
    pub(crate) fn named_by(&self, key: &str) -> Option<&str> {
        self.named.get(key).map(|(_, by)| by.as_str())
    }

    /// The value of a key as TOML, `None` where it has none; a secret's value is never shown.
    pub(crate) fn show(&self, key: &Arg, mode: Mode) -> Option<String> {
        let named = self.named.get(key.get_id().as_str()).map(|(shown, _)| shown.clone());
        named.or_else(|| default(key, mode).map(|text| layers::to_toml(key, &text)))
    }

    /// How many shards to start: what was asked for, else one a core, at least 1.
    pub(crate) fn shards(&self) -> u16 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.shards.unwrap_or_else(|| u16::try_from(cores()).unwrap_or(SHARDS_MAX).min(SHARDS_MAX))
    }

    /// This node's share of the work.
    pub(crate) fn weight(&self) -> u16 {
        let share = || if self.has(Role::Gateway) { self.shards() } else { 0 };
        self.weight.unwrap_or_else(share)
    }

    /// Whether this node has a role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// What this node is called in logs, by probes and by other nodes on its store.
    pub(crate) fn node_name(&self) -> String {
        let host = || host_name(&rustix::system::uname().nodename().to_string_lossy());
        self.name.clone().unwrap_or_else(host)
    }

    /// Where the key that signs access tokens is kept, unless `key` holds it.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.data_dir.join("token.key"))
    }

    /// What is allowed and yet likely a mistake, a line each.
    pub(crate) fn warnings(&self, mode: Mode) -> Vec<String> {
        let secured = self.ws_url.as_ref().is_some_and(|url| url.starts_with("wss://"));
        let open = self.addresses().into_iter().filter(|(_, address)| mode == Mode::Run && !address.ip().is_loopback());
        let mut warnings: Vec<String> = open
            .filter_map(|(key, address)| match key {
                "listen.internal" => Some(format!(
                    "{key} is {address}: health, metrics and administration are open to whoever reaches it; bind it to \
                     loopback or close it by a firewall"
                )),
                "listen.api" if self.api_speaks_tls() => None,
                _ if secured => None,
                _ => Some(format!(
                    "{key} is {address} without TLS: passwords and tokens cross the network in the clear; put a TLS \
                     proxy before it, bind to loopback, and set node.ws_url to its wss:// address"
                )),
            })
            .collect();
        if self.api_speaks_tls() && !secured && !self.ws.ip().is_loopback() {
            warnings.push(
                "the API speaks TLS and WebSockets do not: browsers open none from a page of https; put a TLS proxy before \
                 listen.ws, and set node.ws_url to its wss:// address"
                    .to_owned(),
            );
        }
        if let (Some(_), None, true) = (&self.cluster_secret_file, &self.ws_url, self.ws.ip().is_unspecified()) {
            warnings.push(format!(
                "listen.ws is {} and node.ws_url is not set: other nodes of the cluster cannot send clients here",
                self.ws
            ));
        }
        if let (Some(_), None, true) =
            (&self.cluster_secret_file, &self.links_address, self.links.ip().is_unspecified())
        {
            warnings.push(format!(
                "listen.links is {} and node.links_address is not set: other nodes of the cluster cannot connect here",
                self.links
            ));
        }
        if let (Some(by), false) =
            (self.named_by("notify.providers_file"), self.has(Role::Notify) && self.has(Role::Gateway))
        {
            warnings.push(format!(
                "notify.providers_file is set ({by}) and this node sends nothing: its roles are not both gateway and notify"
            ));
        }
        if self.media_s3_bucket.is_none() {
            let idle = ["media.s3_region", "media.s3_endpoint", "media.s3_prefix", "media.s3_key_file"];
            let set = idle.iter().filter_map(|key| Some((key, self.named_by(key)?)));
            warnings
                .extend(set.map(|(key, by)| format!("{key} is set ({by}) and has no effect: media.s3_bucket is not")));
        }
        if let (Some(by), true) = (self.named_by("media.dir"), self.cluster_secret_file.is_some()) {
            warnings.push(format!(
                "media.dir is set ({by}) on a node of a cluster: every node must see the same directory there, or name a \
                 bucket instead"
            ));
        }
        if let (Some(by), TokensOf::Own) = (self.named_by("auth.issuers_file"), self.auth_mode) {
            warnings.push(format!("auth.issuers_file is set ({by}) and has no effect: auth.mode is own"));
        }
        // Keys that mean nothing to the engine in force.
        let (engine, idle): (_, &[&str]) = match self.engine {
            StoreEngine::Embedded => ("embedded", &["store.cluster_file", "store.client_library", "store.prefix"]),
            StoreEngine::FoundationDb => ("foundationdb", &["data.free_bytes_min"]),
        };
        let set = idle.iter().filter_map(|key| Some((key, self.named_by(key)?)));
        warnings
            .extend(set.map(|(key, by)| format!("{key} is set ({by}) and has no effect: store.engine is {engine}")));
        warnings
    }

    /// Whether clients of the API need no proxy for TLS.
    pub(crate) fn api_speaks_tls(&self) -> bool {
        self.api_tls_certificate_file.is_some()
    }

    /// The listeners, by key.
    pub(crate) fn addresses(&self) -> [(&'static str, SocketAddr); 3] {
        [("listen.api", self.api), ("listen.ws", self.ws), ("listen.internal", self.internal)]
    }

    /// Rules that concern more than one key.
    fn check(&self, mode: Mode) -> anyhow::Result<()> {
        if let (Some(key), Some(file)) = (self.named_by("auth.key"), self.named_by("auth.key_file")) {
            bail!("auth.key ({key}) and auth.key_file ({file}) are both set; keep one");
        }
        self.check_issuers()?;
        self.check_media()?;
        self.check_roles(mode)?;
        let addresses = self.addresses();
        for (at, (key, address)) in addresses.iter().enumerate() {
            ensure!(
                mode == Mode::Run || address.ip().is_loopback(),
                "{}: {key} is {address}, and dev listens on loopback only; use 127.0.0.1:{}, or `rookery run`",
                self.named_by(key).unwrap_or("default"),
                address.port()
            );
            let taken = addresses[..at].iter().find(|(_, other)| other == address && address.port() != 0);
            if let Some((other, _)) = taken {
                bail!("{other} and {key} are both {address}; give each a port of its own");
            }
        }
        Ok(())
    }

    /// Issuers are listed where their tokens are to count.
    fn check_issuers(&self) -> anyhow::Result<()> {
        let by = self.named_by("auth.mode").unwrap_or("default");
        ensure!(
            self.auth_mode == TokensOf::Own || self.issuers_file.is_some(),
            "{by}: auth.mode takes tokens of issuers and none is known; set auth.issuers_file"
        );
        Ok(())
    }

    /// Media are in one place.
    fn check_media(&self) -> anyhow::Result<()> {
        if let (Some(bucket), Some(dir)) = (self.named_by("media.s3_bucket"), self.named_by("media.dir")) {
            bail!("media.s3_bucket ({bucket}) and media.dir ({dir}) are both set; keep one");
        }
        Ok(())
    }

    /// A node of one role is nothing without others.
    fn check_roles(&self, mode: Mode) -> anyhow::Result<()> {
        if self.has(Role::Gateway) && self.has(Role::Api) {
            return Ok(());
        }
        let by = self.named_by("node.roles").unwrap_or("default");
        let in_cluster = self.engine == StoreEngine::FoundationDb && self.cluster_secret_file.is_some();
        ensure!(
            mode == Mode::Run && in_cluster,
            "{by}: node.roles leaves out what other nodes do then; set store.engine = \"foundationdb\" and \
             cluster.secret_file, or name both roles"
        );
        ensure!(
            self.has(Role::Gateway) || self.weight() == 0,
            "{by}: a node without the role gateway owns no partitions; leave node.weight out"
        );
        ensure!(
            self.has(Role::Api) || self.api_url.is_some(),
            "{by}: a node without the role api sends its clients to another's; set node.api_url to its address"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
