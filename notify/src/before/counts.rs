//! What is counted of questions to applications.

use std::sync::atomic::{AtomicU64, Ordering};

/// What came of one question to one hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
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

impl Came {
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

/// How often each came.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Came::ALL.len()]);

impl Counts {
    pub(super) fn note(&self, came: Came) {
        self.0[came as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often this came since the start.
    #[must_use]
    pub fn of(&self, came: Came) -> u64 {
        self.0[came as usize].load(Ordering::Relaxed)
    }
}
