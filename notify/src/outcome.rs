//! What came of an attempt, in the classes that decide what is done next.

use std::fmt;

/// Why an attempt did not succeed. The class decides what is done next, whatever the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The target is no more: it is forgotten, and the job with it.
    Gone,
    /// The provider's trouble, which passes: tried again.
    Transient,
    /// Too much at once: tried again, no sooner than the provider says.
    Quota,
    /// Ours: a key or a certificate that does not count. The provider is left alone for a while, and no attempt counted.
    Credential,
    /// What was sent is not taken and will not be: it is dead.
    Payload,
    /// No answer, or none that is understood; the provider may have acted on it. Tried again.
    Network,
}

impl Fault {
    /// Every class.
    pub const ALL: &'static [Self] =
        &[Self::Gone, Self::Transient, Self::Quota, Self::Credential, Self::Payload, Self::Network];

    /// Its word in metrics and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Transient => "transient",
            Self::Quota => "quota",
            Self::Credential => "credential",
            Self::Payload => "payload",
            Self::Network => "network",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Characters of what a failure says for an operator.
const DETAIL_CHARS_MAX: usize = 200;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider has it.
    Sent {
        /// What the provider calls it, if it says.
        provider_id: Option<String>,
    },
    /// It has not, or nobody knows.
    Failed {
        /// The class.
        fault: Fault,
        /// How long the provider wants to be left alone.
        retry_after_ms: Option<u64>,
        /// What it said, for an operator: one line of at most 200 characters, no secret and no address in it.
        detail: String,
    },
}

impl Outcome {
    /// Failed, with nothing said of when to try again. Of the detail the first 200 characters are kept, and of a line
    /// break a space.
    #[must_use]
    pub fn failed(fault: Fault, detail: impl AsRef<str>) -> Self {
        let shown = |character: char| if character.is_control() { ' ' } else { character };
        let detail: String = detail.as_ref().trim().chars().map(shown).take(DETAIL_CHARS_MAX).collect();
        Self::Failed { fault, retry_after_ms: None, detail }
    }
}
