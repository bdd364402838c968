//! State that all handlers share: the store, the way to the shards, the keys, the limits.
//!
//! Owns nothing that a restart would miss.

use std::sync::Arc;

use axum::body::Bytes;
use kv::Engine;
use pace::Rate;
use schema::limits::{COMMANDS_BURST, COMMANDS_PER_S, MESSAGE_BYTES_MAX};
use schema::{ChannelId, ChannelOp, ErrorCode, OpReply, UnixMs, UserId};
use timeline::Reader;
use tokio::sync::Semaphore;

use crate::config::{Config, Node};
use crate::counts::Bound;
use crate::ending::Endings;
use crate::following::Followers;
use crate::issuers::Tokens;
use crate::library::Signer;
use crate::links::Links;
use crate::origin::Origin;
use crate::password::Passwords;
use crate::posting::Posting;
use crate::problem::Problem;
use crate::rate::Rates;
use crate::shards::Shards;
use crate::token::TokenKey;

/// Failed logins of one username from one address, or from one of the account's devices: 10 at once, then 8,640 a day.
///
/// A shared bucket is harmless: all buckets together refill 6,500 a second, while argon2 lets some 50 attempts a second
/// and core happen, so no flood of guesses keeps more than a few of 65,536 empty, and no owner is locked out from
/// elsewhere.
const LOGIN_RATE: Rate = Rate { burst: 10, refill: 10_000_000 };

/// Failed logins of one username from anywhere: 100 at once, then 8,640 a day. Beyond it a wrong password is told to
/// wait, and the right one still gets in: whoever guesses from many addresses is counted here, and locks nobody out.
const NAME_RATE: Rate = Rate { burst: 100, refill: 10_000_000 };

/// Requests of one user, as commands of one session. Who shares a bucket with another has half of 100 a second left.
const USER_RATE: Rate = Rate { burst: COMMANDS_BURST, refill: 1_000_000 / COMMANDS_PER_S as u64 };

/// Codes that prove an address, by who asks and by where they go: 5 at once, then one each ten minutes.
const CODE_RATE: Rate = Rate { burst: 5, refill: 600_000_000 };

/// When to ask again a store whose disk is full: somebody must make room first.
pub(crate) const DISK_RETRY_MS: u32 = 10_000;

/// Bytes that a body may take of its own: with 1,024 connections 64 MiB, and usual requests need no more.
pub(crate) const BODY_FREE_BYTES: usize = 64 * 1024;

/// KiB that all bodies together may take beyond that: 32 of the largest. Who comes later with a large one is refused
/// (114); who comes with a small one does not notice.
const BODIES_KIB_MAX: usize = 32 * MESSAGE_BYTES_MAX as usize / 1024;

/// The state of all handlers. Clones share it.
pub(crate) struct Api<E, S>(Arc<Inner<E, S>>);

impl<E, S> Clone for Api<E, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E, S> std::ops::Deref for Api<E, S> {
    type Target = Inner<E, S>;
    fn deref(&self) -> &Inner<E, S> {
        &self.0
    }
}

/// The state behind [`Api`].
pub(crate) struct Inner<E, S> {
    pub(crate) config: Config,
    pub(crate) engine: E,
    pub(crate) shards: S,
    pub(crate) key: TokenKey,
    pub(crate) tokens: Tokens,
    pub(crate) links: Links,
    pub(crate) signer: Signer,
    pub(crate) node: Arc<dyn Node>,
    pub(crate) passwords: Passwords,
    pub(crate) logins: Rates,
    pub(crate) names: Rates,
    pub(crate) users: Rates,
    pub(crate) codes: Rates,
    pub(crate) posting: Posting,
    pub(crate) feeds: Arc<Reader<E>>,
    pub(crate) bodies_kib: Semaphore,
    /// Of one place: whose work takes tenths of a second does it on one core at most.
    work: Arc<Semaphore>,
    pub(crate) endings: Endings,
    pub(crate) followers: Followers,
    pub(crate) ws_origin: Origin,
    pub(crate) api_origin: Origin,
    /// `/openapi.json`.
    pub(crate) document: Bytes,
}

impl<E: Engine, S: Shards> Api<E, S> {
    pub(crate) fn new(
        config: Config,
        (engine, shards, feeds): (E, S, Arc<Reader<E>>),
        tokens: Tokens,
        node: Arc<dyn Node>,
        passwords: Passwords,
        document: Bytes,
    ) -> Self {
        let (base_url, ttl_s) =
            config.library.as_ref().map_or(("", 0), |library| (library.base_url.as_str(), library.url_ttl_s));
        Self(Arc::new(Inner {
            signer: Signer::new(tokens.key(), base_url, ttl_s),
            ws_origin: Origin::new(&config.ws_origin),
            api_origin: Origin::new(&config.api_origin),
            config,
            engine,
            shards,
            links: Links::new(tokens.key()),
            key: tokens.key().clone(),
            tokens,
            node,
            passwords,
            logins: Rates::new(LOGIN_RATE),
            names: Rates::new(NAME_RATE),
            users: Rates::new(USER_RATE),
            codes: Rates::new(CODE_RATE),
            posting: Posting::default(),
            feeds,
            document,
            bodies_kib: Semaphore::new(BODIES_KIB_MAX),
            work: Arc::new(Semaphore::new(1)),
            endings: Endings::new(),
            followers: Followers::default(),
        }))
    }
}

impl<E, S: Shards> Inner<E, S> {
    /// Has a channel's home carry out what changes members, a title, a mute or a block. Whether anything changed.
    pub(crate) async fn change(&self, channel: ChannelId, op: ChannelOp) -> Result<bool, Problem> {
        match self.shards.apply(channel, op).await? {
            OpReply::Changed { changed } => Ok(changed),
            reply => Err(unexpected(&reply)),
        }
    }
}

/// A home that answers another operation than was asked: a fault of our own.
pub(crate) fn unexpected(reply: &OpReply) -> Problem {
    tracing::error!(?reply, "a shard answered another operation");
    Problem::new(ErrorCode::Internal, "the operation's outcome is not known, try again")
}

impl<E, S> Inner<E, S> {
    /// Does work beside the thread that serves HTTP, one after the other. It is done to its end whoever goes away
    /// meanwhile, and what has to wait waits within its request's time.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let place = Arc::clone(&self.work).acquire_owned().await.expect("nobody closes it");
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "work beside HTTP broke off");
            Problem::new(ErrorCode::Internal, "the request could not be processed")
        })
    }

    /// Wall time.
    pub(crate) fn wall(&self) -> UnixMs {
        self.node.wall()
    }

    /// Takes from what a user may ask: 1 for each request, more for one that reads much.
    pub(crate) fn charge(&self, user: UserId, requests: u32) -> Result<(), Problem> {
        let refused = |wait_ms| {
            Problem::new(ErrorCode::RateLimited, "too many requests of this user")
                .after_ms(wait_ms)
                .because(Bound::User)
        };
        self.users.take_many(user, requests).map(|_| ()).map_err(refused)
    }

    /// Refuses what adds to the store beside the shards, which refuse on their own, while the disk is below its
    /// reserve.
    ///
    /// Logins and refreshes are not asked: without them nobody reads, and they sweep what they replace.
    pub(crate) fn takes_writes(&self) -> Result<(), Problem> {
        if self.node.takes_writes() {
            return Ok(());
        }
        let detail = "the store has too little disk left to grow, try again later";
        Err(Problem::new(ErrorCode::StorageUnavailable, detail).after_ms(DISK_RETRY_MS).because(Bound::Disk))
    }
}

/// 64 random bits.
pub(crate) fn entropy() -> Result<u64, Problem> {
    getrandom::u64().map_err(|error| {
        tracing::error!(%error, "no randomness");
        Problem::new(ErrorCode::Internal, "the system has no randomness, try again")
    })
}
