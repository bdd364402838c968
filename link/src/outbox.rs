//! Bytes on their way to the network.
//!
//! Owns their number (I11): those that were not taken yet, and those that were and are not written.

use schema::mesh::MeshFrame;

use crate::record::{self, KEPT_BYTES_MAX, RECORD_BYTES_MAX, Record};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Whole records.
    bytes: Vec<u8>,
    /// Bytes that were taken and are not written yet.
    in_flight: usize,
}

impl Outbox {
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.bytes.len() + self.in_flight
    }

    /// Whether at least half of the bound is free: then whatever comes is taken. What is told to be missing is asked
    /// again from then on, and were a large frame to wait for an empty queue, the small ones that are asked along with it
    /// would be in its way each time.
    pub(crate) fn is_half_free(&self, bytes_max: usize) -> bool {
        2 * self.unsent_bytes() <= bytes_max
    }

    fn has_room(&self, record_bytes: usize, bytes_max: usize) -> bool {
        self.is_half_free(bytes_max) || self.unsent_bytes() + record_bytes <= bytes_max
    }

    /// Puts a record behind what waits, if there is room for it.
    pub(crate) fn try_push(&mut self, record: &[u8], bytes_max: usize) -> bool {
        let fits = self.has_room(record.len(), bytes_max);
        if fits {
            self.bytes.extend_from_slice(record);
        }
        fits
    }

    /// Encodes a frame behind what waits, unless it is longer than any may be or there is no room for it.
    pub(crate) fn try_encode(&mut self, seq: u64, version: u64, frame: &MeshFrame, bytes_max: usize) -> bool {
        // Full is full whatever the frame's size, and encoding is work.
        if !self.has_room(0, bytes_max) {
            return false;
        }
        let (is_half_free, before) = (self.is_half_free(bytes_max), self.bytes.len());
        record::put_frame(seq, version, frame, &mut self.bytes);
        let record_bytes = self.bytes.len() - before;
        let fits = record_bytes <= RECORD_BYTES_MAX && (is_half_free || self.unsent_bytes() <= bytes_max);
        if !fits {
            self.bytes.truncate(before);
        }
        fits
    }

    /// Puts a record of the link's own, whatever waits.
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        record.put(&mut self.bytes);
    }

    /// Forgets what was not taken.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Hands over what was not taken.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        self.in_flight += self.bytes.len();
        if out.is_empty() {
            std::mem::swap(out, &mut self.bytes);
        } else {
            out.append(&mut self.bytes);
        }
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = Vec::new();
        }
    }

    /// The network has taken these.
    pub(crate) fn written(&mut self, bytes: usize) {
        assert!(bytes <= self.in_flight, "I11: {bytes} bytes were written of {} that were taken", self.in_flight);
        self.in_flight -= bytes;
    }

    /// Gives memory back that nothing needs now.
    pub(crate) fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }
}
