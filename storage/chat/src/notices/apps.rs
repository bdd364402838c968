//! Applications: backends that may send notifications, or use the server API, each with a key and secrets.
//!
//! Owns the rows `app` and `app spent`. A secret is 256 random bits that are shown once and known by their hash alone, so
//! a plain hash does: nobody guesses them. Two count at once, so that one can be replaced without a gap.

use schema::limits::{APP_SECRETS_MAX, APPS_MAX};
use schema::record::{AppRecord, AppSecret};
use schema::{ErrorCode, Refusal, UnixMs};
use sha2::{Digest as _, Sha256};

use crate::{LayerError, commit, keys, packed, read, unreadable};
use kv::transaction::{Atomic, Begin, Engine, Row, Transaction};

/// Characters of an application's name.
const NAME_CHARS_MAX: usize = 100;

/// What an application may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Send notifications, and cancel its own.
    Send,
    /// Read what became of its own.
    Read,
    /// Whatever the server API does: users, channels and messages of the whole server.
    Server,
    /// Have webhooks, which tell all that happens in chat.
    Hooks,
    /// Be asked before a message is stored, with a webhook that may change or refuse it.
    Moderate,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Send, Self::Read, Self::Server, Self::Hooks, Self::Moderate];
    /// Those of an application that is made without naming any.
    pub const DEFAULT: [Self; 2] = [Self::Send, Self::Read];

    /// Its word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Read => "read",
            Self::Server => "server",
            Self::Hooks => "hooks",
            Self::Moderate => "moderate",
        }
    }

    /// Its bit in a record.
    #[must_use]
    pub fn bit(self) -> u32 {
        match self {
            Self::Send => 1,
            Self::Read => 2,
            Self::Server => 4,
            Self::Hooks => 8,
            Self::Moderate => 16,
        }
    }
}

/// An application and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its key, without the secret.
    pub id: u64,
    /// What is stored.
    pub record: AppRecord,
}

/// By what a secret is known.
#[must_use]
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes an application with one secret.
///
/// # Errors
/// 107 for a name that is empty, long or not one line, 106 with `APPS_MAX` applications; the store's, and damage.
/// `None` if the id is taken: draw another.
pub async fn create<E: Engine>(engine: &E, id: u64, record: &AppRecord) -> Result<Option<App>, LayerError> {
    let chars = record.name.chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX || record.name.chars().any(char::is_control) {
        let text = format!("an application's name is one line of 1 to {NAME_CHARS_MAX} characters");
        return Err(Refusal::new(ErrorCode::BadRequest, text).into());
    }
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::app(id);
        if let Some(row) = tx.get(&key).await? {
            let is_ours = attempt.maybe_committed && row == record.encode();
            return Ok(is_ours.then(|| App { id, record: record.clone() }));
        }
        let page = tx.snapshot_get_range(&keys::apps().rows(APPS_MAX)).await?;
        if page.rows.len() >= APPS_MAX as usize {
            return Err(Refusal::new(ErrorCode::LimitExceeded, format!("there are {APPS_MAX} applications")).into());
        }
        tx.set(&key, &record.encode());
        Ok(Some(App { id, record: record.clone() }))
    })
}

/// Every application, by id.
///
/// # Errors
/// The store's.
pub async fn list<E: Engine>(engine: &E) -> Result<Vec<App>, LayerError> {
    let range = keys::apps().rows(APPS_MAX);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    Ok(unreadable::readable(&page.rows, |row: &Row| {
        Ok(App { id: keys::app_of(&row.key)?, record: AppRecord::decode(&row.value)? })
    }))
}

/// Gives an application a further secret; of those before the newest still counts. `None` if there is no such one.
///
/// # Errors
/// The store's, and damage.
pub async fn rotate<E: Engine>(engine: &E, id: u64, secret: &AppSecret) -> Result<Option<App>, LayerError> {
    change(engine, id, |record| {
        if record.secrets.last() != Some(secret) {
            record.secrets.push(secret.clone());
        }
        let over = record.secrets.len().saturating_sub(APP_SECRETS_MAX);
        record.secrets.drain(..over);
    })
    .await
}

/// Ends an application: none of its secrets counts any more, it is called no more, and what it asked for ends where it has no
/// job yet. `None` if there is no such one.
///
/// # Errors
/// The store's, and damage.
pub async fn revoke<E: Engine>(engine: &E, id: u64) -> Result<Option<App>, LayerError> {
    change(engine, id, |record| {
        record.secrets.clear();
        (record.events_url, record.events_secret) = (None, None);
    })
    .await
}

async fn change<E: Engine>(
    engine: &E,
    id: u64,
    change: impl Fn(&mut AppRecord) + Sync,
) -> Result<Option<App>, LayerError> {
    let change = &change;
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::app(id);
        let row = tx.get(&key).await?;
        let Some(mut record) = unreadable::refuse_some(&key, row.as_ref(), AppRecord::decode)? else { return Ok(None) };
        change(&mut record);
        tx.set(&key, &record.encode());
        Ok(Some(App { id, record }))
    })
}

/// The application whose secret this is.
///
/// # Errors
/// 101 if it is none of its, or there is no such application; the store's, and damage.
pub async fn authenticate<E: Engine>(engine: &E, id: u64, secret: &str) -> Result<App, LayerError> {
    let key = keys::app(id);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?))?;
    let record = unreadable::refuse_some(&key, row.as_ref(), AppRecord::decode)?;
    let hash = hash(secret);
    // Hashes of 256 random bits: how long comparing takes tells nothing about the secret.
    let counts = record.filter(|record| record.secrets.iter().any(|known| known.hash == hash));
    let refused = || Refusal::new(ErrorCode::Unauthenticated, "the application's key or secret does not count").into();
    counts.map(|record| App { id, record }).ok_or_else(refused)
}

/// Takes from what an application may spend today, in the transaction of what it spends it on.
///
/// Read without conflicts, so requests at one moment may pass the quota together.
pub(super) async fn spend<T: Transaction>(
    tx: &mut T,
    app: &App,
    recipients: u32,
    now: UnixMs,
) -> Result<(), LayerError> {
    let key = keys::app_spent(keys::day(now), app.id);
    let quota = app.record.quota_a_day;
    if quota > 0 {
        let row = tx.snapshot_get(&key).await?;
        let spent = packed::or_default(row.as_ref(), packed::counter)?;
        if spent + u64::from(recipients) > u64::from(quota) {
            let text = format!("the application may notify {quota} users a day, and has notified {spent} today");
            let tomorrow_ms = keys::DAY_MS - now.0 % keys::DAY_MS;
            let after_ms = u32::try_from(tomorrow_ms).expect("a day has fewer than 2^32 ms");
            return Err(Refusal::new(ErrorCode::RateLimited, text).after_ms(after_ms).into());
        }
    }
    tx.atomic(Atomic::Add, &key, &packed::counter_change(recipients.into()));
    Ok(())
}
