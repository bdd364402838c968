//! The nodes' HTTP API, as far as accounts and channels are made with it, and histories read.
//!
//! Owns requests, their retries, here or at the next node, and the words for failure. Blocking: it is called from
//! threads of its own, while nothing is measured.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use schema::command::HistoryPage;
use schema::limits::HISTORY_ROWS_MAX;
use schema::{ChannelId, Seq, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::http::Response;
use ureq::{Body, RequestBuilder};

/// How long one request may take, retries aside: passwords are hashed one at a time a core, and many are asked for.
const REQUEST_MAX: Duration = Duration::from_secs(60);
/// How long a request is repeated while nodes say that they are busy, or none of several can be reached.
const BUSY_MAX: Duration = Duration::from_secs(120);
/// Pause before a repetition, unless the node names a longer one.
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// The API of one node, or of several that are one.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    agent: ureq::Agent,
    bases: Arc<[String]>,
    /// Which of them is asked: those that could not be reached so far are passed over.
    at: Arc<AtomicUsize>,
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
    /// Each base is `http://HOST:PORT`.
    ///
    /// # Panics
    /// There is none.
    pub(crate) fn new(bases: &[String]) -> Self {
        assert!(!bases.is_empty(), "--api has a default");
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_MAX))
            .user_agent(concat!("loadgen/", env!("CARGO_PKG_VERSION")));
        let bases = bases.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
        Self { agent: config.build().new_agent(), bases, at: Arc::default() }
    }

    pub(crate) fn bases(&self) -> &[String] {
        &self.bases
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
        match self.get::<serde::de::IgnoredAny>("/v1/me", token) {
            Ok(_) => Ok(true),
            Err(error) if is_refusal(&error, 401) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What follows `after` in a channel, as one of its members sees it.
    pub(crate) fn history(&self, token: &str, channel: ChannelId, after: Seq) -> anyhow::Result<HistoryPage> {
        self.get(&format!("/v1/channels/{channel}/messages?after={}&limit={HISTORY_ROWS_MAX}", after.0), token)
    }

    /// The direct channel with `other`.
    pub(crate) fn direct(&self, token: &str, other: UserId) -> anyhow::Result<ChannelId> {
        self.channel(token, &serde_json::json!({"kind": "direct", "user_id": other}))
    }

    /// A new group with `members` beside its maker.
    pub(crate) fn group(&self, token: &str, title: &str, members: &[UserId]) -> anyhow::Result<ChannelId> {
        self.channel(token, &serde_json::json!({"kind": "group", "title": title, "member_ids": members}))
    }

    /// A new large channel, whose members come one by one.
    pub(crate) fn large(&self, token: &str, title: &str) -> anyhow::Result<ChannelId> {
        self.channel(token, &serde_json::json!({"kind": "large", "title": title}))
    }

    /// Makes a user a member of a channel of `token`'s owner.
    pub(crate) fn add_member(&self, token: &str, channel: ChannelId, user: UserId) -> anyhow::Result<()> {
        let path = format!("/v1/channels/{channel}/members/{user}");
        let put = |url| signed(self.agent.put(url), Some(token)).send_empty();
        // Added twice is added once.
        self.answered(&path, put, |_| true).map(|serde::de::IgnoredAny| ())
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
        self.answered(path, |url| signed(self.agent.post(url), token).send_json(body), was_refused)
    }

    fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> anyhow::Result<T> {
        // Nothing comes of asking twice.
        self.answered(path, |url| signed(self.agent.get(url), Some(token)).call(), |_| true)
    }

    /// Asks until there is an answer: again while nodes are busy, and of the next one where `may_repeat` says of a
    /// failure that it may be.
    fn answered<T: DeserializeOwned>(
        &self,
        path: &str,
        ask: impl Fn(String) -> Result<Response<Body>, ureq::Error>,
        may_repeat: impl Fn(&ureq::Error) -> bool,
    ) -> anyhow::Result<T> {
        let give_up = Instant::now() + BUSY_MAX;
        loop {
            let at = self.at.load(Ordering::Relaxed);
            let base = &self.bases[at % self.bases.len()];
            let mut response = match ask(format!("{base}{path}")) {
                Ok(response) => response,
                Err(error) if self.bases.len() > 1 && may_repeat(&error) && Instant::now() < give_up => {
                    // Another thread may have passed it over already.
                    _ = self.at.compare_exchange(at, at + 1, Ordering::Relaxed, Ordering::Relaxed);
                    std::thread::sleep(BUSY_PAUSE);
                    continue;
                }
                Err(error) => {
                    let context = format!("cannot reach the API at {base}; is the node running, is --api right?");
                    return Err(error).context(context);
                }
            };
            let status = response.status().as_u16();
            if (200..300).contains(&status) {
                let parsed = response.body_mut().read_json();
                return parsed.with_context(|| format!("{base}{path} answered with something else"));
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
}

fn signed<B>(request: RequestBuilder<B>, token: Option<&str>) -> RequestBuilder<B> {
    match token {
        Some(token) => request.header("Authorization", format!("Bearer {token}")),
        None => request,
    }
}

/// Whether nobody took the connection, so that nothing can have come of the request.
fn was_refused(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::ConnectionFailed => true,
        ureq::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// Whether `error` is the node's refusal with `status`.
pub(crate) fn is_refusal(error: &anyhow::Error, status: u16) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == status)
}
