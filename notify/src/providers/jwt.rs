//! Signed tokens (JSON Web Tokens): ES256 for Apple and for push services.
//!
//! Owns how they are made. What is claimed is each provider's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use serde_json::Value;

/// A private key on the curve P-256.
pub(super) struct EcKey(SigningKey);

impl EcKey {
    /// Of a PEM file in the form PKCS#8.
    ///
    /// # Errors
    /// It is something else: with the remedy.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| {
            "is no private key of the curve P-256 in PEM (PKCS#8): `openssl pkcs8 -topk8 -nocrypt` makes that of another form"
                .to_owned()
        })
    }

    /// A token that bears these.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let unsigned = unsigned(header, claims);
        let signature: Signature = self.0.sign(unsigned.as_bytes());
        format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// Its public half, as an uncompressed point in base64url: what a browser is given as `applicationServerKey`.
    pub(super) fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.verifying_key().to_encoded_point(false).as_bytes())
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}
