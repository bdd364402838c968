//! A node: several shards' drivers over the store, in a simulated process that can be killed, or stand still.
//!
//! Owns one life of it: it joins the view, takes clients, gives each connection to a shard, and ends when it is asked to,
//! or when it is in no view any more. What it holds dies with it; the store does not. The shape is the gateway's, with
//! tasks in place of threads and rings.
//!
//! ```text
//! process      lives one after the other          shard mailbox    a shard's driver, and ways between shards
//! heartbeat    its part in the view               conn auth api    what clients and the HTTP API bring
//! before       applications that are asked first
//! peering tap  connections to other nodes         way view_lies    how it reaches the store, and planted bugs of that
//! ```

mod api;
mod auth;
mod before;
mod conn;
mod heartbeat;
mod mailbox;
mod peering;
mod process;
mod shard;
mod tap;
mod view_lies;
mod way;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat::push::{self, Adopted};
use chat::share::Share;
use chat::{appender::Appender, view};
use host::Host;
use host::driver::{Clock as _, Limits, Orders, Parts};
use host::membership::News;
use lies::LyingEngine;
use link::handshake::{Identity, VERSIONS};
use link::{Bounds, Secret};
use router::Drain;
use schema::limits::PING_MS;
use schema::{Incarnation, Instant, Now, Owner, ShardIndex, UnixMs, View};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::options::Planted;
use crate::rng::Rng;
use crate::trace::note;
use crate::world::World;

pub(crate) use api::sign_in;
pub(crate) use auth::{Tokens, token};
use before::Applications;
use heartbeat::Heartbeat;
use mailbox::{Line, Mailbox};
use peering::Peering;
pub(crate) use process::run;
use process::{Door, Port};
use shard::{Event, Shard, SimLinks, SimSockets};
use view_lies::ViewLies;
use way::Way;

/// Where clients connect.
pub(crate) const PORT: u16 = 8001;
/// Where other nodes do.
const PEER_PORT: u16 = 8002;
/// Bytes beside a plan's for frames that must arrive: more than the few devices of a run ever need.
const LINK_MUST_BYTES: usize = 1024 * 1024;
/// How long a node that is asked to stop may take to hand over what it owns.
const HAND_OVER: Duration = Duration::from_secs(20);
/// How long sessions may take to finish when the node is asked to stop, and when it is in no view any more.
const DRAIN_MS: u64 = 2_000;
const FENCED_DRAIN_MS: u64 = 1_000;
/// Time over which clients of a node that stops are to go to others.
const JITTER_MS: u32 = 700;
/// How often a node looks at what its store and its operator tell it.
const LOOK: Duration = Duration::from_millis(20);
/// How often a node looks for what lives that are over have left.
const ADOPT: Duration = Duration::from_secs(2);
/// The secret of all nodes.
const SECRET: &[u8] = b"a secret of thirty-two bytes or more";

/// The clocks of one life of the node. Its wall clock is off by up to two seconds, differently in each life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall_at_zero: UnixMs,
}

impl host::driver::Clock for Clock {
    fn now(&self) -> Now {
        let elapsed = turmoil::sim_elapsed().expect("the node lives in a simulation");
        let ns = u64::try_from(elapsed.as_nanos()).expect("a run is short");
        Now { mono: Instant(ns), wall: self.wall_at_zero.plus_ms(ns / 1_000_000) }
    }
}

/// What the tasks of one life share.
struct Life {
    /// Which node's.
    at: usize,
    /// From 1, over all nodes.
    number: u64,
    incarnation: Incarnation,
    /// Lives of its node that it knows to be over.
    earlier: BTreeSet<Incarnation>,
    port: Rc<Port>,
    closed: Notify,
    /// Called by shards that find that their view has ended.
    outdated: Notify,
}

impl Life {
    fn stop_accepting(&self) {
        self.port.listen(false);
        self.closed.notify_one();
    }
}

/// How a life ended.
enum Ended {
    /// It was asked to stop.
    Drained,
    /// It is in no view any more.
    Fenced,
}

/// The tasks of one life beside its shards. They end with it.
#[derive(Clone, Default)]
struct Tasks(Rc<RefCell<JoinSet<()>>>);

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().spawn_local(task);
    }
}

/// One life of a node, to its end.
async fn run_life(world: Rc<World>, at: usize, clients: Door, peers: Door) -> turmoil::Result<Ended> {
    let number = world.begin_life(at);
    let rng = world.rng.part(&format!("life {number}"));
    let clock = Clock { wall_at_zero: world.wall_at_zero().plus_ms(rng.part("wall").within(0..=2_000)) };
    let engine = Way::new(&world, at);
    let incarnation = Incarnation(rng.part("incarnation").bits());
    let mut earlier = world.nodes[at].note_life(incarnation);
    // After a restart of its machine, or in another directory, it knows of none.
    if rng.part("directory").chance(500) {
        earlier.clear();
    }
    let life = Rc::new(Life {
        at,
        number,
        incarnation,
        earlier,
        port: Rc::clone(&clients.port),
        closed: Notify::new(),
        outdated: Notify::new(),
    });
    let (orders, tasks) = (Arc::new(Orders::default()), Tasks::default());
    let places = world.plan.mailbox_places;
    let mailboxes: Vec<Mailbox> =
        (0..world.plan.nodes[at]).map(|_| Mailbox::new(places, Arc::clone(&world.faults))).collect();
    let lies = Arc::new(ViewLies::new(&life, world.options.planted));
    let joins = Joins {
        world: &world,
        life: &life,
        engine: &engine,
        clock,
        orders: &orders,
        mailboxes: &mailboxes,
        lies: &lies,
    };
    let Some((view, heartbeat)) = joins.join(&tasks).await else { return Ok(Ended::Drained) };
    note!(world.trace, "n{}: life {number} has epoch {}", at + 1, view.epoch.0);
    world.nodes[at].serves.set(true);

    let node = Node { world, life, engine, lies, clock, view, orders, mailboxes, heartbeat, tasks };
    let (mut shards, senders) = node.start_shards(&rng);
    node.start_tasks(&rng);
    node.tasks.spawn(node.supervise());
    node.start_links(peers, &senders, rng.part("peers"));
    node.accept(&senders, clients, rng.part("accept")).await;
    node.world.nodes[at].serves.set(false);
    while let Some(ended) = shards.join_next().await {
        ended?;
    }
    note!(node.world.trace, "n{}: life {number} has ended", at + 1);
    if node.heartbeat.as_ref().is_some_and(Heartbeat::is_over) {
        return Ok(Ended::Fenced);
    }
    if node.heartbeat.is_some() {
        heartbeat::say_goodbye(&node.world, &node.engine, &node.life).await;
    }
    Ok(Ended::Drained)
}

/// What a life needs to join.
struct Joins<'a> {
    world: &'a Rc<World>,
    life: &'a Rc<Life>,
    engine: &'a Way,
    clock: Clock,
    orders: &'a Arc<Orders>,
    mailboxes: &'a [Mailbox],
    lies: &'a Arc<ViewLies>,
}

impl Joins<'_> {
    /// The first view of this life, and its heartbeat if there may be others. None if it was asked to stop before.
    async fn join(&self, tasks: &Tasks) -> Option<(Arc<View>, Option<Heartbeat>)> {
        if self.world.plan.is_embedded() {
            let view = Arc::new(self.claim().await);
            self.orders.set_view(Arc::clone(&view), 0);
            return Some((view, None));
        }
        let parts = heartbeat::Parts {
            world: Rc::clone(self.world),
            life: Rc::clone(self.life),
            engine: self.engine.clone(),
            clock: self.clock,
            orders: Arc::clone(self.orders),
            mailboxes: self.mailboxes.to_vec(),
            lies: Arc::clone(self.lies),
        };
        let heartbeat = Heartbeat::start(parts, tasks);
        let joined = tokio::select! {
            biased;
            News { view, .. } = heartbeat.joined() => Some(view),
            () = self.asked_to_drain() => None,
        };
        if joined.is_none() {
            heartbeat::say_goodbye(self.world, self.engine, self.life).await;
        }
        joined.map(|view| (view, Some(heartbeat)))
    }

    async fn claim(&self) -> View {
        loop {
            match view::claim(self.engine, self.life.incarnation, self.world.plan.nodes[self.life.at]).await {
                Ok(view) => return view,
                Err(error) => note!(self.world.trace, "n{}: claim failed: {error}", self.life.at + 1),
            }
            sleep(LOOK).await;
        }
    }

    async fn asked_to_drain(&self) {
        while !self.world.nodes[self.life.at].is_asked_to_drain(self.life.number) {
            sleep(LOOK).await;
        }
    }
}

/// What a life is made of once it serves.
struct Node {
    world: Rc<World>,
    life: Rc<Life>,
    engine: Way,
    lies: Arc<ViewLies>,
    clock: Clock,
    view: Arc<View>,
    orders: Arc<Orders>,
    mailboxes: Vec<Mailbox>,
    /// None where there can be no other node.
    heartbeat: Option<Heartbeat>,
    tasks: Tasks,
}

impl Node {
    fn start_shards(&self, rng: &Rng) -> (JoinSet<()>, Vec<UnboundedSender<Event>>) {
        let auth = Arc::new(Tokens);
        if before::are_asked(rng, self.world.plan.asked_permille) {
            self.orders.set_before(before::everything());
        }
        let plan = &self.world.plan;
        let way = self.engine.lying(&self.lies);
        let engine = LyingEngine::new(way, self.world.options.planted.and_then(Planted::lie));
        let (mut shards, mut senders) = (JoinSet::new(), Vec::new());
        for (index, mailbox) in (0..).zip(&self.mailboxes) {
            let me = Owner { incarnation: self.life.incarnation, shard: ShardIndex(index) };
            let (view, engine, auth) = (Arc::clone(&self.view), engine.clone(), Arc::clone(&auth));
            let before = Arc::new(Applications) as Arc<dyn host::Before>;
            let appender = Appender::new(me);
            let config = host::Config { me, view, engine, auth, before, appender, ping_ms: PING_MS };
            let host = Host::new(config, self.clock.now());
            let rng = rng.part(&format!("shard {index}"));
            let (done_sender, done) = mpsc::unbounded_channel();
            let line = |(to, mailbox): (u16, &Mailbox)| Line::new(index, to, mailbox.clone(), &self.tasks);
            let links = SimLinks {
                world: Rc::clone(&self.world),
                life: Rc::clone(&self.life),
                shard: index,
                mailbox: mailbox.clone(),
                lines: (0..).zip(&self.mailboxes).map(line).collect(),
                done,
                done_sender,
                tasks: self.tasks.clone(),
                rng: rng.part("links"),
                started: 0,
            };
            let is_unbounded = self.world.options.planted == Some(Planted::ResendUnbounded);
            let resend_bytes_max = if is_unbounded { usize::MAX } else { plan.peer_resend_bytes };
            let limits = Limits {
                tasks_max: plan.store_tasks,
                link_bytes_max: plan.link_bytes,
                link_must_bytes_max: LINK_MUST_BYTES,
                peer: Bounds { unsent_bytes_max: plan.peer_unsent_bytes, resend_bytes_max },
                ..Limits::new(1_000)
            };
            let sockets =
                SimSockets::new(Rc::clone(&self.world), Rc::clone(&self.life), rng.part("sockets"), self.clock);
            let parts = Parts {
                host,
                links,
                clock: self.clock,
                orders: Arc::clone(&self.orders),
                limits,
                shards: plan.nodes[self.life.at],
                echo: false,
            };
            let (sender, events) = mpsc::unbounded_channel();
            shards.spawn_local(Shard::new(parts, sockets).run(events));
            senders.push(sender);
        }
        (shards, senders)
    }

    fn start_tasks(&self, rng: &Rng) {
        let world = || Rc::clone(&self.world);
        self.tasks.spawn(adopt(world(), self.engine.clone(), self.clock));
        let shards = || self.mailboxes.clone();
        self.tasks.spawn(api::serve(world(), self.engine.clone(), shards(), rng.part("api")));
        let orders = Arc::clone(&self.orders);
        self.tasks.spawn(api::revoke(world(), self.engine.clone(), orders, shards(), rng.part("revoke")));
        for number in 0..self.world.plan.askers {
            let rng = rng.part(&format!("api {number}"));
            self.tasks.spawn(api::run(world(), self.life.number, shards(), rng));
        }
    }

    /// Connections to other nodes, if there may be any.
    fn start_links(&self, peers: Door, shards: &[UnboundedSender<Event>], rng: Rng) {
        let Some(heartbeat) = self.heartbeat.as_ref().filter(|_| self.world.plan.is_linked) else { return };
        let peering = Rc::new(Peering {
            world: Rc::clone(&self.world),
            life: Rc::clone(&self.life),
            me: Identity {
                incarnation: self.life.incarnation,
                shards: self.world.plan.nodes[self.life.at],
                versions: VERSIONS,
            },
            secret: Secret::new(SECRET).expect("it is long enough"),
            shards: shards.to_vec(),
            rng,
            streams: Cell::default(),
        });
        if let Some(Planted::OldLifeAccepted | Planted::RetriesWhatHasNoReply) = self.world.options.planted {
            let (orders, shards) = (Arc::clone(&self.orders), self.mailboxes.clone());
            self.tasks.spawn(tap::hear_again(Rc::clone(&peering), orders, shards));
        }
        peers.port.listen(true);
        self.tasks.spawn(peering::accept(Rc::clone(&peering), peers.streams));
        self.tasks.spawn(peering::dial(peering, heartbeat.neighbours.clone()));
    }

    /// Tells the shards what a node's own thread tells them: that the store is away or back, and that the node stops.
    fn supervise(&self) -> impl Future<Output = ()> + use<> {
        let (world, life, clock) = (Rc::clone(&self.world), Rc::clone(&self.life), self.clock);
        let (orders, mailboxes, heartbeat) = (Arc::clone(&self.orders), self.mailboxes.clone(), self.heartbeat.clone());
        async move {
            let (node, mut writes) = (&world.nodes[life.at], true);
            while !node.is_asked_to_drain(life.number) {
                sleep(LOOK).await;
                let on = !world.faults.is_cut_off(life.at);
                if on != writes {
                    writes = on;
                    note!(world.trace, "{}: writes are {}", node.host, if on { "on" } else { "off" });
                    orders.set_writes(on);
                    mailboxes.iter().for_each(Mailbox::ring);
                }
            }
            note!(world.trace, "{}: life {} drains", node.host, life.number);
            node.serves.set(false);
            if let Some(heartbeat) = heartbeat {
                let in_time = timeout(HAND_OVER, heartbeat.hand_over(life.incarnation)).await.is_ok();
                note!(world.trace, "{}: has handed over: {in_time}", node.host);
            }
            let others = world.nodes.iter().filter(|node| node.serves.get()).map(|node| node.host.to_owned());
            orders.drain(Drain {
                deadline_ms: clock.now().wall.plus_ms(DRAIN_MS),
                jitter_ms: JITTER_MS,
                urls: others.collect(),
            });
            mailboxes.iter().for_each(Mailbox::ring);
        }
    }

    /// Takes connections until a shard says that it is enough.
    async fn accept(&self, shards: &[UnboundedSender<Event>], mut clients: Door, mut rng: Rng) {
        clients.port.listen(true);
        for number in 0_u64.. {
            let stream = tokio::select! {
                biased;
                () = self.life.closed.notified() => return,
                Some(stream) = clients.streams.recv() => stream,
            };
            // As the kernel spreads connections over listeners of one port.
            let shard = rng.pick(shards).clone();
            let rng = rng.part(&format!("conn {number}"));
            let conn = conn::run(Rc::clone(&self.world), stream, router::ConnId(number), shard, rng);
            self.tasks.spawn(conn);
        }
    }
}

/// What lives that are over left unserved becomes push items, beside serving as in a real node.
async fn adopt(world: Rc<World>, engine: Way, clock: Clock) {
    loop {
        match push::adopt(&engine, clock.now().wall, &Share::whole()).await {
            Ok(Adopted { arrivals: 0, .. }) => {}
            Ok(Adopted { arrivals, items }) => {
                note!(world.trace, "node: {arrivals} arrivals of earlier lives became {items} push items");
            }
            Err(error) => note!(world.trace, "node: could not adopt what earlier lives left: {error}"),
        }
        sleep(ADOPT).await;
    }
}
