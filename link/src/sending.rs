//! The direction to the peer.
//!
//! Owns the numbers of frames, the choice between sending, keeping and leaving one out, and how far the peer knows of
//! them. Knows no time, and nothing of generations: its link says when numbers begin again.

use schema::limits::{NODE_LINK_RESEND_BYTES_MAX, NODE_LINK_UNSENT_BYTES_MAX};
use schema::mesh::MeshFrame;

use crate::error::LinkError;
use crate::outbox::Outbox;
use crate::record::{self, RECORD_BYTES_MAX, Record};
use crate::resend::{Resend, kept_bytes};

/// The bounds of one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes that wait for the network. While half of them are free a frame is taken whatever its size.
    pub unsent_bytes_max: usize,
    /// Memory of the frames that must arrive and are not acknowledged.
    pub resend_bytes_max: usize,
}

impl Default for Bounds {
    /// The limits of [`schema::limits`].
    fn default() -> Self {
        Self {
            unsent_bytes_max: NODE_LINK_UNSENT_BYTES_MAX as usize,
            resend_bytes_max: NODE_LINK_RESEND_BYTES_MAX as usize,
        }
    }
}

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct Sending {
    bounds: Bounds,
    /// The last number that was given, to a frame that was sent, kept or left out.
    seq: u64,
    /// Up to here the peer has acknowledged.
    acknowledged: u64,
    /// The last number of a frame that was sent and is not kept; 0 once it is settled.
    unkept: u64,
    /// The last number of which the present connection lets the peer know that it is or will not be sent.
    told: u64,
    resend: Resend,
    outbox: Outbox,
}

impl Sending {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let (resend, outbox) = (Resend::default(), Outbox::default());
        Self { bounds, seq: 0, acknowledged: 0, unkept: 0, told: 0, resend, outbox }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outbox.unsent_bytes()
    }

    /// Whether there is room for what is asked again.
    pub(crate) fn is_half_free(&self) -> bool {
        self.outbox.is_half_free(self.bounds.unsent_bytes_max)
    }

    pub(crate) fn resend(&self) -> &Resend {
        &self.resend
    }

    /// A frame that must arrive is kept, and goes as soon as it can. Returns whether there was room for it.
    pub(crate) fn keep(&mut self, frame: &MeshFrame, version: u64, is_open: bool) -> bool {
        self.seq += 1;
        let mut record = Vec::new();
        record::put_frame(self.seq, version, frame, &mut record);
        let held_bytes = self.resend.bytes() + kept_bytes(record.len());
        if record.len() > RECORD_BYTES_MAX || held_bytes > self.bounds.resend_bytes_max {
            return false;
        }
        self.resend.keep(self.seq, record);
        if is_open {
            self.give_kept();
        }
        true
    }

    /// A frame that need not arrive goes now, behind those that must, or is left out. Returns whether it goes.
    pub(crate) fn pass(&mut self, frame: &MeshFrame, version: u64, is_open: bool) -> bool {
        self.seq += 1;
        let goes = is_open
            && self.give_kept()
            && self.outbox.try_encode(self.seq, version, frame, self.bounds.unsent_bytes_max);
        if goes {
            self.unkept = self.seq;
            self.told = self.seq;
        }
        goes
    }

    /// Gives the connection the frames that it was not given yet, within the bound. Returns whether that were all.
    pub(crate) fn give_kept(&mut self) -> bool {
        while let Some(kept) = self.resend.next() {
            if !self.outbox.try_push(&kept.record, self.bounds.unsent_bytes_max) {
                return false;
            }
            let seq = kept.seq;
            self.resend.give(seq);
            self.told = seq;
        }
        true
    }

    /// Whether the last numbers are of frames that were left out, so that no frame tells the peer of them.
    pub(crate) fn is_to_tell(&self) -> bool {
        self.told < self.seq
    }

    /// Sends a beat. Returns whether there was room for it.
    pub(crate) fn beat(&mut self, is_open: bool, received_through: u64, skipped: u64) -> bool {
        let is_all_given = is_open && self.resend.next().is_none();
        let sent_through = if is_all_given { self.seq } else { self.told };
        let mut beat = Vec::new();
        Record::Beat { sent_through, received_through, skipped }.put(&mut beat);
        let goes = self.outbox.try_push(&beat, self.bounds.unsent_bytes_max);
        if goes {
            self.told = sent_through;
        }
        goes
    }

    /// Sends a record of the link's own, whatever waits.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        self.outbox.push(record);
    }

    /// A new connection goes on behind this number. Returns whether frames were under way on an earlier one that are
    /// not sent again, or nothing if the peer cannot have received just this.
    pub(crate) fn resume(&mut self, through: u64) -> Option<bool> {
        if through > self.seq || through < self.acknowledged {
            return None;
        }
        self.acknowledged = through;
        self.told = through;
        self.resend.resume(through);
        Some(std::mem::take(&mut self.unkept) > through)
    }

    /// The peer has received everything up to here.
    pub(crate) fn acknowledge(&mut self, through: u64) -> Result<(), LinkError> {
        if through > self.seq {
            return Err(LinkError::AcknowledgesUnsent { through, sent: self.seq });
        }
        self.acknowledged = through.max(self.acknowledged);
        self.resend.acknowledge(through);
        Ok(())
    }

    /// Hands over what is to be written now.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        self.outbox.take(out);
    }

    /// The network has taken these.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.outbox.written(bytes);
    }

    /// What was under way is lost, and the next connection has told the peer of nothing yet.
    pub(crate) fn disconnected(&mut self) {
        self.outbox = Outbox::default();
        self.told = 0;
    }

    /// Numbers begin again, and nothing is owed.
    pub(crate) fn restart(&mut self) {
        (self.seq, self.acknowledged, self.unkept, self.told) = (0, 0, 0, 0);
        self.resend.restart();
        self.outbox.clear();
    }

    /// Gives memory back that nothing needs now.
    pub(crate) fn release(&mut self) {
        self.resend.release();
        self.outbox.release();
    }
}
