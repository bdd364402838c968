//! Time and outputs of one turn of the shard: what all of its machines are given.
//!
//! Owns the order of outputs and of questions to the store, how many questions are open, and the turn from a frame for
//! this very shard into a local one. Machines decide; this carries, and knows none of them.

use std::collections::VecDeque;

use schema::mesh::{MeshBody, MeshFrame};
use schema::{CloseCode, Epoch, Incarnation, Now, OpReply, Owner, Refusal};
use wire::SharedFrame;

use crate::counters::{Counter, Counters};
use crate::io::{ConnId, Output};
use crate::order::Arrival;
use crate::placement::Placement;
use crate::store::{Question, Request};

#[derive(Debug)]
pub(crate) struct Effects {
    /// The time of this turn.
    pub(crate) now: Now,
    pub(crate) placement: Placement,
    outputs: VecDeque<Output>,
    local: VecDeque<MeshBody>,
    questions: VecDeque<Question>,
    /// Questions without an answer.
    open: u64,
    last_arrival: Arrival,
    pub(crate) counters: Counters,
}

impl Effects {
    pub(crate) fn new(now: Now, placement: Placement) -> Self {
        Self {
            now,
            placement,
            outputs: VecDeque::new(),
            local: VecDeque::new(),
            questions: VecDeque::new(),
            open: 0,
            last_arrival: Arrival::default(),
            counters: Counters::default(),
        }
    }

    /// Counts a refusal, an omission or a fault.
    pub(crate) fn count(&mut self, counter: Counter) {
        self.counters.count(counter);
    }

    /// The number of what came just now.
    pub(crate) fn arrival(&mut self) -> Arrival {
        self.last_arrival.0 += 1;
        self.last_arrival
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

    /// Asks the store; the answer goes to `waiter`.
    pub(crate) fn ask<R: Request>(&mut self, request: R, waiter: R::Waiter) {
        self.open += 1;
        self.questions.push_back(Question::new(request, waiter));
    }

    /// A question was answered.
    ///
    /// # Panics
    /// If none is open: the host answered one of another shard.
    pub(crate) fn answered(&mut self) {
        self.open = self.open.checked_sub(1).expect("I12: an answer came, and nothing is asked");
    }

    /// There is a view of this epoch, which is to be read.
    pub(crate) fn outdated(&mut self, epoch: Epoch) {
        self.outputs.push_back(Output::Outdated { epoch });
    }

    /// What came from a peer could not be kept.
    pub(crate) fn lost(&mut self, incarnation: Incarnation) {
        self.outputs.push_back(Output::Lost { incarnation });
    }

    /// Tells a shard, be it this one. Of a life that is in no view any more nobody hears.
    pub(crate) fn mesh(&mut self, to: Owner, body: MeshBody) {
        let from = self.placement.me;
        if to == from {
            self.local.push_back(body);
        } else if self.placement.view().member(to.incarnation).is_some() {
            let frame = MeshFrame { from, to, epoch: self.placement.view().epoch, body };
            self.outputs.push_back(Output::Mesh { frame });
        }
    }

    /// The next frame from this shard to itself.
    pub(crate) fn next_local(&mut self) -> Option<MeshBody> {
        self.local.pop_front()
    }

    pub(crate) fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub(crate) fn next_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// Questions to the store without an answer yet.
    pub(crate) fn open(&self) -> u64 {
        self.open
    }
}
