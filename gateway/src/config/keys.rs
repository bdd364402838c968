//! The one table of keys: what each is called, what it means, what it may be.
//!
//! Owns names, texts and bounds. Help, the documented `rookery.toml`, environment variables, flags and checks are all
//! read from here, so that they cannot differ.

use std::fmt;
use std::ops::RangeInclusive;

use schema::limits::GROUP_MEMBERS_MAX;

use super::Config;
use super::error::{ConfigError, Origin};
use super::value::{Given, Setting};

/// Shards of one node: more cores than any machine this is meant for.
pub(super) const SHARDS_MAX: u16 = 256;
/// Free disk bytes below which nothing more is accepted, unless configured.
///
/// The embedded store may write up to 512 MiB of journal before it must flush, and as much again while it merges.
pub(super) const FREE_BYTES_MIN: u64 = 1 << 30;
/// Edits between an unknown key and the nearest one beyond which the two have nothing to do with each other.
const TYPO_EDITS_MAX: usize = 3;

/// One key of the configuration.
pub struct Key {
    /// `section.key`, which is also its flag.
    pub name: &'static str,
    /// A short flag beside `--section.key`.
    pub short: Option<&'static str>,
    /// What it does, one sentence a line, without a full stop at the end of the first.
    pub text: &'static str,
    /// What to show in the documented file where there is no default, as TOML.
    pub example: Option<&'static str>,
    /// For numbers.
    pub(super) bounds: Option<RangeInclusive<u64>>,
    /// The field it names.
    pub(super) field: fn(&mut Config) -> &mut dyn Setting,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Key {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("ROOKERY_{}", self.name.replace('.', "__").to_uppercase())
    }

    /// What stands for its value in help.
    #[must_use]
    pub fn placeholder(&self) -> &'static str {
        (self.field)(&mut Config::defaults(super::Mode::Run)).placeholder()
    }

    /// Its value in `config` as TOML, `None` where it has none; a secret's value is never shown.
    #[must_use]
    pub fn show(&self, config: &Config) -> Option<String> {
        (self.field)(&mut config.clone()).show()
    }

    /// The section's name and the key's own.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').expect("every name in the table has a section")
    }

    /// Takes what a layer gave.
    ///
    /// # Errors
    /// [`ConfigError::Value`] where it does not fit; `config` is then to be thrown away.
    pub(super) fn set(&self, config: &mut Config, given: &Given, origin: &Origin) -> Result<(), ConfigError> {
        let field = (self.field)(config);
        let fits = field.set(given).is_some();
        let within = |bounds: &RangeInclusive<u64>| field.number().is_none_or(|number| bounds.contains(&number));
        if fits && self.bounds.as_ref().is_none_or(within) {
            return Ok(());
        }
        let expected = match &self.bounds {
            Some(bounds) => format!("{} from {} to {}", field.expected(), bounds.start(), bounds.end()),
            None => field.expected().to_owned(),
        };
        let given = if field.is_secret() { "not as it should be".to_owned() } else { given.to_string() };
        Err(ConfigError::Value { key: self.name, origin: origin.clone(), given, expected })
    }
}

/// The key of exactly this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that was probably meant by `name`: with the same last part, or a few edits away.
pub(super) fn nearest(name: &str) -> Option<&'static Key> {
    let last = name.rsplit('.').next().unwrap_or(name);
    let same_last = KEYS.iter().find(|key| key.parts().1 == last || key.short == Some(last));
    let edits = |key: &&Key| strsim::damerau_levenshtein(key.name, name);
    same_last.or_else(|| KEYS.iter().min_by_key(edits).filter(|key| edits(key) <= TYPO_EDITS_MAX))
}

/// A key without a short flag, an example or bounds.
const fn key(name: &'static str, text: &'static str, field: fn(&mut Config) -> &mut dyn Setting) -> Key {
    Key { name, short: None, text, example: None, bounds: None, field }
}

/// Every key, by section in the order in which they are documented.
pub static KEYS: &[Key] = &[
    Key {
        short: Some("api"),
        ..key("listen.api", "Where the HTTP API and the web page listen; port 0 takes a free one", |c| {
            &mut c.listen.api
        })
    },
    Key { short: Some("ws"), ..key("listen.ws", "Where WebSocket clients connect", |c| &mut c.listen.ws) },
    Key {
        short: Some("internal"),
        ..key(
            "listen.internal",
            "Where health, metrics and administration listen\nKeep it off the public network: it asks nobody who they are.",
            |c| &mut c.listen.internal,
        )
    },
    Key {
        short: Some("data"),
        ..key(
            "data.dir",
            "The directory of everything that survives\n\
             The default is made on the first start; one that you name must exist, so that an unmounted disk is noticed.\n\
             `rookery dev` has a default of its own, dev.rkdata, and makes whatever you name.",
            |c| &mut c.data.dir,
        )
    },
    Key {
        bounds: Some(0..=1 << 50),
        ..key(
            "data.free_bytes_min",
            "Free bytes of that directory's file system below which sends are refused (error 115)\n\
             They are accepted again, without a restart, once an eighth more than this is free. 0 watches nothing.",
            |c| &mut c.data.free_bytes_min,
        )
    },
    key(
        "store.engine",
        "What keeps everything: embedded, in the data directory, or foundationdb, a cluster that several nodes share\n\
         With foundationdb the data directory keeps token.key alone, and its free bytes refuse nothing. See docs/foundationdb.md.",
        |c| &mut c.store.engine,
    ),
    Key {
        example: Some("\"/etc/foundationdb/fdb.cluster\""),
        ..key(
            "store.cluster_file",
            "Where FoundationDB's cluster is: the path of its cluster file\n\
             Unless set it is where the client looks: FDB_CLUSTER_FILE, ./fdb.cluster, /etc/foundationdb/fdb.cluster.",
            |c| &mut c.store.cluster_file,
        )
    },
    Key {
        example: Some("\"/usr/lib/libfdb_c.so\""),
        ..key(
            "store.client_library",
            "FoundationDB's client library, version 7.3 or newer: the path of its libfdb_c.so\n\
             Unless set it is FDB_CLIENT_LIB, or what the dynamic loader finds.",
            |c| &mut c.store.client_library,
        )
    },
    key(
        "store.prefix",
        "What every key in the cluster begins with, up to 59 bytes: stores of different prefixes know nothing of each other",
        |c| &mut c.store.prefix,
    ),
    key(
        "store.chained_appends",
        "Whether appends read at the version of their shard's last commit instead of asking the cluster for its newest\n\
         It saves a question a batch, and costs a conflict where others write to the same channels.",
        |c| &mut c.store.chained_appends,
    ),
    Key {
        example: Some("\"chat-1\""),
        ..key(
            "node.name",
            "What this node is called in logs, by probes and by other nodes on its store; the machine's name unless set",
            |c| &mut c.node.name,
        )
    },
    Key {
        short: Some("shards"),
        bounds: Some(1..=SHARDS_MAX as u64),
        example: Some("4"),
        ..key("node.shards", "Shards, each a thread with its own sockets; one a core unless set", |c| {
            &mut c.node.shards
        })
    },
    Key {
        example: Some("\"wss://chat.example.org\""),
        ..key(
            "node.ws_url",
            "Where clients are told to connect: set it behind a proxy, which should speak TLS\n\
             Unless set they are told listen.ws.",
            |c| &mut c.node.ws_url,
        )
    },
    key("node.region", "What /v1/servers/best calls this node's place", |c| &mut c.node.region),
    Key {
        bounds: Some(1..=u32::MAX as u64),
        example: Some("100_000"),
        ..key(
            "limits.connections",
            "Client connections; one more is refused (close code 3015)\n\
             Unless set as many as the file limit leaves: its hard value less a reserve, see `rookery doctor`.",
            |c| &mut c.limits.connections,
        )
    },
    Key {
        bounds: Some(2..=GROUP_MEMBERS_MAX as u64),
        ..key(
            "limits.group_members",
            "Members of a group; one more is refused (error 119)\n\
             A message is written once for each. Groups that have more already keep them.",
            |c| &mut c.limits.group_members,
        )
    },
    Key {
        example: Some("\"64 hexadecimal digits\""),
        ..key(
            "auth.key",
            "The key that signs access tokens: 64 hexadecimal digits, as `openssl rand -hex 32` prints\n\
             Better keep it in a file: flags can be read by every user of the machine.",
            |c| &mut c.auth.key,
        )
    },
    Key {
        example: Some("\"/etc/rookery/token.key\""),
        ..key(
            "auth.key_file",
            "The file of that key: 32 random bytes, readable by nobody else\n\
             Unless either is set it is token.key in the data directory, made on the first start.",
            |c| &mut c.auth.key_file,
        )
    },
    Key {
        short: Some("log"),
        ..key(
            "log.filter",
            "Which events are logged, to standard error: a level, or directives such as info,gateway::uring=debug",
            |c| &mut c.log.filter,
        )
    },
    key("log.format", "text, json, or auto: text on a terminal, otherwise a JSON object a line", |c| &mut c.log.format),
    key(
        "debug.echo",
        "Whether ws://…/debug/echo returns every message unchanged, for conformance suites and measurements\n\
         `rookery dev` has it on.",
        |c| &mut c.debug.echo,
    ),
];
