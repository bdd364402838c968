//! The node under test: several hosts of one store, in one simulated process that can be killed.
//!
//! Owns one life of the node: it opens the store, claims the view, listens, and gives each connection to a shard. What it holds
//! dies with the host; the store does not. The shape is the gateway's, with tasks in place of threads and rings.

mod api;
mod auth;
mod conn;
mod disk;
mod faults;
mod links;
mod shard;

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chat::push::{self, Adopted};
use chat::{appender::Appender, view};
use host::Host;
use kv::memory::{Durability, MemoryEngine, MemoryOptions};
use lies::LyingEngine;
use schema::{Epoch, Incarnation, Instant, Now, Owner, ShardIndex, UnixMs};
use tokio::sync::mpsc;
use turmoil::net::TcpListener;

use crate::options::Planted;
use crate::rng::Rng;
use crate::trace::note;
use crate::world::World;

pub(crate) use auth::{Tokens, token};
use faults::BusyFaults;
use links::Links;
use shard::Shard;

/// Where clients connect.
pub(crate) const PORT: u16 = 8001;
/// When every run begins, on the wall.
pub(crate) const WALL: UnixMs = UnixMs(1_800_000_000_000);

/// How far the wall leaps, if it does: beyond the days that inboxes and first replies are kept.
pub(crate) const LEAP_MS: u64 = 31 * 24 * 3600 * 1000;

/// The clocks of one life of the node. Its wall clock is off by up to two seconds, differently in each life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall_at_zero: UnixMs,
}

impl Clock {
    pub(crate) fn now(self) -> Now {
        let elapsed = turmoil::sim_elapsed().expect("the node lives in a simulation");
        let ns = u64::try_from(elapsed.as_nanos()).expect("a run is short");
        Now { mono: Instant(ns), wall: self.wall_at_zero.plus_ms(ns / 1_000_000) }
    }
}

/// One life of the node, until it is killed.
pub(crate) async fn live(world: Rc<World>) -> turmoil::Result {
    let life = world.begin_life();
    let rng = world.rng.part(&format!("life {life}"));
    let clock = Clock { wall_at_zero: world.wall_at_zero().plus_ms(rng.part("wall").within(0..=2_000)) };
    let engine = MemoryEngine::open(
        &world.store,
        MemoryOptions {
            clock: Arc::clone(&world.store_clock) as Arc<dyn kv::Clock>,
            durability: match world.options.planted {
                Some(Planted::AcknowledgeBeforeDurable) => Durability::Deferred,
                _ => Durability::Stepped,
            },
            faults: Box::new(BusyFaults::new(&world, rng.part("faults").bits())),
            ..MemoryOptions::default()
        },
    );
    tokio::task::spawn_local(disk::run(Rc::clone(&world), engine.clone(), rng.part("disk")));
    let incarnation = Incarnation(rng.part("incarnation").bits());
    let view = loop {
        match view::claim(&engine, incarnation, world.plan.shards).await {
            Ok(view) => break Arc::new(view),
            Err(error) => note!(world.trace, "node: claim failed: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    note!(world.trace, "node: life {life} has epoch {}", view.epoch.0);

    let (senders, receivers): (Vec<_>, Vec<_>) = (0..world.plan.shards).map(|_| mpsc::unbounded_channel()).unzip();
    let auth = Arc::new(Tokens);
    let lying = LyingEngine::new(engine.clone(), world.options.planted.and_then(Planted::lie));
    for (index, events) in (0..world.plan.shards).zip(receivers) {
        let me = Owner { incarnation, shard: ShardIndex(index) };
        let (view, engine, auth) = (Arc::clone(&view), lying.clone(), Arc::clone(&auth));
        let host = Host::new(host::Config { me, view, engine, auth, appender: Appender::new(me) }, clock.now());
        let rng = rng.part(&format!("shard {index}"));
        let links = Links::new(&world, me, &senders, &rng);
        let sender = senders[usize::from(index)].clone();
        let shard = Shard::new(Rc::clone(&world), host, clock, links, sender, rng);
        tokio::task::spawn_local(shard.run(events));
    }
    tokio::task::spawn_local(adopt(Rc::clone(&world), engine.clone(), view.epoch, clock));
    tokio::task::spawn_local(api::serve(Rc::clone(&world), engine.clone(), Arc::clone(&view), senders.clone()));
    for number in 0..world.plan.askers {
        let rng = rng.part(&format!("api {number}"));
        tokio::task::spawn_local(api::run(Rc::clone(&world), Arc::clone(&view), senders.clone(), rng));
    }
    accept(world, senders, rng.part("accept")).await
}

/// What earlier lives left unserved becomes push items, beside serving as in a real node.
async fn adopt(world: Rc<World>, engine: MemoryEngine, epoch: Epoch, clock: Clock) {
    loop {
        match push::adopt(&engine, epoch, clock.now().wall).await {
            Ok(Adopted { arrivals, items }) => {
                return note!(world.trace, "node: {arrivals} arrivals of earlier lives became {items} push items");
            }
            Err(error) => note!(world.trace, "node: could not adopt what earlier lives left: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn accept(world: Rc<World>, shards: Vec<mpsc::UnboundedSender<shard::Event>>, mut rng: Rng) -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    for number in 0_u64.. {
        let (stream, _) = listener.accept().await?;
        // As the kernel spreads connections over listeners of one port.
        let shard = rng.pick(&shards).clone();
        let rng = rng.part(&format!("conn {number}"));
        tokio::task::spawn_local(conn::run(Rc::clone(&world), stream, router::ConnId(number), shard, rng));
    }
    Ok(())
}
