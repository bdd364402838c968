//! The node's HTTP API, as far as accounts and channels are made with it.
//!
//! Owns requests, their retries and the words for failure. Blocking: it is called from threads of its own, before any
//! connection is opened.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use schema::{ChannelId, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long one request may take, retries aside: passwords are hashed one at a time a core, and many are asked for.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// How long a request is repeated while the node says that it is busy.
const BUSY_MAX: Duration = Duration::from_secs(120);
/// Pause before a repetition, unless the node names a longer one.
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// One node's API.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    agent: ureq::Agent,
    base: String,
}

/// What a login gives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) user_id: UserId,
    pub(crate) token: String,
    pub(crate) expires_ms: u64,
    pub(crate) refresh_token: String,
}

/// The node refused, and will again.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} was refused with HTTP {status}, code {code}: {detail}")]
pub(crate) struct Refused {
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) code: u16,
    pub(crate) detail: String,
}

/// A refusal's body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: u16,
    detail: String,
    retry_after_ms: u64,
}

impl Api {
    /// `base` is `http://HOST:PORT`.
    pub(crate) fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_MAX))
            .user_agent(concat!("loadgen/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().new_agent(), base: base.trim_end_matches('/').to_owned() }
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn sign_up(&self, username: &str, password: &str) -> anyhow::Result<Tokens> {
        self.post("/v1/auth/signup", None, &serde_json::json!({"username": username, "password": password}))
    }

    pub(crate) fn log_in(&self, username: &str, password: &str) -> anyhow::Result<Tokens> {
        self.post("/v1/auth/login", None, &serde_json::json!({"username": username, "password": password}))
    }

    pub(crate) fn refresh(&self, refresh_token: &str) -> anyhow::Result<Tokens> {
        self.post("/v1/auth/refresh", None, &serde_json::json!({"refresh_token": refresh_token}))
    }

    /// Whether the node knows this token.
    pub(crate) fn knows(&self, token: &str) -> anyhow::Result<bool> {
        let path = format!("{}/v1/me", self.base);
        let response = self.agent.get(&path).header("Authorization", format!("Bearer {token}")).call();
        match response.with_context(|| self.unreachable())?.status().as_u16() {
            200 => Ok(true),
            401 => Ok(false),
            status => bail!("{path} was answered with HTTP {status}"),
        }
    }

    /// The direct channel with `other`.
    pub(crate) fn direct(&self, token: &str, other: UserId) -> anyhow::Result<ChannelId> {
        self.channel(token, &serde_json::json!({"kind": "direct", "user_id": other}))
    }

    /// A new group with `members` beside its maker.
    pub(crate) fn group(&self, token: &str, title: &str, members: &[UserId]) -> anyhow::Result<ChannelId> {
        self.channel(token, &serde_json::json!({"kind": "group", "title": title, "member_ids": members}))
    }

    fn channel(&self, token: &str, body: &serde_json::Value) -> anyhow::Result<ChannelId> {
        #[derive(Deserialize)]
        struct Created {
            channel_id: ChannelId,
        }
        let Created { channel_id } = self.post("/v1/channels", Some(token), body)?;
        Ok(channel_id)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, token: Option<&str>, body: &impl Serialize) -> anyhow::Result<T> {
        let give_up = Instant::now() + BUSY_MAX;
        loop {
            let mut request = self.agent.post(format!("{}{path}", self.base));
            if let Some(token) = token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let mut response = request.send_json(body).with_context(|| self.unreachable())?;
            let status = response.status().as_u16();
            if (200..300).contains(&status) {
                let parsed = response.body_mut().read_json();
                return parsed.with_context(|| format!("{}{path} answered with something else", self.base));
            }
            // A refusal that is no problem document comes from something between us and the node; its status says
            // enough.
            let Problem { code, detail, retry_after_ms } = response.body_mut().read_json().unwrap_or_default();
            if !matches!(status, 429 | 503) || Instant::now() > give_up {
                return Err(Refused { path: path.to_owned(), status, code, detail }.into());
            }
            std::thread::sleep(BUSY_PAUSE.max(Duration::from_millis(retry_after_ms)));
        }
    }

    fn unreachable(&self) -> String {
        format!("cannot reach the API at {}; is the node running, is --api right?", self.base)
    }
}

/// Whether `error` is the node's refusal with `status`.
pub(crate) fn is_refusal(error: &anyhow::Error, status: u16) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == status)
}
