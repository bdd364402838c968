//! What a turn of the shard wants done, gathered from its machines.
//!
//! Owns the outputs' order, the numbers of store operations with who waits for each, and the turn from a frame for this
//! very shard into a local one. Machines decide; this carries.

use std::collections::{BTreeMap, VecDeque};

use schema::mesh::{MeshBody, MeshFrame};
use schema::{ChannelId, CloseCode, OpReply, Owner, Refusal};
use wire::SharedFrame;

use crate::channel::Admitted;
use crate::feed::Check;
use crate::home::HomeOp;
use crate::io::{ConnId, OpId, Output, StoreOp};
use crate::placement::Placement;
use crate::session::SessionOp;

/// Who waits for a store operation.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// A session.
    Session(ConnId, SessionOp),
    /// A channel's home.
    Channel(Admitted),
    /// A users' home.
    Home(HomeOp),
    /// A large channel's home.
    Feed(Check),
    /// The indexer of channels.
    Index(ChannelId),
}

#[derive(Debug)]
pub(crate) struct Effects {
    pub(crate) placement: Placement,
    outputs: VecDeque<Output>,
    local: VecDeque<MeshBody>,
    waiting: BTreeMap<OpId, Waiting>,
    next_op: u64,
}

impl Effects {
    pub(crate) fn new(placement: Placement) -> Self {
        Self { placement, outputs: VecDeque::new(), local: VecDeque::new(), waiting: BTreeMap::new(), next_op: 0 }
    }

    pub(crate) fn send(&mut self, conn: ConnId, frame: SharedFrame) {
        self.outputs.push_back(Output::Send { conn, frame });
    }

    pub(crate) fn ping(&mut self, conn: ConnId) {
        self.outputs.push_back(Output::Ping { conn });
    }

    pub(crate) fn close(&mut self, conn: ConnId, code: CloseCode) {
        self.outputs.push_back(Output::Close { conn, code });
    }

    pub(crate) fn reads(&mut self, conn: ConnId, on: bool) {
        self.outputs.push_back(Output::Reads { conn, on });
    }

    pub(crate) fn reply(&mut self, ticket: u64, reply: Result<OpReply, Refusal>) {
        self.outputs.push_back(Output::Reply { ticket, reply });
    }

    /// Asks the store; the answer goes to `waiting`.
    pub(crate) fn store(&mut self, store: StoreOp, waiting: Waiting) {
        let op = OpId(self.next_op);
        self.next_op += 1;
        self.waiting.insert(op, waiting);
        self.outputs.push_back(Output::Store { op, store });
    }

    /// Who waits for this answer.
    ///
    /// # Panics
    /// If nobody does: the host answered what was not asked, or twice.
    pub(crate) fn stored(&mut self, op: OpId) -> Waiting {
        self.waiting.remove(&op).unwrap_or_else(|| panic!("I12: {op:?} was not asked or was answered before"))
    }

    /// Tells a shard, be it this one.
    pub(crate) fn mesh(&mut self, to: Owner, body: MeshBody) {
        let from = self.placement.me;
        if to == from {
            self.local.push_back(body);
        } else {
            let frame = MeshFrame { from, epoch: self.placement.view().epoch, body };
            self.outputs.push_back(Output::Mesh { to, frame });
        }
    }

    /// The next frame from this shard to itself.
    pub(crate) fn next_local(&mut self) -> Option<MeshBody> {
        self.local.pop_front()
    }

    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Store operations without an answer yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}
