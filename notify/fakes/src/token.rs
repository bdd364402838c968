//! Signed tokens (JSON Web Tokens): verified by a library that is none of the providers'.

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::DecodePrivateKey as _;
use ring::rsa::KeyPair as RsaKeyPair;
use serde_json::Value;

/// Tokens that were verified and are remembered: a sender has one for many messages.
const VERIFIED_MAX: usize = 64;

/// Whose signature counts.
pub(crate) struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
    verified: Mutex<HashMap<String, (Header, Value)>>,
}

impl Key {
    /// The public half of a private key on P-256.
    pub(crate) fn of_ec_pem(pem: &str) -> Self {
        let key = SecretKey::from_pkcs8_pem(pem).expect("the fakes' own key");
        let point = key.public_key().to_encoded_point(false);
        Self::new(Algorithm::ES256, DecodingKey::from_ec_der(point.as_bytes()))
    }

    /// The public half of a private key of RSA.
    pub(crate) fn of_rsa_pem(pem: &str) -> Self {
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).expect("the fakes' own key");
        let key = RsaKeyPair::from_pkcs8(&der).expect("the fakes' own key");
        Self::new(Algorithm::RS256, DecodingKey::from_rsa_der(key.public().as_ref()))
    }

    fn new(algorithm: Algorithm, decoding: DecodingKey) -> Self {
        Self { algorithm, decoding, verified: Mutex::default() }
    }

    /// What a token says, if it was signed by this key with its algorithm. Times and names are for the caller to judge.
    pub(crate) fn verify(&self, token: &str) -> jsonwebtoken::errors::Result<(Header, Value)> {
        let mut verified = self.verified.lock().expect("nobody panics with it");
        if let Some(known) = verified.get(token) {
            return Ok(known.clone());
        }
        let mut validation = Validation::new(self.algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let found = jsonwebtoken::decode::<Value>(token, &self.decoding, &validation)?;
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(token.to_owned(), (found.header.clone(), found.claims.clone()));
        Ok((found.header, found.claims))
    }
}

/// Bytes of base64url.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// Bytes of base64 with its padding.
pub(crate) fn unbase64_padded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Bytes as base64 with its padding.
pub(crate) fn base64_padded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes as base64url.
pub(crate) fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
