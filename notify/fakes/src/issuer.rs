//! Issuer of tokens: keys that rotate, a key set that is served or not, and a service that says whose a token is.
//!
//! Owns the keys and signs with them, by another library than the one that verifies: what is no valid token is as easy to
//! have as what is one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents as RsaComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::server::{Answer, answer, bind, header, json as json_answer};
use crate::token::{base64, base64_padded, unbase64_padded};

/// Bytes of a request's body.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A key that signs tokens.
pub struct SigningKey {
    /// Its name in tokens and in the key set; none of either if it is empty.
    pub id: String,
    kind: Kind,
}

enum Kind {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl SigningKey {
    /// The fakes' own key of RSA, for RS256.
    #[must_use]
    pub fn rsa(id: &str) -> Self {
        let body: String = include_str!("../keys/fcm.pem").lines().filter(|line| !line.starts_with("-----")).collect();
        let der = unbase64_padded(&body).expect("the fakes' own key");
        let key = RsaKeyPair::from_pkcs8(&der).expect("the fakes' own key");
        Self { id: id.to_owned(), kind: Kind::Rsa(Box::new(key)) }
    }

    /// A new key on P-256, for ES256.
    #[must_use]
    pub fn ec(id: &str) -> Self {
        let (random, of) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let der = EcdsaKeyPair::generate_pkcs8(of, &random).expect("the machine has randomness");
        let key = EcdsaKeyPair::from_pkcs8(of, der.as_ref(), &random).expect("it was just made");
        Self { id: id.to_owned(), kind: Kind::Ec(key) }
    }

    /// A new key on Curve25519, for EdDSA.
    #[must_use]
    pub fn ed(id: &str) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("the machine has randomness");
        let key = Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("it was just made");
        Self { id: id.to_owned(), kind: Kind::Ed(key) }
    }

    /// A secret, for HS256: also one that is somebody's public key.
    #[must_use]
    pub fn secret(id: &str, secret: &[u8]) -> Self {
        Self { id: id.to_owned(), kind: Kind::Secret(secret.to_vec()) }
    }

    /// What its tokens have as `alg`.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match &self.kind {
            Kind::Rsa(_) => "RS256",
            Kind::Ec(_) => "ES256",
            Kind::Ed(_) => "EdDSA",
            Kind::Secret(_) => "HS256",
        }
    }

    /// A token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = json!({"alg": self.algorithm(), "typ": "JWT"});
        if !self.id.is_empty() {
            header["kid"] = json!(self.id);
        }
        self.sign_with(&header, claims)
    }

    /// A token with this header, whatever it says.
    #[must_use]
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| base64(value.to_string().as_bytes());
        let unsigned = format!("{}.{}", part(header), part(claims));
        let (text, random) = (unsigned.as_bytes(), SystemRandom::new());
        let signature = match &self.kind {
            Kind::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).expect("the buffer fits");
                signature
            }
            Kind::Ec(key) => key.sign(&random, text).expect("the machine has randomness").as_ref().to_vec(),
            Kind::Ed(key) => key.sign(text).as_ref().to_vec(),
            Kind::Secret(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec(),
        };
        format!("{unsigned}.{}", base64(&signature))
    }

    /// Its public half as an entry of a key set (RFC 7517).
    ///
    /// # Panics
    /// Of a secret, which has none.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.kind {
            Kind::Rsa(key) => {
                let RsaComponents { n, e } = RsaComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "n": base64(&n), "e": base64(&e)})
            }
            Kind::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": base64(&point[1..33]), "y": base64(&point[33..])})
            }
            Kind::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key().as_ref())}),
            Kind::Secret(_) => panic!("a secret has no public half"),
        };
        (jwk["use"], jwk["alg"]) = (json!("sig"), json!(self.algorithm()));
        if !self.id.is_empty() {
            jwk["kid"] = json!(self.id);
        }
        jwk
    }

    /// Its public half in PEM.
    ///
    /// # Panics
    /// Of a secret, which has none.
    #[must_use]
    pub fn public_pem(&self) -> String {
        const RSA: &[u8] = &[0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 0x05, 0];
        const EC: &[u8] =
            &[0x06, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
        const ED: &[u8] = &[0x06, 3, 0x2B, 0x65, 0x70];
        let (algorithm, key) = match &self.kind {
            Kind::Rsa(key) => (RSA, key.public().as_ref()),
            Kind::Ec(key) => (EC, key.public_key().as_ref()),
            Kind::Ed(key) => (ED, key.public_key().as_ref()),
            Kind::Secret(_) => panic!("a secret has no public half"),
        };
        let bits = der(0x03, &[&[0], key].concat());
        let info = der(0x30, &[der(0x30, algorithm), bits].concat());
        let text = base64_padded(&info);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

/// A value of DER behind its tag and its length.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a key is short").to_be_bytes();
    let head = match (length, value.len()) {
        ([_, low], ..128) => vec![tag, low],
        ([0, low], _) => vec![tag, 0x81, low],
        ([high, low], _) => vec![tag, 0x82, high, low],
    };
    [&head, value].concat()
}

/// What an issuer does with requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conduct {
    /// Answers them.
    Serve,
    /// Says nothing.
    Hang,
    /// Answers with this status, and with this as `location`.
    Status(u16, String),
    /// Answers every GET with this text.
    Say(String),
}

struct Shared {
    conduct: Mutex<Conduct>,
    keys: Mutex<Vec<Value>>,
    /// By token: what the service says of it, and its status.
    users: Mutex<BTreeMap<String, (u16, Value)>>,
    secret: Mutex<String>,
    requests: Mutex<u64>,
    faults: Mutex<Vec<String>>,
}

/// An issuer on a port of loopback, on a thread of its own until it is dropped: `GET` of anything is its key set, `POST` of
/// anything asks whose a token is.
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Issuer {
    /// One with an empty key set, that knows nobody.
    ///
    /// # Errors
    /// If no port or thread is to be had.
    pub fn start() -> io::Result<Self> {
        let (listener, address) = bind()?;
        let shared = Arc::new(Shared {
            conduct: Mutex::new(Conduct::Serve),
            keys: Mutex::default(),
            users: Mutex::default(),
            secret: Mutex::default(),
            requests: Mutex::default(),
            faults: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let of = Arc::clone(&shared);
        let thread = thread::Builder::new().name("issuer".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(serve(listener, of));
                // Dropped without a word is as good.
                let _ = stopped.await;
            });
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is, with a path of its key set.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// From now on its key set is this.
    pub fn set_keys(&self, keys: &[&SigningKey]) {
        *lock(&self.shared.keys) = keys.iter().map(|key| key.jwk()).collect();
    }

    /// From now on it behaves so.
    pub fn set_conduct(&self, conduct: Conduct) {
        *lock(&self.shared.conduct) = conduct;
    }

    /// From now on it says this of a token, to whoever signs with this secret.
    pub fn knows(&self, secret: &str, token: &str, status: u16, user: Value) {
        secret.clone_into(&mut lock(&self.shared.secret));
        lock(&self.shared.users).insert(token.to_owned(), (status, user));
    }

    /// How often it was asked.
    #[must_use]
    pub fn requests(&self) -> u64 {
        *lock(&self.shared.requests)
    }

    /// What was wrong with requests.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        lock(&self.shared.faults).clone()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say; a panic in it has been shown.
            let _ = thread.join();
        }
    }
}

/// Nothing here is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request: Request<Incoming>| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(respond(&shared, request).await) }
        });
        // Whatever a peer does with its connection is no concern of a fake.
        drop(tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service)));
    }
}

async fn respond(shared: &Shared, request: Request<Incoming>) -> Answer {
    *lock(&shared.requests) += 1;
    let conduct = lock(&shared.conduct).clone();
    match conduct {
        Conduct::Serve => {}
        Conduct::Hang => pending().await,
        Conduct::Status(status, location) => {
            let mut answer = answer(status, "");
            let location = http::HeaderValue::from_str(&location).expect("a test's own");
            answer.headers_mut().insert("location", location);
            return answer;
        }
        Conduct::Say(text) => return answer(200, text),
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, REQUEST_BYTES_MAX).collect().await else { return answer(413, "") };
    let request = Request::from_parts(head, body.to_bytes());
    if request.method() == Method::GET {
        return json_answer(200, &json!({"keys": *lock(&shared.keys)}));
    }
    let said = whose(shared, &request);
    said.map_or_else(
        |fault| {
            lock(&shared.faults).push(fault);
            answer(400, "")
        },
        |(status, user)| json_answer(status, &user),
    )
}

/// Judges a question about a token, and answers it.
fn whose(shared: &Shared, request: &Request<Bytes>) -> Result<(u16, Value), String> {
    let signature = header(request, "rookery-signature");
    let parsed = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1="));
    let (seconds, hex) = parsed.ok_or_else(|| format!("the signature is {signature:?}"))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, lock(&shared.secret).as_bytes());
    let mut signing = hmac::Context::with_key(&key);
    signing.update(format!("{seconds}.").as_bytes());
    signing.update(request.body());
    let expected: String = signing.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if hex != expected {
        return Err("the signature is not of the body".to_owned());
    }
    let asked: Value = serde_json::from_slice(request.body()).map_err(|error| error.to_string())?;
    let token = asked["token"].as_str().ok_or("it names no token")?;
    Ok(lock(&shared.users).get(token).cloned().unwrap_or((401, json!({}))))
}
