//! Attempts of this node to dial others that came to nothing, for an operator.
//!
//! Owns the last failure of each link that is dialled, until it is connected or dialled no more.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use schema::Incarnation;

/// A failure, and when it was.
pub(crate) type Failure = (Instant, String);

/// See the module. Bounded by the links of a view.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<(Incarnation, u16), Failure>>);

impl Attempts {
    /// The last failure of each link that has failed last.
    pub(crate) fn failures(&self) -> BTreeMap<(Incarnation, u16), Failure> {
        self.lock().clone()
    }

    pub(super) fn failed(&self, peer: Incarnation, number: u16, error: String) {
        self.lock().insert((peer, number), (Instant::now(), error));
    }

    pub(super) fn connected(&self, peer: Incarnation, number: u16) {
        self.lock().remove(&(peer, number));
    }

    /// Only these are dialled from now on.
    pub(super) fn retain(&self, is_dialled: impl Fn(Incarnation) -> bool) {
        self.lock().retain(|(peer, _), _| is_dialled(*peer));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Incarnation, u16), Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
