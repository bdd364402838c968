//! Signed tokens (JSON Web Tokens): ES256 for Apple and for push services, RS256 for Google.
//!
//! Owns how they are made. What is claimed is each provider's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
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

/// A private key of RSA.
pub(super) struct RsaKey(RsaKeyPair);

impl RsaKey {
    /// Of PEM text in the form PKCS#8.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        let failed = || "is no private key of RSA in PEM (PKCS#8) of at least 2048 bits".to_owned();
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| failed())?;
        RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map(Self).map_err(|_| failed())
    }

    /// A token that bears these.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let unsigned = unsigned(header, claims);
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), unsigned.as_bytes(), &mut signature)
            .expect("the buffer is as long as the modulus, and the machine has randomness");
        format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}
