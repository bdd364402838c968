//! The row `heartbeat`: what a node says of itself each second.

use schema::{Epoch, UnixMs};

use crate::fields::of_fields;

/// What a node says with a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// One more than the last time.
    pub count: u64,
    /// The view that the node's shards go by.
    pub epoch: Epoch,
    /// The node's own wall clock.
    pub wall: UnixMs,
    /// How much it has to do.
    pub load: Load,
}

/// How much a node has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Connections that speak the protocol.
    pub sessions: u32,
    /// Open connections as a part of the most that it takes, in thousandths.
    pub permille: u16,
}

of_fields! {
    Said { count: u64, epoch: Epoch, wall: UnixMs, load: Load }
    Load { sessions: u32, permille: u16 }
}
