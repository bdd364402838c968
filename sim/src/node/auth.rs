//! Tokens that anyone can make: `user.expires`, both in decimal.

use chat::accounts::FAMILY_OPERATOR;
use host::{Authenticator, Claims, TokenFault};
use schema::{UnixMs, UserId};

/// Believes every token of the right form.
#[derive(Debug)]
pub(crate) struct Tokens;

/// The token of a user.
pub(crate) fn token(user: UserId, expires_ms: UnixMs) -> String {
    format!("{user}.{}", expires_ms.0)
}

fn parse(token: &str) -> Option<(UserId, UnixMs)> {
    let (user, expires) = token.split_once('.')?;
    Some((user.parse().ok()?, UnixMs(expires.parse().ok()?)))
}

impl Authenticator for Tokens {
    fn verify(&self, token: &str, now: UnixMs) -> Result<Claims, TokenFault> {
        let (user, expires_ms) = parse(token).ok_or(TokenFault::Invalid)?;
        if expires_ms <= now {
            return Err(TokenFault::Expired);
        }
        Ok(Claims { user, family: FAMILY_OPERATOR, device: None, expires_ms })
    }
}
