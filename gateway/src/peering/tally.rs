//! Connections to the links' port that came to nothing, for an operator.
//!
//! Owns their counts by what was wrong, and which of them is said: a stranger who comes ten thousand times is one line
//! and a count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use link::handshake::HandshakeError;

use super::introduction::IntroductionError;

/// How long no further line is written of what was wrong in the same way.
const QUIET: Duration = Duration::from_secs(10);

macro_rules! reasons {
    ($($name:ident = $label:literal;)*) => {
        /// What was wrong with a connection.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Reason {
            $($name,)*
        }

        impl Reason {
            const LABELS: &[&str] = &[$($label,)*];
        }

        const REASONS: usize = Reason::LABELS.len();
    };
}

reasons! {
    // It is no node, or not one of this cluster.
    Garbage = "garbage";
    Secret = "secret";
    Tls = "tls";
    Version = "version";
    // A node that means another life than this, or itself.
    Incarnation = "incarnation";
    Malformed = "malformed";
    // It went, or said nothing, before it had introduced itself.
    Closed = "closed";
    Late = "late";
    // It had to make room for others that wanted to introduce themselves.
    Crowded = "crowded";
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: [AtomicU64; REASONS],
    said: Mutex<[Option<Instant>; REASONS]>,
}

impl Tally {
    /// Counts a connection. Returns whether a line is to be written of it.
    pub(super) fn count(&self, reason: Reason) -> bool {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
        let said = &mut self.said.lock().unwrap_or_else(PoisonError::into_inner)[reason as usize];
        let is_news = said.is_none_or(|at| at.elapsed() >= QUIET);
        if is_news {
            *said = Some(Instant::now());
        }
        is_news
    }

    /// The counts, each by what was wrong.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Reason::LABELS.iter().copied().zip(counts)
    }
}

impl From<&IntroductionError> for Reason {
    fn from(error: &IntroductionError) -> Self {
        match error {
            IntroductionError::Io(_) => Self::Closed,
            IntroductionError::Late => Self::Late,
            IntroductionError::Tls(_) | IntroductionError::NoTls => Self::Tls,
            IntroductionError::Handshake(error) => match error {
                HandshakeError::Garbage { .. } => Self::Garbage,
                HandshakeError::WrongSecret { .. } => Self::Secret,
                HandshakeError::OtherVersion { .. } => Self::Version,
                HandshakeError::OtherIncarnation { .. } | HandshakeError::Itself { .. } => Self::Incarnation,
                HandshakeError::TooLong { .. }
                | HandshakeError::Malformed { .. }
                | HandshakeError::LinkOutOfRange { .. } => Self::Malformed,
                HandshakeError::Closed { .. } => Self::Closed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_counted_and_said_once_in_a_while() {
        let tally = Tally::default();
        let said: Vec<bool> = [Reason::Garbage, Reason::Garbage, Reason::Late, Reason::Garbage, Reason::Late]
            .map(|reason| tally.count(reason))
            .into();
        assert_eq!(said, [true, false, true, false, false]);
        let counts: Vec<_> = tally.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [("garbage", 3), ("late", 2)]);
    }
}
