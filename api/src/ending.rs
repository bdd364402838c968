//! Work that outlives its request.
//!
//! Owns the tasks of what would do harm by halves: a login that is revoked in the store and whose sessions nobody
//! closes. A request is dropped when its store goes away or its time is over; its endings are not, and how many there
//! are is bounded.

use std::future::Future;
use std::sync::Arc;

use schema::ErrorCode;
use tokio::sync::Semaphore;

use crate::counts::Bound;
use crate::problem::Problem;

/// Endings under way. Each has a connection of its own at first, and there are 1,024 of these; a quarter may be logging
/// out at once, and stay so while the store is away.
const ENDINGS_MAX: usize = 256;

/// When to ask again for one more.
const RETRY_MS: u32 = 1_000;

/// See the module.
pub(crate) struct Endings(Arc<Semaphore>);

impl Endings {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ENDINGS_MAX)))
    }

    /// Does `work`, also where whoever waits for this is gone before.
    ///
    /// # Errors
    /// Those of the work; 114 if too much is under way, and then it has not begun.
    ///
    /// # Panics
    /// If the work does.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            return Err(Problem::new(ErrorCode::Overloaded, "too many logins end at once")
                .after_ms(RETRY_MS)
                .because(Bound::Endings));
        };
        let task = tokio::spawn(async move {
            let done = work.await;
            drop(place);
            done
        });
        task.await.expect("nobody aborts it, and a panic in it is one here")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn what_was_begun_is_done_also_where_nobody_waits_any_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let endings = Endings::new();
            let (go, gone) = oneshot::channel::<()>();
            let (tell, told) = oneshot::channel();
            let work = async move {
                gone.await.expect("the store answers at last");
                tell.send("kicked").expect("the test waits");
                Ok(())
            };
            let dropped = timeout(Duration::from_millis(10), endings.run(work)).await;
            assert!(dropped.is_err(), "the request is out of time");
            assert_eq!(endings.0.available_permits(), ENDINGS_MAX - 1);
            go.send(()).expect("the work goes on");
            assert_eq!(told.await, Ok("kicked"));
        });
    }
}
