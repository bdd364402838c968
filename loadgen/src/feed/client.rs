//! The node's HTTP API of feeds, as accounts of a run ask it.
//!
//! Owns requests and what their answers mean to somebody who may ask again: it happened, it may have, it was refused.
//! Connections are kept and shared by all threads.

use std::sync::Arc;
use std::time::Duration;

use schema::UserId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::{Method, Request};

use super::graph::Account;
use super::model::{Audience, Stored};

/// How long one request may take: a node that lives answers, and one that was killed closes.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Why there is no answer to what was asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// It may have happened: the connection ended, or the node does not know itself.
    #[error("no answer: {0}")]
    Unknown(String),
    /// It has not happened, and may be asked again after this.
    #[error("HTTP {status}, again in {} ms", after.as_millis())]
    Later { status: u16, after: Duration },
    /// It will not happen.
    #[error("HTTP {status}, code {code}: {detail}")]
    Refused { status: u16, code: u64, detail: String },
}

/// Accounts that ask.
#[derive(Clone)]
pub(super) struct Client {
    agent: ureq::Agent,
    base: Arc<str>,
    users: Arc<[UserId]>,
    tokens: Arc<[String]>,
}

/// A page of posts.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) posts: Vec<Shown>,
    pub(super) more: bool,
    pub(super) cursor: Option<String>,
}

/// A post as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    pub(super) post_id: String,
    pub(super) author: Author,
    pub(super) body: String,
    pub(super) sent_ms: u64,
    pub(super) revision: u32,
    pub(super) likes: u64,
    pub(super) liked: bool,
    pub(super) replies: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Author {
    pub(super) user_id: UserId,
}

/// What a page is asked of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of {
    Feed,
    Posts(Account),
}

impl Client {
    /// `base` is `http://HOST:PORT`; each of `users` has the token of its place. At most `connections` are kept.
    pub(super) fn new(base: &str, users: Vec<UserId>, tokens: Vec<String>, connections: usize) -> Self {
        assert_eq!(users.len(), tokens.len(), "each user has a token");
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_MAX))
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .user_agent(concat!("loadgen/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().new_agent(), base: base.into(), users: users.into(), tokens: tokens.into() }
    }

    pub(super) fn user(&self, account: Account) -> UserId {
        self.users[account as usize]
    }

    pub(super) fn users(&self) -> &[UserId] {
        &self.users
    }

    /// Has an account write a post, once however often it is asked under this id.
    pub(super) fn publish(&self, by: Account, id: &str, body: &str, audience: Audience) -> Result<Stored, Trouble> {
        #[derive(Deserialize)]
        struct Published {
            post_id: String,
            sent_ms: u64,
        }
        let body = json!({"client_post_id": id, "body": body, "audience": audience.name()});
        let Published { post_id, sent_ms } = self.ask(Method::POST, by, "/v1/me/feed", Some(&body))?;
        Ok(Stored { post_id, sent_ms })
    }

    pub(super) fn reply(&self, by: Account, post: &str, id: &str, body: &str) -> Result<(), Trouble> {
        let body = json!({"client_post_id": id, "body": body});
        self.ask::<Value>(Method::POST, by, &format!("/v1/posts/{post}/replies"), Some(&body)).map(drop)
    }

    /// Likes a post, or does so no longer.
    pub(super) fn like(&self, by: Account, post: &str, on: bool) -> Result<(), Trouble> {
        self.ask::<Value>(put_or_delete(on), by, &format!("/v1/posts/{post}/like"), None).map(drop)
    }

    pub(super) fn post(&self, by: Account, post: &str) -> Result<Shown, Trouble> {
        self.ask(Method::GET, by, &format!("/v1/posts/{post}"), None)
    }

    pub(super) fn edit(&self, by: Account, post: &str, body: &str, base_revision: u32) -> Result<(), Trouble> {
        let body = json!({"body": body, "base_revision": base_revision});
        self.ask::<Value>(Method::PATCH, by, &format!("/v1/posts/{post}"), Some(&body)).map(drop)
    }

    pub(super) fn delete(&self, by: Account, post: &str) -> Result<(), Trouble> {
        self.ask::<Value>(Method::DELETE, by, &format!("/v1/posts/{post}"), None).map(drop)
    }

    pub(super) fn follow(&self, by: Account, author: Account, on: bool) -> Result<(), Trouble> {
        let path = format!("/v1/users/{}/follow", self.user(author));
        self.ask::<Value>(put_or_delete(on), by, &path, None).map(drop)
    }

    /// Asks for a friendship or accepts it; or ends it.
    pub(super) fn befriend(&self, by: Account, other: Account, on: bool) -> Result<(), Trouble> {
        let path = format!("/v1/me/friends/{}", self.user(other));
        self.ask::<Value>(put_or_delete(on), by, &path, None).map(drop)
    }

    /// Blocks somebody, which ends their friendship; or does so no longer.
    pub(super) fn block(&self, by: Account, other: Account, on: bool) -> Result<(), Trouble> {
        let path = format!("/v1/me/blocks/{}", self.user(other));
        self.ask::<Value>(put_or_delete(on), by, &path, None).map(drop)
    }

    /// Lets others follow an account.
    pub(super) fn publish_account(&self, by: Account) -> Result<(), Trouble> {
        self.ask::<Value>(Method::PATCH, by, "/v1/me", Some(&json!({"public": true}))).map(drop)
    }

    pub(super) fn page(&self, by: Account, of: Of, limit: u32, cursor: Option<&str>) -> Result<Page, Trouble> {
        let cursor = cursor.map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let path = match of {
            Of::Feed => "/v1/me/feed".to_owned(),
            Of::Posts(author) => format!("/v1/users/{}/feed", self.user(author)),
        };
        self.ask(Method::GET, by, &format!("{path}?limit={limit}{cursor}"), None)
    }

    /// One request. An empty answer is null.
    fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        by: Account,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Trouble> {
        let unknown = |error: ureq::Error| Trouble::Unknown(error.to_string());
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.tokens[by as usize]))
            .header("Content-Type", "application/json");
        let body = body.map_or(String::new(), Value::to_string);
        let request = request.body(body).map_err(|error| Trouble::Unknown(error.to_string()))?;
        let mut answer = self.agent.run(request).map_err(unknown)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().map_err(unknown)?;
        understood(status, &text)
    }
}

fn put_or_delete(on: bool) -> Method {
    if on { Method::PUT } else { Method::DELETE }
}

/// What an answer means.
fn understood<T: DeserializeOwned>(status: u16, text: &str) -> Result<T, Trouble> {
    /// A refusal's body.
    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Problem {
        code: u64,
        detail: String,
        retry_after_ms: u64,
    }
    if (200..300).contains(&status) {
        let text = if text.is_empty() { "null" } else { text };
        return serde_json::from_str(text).map_err(|error| {
            let detail = format!("answered with something else: {error} in {text}");
            Trouble::Refused { status, code: 0, detail }
        });
    }
    let Problem { code, detail, retry_after_ms } = serde_json::from_str(text).unwrap_or_default();
    match status {
        429 => Err(Trouble::Later { status, after: Duration::from_millis(retry_after_ms.max(1)) }),
        // Of these a node does not say whether anything has come of it.
        500.. => Err(Trouble::Unknown(format!("HTTP {status}, code {code}: {detail}"))),
        _ => Err(Trouble::Refused { status, code, detail }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, text: &str, expected: &str) {
        let said = match understood::<Page>(status, text) {
            Ok(page) => format!("{} posts, cursor {}", page.posts.len(), page.cursor.as_deref().unwrap_or("none")),
            Err(trouble) => trouble.to_string(),
        };
        assert!(said.starts_with(expected), "{status} {text}: {said}");
    }

    #[test]
    fn an_answer_says_whether_it_happened_may_have_or_will_not() {
        let post = r#"{"post_id": "7-1", "channel_id": "7", "seq": 1, "author": {"user_id": "5"}, "body": "feed", "sent_ms": 3,
            "audience": "friends", "media": [], "revision": 1, "likes": 0, "liked": false, "replies": 2}"#;
        check(200, r#"{"posts": [], "more": false}"#, "0 posts, cursor none");
        check(200, &format!(r#"{{"posts": [{post}], "more": true, "cursor": "c"}}"#), "1 posts, cursor c");
        check(200, "[]", "HTTP 200, code 0: answered with something else");
        check(429, r#"{"code": 116, "detail": "slowly", "retry_after_ms": 700}"#, "HTTP 429, again in 700 ms");
        check(404, r#"{"code": 104, "detail": "no such post"}"#, "HTTP 404, code 104: no such post");
        check(503, r#"{"code": 112, "detail": "moving"}"#, "no answer: HTTP 503, code 112");
        check(404, "<html>", "HTTP 404, code 0");
    }
}
