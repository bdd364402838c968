//! Handshake of a new connection between two nodes: who they are, that both have the cluster's secret, and which link
//! and version they speak.
//!
//! Owns both ends ([`Dialer`], [`Acceptor`]) as one value a step, so that nothing can be asked of one that is over.
//! Knows no time: how long it may take is for whoever reads the bytes.
//!
//! ```text
//! dialer                    acceptor
//!   hello ───────────────────►          who I am, whom I mean, which link, versions, shards, 32 random bytes
//!        ◄─────────────────── hello     the same, and all that a stranger ever hears
//!   proof ───────────────────►          hash under the secret over "dialer" and both hellos
//!        ◄─────────────────── proof     hash under the secret over "acceptor" and both hellos
//! ```
//!
//! Each proof is over every byte of both hellos, so nothing of them can have been changed and none of an earlier
//! connection can be used again; the role in it lets no end be answered with its own proof. What forbids the link is in
//! the hellos, so that both ends find the same fault and each can say it to its operator.

mod acceptor;
mod dialer;
mod error;
mod hello;

use std::fmt;

use hmac::{Hmac, Mac as _};
use schema::Incarnation;
use sha2::Sha256;

use crate::secret::Secret;

pub use acceptor::Acceptor;
pub use dialer::Dialer;
pub use error::HandshakeError;
pub use hello::HELLO_BYTES_MAX;
use hello::Hello;

/// Bytes of randomness that each end brings.
pub const NONCE_BYTES: usize = 32;
const PROOF_BYTES: usize = 32;

/// The versions of the protocol that this program speaks: those of records, of frames and of what they mean.
pub const VERSIONS: Versions = Versions { oldest: 1, newest: 1 };

/// Versions of the protocol that a node speaks, from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The oldest that it still speaks.
    pub oldest: u16,
    /// The newest that it speaks.
    pub newest: u16,
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.oldest, self.newest)
    }
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its present life.
    pub incarnation: Incarnation,
    /// Its shards, at least one.
    pub shards: u16,
    /// The versions that it speaks.
    pub versions: Versions,
}

/// Links between two nodes of so many shards: one for each shard of the larger.
#[must_use]
pub fn links_between(shards: u16, shards_of_peer: u16) -> u16 {
    shards.max(shards_of_peer)
}

/// A step of an end of a handshake.
#[derive(Debug)]
pub enum Progress<End> {
    /// More bytes are wanted.
    More(End),
    /// The link's own bytes follow.
    Done(Established),
}

/// What both ends agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// The life of the other node.
    pub peer: Incarnation,
    /// Shards of the other node.
    pub peer_shards: u16,
    /// Which of the links between the two.
    pub link: u16,
    /// The newest version that both speak.
    pub version: u16,
    /// Bytes behind the handshake, which are the link's.
    pub leftover: Vec<u8>,
}

/// The two ends, in the words that their proofs are over.
#[derive(Debug, Clone, Copy)]
enum Role {
    Dialer,
    Acceptor,
}

fn mac(secret: &Secret, role: Role, dialer: &[u8], acceptor: &[u8]) -> Hmac<Sha256> {
    let label = match role {
        Role::Dialer => "dialer",
        Role::Acceptor => "acceptor",
    };
    secret.mac(label, &[dialer, acceptor])
}

/// The proof that an end has the secret, over the bytes of both hellos.
fn prove(secret: &Secret, role: Role, dialer: &[u8], acceptor: &[u8]) -> [u8; PROOF_BYTES] {
    mac(secret, role, dialer, acceptor).finalize().into_bytes().into()
}

/// Whether a proof is the one that is due, in constant time.
fn is_proof(secret: &Secret, role: Role, dialer: &[u8], acceptor: &[u8], proof: &[u8]) -> bool {
    mac(secret, role, dialer, acceptor).verify_slice(proof).is_ok()
}

/// The version of a link between these two, or what forbids it. Both ends ask this of the same two hellos.
fn agree(dialer: &Hello, acceptor: &Hello) -> Result<u16, HandshakeError> {
    if dialer.from == acceptor.from {
        return Err(HandshakeError::Itself { incarnation: dialer.from });
    }
    if dialer.to != acceptor.from {
        return Err(HandshakeError::OtherIncarnation { meant: dialer.to, reached: acceptor.from });
    }
    let version = dialer.versions.newest.min(acceptor.versions.newest);
    if version < dialer.versions.oldest.max(acceptor.versions.oldest) {
        return Err(HandshakeError::OtherVersion { dialer: dialer.versions, acceptor: acceptor.versions });
    }
    let links = links_between(dialer.shards, acceptor.shards);
    if dialer.link >= links {
        return Err(HandshakeError::LinkOutOfRange { link: dialer.link, links });
    }
    Ok(version)
}
