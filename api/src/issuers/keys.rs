//! Keys of an issuer, by which tokens are verified: a JSON Web Key Set (RFC 7517), a public key in PEM, or a secret.
//!
//! Owns which keys are usable and for which algorithm. A key is of one algorithm, and a token that says another is not
//! verified by it: so a public key is never taken for a secret.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Keys of one set that are looked at.
const KEYS_MAX: usize = 64;
/// Bytes of the modulus of an RSA key: 2048 to 4096 bits, beyond which nobody computes with one here.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=513;
/// Bytes of an Ed25519 key.
const ED_BYTES: usize = 32;
/// Bytes of a secret: as many as the hash under the signature has, which is what RFC 7518 asks for.
const SECRET_BYTES_MIN: usize = 32;

/// The algorithms that tokens may be signed by, by their names in tokens.
pub(super) const ALGORITHMS: [(&str, Algorithm); 4] = [
    ("RS256", Algorithm::RS256),
    ("ES256", Algorithm::ES256),
    ("EdDSA", Algorithm::EdDSA),
    ("HS256", Algorithm::HS256),
];

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    /// Its name in tokens, if it has one.
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.id, self.algorithm)
    }
}

/// Keys that count together.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// The keys of a JWKS document. Those of other kinds, uses and algorithms are left out.
    ///
    /// # Errors
    /// It is no such document, it has none that can be used, or too many.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        let Document { keys } =
            serde_json::from_slice(document).map_err(|error| format!("it is no key set: {error}"))?;
        if keys.len() > KEYS_MAX {
            return Err(format!("it has {} keys, the limit is {KEYS_MAX}", keys.len()));
        }
        let found: Vec<_> = keys.into_iter().filter_map(usable).collect();
        if found.is_empty() { Err("it has no key that can be used".to_owned()) } else { Ok(Self(found)) }
    }

    /// A public key in PEM.
    ///
    /// # Errors
    /// It is none, or of another kind.
    pub(super) fn of_pem(pem: &str, algorithm: Algorithm) -> Result<Self, String> {
        let key = match algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_pem(pem.as_bytes()),
            Algorithm::ES256 => DecodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => DecodingKey::from_ed_pem(pem.as_bytes()),
            other => return Err(format!("is of no use for {other:?}")),
        };
        let key = key.ok().filter(|key| verifies(key, algorithm));
        let key =
            key.ok_or_else(|| format!("is no public key for {algorithm:?} in PEM (-----BEGIN PUBLIC KEY-----)"))?;
        Ok(Self(vec![Key { id: None, algorithm, key }]))
    }

    /// A secret that the issuer has too.
    ///
    /// # Errors
    /// It is too short.
    pub(super) fn of_secret(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(format!("has {} bytes, a secret has at least {SECRET_BYTES_MIN}", secret.len()));
        }
        Ok(Self(vec![Key { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }]))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that a token may be signed with: those of its algorithm that have its key's name, or all of its
    /// algorithm where it names none. A key without a name is one for any name.
    pub(super) fn of<'a>(&'a self, id: Option<&'a str>, algorithm: Algorithm) -> impl Iterator<Item = &'a Key> {
        let is_named = move |key: &&Key| match (id, key.id.as_deref()) {
            (Some(id), Some(named)) => id == named,
            (None, _) | (_, None) => true,
        };
        self.0.iter().filter(move |key| key.algorithm == algorithm).filter(is_named)
    }
}

/// A key of a set, if it is one by which signatures of an algorithm of ours are verified.
fn usable(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|to| *to != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if RSA_BYTES.contains(&modulus_bytes(&rsa.n)) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        // A secret in a public document is none.
        _ => return None,
    };
    let name = jwk.common.key_algorithm.as_ref().map(ToString::to_string);
    let is_other = name.is_some_and(|name| !ALGORITHMS.contains(&(name.as_str(), algorithm)));
    if is_other {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|key| verifies(key, algorithm))?;
    Some(Key { id: jwk.common.key_id, algorithm, key })
}

/// `true` if signatures can be verified by a key: its numbers are those of a key, and not so large that nobody computes
/// with them.
fn verifies(key: &DecodingKey, algorithm: Algorithm) -> bool {
    // The library takes this many of what there is, and does not look how many that are.
    let fits = algorithm != Algorithm::EdDSA || key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == ED_BYTES);
    fits && jsonwebtoken::crypto::verify("AAAA", b"any", key, algorithm).is_ok()
}

/// Bytes of a number in base64url.
fn modulus_bytes(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}
