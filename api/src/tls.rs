//! TLS of the public listener: a certificate and its key, read again when their files change.
//!
//! Owns what is agreed on (TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1), which files count, and when they are read. A file
//! that cannot be used keeps a node from starting; later it changes nothing, and is logged once.

use std::error::Error as _;
use std::fmt;
use std::fs;
use std::io;
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, CertificateError, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// HTTP/2 as ALPN names it (RFC 9113, section 3.1).
const HTTP2: &[u8] = b"h2";
/// Pause between two looks at the files: two reads of a few kilobytes.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Days before a certificate's end from which each is logged: certbot renews 30 days before it.
const WARN_DAYS: u64 = 7;
const DAY_S: u64 = 24 * 60 * 60;

/// Files that cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no such file, or this user may not read it.
    #[error("cannot read {path}; name a file that the node's user may read")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The file is no PEM, or has not what it should.
    #[error(
        "{path} has no {what}: PEM is expected, as certbot's fullchain.pem and privkey.pem; a key bears no password"
    )]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
        /// Where it breaks off.
        #[source]
        source: Option<pem::Error>,
    },
    /// They are readable, and do not go together or are of a kind that is not known here.
    #[error("{certificate} and {key} are no pair of a certificate and its key; name those that were issued together")]
    NoPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What does not fit.
        #[source]
        source: rustls::Error,
    },
    /// No client would believe it any more.
    #[error("the certificate of {path} has ended {} ago; renew it, or set the clock right", span(*ended_s_ago))]
    Ended {
        /// The file.
        path: PathBuf,
        /// Seconds since its end.
        ended_s_ago: u64,
    },
    /// No client would believe it yet.
    #[error("the certificate of {path} begins in {}; set the clock right", span(*begins_in_s))]
    NotYet {
        /// The file.
        path: PathBuf,
        /// Seconds until it counts.
        begins_in_s: u64,
    },
}

/// Days where there are any, else hours and minutes.
fn span(seconds: u64) -> String {
    match seconds / DAY_S {
        0 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        days => format!("{days} days"),
    }
}

/// TLS of a listener. Clones share the certificate, which changes with its files.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
}

impl Tls {
    /// Reads a certificate, followed by those between it and an authority's, and its key, both PEM.
    ///
    /// # Errors
    /// A file that cannot be read or used, or a certificate that does not count now.
    pub fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate_file.to_owned(), key: key_file.to_owned() };
        let read = files.read()?;
        let pair = files.pair(&read)?;
        pair.log();
        let certificate = Arc::new(Certificate { files, served: RwLock::new(Arc::new(pair)), first: read });
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificate>::clone(&certificate);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has what both versions need")
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), certificate })
    }

    /// Agrees with a client.
    pub(crate) fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Accept<S> {
        TlsAcceptor::from(Arc::clone(&self.config)).accept(stream)
    }

    /// Serves what the files hold, from soon after they change. Never ends.
    pub(crate) async fn renew(self) {
        let mut known = self.certificate.first.clone();
        let (mut is_failing, mut said) = (false, String::new());
        // Files whose certificate begins later, since they were told of.
        let mut early: Option<Read> = None;
        let mut warned_days = None;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let certificate = Arc::clone(&self.certificate);
            let before = known.clone();
            // A file may lie on a network's disk that does not answer.
            let looked = spawn_blocking(move || certificate.look(&before)).await;
            match looked.expect("reading files does not panic") {
                Ok(None) => is_failing = false,
                Ok(Some(read)) => {
                    (known, is_failing, warned_days) = (read, false, None);
                    said.clear();
                }
                // Between a new certificate and its new key they are no pair for a moment: the next look counts.
                Err(_) if !is_failing => is_failing = true,
                Err(unusable) => {
                    let (read, error) = *unusable;
                    let why = full_text(&error);
                    // A certificate's beginning needs no change of the file: it is judged at each look until it counts. Of what is
                    // said of it the time until then changes, which is nothing new.
                    let is_early = matches!(error, TlsError::NotYet { .. });
                    let is_told = said == why || is_early && early == read;
                    if is_early {
                        early = read;
                    } else {
                        (known, early) = (read.unwrap_or(known), None);
                    }
                    if !is_told {
                        tracing::warn!(why, "TLS of the API goes on with the certificate that was read before");
                        said = why;
                    }
                }
            }
            let days_left = self.certificate.served().days_left();
            if days_left.is_some_and(|days| days < WARN_DAYS) && warned_days != days_left {
                warned_days = days_left;
                let file = self.certificate.files.certificate.display();
                tracing::warn!(days_left, %file, "the API's certificate ends soon and has not been renewed");
            }
        }
    }
}

/// An error and its causes, in one line.
fn full_text(error: &TlsError) -> String {
    let causes = successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Whether a client has chosen HTTP/2.
pub(crate) fn speaks_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Paths of the two.
#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The bytes of both files; a key's are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate with its key.
#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    /// The certificate's end, where it could be read, in seconds since 1970.
    ends_s: Option<u64>,
}

impl Files {
    fn read(&self) -> Result<Read, TlsError> {
        let read = |path: &PathBuf| fs::read(path).map_err(|source| TlsError::Read { path: path.clone(), source });
        Ok(Read { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn pair(&self, read: &Read) -> Result<Pair, TlsError> {
        let pem = |path: &PathBuf, what, source| TlsError::Pem { path: path.clone(), what, source };
        let no_certificate = |source| pem(&self.certificate, "certificate", source);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&read.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| no_certificate(Some(error)))?;
        let Some(leaf) = chain.first().cloned() else { return Err(no_certificate(None)) };
        let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(|error| match error {
            pem::Error::NoItemsFound => pem(&self.key, "private key", None),
            other => pem(&self.key, "private key", Some(other)),
        })?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|source| TlsError::NoPair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })?;
        let ends_s = self.judge(&leaf)?;
        Ok(Pair { key: Arc::new(key), ends_s })
    }

    /// Whether a certificate counts now, and its end.
    fn judge(&self, leaf: &CertificateDer<'_>) -> Result<Option<u64>, TlsError> {
        let (path, now_s) = (self.certificate.clone(), now_s());
        match validity(leaf, now_s) {
            Validity::Ended(at_s) => Err(TlsError::Ended { path, ended_s_ago: now_s.saturating_sub(at_s) }),
            Validity::NotYet(at_s) => Err(TlsError::NotYet { path, begins_in_s: at_s.saturating_sub(now_s) }),
            // Asked of a day on which none counts any more, the verifier names the end.
            Validity::Counts => Ok(match validity(leaf, u64::from(u32::MAX) * 16) {
                Validity::Ended(at_s) => Some(at_s),
                Validity::NotYet(_) | Validity::Counts => None,
            }),
        }
    }
}

impl Pair {
    fn days_left(&self) -> Option<u64> {
        Some(self.ends_s?.saturating_sub(now_s()) / DAY_S)
    }

    fn log(&self) {
        tracing::info!(days_left = self.days_left(), "TLS of the API: the certificate was read");
    }
}

/// Standing of a certificate at a time by its dates, in seconds since 1970.
enum Validity {
    Counts,
    Ended(u64),
    NotYet(u64),
}

/// Asks rustls's verifier, which looks at a certificate's dates before it looks at whom to believe: what else it says,
/// of the name and the authority, is no concern here.
fn validity(leaf: &CertificateDer<'_>, at_s: u64) -> Validity {
    let mut roots = RootCertStore::empty();
    if roots.add(leaf.clone().into_owned()).is_err() {
        return Validity::Counts;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let Ok(verifier) = verifier else { return Validity::Counts };
    let name = ServerName::try_from("localhost").expect("a name");
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at_s));
    match verifier.verify_server_cert(leaf, &[], &name, &[], at) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Validity::Ended(not_after.as_secs())
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            Validity::NotYet(not_before.as_secs())
        }
        Ok(_) | Err(_) => Validity::Counts,
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The certificate that is served.
#[derive(Debug)]
struct Certificate {
    files: Files,
    served: RwLock<Arc<Pair>>,
    first: Read,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(bytes)")
    }
}

/// What could be read, and why it cannot be used.
type Unusable = Box<(Option<Read>, TlsError)>;

impl Certificate {
    fn served(&self) -> Arc<Pair> {
        Arc::clone(&self.served.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what the files hold, if that is not `known`; what it is then.
    fn look(&self, known: &Read) -> Result<Option<Read>, Unusable> {
        let read = self.files.read().map_err(|error| Box::new((None, error)))?;
        if read == *known {
            return Ok(None);
        }
        match self.files.pair(&read) {
            Ok(pair) => {
                pair.log();
                *self.served.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                Ok(Some(read))
            }
            Err(error) => Err(Box::new((Some(read), error))),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.served().key))
    }
}
