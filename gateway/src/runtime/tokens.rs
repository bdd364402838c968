//! Tokens as `connect` shows them, verified as the HTTP API verifies them.

use std::time::Duration;

use api::token::TokenError;
use host::{Authenticator, Claims, TokenFault, Verified};
use router::ConnId;
use schema::UnixMs;

use super::clients::Clients;

/// How long a login waits for somebody else to say whose its token is: below what a shard takes for slowness of the store.
const PATIENCE: Duration = Duration::from_millis(80);

/// Verifies tokens: ours, and those of issuers that the operator trusts.
pub(crate) struct Tokens {
    tokens: api::Tokens,
    clients: Clients,
}

impl Tokens {
    pub(crate) fn new(tokens: api::Tokens, clients: Clients) -> Self {
        Self { tokens, clients }
    }
}

impl Authenticator for Tokens {
    async fn verify(&self, token: &str, conn: ConnId, now: UnixMs) -> Result<Verified, TokenFault> {
        let verified =
            self.tokens.verify(token, self.clients.of(conn), now, PATIENCE).await.map_err(|error| match error {
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
