//! Configuration of the HTTP API: addresses, limits and what the node says of itself.
//!
//! Owns no policy beyond defaults, each with its arithmetic.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::apps::Applications;
use crate::contacts::Media;
use crate::cors::Origins;
use crate::counts::Counts;
use crate::library::LibraryConfig;
use crate::nodes::{Nodes, Peers};
use crate::password::Cost;
use crate::proxy::Network;
use crate::queues::Queues;
use crate::templates::Templates;
use crate::tls::Tls;

/// How HTTP is served.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients open their WebSocket, as they must write it: `ws://HOST:PORT`, without a path. If the host is
    /// every address (`0.0.0.0`), each client is told the host at which it reached this API. Empty where this node
    /// takes no WebSockets.
    pub ws_origin: String,
    /// Where clients find this API: `http://HOST:PORT`. The same goes for its host.
    pub api_origin: String,
    /// The node's name, in `/v1/servers/best`.
    pub node: String,
    /// The node's region, in `/v1/servers/best`.
    pub region: String,
    /// Usernames that `POST /v1/dev/login` signs in without a password. None outside development: no such route then.
    pub dev_users: Option<Vec<String>>,
    /// Members of a group at most, no more than [`schema::limits::GROUP_MEMBERS_MAX`].
    pub group_members_max: u32,
    /// Proxies that are believed about the address of a client: X-Forwarded-For, Forwarded, PROXY headers.
    pub trusted_proxies: Vec<Network>,
    /// TLS of the public listener; without it a proxy speaks that.
    pub tls: Option<Tls>,
    /// The origins whose pages may use this server.
    pub origins: Origins,
    /// The ways by which users who are away are told.
    pub media: Arc<dyn Media>,
    /// Pictures and other files; without it this server takes and serves none.
    pub library: Option<LibraryConfig>,
    /// The engine that reads and renders templates of notifications.
    pub templates: Arc<dyn Templates>,
    /// What a password hash costs.
    pub password_cost: Cost,
    /// How much of what.
    pub limits: Limits,
}

/// Bounds of the HTTP listeners.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections to the public listener at once; more wait in its backlog. Each takes some 20 KB and a descriptor. As
    /// many requests of HTTP/2 may be under way on all of them together, beside four on each.
    pub connections_max: usize,
    /// Connections to the internal listener at once: a few probes and scrapers.
    pub internal_connections_max: usize,
    /// Time limit of a request's head, of the handshake of TLS, and of an idle connection.
    pub header: Duration,
    /// How long a client may take for a request's body: 2 MiB at 1.7 Mbit/s.
    pub body: Duration,
    /// Pause between two sweeps of media that nothing holds.
    pub sweep: Duration,
    /// Longest silence of an upload.
    pub stall: Duration,
    /// Longest time of one upload request: 25 MiB at 0.7 Mbit/s.
    pub upload: Duration,
    /// Longest time of a request, its body included, unless it is an upload. Commits take milliseconds; an unknown outcome is retried for up
    /// to 5 s ([`kv::limits::TRANSACTION_LIFE_MS`]) a time.
    pub request: Duration,
    /// Age at which a connection is asked to end with its current response, so that none is kept by not reading.
    pub connection: Duration,
    /// How long open requests may take to end once the server stops.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            internal_connections_max: 32,
            header: Duration::from_secs(5),
            body: Duration::from_secs(10),
            sweep: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            upload: Duration::from_secs(300),
            request: Duration::from_secs(30),
            connection: Duration::from_secs(300),
            stop: Duration::from_secs(5),
        }
    }
}

/// What the node says of itself. Called on the thread that serves HTTP: answers come from memory.
pub trait Node: Send + Sync + 'static {
    /// Wall time.
    fn wall(&self) -> schema::UnixMs;

    /// Whether the node takes traffic.
    ///
    /// # Errors
    /// Why not, one reason each: `store: below the reserve of free disk`.
    fn ready(&self) -> Result<(), Vec<String>>;

    /// Whether the store may grow: no while less disk is free than the reserve, which is kept for what makes room and
    /// for logins.
    fn takes_writes(&self) -> bool;

    /// Whether the store answers. While it does not, what needs it is refused at once.
    fn store_answers(&self) -> bool;

    /// Everything counted, in the OpenMetrics text format, `# EOF` included; but [`http_counts`](Self::http_counts),
    /// which this crate adds.
    fn metrics(&self) -> String;

    /// Counters of this crate, for `/metrics`.
    fn http_counts(&self) -> &Counts;

    /// Open connections as a part of the most that it takes, from 0 to 1.
    fn load(&self) -> f32;

    /// The nodes of the store, and this one's links.
    fn nodes(&self) -> Nodes;

    /// The nodes that clients may be sent to.
    fn peers(&self) -> Arc<Peers>;

    /// The applications of the store, once it is open.
    fn applications(&self) -> Option<Arc<dyn Applications>>;

    /// The queues of notifications of the store, once it is open.
    fn queues(&self) -> Option<Arc<dyn Queues>>;

    /// Has the node hand over what it owns, send its clients away, and end. Does not wait; may be repeated.
    fn drain(&self);
}

impl fmt::Debug for dyn Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}
