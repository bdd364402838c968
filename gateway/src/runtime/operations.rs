//! Store operations of one shard, and where they are polled.
//!
//! Owns their polls. An operation is polled by tasks of the shard's executor, in a queue of their own, between two turns; for as
//! long as it may have to wait for a disk it is on a thread of the pool. So a commit that is durable, or a row that a
//! cluster has sent, wakes the shard that asked and no thread in between.
//! Part of I12: a call of an operation's waker puts it into the shard's mailbox, which wakes the shard, and however often
//! it is called, the operation is there once until it is polled.
//!
//! ```text
//! spawn ─► ready ─────────► task of the executor ─► finished ─► the shard's turn
//!            ▲ called by        │ may have to wait
//!            ╰── any thread     ▼
//!                ▲          thread of the pool ─► result ─► the shard's mailbox
//!                ╰── pending ───╯
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake};

use glommio::{Latency, Shares, TaskQueueHandle};
use kv::waiting::{MayHaveToWait, poll_without_waiting};
use schema::limits::STORE_TASKS_MAX;

use crate::telemetry::metrics::OperationFigures;
use crate::uring::{self, Inbox, Mailbox, MailboxError};

use super::pool::Spawner;

/// Polls of operations between two turns: at some 10 µs each the sockets wait 1 ms at most.
const POLLS_MAX: usize = 100;

/// A future of a `T`, to be polled on any thread.
type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// News of an operation, from any thread.
enum Event<T> {
    /// To be polled.
    Called(Arc<Operation<T>>),
    /// Ended in the pool. In a box, since the mailbox has room for many and holds few.
    Done(Box<T>),
}

/// In the mailbox an operation is once because of its waker and once as it comes back from the pool, then its result, and
/// once more if its waker is called after that.
const EVENTS_MAX: usize = 4 * STORE_TASKS_MAX as usize;

struct Operation<T> {
    place: Mutex<Place<T>>,
    /// Its waker was called since it was last polled.
    called: AtomicBool,
    home: Mailbox<Event<T>>,
    pool: Spawner,
}

struct Place<T> {
    /// Not while it is polled or in the pool, nor after its end.
    task: Option<Task<T>>,
    /// A thread of the pool polls it, or will.
    in_pool: bool,
}

impl<T: Send + 'static> Operation<T> {
    fn place(&self) -> MutexGuard<'_, Place<T>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event<T>) {
        // A shard that has ended wants to know nothing; one that lives keeps places free.
        if let Err(MailboxError::Full(_)) = self.home.push(event) {
            panic!("I12: no room in the shard's mailbox for what its store operations come to");
        }
    }

    /// On the shard's thread.
    fn poll_at_home(self: Arc<Self>, finished: &Finished<T>) {
        let mut place = self.place();
        if place.in_pool {
            // The pool's thread looks at `called` when it gives it back.
            return;
        }
        let Some(mut task) = place.task.take() else { return };
        drop(place);
        match self.poll(|cx| poll_without_waiting(task.as_mut(), cx)) {
            Ok(Poll::Ready(done)) => finished.borrow_mut().push_back(done),
            Ok(Poll::Pending) => self.place().task = Some(task),
            Err(MayHaveToWait) => {
                *self.place() = Place { task: None, in_pool: true };
                self.move_to_pool(task);
            }
        }
    }

    fn move_to_pool(self: Arc<Self>, task: Task<T>) {
        let pool = self.pool.clone();
        pool.spawn(async move { self.poll_in_pool(task) });
    }

    /// On a thread of the pool.
    fn poll_in_pool(self: Arc<Self>, mut task: Task<T>) {
        match self.poll(|cx| task.as_mut().poll(cx)) {
            Poll::Ready(done) => self.tell(Event::Done(Box::new(done))),
            Poll::Pending => {
                *self.place() = Place { task: Some(task), in_pool: false };
                if self.called.load(Ordering::Acquire) {
                    self.tell(Event::Called(Arc::clone(&self)));
                }
            }
        }
    }

    fn poll<P>(self: &Arc<Self>, poll: impl FnOnce(&mut Context<'_>) -> P) -> P {
        // Before: a call during the poll is one for the next.
        self.called.swap(false, Ordering::AcqRel);
        poll(&mut Context::from_waker(&Arc::clone(self).into()))
    }
}

impl<T: Send + 'static> Wake for Operation<T> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.called.swap(true, Ordering::AcqRel) {
            self.tell(Event::Called(Arc::clone(self)));
        }
    }
}

/// Results of those that have ended, the oldest first.
type Finished<T> = RefCell<VecDeque<T>>;

/// See the module. Belongs to the executor in which it was made.
pub(super) struct Operations<T> {
    events: Inbox<Event<T>>,
    home: Mailbox<Event<T>>,
    pool: Spawner,
    /// Whether reads of this store may have to wait for a disk.
    reads_wait: bool,
    /// To be polled before the next turn.
    ready: VecDeque<Arc<Operation<T>>>,
    finished: Rc<Finished<T>>,
    queue: TaskQueueHandle,
}

impl<T: Send + 'static> Operations<T> {
    pub(super) fn new(shard: &uring::Waker, pool: Spawner, reads_wait: bool) -> Self {
        let (home, events) = uring::mailbox(shard, EVENTS_MAX);
        let queue = glommio::executor().create_task_queue(Shares::default(), Latency::NotImportant, "store operations");
        Self { events, home, pool, reads_wait, ready: VecDeque::new(), finished: Rc::default(), queue }
    }

    /// Begins one. What it comes to is [`Self::finished`] in a later turn.
    pub(super) fn spawn(&mut self, task: Task<T>) {
        let (home, pool) = (self.home.clone(), self.pool.clone());
        let operation = |place| Operation { place: Mutex::new(place), called: AtomicBool::new(false), home, pool };
        if self.reads_wait {
            // Nearly all begin with a read.
            Arc::new(operation(Place { task: None, in_pool: true })).move_to_pool(task);
        } else {
            self.ready.push_back(Arc::new(operation(Place { task: Some(task), in_pool: false })));
        }
    }

    /// What the oldest of those that have ended came to.
    pub(super) fn finished(&mut self) -> Option<T> {
        self.finished.borrow_mut().pop_front()
    }

    /// Polls those that are ready, on the shard's executor, for a moment.
    pub(super) async fn run(&mut self) {
        self.take_events();
        if self.ready.is_empty() {
            return;
        }
        let polled = self.ready.len().min(POLLS_MAX);
        for operation in self.ready.drain(..polled) {
            let finished = Rc::clone(&self.finished);
            glommio::spawn_local_into(async move { operation.poll_at_home(&finished) }, self.queue)
                .expect("the queue is there as long as the executor")
                .detach();
        }
        glommio::executor().yield_task_queue_now().await;
    }

    /// Whether some are to be polled after this turn, so that the next is not to be waited for.
    pub(super) fn is_behind(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn figures(&self) -> OperationFigures {
        let stats = glommio::executor().task_queue_stats(self.queue);
        let stats = stats.expect("the queue is there as long as the executor");
        OperationFigures { runs: stats.queue_selected(), took: stats.runtime() }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.events.pop() {
            match event {
                Event::Called(operation) => self.ready.push_back(operation),
                Event::Done(done) => self.finished.borrow_mut().push_back(*done),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::thread;
    use std::time::{Duration, Instant};

    use kv::embedded::{EmbeddedEngine, EmbeddedOptions};
    use kv::{Begin, Engine, Transaction};

    use super::*;
    use crate::runtime::{StorePool, executor};

    const OPERATIONS: u32 = 500;

    /// Reads a row, waits for a thread that knows nothing of executors, and commits another: twice.
    async fn two_transactions(engine: EmbeddedEngine, number: u32) -> u32 {
        for step in 0..2u8 {
            let mut tx = engine.begin(Begin::Fresh);
            let key = [&number.to_be_bytes()[..], &[step]].concat();
            assert_eq!(tx.get(&key).await.expect("it can be read"), None);
            let (tell, told) = tokio::sync::oneshot::channel();
            thread::spawn(move || tell.send(()));
            told.await.expect("the thread tells");
            tx.set(&key, b"");
            tx.commit().await.expect("nobody else writes it");
        }
        number
    }

    /// Is called within its first poll, which takes so long that the shard hears of it meanwhile.
    async fn called_while_polled(number: u32) -> u32 {
        let mut polled = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            thread::sleep(Duration::from_millis(50));
            Poll::Pending
        })
        .await;
        number
    }

    /// A shard's loop without sockets. Each operation ends once, wherever it was polled.
    fn check(reads_wait: bool) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let engine = EmbeddedEngine::open(directory.path(), EmbeddedOptions::new(1)).expect("an empty store");
        let pool = StorePool::start("pool", 2).expect("threads are left");
        let shard = executor::run(None, async {
            let (_sleeper, waker) = uring::sleep_and_wake().expect("descriptors are left");
            let mut operations = Operations::new(&waker, pool.spawner(), reads_wait);
            for number in 0..OPERATIONS {
                operations.spawn(Box::pin(two_transactions(engine.clone(), number)));
            }
            operations.spawn(Box::pin(called_while_polled(OPERATIONS)));
            let (mut ended, until) = (Vec::new(), Instant::now() + Duration::from_secs(30));
            while ended.len() <= OPERATIONS as usize {
                assert!(Instant::now() < until, "I12: {} of {} operations ended", ended.len(), OPERATIONS + 1);
                operations.run().await;
                ended.extend(std::iter::from_fn(|| operations.finished()));
            }
            ended.sort_unstable();
            assert_eq!(ended, Vec::from_iter(0..=OPERATIONS));
            assert!(operations.figures().runs > 0);
            Ok(())
        });
        shard.expect("the machine has what a shard needs");
    }

    #[test]
    fn an_operation_goes_between_its_shard_and_the_pool_and_ends_once() {
        check(true);
        check(false);
    }
}
