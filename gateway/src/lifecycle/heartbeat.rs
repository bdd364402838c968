//! Heartbeat on a shared store: each second a thread commits that this node lives, and reads which others do.
//!
//! Owns the thread and its pace. Nothing runs on it but heartbeats and the few transactions that one leads to (a
//! takeover, two dead nodes removed), so no upkeep and no full queue delays it; one that comes late all the same says
//! so in the log. What follows from a heartbeat is [`Leadership`]'s.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chat::LayerError;
use chat::view::{self, Proposal, Roll};
use kv::Engine;
use schema::limits::BEAT_MS;
use schema::record::NodeRecord;
use schema::{Incarnation, View};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep_until;

use super::leadership::{Leadership, Step};
use super::phase::Active;
use super::shutdown::End;
use super::state::NodeState;

const BEAT: Duration = Duration::from_millis(BEAT_MS);

/// Who this node is to others.
#[derive(Debug, Clone)]
pub(super) struct Me {
    pub(super) incarnation: Incarnation,
    pub(super) record: NodeRecord,
}

/// The heartbeat's thread, until this is dropped; what it has under way then is dropped too, and its outcome unknown.
pub(super) struct Heartbeat {
    told: watch::Receiver<Told>,
    /// Never sent on: the thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Outcome of the heartbeats.
#[derive(Default)]
struct Told {
    /// The node that the last one saw serving.
    active: Option<Active>,
    /// The view of this node, once it has taken over.
    taken: Option<View>,
}

impl Heartbeat {
    /// Registers this node and beats. Once it has taken over, [`Self::taken_over`] has the view; once it finds that
    /// another has, it tells [`End::Fenced`] and beats no more.
    ///
    /// # Errors
    /// The system's, if it gives no timer or starts no more threads.
    pub(super) fn start<S: Engine>(
        engine: S,
        me: Me,
        state: Arc<NodeState>,
        ends: UnboundedSender<End>,
    ) -> io::Result<Self> {
        let timers = runtime::Builder::new_current_thread().enable_time().build()?;
        let (tell, told) = watch::channel(Told::default());
        let (stop, stopped) = oneshot::channel();
        let leadership = Leadership::new(me.incarnation);
        let begun = Instant::now();
        let beating = Beating { engine, leadership, me, state, tell, ends, registered: false, count: 0, begun };
        let thread =
            thread::Builder::new().name("heartbeat".to_owned()).spawn(move || beating.run(&timers, stopped))?;
        Ok(Self { told, stop: Some(stop), thread: Some(thread) })
    }

    /// The node that the last heartbeat saw serving.
    pub(super) fn active(&self) -> Option<Active> {
        self.told.borrow().active.clone()
    }

    /// Waits until this node is to serve, however long that takes.
    pub(super) async fn taken_over(&self) -> View {
        let mut told = self.told.clone();
        let taken = told.wait_for(|told| told.taken.is_some()).await;
        let taken = taken.expect("the thread lives as long as this, unless it was fenced after it had taken over");
        taken.taken.clone().expect("it was waited for")
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }
}

struct Beating<S> {
    engine: S,
    leadership: Leadership,
    me: Me,
    state: Arc<NodeState>,
    tell: watch::Sender<Told>,
    ends: UnboundedSender<End>,
    registered: bool,
    count: u64,
    begun: Instant,
}

impl<S: Engine> Beating<S> {
    fn run(mut self, timers: &Runtime, stopped: oneshot::Receiver<()>) {
        let mut due = self.begun;
        let beats = async {
            while self.beat(due.elapsed()).await {
                due = (due + BEAT).max(Instant::now());
                sleep_until(due.into()).await;
            }
        };
        timers.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = beats => {}
            }
        });
    }

    /// One heartbeat and what follows from it. Returns whether there will be another.
    async fn beat(&mut self, late: Duration) -> bool {
        match self.try_beat(late).await {
            Ok(goes_on) => goes_on,
            Err(error) => {
                match &error {
                    // Whether the store answers is noticed, and said once, by those who look at it.
                    LayerError::Store(error) => tracing::debug!(%error, "a heartbeat failed"),
                    LayerError::Record(_) | LayerError::Refused(_) => {
                        tracing::error!(error = &error as &dyn std::error::Error, "a heartbeat failed");
                    }
                }
                true
            }
        }
    }

    async fn try_beat(&mut self, late: Duration) -> Result<bool, LayerError> {
        if !self.registered {
            view::register(&self.engine, self.me.incarnation, &self.me.record).await?;
            self.registered = true;
        }
        self.count += 1;
        let began = Instant::now();
        let seen = view::beat(&self.engine, self.me.incarnation, self.count).await?;
        let late = late + began.elapsed();
        if late >= BEAT {
            tracing::warn!(
                late_ms = late.as_millis() as u64,
                "a heartbeat came late: beyond the lease another node takes over"
            );
        }
        let registered = seen.roll.nodes.values().filter(|node| node.registered).count();
        self.state.counts().nodes().beat(seen.roll.epoch, registered, late >= BEAT);
        let now_ms = u64::try_from(self.begun.elapsed().as_millis()).expect("584 million years of uptime");
        match self.leadership.beat(now_ms, &seen) {
            Step::Wait => {}
            Step::Register => {
                tracing::warn!("another node took this one for dead while it stood by; registering again");
                self.registered = false;
            }
            Step::Forget(verdict) => {
                let forgotten = view::forget(&self.engine, &verdict).await?;
                tracing::info!(forgotten, "removed nodes that stood by and are dead");
            }
            Step::TakeOver(verdict) => {
                let from = seen.roll.first_active().map(|(node, _)| node).filter(|&node| node != self.me.incarnation);
                let me = self.me.incarnation;
                let proposal = Proposal::alone(me, self.me.record.shards, &verdict);
                let taken = view::change(&self.engine, me, &proposal).await?;
                if let Some(view) = taken {
                    self.took_over(&seen.roll, from, view);
                    return Ok(true);
                }
            }
            Step::Fenced => {
                self.state.counts().nodes().fence();
                // A node that is stopping already wants no reason.
                let _ = self.ends.send(End::Fenced);
                return Ok(false);
            }
        }
        self.tell.send_modify(|told| told.active = Active::of(&seen.roll));
        Ok(true)
    }

    fn took_over(&mut self, roll: &Roll, from: Option<Incarnation>, view: View) {
        self.leadership.took_over(view.epoch);
        let figures = self.state.counts().nodes();
        figures.activate(view.epoch);
        match from {
            Some(from) => {
                figures.took_over();
                let name = roll.nodes[&from].record.as_ref().map(|record| record.name.as_str());
                tracing::warn!(
                    from = format_args!("{:x}", from.0),
                    name = name.unwrap_or_default(),
                    epoch = view.epoch.0,
                    "took over from a node that said nothing for a lease"
                );
            }
            None => tracing::info!(epoch = view.epoch.0, "no node was active"),
        }
        self.tell.send_modify(|told| told.taken = Some(view));
    }
}
