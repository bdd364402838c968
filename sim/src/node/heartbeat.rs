//! Heartbeats of a life among the nodes of its store, and what follows from each.
//!
//! Owns their pace, and what they have come to. What is due is [`host::membership`]'s; this gives views to the shards and
//! to who keeps links, as the gateway's thread does.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat::LayerError;
use chat::view::{Roll, leave};
use host::driver::{Clock as _, Orders};
use host::membership::{Beat, Membership, News, Wish};
use link::handshake::VERSIONS;
use router::Drain;
use schema::limits::BEAT_MS;
use schema::record::NodeRecord;
use schema::{Incarnation, View};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::options::Planted;
use crate::trace::note;
use crate::world::World;

use super::mailbox::Mailbox;
use super::view_lies::ViewLies;
use super::way::Way;
use super::{Clock, FENCED_DRAIN_MS, Life, PEER_PORT, Tasks};

const BEAT: Duration = Duration::from_millis(BEAT_MS);
/// How long a node tries to leave.
const LEAVE: Duration = Duration::from_secs(2);

/// Another node of the view, as far as links concern it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) host: String,
    pub(super) shards: u16,
}

pub(super) type Neighbours = BTreeMap<Incarnation, Neighbour>;

/// What heartbeats have come to.
#[derive(Default)]
pub(super) struct Told {
    /// The newest view of which this node is a member.
    pub(super) news: Option<News>,
    /// This life is in no view any more.
    pub(super) over: bool,
}

/// What others know of the heartbeats, and have them do.
#[derive(Clone)]
pub(super) struct Heartbeat {
    told: watch::Receiver<Told>,
    pub(super) neighbours: watch::Receiver<Neighbours>,
    wish: Rc<watch::Sender<Wish>>,
}

/// The surroundings of heartbeats.
pub(super) struct Parts {
    pub(super) world: Rc<World>,
    pub(super) life: Rc<Life>,
    pub(super) engine: Way,
    pub(super) clock: Clock,
    pub(super) orders: Arc<Orders>,
    pub(super) mailboxes: Vec<Mailbox>,
    pub(super) lies: Arc<ViewLies>,
}

impl Heartbeat {
    /// Registers the node and beats until this life is in no view any more.
    pub(super) fn start(parts: Parts, tasks: &Tasks) -> Self {
        let (tell, told) = watch::channel(Told::default());
        let (tell_neighbours, neighbours) = watch::channel(Neighbours::new());
        let (wish, wished) = watch::channel(Wish::Serve);
        let Parts { world, life, engine, .. } = &parts;
        let record = NodeRecord {
            // Each life its own: it does not wait to see whether the one before still says something.
            name: format!("{}-{}", world.nodes[life.at].host, life.number),
            shards: world.plan.nodes[life.at],
            weight: world.plan.weights[life.at],
            links: if world.plan.is_linked {
                format!("{}:{PEER_PORT}", world.nodes[life.at].host)
            } else {
                String::new()
            },
            links_oldest: VERSIONS.oldest,
            links_newest: VERSIONS.newest,
            ..NodeRecord::default()
        };
        let membership = Membership::new(engine.clone(), life.incarnation, record, life.earlier.clone());
        tasks.spawn(Beating { parts, membership, tell, tell_neighbours, wished }.run());
        Self { told, neighbours, wish: Rc::new(wish) }
    }

    /// Waits until this node is in the view.
    pub(super) async fn joined(&self) -> News {
        let mut told = self.told.clone();
        let told = told.wait_for(|told| told.news.is_some()).await.expect("heartbeats go on as long as the life");
        told.news.clone().expect("it was waited for")
    }

    /// Whether this life is in no view any more.
    pub(super) fn is_over(&self) -> bool {
        self.told.borrow().over
    }

    /// Hands over what this node owns, and waits until it owns nothing, or nobody is there to own it.
    pub(super) async fn hand_over(&self, me: Incarnation) {
        // They may have ended, and the life with them.
        let _ = self.wish.send(Wish::Drain);
        let has_others = |view: &View| view.members().iter().any(|member| member.incarnation != me);
        let is_done = |told: &Told| {
            told.over || told.news.as_ref().is_none_or(|news| !has_others(&news.view) || news.view.owned_by(me) == 0)
        };
        let _ = self.told.clone().wait_for(is_done).await;
    }
}

/// The last word of a life that has handed over and has nothing under way.
pub(super) async fn say_goodbye(world: &World, engine: &Way, life: &Life) {
    let left = timeout(LEAVE, leave(engine, life.incarnation)).await;
    note!(world.trace, "n{}: life {} leaves: {left:?}", life.at + 1, life.number);
}

struct Beating {
    parts: Parts,
    membership: Membership<Way>,
    tell: watch::Sender<Told>,
    tell_neighbours: watch::Sender<Neighbours>,
    wished: watch::Receiver<Wish>,
}

impl Beating {
    async fn run(mut self) {
        let mut due = Instant::now();
        let life = Rc::clone(&self.parts.life);
        while self.beat().await {
            due = (due + BEAT).max(Instant::now());
            loop {
                tokio::select! {
                    biased;
                    Ok(()) = self.wished.changed() => break,
                    () = life.outdated.notified() => self.look().await,
                    () = sleep_until(due) => break,
                }
            }
        }
        // Whoever waits for more waits as long as the life.
        std::future::pending().await
    }

    /// One heartbeat and what follows from it. Returns whether there will be another.
    async fn beat(&mut self) -> bool {
        let beat = self.try_beat().await;
        beat.unwrap_or_else(|error| {
            note!(self.parts.world.trace, "n{}: a heartbeat failed: {error}", self.parts.life.at + 1);
            true
        })
    }

    async fn try_beat(&mut self) -> Result<bool, LayerError> {
        let wish = *self.wished.borrow_and_update();
        self.membership.wish(wish);
        let Beat { roll, news, due, over, .. } = self.membership.beat(self.parts.clock.now()).await?;
        if over {
            self.over();
            return Ok(false);
        }
        self.set_neighbours(&roll);
        if let Some(news) = news {
            self.go_by(news);
        }
        if let Some((after_ms, change)) = due {
            sleep(Duration::from_millis(after_ms)).await;
            if let Some(news) = self.membership.propose(&change).await? {
                let earlier = change.dead.iter().filter(|node| self.parts.life.earlier.contains(node)).count();
                self.parts.world.met.borrow_mut().earlier_lives += earlier as u64;
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
            Err(error) => note!(self.parts.world.trace, "n{}: cannot read the view: {error}", self.parts.life.at + 1),
        }
    }

    fn go_by(&mut self, news: News) {
        let Parts { world, life, orders, .. } = &self.parts;
        let (view, me) = (&news.view, life.incarnation);
        let (epoch, members, owned) = (view.epoch.0, view.members().len(), view.owned_by(me));
        note!(world.trace, "n{}: goes by epoch {epoch} of {members} nodes, and owns {owned}", life.at + 1);
        world.saw_view(view);
        self.parts.lies.go_by(view.epoch, news.version);
        let is_forgotten = world.options.planted == Some(Planted::ServesBeforeTheView);
        orders.set_view(Arc::clone(view), if is_forgotten { 0 } else { news.version });
        self.ring();
        self.tell.send_modify(|told| told.news = Some(news));
    }

    fn over(&self) {
        let Parts { world, life, orders, clock, .. } = &self.parts;
        if world.options.planted == Some(Planted::FencedGoesOn) {
            return;
        }
        note!(world.trace, "n{}: life {} is in no view any more", life.at + 1, life.number);
        world.met.borrow_mut().fenced_lives += 1;
        orders.expel();
        orders.drain(Drain::alone(clock.now().wall.plus_ms(FENCED_DRAIN_MS)));
        self.ring();
        self.tell.send_modify(|told| told.over = true);
    }

    fn ring(&self) {
        self.parts.mailboxes.iter().for_each(Mailbox::ring);
    }

    /// The other members, as far as they have links.
    fn set_neighbours(&self, roll: &Roll) {
        let others = roll.active().filter(|node| *node != self.parts.life.incarnation);
        let neighbours: Neighbours = others
            .filter_map(|node| {
                let record = roll.nodes.get(&node)?.record.as_ref()?;
                let (host, _) = record.links.split_once(':')?;
                Some((node, Neighbour { host: host.to_owned(), shards: record.shards }))
            })
            .collect();
        self.tell_neighbours.send_if_modified(|known| {
            let is_new = *known != neighbours;
            *known = neighbours;
            is_new
        });
    }
}
