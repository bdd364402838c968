//! Tokens of callers, and whose they are: ours, or those of an issuer that the operator trusts.
//!
//! Owns the order in which a token is looked at, and the operator's choice of whose tokens count. Ours are
//! [`crate::token`]'s; how an external user becomes an account is `chat::accounts::enter`'s. Knows no HTTP client: the
//! keys of issuers are fetched, and a connect proxy is asked, by [`refresh`] through [`Fetch`], on a thread of its own.
//!
//! ```text
//! config    the file that lists issuers, and what may stand in it
//! jwt       a token of an issuer: which key, which algorithm, what it claims
//! keys      keys of an issuer, by which tokens are verified
//! ring      keys that rotate: what is known of them, and when they are to be fetched
//! proxy     tokens that are no JWT: an operator's own service says whose they are
//! refresh   the thread that fetches keys and asks the proxy
//! ```

mod config;
mod jwt;
mod keys;
mod proxy;
mod refresh;
mod ring;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chat::accounts::External;
use schema::limits::TOKEN_BYTES_MAX;
use schema::{DeviceId, UnixMs};

pub use config::{Issuers, IssuersError};
pub(crate) use jwt::{is_subject, picture};
pub use refresh::{Fetch, Fetched, Fetching, Refreshing, start};
pub use ring::RingFigures;

use crate::proxy::ClientNetwork;
use crate::token::{Claims, TokenError, TokenKey};

/// Issuers whose tokens count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// Our own: accounts sign up and log in here.
    #[default]
    Own,
    /// Those of issuers; nobody signs up or logs in by a password. Ours count where something else makes them: the server
    /// API, an operator.
    External,
    /// Both.
    Both,
}

impl AuthMode {
    /// `true` if accounts sign up and log in by a password.
    #[must_use]
    pub fn has_passwords(self) -> bool {
        match self {
            Self::Own | Self::Both => true,
            Self::External => false,
        }
    }
}

/// Owner of a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// An account's of ours. Whether its login still lives is the store's to say.
    Own(Claims),
    /// Somebody's of whom an issuer speaks, and the one device that may use it.
    External(External, Option<DeviceId>),
}

/// Verifies tokens. Clones share what is known of issuers.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    key: TokenKey,
    mode: AuthMode,
    issuers: Issuers,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("mode", &self.0.mode).field("issuers", &self.0.issuers).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Ours alone.
    #[must_use]
    pub fn own(key: TokenKey) -> Self {
        Self::new(key, AuthMode::Own, Issuers::default())
    }

    /// Ours, and those of these issuers unless the mode leaves them out.
    #[must_use]
    pub fn new(key: TokenKey, mode: AuthMode, issuers: Issuers) -> Self {
        let issuers = if mode == AuthMode::Own { Issuers::default() } else { issuers };
        Self(Arc::new(Inner { key, mode, issuers }))
    }

    /// The key of ours.
    #[must_use]
    pub fn key(&self) -> &TokenKey {
        &self.0.key
    }

    /// Issuers whose tokens count.
    #[must_use]
    pub fn mode(&self) -> AuthMode {
        self.0.mode
    }

    /// The issuers whose tokens count.
    #[must_use]
    pub fn issuers(&self) -> &Issuers {
        &self.0.issuers
    }

    /// Whether a service is asked about tokens, so that clients' addresses are to be known.
    #[must_use]
    pub fn asks_a_service(&self) -> bool {
        self.0.issuers.proxy().is_some()
    }

    /// Figures of each issuer whose keys are fetched, by its name.
    pub fn figures(&self) -> impl Iterator<Item = (&str, RingFigures)> {
        self.0.issuers.rings().map(|(name, ring)| (name, ring.figures()))
    }

    /// Owner of a token. Where somebody else has to be asked, for at most so long; what is answered later is known when
    /// the same token comes again. What is asked counts against the client that shows the token, where it is known.
    ///
    /// # Errors
    /// If it is not valid here, or no longer; [`TokenError::Later`] if that cannot be said now.
    pub async fn verify(
        &self,
        token: &str,
        client: Option<ClientNetwork>,
        wall: UnixMs,
        patience: Duration,
    ) -> Result<Verified, TokenError> {
        if token.len() > TOKEN_BYTES_MAX as usize {
            return Err(TokenError::Invalid);
        }
        match self.0.key.verify(token, wall) {
            Err(TokenError::Invalid) => {}
            own => return own.map(Verified::Own),
        }
        match self.0.issuers.find(token) {
            Some(issuer) => issuer.verify(token, wall).map(|(external, device)| Verified::External(external, device)),
            None => match self.0.issuers.proxy() {
                Some(proxy) => proxy
                    .verify(token, client, wall, patience)
                    .await
                    .map(|(external, device)| Verified::External(external, device)),
                None => Err(TokenError::Invalid),
            },
        }
    }
}

/// 64 random bits, of which ids are drawn.
fn draw() -> Result<u64, TokenError> {
    getrandom::u64().map_err(|error| {
        tracing::error!(%error, "no randomness");
        TokenError::Later { retry_after_ms: 1_000 }
    })
}
