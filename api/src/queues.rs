//! Queues of notifications as operators see them: how much waits, what was given up, to try that again, and to have users
//! told something.
//!
//! Owns the answers' form and the way from the internal listener, which knows no store, to whoever has it. What is stored
//! is `chat::notices`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use chat::accounts;
use chat::keys::Queue;
use chat::notices::accept::{self, Report};
use chat::notices::apps::App;
use chat::notices::{self, Depth, GivenUp};
use kv::Engine;
use schema::limits::NOTICE_RECIPIENTS_MAX;
use schema::record::{AppRecord, DeliveryRecord, NoticeRecord};
use schema::{ErrorCode, Medium, NoticeId, Refusal, UnixMs, UserId};
use serde::Serialize;

use crate::apps::key_text;
use crate::problem::Problem;
use crate::state::entropy;

/// Dead notifications that are tried again in one transaction.
const REPLAYED_AT_ONCE: u32 = 500;
/// Targets of a notification that are shown one by one.
const TARGETS_SHOWN: usize = 100;
/// Dead notifications that one question lists at most.
pub(crate) const DEAD_MAX: u32 = 10_000;

/// Depth and age of a queue of the whole store.
#[derive(Debug, Serialize)]
pub struct Waiting {
    /// `items` of messages, `notices` of applications, or a medium whose jobs they are.
    queue: String,
    /// Rows, due or not.
    waiting: u64,
    /// For how long the oldest has been due.
    oldest_ms: u64,
    /// Notifications of that medium that were given up in the last 30 days, up to 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    dead: Option<usize>,
}

/// A notification that was given up.
#[derive(Debug, Serialize)]
pub struct Dead {
    medium: Medium,
    at_ms: UnixMs,
    notice_id: NoticeId,
    user_id: UserId,
    device_id: String,
    attempts: u32,
    why: String,
}

/// What users will be told.
#[derive(Debug, Serialize)]
pub struct Sent {
    id: NoticeId,
    /// How many users it is for.
    recipients: usize,
}

/// A notification and what became of it so far, without what it says.
#[derive(Debug, Serialize)]
pub struct Notice {
    id: NoticeId,
    /// The key of the application that asked for it; absent of an operator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    category: String,
    recipients: u32,
    created_ms: UnixMs,
    send_ms: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_ms: Option<UnixMs>,
    /// How many targets are in which state; none before its time, and none of one that recurs.
    states: BTreeMap<&'static str, u64>,
    /// The first 100 of them.
    targets: Vec<NoticeTarget>,
}

/// What became of it on one target.
#[derive(Debug, Serialize)]
pub(crate) struct NoticeTarget {
    user_id: UserId,
    medium: Medium,
    device_id: String,
    state: &'static str,
    at_ms: UnixMs,
    attempts: u32,
    why: String,
}

impl Notice {
    fn new(id: NoticeId, Report { record, states, deliveries }: Report) -> Self {
        let target = |(user_id, medium, device_id, of): (UserId, Medium, String, DeliveryRecord)| {
            let DeliveryRecord { state, at_ms, attempts, why, .. } = of;
            NoticeTarget { user_id, medium, device_id, state: state.word(), at_ms, attempts, why }
        };
        Self {
            id,
            app: (record.app != 0).then(|| key_text(record.app)),
            category: record.category,
            recipients: record.recipients,
            created_ms: record.created_ms,
            send_ms: record.send_ms,
            cancelled_ms: record.cancelled_ms,
            states: states.into_iter().map(|(state, count)| (state.word(), count)).collect(),
            targets: deliveries.into_iter().map(target).collect(),
        }
    }
}

/// The number of notifications that are tried again.
#[derive(Debug, Serialize)]
pub struct Replayed {
    replayed: u64,
}

/// Whether a notification was not cancelled before.
#[derive(Debug, Serialize)]
pub struct Cancelled {
    changed: bool,
}

/// An answer that takes the store's time.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// The queues of a store, for the internal listener.
pub trait Queues: Send + Sync + 'static {
    /// Depth and age of every queue, of all nodes.
    fn waiting(&self, now: UnixMs) -> Answer<'_, Vec<Waiting>>;

    /// What was given up of a medium, the earliest first.
    fn dead(&self, medium: Medium, limit: u32) -> Answer<'_, Vec<Dead>>;

    /// Has users told something, each once: ids, or names of those who have one that is no number.
    fn send(&self, to: Vec<String>, record: NoticeRecord) -> Answer<'_, Sent>;

    /// What became of a notification, whoever asked for it.
    fn notice(&self, id: NoticeId) -> Answer<'_, Notice>;

    /// Has a notice, of whichever application, told nobody any more.
    fn cancel(&self, id: NoticeId, now: UnixMs) -> Answer<'_, Cancelled>;

    /// Tries everything again that was given up of a medium until now.
    fn replay(&self, medium: Medium, now: UnixMs) -> Answer<'_, Replayed>;
}

impl fmt::Debug for dyn Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queues")
    }
}

/// Those of an engine's store.
#[derive(Debug)]
pub struct StoredQueues<E> {
    /// The engine.
    pub engine: E,
    /// The media by which this node sends.
    pub media: Vec<Medium>,
}

impl<E: Engine> StoredQueues<E> {
    /// The users who are meant.
    async fn users(&self, to: &[String]) -> Result<Vec<UserId>, Problem> {
        let (len, max) = (to.len(), NOTICE_RECIPIENTS_MAX);
        if len == 0 || len > max as usize {
            return Err(Problem::new(ErrorCode::LimitExceeded, format!("`to` names 1 to {max} users, not {len}")));
        }
        let (mut users, mut unknown) = (BTreeSet::new(), Vec::new());
        for word in to {
            let known = match word.parse::<UserId>() {
                Ok(user) => accounts::by_id(&self.engine, user).await?.map(|_| user),
                Err(_) => {
                    let name = word.to_lowercase();
                    accounts::by_username(&self.engine, &name).await?.map(|(user, _)| user)
                }
            };
            match known {
                Some(user) => drop(users.insert(user)),
                None => unknown.push(format!("{word:?}")),
            }
        }
        if unknown.is_empty() {
            return Ok(users.into_iter().collect());
        }
        Err(Problem::bad_request(format!("there is no user {}", unknown.join(", "))))
    }

    async fn accept(&self, to: Vec<String>, record: NoticeRecord) -> Result<Sent, Problem> {
        let named = record.media.iter().filter_map(|&medium| Medium::of_number(u8::try_from(medium).ok()?));
        if self.media.is_empty() {
            return Err(Problem::bad_request("this node sends nothing: it has no notify.providers_file"));
        }
        if let Some(medium) = named.into_iter().find(|medium| !self.media.contains(medium)) {
            let sends: Vec<_> = self.media.iter().map(|medium| medium.word()).collect();
            let text = format!("this node sends nothing by {medium}; it sends by {}", sends.join(", "));
            return Err(Problem::bad_request(text));
        }
        let to = self.users(&to).await?;
        let (recipients, now) = (to.len(), record.created_ms);
        let record = NoticeRecord { recipients: u32::try_from(recipients).expect("1,000 at most"), ..record };
        let id = NoticeId::new(now, u128::from(entropy()?) << 64 | u128::from(entropy()?));
        let nobody = AppRecord { created_ms: now, ..AppRecord::default() };
        let app = App { id: record.app, record: nobody };
        let wanted = accept::Wanted { id, record, to, content_hash: 0 };
        let (id, _) = accept::accept(&self.engine, &app, &wanted, now).await?;
        Ok(Sent { id, recipients })
    }
}

impl<E: Engine> Queues for StoredQueues<E> {
    fn waiting(&self, now: UnixMs) -> Answer<'_, Vec<Waiting>> {
        Box::pin(async move {
            let refused = chat::LayerError::into_refusal;
            let mut waiting = Vec::new();
            for (queue, Depth { rows, oldest, .. }) in
                notices::depths(&self.engine, None, now).await.map_err(refused)?
            {
                let (queue, dead) = match queue {
                    Queue::Pushes => ("items".to_owned(), None),
                    Queue::Notices => ("notices".to_owned(), None),
                    Queue::Jobs(medium) => {
                        let dead = notices::given_up(&self.engine, medium, DEAD_MAX).await.map_err(refused)?;
                        (medium.to_string(), Some(dead.len()))
                    }
                };
                let oldest_ms = oldest.map_or(0, |oldest| now.since_ms(oldest));
                waiting.push(Waiting { queue, waiting: rows, oldest_ms, dead });
            }
            Ok(waiting)
        })
    }

    fn dead(&self, medium: Medium, limit: u32) -> Answer<'_, Vec<Dead>> {
        Box::pin(async move {
            let dead = notices::given_up(&self.engine, medium, limit.min(DEAD_MAX)).await;
            let shown = |GivenUp { medium, at, notice, user, device, record }: GivenUp| Dead {
                medium,
                at_ms: at,
                notice_id: notice,
                user_id: user,
                device_id: device,
                attempts: record.attempts,
                why: record.why,
            };
            Ok(dead.map_err(chat::LayerError::into_refusal)?.into_iter().map(shown).collect())
        })
    }

    fn send(&self, to: Vec<String>, record: NoticeRecord) -> Answer<'_, Sent> {
        Box::pin(async move { self.accept(to, record).await.map_err(Problem::into_refusal) })
    }

    fn notice(&self, id: NoticeId) -> Answer<'_, Notice> {
        Box::pin(async move {
            let report = accept::report_any(&self.engine, id, TARGETS_SHOWN).await;
            Ok(Notice::new(id, report.map_err(Problem::from).map_err(Problem::into_refusal)?))
        })
    }

    fn cancel(&self, id: NoticeId, now: UnixMs) -> Answer<'_, Cancelled> {
        Box::pin(async move {
            let changed = accept::cancel_any(&self.engine, id, now).await;
            Ok(Cancelled { changed: changed.map_err(chat::LayerError::into_refusal)? })
        })
    }

    fn replay(&self, medium: Medium, now: UnixMs) -> Answer<'_, Replayed> {
        Box::pin(async move {
            let refused = chat::LayerError::into_refusal;
            let mut replayed = 0;
            loop {
                let mut dead = notices::given_up(&self.engine, medium, REPLAYED_AT_ONCE).await.map_err(refused)?;
                // What dies again meanwhile is for another time.
                dead.retain(|dead| dead.at <= now);
                if dead.is_empty() {
                    return Ok(Replayed { replayed });
                }
                replayed += notices::replay(&self.engine, &dead, now).await.map_err(refused)?;
            }
        })
    }
}
