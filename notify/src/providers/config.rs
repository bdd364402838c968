//! Configuration of the providers: the file `notify.toml`.
//!
//! Owns the keys that are the same for all, the order (which is that of failover), and what an error says. The keys of
//! one provider are that provider's `Settings`. The documented file is at the root of the project; a test reads it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use schema::Medium;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::apns::Apns;
use super::dry::DryRun;
use super::fcm::Fcm;
use super::guard::Guard;
use super::mail::Mail;
use super::secret::Secret;
use super::signature::is_signed;
use super::sms::Sms;
use super::subscription::Subscription;
use super::webhook::Webhook;
use super::webpush::WebPush;
use super::{ATTEMPT_MS_MAX, Provider};

/// Providers that one node may have.
const PROVIDERS_MAX: usize = 64;

/// Why a node has no providers: the operator's fault. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", file.display())]
    Read {
        /// The configuration's.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file is no TOML, or not of this form.
    #[error("{} is not understood", file.display())]
    Parse {
        /// The configuration's.
        file: PathBuf,
        /// Where, and what would be.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A key has a value that does not do.
    #[error("{}: {}", file.display(), place(provider.as_deref(), key, why))]
    Key {
        /// The configuration's.
        file: PathBuf,
        /// The provider's name, or its place where it has none; `None` for a key of all.
        provider: Option<String>,
        /// The key; empty where `why` names it.
        key: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
}

fn place(provider: Option<&str>, key: &str, why: &str) -> String {
    let provider = provider.map(|name| format!("provider {name}: ")).unwrap_or_default();
    format!("{provider}{key}{}{why}", if key.is_empty() { "" } else { " " })
}

/// A key of one provider that does not do.
#[derive(Debug)]
pub(super) struct KeyError {
    pub(super) key: String,
    /// A predicate: `is no URL`.
    pub(super) why: String,
}

impl KeyError {
    pub(super) fn new(key: &str, why: impl Into<String>) -> Self {
        Self { key: key.to_owned(), why: why.into() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    allow_loopback: bool,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default = "attempt_ms_max")]
    attempt_ms_max: u64,
    #[serde(default)]
    provider: Vec<toml::Table>,
}

fn attempt_ms_max() -> u64 {
    ATTEMPT_MS_MAX
}

/// What every provider is made with, beside its own settings.
pub(super) struct Common {
    pub(super) guard: Guard,
    pub(super) tls: ClientConfig,
    pub(super) attempt_ms_max: u64,
    /// The authorities of `ca_file`, which are believed beside those that the world believes.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// What relative paths begin at: where the configuration lies.
    directory: PathBuf,
}

impl Common {
    /// A provider's own settings, of what is left of its table.
    ///
    /// # Errors
    /// A key that is missing, is not known, or has a value of another kind.
    pub(super) fn settings<T: DeserializeOwned>(&self, table: toml::Table) -> Result<T, KeyError> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| KeyError::new("", error.to_string().trim().replace('\n', " ")))
    }

    /// The secret in the file that a key names.
    pub(super) fn secret(&self, key: &str, path: &Path) -> Result<Secret, KeyError> {
        Secret::read(&self.directory.join(path)).map_err(|why| KeyError::new(key, why))
    }

    /// The URL that a key holds, without a slash at its end.
    pub(super) fn url(&self, key: &str, url: &str) -> Result<String, KeyError> {
        let parsed: Option<http::Uri> = url.parse().ok();
        let is_url = |uri: &http::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        let parsed = parsed.filter(is_url).ok_or_else(|| KeyError::new(key, "is no URL: https://host"))?;
        if parsed.scheme_str() == Some("http") && !self.guard.allow_loopback {
            return Err(KeyError::new(key, "is not https: secrets would go over the network as they are"));
        }
        Ok(url.trim_end_matches('/').to_owned())
    }
}

/// The providers of a node, as its configuration lists them.
#[derive(Default)]
pub struct Providers {
    /// By medium, the first choice first.
    by_medium: BTreeMap<Medium, Vec<Arc<dyn Provider>>>,
    guard: Guard,
    webpush_key: Option<String>,
    /// What callbacks about text messages are signed with.
    sms_tokens: Vec<Secret>,
}

impl Providers {
    /// Reads a configuration with all the files that it names, and makes what it lists. Connects to nobody.
    ///
    /// # Errors
    /// The operator's fault: which file, which key, and what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|cause| ConfigError::Read { file: path.to_owned(), cause })?;
        Self::parse(path, &text)
    }

    /// As if the file at `path` held `text`.
    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text)
            .map_err(|cause| ConfigError::Parse { file: path.to_owned(), cause: Box::new(cause) })?;
        let refused = |provider: Option<String>, error: KeyError| ConfigError::Key {
            file: path.to_owned(),
            provider,
            key: error.key,
            why: error.why,
        };
        let common = common(path, &file).map_err(|error| refused(None, error))?;
        if file.provider.len() > PROVIDERS_MAX {
            let why = format!("is listed {} times, the limit is {PROVIDERS_MAX}", file.provider.len());
            return Err(refused(None, KeyError::new("provider", why)));
        }
        let mut providers = Self { guard: common.guard, ..Self::default() };
        for (number, mut table) in (1..).zip(file.provider) {
            let made = name(&mut table).and_then(|name| match providers.names().any(|other| other == name) {
                true => Err((Some(name), KeyError::new("name", "is another provider's too: each needs its own"))),
                false => Ok(name),
            });
            let name = made.map_err(|(name, error)| refused(name.or_else(|| Some(format!("#{number}"))), error))?;
            let refused = |error| refused(Some(name.clone()), error);
            let medium = medium(&mut table).map_err(refused)?;
            let provider = providers.make(name.clone(), medium, table, &common).map_err(refused)?;
            providers.push(if file.dry_run { Arc::new(DryRun { name, medium }) } else { provider });
        }
        Ok(providers)
    }

    /// These, in their order: for tests of whoever sends.
    #[must_use]
    pub fn of_list(list: impl IntoIterator<Item = Arc<dyn Provider>>) -> Self {
        let mut providers = Self::default();
        list.into_iter().for_each(|provider| providers.push(provider));
        providers
    }

    fn make(
        &mut self,
        name: String,
        medium: Medium,
        table: toml::Table,
        common: &Common,
    ) -> Result<Arc<dyn Provider>, KeyError> {
        Ok(match medium {
            Medium::Apns => Arc::new(Apns::new(name, common.settings(table)?, common)?),
            Medium::WebPush => {
                let webpush = WebPush::new(name, common.settings(table)?, common)?;
                self.webpush_key.get_or_insert_with(|| webpush.public_key().to_owned());
                Arc::new(webpush)
            }
            Medium::Fcm => Arc::new(Fcm::new(name, common.settings(table)?, common)?),
            Medium::Sms => {
                let (sms, token) = Sms::new(name, common.settings(table)?, common)?;
                self.sms_tokens.push(token);
                Arc::new(sms)
            }
            Medium::Webhook => Arc::new(Webhook::new(name, common.settings(table)?, common)?),
            Medium::Mail => Arc::new(Mail::new(name, common.settings(table)?, common)?),
        })
    }

    fn push(&mut self, provider: Arc<dyn Provider>) {
        self.by_medium.entry(provider.medium()).or_default().push(provider);
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.by_medium.values().flatten().map(|provider| provider.name())
    }

    /// The providers of a medium in the order in which they are to be tried. Empty if it has none.
    #[must_use]
    pub fn of(&self, medium: Medium) -> &[Arc<dyn Provider>] {
        self.by_medium.get(&medium).map(Vec::as_slice).unwrap_or_default()
    }

    /// The media that something is sent by.
    pub fn media(&self) -> impl Iterator<Item = Medium> {
        self.by_medium.keys().copied()
    }

    /// Whether nothing is sent by any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_medium.is_empty()
    }

    /// Whether an address is one of a medium, and one that may be sent to, for whoever stores it.
    ///
    /// # Errors
    /// Why not, for whoever registers it.
    pub fn check_address(&self, medium: Medium, address: &str) -> Result<(), String> {
        let is_token = |also: &[u8]| address.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte));
        let fits = match medium {
            Medium::WebPush => {
                return Subscription::parse(address, self.guard).map(drop).map_err(|error| error.to_string());
            }
            Medium::Apns => (1..=200).contains(&address.len()) && address.bytes().all(|byte| byte.is_ascii_hexdigit()),
            Medium::Fcm => is_token(b"_-:"),
            Medium::Webhook => is_token(b"_-:.="),
            // Registered and verified elsewhere.
            Medium::Mail | Medium::Sms => false,
        };
        if fits { Ok(()) } else { Err(format!("this is no token of {medium}")) }
    }

    /// What browsers subscribe for (`applicationServerKey`): the public key of the first provider of web push, an
    /// uncompressed point in base64url. `None` without one.
    #[must_use]
    pub fn webpush_key(&self) -> Option<&str> {
        self.webpush_key.as_deref()
    }

    /// Whether what somebody says became of a text message is signed by a provider of text messages: the URL that it
    /// called, as it was told it, the fields of the form, and `X-Twilio-Signature`.
    #[must_use]
    pub fn is_sms_callback(&self, url: &str, form: &[(String, String)], signature: &str) -> bool {
        self.sms_tokens.iter().any(|token| is_signed(token.expose(), url, form, signature))
    }

    /// What endpoints that users name are judged by.
    #[must_use]
    pub fn guard(&self) -> Guard {
        self.guard
    }
}

fn common(path: &Path, file: &File) -> Result<Common, KeyError> {
    if !(1..=ATTEMPT_MS_MAX).contains(&file.attempt_ms_max) {
        return Err(KeyError::new("attempt_ms_max", format!("is none of 1 to {ATTEMPT_MS_MAX}")));
    }
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    let authorities = file.ca_file.as_ref().map_or(Ok(Vec::new()), |ca| authorities(&directory.join(ca)))?;
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in &authorities {
        let added = roots.add(authority.clone());
        added.map_err(|error| KeyError::new("ca_file", format!("has a certificate that does not do: {error}")))?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for these")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let guard = Guard { allow_loopback: file.allow_loopback };
    Ok(Common { guard, tls, attempt_ms_max: file.attempt_ms_max, authorities, directory })
}

/// The certificates of a PEM file.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let failed = |what: &str| KeyError::new("ca_file", format!("cannot be used: {}: {what}", path.display()));
    let read = |error: rustls::pki_types::pem::Error| failed(&error.to_string());
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)?;
    if found.is_empty() { Err(failed("it has no certificate, PEM is expected")) } else { Ok(found) }
}

/// Takes the name out of a provider's table.
fn name(table: &mut toml::Table) -> Result<String, (Option<String>, KeyError)> {
    let is_name = |name: &str| {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        (1..=64).contains(&name.len()) && name.bytes().all(is_legal)
    };
    match table.remove("name") {
        None => Err((None, KeyError::new("name", "is missing: it stands in metrics and reports"))),
        Some(toml::Value::String(name)) if is_name(&name) => Ok(name),
        Some(_) => Err((None, KeyError::new("name", "is none of 1 to 64 letters, digits, _, - and ."))),
    }
}

/// Takes the medium out of a provider's table.
fn medium(table: &mut toml::Table) -> Result<Medium, KeyError> {
    let found = table.remove("medium");
    let found = found.as_ref().and_then(toml::Value::as_str).and_then(|word| word.parse().ok());
    let words = || Medium::ALL.iter().map(|medium| medium.word()).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| KeyError::new("medium", format!("is missing or none of {}", words())))
}
