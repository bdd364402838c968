//! Tokens that anyone can make: `user.family.expires`, all in decimal.

use host::{Authenticator, Claims, TokenFault, Verified};
use router::ConnId;
use schema::{UnixMs, UserId};

/// Believes every token of the right form.
#[derive(Debug)]
pub(crate) struct Tokens;

/// The token of a user's login.
pub(crate) fn token(user: UserId, family: u64, expires_ms: UnixMs) -> String {
    format!("{user}.{family}.{}", expires_ms.0)
}

fn parse(token: &str) -> Option<Claims> {
    let mut parts = token.splitn(3, '.');
    let mut next = || parts.next();
    let (user, family, expires) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
    Some(Claims { user, family, device: None, expires_ms: UnixMs(expires) })
}

impl Authenticator for Tokens {
    async fn verify(&self, token: &str, _conn: ConnId, now: UnixMs) -> Result<Verified, TokenFault> {
        let claims = parse(token).ok_or(TokenFault::Invalid)?;
        if claims.expires_ms <= now { Err(TokenFault::Expired) } else { Ok(Verified::Own(claims)) }
    }
}
