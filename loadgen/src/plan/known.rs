//! Figures that a plan is made of: what a profile says, and what was measured.
//!
//! Owns their names, bounds and defaults. A constant's default is what stands in the document that it names, on the
//! machine that the document names; `loadgen calibrate` measures those of a node on another.

use super::figures::Known;

const CAPACITY: &str = "docs/measurements.md, What capacity is planned with";
const SIZING: &str = "docs/foundationdb.md, Sizing";
const SEARCH: &str = "docs/measurements.md, Search";

/// Shares are of a hundred.
const PERCENT: std::ops::RangeInclusive<f64> = 0.0..=100.0;

const fn profile(name: &'static str, default: Option<f64>, most: f64, says: &'static str) -> Known {
    Known { name, default, bounds: 0.0..=most, says, source: "" }
}

/// What is planned for.
pub(crate) const PROFILE: [Known; 18] = [
    profile("users.daily", None, 1e10, "users who come in a day"),
    Known {
        bounds: PERCENT,
        ..profile("users.online_percent", Some(10.0), 0.0, "of them at once, in the busiest minute")
    },
    profile("users.devices", Some(1.5), 100.0, "devices online of a user who is"),
    profile("users.connects_a_day", Some(20.0), 1e5, "times that a device connects"),
    profile("messages.a_user_a_day", Some(40.0), 1e6, "messages that a user sends"),
    Known {
        bounds: 1.0..=1_000.0,
        ..profile("messages.peak_factor", Some(3.0), 0.0, "the busiest second over the mean")
    },
    profile("messages.text_bytes", Some(100.0), 400_000.0, "bytes of a message's text"),
    Known { bounds: PERCENT, ..profile("groups.share_percent", Some(30.0), 0.0, "of messages that go to groups") },
    Known {
        bounds: 3.0..=500.0,
        ..profile("groups.members", Some(20.0), 0.0, "members of a group, as a message meets them")
    },
    profile("history.years", Some(1.0), 100.0, "years of history that are kept, from an empty store"),
    Known { bounds: 1.0..=1_024.0, ..profile("cluster.node_cores", Some(16.0), 0.0, "cores of a node") },
    Known { bounds: 1.0..=1e5, ..profile("cluster.node_memory_gb", Some(64.0), 0.0, "memory of a node, in GB") },
    Known { bounds: 10.0..=1e6, ..profile("cluster.node_network_mbit", Some(10_000.0), 0.0, "its network, in Mbit/s") },
    Known {
        bounds: 1.0..=100.0,
        ..profile("cluster.utilization_percent", Some(50.0), 0.0, "of each that may be in use at the peak")
    },
    profile("cluster.spare_nodes", Some(2.0), 256.0, "nodes that may be gone: one lost, one restarted"),
    Known {
        bounds: 1.0..=5.0,
        ..profile("store.replicas", Some(3.0), 0.0, "copies of each row: 2 is double, 3 triple")
    },
    Known { bounds: 1.0..=100.0, ..profile("store.disk_fill_percent", Some(60.0), 0.0, "of a disk that may be full") },
    Known {
        bounds: 0.01..=1_000.0,
        ..profile("store.server_disk_tb", Some(4.0), 0.0, "disk of a storage server, in TB")
    },
];

const fn constant(name: &'static str, default: f64, says: &'static str, source: &'static str) -> Known {
    Known { name, default: Some(default), bounds: 0.0..=1e9, says, source }
}

/// What it is planned with.
pub(crate) const CONSTANTS: [Known; 17] = [
    constant("processor.direct_message_micros", 290.0, "of a core a direct message, to both members", CAPACITY),
    constant("processor.member_micros", 65.0, "of a core each further member of a message's channel", CAPACITY),
    constant("processor.connect_micros", 213.0, "of a core a session that connects", CAPACITY),
    constant("processor.session_micros_a_second", 0.9, "of a core an idle session, each second", CAPACITY),
    constant("memory.session_bytes", 1_835.0, "resident in a node, an idle session", CAPACITY),
    constant("memory.kernel_bytes", 3_762.0, "of the kernel, a connection at the node", CAPACITY),
    constant(
        "network.delivery_bytes",
        214.0,
        "to each member, a message beside its text, its share of the ack with it",
        CAPACITY,
    ),
    constant("store.message_rows", 3.0, "a message: itself, its channel's head, its first reply", SIZING),
    constant("store.member_rows", 1.0, "each member's inbox", SIZING),
    constant("store.rows_a_second_a_core", 50_000.0, "that a storage server's core takes for good", SIZING),
    constant("store.message_bytes", 130.0, "kept of a message beside its text: 300 less what is kept for days", SIZING),
    constant("store.reply_bytes", 70.0, "of a message's first reply", SIZING),
    constant("store.reply_days", 33.0, "that a first reply is kept", SIZING),
    constant("store.member_bytes", 50.0, "kept in each member's inbox", CAPACITY),
    constant("store.inbox_days", 30.0, "that an inbox is kept", SIZING),
    constant("store.index_percent", 44.6, "of the text, for search", SEARCH),
    constant("store.disk_overhead_percent", 50.0, "of rows, for pages that are not full (assumed)", SIZING),
];
