//! Nodes of a store, as one of them sees them: in full for operators, and briefly for clients that look for one.
//!
//! Owns the forms of both. What stands in them is [`Node`](crate::Node)'s to say.

use std::sync::Arc;

use schema::{Incarnation, UnixMs, View};
use serde::{Deserialize, Serialize};

/// The answer of `GET /admin/nodes`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Nodes {
    /// The incarnation of the node that was asked, in hexadecimal digits as everywhere here. None where the store was
    /// read instead.
    pub asked: Option<String>,
    /// The epoch of the view.
    pub epoch: u64,
    /// All nodes, by name.
    pub nodes: Vec<NodeShown>,
    /// The links of the node that was asked, by peer and number.
    pub links: Vec<LinkShown>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeShown {
    /// What its operator calls it; its incarnation, if its registration cannot be read.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Its life.
    pub incarnation: String,
    /// What it has to do with partitions.
    pub standing: Part,
    /// Whether it has said nothing for a lease: the others go on without it as soon as they may.
    pub silent: bool,
    /// The epoch that it goes by, as it said last.
    pub epoch: Option<u64>,
    /// Partitions that it owns.
    pub partitions: u32,
    /// Shards that it runs.
    pub shards: u16,
    /// Its share of the partitions, beside the shares of the others.
    pub weight: u16,
    /// Its sessions, as it said last.
    pub sessions: Option<u32>,
    /// Its connections as a part of the most that it takes, from 0 to 1.
    pub load: Option<f32>,
    /// Time since its last heartbeat that was seen.
    pub beat_ms: Option<u64>,
    /// Milliseconds that its clock is ahead at the least of the clock of whoever looked, behind where negative.
    pub clock_ahead_ms: Option<i64>,
    /// Where its clients connect.
    pub ws_url: String,
    /// Where its API is.
    pub api_url: String,
    /// Where other nodes connect; empty if it works alone.
    pub links: String,
    /// When it registered.
    pub since_ms: Option<UnixMs>,
}

/// The part of a node among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It owns partitions, or will.
    Home,
    /// It hands them over, since it is going to stop.
    Draining,
    /// It carries clients and owns nothing.
    Guest,
    /// It is going to be in the view.
    Joining,
    /// It waits until the members are gone, as it or they have no links.
    StandingBy,
}

/// One link of a node to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkShown {
    /// The name of the other node.
    pub peer: String,
    /// Its life.
    pub incarnation: String,
    /// Which of the links between the two.
    pub number: u16,
    /// Whether frames go through.
    pub state: LinkState,
    /// When its connection was made.
    pub since_ms: Option<UnixMs>,
    /// When bytes last came.
    pub heard_ms: Option<UnixMs>,
    /// Frames that must arrive and are not acknowledged.
    pub unacknowledged: u64,
    /// Bytes that wait for the network.
    pub unsent_bytes: u64,
    /// Frames given to it.
    pub sent: u64,
    /// Frames that arrived.
    pub received: u64,
    /// Frames left out, since it was down or its queue full.
    pub dropped: u64,
    /// Frames sent again.
    pub resent: u64,
    /// Gaps that were told.
    pub gaps: u64,
    /// New beginnings.
    pub resets: u64,
    /// Why dialling failed the last time, if it has not succeeded since.
    pub error: Option<String>,
    /// How long ago that was.
    pub error_ms: Option<u64>,
}

/// Whether frames go through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// They do.
    Up,
    /// There is a connection, and its ends have not agreed yet where to go on.
    Opening,
    /// There is none.
    Down,
}

/// The nodes that clients may be sent to, and who is home of whom.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    /// The life of this node.
    pub me: Incarnation,
    /// The partition table.
    pub view: Option<Arc<View>>,
    /// The members that live and can be reached, this node among them. None where there is no other.
    pub nodes: Vec<Peer>,
}

/// A node that clients may be sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Its life.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Where clients connect, without a path.
    pub ws_url: String,
    /// Where its API is.
    pub api_url: String,
    /// Connections as a part of the most that it takes, from 0 to 1.
    pub load: f32,
    /// Whether it sends its clients away.
    pub is_draining: bool,
}

/// The address for WebSocket clients of a node of this origin.
#[must_use]
pub fn ws_address(origin: &str) -> String {
    format!("{origin}/connection/websocket")
}
