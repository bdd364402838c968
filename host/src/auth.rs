//! Verification of tokens.
//!
//! Owns the seam: whose a token is, and why it is not accepted. What a verified one says is the router's [`Claims`] where
//! it was signed here, and [`External`] where another issuer says it; how tokens are signed is the caller's.

use std::future::Future;

use chat::accounts::External;
use router::{Claims, ConnId};
use schema::{DeviceId, UnixMs};

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It was valid, and its time is over.
    #[error("the token has expired, refresh it")]
    Expired,
    /// No token of this server.
    #[error("the token is not valid here, sign in again")]
    Invalid,
    /// Nobody's: whether it is valid is not known now, since the issuer's keys, or who is asked, cannot be reached.
    #[error("whose token this is cannot be found out now, try again")]
    Later {
        /// When to try again.
        retry_after_ms: u32,
    },
}

/// Whose a verified token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// One of an account of ours, signed here.
    Own(Claims),
    /// One of somebody of whom another issuer speaks, and the one device that may use it.
    External(External, Option<DeviceId>),
}

/// Verifies tokens.
pub trait Authenticator: Send + Sync + 'static {
    /// What the token says that a connection shows, if it is one that this server accepts and `now` is within its time.
    ///
    /// Must not block, since it is polled where store operations are, and must end within a tenth of a second whoever is
    /// asked: a shard counts what takes longer as the store's slowness.
    ///
    /// # Errors
    /// Why it is not accepted.
    fn verify(
        &self,
        token: &str,
        conn: ConnId,
        now: UnixMs,
    ) -> impl Future<Output = Result<Verified, TokenFault>> + Send;
}
