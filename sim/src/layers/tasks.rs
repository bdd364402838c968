//! Tasks of one thread: which of those that can go on goes on next is drawn from the seed.
//!
//! Owns the clock, who waits until when, and which parts of the world stand still or have ended. A part that stands
//! still is a process that was stopped: whatever it had under way is under way when it goes on. Nothing here knows what
//! tasks do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use kv::{Clock, ManualClock};

use crate::rng::Rng;

/// What is stopped, goes on and ends together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// What outlives every node: clients, disk, and what happens to the world.
    World,
    /// One life of a node, by its number.
    Life(u64),
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    part: Part,
    woken: Arc<Woken>,
    work: Work,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why a run ends before its main task does.
#[derive(Debug)]
pub(super) enum Stuck {
    /// Everybody waits for somebody.
    Deadlock,
    /// It takes longer than this.
    Late { now_ms: u64 },
}

/// See the module.
pub(super) struct Tasks {
    rng: RefCell<Rng>,
    clock: Arc<ManualClock>,
    next: Cell<u64>,
    polls: Cell<u64>,
    spawned: RefCell<Vec<(Part, Work)>>,
    ended: RefCell<Vec<Part>>,
    /// Until when a part stands still.
    stopped: RefCell<BTreeMap<Part, u64>>,
    /// Who waits until when, by time and number.
    waiting: RefCell<BTreeMap<(u64, u64), Waker>>,
}

impl Tasks {
    pub(super) fn new(rng: Rng, clock: Arc<ManualClock>) -> Self {
        Self {
            rng: RefCell::new(rng),
            clock,
            next: Cell::new(0),
            polls: Cell::new(0),
            spawned: RefCell::default(),
            ended: RefCell::default(),
            stopped: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// How often a task went on.
    pub(super) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Begins a task of a part.
    pub(super) fn spawn(&self, part: Part, work: impl Future<Output = ()> + 'static) {
        self.spawned.borrow_mut().push((part, Box::pin(work)));
    }

    /// All tasks of a part end where they are, before any goes on.
    pub(super) fn end(&self, part: Part) {
        self.ended.borrow_mut().push(part);
    }

    /// A part stands still for so long.
    pub(super) fn stop(&self, part: Part, for_ms: u64) {
        self.stopped.borrow_mut().insert(part, self.now_ms() + for_ms);
    }

    /// Whether a part stands still.
    pub(super) fn is_stopped(&self, part: Part) -> bool {
        self.stopped.borrow().get(&part).is_some_and(|until_ms| *until_ms > self.now_ms())
    }

    /// Every part goes on.
    pub(super) fn resume_all(&self) {
        self.stopped.borrow_mut().clear();
    }

    /// Waits for so long. With 0 others may go on first.
    pub(super) async fn sleep(&self, for_ms: u64) {
        let due = (self.now_ms() + for_ms, self.number());
        let mut is_first = true;
        poll_fn(|cx| {
            if self.now_ms() >= due.0 && !std::mem::take(&mut is_first) {
                return Poll::Ready(());
            }
            is_first = false;
            if self.now_ms() >= due.0 {
                cx.waker().wake_by_ref();
            } else {
                self.waiting.borrow_mut().insert(due, cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// What `work` comes to, if it does so in time.
    pub(super) async fn within<T>(&self, for_ms: u64, work: impl Future<Output = T>) -> Option<T> {
        let late = async {
            self.sleep(for_ms).await;
            None
        };
        futures_lite::future::or(async { Some(work.await) }, late).await
    }

    fn number(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Runs `main` and all that it spawns, until `main` ends.
    pub(super) fn run(&self, main: impl Future<Output = ()> + 'static, late_ms: u64) -> Result<(), Stuck> {
        let mut tasks: BTreeMap<u64, Task> = BTreeMap::new();
        self.spawn(Part::World, main);
        let mut first = None;
        loop {
            for part in self.ended.take() {
                tasks.retain(|_, task| task.part != part);
            }
            for (part, work) in self.spawned.take() {
                let number = self.number();
                first.get_or_insert(number);
                tasks.insert(number, Task { part, woken: Arc::new(Woken(AtomicBool::new(true))), work });
            }
            if self.now_ms() > late_ms {
                return Err(Stuck::Late { now_ms: self.now_ms() });
            }
            self.wake_due();
            let Some(number) = self.pick(&tasks) else {
                self.wait()?;
                continue;
            };
            let task = tasks.get_mut(&number).expect("just picked");
            task.woken.0.store(false, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(&task.woken));
            self.polls.set(self.polls.get() + 1);
            if task.work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                tasks.remove(&number);
                if first == Some(number) {
                    return Ok(());
                }
            }
            if self.rng.borrow_mut().chance(60) {
                self.clock.advance(1);
            }
        }
    }

    /// One of those that can go on.
    fn pick(&self, tasks: &BTreeMap<u64, Task>) -> Option<u64> {
        let (stopped, now_ms) = (self.stopped.borrow(), self.now_ms());
        let goes = |task: &Task| {
            task.woken.0.load(Ordering::Relaxed) && stopped.get(&task.part).is_none_or(|until_ms| *until_ms <= now_ms)
        };
        let ready: Vec<u64> = tasks.iter().filter(|(_, task)| goes(task)).map(|(number, _)| *number).collect();
        (!ready.is_empty()).then(|| *self.rng.borrow_mut().pick(&ready))
    }

    fn wake_due(&self) {
        let mut waiting = self.waiting.borrow_mut();
        while let Some(entry) = waiting.first_entry().filter(|entry| entry.key().0 <= self.now_ms()) {
            entry.remove().wake();
        }
    }

    /// Nobody can go on: the clock does, to when somebody can.
    fn wait(&self) -> Result<(), Stuck> {
        let now_ms = self.now_ms();
        let due = self.waiting.borrow().keys().next().map(|due| due.0);
        let resumed = self.stopped.borrow().values().copied().filter(|until_ms| *until_ms > now_ms).min();
        let next = due.into_iter().chain(resumed).min().ok_or(Stuck::Deadlock)?;
        self.clock.advance(next - now_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_part_that_is_stopped_goes_on_where_it_was_and_one_that_ended_does_not() {
        for (ends, expected) in [(false, "1 1200 "), (true, "1 ")] {
            let tasks = Rc::new(Tasks::new(Rng::new(1), Arc::default()));
            let said = Rc::new(RefCell::new(String::new()));
            let life = {
                let (tasks, said) = (Rc::clone(&tasks), Rc::clone(&said));
                async move {
                    for _ in 0..2 {
                        tasks.sleep(1).await;
                        let now_ms = tasks.now_ms();
                        said.borrow_mut().push_str(&format!("{now_ms} "));
                        tasks.stop(Part::Life(1), 1_200 - now_ms);
                    }
                }
            };
            let story = {
                let tasks = Rc::clone(&tasks);
                async move {
                    tasks.spawn(Part::Life(1), life);
                    tasks.sleep(100).await;
                    if ends {
                        tasks.end(Part::Life(1));
                    }
                    tasks.sleep(4_000).await;
                }
            };
            tasks.run(story, 10_000).expect("it ends");
            assert_eq!(said.take(), expected, "ends: {ends}");
        }
    }

    #[test]
    fn who_waits_for_nothing_is_stuck() {
        let tasks = Tasks::new(Rng::new(1), Arc::default());
        assert!(matches!(tasks.run(std::future::pending(), 10), Err(Stuck::Deadlock)));
    }
}
