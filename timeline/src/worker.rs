//! The fan-out of a node: posts of the authors whose feeds' partitions are this node's come into their readers' feeds.
//!
//! Owns the thread and its runtime, and the end. When there is a step is [`pacing`](crate::pacing)'s to say, what a step
//! is `chat::timelines`', which is one transaction under the fence (I7): a crash, a takeover or an outcome that is not
//! known does nothing twice and leaves nothing out.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant as Clock;

use chat::LayerError;
use chat::notices::Worker;
use chat::timelines::{self, Active, Fanned, Limits};
use kv::Engine;
use schema::{ChannelId, ErrorCode, Incarnation, Instant, Refusal, UnixMs, UserId, View};
use tokio::runtime;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use crate::counts::Counts;
use crate::pacing::{Came, Next, Pacer, WAITING_MAX};

/// What the fan-out needs.
pub struct Parts<E> {
    /// The store.
    pub engine: E,
    /// This node's life.
    pub life: Incarnation,
    /// The view that the node goes by, from memory.
    pub view: Arc<dyn Fn() -> Option<Arc<View>> + Send + Sync>,
    /// The wall clock.
    pub wall: fn() -> UnixMs,
    /// Rows that are written in a second at most.
    pub rows_per_s: u32,
    /// The bounds of a step, and from where on readers merge for themselves.
    pub limits: Limits,
    /// Where is counted.
    pub counts: Arc<Counts>,
    /// Whether the store may grow. While it may not, posts stay on their way.
    pub may_write: Box<dyn Fn() -> bool + Send + Sync>,
    /// Called with users into whose feeds so many posts have just come, each. It does not wait.
    pub tell: Box<dyn Fn(Vec<UserId>, u32) + Send + Sync>,
    /// Told when somebody posts on this node, so that it need not be looked for.
    pub posted: Arc<Notify>,
}

/// A fan-out that runs. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Begins no step any more. Does not wait; may be repeated.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops, and waits until the step that is under way has ended.
    ///
    /// # Panics
    /// If its thread did.
    pub fn join(self) {
        self.stop();
        self.thread.join().expect("the thread of the fan-out does not panic");
    }
}

/// Starts the fan-out, on a thread of its own named `timeline`.
///
/// # Errors
/// If the thread or its runtime cannot be had.
pub fn start<E: Engine>(parts: Parts<E>) -> io::Result<Running> {
    let runtime = runtime::Builder::new_current_thread().enable_time().build()?;
    let (stop, stopped) = watch::channel(false);
    let thread = thread::Builder::new().name("timeline".to_owned()).spawn(move || {
        runtime.block_on(run(&parts, stopped));
    })?;
    Ok(Running { stop, thread })
}

/// What the loop keeps from one step to the next.
struct Work<'a, E> {
    parts: &'a Parts<E>,
    pacer: Pacer,
    active: Active,
    /// Since when each author's posts are on their way, as far as this node has seen.
    since: BTreeMap<ChannelId, Instant>,
    /// The author that was found last: others have their turn first.
    last: Option<ChannelId>,
    origin: Clock,
}

async fn run<E: Engine>(parts: &Parts<E>, mut stop: watch::Receiver<bool>) {
    let mut work = Work {
        parts,
        pacer: Pacer::new(parts.rows_per_s),
        active: Active::default(),
        since: BTreeMap::new(),
        last: None,
        origin: Clock::now(),
    };
    // Whoever is gone without a word wants it no longer either.
    while !*stop.borrow() && stop.has_changed().is_ok() {
        match work.pacer.next(work.now()) {
            Next::Look => work.look().await,
            Next::Step(author) => work.step(author).await,
            Next::Wait(until) => {
                let wait = until.since(work.now());
                tokio::select! {
                    _gone = stop.wait_for(|&stopped| stopped) => return,
                    () = parts.posted.notified() => work.pacer.posted(work.now()),
                    () = sleep(wait) => {}
                }
            }
        }
    }
}

impl<E: Engine> Work<'_, E> {
    fn now(&self) -> Instant {
        Instant::default().plus(self.origin.elapsed())
    }

    /// What is this node's to do, if anything.
    fn mine(&self) -> Option<Worker> {
        let view = (self.parts.view)().filter(|_| (self.parts.may_write)())?;
        Worker::of(&view, self.parts.life)
    }

    /// Looks for authors whose posts are on their way.
    async fn look(&mut self) {
        let Some(worker) = self.mine() else { return self.pacer.failed(self.now()) };
        match timelines::due(&self.parts.engine, &worker, self.last, WAITING_MAX).await {
            Ok(found) => {
                let now = self.now();
                self.last = found.last().copied();
                for &author in &found {
                    self.since.entry(author).or_insert(now);
                }
                self.pacer.found(now, found);
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "posts could not be looked for, trying again");
                self.pacer.failed(self.now());
            }
        }
        self.parts.counts.set_waiting(self.pacer.waiting());
    }

    /// Carries out one step of an author's feed.
    async fn step(&mut self, author: ChannelId) {
        let began = self.now();
        let came = match self.mine() {
            Some(worker) => {
                let bounds = (&self.parts.limits, (self.parts.wall)());
                timelines::fan(&self.parts.engine, &worker, author, &self.active, bounds).await
            }
            None => Err(LayerError::Refused(moving())),
        };
        let now = self.now();
        let took = now.since(began);
        let came = match came {
            Ok(Fanned { rows, posts: _, readers, more }) => {
                self.parts.counts.stepped(rows, readers.len() as u64, took);
                self.tell(readers);
                let rows = u32::try_from(rows).unwrap_or(u32::MAX);
                if more { Came::More { rows } } else { Came::Done { rows } }
            }
            Err(error) => {
                self.parts.counts.step_failed();
                if !matches!(&error, LayerError::Refused(refusal) if refusal.code == ErrorCode::Moving) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%author, error, "a step of an author's posts failed, trying again");
                }
                Came::Failed
            }
        };
        match came {
            Came::More { .. } => {}
            Came::Done { .. } => {
                let since = self.since.remove(&author).unwrap_or(began);
                self.parts.counts.ended(u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX));
            }
            // It may be another node's by now; if it is not it is found again.
            Came::Failed => drop(self.since.remove(&author)),
        }
        self.pacer.stepped(now, author, took, came);
    }

    /// Tells readers how many posts came, those together for whom that is as many.
    fn tell(&self, readers: Vec<UserId>) {
        let mut counts: BTreeMap<UserId, u32> = BTreeMap::new();
        for reader in readers {
            *counts.entry(reader).or_default() += 1;
        }
        let mut by_count: BTreeMap<u32, Vec<UserId>> = BTreeMap::new();
        for (reader, count) in counts {
            by_count.entry(count).or_default().push(reader);
        }
        for (count, readers) in by_count {
            (self.parts.tell)(readers, count);
        }
    }
}

fn moving() -> Refusal {
    Refusal::new(ErrorCode::Moving, "it has another home now")
}
