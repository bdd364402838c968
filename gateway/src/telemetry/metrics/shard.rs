//! The figures of one shard, and their sum.
//!
//! Owns the place into which a shard publishes. One thread writes it, about once a second, and whoever asks for the
//! text reads it; the lock is for the moment in which the two meet.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use host::driver::{LinkFigures, PeerTotals};

use crate::uring::Counters;

use super::latency::Histogram;
use super::links::ShardLinks;
use super::text::{Family, Value};

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Latency {
    Accept,
    Append,
    Deliver,
    Store,
}

impl Latency {
    /// All, in the order of their places.
    pub(super) const ALL: [Latency; 4] = [Self::Accept, Self::Append, Self::Deliver, Self::Store];

    /// This latency over all shards.
    pub(super) fn family(self, shards: &[ShardMetrics]) -> Family {
        let mut sum = Histogram::default();
        for shard in shards {
            let place = shard.place.lock().unwrap_or_else(PoisonError::into_inner);
            sum.add(&place.latencies[self as usize]);
        }
        let (name, help) = match self {
            Self::Accept => ("rookery_accept_seconds", "From a connection's acceptance to the end of its handshake"),
            Self::Append => (
                "rookery_append_seconds",
                "From a send's arrival at its channel's appender to its transaction's outcome",
            ),
            Self::Deliver => (
                "rookery_deliver_seconds",
                "From a transaction's hint at the users' home to its events' leaving for their sessions",
            ),
            Self::Store => ("rookery_store_seconds", "From another store operation's start to its result"),
        };
        (name, help, Value::Histogram(sum))
    }
}

/// Where one shard leaves its figures. Aligned to two cache lines, which processors fetch in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct ShardMetrics {
    place: Mutex<Place>,
}

#[derive(Debug, Default)]
struct Place {
    figures: Figures,
    links: ShardLinks,
    latencies: [Histogram; Latency::ALL.len()],
}

/// What a shard's executor did for store operations since it started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OperationFigures {
    /// Times that it polled some between two turns.
    pub(crate) runs: u64,
    /// Time that this took.
    pub(crate) took: Duration,
}

/// Plain numbers of one shard: what it has counted since it started, and what it holds now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) counters: Counters,
    pub(crate) connections: u64,
    pub(crate) stats: router::Stats,
    pub(crate) links: LinkFigures,
    pub(crate) peers: PeerTotals,
    pub(crate) operations: OperationFigures,
    /// Requests for another path than is served, or with none of the subprotocols.
    pub(crate) requests_refused: u64,
    /// Requests of pages whose origin may not connect.
    pub(crate) origins_refused: u64,
}

impl ShardMetrics {
    /// Replaces the shard's figures, and what is shown of its links to other nodes.
    pub(crate) fn publish(&self, figures: Figures, links: ShardLinks) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.figures = figures;
        place.links = links;
    }

    /// Adds samples, in nanoseconds. To be called with many at a time: each call takes the lock.
    pub(crate) fn record(&self, latency: Latency, samples_ns: &[u64]) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = &mut place.latencies[latency as usize];
        for sample_ns in samples_ns {
            histogram.record(Duration::from_nanos(*sample_ns));
        }
    }

    pub(super) fn links(&self) -> ShardLinks {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).links.clone()
    }

    pub(super) fn snapshot(&self) -> Figures {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).figures
    }
}

/// The figures of all shards: levels by shard, so that an uneven load is seen, and counters summed.
pub(super) fn families(shards: &[Figures]) -> Vec<Family> {
    type Row = (&'static str, &'static str, fn(&Figures) -> u64);
    let levels: [Row; 23] = [
        ("rookery_connections", "Open client connections", |f| f.connections),
        ("rookery_sessions", "Connections that speak the protocol", |f| f.stats.sessions),
        ("rookery_users", "Accounts of this home with a session somewhere", |f| f.stats.users),
        ("rookery_watched", "Users whose presence sessions watch here, as often as they are", |f| f.stats.watched),
        ("rookery_followers", "Sessions that follow large channels of this home", |f| f.stats.followers),
        ("rookery_index_behind", "Channels that the index of words is behind of", |f| f.stats.index_behind),
        ("rookery_index_lag_milliseconds", "For how long it has been behind of one", |f| f.stats.index_lag_ms),
        ("rookery_appends_pending", "Sends and changes that are not durable yet", |f| f.stats.appends_pending),
        ("rookery_appends_wait_milliseconds", "For how long the oldest waits", |f| f.stats.appends_wait_ms),
        ("rookery_commands_pending", "Commands that somebody waits for", |f| f.stats.commands_pending),
        ("rookery_command_bytes", "Bytes of operations kept until they are answered", |f| f.stats.command_bytes),
        ("rookery_parked_bytes", "Bytes of frames that wait for a newer view", |f| f.stats.parked_bytes),
        ("rookery_rejoining", "Sessions whose account's home does not know them yet", |f| f.stats.rejoining),
        ("rookery_logins_rate", "Logins that are begun in a second at most", |f| f.stats.logins_per_s),
        ("rookery_store_operations_pending", "Store operations without a result", |f| f.stats.store_ops_pending),
        ("rookery_before_waiting", "Messages and edits that wait for applications' word", |f| f.stats.before_waiting),
        ("rookery_outbound_bytes", "Bytes queued for clients", |f| f.stats.outbound_bytes),
        ("rookery_link_waiting_bytes", "Bytes of frames that wait for other shards", |f| f.links.waiting_bytes),
        ("rookery_links", "Links to other nodes", |f| f.peers.links),
        ("rookery_links_up", "Links to other nodes over which frames go", |f| f.peers.up),
        ("rookery_links_unsent_bytes", "Bytes that wait for links to other nodes", |f| f.peers.unsent_bytes),
        ("rookery_links_kept_bytes", "Bytes kept until another node acknowledges them", |f| f.peers.kept_bytes),
        ("rookery_held_bytes", "Bytes of events that homes keep for sessions that will ask", |f| f.stats.held_bytes),
    ];
    let counters: [Row; 18] = [
        ("rookery_operations_runs", "Times that a shard's executor polled store operations between two turns", |f| {
            f.operations.runs
        }),
        ("rookery_operations_microseconds", "Time that this took", |f| {
            u64::try_from(f.operations.took.as_micros()).unwrap_or(u64::MAX)
        }),
        ("rookery_events_encoded", "Events encoded, each once an encoding and shard", |f| f.stats.events_encoded),
        ("rookery_logins", "Logins that were begun", |f| f.stats.logins),
        ("rookery_pushes_written", "Push items kept for members who were not there", |f| f.stats.pushes_written),
        ("rookery_link_dropped", "Frames to other shards that found no room and are made good", |f| f.links.dropped),
        ("rookery_link_lost", "Frames to other shards that found no room and should have arrived", |f| f.links.lost),
        ("rookery_links_connected", "Connections of links to other nodes", |f| f.peers.connections),
        ("rookery_links_sent", "Frames to other nodes", |f| f.peers.sent),
        ("rookery_links_received", "Frames of other nodes", |f| f.peers.received),
        ("rookery_links_dropped", "Frames to other nodes left out, since their link was down or full", |f| {
            f.peers.dropped
        }),
        ("rookery_links_resent", "Frames to other nodes sent again on a new connection", |f| f.peers.resent),
        ("rookery_links_gaps", "Times that both ends of a link were told that frames are missing", |f| f.peers.gaps),
        ("rookery_links_resets", "Times that both ends of a link began afresh", |f| f.peers.resets),
        ("rookery_frames_refused", "Frames to or from lives of nodes that are in no view", |f| f.peers.refused),
        ("rookery_live_dropped", "Live pushes left out for slow sessions", |f| f.stats.live_dropped),
        ("rookery_refused_origins", "Requests of pages whose origin may not connect", |f| f.origins_refused),
        ("rookery_refused_requests", "WebSocket requests for another path or subprotocol", |f| f.requests_refused),
    ];
    let by_shard = |of: fn(&Figures) -> u64| {
        Value::GaugeBy(
            "shard",
            shards.iter().zip(0..).map(|(figures, shard): (_, u16)| (shard.to_string(), of(figures))).collect(),
        )
    };
    let mut families: Vec<Family> = levels.map(|(name, help, of)| (name, help, by_shard(of))).into();
    let mut count = |name, help, of: &dyn Fn(&Figures) -> u64| {
        families.push((name, help, Value::Counter(shards.iter().map(of).sum())));
    };
    Counters::ALL.iter().for_each(|&(name, help, of)| count(name, help, &|figures| of(&figures.counters)));
    counters.iter().for_each(|&(name, help, of)| count(name, help, &of));
    for &kind in router::Counter::ALL {
        count(kind.name(), kind.help(), &|figures| figures.stats.counters.of(kind));
    }
    families
}
