//! Whose token a client shows.
//!
//! Owns the seam: what a verified token says. How tokens are signed is the caller's.

use schema::{DeviceId, UnixMs, UserId};

/// What a token says of its bearer, once its signature is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The account.
    pub user: UserId,
    /// The token family, which can be revoked as a whole.
    pub family: u64,
    /// The one device that may use it; none if any may.
    pub device: Option<DeviceId>,
    /// Until when.
    pub expires_ms: UnixMs,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It was valid, and its time is over.
    #[error("the token has expired, refresh it")]
    Expired,
    /// No token of this server.
    #[error("the token is not valid here, sign in again")]
    Invalid,
}

/// Verifies tokens. Must not block: it runs where store operations run.
pub trait Authenticator: Send + Sync + 'static {
    /// What the token says, if it is one of ours and `now` is within its time.
    ///
    /// # Errors
    /// Why it is not accepted.
    fn verify(&self, token: &str, now: UnixMs) -> Result<Claims, TokenFault>;
}
