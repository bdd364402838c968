//! The figures of one shard, and their sum.
//!
//! Owns the place into which a shard publishes. One thread writes it, about once a second, and whoever asks for the text
//! reads it; the lock is for the moment in which the two meet.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use host::driver::LinkFigures;

use crate::uring::Counters;

use super::latency::Histogram;
use super::text::Text;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// From a connection's acceptance to the end of its handshake.
    Accept,
    /// From an append's arrival at the appender to its transaction's outcome.
    Append,
    /// From a transaction's hint at the users' home to its events' leaving for their sessions.
    Deliver,
    /// From another store operation's start to its result.
    Store,
}

impl Latency {
    /// All, in the order of their places.
    pub const ALL: [Latency; 4] = [Self::Accept, Self::Append, Self::Deliver, Self::Store];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accept => "rookery_accept_seconds",
            Self::Append => "rookery_append_seconds",
            Self::Deliver => "rookery_deliver_seconds",
            Self::Store => "rookery_store_seconds",
        }
    }

    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Accept => "From a connection's acceptance to the end of its handshake",
            Self::Append => "From a send's arrival at its channel's appender to its transaction's outcome",
            Self::Deliver => "From a transaction's hint at the users' home to its events' leaving for their sessions",
            Self::Store => "From another store operation's start to its result",
        }
    }
}

/// Where one shard leaves its figures. Aligned to two cache lines, which processors fetch in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardMetrics {
    place: Mutex<Place>,
}

#[derive(Debug, Default)]
struct Place {
    figures: Figures,
    latencies: [Histogram; Latency::ALL.len()],
}

/// Plain numbers of one shard.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    counters: Counters,
    pub(super) connections: u64,
    stats: router::Stats,
    links: LinkFigures,
}

impl ShardMetrics {
    /// Replaces the shard's figures: what its driver has counted since it started, the connections that are open, and
    /// what its core and its links hold now.
    pub fn publish(&self, counters: &Counters, connections: usize, stats: &router::Stats, links: &LinkFigures) {
        let figures = Figures { counters: *counters, connections: connections as u64, stats: *stats, links: *links };
        self.place.lock().unwrap_or_else(PoisonError::into_inner).figures = figures;
    }

    /// Adds samples, in nanoseconds. To be called with many at a time: each call takes the lock.
    pub fn record(&self, latency: Latency, samples_ns: &[u64]) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = &mut place.latencies[latency as usize];
        for sample_ns in samples_ns {
            histogram.record(Duration::from_nanos(*sample_ns));
        }
    }

    pub(super) fn snapshot(&self) -> Figures {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).figures
    }
}

/// One kind of latency over all shards.
pub(super) fn merged(shards: &[ShardMetrics], latency: Latency) -> Histogram {
    let mut sum = Histogram::default();
    for shard in shards {
        let place = shard.place.lock().unwrap_or_else(PoisonError::into_inner);
        sum.add(&place.latencies[latency as usize]);
    }
    sum
}

/// Writes the figures of all shards: levels by shard, so that an uneven load is seen, and counters summed.
pub(super) fn write(text: &mut Text, shards: &[Figures]) {
    type Row = (&'static str, &'static str, fn(&Figures) -> u64);
    let levels: [Row; 13] = [
        ("rookery_connections", "Open client connections", |f| f.connections),
        ("rookery_sessions", "Connections that speak the protocol", |f| f.stats.sessions),
        ("rookery_users", "Accounts of this home with a session somewhere", |f| f.stats.users),
        ("rookery_watched", "Users whose presence sessions watch here, as often as they are", |f| f.stats.watched),
        ("rookery_followers", "Sessions that follow large channels of this home", |f| f.stats.followers),
        ("rookery_index_behind", "Channels that the index of words is behind of", |f| f.stats.index_behind),
        ("rookery_index_lag_milliseconds", "For how long it has been behind of one", |f| f.stats.index_lag_ms),
        ("rookery_appends_pending", "Sends and changes that are not durable yet", |f| f.stats.appends_pending),
        ("rookery_commands_pending", "Commands that somebody waits for", |f| f.stats.commands_pending),
        ("rookery_store_operations_pending", "Store operations without a result", |f| f.stats.store_ops_pending),
        ("rookery_outbound_bytes", "Bytes queued for clients", |f| f.stats.outbound_bytes),
        ("rookery_link_waiting_bytes", "Bytes of frames that wait for mailboxes of other shards", |f| {
            f.links.waiting_bytes
        }),
        ("rookery_held_bytes", "Bytes of events that homes keep for sessions that will ask", |f| f.stats.held_bytes),
    ];
    for (name, help, of) in levels {
        text.gauge_by_shard(name, help, shards.iter().map(of));
    }
    let counters: [Row; 17] = [
        ("rookery_accepted", "Connections taken from the listener", |f| f.counters.accepted),
        ("rookery_turned_away", "Connections closed unheard because the shard was full", |f| f.counters.turned_away),
        ("rookery_out_of_files", "Times that no file was left for a connection", |f| f.counters.out_of_descriptors),
        ("rookery_received_bytes", "Bytes received from clients", |f| f.counters.received_bytes),
        ("rookery_sent_bytes", "Bytes sent to clients", |f| f.counters.sent_bytes),
        ("rookery_sends", "Sends that completed, each with all that was queued for its socket", |f| f.counters.sends),
        ("rookery_out_of_buffers", "Receives that found no buffer and were asked for again", |f| {
            f.counters.out_of_buffers
        }),
        ("rookery_overloaded", "Connections closed because partial messages had no more room", |f| {
            f.counters.overloaded
        }),
        ("rookery_pongs_dropped", "Answers to pings left out for clients that do not read", |f| {
            f.counters.pongs_dropped
        }),
        ("rookery_stale_completions", "Completions of connections that were gone", |f| f.counters.stale),
        ("rookery_turns", "Turns of the shards' loops", |f| f.counters.turns),
        ("rookery_waits", "Turns before which a shard was ready to sleep", |f| f.counters.waits),
        ("rookery_events_encoded", "Events encoded, each once an encoding and shard", |f| f.stats.events_encoded),
        ("rookery_pushes_written", "Push items kept for members who were not there", |f| f.stats.pushes_written),
        ("rookery_link_dropped", "Frames to other shards that found no room and are made good", |f| f.links.dropped),
        ("rookery_link_lost", "Frames to other shards that found no room and should have arrived", |f| f.links.lost),
        ("rookery_live_dropped", "Live pushes left out for slow sessions", |f| f.stats.live_dropped),
    ];
    for (name, help, of) in counters {
        text.counter(name, help, shards.iter().map(of).sum());
    }
    for &kind in router::Counter::ALL {
        text.counter(kind.name(), kind.help(), shards.iter().map(|f| f.stats.counters.of(kind)).sum());
    }
}
