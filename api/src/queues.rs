//! Queues of notifications as operators see them: how much waits, what was given up, and to try that again.
//!
//! Owns the answers' form and the way from the internal listener, which knows no store, to whoever has it. What is stored
//! is `chat::notices`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use chat::keys::Queue;
use chat::notices::{self, Depth, GivenUp};
use kv::Engine;
use schema::{Medium, NoticeId, Refusal, UnixMs, UserId};
use serde::Serialize;

/// Dead notifications that are tried again in one transaction.
const REPLAYED_AT_ONCE: u32 = 500;
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

/// The number of notifications that are tried again.
#[derive(Debug, Serialize)]
pub struct Replayed {
    replayed: u64,
}

/// An answer that takes the store's time.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// The queues of a store, for the internal listener.
pub trait Queues: Send + Sync + 'static {
    /// Depth and age of every queue, of all nodes.
    fn waiting(&self, now: UnixMs) -> Answer<'_, Vec<Waiting>>;

    /// What was given up of a medium, the earliest first.
    fn dead(&self, medium: Medium, limit: u32) -> Answer<'_, Vec<Dead>>;

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
pub struct StoredQueues<E>(pub E);

impl<E: Engine> Queues for StoredQueues<E> {
    fn waiting(&self, now: UnixMs) -> Answer<'_, Vec<Waiting>> {
        Box::pin(async move {
            let refused = chat::LayerError::into_refusal;
            let mut waiting = Vec::new();
            for (queue, Depth { rows, oldest }) in notices::depths(&self.0, None, now).await.map_err(refused)? {
                let (queue, dead) = match queue {
                    Queue::Pushes => ("items".to_owned(), None),
                    Queue::Notices => ("notices".to_owned(), None),
                    Queue::Jobs(medium) => {
                        let dead = notices::given_up(&self.0, medium, DEAD_MAX).await.map_err(refused)?;
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
            let dead = notices::given_up(&self.0, medium, limit.min(DEAD_MAX)).await;
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

    fn replay(&self, medium: Medium, now: UnixMs) -> Answer<'_, Replayed> {
        Box::pin(async move {
            let refused = chat::LayerError::into_refusal;
            let mut replayed = 0;
            loop {
                let mut dead = notices::given_up(&self.0, medium, REPLAYED_AT_ONCE).await.map_err(refused)?;
                // What dies again meanwhile is for another time.
                dead.retain(|dead| dead.at <= now);
                if dead.is_empty() {
                    return Ok(Replayed { replayed });
                }
                replayed += notices::replay(&self.0, &dead, now).await.map_err(refused)?;
            }
        })
    }
}
