//! Configuration of a client: where it connects, as whom, where it keeps what it must not lose, and its bounds.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::store::{MemoryStore, Store};

/// A future that may go to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Reason for which a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenNeed {
    /// The client starts, or connects again: one at hand will do.
    Connect,
    /// The one in use ends soon.
    Expiring,
    /// The server did not take the last one: a new one is needed.
    Refused,
}

/// Reason for which there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The login is over: the client ends.
    #[error("signed out")]
    SignedOut,
    /// There is none at the moment: the client asks again later.
    #[error("no token at the moment: {0}")]
    Unavailable(String),
}

/// Source of a client's access tokens. A closure will do: `|need| async { Ok("…".to_owned()) }`.
pub trait Tokens: Send + Sync + 'static {
    /// An access token. It is asked for when a client starts, when one is refused and before one ends, and used until then.
    fn token(&self, need: TokenNeed) -> BoxFuture<'_, Result<String, TokenError>>;
}

impl<F, R> Tokens for F
where
    F: Fn(TokenNeed) -> R + Send + Sync + 'static,
    R: Future<Output = Result<String, TokenError>> + Send + 'static,
{
    fn token(&self, need: TokenNeed) -> BoxFuture<'_, Result<String, TokenError>> {
        Box::pin(self(need))
    }
}

/// Place to which a client connects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// By `GET /v1/servers/best`, asked of these addresses of the HTTP API in turn until one answers. Addresses of other nodes that are
    /// learned thereby are asked after them.
    Discover(Vec<String>),
    /// At this WebSocket address, `wss://HOST/connection/websocket` say, or where a node that drains sends its clients.
    Fixed(String),
}

/// Configuration of a client. Made by [`Config::new`], changed by its methods.
#[derive(Clone)]
pub struct Config {
    pub(crate) endpoint: Endpoint,
    pub(crate) device_id: String,
    pub(crate) tokens: Arc<dyn Tokens>,
    pub(crate) client: String,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) bounds: Bounds,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

/// Bounds of what a client holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Events that the application has not fetched. Beyond it, or beyond the bytes, the connection is not read; while the
    /// application waits for an answer that would be read behind them, further events are left out instead and asked for
    /// again, from the last cursor, once there is room.
    pub events: usize,
    /// Bytes of their frames.
    pub event_bytes: usize,
    /// Operations in the outbox, with events about them that were not fetched. One more is
    /// [`Error::OutboxFull`](crate::Error::OutboxFull).
    pub operations: usize,
    /// Questions that are not answered yet: history, search, presence. One more waits.
    pub questions: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 1_024, event_bytes: 8 * 1024 * 1024, operations: 10_000, questions: 64 }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, device_id, tokens: _, client, store, bounds, tls } = self;
        f.debug_struct("Config")
            .field("endpoint", endpoint)
            .field("device_id", device_id)
            .field("client", client)
            .field("store", store)
            .field("bounds", bounds)
            .field("tls", &tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A client of the nodes behind this address of the HTTP API, `https://chat.example.org` say; of a device, 1 to 64
    /// characters of `[A-Za-z0-9_-]` that stay the same for an installation; with what gives it tokens. What it holds is kept
    /// in memory.
    pub fn new(api_url: impl Into<String>, device_id: impl Into<String>, tokens: impl Tokens) -> Self {
        Self {
            endpoint: Endpoint::Discover(vec![api_url.into()]),
            device_id: device_id.into(),
            tokens: Arc::new(tokens),
            client: concat!("rookery-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            store: Arc::new(MemoryStore::default()),
            bounds: Bounds::default(),
            tls: None,
        }
    }

    /// Another place to connect to.
    #[must_use]
    pub fn endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }

    /// Store of the outbox and the cursor.
    #[must_use]
    pub fn store(self, store: impl Store) -> Self {
        Self { store: Arc::new(store), ..self }
    }

    /// The same of a store that others hold too.
    #[must_use]
    pub fn shared_store(self, store: Arc<dyn Store>) -> Self {
        Self { store, ..self }
    }

    /// Name of the client in the server's lists of devices.
    #[must_use]
    pub fn client_name(self, client: impl Into<String>) -> Self {
        Self { client: client.into(), ..self }
    }

    /// Other bounds.
    #[must_use]
    pub fn bounds(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Authorities that `wss` and `https` believe, in the place of those of this crate's features.
    #[must_use]
    pub fn tls(self, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }
}

/// Bound of an HTTP request: what a node's store does not answer is refused within 5 s.
pub(crate) const HTTP_TIMEOUT: Duration = Duration::from_secs(15);
