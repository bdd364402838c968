//! Configuration of issuers: the file `auth.toml`.
//!
//! Owns its keys, what fits together, and what an error says. The documented file is at the root of the project; a test
//! reads it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chat::accounts::SYSTEM_NAMESPACE;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::jwt::{ClaimNames, Issuer, SUBJECT_BYTES_MAX, Source, issuer_of};
use super::keys::{ALGORITHMS, KeySet};
use super::proxy::Proxy;
use super::ring::Ring;

/// Issuers that a node may have.
const ISSUERS_MAX: usize = 32;
/// Bytes of a file with a key.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// By how much clocks may differ.
const LEEWAY_S_MAX: u64 = 300;
/// Seconds between two fetches of keys.
const REFRESH_S: std::ops::RangeInclusive<u64> = 10..=86_400;
/// For what a connect proxy has to say.
const PROXY_MS: std::ops::RangeInclusive<u64> = 1..=10_000;
/// The namespace of users of whom a connect proxy speaks, unless it names another.
const PROXY: &str = "proxy";

/// A fault of the operator's, for which a node knows no issuers. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// The file cannot be read.
    #[error("{} cannot be read", file.display())]
    Read {
        /// The configuration's.
        file: PathBuf,
        /// The system's reason.
        #[source]
        cause: io::Error,
    },
    /// The file is no TOML, or not of this form.
    #[error("{} is not understood", file.display())]
    Parse {
        /// The configuration's.
        file: PathBuf,
        /// The place, and what would be right there.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A key has a value that does not do.
    #[error("{}: {place}: {key} {why}", file.display())]
    Key {
        /// The configuration's.
        file: PathBuf,
        /// The issuer's name, or `proxy`.
        place: String,
        /// The key.
        key: &'static str,
        /// The fault, and its remedy.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    ca_file: Option<PathBuf>,
    #[serde(default)]
    issuer: Vec<IssuerKeys>,
    proxy: Option<ProxyKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerKeys {
    issuer: String,
    namespace: Option<String>,
    #[serde(default)]
    audience: OneOrSeveral,
    algorithms: Vec<String>,
    jwks_url: Option<String>,
    public_key_file: Option<PathBuf>,
    secret_file: Option<PathBuf>,
    #[serde(default = "leeway_seconds")]
    leeway_seconds: u64,
    #[serde(default = "refresh_seconds")]
    refresh_seconds: u64,
    #[serde(default)]
    claims: ClaimNames,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxyKeys {
    url: String,
    secret_file: PathBuf,
    namespace: Option<String>,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

impl Default for OneOrSeveral {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

fn leeway_seconds() -> u64 {
    30
}

fn refresh_seconds() -> u64 {
    300
}

fn timeout_ms() -> u64 {
    3_000
}

/// The issuers of a node, and who is asked about tokens of nobody's.
#[derive(Debug, Default)]
pub struct Issuers {
    /// Authorities that are believed beside those that the world believes.
    ca_file: Option<PathBuf>,
    list: Vec<Issuer>,
    proxy: Option<Arc<Proxy>>,
}

/// A key that does not do, and why.
type Wrong = (&'static str, String);

fn wrong(key: &'static str, why: impl Into<String>) -> Wrong {
    (key, why.into())
}

impl Issuers {
    /// Reads a configuration with all the files that it names. Connects to nobody.
    ///
    /// # Errors
    /// The operator's fault: which file, which key, and what to do.
    pub fn load(path: &Path) -> Result<Self, IssuersError> {
        let text = fs::read_to_string(path).map_err(|cause| IssuersError::Read { file: path.to_owned(), cause })?;
        Self::parse(path, &text)
    }

    /// As if the file at `path` held `text`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, IssuersError> {
        let document: Document = toml::from_str(text)
            .map_err(|cause| IssuersError::Parse { file: path.to_owned(), cause: Box::new(cause) })?;
        let refused = |place: &str, (key, why): Wrong| IssuersError::Key {
            file: path.to_owned(),
            place: place.to_owned(),
            key,
            why,
        };
        let directory = path.parent().unwrap_or(Path::new(""));
        if document.issuer.len() > ISSUERS_MAX {
            let why = format!("is listed {} times, the limit is {ISSUERS_MAX}", document.issuer.len());
            return Err(refused("auth", wrong("issuer", why)));
        }
        let ca_file = document.ca_file.map(|file| directory.join(file));
        let mut issuers = Self { ca_file, ..Self::default() };
        for keys in document.issuer {
            let name = keys.issuer.clone();
            let is_known = issuers.list.iter().any(|issuer| issuer.name == name);
            let made = if is_known { Err(wrong("issuer", "is listed twice")) } else { issuer(keys, directory) };
            issuers.list.push(made.map_err(|error| refused(&name, error))?);
        }
        let proxy = document.proxy.map(|keys| {
            let is_taken = keys.namespace.is_none() && issuers.list.iter().any(|issuer| issuer.namespace == PROXY);
            if is_taken {
                let why = "is missing, and \"proxy\" is an issuer's: name it, or another if its users are others";
                return Err(wrong("namespace", why));
            }
            proxy(keys, directory)
        });
        let proxy = proxy.transpose();
        issuers.proxy = proxy.map_err(|error| refused("proxy", error))?.map(Arc::new);
        Ok(issuers)
    }

    /// `true` if no token is one of theirs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.proxy.is_none()
    }

    /// The file of authorities that are believed beside those that the world believes.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// `true` if anything is to be fetched or asked: then [`start`](super::start) is wanted.
    #[must_use]
    pub fn needs_network(&self) -> bool {
        self.proxy.is_some() || self.rings().next().is_some()
    }

    /// The issuer that a token says it is of.
    pub(super) fn find(&self, token: &str) -> Option<&Issuer> {
        if self.list.is_empty() {
            return None;
        }
        let name = issuer_of(token)?;
        self.list.iter().find(|issuer| issuer.name == name)
    }

    pub(super) fn proxy(&self) -> Option<&Arc<Proxy>> {
        self.proxy.as_ref()
    }

    /// The key sets that are fetched, by their issuers' names.
    pub(super) fn rings(&self) -> impl Iterator<Item = (&str, &Ring)> {
        self.urls().map(|(name, _, ring)| (name, ring))
    }

    /// The same, each with its URL.
    pub(super) fn urls(&self) -> impl Iterator<Item = (&str, &str, &Ring)> {
        self.list.iter().filter_map(|issuer| match &issuer.source {
            Source::File(_) => None,
            Source::Url(url, ring) => Some((issuer.name.as_str(), url.as_str(), ring)),
        })
    }
}

fn issuer(keys: IssuerKeys, directory: &Path) -> Result<Issuer, Wrong> {
    let IssuerKeys { issuer: name, namespace, audience, claims, leeway_seconds, refresh_seconds, .. } = keys;
    if name.is_empty() || name.len() > SUBJECT_BYTES_MAX {
        return Err(wrong("issuer", "is what its tokens have as iss, 1 to 255 bytes"));
    }
    let namespace = namespaced(namespace, &name)?;
    let algorithms = algorithms(&keys.algorithms)?;
    let audience = match audience {
        OneOrSeveral::One(one) => vec![one],
        OneOrSeveral::Several(several) => several,
    };
    if leeway_seconds > LEEWAY_S_MAX {
        return Err(wrong("leeway_seconds", format!("is more than {LEEWAY_S_MAX}")));
    }
    if !REFRESH_S.contains(&refresh_seconds) {
        return Err(wrong("refresh_seconds", format!("is none of {} to {}", REFRESH_S.start(), REFRESH_S.end())));
    }
    let is_secret = algorithms.contains(&Algorithm::HS256);
    let source = match (keys.jwks_url, keys.public_key_file, keys.secret_file) {
        (Some(_), None, None) if is_secret => {
            return Err(wrong(
                "algorithms",
                "has HS256, whose keys are no public ones: give secret_file, or leave it out",
            ));
        }
        (Some(url), None, None) => {
            if audience.is_empty() {
                let why = "is missing: without it tokens that the issuer made for anybody else would count here";
                return Err(wrong("audience", why));
            }
            Source::Url(https("jwks_url", url)?, Ring::new(Duration::from_secs(refresh_seconds)))
        }
        (None, Some(file), None) => {
            let &[algorithm] = algorithms.as_slice() else {
                return Err(wrong("algorithms", "is several, and a public key is for one"));
            };
            let pem = read("public_key_file", &directory.join(file), false)?;
            let pem = String::from_utf8(pem).map_err(|_| wrong("public_key_file", "is no text"))?;
            Source::File(KeySet::of_pem(&pem, algorithm).map_err(|why| wrong("public_key_file", why))?)
        }
        (None, None, Some(file)) => {
            if algorithms != [Algorithm::HS256] {
                return Err(wrong("algorithms", "is not [\"HS256\"], and secret_file is for nothing else"));
            }
            let mut secret = read("secret_file", &directory.join(file), true)?;
            secret.truncate(secret.trim_ascii_end().len());
            Source::File(KeySet::of_secret(&secret).map_err(|why| wrong("secret_file", why))?)
        }
        (_, _, _) => {
            return Err(wrong("jwks_url", "or public_key_file or secret_file is wanted: one of the three"));
        }
    };
    Ok(Issuer { name, namespace, audience, algorithms, leeway_s: leeway_seconds, claims, source })
}

fn proxy(keys: ProxyKeys, directory: &Path) -> Result<Proxy, Wrong> {
    let ProxyKeys { url, secret_file, namespace, timeout_ms } = keys;
    if !PROXY_MS.contains(&timeout_ms) {
        return Err(wrong("timeout_ms", format!("is none of {} to {}", PROXY_MS.start(), PROXY_MS.end())));
    }
    let secret = read("secret_file", &directory.join(secret_file), true)?;
    let secret = String::from_utf8(secret).map_err(|_| wrong("secret_file", "is no text"))?;
    let secret = secret.trim_end().to_owned();
    if secret.is_empty() {
        return Err(wrong("secret_file", "is empty, write the secret into it"));
    }
    let namespace = namespaced(namespace, PROXY)?;
    Ok(Proxy::new(https("url", url)?, secret, namespace, Duration::from_millis(timeout_ms)))
}

fn namespaced(namespace: Option<String>, default: &str) -> Result<String, Wrong> {
    let namespace = namespace.unwrap_or_else(|| default.to_owned());
    if namespace == SYSTEM_NAMESPACE {
        return Err(wrong(
            "namespace",
            "is that of the applications' own accounts, for whom nobody speaks: name another",
        ));
    }
    let fits = (1..=SUBJECT_BYTES_MAX).contains(&namespace.len());
    if fits { Ok(namespace) } else { Err(wrong("namespace", "has 1 to 255 bytes")) }
}

fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, Wrong> {
    let known = || ALGORITHMS.map(|(name, _)| name).join(", ");
    let algorithm = |name: &String| {
        let found = ALGORITHMS.iter().find(|(known, _)| known == name).map(|&(_, algorithm)| algorithm);
        found.ok_or_else(|| wrong("algorithms", format!("has {name:?}, there are {}", known())))
    };
    let algorithms: Vec<_> = names.iter().map(algorithm).collect::<Result<_, _>>()?;
    if algorithms.is_empty() {
        Err(wrong("algorithms", format!("is empty: name some of {}", known())))
    } else {
        Ok(algorithms)
    }
}

/// A URL that others than this machine's own processes are asked at by TLS alone.
fn https(key: &'static str, url: String) -> Result<String, Wrong> {
    let uri: axum::http::Uri = url.parse().map_err(|_| wrong(key, "is no URL: https://host/path"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        _ if host.is_empty() => Err(wrong(key, "is no URL: https://host/path")),
        Some("https") => Ok(url),
        Some("http") if is_loopback => Ok(url),
        _ => Err(wrong(key, "is not https, and not on this machine's loopback: whoever is between could answer")),
    }
}

/// Reads a file with a key, which others may not read if it is a secret.
fn read(key: &'static str, path: &Path, is_secret: bool) -> Result<Vec<u8>, Wrong> {
    let shown = path.display();
    let failed = |error: io::Error| wrong(key, format!("cannot be read: {shown}: {error}"));
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if is_secret && mode & 0o077 != 0 {
        return Err(wrong(key, format!("has mode {mode:04o}, others may read it: `chmod 600 {shown}`")));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(key, format!("has more than {FILE_BYTES_MAX} bytes, which no key has: {shown}")));
    }
    Ok(bytes)
}
