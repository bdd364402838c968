//! The introduction of two nodes on a new connection: both ends of [`link::handshake`] over a tokio stream.

use std::io;
use std::time::Duration;

use link::Secret;
use link::handshake::Identity;
use link::handshake::{Acceptor, Dialer, Established, HandshakeError, NONCE_BYTES, Progress};
use schema::Incarnation;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an introduction may take. It is four small messages; a stranger who trickles bytes has no longer.
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
    /// The other end's, or the network's.
    #[error("the other end did not introduce itself within 3 s")]
    Late,
}

pub(super) async fn dial(
    stream: &mut TcpStream,
    secret: Secret,
    me: Identity,
    peer: Incarnation,
    number: u16,
) -> Result<Established, IntroductionError> {
    let mut out = Vec::new();
    let dialer = Dialer::new(secret, me, peer, number, nonce()?, &mut out);
    stream.write_all(&out).await?;
    run(stream, dialer, Dialer::received, Dialer::closed).await
}

pub(super) async fn accept(
    stream: &mut TcpStream,
    secret: Secret,
    me: Identity,
) -> Result<Established, IntroductionError> {
    run(stream, Acceptor::new(secret, me, nonce()?), Acceptor::received, Acceptor::closed).await
}

async fn run<End>(
    stream: &mut TcpStream,
    mut end: End,
    received: impl Fn(End, &[u8], &mut Vec<u8>) -> Result<Progress<End>, HandshakeError>,
    closed: impl Fn(End) -> HandshakeError,
) -> Result<Established, IntroductionError> {
    let talk = async {
        let (mut bytes, mut out) = ([0; 512], Vec::new());
        loop {
            let count = stream.read(&mut bytes).await?;
            if count == 0 {
                return Err(closed(end).into());
            }
            let progress = received(end, &bytes[..count], &mut out);
            // Also on an error there may be a last word, by which the other end learns what is wrong.
            stream.write_all(&out).await?;
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
