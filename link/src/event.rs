//! What a link tells its driver, and its figures.

use schema::Instant;
use schema::mesh::MeshFrame;

/// What has happened on a link, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are frames, and each is taken before the next is read")]
pub enum LinkEvent {
    /// The peer has said where to resume: from here on frames reach it.
    Up,
    /// A frame has arrived.
    Frame {
        /// The frame.
        frame: MeshFrame,
        /// The version of the store below which nothing may be read for it.
        version: u64,
    },
    /// Frames in either direction were lost before this, none of which had to arrive. Both ends are told: questions
    /// without an answer are to be asked again. Told once a second at most, and only while frames go through.
    Gap,
    /// Both ends begin afresh. Whatever the peer had said is void, and it will forget what this end has said; frames
    /// that come from here on were sent after the peer was told the same. What is to be said again is best said once
    /// [`Self::Up`] follows: until then it is kept within the bound that may just have been passed.
    PeerLost {
        /// The number of the new beginning.
        generation: u64,
    },
    /// Nothing has come for too long. The link has given its connection up, which is to be closed.
    Silent,
}

/// The state of a link and what it has done since it was made, for metrics and an operator's view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// When the connection was made, if there is one.
    pub connected_since: Option<Instant>,
    /// When bytes last came, on this connection or an earlier one.
    pub heard_at: Option<Instant>,
    /// Whether frames go through.
    pub is_open: bool,
    /// The number of the last new beginning, from 1.
    pub generation: u64,
    /// Bytes that wait for the network.
    pub unsent_bytes: usize,
    /// Memory of the frames that must arrive and are not acknowledged.
    pub resend_bytes: usize,
    /// Number of the frames that must arrive and are not acknowledged: how far the peer is behind.
    pub unacknowledged: usize,
    /// Frames that were given to the link.
    pub sent: u64,
    /// Frames that have arrived.
    pub received: u64,
    /// Frames that were given to the link and left out, since it was down or its queue full.
    pub dropped: u64,
    /// Frames sent again.
    pub resent: u64,
    /// Frames that arrived a second time and were left out.
    pub duplicates: u64,
    /// Frames that arrived and that only a later version understands.
    pub skipped: u64,
    /// Gaps that were told.
    pub gaps: u64,
    /// New beginnings.
    pub resets: u64,
    /// Connections.
    pub connections: u64,
}
