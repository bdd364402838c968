//! One account in its channel: what it wrote, what it was pushed, and what it was told of what it wrote.

use schema::{Seq, UserId};

use super::absence::Absence;
use super::history::Sender;
use super::outbox::Outbox;
use crate::sequence::Sequence;

/// An account.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) user: UserId,
    pub(super) channel: usize,
    /// The request for the channel's head before the run; seqs count from there once it is answered.
    pub(super) asked: Option<u32>,
    pub(super) ready: bool,
    /// Of the channel's seqs after its base, which this member was pushed.
    pub(super) received: Sequence,
    pub(super) next_request: u32,
    pub(super) written: u64,
    pub(super) acked: u64,
    /// Its messages, each as the first who was told of a seq was told.
    pub(super) told: Sequence,
    pub(super) outbox: Outbox,
    pub(super) absence: Absence,
    /// The newest of its messages that was acknowledged, and where it is.
    pub(super) last_acked: Option<(u64, Seq)>,
}

impl Member {
    pub(super) fn new(user: UserId, channel: usize) -> Self {
        Self {
            user,
            channel,
            asked: None,
            ready: false,
            received: Sequence::of_unknown_length(),
            next_request: 2,
            written: 0,
            acked: 0,
            told: Sequence::of_unknown_length(),
            outbox: Outbox::default(),
            absence: Absence::default(),
            last_acked: None,
        }
    }

    pub(super) fn next_request(&mut self) -> u32 {
        let id = self.next_request;
        self.next_request = id.checked_add(1).unwrap_or(2);
        id
    }

    /// Its session is gone: what had no answer will have none.
    pub(super) fn disconnected(&mut self, now_ns: u64) {
        self.outbox.cut();
        if self.ready {
            self.absence.lost(now_ns);
        } else {
            self.asked = None;
        }
    }

    /// Whether a request of its is without an answer.
    pub(super) fn waits(&self) -> bool {
        self.outbox.in_flight() > 0 || (self.asked.is_some() && !self.ready)
    }

    /// What its messages in the history are compared with.
    pub(super) fn sender(&self, connection: usize) -> Sender {
        Sender { connection, acked: self.acked, open: self.outbox.numbers().collect() }
    }
}
