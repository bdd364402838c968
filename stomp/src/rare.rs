//! State that is there now and then: while it is as it begins it takes a pointer.
//!
//! Owns the memory alone, which whoever holds the state lets go of by [`Rare::settle`] when it is done with it for the moment.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// See the module.
pub(crate) struct Rare<T>(Option<Box<T>>);

/// What can be rare.
pub(crate) trait Idle: Default + 'static {
    /// It as it begins.
    fn idle() -> &'static Self;

    /// Whether nothing tells it from that.
    fn is_idle(&self) -> bool;
}

impl<T: Idle> Rare<T> {
    /// Lets go of the memory if it is not needed.
    pub(crate) fn settle(&mut self) {
        self.0.take_if(|state| state.is_idle());
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Idle> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(state) => state,
            None => T::idle(),
        }
    }
}

impl<T: Idle> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Idle + fmt::Debug> fmt::Debug for Rare<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
