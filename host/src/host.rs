//! A shard and its appender, driven by three calls.
//!
//! Owns the way of a question to the store: appends are gathered and leave as one transaction at a time, everything
//! else leaves as a future of its own. Upholds I3 on this side: an append is answered from its transaction's outcome
//! and from nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chat::appender::{Appender, Finished, Outcome};
use kv::{Engine, Version};
use router::store::Apply;
use router::{Answered, Ask, Input, Output, Pending, Shard, Stats};
use schema::mesh::{MeshBody, MeshFrame};
use schema::{Epoch, Instant, Now, OpReply, Owner, Refusal, Stamp, View};

use crate::auth::Authenticator;
use crate::before::Before;
use crate::store::{self, Context};

/// A store operation under way. Polled anywhere, to its end.
pub type Task = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What a [`Task`] came to. For [`Host::done`] of the host that gave it out.
pub struct Done(Kind);

enum Kind {
    Batch(Box<Outcome>),
    Answered {
        started: Instant,
        answered: Answered,
    },
    /// What waited for applications, and says nothing of how long the store takes.
    Said(Answered),
}

impl Done {
    pub(crate) fn answered(started: Instant, answered: Answered) -> Self {
        Self(Kind::Answered { started, answered })
    }

    pub(crate) fn said(answered: Answered) -> Self {
        Self(Kind::Said(answered))
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Batch(_) => f.write_str("Done(batch)"),
            Kind::Answered { answered, .. } | Kind::Said(answered) => write!(f, "Done({answered:?})"),
        }
    }
}

/// What the driver is to do.
pub enum Effect {
    /// Carry out what the shard wants of the world outside of the store.
    Output(Output),
    /// Poll this to its end and bring the result to [`Host::done`].
    Run(Task),
    /// The view of this epoch, which is the shard's, has ended: read the newest. What waits goes on once
    /// [`Input::View`] brings it, or is refused by [`Host::expel`].
    Outdated(Epoch),
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

/// The shard's appender, and who waits for what of it.
pub(crate) struct Appends {
    appender: Appender,
    waiting: BTreeMap<u64, (Instant, Pending<Apply>)>,
    next: u64,
}

impl Appends {
    /// Puts an append behind all others.
    pub(crate) fn push(&mut self, started: Instant, ask: Ask<Apply>) {
        let Ask { request: Apply { epoch, channel, op }, pending } = ask;
        self.waiting.insert(self.next, (started, pending));
        self.appender.push(self.next, epoch, channel, op);
        self.next += 1;
    }

    /// Answers an append, and says since when it waited.
    fn answer(&mut self, ticket: u64, reply: Result<OpReply, Refusal>) -> (Instant, Answered) {
        let (started, pending) = self.waiting.remove(&ticket).expect("I12: what is answered was asked");
        (started, pending.answer(reply))
    }
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
    /// Who asks applications before an operation is carried out.
    pub before: Arc<dyn Before>,
    /// The appender of this shard.
    pub appender: Appender,
    /// Silence after which a client is pinged.
    pub ping_ms: u64,
}

/// See [the crate](crate).
pub struct Host<E, A> {
    shard: Shard,
    appends: Appends,
    engine: E,
    auth: Arc<A>,
    before: Arc<dyn Before>,
    me: Owner,
    view: Arc<View>,
    now: Now,
    effects: VecDeque<Effect>,
    hinted: BTreeMap<Stamp, Instant>,
    latencies: Latencies,
    batches_fenced: u64,
}

impl<E: Engine, A: Authenticator> Host<E, A> {
    /// A shard without connections over this store.
    pub fn new(config: Config<E, A>, now: Now) -> Self {
        let Config { me, view, engine, auth, before, appender, ping_ms } = config;
        Self {
            shard: Shard::new(router::Config { me, view: Arc::clone(&view), ping_ms }, now),
            appends: Appends { appender, waiting: BTreeMap::new(), next: 0 },
            engine,
            auth,
            before,
            me,
            view,
            now,
            effects: VecDeque::new(),
            hinted: BTreeMap::new(),
            latencies: Latencies::default(),
            batches_fenced: 0,
        }
    }

    /// Applies one input.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        self.now = now;
        match &input {
            Input::View { view, .. } if view.epoch > self.view.epoch => self.view = Arc::clone(view),
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
            Kind::Answered { started, answered } => {
                self.note_latency(started, |latencies| &mut latencies.store_ns);
                if let Answered::ReadArrivals(answer) = &answered
                    && let Ok(page) = answer.reply()
                {
                    self.arrived(page.through);
                }
                self.shard.handle(now, Input::Answered(answered));
            }
            Kind::Said(answered) => self.shard.handle(now, Input::Answered(answered)),
            Kind::Batch(outcome) => {
                let Finished { replies, hints, live, feeds, fenced } = self.appends.appender.finished(*outcome);
                for (ticket, reply) in replies {
                    let (started, answered) = self.appends.answer(ticket, reply);
                    self.note_latency(started, |latencies| &mut latencies.append_ns);
                    self.shard.handle(now, Input::Answered(answered));
                }
                for (home, stamp, _) in &hints {
                    if *home == self.me {
                        self.hinted(*stamp);
                    }
                }
                if !hints.is_empty() || !live.is_empty() || !feeds.is_empty() {
                    self.shard.handle(now, Input::Committed { hints, live, feeds });
                }
                self.batches_fenced += u64::from(fenced.is_some());
                // One whose successor has come is no news.
                if let Some(epoch) = fenced.filter(|epoch| *epoch >= self.view.epoch) {
                    self.effects.push_back(Effect::Outdated(epoch));
                }
            }
        }
    }

    /// Decides no append any more, since this life is in no view: those that wait, and further ones, are answered 113.
    pub fn expel(&mut self) {
        self.appends.appender.expel();
    }

    fn note_latency(&mut self, started: Instant, of: impl FnOnce(&mut Latencies) -> &mut Vec<u64>) {
        let took = self.now.mono.since(started);
        keep(of(&mut self.latencies), took);
    }

    /// Next effect to carry out, oldest first. Legal at any time.
    ///
    /// The end of the effects is where a batch leaves: it takes all that was gathered in this turn, and does not wait
    /// for more.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        while let Some(question) = self.shard.poll_question() {
            let context = self.context();
            if let Some(task) = store::begin(context, question, &mut self.appends) {
                return Some(Effect::Run(task));
            }
        }
        if let Some(output) = self.shard.poll_output() {
            return Some(Effect::Output(output));
        }
        let batch = self.appends.appender.next_batch(&self.view, self.now.wall)?;
        let engine = self.engine.clone();
        Some(Effect::Run(Box::pin(async move { Done(Kind::Batch(Box::new(batch.run(engine).await))) })))
    }

    fn context(&self) -> Context<E, A> {
        Context {
            engine: self.engine.clone(),
            auth: Arc::clone(&self.auth),
            before: Arc::clone(&self.before),
            me: self.me,
            view: Arc::clone(&self.view),
            now: self.now,
        }
    }

    /// Which shard this is.
    pub fn me(&self) -> Owner {
        self.me
    }

    /// The newest version of the store that this process knows of.
    pub fn newest(&self) -> u64 {
        self.engine.newest().0
    }

    /// Another node spoke of this version: what is read from here on is not older.
    pub fn floor(&self, version: u64) {
        self.engine.floor(Version(version));
    }

    /// When `handle(now, Input::Tick)` is next wanted.
    pub fn poll_timeout(&self) -> Instant {
        self.shard.poll_timeout()
    }

    /// What the shard holds now.
    pub fn stats(&self) -> Stats {
        self.shard.stats()
    }

    /// Batches since the start that found their view ended.
    pub fn batches_fenced(&self) -> u64 {
        self.batches_fenced
    }

    /// Takes the latencies seen since the last call. Beyond 65,536 of a kind between two calls, later ones are left
    /// out.
    pub fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }
}

fn keep(samples: &mut Vec<u64>, took: Duration) {
    if samples.len() < SAMPLES_MAX {
        samples.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}
