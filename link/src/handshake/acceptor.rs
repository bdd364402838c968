//! The end that is connected to. To a stranger it says its hello, and nothing else.

use super::hello::{Hello, Inbox};
use super::{Established, HandshakeError, Identity, NONCE_BYTES, PROOF_BYTES, Progress, Role, agree, is_proof, prove};
use crate::secret::Secret;

/// See [the module](super).
#[derive(Debug)]
pub struct Acceptor {
    secret: Secret,
    me: Identity,
    nonce: [u8; NONCE_BYTES],
    inbox: Inbox,
    /// The dialer's hello with its bytes, those of this end's, and the agreed version, once this end has said hello.
    greeted: Option<Greeted>,
}

#[derive(Debug)]
struct Greeted {
    theirs: Hello,
    raw: Vec<u8>,
    mine_raw: Vec<u8>,
    version: u16,
}

impl Acceptor {
    /// Waits for a dialer.
    ///
    /// `nonce` is drawn at random for this connection alone.
    #[must_use]
    pub fn new(secret: Secret, me: Identity, nonce: [u8; NONCE_BYTES]) -> Self {
        Self { secret, me, nonce, inbox: Inbox::default(), greeted: None }
    }

    /// Takes bytes of the dialer, cut anywhere, and appends what it is to be answered to `out`.
    ///
    /// # Errors
    /// If there is no link. What is in `out` is written nevertheless, then the connection is closed.
    pub fn received(mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<Progress<Self>, HandshakeError> {
        if self.greeted.is_none() {
            let Some((theirs, raw)) = self.inbox.hello(&mut bytes)? else { return Ok(Progress::More(self)) };
            let Identity { incarnation: from, shards, versions } = self.me;
            let mine = Hello { from, to: theirs.from, link: theirs.link, versions, shards, nonce: self.nonce };
            let mine_raw = mine.encode();
            out.extend_from_slice(&mine_raw);
            let version = agree(&theirs, &mine)?;
            self.greeted = Some(Greeted { theirs, raw, mine_raw, version });
        }
        let proof = self.inbox.exactly(PROOF_BYTES, &mut bytes);
        let (Some(proof), Some(greeted)) = (proof, &self.greeted) else { return Ok(Progress::More(self)) };
        let Greeted { theirs, raw, mine_raw, version } = greeted;
        if !is_proof(&self.secret, Role::Dialer, raw, mine_raw, &proof) {
            return Err(HandshakeError::WrongSecret { fingerprint: self.secret.fingerprint() });
        }
        out.extend_from_slice(&prove(&self.secret, Role::Acceptor, raw, mine_raw));
        Ok(Progress::Done(Established {
            peer: theirs.from,
            peer_shards: theirs.shards,
            link: theirs.link,
            version: *version,
            leftover: bytes.to_vec(),
        }))
    }

    /// What it means if the dialer has closed the connection now.
    #[must_use]
    pub fn closed(self) -> HandshakeError {
        HandshakeError::Closed { is_proven: false, fingerprint: self.secret.fingerprint() }
    }
}
