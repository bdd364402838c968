//! Configuration of the providers: the file `notify.toml`.
//!
//! Owns the keys that are the same for all, the order (which is that of failover), and what an error says. The keys of
//! one provider are that provider's `Settings`. The documented file is at the root of the project; a test reads it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chat::notices::is_web_url;
use schema::Medium;
use serde::Deserialize;

use super::apns::Apns;
use super::caller::Caller;
use super::dry::DryRun;
use super::fcm::Fcm;
use super::mail::Mail;
use super::registry::Providers;
use super::setup::{KeyError, Keys, Setup};
use super::sms::Sms;
use super::webhook::Webhook;
use super::webpush::WebPush;
use super::{ATTEMPT_MS_MAX, Provider};
use crate::categories::{Categories, Declared};

/// Bytes of the public URL: a header of a mail has room for it and a link behind it.
const PUBLIC_URL_BYTES_MAX: usize = 300;
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    public_url: Option<String>,
    #[serde(default)]
    allow_loopback: bool,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default = "attempt_ms_max")]
    attempt_ms_max: u64,
    #[serde(default)]
    category: Vec<Declared>,
    #[serde(default)]
    provider: Vec<toml::Table>,
}

fn attempt_ms_max() -> u64 {
    ATTEMPT_MS_MAX
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
        let File { allow_loopback, ca_file, attempt_ms_max, .. } = file;
        let setup = Setup::new(path, &Keys { allow_loopback, ca_file, attempt_ms_max });
        let setup = setup.map_err(|error| refused(None, error))?;
        if file.provider.len() > PROVIDERS_MAX {
            let why = format!("is listed {} times, the limit is {PROVIDERS_MAX}", file.provider.len());
            return Err(refused(None, KeyError::new("provider", why)));
        }
        let mut providers = Self::new(setup.guard);
        providers.caller = Some(Caller::new(&setup));
        let public_url = file.public_url.map(|url| public_url(&url, &setup)).transpose();
        providers.public_url = public_url.map_err(|error| refused(None, error))?;
        let categories = Categories::new(file.category);
        providers.categories = categories.map_err(|why| refused(None, KeyError::new("category", why)))?;
        for (number, mut table) in (1..).zip(file.provider) {
            let made = name(&mut table).and_then(|name| match providers.names().any(|other| other == name) {
                true => Err((Some(name), KeyError::new("name", "is another provider's too: each needs its own"))),
                false => Ok(name),
            });
            let name = made.map_err(|(name, error)| refused(name.or_else(|| Some(format!("#{number}"))), error))?;
            let refused = |error| refused(Some(name.clone()), error);
            let medium = medium(&mut table).map_err(refused)?;
            let provider = providers.make(name.clone(), medium, table, &setup).map_err(refused)?;
            providers.push(if file.dry_run { Arc::new(DryRun { name, medium }) } else { provider });
        }
        Ok(providers)
    }

    fn make(
        &mut self,
        name: String,
        medium: Medium,
        table: toml::Table,
        setup: &Setup,
    ) -> Result<Arc<dyn Provider>, KeyError> {
        Ok(match medium {
            Medium::Apns => Arc::new(Apns::new(name, setup.settings(table)?, setup)?),
            Medium::WebPush => {
                let webpush = WebPush::new(name, setup.settings(table)?, setup)?;
                self.webpush_key.get_or_insert_with(|| webpush.public_key().to_owned());
                Arc::new(webpush)
            }
            Medium::Fcm => Arc::new(Fcm::new(name, setup.settings(table)?, setup)?),
            Medium::Sms => {
                let (sms, token) = Sms::new(name, setup.settings(table)?, setup)?;
                self.sms_tokens.push(token);
                Arc::new(sms)
            }
            Medium::Webhook => Arc::new(Webhook::new(name, setup.settings(table)?, setup)?),
            Medium::Mail => Arc::new(Mail::new(name, setup.settings(table)?, setup)?),
        })
    }
}

/// The URL below which clients, mail programs and services find this server, without a slash at its end.
fn public_url(url: &str, setup: &Setup) -> Result<String, KeyError> {
    const KEY: &str = "public_url";
    let url = setup.url(KEY, url)?;
    if url.len() > PUBLIC_URL_BYTES_MAX || !is_web_url(&url) || url.contains(['?', '#', '@']) {
        return Err(KeyError::new(KEY, "is none that a path can follow: https://host or https://host/path"));
    }
    Ok(url)
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
