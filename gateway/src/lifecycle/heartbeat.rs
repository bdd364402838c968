//! Heartbeat on a shared store: each second a thread commits that this node lives, reads which others do, and proposes
//! what it sees to be due.
//!
//! Owns the thread and its pace. Nothing runs on it but heartbeats and the few transactions that one leads to, so no
//! upkeep and no full queue delays it; one that comes late all the same says so in the log. What follows from a
//! heartbeat is [`host::membership`]'s; this gives views to the shards and to whoever keeps links to other nodes.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chat::LayerError;
use chat::view::Roll;
use host::driver::Clock as _;
use host::membership::{Beat, Change, Membership, News, OwnClock, Wish};
use kv::Engine;
use schema::limits::BEAT_MS;
use schema::{Epoch, Incarnation, Member, Standing, View};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, sleep_until};

use crate::peering::Neighbours;
use crate::runtime::{Clock, Commander};

use super::identity::Me;
use super::neighbours;
use super::nodes::Sight;
use super::phase::Active;
use super::shutdown::End;
use super::state::NodeState;

const BEAT: Duration = Duration::from_millis(BEAT_MS);
/// How often a clock that is off is spoken of.
const CLOCK_SAID_EVERY: Duration = Duration::from_secs(3_600);

/// What heartbeats work with.
pub(super) struct Parts<S> {
    pub(super) engine: S,
    pub(super) me: Me,
    pub(super) clock: Clock,
    pub(super) state: Arc<NodeState>,
    pub(super) commander: Commander,
    /// Called by shards that find that their view has ended.
    pub(super) outdated: Arc<Notify>,
    pub(super) ends: UnboundedSender<End>,
}

/// The heartbeat's thread, until this is dropped; what it has under way then is dropped too, and its outcome unknown.
pub(super) struct Heartbeat {
    told: watch::Receiver<Told>,
    neighbours: watch::Receiver<Neighbours>,
    wish: watch::Sender<Wish>,
    /// Never sent on: the thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Outcome of the heartbeats.
#[derive(Default)]
struct Told {
    /// A node that serves, as the last one saw it, while this one stands by.
    active: Option<Active>,
    /// The newest view of which this node is a member.
    news: Option<News>,
}

impl Heartbeat {
    /// Registers this node and beats. Once it is in the view, [`Self::joined`] has that; once it finds that it is in none
    /// any more, it tells [`End::Fenced`] and beats no more.
    ///
    /// # Errors
    /// The system's, if it gives no timer or starts no more threads.
    pub(super) fn start<S: Engine>(parts: Parts<S>) -> io::Result<Self> {
        let timers = runtime::Builder::new_current_thread().enable_time().build()?;
        let (tell, told) = watch::channel(Told::default());
        let (tell_neighbours, neighbours) = watch::channel(Neighbours::new());
        let (wish, wished) = watch::channel(Wish::Serve);
        let (stop, stopped) = oneshot::channel();
        let Parts { engine, me, clock, state, commander, outdated, ends } = parts;
        let membership = Membership::new(engine, me.incarnation, me.record.clone(), me.earlier.clone());
        let beating = Beating {
            membership,
            me,
            clock,
            state,
            commander,
            outdated,
            tell,
            tell_neighbours,
            wished,
            ends,
            goes_by: Epoch(0),
            earlier: None,
            clock_said: None,
            clock_ends: false,
        };
        let thread =
            thread::Builder::new().name("heartbeat".to_owned()).spawn(move || beating.run(&timers, stopped))?;
        Ok(Self { told, neighbours, wish, stop: Some(stop), thread: Some(thread) })
    }

    /// The node that the last heartbeat saw serving.
    pub(super) fn active(&self) -> Option<Active> {
        self.told.borrow().active.clone()
    }

    /// Waits until this node is in the view, however long that takes.
    pub(super) async fn joined(&self) -> News {
        let mut told = self.told.clone();
        let told = told.wait_for(|told| told.news.is_some()).await;
        let told = told.expect("the thread lives as long as this, unless it was fenced after it had joined");
        told.news.clone().expect("it was waited for")
    }

    /// Hands over what this node owns, and waits until it owns nothing, or nobody is there to own it.
    pub(super) async fn hand_over(&self, me: Incarnation) {
        let _ = self.wish.send(Wish::Drain);
        let is_done = |told: &Told| {
            let is_home = |member: &Member| member.incarnation != me && member.standing == Standing::Home;
            let has_homes = |view: &View| view.members().iter().any(is_home);
            told.news.as_ref().is_none_or(|news| !has_homes(&news.view) || news.view.owned_by(me) == 0)
        };
        // The thread ends before only if this life is over.
        let _ = self.told.clone().wait_for(is_done).await;
    }

    /// The other nodes of the view, as it changes.
    pub(super) fn neighbours(&self) -> watch::Receiver<Neighbours> {
        self.neighbours.clone()
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
    membership: Membership<S>,
    me: Me,
    clock: Clock,
    state: Arc<NodeState>,
    commander: Commander,
    outdated: Arc<Notify>,
    tell: watch::Sender<Told>,
    tell_neighbours: watch::Sender<Neighbours>,
    wished: watch::Receiver<Wish>,
    ends: UnboundedSender<End>,
    /// The epoch of the view that this node goes by.
    goes_by: Epoch,
    /// An earlier life of this node that was spoken of.
    earlier: Option<Incarnation>,
    /// When it was said that the clock is off.
    clock_said: Option<Instant>,
    /// Whether the clock has ended this node.
    clock_ends: bool,
}

impl<S: Engine> Beating<S> {
    fn run(mut self, timers: &Runtime, stopped: oneshot::Receiver<()>) {
        timers.block_on(async {
            tokio::select! {
                _ = stopped => {}
                () = self.beats() => {}
            }
        });
    }

    async fn beats(&mut self) {
        let mut due = Instant::now();
        let (outdated, mut wished) = (Arc::clone(&self.outdated), self.wished.clone());
        loop {
            let said = self.goes_by;
            if !self.beat(due.elapsed()).await {
                return;
            }
            due = (due + BEAT).max(Instant::now());
            // The next step of a change waits until everybody has said that it goes by this one.
            while self.goes_by == said {
                tokio::select! {
                    () = sleep_until(due.into()) => break,
                    () = outdated.notified() => self.look().await,
                    Ok(()) = wished.changed() => break,
                }
            }
            due = due.min(Instant::now());
        }
    }

    /// One heartbeat and what follows from it. Returns whether there will be another.
    async fn beat(&mut self, late: Duration) -> bool {
        match self.try_beat(late).await {
            Ok(goes_on) => goes_on,
            Err(error) => {
                note(&error);
                true
            }
        }
    }

    async fn try_beat(&mut self, late: Duration) -> Result<bool, LayerError> {
        let wish = *self.wished.borrow_and_update();
        self.membership.wish(wish);
        self.membership.set_load(self.state.work());
        let began = Instant::now();
        let now = self.clock.now();
        let beat = self.membership.beat(now).await?;
        let late = late + began.elapsed();
        if late >= BEAT {
            tracing::warn!(
                late_ms = late.as_millis() as u64,
                "a heartbeat came late: beyond the lease the others take this node for dead"
            );
        }
        let Beat { roll, pulses, clock, news, due, forgotten, stands_by, refused, over } = beat;
        let roll = Arc::new(roll);
        self.state.set_sight(Arc::new(Sight::new(Some(self.me.incarnation), Arc::clone(&roll), pulses, now.mono)));
        self.note_clock(clock);
        let registered = roll.nodes.values().filter(|node| node.registered).count();
        self.state.counts().nodes().beat(roll.epoch, registered, late >= BEAT);
        if forgotten > 0 {
            tracing::info!(forgotten, "removed the registrations of nodes in no view that said nothing for a lease");
        }
        if over {
            self.state.counts().nodes().fence();
            self.commander.expel();
            // A node that is stopping already wants no reason.
            let _ = self.ends.send(End::Fenced);
            return Ok(false);
        }
        if let Some(refused) = refused {
            let _ = self.ends.send(End::Refused(refused));
            return Ok(false);
        }
        let active = stands_by.then(|| Active::of(&roll)).flatten();
        self.tell.send_modify(|told| told.active = active);
        self.set_neighbours(&roll);
        if let Some(news) = news {
            self.go_by(news);
        }
        if let Some((after_ms, change)) = due {
            sleep(Duration::from_millis(after_ms)).await;
            if let Some(news) = self.membership.propose(&change).await? {
                self.changed(&change, &roll, &news);
                self.go_by(news);
            }
        }
        Ok(true)
    }

    /// A view has ended: the one that stands is read at once.
    async fn look(&mut self) {
        match self.membership.look().await {
            Ok(Some(news)) => self.go_by(news),
            Ok(None) => {}
            Err(error) => note(&error),
        }
    }

    /// The shards go by this view from now on.
    fn go_by(&mut self, news: News) {
        let view = &news.view;
        tracing::info!(
            epoch = view.epoch.0,
            nodes = view.members().len(),
            partitions = view.owned_by(self.me.incarnation),
            "goes by another view"
        );
        self.goes_by = view.epoch;
        self.state.counts().nodes().go_by(view.epoch, view.owned_by(self.me.incarnation));
        self.commander.set_view(Arc::clone(view), news.version);
        self.tell.send_modify(|told| told.news = Some(news));
    }

    fn note_clock(&mut self, clock: OwnClock) {
        let off_ms = match clock {
            OwnClock::Agrees => 0,
            OwnClock::Off(off_ms) | OwnClock::FarOff(off_ms) => off_ms,
        };
        self.state.set_clock_off(off_ms);
        match clock {
            OwnClock::Agrees => {
                if self.clock_said.take().is_some() {
                    tracing::info!("the clock agrees with the other nodes' again");
                }
            }
            OwnClock::Off(_) => {
                if self.clock_said.is_none_or(|said| said.elapsed() >= CLOCK_SAID_EVERY) {
                    self.clock_said = Some(Instant::now());
                    tracing::warn!(
                        off_ms,
                        "this node's clock is not the other nodes': nothing is forgotten by it meanwhile; set it right"
                    );
                }
            }
            OwnClock::FarOff(_) => {
                if !std::mem::replace(&mut self.clock_ends, true) {
                    let _ = self.ends.send(End::Clock(off_ms));
                }
            }
        }
    }

    /// A change that this node proposed is made.
    fn changed(&self, change: &Change, roll: &Roll, news: &News) {
        let Change { moves, joins, dead, drains, .. } = change;
        let name = |node: &Incarnation| {
            let record = roll.nodes.get(node).and_then(|node| node.record.as_ref());
            record.map_or_else(|| format!("{:x}", node.0), |record| record.name.clone())
        };
        let epoch = news.view.epoch.0;
        let joins: Vec<_> = joins.iter().map(name).collect();
        let (earlier, silent): (Vec<&Incarnation>, Vec<&Incarnation>) =
            dead.iter().partition(|node| self.me.earlier.contains(node));
        if !earlier.is_empty() {
            let lives: Vec<String> = earlier.into_iter().map(|life| format!("{:x}", life.0)).collect();
            tracing::warn!(
                epoch,
                ?lives,
                moves,
                "earlier lives of this node are over and out of the view: no lease is waited for"
            );
        }
        if !silent.is_empty() {
            self.state.counts().nodes().took_over();
            let dead: Vec<String> = silent.into_iter().map(name).collect();
            tracing::warn!(epoch, ?dead, moves, "nodes that said nothing for a lease are out of the view");
        }
        if !joins.is_empty() {
            tracing::info!(epoch, ?joins, "a node joins, and is given its share in steps");
        } else if *drains {
            tracing::info!(epoch, moves, "this node hands its partitions over");
        } else if dead.is_empty() {
            tracing::info!(epoch, moves, "partitions move to where they belong");
        }
    }

    /// The other members, as far as they have links.
    fn set_neighbours(&mut self, roll: &Roll) {
        let (neighbours, earlier) = neighbours::of(roll, &self.me);
        if let Some(node) = earlier.filter(|node| self.earlier != earlier && !self.me.earlier.contains(node)) {
            tracing::info!(
                incarnation = format_args!("{:x}", node.0),
                "an earlier life of this node is in the view until the lease is over"
            );
        }
        self.earlier = earlier;
        self.tell_neighbours.send_if_modified(|known| {
            let is_new = *known != neighbours;
            *known = neighbours;
            is_new
        });
    }
}

fn note(error: &LayerError) {
    match error {
        // Whether the store answers is noticed, and said once, by those who look at it.
        LayerError::Store(error) => tracing::debug!(%error, "a heartbeat failed"),
        LayerError::Record(_) | LayerError::Refused(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "a heartbeat failed");
        }
    }
}
