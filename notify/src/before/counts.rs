//! Counters of questions to applications, by their outcome.

use std::sync::atomic::{AtomicU64, Ordering};

/// Outcome of one question to one hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskOutcome {
    /// It may be done.
    Allowed,
    /// It is done with another text.
    Changed,
    /// It is not done.
    Refused,
    /// No answer in time, or none that is understood.
    Failed,
    /// It was not asked, since it failed several times in a row.
    LeftAlone,
    /// It was not asked, since too much waits for it: refused for now (114).
    Full,
}

impl AskOutcome {
    /// Each.
    pub const ALL: [Self; 6] = [Self::Allowed, Self::Changed, Self::Refused, Self::Failed, Self::LeftAlone, Self::Full];

    /// Its word in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Changed => "changed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::LeftAlone => "left_alone",
            Self::Full => "full",
        }
    }
}

/// Count of each.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; AskOutcome::ALL.len()]);

impl Counts {
    pub(super) fn note(&self, outcome: AskOutcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often this came since the start.
    #[must_use]
    pub fn of(&self, outcome: AskOutcome) -> u64 {
        self.0[outcome as usize].load(Ordering::Relaxed)
    }
}
