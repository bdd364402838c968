//! Frames that must arrive, kept until the peer has acknowledged them.
//!
//! Owns their order, their memory (I11), and which of them the present connection has been given.

use std::collections::VecDeque;

/// A frame as it is sent, each time with the same number.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) seq: u64,
    pub(crate) record: Box<[u8]>,
}

/// Memory that a kept record takes.
pub(crate) fn kept_bytes(record_bytes: usize) -> usize {
    record_bytes + size_of::<Kept>()
}

#[derive(Debug, Default)]
pub(crate) struct Resend {
    /// With ascending numbers.
    kept: VecDeque<Kept>,
    bytes: usize,
    /// The last number that the present connection was given.
    given: u64,
    /// The last number that any connection was given.
    ever_given: u64,
    /// Frames that were given to more than one connection.
    resent: u64,
}

impl Resend {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn resent(&self) -> u64 {
        self.resent
    }

    pub(crate) fn keep(&mut self, seq: u64, record: Vec<u8>) {
        let record = record.into_boxed_slice();
        self.bytes += kept_bytes(record.len());
        self.kept.push_back(Kept { seq, record });
    }

    /// The peer has everything up to here.
    pub(crate) fn acknowledge(&mut self, through: u64) {
        while let Some(kept) = self.kept.pop_front_if(|kept| kept.seq <= through) {
            self.bytes -= kept_bytes(kept.record.len());
        }
    }

    /// A new connection goes on behind this number.
    pub(crate) fn resume(&mut self, through: u64) {
        self.acknowledge(through);
        self.given = through;
    }

    /// The first frame that the present connection was not given.
    pub(crate) fn next(&self) -> Option<&Kept> {
        self.kept.back().filter(|last| last.seq > self.given)?;
        self.kept.get(self.kept.partition_point(|kept| kept.seq <= self.given))
    }

    /// The present connection has been given the frame with this number.
    pub(crate) fn give(&mut self, seq: u64) {
        self.given = seq;
        self.resent += u64::from(seq <= self.ever_given);
        self.ever_given = self.ever_given.max(seq);
    }

    /// Numbers begin again.
    pub(crate) fn restart(&mut self) {
        *self = Self { resent: self.resent, ..Self::default() };
    }

    /// Gives memory back that nothing needs now.
    pub(crate) fn release(&mut self) {
        if self.kept.is_empty() {
            self.kept = VecDeque::new();
        }
    }
}
