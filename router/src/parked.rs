//! Frames that were addressed under newer views than this shard's, until it goes by one as new.
//!
//! Owns their order and their bound for each peer (I11). Beyond it, or after a time in which no view came, what the peer
//! sends under such a view is left out, and once the view is there both sides are to begin anew: earlier the peer would
//! only send it again. Whoever waits here is looked at each second (I12).

use std::collections::{BTreeMap, VecDeque};

use schema::limits::PARKED_BYTES_MAX;
use schema::mesh::MeshFrame;
use schema::{Epoch, Incarnation, Instant};

/// Time that a view is waited for: one that is there is read with the next heartbeat.
const PARKED_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Parked {
    peers: BTreeMap<Incarnation, Peer>,
}

#[derive(Debug)]
struct Peer {
    /// It is this very node: what that knows this shard does too in its next turn, so nothing is left out.
    is_own: bool,
    since: Instant,
    /// The newest view under which it has sent something.
    newest: Epoch,
    /// Each with its bytes, which take a walk through it to count.
    frames: VecDeque<(usize, MeshFrame)>,
    bytes: usize,
    /// Frames were left out.
    is_over: bool,
}

impl Peer {
    fn leave_out(&mut self) {
        (self.is_over, self.bytes) = (true, 0);
        self.frames = VecDeque::new();
    }
}

/// What a newer view brings back.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The frames, those of each peer in their order.
    pub(crate) frames: Vec<MeshFrame>,
    /// Peers of whom frames were left out.
    pub(crate) lost: Vec<Incarnation>,
}

impl Parked {
    /// Keeps a frame, or leaves it out.
    pub(crate) fn keep(&mut self, now: Instant, frame: MeshFrame) {
        let incarnation = frame.from.incarnation;
        let (is_own, since, newest) = (incarnation == frame.to.incarnation, now, frame.epoch);
        let fresh = || Peer { is_own, since, newest, frames: VecDeque::new(), bytes: 0, is_over: false };
        let peer = self.peers.entry(incarnation).or_insert_with(fresh);
        peer.newest = peer.newest.max(frame.epoch);
        if peer.is_over {
            return;
        }
        let bytes = frame.held_bytes();
        peer.bytes += bytes;
        peer.frames.push_back((bytes, frame));
        if !peer.is_own && peer.bytes > PARKED_BYTES_MAX as usize {
            tracing::warn!(peer = incarnation.0, bytes = peer.bytes, "frames of a newer view are more than are kept");
            peer.leave_out();
        }
    }

    /// Takes what a view of this epoch is new enough for.
    pub(crate) fn take(&mut self, epoch: Epoch) -> Taken {
        let mut taken = Taken::default();
        self.peers.retain(|&incarnation, peer| {
            let ready = peer.frames.iter().take_while(|(_, frame)| frame.epoch <= epoch).count();
            for (bytes, frame) in peer.frames.drain(..ready) {
                peer.bytes -= bytes;
                taken.frames.push(frame);
            }
            if peer.is_over && peer.newest <= epoch {
                taken.lost.push(incarnation);
            }
            peer.newest > epoch
        });
        taken
    }

    /// Forgets what a peer has sent.
    pub(crate) fn forget(&mut self, incarnation: Incarnation) {
        self.peers.remove(&incarnation);
    }

    /// A second has passed: what has waited for too long is left out. Returns the newest view that is waited for.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Epoch> {
        for (incarnation, peer) in &mut self.peers {
            if !peer.is_own && !peer.is_over && now >= peer.since.plus_ms(PARKED_MS) {
                tracing::warn!(peer = incarnation.0, bytes = peer.bytes, "the view that frames wait for does not come");
                peer.leave_out();
            }
        }
        self.peers.values().map(|peer| peer.newest).max()
    }

    /// Bytes of frames that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.peers.values().map(|peer| peer.bytes as u64).sum()
    }
}
