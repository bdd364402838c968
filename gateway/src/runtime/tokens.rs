//! Tokens as `connect` shows them, verified as the HTTP API verifies them.

use std::time::Duration;

use api::token::TokenError;
use host::{Authenticator, Claims, TokenFault, Verified};
use schema::UnixMs;

/// How long a login waits for somebody else to say whose its token is: below what a shard takes for slowness of the store.
const PATIENCE: Duration = Duration::from_millis(80);

/// Verifies tokens: ours, and those of issuers that the operator trusts.
pub(crate) struct Tokens(api::Tokens);

impl Tokens {
    pub(crate) fn new(tokens: api::Tokens) -> Self {
        Self(tokens)
    }
}

impl Authenticator for Tokens {
    async fn verify(&self, token: &str, now: UnixMs) -> Result<Verified, TokenFault> {
        let verified = self.0.verify(token, now, PATIENCE).await.map_err(|error| match error {
            TokenError::Expired { .. } => TokenFault::Expired,
            TokenError::Invalid => TokenFault::Invalid,
            TokenError::Later { retry_after_ms } => TokenFault::Later { retry_after_ms },
        })?;
        Ok(match verified {
            api::Verified::Own(api::token::Claims { user, family, device, expires_ms }) => {
                Verified::Own(Claims { user, family, device, expires_ms })
            }
            api::Verified::External(external, device) => Verified::External(external, device),
        })
    }
}
