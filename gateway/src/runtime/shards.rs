//! A node's shards: each a thread with its driver, its host and the ends of its mailboxes.
//!
//! Owns who holds which end of which mailbox. What a shard does is [`ShardHandler`]'s.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use chat::appender::Appender;
use host::driver::{Clock as _, Limits, Mail, Orders};
use host::{Before, Host};
use kv::Engine;
use router::Drain;
use schema::hook::Concerns;
use schema::{Incarnation, Owner, ShardIndex, View};
use tokio::sync::Notify;

use crate::config::Config;
use crate::peering::{NEW_STREAMS_MAX, NewStream};
use crate::telemetry::metrics::Metrics;
use crate::uring::{self, DriverError, Inbox, Mailbox, Sleeper, Sockets, Waker};

use super::clients::Clients;
use super::clock::Clock;
use super::executor;
use super::handler::{ShardHandler, ShardParts};
use super::mesh::{MAIL_MAX, NodeLinks};
use super::operations::Operations;
use super::pool::StorePool;
use super::tokens::Tokens;

/// Connections that wait to be accepted by one shard; the kernel cuts it to net.core.somaxconn.
const BACKLOG: u32 = 4_096;

/// The end of a shard's driver, of this number, by itself or with this error.
pub(crate) struct ShardEnd(pub(crate) u16, pub(crate) Option<DriverError>);

/// What shards tell their node. To be called from any thread; neither call waits.
#[derive(Clone)]
pub(crate) struct Tell {
    /// A shard has ended.
    pub(crate) end: Arc<dyn Fn(ShardEnd) + Send + Sync>,
    /// A view has ended, and the one that stands is to be read.
    pub(crate) outdated: Arc<Notify>,
}

/// Shards that run.
pub(crate) struct Started {
    pub(crate) mailboxes: Vec<Mailbox<Mail>>,
    /// Where each takes connections to other nodes over.
    pub(crate) streams: Vec<Mailbox<NewStream>>,
    pub(crate) threads: Vec<JoinHandle<()>>,
}

/// Gives orders to all shards of a node, also to those that are started later. Never waits.
#[derive(Clone, Default)]
pub(crate) struct Commander {
    orders: Arc<Orders>,
    wakers: Arc<OnceLock<Vec<Waker>>>,
}

impl Commander {
    /// See [`Orders::set_writes`].
    pub(crate) fn set_writes(&self, on: bool) {
        self.orders.set_writes(on);
        self.wake();
    }

    /// See [`Orders::drain`].
    pub(crate) fn drain(&self, drain: Drain) {
        self.orders.drain(drain);
        self.wake();
    }

    /// See [`Orders::set_view`].
    pub(crate) fn set_view(&self, view: Arc<View>, version: u64) {
        self.orders.set_view(view, version);
        self.wake();
    }

    /// See [`Orders::expel`].
    pub(crate) fn expel(&self) {
        self.orders.expel();
        self.wake();
    }

    /// See [`Orders::set_before`].
    pub(crate) fn set_before(&self, concerns: Arc<Concerns>) {
        self.orders.set_before(concerns);
        self.wake();
    }

    /// See [`Orders::before`].
    pub(crate) fn before(&self) -> Arc<Concerns> {
        self.orders.before()
    }

    /// See [`Orders::view`].
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.orders.view()
    }

    fn wake(&self) {
        self.wakers.get().into_iter().flatten().for_each(Waker::wake);
    }
}

/// What the shards of a node share.
pub(crate) struct NodeParts<'a, S> {
    pub(crate) config: &'a Config,
    pub(crate) clock: Clock,
    pub(crate) engine: &'a S,
    pub(crate) view: &'a Arc<View>,
    pub(crate) incarnation: Incarnation,
    pub(crate) tokens: &'a api::Tokens,
    /// Who asks applications before a message is stored.
    pub(crate) before: &'a Arc<dyn Before>,
    pub(crate) origins: &'a api::Origins,
    pub(crate) metrics: &'a Arc<Metrics>,
    /// For what may have to wait for a disk.
    pub(crate) pool: &'a StorePool,
    /// Whether reads of the store may have to.
    pub(crate) reads_wait: bool,
    pub(crate) commander: &'a Commander,
    pub(crate) tell: Tell,
}

impl<S: Engine> NodeParts<'_, S> {
    /// Starts every shard on a thread of its own. They listen when this returns, if they are to.
    pub(crate) fn start_shards(&self, ws: Option<SocketAddr>, connections_max: u32) -> anyhow::Result<Started> {
        let shards = self.config.shards();
        let processors = executor::processors(shards).unwrap_or_else(|error| {
            tracing::warn!(%error, "the system does not say what processors there are, and shards stay on none");
            None
        });
        let (mut mailboxes, mut streams) = (Vec::new(), Vec::new());
        let mut wakers = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..shards {
            let (sleeper, waker) = uring::sleep_and_wake()?;
            let (mailbox, mail) = uring::mailbox(&waker, MAIL_MAX);
            let (stream, new_streams) = uring::mailbox(&waker, NEW_STREAMS_MAX);
            mailboxes.push(mailbox);
            streams.push(stream);
            wakers.push(waker.clone());
            // Before any thread runs, so that an address that is taken leaves none behind.
            let listener = ws.map(|ws| uring::listen(ws, BACKLOG)).transpose()?;
            ends.push(Ends { listener, sleeper, waker, mail, new_streams });
        }
        let share = usize::try_from(connections_max / u32::from(shards)).expect("32 bits fit");
        assert!(self.commander.wakers.set(wakers).is_ok(), "a node starts its shards once");
        let mut threads = Vec::new();
        for (shard, ends) in (0..shards).zip(ends) {
            let me = Owner { incarnation: self.incarnation, shard: ShardIndex(shard) };
            let clients = Clients::new(self.tokens, &self.config.trusted_proxies);
            let host = host::Config {
                me,
                view: Arc::clone(self.view),
                engine: self.engine.clone(),
                auth: Arc::new(Tokens::new(self.tokens.clone(), clients.clone())),
                before: Arc::clone(self.before),
                appender: self.appender(me),
                ping_ms: 1_000 * u64::from(self.config.ping_seconds),
            };
            let processor = processors.as_ref().map(|processors| processors[usize::from(shard)]);
            threads.push(self.start_shard(processor, share, ends, (host, clients), mailboxes.clone())?);
        }
        Ok(Started { mailboxes, streams, threads })
    }

    fn appender(&self, me: Owner) -> Appender {
        let appender = Appender::new(me).with_group_members(self.config.group_members);
        if self.config.chained_appends { appender.with_chained_reads() } else { appender }
    }

    fn start_shard(
        &self,
        processor: Option<usize>,
        connections_max: usize,
        ends: Ends,
        (host, clients): (host::Config<S, Tokens>, Clients),
        mailboxes: Vec<Mailbox<Mail>>,
    ) -> io::Result<JoinHandle<()>> {
        let ShardIndex(shard) = host.me.shard;
        let name = format!("shard-{shard}");
        let config = uring::Config::new(&name, connections_max);
        let (clock, orders, reads_wait) = (self.clock, Arc::clone(&self.commander.orders), self.reads_wait);
        let (shards, echo) = (self.config.shards(), self.config.echo);
        let Tell { end, outdated } = self.tell.clone();
        let (origins, metrics, pool) = (Arc::new(self.origins.clone()), Arc::clone(self.metrics), self.pool.spawner());
        thread::Builder::new().name(name).spawn(move || {
            let Ends { listener, sleeper, waker, mail, new_streams } = ends;
            // Here, so that its memory is near the processor.
            let make_handler = |_: &mut Sockets| {
                let operations = Operations::new(&waker, pool, reads_wait);
                let parts = ShardParts {
                    host: Host::new(host, clock.now()),
                    links: NodeLinks { mail, operations, mailboxes, outdated },
                    clock,
                    orders,
                    limits: Limits::new(connections_max as u64),
                    shards,
                    echo,
                };
                ShardHandler::new(parts, new_streams, (origins, clients), metrics, shard)
            };
            let error = executor::run(processor, uring::run(config, listener, sleeper, make_handler)).err();
            end(ShardEnd(shard, error));
        })
    }
}

/// A shard's own ends of what leads to it.
struct Ends {
    listener: Option<TcpListener>,
    sleeper: Sleeper,
    waker: Waker,
    mail: Inbox<Mail>,
    new_streams: Inbox<NewStream>,
}
