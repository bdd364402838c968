//! Tokens as `connect` shows them, verified with the node's key.

use api::token::{TokenError, TokenKey};
use host::{Authenticator, Claims, TokenFault};
use schema::UnixMs;

/// Verifies access tokens with the node's key.
pub(crate) struct Tokens {
    key: TokenKey,
}

impl Tokens {
    pub(crate) fn new(key: TokenKey) -> Self {
        Self { key }
    }
}

impl Authenticator for Tokens {
    fn verify(&self, token: &str, now: UnixMs) -> Result<Claims, TokenFault> {
        let claims = self.key.verify(token, now).map_err(|error| match error {
            TokenError::Expired { .. } => TokenFault::Expired,
            TokenError::Invalid => TokenFault::Invalid,
        })?;
        let api::token::Claims { user, family, device, expires_ms } = claims;
        Ok(Claims { user, family, device, expires_ms })
    }
}
