//! TLS of links between nodes: both ends show a certificate of the cluster's own authority.
//!
//! Owns what is agreed (TLS 1.3, no resumption, one name in every node's certificate) and one connection's state
//! ([`Session`]), without I/O: it begins where a connection is introduced, and goes with it to the shard that holds it.
//! Who a node is, and that it belongs to this cluster, its introduction says inside.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, ensure};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};

/// The name to which every node's certificate is made out: addresses come and go.
const NAME: &str = "rookery";

static SERVER_NAME: LazyLock<ServerName<'static>> =
    LazyLock::new(|| ServerName::try_from(NAME).expect("the name of a host"));

/// A node's certificate, and whose it believes.
#[derive(Clone)]
pub(crate) struct Tls {
    dialing: Arc<ClientConfig>,
    accepting: Arc<ServerConfig>,
    /// The authority's certificates.
    authority: Vec<CertificateDer<'static>>,
}

impl Tls {
    /// Reads a node's certificate, with any between it and the authority's, its key, and the authority's certificate.
    ///
    /// # Errors
    /// The operator's: a file that cannot be read, a key that is not the certificate's, or a certificate with which no node
    /// would let this one in.
    pub(crate) fn load(certificate_file: &Path, key_file: &Path, ca_file: &Path) -> anyhow::Result<Self> {
        let tls = Self::read(certificate_file, key_file, ca_file)?;
        let meets_itself = meet(&mut tls.dial(), &mut tls.accept());
        meets_itself.with_context(|| {
            let (certificate, ca) = (certificate_file.display(), ca_file.display());
            format!("no node would let {certificate} in, by the authority of {ca} and under the name {NAME}")
        })?;
        Ok(tls)
    }

    fn read(certificate_file: &Path, key_file: &Path, ca_file: &Path) -> anyhow::Result<Self> {
        let chain = certificates("cluster.tls_certificate_file", certificate_file)?;
        let key = PrivateKeyDer::from_pem_file(key_file)
            .with_context(|| format!("cluster.tls_key_file {}", key_file.display()))?;
        let mut authority = certificates("cluster.tls_ca_file", ca_file)?;
        authority.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
        let mut roots = RootCertStore::empty();
        for root in &authority {
            roots.add(root.clone()).with_context(|| format!("cluster.tls_ca_file {}", ca_file.display()))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let pair = || format!("{} and {} are no pair", certificate_file.display(), key_file.display());
        let mut dialing = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .with_context(pair)?;
        dialing.resumption = Resumption::disabled();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
        let mut accepting = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .with_context(pair)?;
        accepting.send_tls13_tickets = 0;
        Ok(Self { dialing: Arc::new(dialing), accepting: Arc::new(accepting), authority })
    }

    /// The certificates of the authority that it believes.
    pub(crate) fn authority(&self) -> Vec<&[u8]> {
        self.authority.iter().map(AsRef::as_ref).collect()
    }

    /// A connection that this node makes.
    pub(super) fn dial(&self) -> Session {
        let connection = ClientConnection::new(Arc::clone(&self.dialing), SERVER_NAME.clone());
        Session::new(connection.expect("the configuration was made for this").into())
    }

    /// A connection that another makes.
    pub(super) fn accept(&self) -> Session {
        let connection = ServerConnection::new(Arc::clone(&self.accepting));
        Session::new(connection.expect("the configuration was made for this").into())
    }
}

/// Has two ends agree without a network.
fn meet(one: &mut Session, other: &mut Session) -> Result<(), rustls::Error> {
    let carry = |from: &mut Session, to: &mut Session| {
        let (mut bytes, mut plain) = (Vec::new(), Vec::new());
        from.seal(b"", &mut bytes);
        to.open(&bytes, &mut plain)
    };
    while one.is_handshaking() || other.is_handshaking() {
        carry(one, other)?;
        carry(other, one)?;
    }
    one.check_name()?;
    other.check_name()
}

fn certificates(key: &str, path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = || format!("{key} {}", path.display());
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).with_context(shown)?.collect::<Result<_, _>>().with_context(shown)?;
    ensure!(!certificates.is_empty(), "{} has no certificate: PEM is expected", shown());
    Ok(certificates)
}

/// The TLS of one connection.
pub(crate) struct Session(Box<Connection>);

impl Session {
    fn new(mut connection: Connection) -> Self {
        // What is sent is bounded where it comes from.
        connection.set_buffer_limit(None);
        Self(Box::new(connection))
    }

    /// Whether the two ends have not agreed yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Whether the other end's certificate, which is the authority's, is a node's. Of what it connected to, the dialing
    /// end has made sure before.
    ///
    /// # Errors
    /// It is made out to another name.
    pub(super) fn check_name(&self) -> Result<(), rustls::Error> {
        let shown = self.0.peer_certificates().and_then(<[_]>::first).ok_or(rustls::Error::NoCertificatesPresented)?;
        rustls::client::verify_server_name(&ParsedCertificate::try_from(shown)?, &SERVER_NAME)
    }

    /// Takes bytes of the network, and appends what they say to `plain`. [`Self::seal`] has something to send then, on
    /// an error too.
    ///
    /// # Errors
    /// They are none of TLS, or of nobody who may connect. The connection is to be closed.
    pub(crate) fn open(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            let taken = self.0.read_tls(&mut bytes).expect("what was read before has been taken out");
            let state = self.0.process_new_packets()?;
            let before = plain.len();
            plain.resize(before + state.plaintext_bytes_to_read(), 0);
            self.0.reader().read_exact(&mut plain[before..]).expect("so many are there");
            if taken == 0 {
                // Behind its farewell nothing counts.
                break;
            }
        }
        Ok(())
    }

    /// Appends bytes to `out` as they go over the network, and whatever else TLS has to say.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        self.0.writer().write_all(plain).expect("there is no limit");
        while self.0.wants_write() {
            self.0.write_tls(out).expect("a vector takes all");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    fn authority(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// How the files of a node are read.
    type Read = fn(&Path, &Path, &Path) -> anyhow::Result<Tls>;

    /// A node with a certificate of one authority that is made out to `name`, and that believes another.
    fn node(read: Read, by: &Authority, name: &str, believes: &Authority) -> anyhow::Result<Tls> {
        let directory = tempfile::tempdir().expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &by.issuer).expect("signed");
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        let files = [("c", certificate.pem()), ("k", key.serialize_pem()), ("ca", believes.pem.clone())];
        let [certificate, key, ca] = files.map(|(name, text)| write(name, text));
        read(&certificate, &key, &ca)
    }

    /// One end sends 300,000 bytes, which arrive however they are cut.
    fn talk(from: &mut Session, to: &mut Session) {
        let (mut bytes, mut plain) = (Vec::new(), Vec::new());
        let text = vec![7; 300_000];
        from.seal(&text, &mut bytes);
        assert!(bytes.len() > text.len());
        for piece in bytes.chunks(4_093) {
            to.open(piece, &mut plain).expect("it is whole");
        }
        assert!(plain == text);
    }

    #[test]
    fn two_nodes_of_one_authority_agree_and_others_do_not() {
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let good = |of: &Authority| node(Tls::load, of, NAME, of).expect("its authority's");
        let check = |from: &Tls, to: &Tls, expected: Option<&str>| {
            let (mut from, mut to) = (from.dial(), to.accept());
            match (meet(&mut from, &mut to), expected) {
                (Ok(()), None) => {
                    talk(&mut from, &mut to);
                    talk(&mut to, &mut from);
                }
                (Err(error), Some(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (found, expected) => panic!("{found:?}, not {expected:?}"),
            }
        };
        check(&good(&ours), &good(&ours), None);
        check(&good(&ours), &good(&theirs), Some("UnknownIssuer"));
        // Of the authority, and none of a node: whoever is dialed looks at the name too.
        let other = node(Tls::read, &ours, "other", &ours).expect("a pair");
        check(&other, &good(&ours), Some("not valid for name"));
        check(&good(&ours), &other, Some("not valid for name"));
    }

    #[test]
    fn a_certificate_that_no_node_would_let_in_is_refused_at_once() {
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let check = |by, name: &str, expected: &str| {
            let error = node(Tls::load, by, name, &ours).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains("no node would let ") && error.contains(expected), "{error}");
        };
        check(&theirs, NAME, "UnknownIssuer");
        check(&ours, "other", "not valid for name");
    }
}
