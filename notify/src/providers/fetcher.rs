//! Requests to what an operator's configuration names elsewhere: key sets of issuers, a connect proxy.
//!
//! Owns the request and the bound of its answer. Goes without the guard, which is for what users name: an issuer may well
//! be on a private network. Follows no redirect, so whoever answers there leads nowhere else.

use std::path::Path;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use schema::UnixMs;

use super::ATTEMPT_MS_MAX;
use super::caller::{SIGNATURE, signature};
use super::http::{HttpClient, Versions};
use super::setup::{Keys, Setup};
use crate::outcome::Outcome;

/// An HTTP client for these. Its connections are of the runtime on which it is used.
pub struct Fetcher(HttpClient);

impl Fetcher {
    /// One that believes the authorities that the world believes, and those of this PEM file.
    ///
    /// # Errors
    /// The operator's: the file cannot be used.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        // Whoever uses it has a shorter time of its own.
        let keys = Keys { allow_loopback: true, ca_file: ca_file.map(Path::to_owned), attempt_ms_max: ATTEMPT_MS_MAX };
        let setup = Setup::new(Path::new(""), &keys).map_err(|error| format!("{} {}", error.key, error.why))?;
        Ok(Self(HttpClient::new(&setup.tls, None, Versions::Any)))
    }

    /// Gets a URL: the status and the body.
    ///
    /// # Errors
    /// Why there is none, or that it has more bytes than `bytes_max`.
    pub async fn get(&self, url: &str, bytes_max: usize) -> Result<(u16, Vec<u8>), String> {
        let request = Request::get(url).header("accept", "application/json").body(Full::default());
        self.send(request, bytes_max).await
    }

    /// Posts JSON to a URL, signed as calls of applications are: the status and the body.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn post(
        &self,
        url: &str,
        secret: &str,
        body: Vec<u8>,
        bytes_max: usize,
        now: UnixMs,
    ) -> Result<(u16, Vec<u8>), String> {
        let request = Request::post(url)
            .header("content-type", "application/json")
            .header(SIGNATURE, signature(secret, now, &body))
            .body(Full::from(Bytes::from(body)));
        self.send(request, bytes_max).await
    }

    async fn send(
        &self,
        request: Result<Request<Full<Bytes>>, http::Error>,
        bytes_max: usize,
    ) -> Result<(u16, Vec<u8>), String> {
        let request = request.map_err(|_| "the URL makes no request".to_owned())?;
        let answer = self.0.begin(request).await.map_err(|outcome| match outcome {
            Outcome::Failed { detail, .. } => detail,
            Outcome::Sent { .. } => "no answer".to_owned(),
        })?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), bytes_max).collect().await;
        let body = body.map_err(|_| format!("its answer is cut short, or has more than {bytes_max} bytes"))?;
        Ok((status, body.to_bytes().to_vec()))
    }
}
