//! A node: several shards' drivers over the store, in a simulated process that can be killed, or stand still.
//!
//! Owns one life of it: it claims the view when it is called, takes clients, gives each connection to a shard, and ends
//! when it is asked to, or when another has taken the store over. What it holds dies with it; the store does not. The
//! shape is the gateway's, with tasks in place of threads and rings. `process` is what goes on from life to life, `way`
//! how it reaches the store.

mod api;
mod auth;
mod conn;
mod mailbox;
mod process;
mod shard;
mod way;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat::push::{self, Adopted};
use chat::{appender::Appender, view};
use host::Host;
use host::driver::{Clock as _, Limits, Orders, Parts};
use lies::LyingEngine;
use schema::{Incarnation, Instant, Now, Owner, ShardIndex, UnixMs, View};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use turmoil::net::TcpStream;

use crate::options::Planted;
use crate::rng::Rng;
use crate::trace::note;
use crate::world::World;

pub(crate) use auth::{Tokens, token};
use mailbox::{Line, Mailbox};
use process::Port;
pub(crate) use process::run;
use shard::{Event, Shard, SimLinks, SimSockets};
use way::Way;

/// Where clients connect.
pub(crate) const PORT: u16 = 8001;
/// Bytes beside a plan's for frames that must arrive: more than the few devices of a run ever need.
const LINK_MUST_BYTES: usize = 1024 * 1024;
/// How long sessions may take to finish when the node is asked to stop, and when it was fenced.
const DRAIN_MS: u64 = 2_000;
const FENCED_DRAIN_MS: u64 = 1_000;
/// How often a node looks at what its heartbeats and its store tell it.
const LOOK: Duration = Duration::from_millis(20);
/// How many looks apart it reads the view.
const BEAT_LOOKS: u64 = 25;

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
    port: Rc<Port>,
    closed: Notify,
    fenced: Cell<bool>,
}

impl Life {
    fn stop_accepting(&self) {
        self.port.listen(false);
        self.closed.notify_one();
    }

    /// Another life has taken the store over (I7).
    fn fence(&self) {
        self.fenced.set(true);
    }
}

/// How a life ended.
enum Ended {
    /// It was asked to stop.
    Drained,
    /// Another has taken the store over.
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
async fn run_life(
    world: Rc<World>,
    at: usize,
    port: Rc<Port>,
    streams: UnboundedReceiver<TcpStream>,
) -> turmoil::Result<Ended> {
    let number = world.begin_life(at);
    let rng = world.rng.part(&format!("life {number}"));
    let clock = Clock { wall_at_zero: world.wall_at_zero().plus_ms(rng.part("wall").within(0..=2_000)) };
    let engine = Way::new(&world, at);
    let incarnation = Incarnation(rng.part("incarnation").bits());
    let shards = world.plan.nodes[at];
    let view = loop {
        if world.called.get() == at {
            match view::claim(&engine, incarnation, shards).await {
                Ok(view) => break Arc::new(view),
                Err(error) => note!(world.trace, "n{}: claim failed: {error}", at + 1),
            }
        }
        tokio::time::sleep(LOOK).await;
    };
    note!(world.trace, "n{}: life {number} has epoch {}", at + 1, view.epoch.0);
    world.nodes[at].serves.set(true);

    let life = Rc::new(Life { at, number, port, closed: Notify::new(), fenced: Cell::new(false) });
    let orders = Arc::new(Orders::default());
    let places = world.plan.mailbox_places;
    let mailboxes: Vec<Mailbox> = (0..shards).map(|_| Mailbox::new(places, Arc::clone(&world.faults))).collect();
    let node = Node { world, life, engine, clock, view, orders, mailboxes, tasks: Tasks::default() };
    let (mut shards, senders) = node.start_shards(incarnation, &rng);
    node.start_tasks(&rng);
    node.tasks.spawn(node.supervise());
    node.accept(&senders, streams, rng.part("accept")).await;
    node.world.nodes[at].serves.set(false);
    while let Some(ended) = shards.join_next().await {
        ended?;
    }
    note!(node.world.trace, "n{}: life {number} has ended", at + 1);
    Ok(if node.life.fenced.get() { Ended::Fenced } else { Ended::Drained })
}

/// What a life is made of once it serves.
struct Node {
    world: Rc<World>,
    life: Rc<Life>,
    engine: Way,
    clock: Clock,
    view: Arc<View>,
    orders: Arc<Orders>,
    mailboxes: Vec<Mailbox>,
    tasks: Tasks,
}

impl Node {
    fn start_shards(&self, incarnation: Incarnation, rng: &Rng) -> (JoinSet<()>, Vec<UnboundedSender<Event>>) {
        let auth = Arc::new(Tokens);
        let plan = &self.world.plan;
        let engine = LyingEngine::new(self.engine.clone(), self.world.options.planted.and_then(Planted::lie));
        let (mut shards, mut senders) = (JoinSet::new(), Vec::new());
        for (index, mailbox) in (0..).zip(&self.mailboxes) {
            let me = Owner { incarnation, shard: ShardIndex(index) };
            let (view, engine, auth) = (Arc::clone(&self.view), engine.clone(), Arc::clone(&auth));
            let config = host::Config { me, view, engine, auth, appender: Appender::new(me) };
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
            let limits = Limits {
                tasks_max: plan.store_tasks,
                link_bytes_max: plan.link_bytes,
                link_must_bytes_max: LINK_MUST_BYTES,
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
        for number in 0..self.world.plan.askers {
            let rng = rng.part(&format!("api {number}"));
            self.tasks.spawn(api::run(world(), self.life.number, shards(), rng));
        }
    }

    /// Tells the shards what a node's own thread tells them: that the store is away or back, and that the node stops.
    fn supervise(&self) -> impl Future<Output = ()> + use<> {
        let (world, life, clock) = (Rc::clone(&self.world), Rc::clone(&self.life), self.clock);
        let (engine, epoch) = (self.engine.clone(), self.view.epoch);
        let (orders, mailboxes) = (Arc::clone(&self.orders), self.mailboxes.clone());
        async move {
            let (node, mut writes) = (&world.nodes[life.at], true);
            for look in 1.. {
                tokio::time::sleep(LOOK).await;
                let on = !world.faults.is_cut_off(life.at);
                if on != writes {
                    writes = on;
                    note!(world.trace, "{}: writes are {}", node.host, if on { "on" } else { "off" });
                    orders.set_writes(on);
                    mailboxes.iter().for_each(Mailbox::ring);
                }
                if look % BEAT_LOOKS == 0
                    && let Ok(Some(seen)) = view::current(&engine).await
                    && seen.view.epoch != epoch
                {
                    life.fence();
                }
                let fenced = life.fenced.get() && world.options.planted != Some(Planted::FencedGoesOn);
                if fenced || node.is_asked_to_drain(life.number) {
                    let drain_ms = if fenced { FENCED_DRAIN_MS } else { DRAIN_MS };
                    let why = if fenced { "was fenced" } else { "drains" };
                    note!(world.trace, "{}: life {} {why}", node.host, life.number);
                    world.met.borrow_mut().fenced += u64::from(fenced);
                    orders.drain(router::Drain::alone(clock.now().wall.plus_ms(drain_ms)));
                    return mailboxes.iter().for_each(Mailbox::ring);
                }
            }
        }
    }

    /// Takes connections until a shard says that it is enough.
    async fn accept(&self, shards: &[UnboundedSender<Event>], mut streams: UnboundedReceiver<TcpStream>, mut rng: Rng) {
        self.life.port.listen(true);
        for number in 0_u64.. {
            let stream = tokio::select! {
                biased;
                () = self.life.closed.notified() => return,
                Some(stream) = streams.recv() => stream,
            };
            // As the kernel spreads connections over listeners of one port.
            let shard = rng.pick(shards).clone();
            let rng = rng.part(&format!("conn {number}"));
            let conn = conn::run(Rc::clone(&self.world), stream, router::ConnId(number), shard, rng);
            self.tasks.spawn(conn);
        }
    }
}

/// What earlier lives left unserved becomes push items, beside serving as in a real node.
async fn adopt(world: Rc<World>, engine: Way, clock: Clock) {
    loop {
        match push::adopt(&engine, clock.now().wall).await {
            Ok(Adopted { arrivals, items }) => {
                return note!(world.trace, "node: {arrivals} arrivals of earlier lives became {items} push items");
            }
            Err(error) => note!(world.trace, "node: could not adopt what earlier lives left: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
