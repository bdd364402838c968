//! A node's place among those on its store, in figures.
//!
//! Owns the figures and their names. The thread that beats writes them; whoever asks for the text reads them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use schema::Epoch;

use super::text::{Family, Value};

/// What is known of this node and of those beside it. Of a store that is not shared only that this one is active.
#[derive(Debug, Default)]
pub(crate) struct NodeFigures {
    active: AtomicBool,
    epoch: AtomicU64,
    registered: AtomicU64,
    beats: AtomicU64,
    beats_late: AtomicU64,
    takeovers: AtomicU64,
    views: AtomicU64,
    partitions: AtomicU64,
    clock_off_ms: AtomicU64,
}

impl NodeFigures {
    /// This node goes by a view from here on, in which it owns so many partitions.
    pub(crate) fn go_by(&self, epoch: Epoch, partitions: usize) {
        self.epoch.store(epoch.0, Ordering::Relaxed);
        self.partitions.store(partitions as u64, Ordering::Relaxed);
        self.views.fetch_add(1, Ordering::Relaxed);
        self.active.store(true, Ordering::Relaxed);
    }

    /// It has taken over from one that was dead.
    pub(crate) fn took_over(&self) {
        self.takeovers.fetch_add(1, Ordering::Relaxed);
    }

    /// A heartbeat has committed, and saw this epoch and so many nodes registered.
    pub(crate) fn beat(&self, epoch: Epoch, registered: usize, late: bool) {
        self.epoch.store(epoch.0, Ordering::Relaxed);
        self.registered.store(registered as u64, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.beats_late.fetch_add(u64::from(late), Ordering::Relaxed);
    }

    /// How far its clock is from the others'.
    pub(crate) fn set_clock_off(&self, off_ms: u64) {
        self.clock_off_ms.store(off_ms, Ordering::Relaxed);
    }

    /// Another node serves from here on.
    pub(crate) fn fence(&self) {
        self.active.store(false, Ordering::Relaxed);
    }

    pub(super) fn families(&self) -> [Family; 9] {
        let gauge = |of: &AtomicU64| Value::Gauge(of.load(Ordering::Relaxed));
        let counter = |of: &AtomicU64| Value::Counter(of.load(Ordering::Relaxed));
        let active = Value::Gauge(self.active.load(Ordering::Relaxed).into());
        [
            ("rookery_node_active", "1 if this node serves, 0 while it stands by", active),
            ("rookery_view_epoch", "The partition table's epoch, as this node saw it last", gauge(&self.epoch)),
            ("rookery_nodes", "Nodes registered on a shared store, this one among them", gauge(&self.registered)),
            ("rookery_heartbeats", "Heartbeats committed on a shared store", counter(&self.beats)),
            ("rookery_heartbeats_late", "Heartbeats that came a second late or more", counter(&self.beats_late)),
            ("rookery_takeovers", "Times this node took over from one that was dead", counter(&self.takeovers)),
            ("rookery_view_changes", "Views that this node has gone by", counter(&self.views)),
            ("rookery_partitions", "Partitions of 4,096 that this node owns", gauge(&self.partitions)),
            (
                "rookery_clock_off_milliseconds",
                "How far this node's clock is from the median of the others', where that is more than 5 s",
                gauge(&self.clock_off_ms),
            ),
        ]
    }
}
