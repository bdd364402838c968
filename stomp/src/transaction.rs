//! Transactions: frames that wait for their COMMIT.
//!
//! Owns the frames and their bounds (I11). They are not atomic: COMMIT lets them go one after the other, as if they came
//! then, and ABORT forgets them.

use std::collections::BTreeMap;

use schema::{ErrorCode, Refusal};

use crate::frame::Frame;

/// Transactions of a session that have begun.
const TRANSACTIONS_MAX: usize = 16;
/// Frames of all of them.
const FRAMES_MAX: usize = 100;
/// Bytes of the bodies and headers of these.
const BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Transactions {
    begun: BTreeMap<String, Vec<Frame>>,
    frames: usize,
    bytes: usize,
}

impl Transactions {
    pub(crate) const NONE: Self = Self { begun: BTreeMap::new(), frames: 0, bytes: 0 };

    /// Whether none has begun.
    pub(crate) fn are_none(&self) -> bool {
        self.begun.is_empty()
    }

    pub(crate) fn begin(&mut self, name: &str) -> Result<(), Refusal> {
        if self.begun.contains_key(name) {
            return Err(Refusal::new(ErrorCode::BadRequest, "the transaction has begun already"));
        }
        if self.begun.len() == TRANSACTIONS_MAX {
            let message = format!("{TRANSACTIONS_MAX} transactions have begun, the limit");
            return Err(Refusal::new(ErrorCode::LimitExceeded, message));
        }
        self.begun.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    /// Keeps a frame for its COMMIT.
    pub(crate) fn keep(&mut self, name: &str, frame: Frame) -> Result<(), Refusal> {
        let Some(frames) = self.begun.get_mut(name) else { return Err(unknown()) };
        let bytes = bytes_of(&frame);
        if self.frames == FRAMES_MAX || self.bytes + bytes > BYTES_MAX {
            let message = format!("transactions hold {FRAMES_MAX} frames and {BYTES_MAX} bytes at the most");
            return Err(Refusal::new(ErrorCode::LimitExceeded, message));
        }
        self.frames += 1;
        self.bytes += bytes;
        frames.push(frame);
        Ok(())
    }

    /// Ends a transaction. Returns what it kept.
    pub(crate) fn end(&mut self, name: &str) -> Result<Vec<Frame>, Refusal> {
        let frames = self.begun.remove(name).ok_or_else(unknown)?;
        self.frames -= frames.len();
        self.bytes -= frames.iter().map(bytes_of).sum::<usize>();
        Ok(frames)
    }
}

fn bytes_of(frame: &Frame) -> usize {
    frame.body.len() + frame.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

fn unknown() -> Refusal {
    Refusal::new(ErrorCode::BadRequest, "no transaction of this name has begun")
}
