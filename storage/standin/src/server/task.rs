//! A future that runs wherever it is woken: on the store's own thread, so that no other is needed for a commit's answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Must not be woken from within its own poll on the same thread.
pub(super) struct Task(Mutex<Option<Running>>);

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Task {
    /// Polls `future` now, and again whenever it is woken.
    pub(super) fn run(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let task = Arc::new(Self(Mutex::new(Some(Box::pin(future)))));
        Arc::clone(&task).wake();
        task
    }

    /// Forgets the future.
    pub(super) fn cancel(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether it has finished, or was cancelled.
    pub(super) fn is_done(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(future) = &mut *running
            && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            *running = None;
        }
    }
}
