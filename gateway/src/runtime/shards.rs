//! A node's shards: each a thread with its driver, its host and the ends of its mailboxes.
//!
//! Owns who holds which end of which mailbox. What a shard does is [`ShardHandler`]'s.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use chat::appender::Appender;
use host::Host;
use host::driver::{Clock as _, Limits, Mail, Orders};
use kv::Engine;
use schema::limits::STORE_TASKS_MAX;
use schema::{Incarnation, Owner, ShardIndex, UnixMs, View};

use crate::config::Config;
use crate::telemetry::metrics::Metrics;
use crate::uring::{self, DriverError, Mailbox, Sleeper, Waker};

use super::clock::Clock;
use super::handler::{ShardHandler, ShardParts};
use super::mesh::{MAIL_MAX, NodeLinks};
use super::pool::StorePool;
use super::tokens::Tokens;

/// Connections that wait to be accepted by one shard; the kernel cuts it to net.core.somaxconn.
const BACKLOG: u32 = 4_096;

/// Why a node can go on no more, as one of its shards found.
pub(crate) enum ShardEnd {
    /// The driver of the shard of this number has ended, by itself or with this error.
    Driver(u16, Option<DriverError>),
    /// Another node has taken the store over (I7).
    Fenced,
}

/// Tells the node of it. To be called from any thread; never waits.
pub(crate) type TellEnd = Arc<dyn Fn(ShardEnd) + Send + Sync>;

/// Shards that run.
pub(crate) struct Started {
    pub(crate) mailboxes: Vec<Mailbox<Mail>>,
    pub(crate) commander: Commander,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

/// Gives orders to all shards of a node. Never waits.
pub(crate) struct Commander {
    orders: Arc<Orders>,
    wakers: Vec<Waker>,
}

impl Commander {
    /// Of shards that run elsewhere or not at all, and are called by `wakers`.
    pub(crate) fn new(wakers: Vec<Waker>) -> Self {
        Self { orders: Arc::default(), wakers }
    }

    /// See [`Orders::set_writes`].
    pub(crate) fn set_writes(&self, on: bool) {
        self.orders.set_writes(on);
        self.wakers.iter().for_each(Waker::wake);
    }

    /// See [`Orders::drain`].
    pub(crate) fn drain(&self, deadline_ms: UnixMs) {
        self.orders.drain(deadline_ms);
        self.wakers.iter().for_each(Waker::wake);
    }
}

/// What the shards of a node share.
pub(crate) struct NodeParts<'a, S> {
    pub(crate) config: &'a Config,
    pub(crate) clock: Clock,
    pub(crate) engine: &'a S,
    pub(crate) view: &'a Arc<View>,
    pub(crate) incarnation: Incarnation,
    pub(crate) key: &'a api::TokenKey,
    pub(crate) origins: &'a api::Origins,
    pub(crate) metrics: &'a Arc<Metrics>,
    pub(crate) pool: &'a StorePool,
    pub(crate) tell_end: TellEnd,
}

impl<S: Engine> NodeParts<'_, S> {
    /// Starts every shard on a thread of its own. They listen when this returns.
    pub(crate) fn start_shards(&self, ws: SocketAddr, connections_max: u32) -> anyhow::Result<Started> {
        let shards = self.config.shards();
        let mut mailboxes = Vec::new();
        let mut wakers = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..shards {
            let (sleeper, waker) = uring::sleep_and_wake()?;
            let (mailbox, mail) = uring::mailbox(&waker, MAIL_MAX);
            let (done_sender, done) = uring::mailbox(&waker, STORE_TASKS_MAX as usize);
            mailboxes.push(mailbox);
            wakers.push(waker);
            // Before any thread runs, so that an address that is taken leaves none behind.
            ends.push((uring::listen(ws, BACKLOG)?, sleeper, mail, done_sender, done));
        }
        let share = usize::try_from(connections_max / u32::from(shards)).expect("32 bits fit");
        let auth = Arc::new(Tokens::new(self.key.clone()));
        let commander = Commander::new(wakers);
        let mut threads = Vec::new();
        for (shard, (listener, sleeper, mail, done_sender, done)) in (0..shards).zip(ends) {
            let me = Owner { incarnation: self.incarnation, shard: ShardIndex(shard) };
            let host = host::Config {
                me,
                view: Arc::clone(self.view),
                engine: self.engine.clone(),
                auth: Arc::clone(&auth),
                appender: self.appender(me),
            };
            let links = NodeLinks {
                mail,
                done,
                done_sender,
                spawner: self.pool.spawner(),
                mailboxes: mailboxes.clone(),
                tell_end: Arc::clone(&self.tell_end),
            };
            let parts = ShardParts {
                host: Host::new(host, self.clock.now()),
                links,
                clock: self.clock,
                orders: Arc::clone(&commander.orders),
                limits: Limits::new(share as u64),
                shards,
                echo: self.config.echo,
            };
            threads.push(self.start_shard(shard, share, listener, sleeper, parts)?);
        }
        Ok(Started { mailboxes, commander, threads })
    }

    fn appender(&self, me: Owner) -> Appender {
        let appender = Appender::new(me).with_group_members(self.config.group_members);
        if self.config.chained_appends { appender.with_chained_reads() } else { appender }
    }

    fn start_shard(
        &self,
        shard: u16,
        connections_max: usize,
        listener: std::net::TcpListener,
        sleeper: Sleeper,
        parts: ShardParts<S>,
    ) -> io::Result<JoinHandle<()>> {
        let mut config = uring::Config::new(format!("shard-{shard}"), connections_max);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        // Pinned if each shard has a core of its own, and left to the scheduler otherwise.
        config.cpu = (usize::from(self.config.shards()) <= cores && cores > 1).then_some(usize::from(shard));
        let tell_end = Arc::clone(&self.tell_end);
        let (origins, metrics) = (Arc::new(self.origins.clone()), Arc::clone(self.metrics));
        thread::Builder::new().name(format!("shard-{shard}")).spawn(move || {
            let error =
                uring::run(config, listener, sleeper, |_| ShardHandler::new(parts, origins, metrics, shard)).err();
            tell_end(ShardEnd::Driver(shard, error));
        })
    }
}
