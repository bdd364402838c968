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

    /// Puts a record behind what waits, if that is within the bound. An empty queue takes whatever comes.
    pub(crate) fn try_push(&mut self, record: &[u8], bytes_max: usize) -> bool {
        let unsent_bytes = self.unsent_bytes();
        let fits = unsent_bytes == 0 || unsent_bytes + record.len() <= bytes_max;
        if fits {
            self.bytes.extend_from_slice(record);
        }
        fits
    }

    /// Encodes a frame behind what waits, unless it is longer than any may be or the bound would be passed.
    pub(crate) fn try_encode(&mut self, seq: u64, version: u64, frame: &MeshFrame, bytes_max: usize) -> bool {
        let (unsent_bytes, before) = (self.unsent_bytes(), self.bytes.len());
        // Full is full whatever the frame's size, and encoding is work.
        if unsent_bytes >= bytes_max && unsent_bytes > 0 {
            return false;
        }
        record::put_frame(seq, version, frame, &mut self.bytes);
        let record_bytes = self.bytes.len() - before;
        let fits = record_bytes <= RECORD_BYTES_MAX && (unsent_bytes == 0 || unsent_bytes + record_bytes <= bytes_max);
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
