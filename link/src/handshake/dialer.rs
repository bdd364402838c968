//! The end that has made the connection. It proves itself first.

use schema::Incarnation;

use super::hello::{Hello, Inbox};
use super::{Established, HandshakeError, Identity, NONCE_BYTES, PROOF_BYTES, Progress, Role, agree, is_proof, prove};
use crate::secret::Secret;

/// See [the module](super).
#[derive(Debug)]
pub struct Dialer {
    secret: Secret,
    mine: Hello,
    inbox: Inbox,
    /// The acceptor's hello with its bytes and the agreed version, once this end has proven itself.
    proven: Option<(Hello, Vec<u8>, u16)>,
}

impl Dialer {
    /// Begins a link to a life of a node, and appends the first bytes for it to `out`.
    ///
    /// `nonce` is drawn at random for this connection alone.
    #[must_use]
    pub fn new(
        secret: Secret,
        me: Identity,
        to: Incarnation,
        link: u16,
        nonce: [u8; NONCE_BYTES],
        out: &mut Vec<u8>,
    ) -> Self {
        let Identity { incarnation: from, shards, versions } = me;
        let mine = Hello { from, to, link, versions, shards, nonce };
        out.extend_from_slice(&mine.encode());
        Self { secret, mine, inbox: Inbox::default(), proven: None }
    }

    /// Takes bytes of the acceptor, cut anywhere, and appends what it is to be answered to `out`.
    ///
    /// # Errors
    /// If there is no link. What is in `out` is written nevertheless, then the connection is closed.
    pub fn received(mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress<Self>, HandshakeError> {
        if self.proven.is_none() {
            let Some((theirs, raw)) = self.inbox.hello(&mut bytes)? else { return Ok(Progress::More(self)) };
            let version = agree(&self.mine, &theirs)?;
            if (theirs.to, theirs.link) != (self.mine.from, self.mine.link) {
                return Err(HandshakeError::Malformed { what: "it answers another one" });
            }
            out.extend_from_slice(&prove(&self.secret, Role::Dialer, &self.mine.encode(), &raw));
            self.proven = Some((theirs, raw, version));
        }
        let proof = self.inbox.exactly(PROOF_BYTES, &mut bytes);
        let (Some(proof), Some((theirs, raw, version))) = (proof, &self.proven) else {
            return Ok(Progress::More(self));
        };
        if !is_proof(&self.secret, Role::Acceptor, &self.mine.encode(), raw, &proof) {
            return Err(HandshakeError::WrongSecret { fingerprint: self.secret.fingerprint() });
        }
        Ok(Progress::Done(Established {
            peer: theirs.from,
            peer_shards: theirs.shards,
            link: self.mine.link,
            version: *version,
            leftover: bytes.to_vec(),
        }))
    }

    /// What it means if the acceptor has closed the connection now.
    #[must_use]
    pub fn closed(self) -> HandshakeError {
        HandshakeError::Closed { is_proven: self.proven.is_some(), fingerprint: self.secret.fingerprint() }
    }
}
