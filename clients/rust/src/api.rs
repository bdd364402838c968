//! The HTTP API: accounts, tokens, channels, people, nodes.
//!
//! Owns requests and their answers (PROTOCOL section 8). What a session does better, history and search among it, is asked over
//! the session; whatever is missing here, [`Api::request`] asks for.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::config::{BoxFuture, HTTP_TIMEOUT, TokenError, TokenNeed, Tokens};
use crate::connection::default_tls;
use crate::error::{Code, Error, Refusal};
use crate::message::{ChannelId, ChannelKind, Message, Role, Seq, UserId};
use crate::session::Node;

/// Bytes of an answer: a page of 200 messages of 400 KB in escapes.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;

/// An HTTP client of Rookery's API. Cloning it shares its connections.
#[derive(Debug, Clone)]
pub struct Api {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
}

/// The tokens of a login.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Login {
    /// The account.
    pub user_id: UserId,
    /// The access token.
    pub token: String,
    /// Until when it counts.
    pub expires_ms: u64,
    /// For the next tokens: used once, within 30 days.
    pub refresh_token: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user_id", &self.user_id)
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

/// A user as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// The account.
    pub user_id: UserId,
    /// Its unique name.
    pub username: String,
    /// Name that others see.
    pub display_name: String,
}

/// A channel as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Channel {
    /// Channel of this summary.
    pub channel_id: ChannelId,
    /// Direct, group or large.
    pub kind: ChannelKind,
    /// Empty for a direct one.
    #[serde(default)]
    pub title: String,
    /// Of a direct one, the other.
    #[serde(default)]
    pub peer: Option<Profile>,
    /// Role of the account there: what it may do.
    pub role: Role,
    /// `true` if the account wants no notifications of it.
    #[serde(default)]
    pub muted: bool,
    /// Number of members.
    pub member_count: u32,
    /// Its newest seq.
    pub head_seq: Seq,
    /// Up to where the account has read.
    pub read_seq: Seq,
    /// Messages after that.
    pub unread: u64,
    /// The newest that is visible to this account.
    #[serde(default)]
    pub last_message: Option<Message>,
}

/// A member of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The account.
    pub user_id: UserId,
    /// Its unique name; empty of an account that is gone.
    pub username: String,
    /// Name that others see.
    pub display_name: String,
    /// Role of the member: what it may do.
    pub role: Role,
}

/// A channel to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NewChannel {
    /// With one other; the same two have one.
    Direct(UserId),
    /// With members who are all told of each message.
    Group {
        /// 1 to 128 characters on one line.
        title: String,
        /// Beside the account itself.
        members: Vec<UserId>,
    },
    /// With members who open it to be told.
    Large {
        /// As of a group.
        title: String,
        /// Access of members to what was sent before they joined: `true` for all of it.
        all_history: bool,
    },
}

impl Api {
    /// One of a node's or a load balancer's address, `https://chat.example.org` say.
    ///
    /// # Errors
    /// This crate has no certificate authorities; see [`Api::with`].
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        let tls = default_tls()?;
        Ok(Self::with(url, &tls))
    }

    /// The same with certificate authorities of one's own.
    pub fn with(url: impl Into<String>, tls: &ClientConfig) -> Self {
        Self { url: url.into(), ..Self::with_tls(tls) }
    }

    pub(crate) fn with_tls(tls: &ClientConfig) -> Self {
        let https = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1().build();
        let http =
            Http::builder(TokioExecutor::new()).timer(TokioTimer::new()).pool_timer(TokioTimer::new()).build(https);
        Self { http, url: String::new() }
    }

    /// Asks for anything: the answer's JSON, `null` of an empty one. A request takes 15 s at most.
    ///
    /// # Errors
    /// [`Error::Refused`] with the server's code; [`Error::Http`] where none came.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        self.request_at(&self.url, method, path, token, body).await
    }

    async fn request_at(
        &self,
        api: &str,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let plain = path.split('?').next().unwrap_or(path);
        let failed = |why: String| Error::Http { method: method.to_string(), path: plain.to_owned(), why };
        let mut request = Request::builder().method(&method).uri(format!("{}{path}", api.trim_end_matches('/')));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Bytes::from(body.map(Value::to_string).unwrap_or_default());
        let request = request.body(Full::new(body)).map_err(|error| failed(error.to_string()))?;
        let exchange = async {
            let (head, body) = self.http.request(request).await.map_err(|error| failed(cause(&error)))?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            Ok((head.status, body.map_err(|error| failed(error.to_string()))?.to_bytes()))
        };
        let answer = tokio::time::timeout(HTTP_TIMEOUT, exchange).await;
        let (status, bytes) = answer.unwrap_or_else(|_| Err(failed("no answer in 15 s".to_owned())))?;
        let fields = if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
        if status.is_success() {
            return fields.map_err(|error| failed(format!("the answer is no JSON: {error}")));
        }
        let Ok(Problem { code, detail, title, retry_after_ms }) = serde_json::from_value(fields.unwrap_or_default())
        else {
            return Err(failed(format!("the server answered {status}")));
        };
        let message = detail.or(title).unwrap_or_else(|| status.to_string());
        let code = Code::from(code);
        let temporary = matches!(u32::from(code), 100 | 111 | 113 | 114 | 115);
        Err(Refusal { code, message, temporary, retry_after_ms }.into())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, Error> {
        typed(path, self.request(Method::GET, path, Some(token), None).await?)
    }

    async fn enter(&self, path: &str, body: &Value) -> Result<Login, Error> {
        typed(path, self.request(Method::POST, path, None, Some(body)).await?)
    }

    /// Makes an account and logs it in, on a device if one is named.
    ///
    /// # Errors
    /// As of [`request`](Self::request); 107 of a name that is taken or illegal.
    pub async fn sign_up(&self, username: &str, password: &str, device_id: Option<&str>) -> Result<Login, Error> {
        self.enter("/v1/auth/signup", &credentials(username, password, device_id)).await
    }

    /// Logs in.
    ///
    /// # Errors
    /// As of [`request`](Self::request); 101 of a wrong password.
    pub async fn log_in(&self, username: &str, password: &str, device_id: Option<&str>) -> Result<Login, Error> {
        self.enter("/v1/auth/login", &credentials(username, password, device_id)).await
    }

    /// New tokens for those of a login, whose refresh token is used up by it.
    ///
    /// # Errors
    /// As of [`request`](Self::request); 101 if the login is over.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Login, Error> {
        self.enter("/v1/auth/refresh", &json!({"refresh_token": refresh_token})).await
    }

    /// Ends a login.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn log_out(&self, login: &Login) -> Result<(), Error> {
        let body = json!({"refresh_token": login.refresh_token});
        self.request(Method::POST, "/v1/auth/logout", Some(&login.token), Some(&body)).await.map(drop)
    }

    /// Tokens for a [`Client`](crate::Client) from a login: refreshed when they end. `keep` is called with each new login before it is
    /// used, so that a later start can go on with its refresh token.
    #[must_use]
    pub fn tokens(&self, login: Login, keep: impl Fn(&Login) + Send + Sync + 'static) -> LoginTokens {
        LoginTokens { api: self.clone(), login: Mutex::new(login), keep: Box::new(keep) }
    }

    /// One's own profile.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn me(&self, token: &str) -> Result<Profile, Error> {
        self.get("/v1/me", token).await
    }

    /// Somebody's profile.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn user(&self, token: &str, user_id: UserId) -> Result<Profile, Error> {
        self.get(&format!("/v1/users/{user_id}"), token).await
    }

    /// The profile of a name, in any case.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn user_named(&self, token: &str, username: &str) -> Result<Profile, Error> {
        self.get(&format!("/v1/users?username={}", in_query(username)), token).await
    }

    /// All channels of the account, those that are active first.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn channels(&self, token: &str) -> Result<Vec<Channel>, Error> {
        self.pages("/v1/channels", "channels", token).await
    }

    /// One of them.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn channel(&self, token: &str, channel_id: ChannelId) -> Result<Channel, Error> {
        self.get(&format!("/v1/channels/{channel_id}"), token).await
    }

    /// All members of a channel.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn members(&self, token: &str, channel_id: ChannelId) -> Result<Vec<Member>, Error> {
        self.pages(&format!("/v1/channels/{channel_id}/members"), "members", token).await
    }

    /// Makes a channel. The answer of a direct one that is there is that one.
    ///
    /// # Errors
    /// As of [`request`](Self::request). It may have been made where no answer came.
    pub async fn create_channel(&self, token: &str, channel: &NewChannel) -> Result<Channel, Error> {
        let body = match channel {
            NewChannel::Direct(user_id) => json!({"kind": "direct", "user_id": user_id}),
            NewChannel::Group { title, members } => json!({"kind": "group", "title": title, "member_ids": members}),
            NewChannel::Large { title, all_history } => {
                json!({"kind": "large", "title": title, "history": if *all_history { "all" } else { "joined" }})
            }
        };
        let path = "/v1/channels";
        typed(path, self.request(Method::POST, path, Some(token), Some(&body)).await?)
    }

    /// Makes somebody a member, or gives a member another role.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn put_member(
        &self,
        token: &str,
        channel_id: ChannelId,
        user_id: UserId,
        role: Role,
    ) -> Result<(), Error> {
        let path = format!("/v1/channels/{channel_id}/members/{user_id}");
        self.request(Method::PUT, &path, Some(token), Some(&json!({"role": role}))).await.map(drop)
    }

    /// Removes a member, or leaves.
    ///
    /// # Errors
    /// As of [`request`](Self::request).
    pub async fn remove_member(&self, token: &str, channel_id: ChannelId, user_id: UserId) -> Result<(), Error> {
        let path = format!("/v1/channels/{channel_id}/members/{user_id}");
        self.request(Method::DELETE, &path, Some(token), None).await.map(drop)
    }

    async fn pages<T: DeserializeOwned>(&self, path: &str, field: &str, token: &str) -> Result<Vec<T>, Error> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page: Value = self.get(&format!("{path}?limit=200{cursor}"), token).await?;
            let rows: Vec<T> = typed(path, page[field].take())?;
            all.extend(rows);
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", in_query(next)),
                None => return Ok(all),
            }
        }
    }

    /// The nodes that the first of these addresses to answer names, and which one that was.
    pub(crate) async fn nodes_of(&self, apis: &[String]) -> Result<(String, Vec<Node>), String> {
        let mut whys = Vec::new();
        for api in apis {
            let path = "/v1/servers/best";
            let answer = self.request_at(api, Method::GET, path, None, None).await;
            match answer.and_then(|answer| typed(path, answer)) {
                Ok(nodes) => return Ok((api.clone(), nodes)),
                Err(error) => whys.push(format!("{api}: {error}")),
            }
        }
        Err(whys.join("; "))
    }
}

/// The innermost cause, which says what happened.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.last().unwrap_or(error).to_string()
}

fn typed<T: DeserializeOwned>(path: &str, answer: Value) -> Result<T, Error> {
    serde_json::from_value(answer).map_err(|error| Error::Malformed(format!("{path}: {error}")))
}

fn credentials(username: &str, password: &str, device_id: Option<&str>) -> Value {
    let mut body = json!({"username": username, "password": password});
    if let Some(device_id) = device_id {
        body["device_id"] = json!(device_id);
    }
    body
}

/// A text as a value of a query.
fn in_query(text: &str) -> String {
    let mut query = String::new();
    for &byte in text.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => query.push(char::from(byte)),
            other => query.push_str(&format!("%{other:02X}")),
        }
    }
    query
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: u32,
    detail: Option<String>,
    title: Option<String>,
    #[serde(default)]
    retry_after_ms: u64,
}

/// Tokens of a login, which are refreshed when they end. Made by [`Api::tokens`].
pub struct LoginTokens {
    api: Api,
    login: Mutex<Login>,
    keep: Box<dyn Fn(&Login) + Send + Sync>,
}

impl Tokens for LoginTokens {
    fn token(&self, need: TokenNeed) -> BoxFuture<'_, Result<String, TokenError>> {
        Box::pin(async move {
            let mut login = self.login.lock().await;
            if need != TokenNeed::Connect {
                *login = match self.api.refresh(&login.refresh_token).await {
                    Ok(next) => next,
                    // The login is over, or was never there; anything else passes.
                    Err(Error::Refused(Refusal { code: Code::Unauthenticated | Code::TokenExpired, .. })) => {
                        return Err(TokenError::SignedOut);
                    }
                    Err(error) => return Err(TokenError::Unavailable(error.to_string())),
                };
                (self.keep)(&login);
            }
            Ok(login.token.clone())
        })
    }
}

impl std::fmt::Debug for LoginTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginTokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_a_query_is_itself() {
        assert_eq!(in_query("a b&c=보"), "a%20b%26c%3D%EB%B3%B4");
        assert_eq!(in_query("1767225600123-7_x.y~"), "1767225600123-7_x.y~");
    }
}
