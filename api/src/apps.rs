//! Applications: their keys and secrets as texts, and how operators make, list, rotate and revoke them.
//!
//! Owns the texts and the way from the internal listener, which knows no store, to whoever has it. What is stored is
//! `chat::notices::apps`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chat::hooks::{self, Backlog, Hook};
use chat::notices::apps::{self, App, Scope};
use chat::notices::events;
use kv::Engine;
use schema::record::{AppRecord, AppSecret};
use schema::{ErrorCode, Refusal, UnixMs};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::state::entropy;
use crate::webhooks::{self, ShownCall, ShownHook};

/// The prefix of an application's key, by which it is told from other numbers.
const PREFIX: &str = "app_";

/// An application's key as a text: `app_00f3a1b2c3d4e5f6`.
#[must_use]
pub(crate) fn key_text(id: u64) -> String {
    format!("{PREFIX}{id:016x}")
}

/// The application that a text is the key of.
pub(crate) fn parse_key(text: &str) -> Option<u64> {
    let digits = text
        .strip_prefix(PREFIX)
        .filter(|digits| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

/// The body of a request to make an application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    name: String,
    /// Words of [`Scope`]; those of notifications unless given.
    #[serde(default)]
    scopes: Vec<String>,
    /// Users that it may notify a day; not limited unless given.
    #[serde(default)]
    quota_a_day: u32,
}

/// The body of a request to have an application called with its events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    /// The URL; null to call it no more.
    url: Option<String>,
}

/// An application as an operator sees it.
#[derive(Debug, Serialize)]
pub struct Shown {
    key: String,
    name: String,
    scopes: Vec<&'static str>,
    quota_a_day: u32,
    created_ms: UnixMs,
    /// Times at which its secrets were drawn, the oldest first; none once it was revoked.
    secrets_ms: Vec<UnixMs>,
    /// The URL that it is called at with its events, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_url: Option<String>,
    /// A secret that was just drawn: it is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// The secret that calls are signed with, if it was just drawn: likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_secret: Option<String>,
}

impl Shown {
    fn new(App { id, record }: App, secret: Option<String>) -> Self {
        let has = |scope: &Scope| record.scopes & scope.bit() != 0;
        Self {
            key: key_text(id),
            scopes: Scope::ALL.iter().filter(|scope| has(scope)).map(|scope| scope.word()).collect(),
            quota_a_day: record.quota_a_day,
            created_ms: record.created_ms,
            secrets_ms: record.secrets.iter().map(|secret| secret.created_ms).collect(),
            name: record.name,
            events_url: record.events_url,
            secret,
            events_secret: None,
        }
    }
}

/// An answer that takes the store's time.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// The applications of a store, for the internal listener.
pub trait Applications: Send + Sync + 'static {
    /// All of them.
    fn list(&self) -> Answer<'_, Vec<Shown>>;

    /// Whether a URL may be called for this, or why not.
    ///
    /// # Errors
    /// The reason.
    fn may_call(&self, url: &str, purpose: CallPurpose) -> Result<(), String>;

    /// The webhooks of one application, or of all, and how they fare.
    fn hooks<'a>(&'a self, app: Option<&'a str>, wall: UnixMs) -> Answer<'a, Vec<HookState>>;

    /// Pauses, resumes or ends a webhook, by its id. How it was last, of one that is ended.
    fn change_hook<'a>(&'a self, hook: &'a str, change: HookChange, wall: UnixMs) -> Answer<'a, HookState>;

    /// Carries out what a path and a body ask for: `POST /admin/apps`, and `…/{key}/rotate`, `/revoke` or `/events`.
    fn change<'a>(&'a self, wanted: Wanted<'a>, wall: UnixMs) -> Answer<'a, Shown>;
}

/// A webhook as operators see it.
#[derive(Debug, Serialize)]
pub struct HookState {
    #[serde(flatten)]
    hook: ShownHook,
    /// Its application's key.
    app: String,
    app_name: String,
    /// Events that it has not taken, counted up to [`WAITING_MAX`].
    waiting: u64,
    /// Time of the oldest of those.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_ms: Option<UnixMs>,
    /// Its last call of the last three days.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_call: Option<ShownCall>,
}

/// Events that are counted of those that wait for a hook: a look is to end soon, whatever waits.
const WAITING_MAX: u64 = 10_000;

/// An operator's change of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookChange {
    /// Nothing is told it until it is resumed.
    Pause,
    /// It is told again: what is still there, and a `hook.gap`.
    Resume,
    /// It is no more.
    Delete,
}

/// A change that an operator asks for.
#[derive(Debug)]
pub enum Wanted<'a> {
    /// A new one, of this JSON.
    Create(&'a [u8]),
    /// A further secret of this key's.
    Rotate(&'a str),
    /// No secret of this key's any more.
    Revoke(&'a str),
    /// This key's to be called with its events, as this JSON says.
    Call(&'a str, &'a [u8]),
}

impl fmt::Debug for dyn Applications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Applications")
    }
}

/// Purpose of calls of an application's URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPurpose {
    /// To be told of events, by nodes that send notifications.
    Events,
    /// To be asked before a message is stored, and nothing else: by every node.
    Before,
}

/// Whether a URL may be called, or why not.
type MayCall = dyn Fn(&str, CallPurpose) -> Result<(), String> + Send + Sync;

/// Those of an engine's store.
pub struct StoredApplications<E> {
    engine: E,
    may_call: Box<MayCall>,
}

impl<E> StoredApplications<E> {
    /// Those of a store, on a node that calls such URLs as it is told here, or says why it does not.
    pub fn new(engine: E, may_call: impl Fn(&str, CallPurpose) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { engine, may_call: Box::new(may_call) }
    }
}

impl<E: Engine> Applications for StoredApplications<E> {
    fn list(&self) -> Answer<'_, Vec<Shown>> {
        Box::pin(async {
            let apps = apps::list(&self.engine).await.map_err(Problem::from).map_err(Problem::into_refusal)?;
            Ok(apps.into_iter().map(|app| Shown::new(app, None)).collect())
        })
    }

    fn hooks<'a>(&'a self, app: Option<&'a str>, wall: UnixMs) -> Answer<'a, Vec<HookState>> {
        Box::pin(async move { self.states(app, wall).await.map_err(Problem::into_refusal) })
    }

    fn change_hook<'a>(&'a self, hook: &'a str, change: HookChange, wall: UnixMs) -> Answer<'a, HookState> {
        Box::pin(async move { self.hook_changed(hook, change, wall).await.map_err(Problem::into_refusal) })
    }

    fn may_call(&self, url: &str, purpose: CallPurpose) -> Result<(), String> {
        (self.may_call)(url, purpose)
    }

    fn change<'a>(&'a self, wanted: Wanted<'a>, wall: UnixMs) -> Answer<'a, Shown> {
        Box::pin(async move { self.changed(wanted, wall).await.map_err(Problem::into_refusal) })
    }
}

impl<E: Engine> StoredApplications<E> {
    async fn states(&self, app: Option<&str>, wall: UnixMs) -> Result<Vec<HookState>, Problem> {
        let app = app.map(id).transpose()?;
        let apps = apps::list(&self.engine).await?;
        if let Some(app) = app.filter(|app| apps.iter().all(|known| known.id != *app)) {
            return Err(no_such(&key_text(app)));
        }
        let hooks = hooks::list(&self.engine).await?.into_iter();
        let mut states = Vec::new();
        for hook in hooks.filter(|hook| app.is_none_or(|app| hook.record.app == app)) {
            states.push(self.state(hook, &apps, wall).await?);
        }
        Ok(states)
    }

    async fn state(&self, hook: Hook, apps: &[App], wall: UnixMs) -> Result<HookState, Problem> {
        let Backlog { events, oldest_ms } = hooks::backlog(&self.engine, hook.id, WAITING_MAX).await?;
        let calls = hooks::logged(&self.engine, hook.id, wall, 1).await?;
        let app = hook.record.app;
        let app_name = apps.iter().find(|known| known.id == app).map(|known| known.record.name.clone());
        Ok(HookState {
            app: key_text(app),
            app_name: app_name.unwrap_or_default(),
            waiting: events,
            oldest_ms,
            last_call: calls.into_iter().next().map(ShownCall::new),
            hook: ShownHook::new(hook, None),
        })
    }

    async fn hook_changed(&self, hook: &str, change: HookChange, wall: UnixMs) -> Result<HookState, Problem> {
        let id = webhooks::id(hook)?;
        let no_such = || webhooks::no_such(hook);
        let found = hooks::get(&self.engine, id).await?.ok_or_else(no_such)?;
        let app = found.record.app;
        let apps = apps::list(&self.engine).await?;
        let after = match change {
            HookChange::Pause => hooks::pause_by_operator(&self.engine, id, wall).await?,
            HookChange::Resume => hooks::resume(&self.engine, app, id, wall).await?,
            HookChange::Delete => {
                let state = self.state(found, &apps, wall).await?;
                hooks::remove(&self.engine, app, id).await?;
                return Ok(state);
            }
        };
        self.state(after.ok_or_else(no_such)?, &apps, wall).await
    }

    async fn changed(&self, wanted: Wanted<'_>, wall: UnixMs) -> Result<Shown, Problem> {
        match wanted {
            Wanted::Create(body) => self.create(body, wall).await,
            Wanted::Rotate(key) => {
                let (text, secret) = draw(wall)?;
                let app = apps::rotate(&self.engine, id(key)?, &secret).await?.ok_or_else(|| no_such(key))?;
                Ok(Shown::new(app, Some(text)))
            }
            Wanted::Revoke(key) => {
                let app = apps::revoke(&self.engine, id(key)?).await?.ok_or_else(|| no_such(key))?;
                hooks::remove_all(&self.engine, app.id).await?;
                Ok(Shown::new(app, None))
            }
            Wanted::Call(key, body) => self.call(key, body).await,
        }
    }

    async fn call(&self, key: &str, body: &[u8]) -> Result<Shown, Problem> {
        let Call { url } = parsed(body)?;
        let id = id(key)?;
        let Some(url) = url else {
            let app = events::call(&self.engine, id, None).await?.ok_or_else(|| no_such(key))?;
            return Ok(Shown::new(app, None));
        };
        (self.may_call)(&url, CallPurpose::Events).map_err(|why| Problem::bad_request(format!("url: {why}")))?;
        let secret = random_text()?;
        let called = (url, secret);
        let app = events::call(&self.engine, id, Some(&called)).await?.ok_or_else(|| no_such(key))?;
        Ok(Shown { events_secret: Some(called.1), ..Shown::new(app, None) })
    }

    async fn create(&self, body: &[u8], wall: UnixMs) -> Result<Shown, Problem> {
        let Create { name, scopes, quota_a_day } = parsed(body)?;
        let (text, secret) = draw(wall)?;
        let secrets = vec![secret];
        let record =
            AppRecord { name, created_ms: wall, scopes: bits(&scopes)?, quota_a_day, secrets, ..AppRecord::default() };
        loop {
            // Of 64 random bits: a second time is rare, a third never seen.
            if let Some(app) = apps::create(&self.engine, entropy()?, &record).await? {
                return Ok(Shown::new(app, Some(text)));
            }
        }
    }
}

/// The bits of scopes' words; of [`Scope::DEFAULT`] where none is named.
fn bits(words: &[String]) -> Result<u32, Problem> {
    if words.is_empty() {
        return Ok(Scope::DEFAULT.iter().fold(0, |bits, scope| bits | scope.bit()));
    }
    words.iter().try_fold(0, |bits, word| {
        let scope = Scope::ALL.iter().find(|scope| scope.word() == word);
        let known = || Scope::ALL.map(Scope::word).join(", ");
        let scope = scope.ok_or_else(|| Problem::bad_request(format!("no scope {word:?}: there are {}", known())))?;
        Ok(bits | scope.bit())
    })
}

fn id(key: &str) -> Result<u64, Problem> {
    parse_key(key).ok_or_else(|| no_such(key))
}

fn no_such(key: &str) -> Problem {
    Problem::new(ErrorCode::UnknownChannel, format!("there is no application {key:?}"))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad_request(format!("body: {error}")))
}

/// 256 random bits in base64url.
fn random_text() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&entropy()?.to_be_bytes());
    }
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A new secret, and what is stored of it.
fn draw(wall: UnixMs) -> Result<(String, AppSecret), Problem> {
    let text = random_text()?;
    let secret = AppSecret { hash: apps::hash(&text), created_ms: wall };
    Ok((text, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_from_other_texts() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_key(text), expected, "{text}");
        check("app_00000000000000ff", Some(255));
        check("app_ff", None);
        check("00000000000000ff", None);
        check("app_+0000000000000ff", None);
        check("app_00000000000000fg", None);
        assert_eq!(key_text(255), "app_00000000000000ff");
    }
}
