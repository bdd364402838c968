//! What every provider is made with: the keys of the configuration that are the same for all.
//!
//! Owns whom all of them believe, and how a key's URL, secret and settings are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;

use super::ATTEMPT_MS_MAX;
use super::guard::{Guard, host_of, is_loopback_name};
use super::secret::Secret;

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

/// The keys that are the same for all providers.
pub(super) struct Keys {
    pub(super) allow_loopback: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) attempt_ms_max: u64,
}

/// What every provider is made with, beside its own settings.
pub(super) struct Setup {
    pub(super) guard: Guard,
    pub(super) tls: ClientConfig,
    pub(super) attempt_ms_max: u64,
    /// The authorities of `ca_file`, which are believed beside those that the world believes.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// What relative paths begin at: where the configuration lies.
    directory: PathBuf,
}

impl Setup {
    /// Of a configuration at `path`.
    ///
    /// # Errors
    /// A key that does not do.
    pub(super) fn new(path: &Path, keys: &Keys) -> Result<Self, KeyError> {
        if !(1..=ATTEMPT_MS_MAX).contains(&keys.attempt_ms_max) {
            return Err(KeyError::new("attempt_ms_max", format!("is none of 1 to {ATTEMPT_MS_MAX}")));
        }
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let authorities = keys.ca_file.as_ref().map_or(Ok(Vec::new()), |ca| authorities(&directory.join(ca)))?;
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
        let guard = Guard { allow_loopback: keys.allow_loopback };
        Ok(Self { guard, tls, attempt_ms_max: keys.attempt_ms_max, authorities, directory })
    }

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
        let is_here = self.guard.allow_loopback && parsed.host().is_some_and(|host| is_loopback_name(host_of(host)));
        if parsed.scheme_str() == Some("http") && !is_here {
            return Err(KeyError::new(key, "is not https: secrets would go over the network as they are"));
        }
        Ok(url.trim_end_matches('/').to_owned())
    }
}

/// The certificates of a PEM file.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let failed = |what: &str| KeyError::new("ca_file", format!("cannot be used: {}: {what}", path.display()));
    let read = |error: rustls::pki_types::pem::Error| failed(&error.to_string());
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)?;
    if found.is_empty() { Err(failed("it has no certificate, PEM is expected")) } else { Ok(found) }
}
