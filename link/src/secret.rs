//! The secret that the nodes of a cluster share.
//!
//! Owns its use: the key of proofs, and a fingerprint by which nodes tell whether they have the same. It never prints
//! itself.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The least length of a secret: that of the hash under it.
pub const SECRET_BYTES_MIN: usize = 32;

/// A secret of at least [`SECRET_BYTES_MIN`] bytes.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

/// The operator's fault: a secret that could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cluster's secret has {bytes} bytes, it needs at least {SECRET_BYTES_MIN}")]
pub struct SecretTooShort {
    /// As given.
    pub bytes: usize,
}

impl Secret {
    /// Takes a secret from its bytes.
    ///
    /// # Errors
    /// If it is too short.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretTooShort> {
        if bytes.len() < SECRET_BYTES_MIN { Err(SecretTooShort { bytes: bytes.len() }) } else { Ok(Self(bytes.into())) }
    }

    /// The public name of the secret: nodes with the same one have the same secret.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint_beside(&[])
    }

    /// The public name of the secret and of whatever else nodes are to have in common.
    #[must_use]
    pub fn fingerprint_beside(&self, parts: &[&[u8]]) -> Fingerprint {
        let hash = self.mac("fingerprint", parts).finalize().into_bytes();
        Fingerprint(u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes")))
    }

    /// A hash under this secret over parts, none of which can pass for a part of another: each has its length before
    /// it, and the label says what it is for.
    pub(crate) fn mac(&self, label: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.0).expect("a key may have any length");
        for part in [&[b"rookery link", label.as_bytes()], parts].concat() {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.fingerprint())
    }
}

/// Eight bytes of a hash of a [`Secret`], which give nothing of it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_fingerprint_and_nothing_else() {
        let secret = Secret::new(&[b'k'; 32]).expect("long enough");
        assert_eq!(format!("{secret:?}"), format!("Secret({})", secret.fingerprint()));
        // Nodes of different versions compare it, so it never changes.
        assert_eq!(secret.fingerprint().to_string(), "c42656c5a689c5af");
        assert_ne!(secret.fingerprint(), Secret::new(&[b'l'; 32]).expect("long enough").fingerprint());
        assert_eq!(Secret::new(&[b'k'; 31]).expect_err("too short"), SecretTooShort { bytes: 31 });
    }
}
