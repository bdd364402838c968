//! Measurements of an engine, kept until they are taken for metrics.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Samples kept until they are taken: some seconds of commits; older ones go first.
const SAMPLES_MAX: usize = 8_192;

/// Samples of one kind, oldest first.
#[derive(Debug)]
pub(crate) struct Samples<T>(Mutex<VecDeque<T>>);

impl<T> Default for Samples<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Samples<T> {
    pub(crate) fn push(&self, sample: T) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Those since the last call, oldest first, at most 8,192.
    pub(crate) fn take(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}
