//! HTTP beside the gateway: accounts, channels, history, discovery, and what operators ask.
//!
//! Owns the routes, passwords and tokens. Stateless: whatever must last is in the store, which any number of these read
//! and write. Reads anything; writes only what no shard caches (accounts, refresh tokens, profiles). What changes a
//! channel or an inbox is an operation for the channel's home shard, by way of [`Shards`].
//!
//! ```text
//! serve      the listeners and their bounds      routes     one file for each family of routes, and their list
//! token      access tokens and their key         password   argon2id on threads of its own
//! issuers    tokens of others: issuers of JWTs, and an operator's own service
//! state      the state of all handlers           extract    parts of a request
//! problem    errors as HTTP tells them           rate       bounded buckets
//! http1      rules that hyper leaves to us       proxy      clients' addresses behind proxies
//! cors       pages of other origins              counts     refusals by bound
//! apps       backends that notify: keys, and their operators     queues     what waits to be sent, for operators
//! away       refusals without a store            ending     work that outlives its request
//! page       the web page's files                origin     where this node is, as a client sees it
//! nodes      this node and those beside it      contacts   by which media users are told
//! links      links in notifications            following  answers that stay open and grow
//! tls        the listener's certificate          http2      bounds of connections with many requests at once
//! library    where media are kept, and their URLs   sweep   media that nothing holds
//! templates  an engine of templates, as it is asked  webhooks  their ids, and how they are shown
//! post_id    ids of posts                         posting    how much one user may post
//! ```

mod apps;
mod away;
mod config;
mod contacts;
mod cors;
mod counts;
mod ending;
mod extract;
mod following;
mod http1;
mod http2;
mod issuers;
mod library;
mod links;
mod names;
mod nodes;
mod origin;
mod page;
mod password;
mod post_id;
mod posting;
mod problem;
mod proxy;
mod queues;
mod rate;
mod routes;
pub mod seed;
mod serve;
mod shards;
mod state;
mod sweep;
mod templates;
mod tls;
pub mod token;
mod webhooks;

pub use apps::{Applications, CallPurpose, HookChange, HookState, StoredApplications};
pub use config::{Config, Limits, Node};
pub use contacts::{Category, Media};
pub use cors::{AllowedOrigin, Origins, ParseOriginError};
pub use counts::Counts;
pub use issuers::{
    AuthMode, Fetch, Fetched, Fetching, Issuers, IssuersError, Refreshing, RingFigures, Tokens, Verified,
    start as start_issuers,
};
pub use library::LibraryConfig;
pub use links::Links;
pub use nodes::{LinkShown, LinkState, NodeShown, Nodes, Part, Peer, Peers, ws_address};
pub use password::Cost;
pub use proxy::{ClientNetwork, Network, ParseNetworkError};
pub use queues::{Queues, StoredQueues};
pub use serve::{Running, serve, serve_internal};
pub use shards::Shards;
pub use templates::{Preview, Templates};
pub use tls::{Tls, TlsError};
pub use token::TokenKey;
