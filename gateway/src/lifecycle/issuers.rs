//! Issuers of this node: whose tokens count, and how their keys are fetched.
//!
//! Owns the way from a node's configuration to `api::Tokens`, and the HTTP client that fetches, which is that of
//! notifications.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use api::{AuthMode, Fetch, Fetched, Fetching, Issuers, Refreshing, Tokens};
use notify::providers::Fetcher;
use schema::UnixMs;

use crate::config::{Config, TokensOf};
use crate::runtime;

/// Whose tokens count on this node.
///
/// # Errors
/// The operator's: the file of issuers cannot be used.
pub(super) fn tokens(config: &Config, key: api::TokenKey) -> anyhow::Result<Tokens> {
    let mode = match config.auth_mode {
        TokensOf::Own => AuthMode::Own,
        TokensOf::External => AuthMode::External,
        TokensOf::Both => AuthMode::Both,
    };
    let issuers = config.issuers_file.as_deref().map(issuers).transpose()?;
    Ok(Tokens::new(key, mode, issuers.unwrap_or_default()))
}

/// The issuers that a file lists.
///
/// # Errors
/// The operator's: what it names cannot be used.
pub(crate) fn issuers(file: &Path) -> anyhow::Result<Issuers> {
    let issuers = Issuers::load(file)?;
    fetcher(&issuers).with_context(|| file.display().to_string())?;
    Ok(issuers)
}

fn fetcher(issuers: &Issuers) -> anyhow::Result<Fetcher> {
    Fetcher::new(issuers.ca_file()).map_err(anyhow::Error::msg)
}

/// Starts to fetch keys, where there are any to fetch.
///
/// # Errors
/// If the thread cannot be had.
pub(super) fn start(tokens: &Tokens) -> anyhow::Result<Option<Refreshing>> {
    if !tokens.issuers().needs_network() {
        return Ok(None);
    }
    let client = Arc::new(Client(fetcher(tokens.issuers())?));
    Ok(Some(api::start_issuers(tokens.clone(), client, runtime::wall)?))
}

struct Client(Fetcher);

impl Fetch for Client {
    fn get<'a>(&'a self, url: &'a str, bytes_max: usize) -> Fetching<'a> {
        Box::pin(async move {
            let (status, body) = self.0.get(url, bytes_max).await?;
            Ok(Fetched { status, body })
        })
    }

    fn post<'a>(&'a self, url: &'a str, secret: &'a str, body: Vec<u8>, bytes_max: usize, now: UnixMs) -> Fetching<'a> {
        Box::pin(async move {
            let (status, body) = self.0.post(url, secret, body, bytes_max, now).await?;
            Ok(Fetched { status, body })
        })
    }
}
