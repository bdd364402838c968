//! Findings: the first faults of a run, each in words, so that they can be looked up in a server's log.

use serde::Serialize;

/// Findings that are kept. A run that has more has one cause for most.
const FINDINGS_MAX: usize = 16;

/// The first of them, in the order in which they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    /// Keeps a finding if there is room; only then it is put in words.
    pub(crate) fn note(&mut self, finding: impl FnOnce() -> String) {
        if self.0.len() < FINDINGS_MAX {
            self.0.push(finding());
        }
    }

    /// Keeps those of another as far as there is room.
    pub(crate) fn add(&mut self, other: Self) {
        other.0.into_iter().for_each(|finding| self.note(|| finding));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, String)> {
        let label = |at| if at == 0 { "first found" } else { "" };
        self.0.iter().enumerate().map(move |(at, finding)| (label(at), finding.clone()))
    }
}
