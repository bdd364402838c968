//! A result that comes later, and who is told.
//!
//! Owns the result until the future is destroyed or released: pointers that were given out point into it. Completing
//! returns the callback instead of calling it, so that nobody's lock is held when it runs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::capi::{Callback, KeyValues};
use crate::code::Code;

/// What a future comes to.
#[derive(Debug)]
pub(super) enum Value {
    /// A commit, a watch or a pause.
    Nothing,
    /// A version, or a size.
    Number(i64),
    /// A versionstamp.
    Key(Bytes),
    /// A row's value.
    Row(Option<Bytes>),
    /// A page.
    Rows(KeyValues),
}

/// A result that comes later.
#[derive(Default)]
pub(crate) struct Future {
    state: Mutex<State>,
    ready: Condvar,
    /// What else is to be done if nobody wants the result any more.
    forget: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct State {
    result: Option<Result<Value, Code>>,
    callback: Option<Callback>,
    /// Threads that block until it is ready: seldom any, and telling nobody costs a system call.
    blocked: u32,
}

impl Future {
    /// One that is not ready.
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// One that is.
    pub(super) fn ready(result: Result<Value, Code>) -> Arc<Self> {
        let future = Self::new();
        future.state().result = Some(result);
        future
    }

    /// Called once when the future is given up before it is ready.
    pub(super) fn on_forget(&self, forget: impl Fn() + Send + Sync + 'static) {
        if self.forget.set(Box::new(forget)).is_err() {
            unreachable!("set where the future is made");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it ready, unless it is. Returns the call that is due, to be run when no lock is held.
    #[must_use]
    pub(super) fn complete(self: &Arc<Self>, result: Result<Value, Code>) -> Option<Call> {
        let callback = self.finish(result)?;
        Some(Call { callback, future: Arc::clone(self) })
    }

    fn finish(&self, result: Result<Value, Code>) -> Option<Callback> {
        let mut state = self.state();
        if state.result.is_some() {
            return None;
        }
        state.result = Some(result);
        let (callback, blocked) = (state.callback.take(), state.blocked);
        drop(state);
        if blocked > 0 {
            self.ready.notify_all();
        }
        callback
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state().result.is_some()
    }

    /// Keeps `callback` until the result comes. Gives it back if it has: it is due at once.
    pub(super) fn set_callback(&self, callback: Callback) -> Option<Callback> {
        let mut state = self.state();
        if state.result.is_some() {
            return Some(callback);
        }
        state.callback = Some(callback);
        None
    }

    pub(super) fn block_until_ready(&self) {
        let mut state = self.state();
        state.blocked += 1;
        while state.result.is_none() {
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.blocked -= 1;
    }

    /// Ends it with 1101 unless it is ready. Returns the callback that is due.
    #[must_use]
    pub(super) fn cancel(&self) -> Option<Callback> {
        if self.is_ready() {
            return None;
        }
        if let Some(forget) = self.forget.get() {
            forget();
        }
        self.finish(Err(Code::OPERATION_CANCELLED))
    }

    /// Frees the result. It cannot be had after that.
    pub(super) fn release(&self) {
        let mut state = self.state();
        if state.result.is_some() {
            state.result = Some(Err(Code::FUTURE_RELEASED));
        }
    }

    /// What `look` finds in the result.
    ///
    /// # Errors
    /// The future's own; 2015 if it is not ready.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Value) -> Result<T, Code>) -> Result<T, Code> {
        match &self.state().result {
            Some(Ok(value)) => look(value),
            Some(Err(code)) => Err(*code),
            None => Err(Code::FUTURE_NOT_SET),
        }
    }
}

/// A callback that is due. Keeps its future alive until it was called.
pub(super) struct Call {
    callback: Callback,
    future: Arc<Future>,
}

impl Call {
    pub(super) fn new(callback: Callback, future: Arc<Future>) -> Self {
        Self { callback, future }
    }

    pub(super) fn run(self) {
        self.callback.call(&self.future);
    }
}
