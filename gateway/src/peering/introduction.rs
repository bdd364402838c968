//! The introduction of two nodes on a new connection: both ends of [`link::handshake`] over a tokio stream, inside of TLS
//! where the cluster has certificates.

use std::io;
use std::time::Duration;

use link::Secret;
use link::handshake::Identity;
use link::handshake::{Acceptor, Dialer, Established, HandshakeError, NONCE_BYTES, Progress};
use schema::Incarnation;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::Session;

/// Deadline of an introduction. It is four small messages, and as many of TLS; a stranger who trickles bytes has no
/// longer.
const WITHIN: Duration = Duration::from_secs(3);

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntroductionError {
    /// The network's fault, or the other node's, which went.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The other end's, or the operator's, who gave the two different secrets.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The other end's, or the operator's, who gave the two certificates of different authorities.
    #[error("no TLS with the other end: {0}")]
    Tls(#[from] rustls::Error),
    /// The other end has closed a connection on which TLS was to begin: most likely it has no certificate set.
    #[error("no TLS with the other end: it closed the connection; either all nodes have cluster.tls_* set or none")]
    NoTls,
    /// The other end's, or the network's.
    #[error("the other end did not introduce itself within 3 s")]
    Late,
}

/// A connection that is not introduced yet.
pub(super) struct Wire {
    stream: TcpStream,
    tls: Option<Session>,
    /// Decrypted bytes that nobody has looked at.
    plain: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, tls: Option<Session>) -> Self {
        Self { stream, tls, plain: Vec::new() }
    }

    /// The connection without what was read of it.
    pub(super) fn into_parts(self) -> (TcpStream, Option<Session>) {
        (self.stream, self.tls)
    }

    /// Agrees on TLS, if that is wanted.
    async fn secure(&mut self) -> Result<(), IntroductionError> {
        while self.tls.is_some() {
            self.write(b"").await?;
            if self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking()) {
                break;
            }
            if !self.fill().await? {
                return Err(IntroductionError::NoTls);
            }
        }
        if let Some(tls) = &self.tls {
            tls.check_name()?;
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(bytes).await,
            Some(tls) => {
                let mut sealed = Vec::new();
                tls.seal(bytes, &mut sealed);
                self.stream.write_all(&sealed).await
            }
        }
    }

    /// Bytes of the other end; none once it has closed the connection.
    async fn read(&mut self) -> Result<Vec<u8>, IntroductionError> {
        while self.plain.is_empty() && self.fill().await? {}
        Ok(std::mem::take(&mut self.plain))
    }

    /// Waits for bytes of the network. Returns whether any came.
    async fn fill(&mut self) -> Result<bool, IntroductionError> {
        let mut bytes = [0; 2_048];
        let count = self.stream.read(&mut bytes).await?;
        match &mut self.tls {
            None => self.plain.extend_from_slice(&bytes[..count]),
            Some(tls) => {
                if let Err(error) = tls.open(&bytes[..count], &mut self.plain) {
                    // The other end is told, if it still listens.
                    let _ = self.write(b"").await;
                    return Err(error.into());
                }
            }
        }
        Ok(count > 0)
    }
}

pub(super) async fn dial(
    wire: &mut Wire,
    secret: Secret,
    me: Identity,
    peer: Incarnation,
    number: u16,
) -> Result<Established, IntroductionError> {
    let mut out = Vec::new();
    let dialer = Dialer::new(secret, me, peer, number, nonce()?, &mut out);
    run(wire, &out, dialer, Dialer::received, Dialer::closed).await
}

pub(super) async fn accept(wire: &mut Wire, secret: Secret, me: Identity) -> Result<Established, IntroductionError> {
    run(wire, b"", Acceptor::new(secret, me, nonce()?), Acceptor::received, Acceptor::closed).await
}

async fn run<End>(
    wire: &mut Wire,
    first: &[u8],
    mut end: End,
    received: impl Fn(End, &[u8], &mut Vec<u8>) -> Result<Progress<End>, HandshakeError>,
    closed: impl Fn(End) -> HandshakeError,
) -> Result<Established, IntroductionError> {
    let talk = async {
        wire.secure().await?;
        wire.write(first).await?;
        let mut out = Vec::new();
        loop {
            let bytes = wire.read().await?;
            if bytes.is_empty() {
                return Err(closed(end).into());
            }
            let progress = received(end, &bytes, &mut out);
            // Also on an error there may be a last word, by which the other end learns what is wrong.
            wire.write(&out).await?;
            out.clear();
            match progress? {
                Progress::More(more) => end = more,
                Progress::Done(established) => return Ok(established),
            }
        }
    };
    timeout(WITHIN, talk).await.unwrap_or(Err(IntroductionError::Late))
}

fn nonce() -> io::Result<[u8; NONCE_BYTES]> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    Ok(nonce)
}
