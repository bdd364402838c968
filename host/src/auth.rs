//! Verification of tokens.
//!
//! Owns the seam: why a token is not accepted. What a verified one says is the router's [`Claims`], how tokens are
//! signed the caller's.

use router::Claims;
use schema::UnixMs;

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
