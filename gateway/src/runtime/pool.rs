//! Threads that may wait for a disk: for the store operations of shards while they read, and for what the node does in the
//! background.
//!
//! Owns the threads.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_executor::{Executor, Task as Running};
use futures_lite::future;

/// See the module. Ends when dropped; what is under way then is dropped too.
pub(crate) struct StorePool {
    executor: Arc<Executor<'static>>,
    stop: Option<async_channel::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a shard holds of the pool.
#[derive(Clone)]
pub(crate) struct Spawner {
    executor: Arc<Executor<'static>>,
}

impl StorePool {
    /// Starts `threads` threads, named by `name` and their number.
    ///
    /// # Errors
    /// The system's, if it starts no more threads.
    pub(crate) fn start(name: &str, threads: u16) -> io::Result<Self> {
        let executor = Arc::new(Executor::new());
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let start = |number| {
            let executor = Arc::clone(&executor);
            let stopped = stopped.clone();
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                // Ends when the other side of the channel is dropped, which is the only thing that happens to it.
                let _ = future::block_on(executor.run(stopped.recv()));
            })
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Self { executor, stop: Some(stop), threads })
    }

    pub(crate) fn spawner(&self) -> Spawner {
        Spawner { executor: Arc::clone(&self.executor) }
    }
}

impl Drop for StorePool {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }
}

impl Spawner {
    /// Has a thread of the pool do something.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(work).detach();
    }
}

/// Something that the node's own thread has done in a pool, one at a time, and asks for later.
///
/// Dropping it ends what is under way.
pub(crate) struct Job<T>(Option<Running<T>>);

impl<T> Default for Job<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Send + 'static> Job<T> {
    /// What came of it, once it is done.
    pub(crate) fn take(&mut self) -> Option<T> {
        let done = self.0.take_if(|running| running.is_finished())?;
        Some(future::block_on(done))
    }

    /// Begins something.
    ///
    /// # Panics
    /// If something is under way: what came of it would be lost.
    pub(crate) fn start(&mut self, pool: &StorePool, work: impl Future<Output = T> + Send + 'static) {
        assert!(self.0.is_none(), "a job does one thing at a time");
        self.0 = Some(pool.executor.spawn(work));
    }
}
