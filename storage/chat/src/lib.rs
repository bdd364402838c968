//! The rules of chat as transactions: channels, inboxes, arrivals, views, over any engine.
//!
//! Owns every transaction that the product runs. Names no runtime and no engine: futures are `Send` and may be polled
//! anywhere. Keys are [`keys`], values `schema::record`.
//!
//! ```text
//! appender     the one transaction that changes channels and inboxes     history    a channel's past
//! inbox        an account's events, its snapshot, its trimming           channels   what an account is a member of
//! arrivals     what came for the users of one home shard                 view       who owns what; fences
//! accounts     users, their names, their logins                          people     friends, blocks, who sees whom
//! devices      an account's devices, and where their sessions start       presence   how present users are
//! push         what absent users' phones are to be told of              notices    where users are told; jobs; what became of them
//! search       the index of words, and looking for them                  mentions   where an account is named
//! check        whether what is stored keeps I2, I5 and I6                dedup      forgets what nobody may ask any more
//! transfer     from one store to another, whatever their engines         unreadable what becomes of damaged rows
//! imports      history of other chats, with its times                    erasure    what is left of an account that is erased
//! clock        the time that upkeep goes by                               share      which node does what of upkeep
//! posts        users' posts, replies and likes; who sees them; who follows whom       timelines  each user's news feed
//! media        pictures and files: what is known of them, who holds them, when they go
//! hooks        what applications' servers are told of all that happens
//! ```

pub mod accounts;
pub mod appender;
pub mod arrivals;
mod body;
pub mod channels;
pub mod check;
pub mod clock;
mod content;
pub mod dedup;
pub mod devices;
pub mod erasure;
mod fields;
pub mod history;
pub mod hooks;
pub mod imports;
pub mod inbox;
pub mod keys;
pub mod media;
pub mod mentions;
pub mod notices;
pub mod opened;
mod packed;
pub mod people;
pub mod posts;
pub mod presence;
pub mod push;
pub mod search;
pub mod share;
pub mod timelines;
pub mod transfer;
pub mod unreadable;
pub mod view;
mod visible;

use schema::record::RecordError;
use schema::{ErrorCode, Refusal, UserId};

use fields::Read;
use kv::retry::{Abort, Failed};
use kv::transaction::{Begin, Engine, RangeRequest, Row, Transaction};

/// How often a layer begins a transaction again before it reports the store's error. Refusals that pass by themselves
/// (a version too old, an overload) come one or two in a row; more of them is news for whoever asked.
const ATTEMPTS_MAX: u32 = 5;

/// When a client should ask again after trouble with the store: some 20 commits of an overloaded disk.
const STORE_RETRY_MS: u32 = 200;

/// Why a layer could not answer. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LayerError {
    /// The store's fault; by [`kv::Error::is_retryable`] it may pass.
    #[error("the store failed")]
    Store(#[from] kv::Error),
    /// What lies in the store is not what its key says: an operator's matter.
    #[error("the store holds a damaged record")]
    Record(#[from] RecordError),
    /// The client's fault, with the words for it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl LayerError {
    /// Whether the same call may succeed at once, in a new transaction.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Record(_) | Self::Refused(_) => false,
        }
    }

    /// What a client is told: 115 while the store may recover, 100 for damage, and a refusal as it is.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Store(_) => unavailable(),
            Self::Record(_) => damaged(),
            Self::Refused(refusal) => refusal,
        }
    }
}

impl From<Failed<LayerError>> for LayerError {
    fn from(failed: Failed<LayerError>) -> Self {
        match failed {
            Failed::Refused { reason, .. } => reason,
            Failed::Store { last, .. } => Self::Store(last),
        }
    }
}

impl From<LayerError> for Abort<LayerError> {
    fn from(error: LayerError) -> Self {
        match error {
            LayerError::Store(error) => Self::Store(error),
            error @ (LayerError::Record(_) | LayerError::Refused(_)) => Self::Refused(error),
        }
    }
}

fn unavailable() -> Refusal {
    Refusal::new(ErrorCode::StorageUnavailable, "the store does not answer as it should, try again")
        .after_ms(STORE_RETRY_MS)
}

fn moving() -> Refusal {
    Refusal::new(ErrorCode::Moving, "what was asked for is moving to another shard, try again").after_ms(STORE_RETRY_MS)
}

fn damaged() -> Refusal {
    Refusal::new(ErrorCode::Internal, "what is stored there cannot be read")
}

/// Where a read begins whose reader does not mind what others wrote in the last quarter of a second: at a version at
/// hand, which no message or change is missing from that this process has answered, pushed or read before.
///
/// For pages of history and for profiles. A page that lacks somebody's newest message is followed by that message's
/// push.
fn recent<E: Engine>(engine: &E) -> Begin {
    Begin::AtLeast(engine.newest())
}

/// Awaits a read again while its error may pass, at most [`ATTEMPTS_MAX`] times.
macro_rules! again {
    ($once:expr) => {{
        let mut attempts = 1;
        loop {
            match $once.await {
                Err(error) if attempts < crate::ATTEMPTS_MAX && error.is_retryable() => attempts += 1,
                result => break result,
            }
        }
    }};
}
use again;

/// Reads in one transaction, `read!(engine, begin, |tx| …)`, again in a new one as [`again`] says. The block ends in a
/// result.
macro_rules! read {
    ($engine:expr, $begin:expr, |$tx:ident| $body:expr) => {
        crate::again!(async {
            let $tx = kv::transaction::Engine::begin($engine, $begin);
            let read: Result<_, crate::LayerError> = $body;
            read
        })
    };
}
use read;

/// Changes something in one transaction, `commit!(engine, begin, |tx, attempt| …)`, in a new one until it commits, at
/// most [`ATTEMPTS_MAX`] times. The block ends in a result, and may run several times ([`kv::retry::run`]). `Ok`, also by
/// an early `return`, commits what was written until then; `Err` commits nothing.
macro_rules! commit {
    ($engine:expr, $begin:expr, |$tx:ident, $attempt:pat_param| $body:expr) => {{
        let changes =
            kv::retry::run($engine, $begin, crate::ATTEMPTS_MAX, kv::retry::at_once, |mut $tx, $attempt| async move {
                let changed: Result<_, crate::LayerError> = async { $body }.await;
                changed.map(|result| ($tx, result)).map_err(kv::retry::Abort::from)
            });
        changes.await.map(|(_committed, result)| result).map_err(crate::LayerError::from)
    }};
}
use commit;

/// A page of a list of users: members, friends, those who are blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersPage<T> {
    /// Ascending by id, each with what its row says.
    pub users: Vec<(UserId, T)>,
    /// Whether there are more, after the last of these.
    pub more: bool,
}

/// The page of a range whose keys end in a user: those that can be read.
async fn users_page<T: Transaction, K, V: Send>(
    tx: &T,
    range: &RangeRequest,
    key: Read<(K, UserId)>,
    value: Read<V>,
) -> Result<UsersPage<V>, LayerError> {
    let page = tx.snapshot_get_range(range).await?;
    let user = |row: &Row| Ok((key(&row.key)?.1, value(&row.value)?));
    Ok(UsersPage { users: unreadable::readable(&page.rows, user), more: page.more })
}

/// The schema's stamp for the store's.
fn stamp_of(stamp: kv::Stamp) -> schema::Stamp {
    schema::Stamp::from_bytes(stamp.0)
}
