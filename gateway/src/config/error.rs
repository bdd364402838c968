//! Errors of the configuration, each one line that ends in the remedy.
//!
//! Owns the wording. Everything here is the operator's to mend; nothing was started or written.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// A line of the configuration file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// A flag of the command line.
    Flag {
        /// The key it names.
        key: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag { key } => write!(f, "flag --{}", super::flag(key)),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Operator's fault: no such key.
    #[error("{origin}: unknown key {name:?}{}", suggestion(*nearest, origin))]
    UnknownKey {
        /// As it was written, with dots between its parts.
        name: String,
        /// Who wrote it.
        origin: Origin,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },

    /// Operator's fault: the value does not fit its key.
    #[error("{origin}: {key} is {given}, expected {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Who named the value.
        origin: Origin,
        /// The value as it was given, unless it is a secret.
        given: String,
        /// What fits.
        expected: String,
    },

    /// Operator's fault: the environment variable's bytes are no text.
    #[error("environment variable {variable} is not UTF-8; unset it or write it again")]
    NotText {
        /// Its name, as far as it can be shown.
        variable: String,
    },

    /// The file named with `--config` cannot be read.
    #[error("cannot read {}: {source}; name an existing file with --config, or leave it out for the defaults", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// Operator's fault: the file is larger than any configuration.
    #[error("{} is larger than {limit_bytes} bytes, which no configuration is; name another file with --config", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },

    /// Operator's fault: the file is no TOML.
    #[error("{}:{line}: not TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },

    /// Operator's fault: a secret has two sources.
    #[error("{} ({}) and {} ({}) are both set; keep one", keys[0], origins[0], keys[1], origins[1])]
    Both {
        /// The two keys.
        keys: [&'static str; 2],
        /// Who named each.
        origins: [Origin; 2],
    },

    /// Operator's fault: dev would be reachable from the network.
    #[error("{origin}: {key} is {address}, and dev listens on loopback only; use 127.0.0.1:{}, or `rookery run`", address.port())]
    NotLoopback {
        /// The listener's key.
        key: &'static str,
        /// Its address.
        address: SocketAddr,
        /// Who named it.
        origin: Origin,
    },

    /// Operator's fault: two listeners on one address.
    #[error("{} and {} are both {address}; give each a port of its own", keys[0], keys[1])]
    SameAddress {
        /// The listeners' keys.
        keys: [&'static str; 2],
        /// The address.
        address: SocketAddr,
    },
}

/// In the words of whoever wrote the unknown key.
fn suggestion(nearest: Option<&'static str>, origin: &Origin) -> String {
    match (nearest, origin) {
        (Some(key), Origin::Environment { .. }) => format!("; did you mean {}?", super::variable(key)),
        (Some(key), Origin::Default | Origin::File { .. } | Origin::Flag { .. }) => {
            format!("; did you mean {key:?}?")
        }
        (None, _) => "; `rookery checkconfig --defaults` lists the keys".to_owned(),
    }
}
