//! A shard and its appender, driven by three calls.
//!
//! Owns the way of a store output: appends are gathered and leave as one transaction at a time, everything else leaves as a
//! future of its own. Upholds I3 on this side: an append is answered from its transaction's outcome and from nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chat::appender::{Appender, Finished, Outcome};
use kv::Engine;
use router::{ConnId, Input, OpId, Output, Shard, Stats, StoreOp, StoreResult};
use schema::mesh::{MeshBody, MeshFrame};
use schema::{CloseCode, Instant, Now, OpReply, Owner, Refusal, Stamp, View};
use wire::SharedFrame;

use crate::auth::Authenticator;
use crate::store::{self, Context};

/// A store operation under way. Polled anywhere, to its end.
pub type Task = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What a [`Task`] came to. For [`Host::done`] of the host that gave it out.
pub struct Done(Kind);

enum Kind {
    Batch(Box<Outcome>),
    Op(OpId, StoreResult),
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Batch(_) => f.write_str("Done(batch)"),
            Kind::Op(op, _) => write!(f, "Done({op:?})"),
        }
    }
}

/// What the driver is to do.
pub enum Effect {
    /// Put this behind what is queued for the connection.
    Send {
        /// The connection.
        conn: ConnId,
        /// A whole frame.
        frame: SharedFrame,
    },
    /// Send a WebSocket ping.
    Ping {
        /// The connection.
        conn: ConnId,
    },
    /// Send what is queued, then close.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// Stop or go on reading the socket.
    Reads {
        /// The connection.
        conn: ConnId,
        /// Whether to read.
        on: bool,
    },
    /// Tell another shard.
    Mesh {
        /// Which.
        to: Owner,
        /// What.
        frame: MeshFrame,
    },
    /// Answer the HTTP API.
    Reply {
        /// Its number.
        ticket: u64,
        /// What came of it.
        reply: Result<OpReply, Refusal>,
    },
    /// Poll this to its end and bring the result to [`Host::done`].
    Run(Task),
    /// Another life of this node owns the store now: stop. Everything from here on is refused.
    Fenced,
}

/// How long store work took, in nanoseconds, since the last time it was asked for.
#[derive(Debug, Default)]
pub struct Latencies {
    /// From an append's arrival at the appender to its transaction's outcome.
    pub append_ns: Vec<u64>,
    /// From another operation's start to its result.
    pub store_ns: Vec<u64>,
    /// From a transaction's hint at the home of users whom it concerns to its events' leaving for their sessions.
    pub deliver_ns: Vec<u64>,
}

/// Samples that are kept between two looks at them.
const SAMPLES_MAX: usize = 65_536;
/// Hints whose arrivals have not been read, of which the time is known.
const HINTED_MAX: usize = 16_384;

/// What a host starts with.
pub struct Config<E, A> {
    /// Which shard it runs.
    pub me: Owner,
    /// The partition table.
    pub view: Arc<View>,
    /// The store.
    pub engine: E,
    /// Who verifies tokens.
    pub auth: Arc<A>,
    /// The appender of this shard.
    pub appender: Appender,
}

/// See [the crate](crate).
pub struct Host<E, A> {
    shard: Shard,
    appender: Appender,
    engine: E,
    auth: Arc<A>,
    me: Owner,
    view: Arc<View>,
    now: Now,
    effects: VecDeque<Effect>,
    started: BTreeMap<OpId, Instant>,
    hinted: BTreeMap<Stamp, Instant>,
    latencies: Latencies,
    #[cfg(feature = "testing")]
    planted: Option<chat::Planted>,
}

impl<E: Engine, A: Authenticator> Host<E, A> {
    /// A shard without connections over this store.
    pub fn new(config: Config<E, A>, now: Now) -> Self {
        let Config { me, view, engine, auth, appender } = config;
        Self {
            shard: Shard::new(router::Config { me, view: Arc::clone(&view) }, now),
            appender,
            engine,
            auth,
            me,
            view,
            now,
            effects: VecDeque::new(),
            started: BTreeMap::new(),
            hinted: BTreeMap::new(),
            latencies: Latencies::default(),
            #[cfg(feature = "testing")]
            planted: None,
        }
    }

    /// The same, with a bug in what it reads. The appender has its own.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn with_planted(mut self, bug: chat::Planted) -> Self {
        self.planted = Some(bug);
        self
    }

    /// Applies one input.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        match &input {
            Input::View(view) => self.view = Arc::clone(view),
            Input::Mesh { frame: MeshFrame { body: MeshBody::Hint { stamp, .. }, .. } } => self.hinted(*stamp),
            _ => {}
        }
        self.shard.handle(now, input);
    }

    /// Word of a transaction has come to this home.
    fn hinted(&mut self, stamp: Stamp) {
        if self.hinted.len() < HINTED_MAX {
            self.hinted.insert(stamp, self.now.mono);
        }
    }

    /// This home has read its arrivals up to here, and hands them on in this turn.
    fn arrived(&mut self, through: Stamp) {
        while let Some(oldest) = self.hinted.first_entry().filter(|oldest| *oldest.key() <= through) {
            let took = self.now.mono.since(oldest.remove());
            keep(&mut self.latencies.deliver_ns, took);
        }
    }

    /// Takes a task's result back.
    pub fn done(&mut self, now: Now, Done(kind): Done) {
        self.now = now;
        match kind {
            Kind::Op(op, result) => self.stored(op, result),
            Kind::Batch(outcome) => {
                let Finished { replies, hints, live, feeds, fenced } = self.appender.finished(*outcome);
                for (ticket, reply) in replies {
                    self.stored(OpId(ticket), StoreResult::Applied(reply));
                }
                for (home, stamp, _) in &hints {
                    if *home == self.me {
                        self.hinted(*stamp);
                    }
                }
                if !hints.is_empty() || !live.is_empty() || !feeds.is_empty() {
                    self.shard.handle(now, Input::Committed { hints, live, feeds });
                }
                if fenced {
                    self.effects.push_back(Effect::Fenced);
                }
            }
        }
    }

    fn stored(&mut self, op: OpId, result: StoreResult) {
        let started = self.started.remove(&op).expect("I12: what is answered was asked");
        let took = self.now.mono.since(started);
        match &result {
            StoreResult::Applied(_) => keep(&mut self.latencies.append_ns, took),
            _ => keep(&mut self.latencies.store_ns, took),
        }
        if let StoreResult::Arrivals(Ok(page)) = &result {
            self.arrived(page.through);
        }
        self.shard.handle(self.now, Input::Stored { op, result });
    }

    /// Next effect to carry out, oldest first. Legal at any time.
    ///
    /// The end of the outputs is where a batch leaves: it takes all that was gathered in this turn, and does not wait for
    /// more.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            let Some(output) = self.shard.poll_output() else { break };
            let effect = match output {
                Output::Send { conn, frame } => Effect::Send { conn, frame },
                Output::Ping { conn } => Effect::Ping { conn },
                Output::Close { conn, code } => Effect::Close { conn, code },
                Output::Reads { conn, on } => Effect::Reads { conn, on },
                Output::Mesh { to, frame } => Effect::Mesh { to, frame },
                Output::Reply { ticket, reply } => Effect::Reply { ticket, reply },
                Output::Store { op: OpId(ticket), store: StoreOp::Apply { channel, op } } => {
                    self.started.insert(OpId(ticket), self.now.mono);
                    self.appender.push(ticket, channel, op);
                    continue;
                }
                Output::Store { op, store } => self.run(op, store),
            };
            return Some(effect);
        }
        let batch = self.appender.next_batch(&self.view, self.now.wall)?;
        let engine = self.engine.clone();
        Some(Effect::Run(Box::pin(async move { Done(Kind::Batch(Box::new(batch.run(engine).await))) })))
    }

    fn run(&mut self, op: OpId, store: StoreOp) -> Effect {
        self.started.insert(op, self.now.mono);
        let context = Context {
            engine: self.engine.clone(),
            auth: Arc::clone(&self.auth),
            me: self.me,
            view: Arc::clone(&self.view),
            wall: self.now.wall,
            #[cfg(feature = "testing")]
            planted: self.planted,
        };
        Effect::Run(Box::pin(async move { Done(Kind::Op(op, store::carry_out(context, store).await)) }))
    }

    /// When `handle(now, Input::Tick)` is next wanted.
    pub fn poll_timeout(&self) -> Instant {
        self.shard.poll_timeout()
    }

    /// What the shard holds now.
    pub fn stats(&self) -> Stats {
        self.shard.stats()
    }

    /// Takes the latencies seen since the last call. Beyond 65,536 of a kind between two calls, later ones are left out.
    pub fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }
}

fn keep(samples: &mut Vec<u64>, took: Duration) {
    if samples.len() < SAMPLES_MAX {
        samples.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}
