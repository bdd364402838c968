//! The one transaction that changes channels and inboxes, and the queue before it.
//!
//! Owns a shard's pending operations, in order, and a few batches in flight. A batch is one transaction: it reads the
//! fence, channels, heads and first replies, assigns the seqs, and writes messages, heads, first replies, an inbox row
//! for each member, an arrival for each home shard concerned, and the shard's batch row. Knows no runtime: whoever
//! drives it runs [`Batch::run`] on any executor and hands the outcome back. What an operation is, is one file of
//! [`operation`]. Upholds I2, I4, I5, I6 and I7 as the files within say, and I3: a reply is told only once its batch
//! has committed. Of a channel at most one batch is in flight ([`flights`]), so a channel's rate is batches a second times
//! what fits into one.
//!
//! ```text
//! push ─▶ queue ─▶ next_batch ─▶ Batch::run: fence · rows · draft · commit ─▶ finished ─▶ replies, hints
//!           ▲                                                                   │
//!           └── what did not fit, is tried in smaller parts, or met a new view ─┘
//! ```
//!
//! The queue outlives a view. A batch whose view has ended changes nothing and is queued again, before all others;
//! under the next view what has moved is answered 113, all of it at once, and the rest goes on in its order. What has moved
//! and is back has moved: another shard may have been asked the same meanwhile, and then the opposite of it.

mod batch;
mod capacity;
mod chain;
mod decide;
mod draft;
mod effects;
mod flights;
mod live;
mod members;
mod operation;
mod prefetch;
mod rows;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use schema::limits::{
    BATCH_BODY_BYTES_MAX, BATCH_FURTHER_MIN, BATCH_MESSAGES_MAX, BATCHES_IN_FLIGHT_MAX, GROUP_MEMBERS_DEFAULT,
    GROUP_MEMBERS_MAX,
};
use schema::mesh::LiveEvent;
use schema::view::Partition;
use schema::{ChannelId, ChannelOp, Epoch, Event, EventBody, OpReply, Owner, Refusal, Stamp, UnixMs, UserId, View};

pub use batch::{Batch, Outcome};
use batch::{Ended, Told};
use chain::{Chain, Link};
use draft::Terms;
use flights::Flights;
use members::Cache;

use super::hooks::Hooks;
use super::moving;

/// How long the hooks that count are known without another look: a new one is told of what happens after that.
const HOOKS_KNOWN_MS: u64 = 1_000;

/// An operation that waits, and under which number its reply is wanted.
#[derive(Debug, Clone)]
struct Queued {
    ticket: u64,
    /// The epoch under which the shard took it on.
    epoch: Epoch,
    channel: ChannelId,
    op: ChannelOp,
}

impl Queued {
    /// Whether the channel is another's in a view, or has been since this was taken on.
    fn has_moved(&self, owner: Owner, view: &View) -> bool {
        let partition = Partition::of_channel(self.channel);
        view.owner(partition) != owner || view.since(partition) > self.epoch
    }

    fn body_bytes(&self) -> usize {
        self.op.text_bytes()
    }

    /// Where and by whom a message is sent, if this is one.
    fn sender(&self) -> Option<(ChannelId, UserId)> {
        self.op.sends().map(|(from, _)| (self.channel, from))
    }
}

/// What a batch came to.
#[derive(Debug, Default)]
pub struct Finished {
    /// Replies to tell, by ticket, in the order of their operations. All of it is durable (I3).
    pub replies: Vec<(u64, Result<OpReply, Refusal>)>,
    /// What each home shard concerned is told: the transaction, and its events that concern users there.
    pub hints: Vec<(Owner, Stamp, Vec<Event>)>,
    /// What each home shard is told live: what the operations did that no inbox tells.
    pub live: Vec<(Owner, Vec<LiveEvent>)>,
    /// What happened in large channels, in the order of their logs. All of it is durable.
    pub feeds: Vec<(ChannelId, Vec<EventBody>)>,
    /// The epoch of the batch, if it has ended: read the view ([`super::view::current`]). What the batch held is queued
    /// again, and there is no other batch until [`Appender::next_batch`] is given a newer view, or [`Appender::expel`]
    /// is called.
    pub fenced: Option<Epoch>,
}

/// A shard's pending operations. See the module.
///
/// Whoever pushes bounds what is pending, by `PENDING_APPENDS_MAX` and `PENDING_APPEND_BYTES_MAX`.
#[derive(Debug)]
pub struct Appender {
    owner: Owner,
    group_members_max: u32,
    /// The last batch's number. The row of its lane tells whether it was the last there to commit.
    number: u64,
    queue: VecDeque<Queued>,
    /// Parts of batches that failed as a whole, each to be tried alone, before the queue.
    parts: VecDeque<Vec<Queued>>,
    queued_bytes: usize,
    flights: Flights,
    /// Operations for which a batch leaves beside others.
    further_min: usize,
    /// Operations in the queue when too few were found for that.
    looked_at: usize,
    /// The newest view that a batch was asked for under.
    epoch: Epoch,
    /// The newest epoch that a batch found ended.
    ended: Option<Epoch>,
    expelled: bool,
    cache: Cache,
    /// The hooks that count, and when a batch that read them was accepted.
    hooks: Option<(UnixMs, Arc<Hooks>)>,
    /// Kept only with [`Self::with_chained_reads`].
    chain: Option<Chain>,
}

impl Appender {
    /// The appender of a shard: one for the shard's whole life, since its batches are numbered from 1. Another of the
    /// same owner finds its numbers taken, and is fenced.
    #[must_use]
    pub fn new(owner: Owner) -> Self {
        Self {
            owner,
            group_members_max: GROUP_MEMBERS_DEFAULT,
            number: 0,
            queue: VecDeque::new(),
            parts: VecDeque::new(),
            queued_bytes: 0,
            flights: Flights::default(),
            further_min: BATCH_FURTHER_MIN as usize,
            looked_at: 0,
            epoch: Epoch(0),
            ended: None,
            expelled: false,
            cache: Cache::default(),
            hooks: None,
            chain: None,
        }
    }

    /// The same, whose batches read at the version of its own last commit where that will do, instead of asking the
    /// store for the newest: one round trip less on a store across a network. What it thereby misses is found as a
    /// conflict.
    #[must_use]
    pub fn with_chained_reads(mut self) -> Self {
        self.chain = Some(Chain::default());
        self
    }

    /// The same, with groups of at most `members`, itself at most `GROUP_MEMBERS_MAX`.
    #[must_use]
    pub fn with_group_members(mut self, members: u32) -> Self {
        self.group_members_max = members.min(GROUP_MEMBERS_MAX);
        self
    }

    /// The same, whose batches leave beside others with any operation that can, so that few operations make several.
    #[must_use]
    pub fn with_eager_batches(mut self) -> Self {
        self.further_min = 1;
        self
    }

    /// Puts an operation behind all others, which the shard took on as the channel's home under the view of this epoch. Its
    /// reply comes under `ticket`.
    pub fn push(&mut self, ticket: u64, epoch: Epoch, channel: ChannelId, op: ChannelOp) {
        let queued = Queued { ticket, epoch, channel, op };
        self.queued_bytes += queued.body_bytes();
        self.queue.push_back(queued);
    }

    /// Whether nothing is queued and nothing in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.queued() == 0
    }

    /// Operations that wait, without those in flight.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len() + self.parts.iter().map(Vec::len).sum::<usize>()
    }

    /// Bytes of bodies that wait, without those in flight.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// The next batch, to be run under `view`. `None` if nothing is queued, or the view is known to have ended: it never
    /// waits to fill. Beside others in flight only if enough is queued on channels of which they have none.
    ///
    /// With the first batch under a newer view go all queued operations on channels that it gives to another shard, or gives
    /// back. They are answered 113 with the batch, which asks nothing of the store for them. That batch waits for those in
    /// flight to end, as what is tried in parts does, so that nothing is answered before what came before it.
    pub fn next_batch(&mut self, view: &Arc<View>, wall: UnixMs) -> Option<Batch> {
        let is_alone = self.flights.is_empty();
        let must_be_alone = self.expelled || view.epoch > self.epoch || !self.parts.is_empty();
        if must_be_alone && !is_alone {
            return None;
        }
        let lane = self.flights.free_lane()?;
        let owner = self.owner;
        let has_moved = |queued: &Queued| queued.has_moved(owner, view);
        let mut moved = Vec::new();
        if self.expelled {
            moved = self.take(|_| true);
        } else if view.epoch > self.epoch {
            self.enter(view);
            // All of them now: if one came back with a later view, none would be decided before another that went.
            moved = self.take(has_moved);
        }
        let stands = self.ended.is_none_or(|ended| ended < view.epoch);
        let mut ops = match stands {
            true if is_alone => self.parts.pop_front().unwrap_or_else(|| self.fill()),
            true => self.fill_beside_others(),
            false => Vec::new(),
        };
        self.queued_bytes -= bytes(&ops);
        moved.extend(ops.extract_if(.., |queued| has_moved(queued)));
        if ops.is_empty() && moved.is_empty() {
            return None;
        }
        self.number += 1;
        let channels: BTreeSet<ChannelId> = ops.iter().map(|queued| queued.channel).collect();
        let cached = channels.iter().filter_map(|&channel| Some((channel, self.cache.get(channel)?))).collect();
        self.flights.begin(lane, self.number, channels);
        let terms = Terms { view: Arc::clone(view), wall, group_members_max: self.group_members_max };
        let chained = self.chain.as_ref().and_then(|chain| chain.version(wall));
        let is_late = |read_ms: UnixMs| wall < read_ms || wall.since_ms(read_ms) >= HOOKS_KNOWN_MS;
        let hooks = self.hooks.as_ref().filter(|(read_ms, _)| !is_late(*read_ms)).map(|(_, hooks)| Arc::clone(hooks));
        Some(Batch { owner, lane, number: self.number, terms, cached, hooks, chained, ops, moved })
    }

    /// Goes on under a newer view: of channels that another shard has now, nothing is known here any more.
    fn enter(&mut self, view: &View) {
        self.epoch = view.epoch;
        self.cache.retain(|channel| view.home_of_channel(channel) == self.owner);
        if let Some(chain) = &mut self.chain {
            // The fence of its version is the old view's.
            chain.add(Link::Broken);
        }
    }

    /// Decides nothing any more, since the life is in no view, and never will be: what is queued, and what is pushed
    /// from here on, is answered 113 with the next batch. Those in flight come to their ends as they do.
    pub fn expel(&mut self) {
        self.expelled = true;
    }

    /// As many operations as a batch may have, in order; one always fits.
    fn fill(&mut self) -> Vec<Queued> {
        let mut bytes = 0;
        let mut count = 0;
        for queued in self.queue.iter().take(BATCH_MESSAGES_MAX as usize) {
            bytes += queued.body_bytes();
            if count > 0 && bytes > BATCH_BODY_BYTES_MAX as usize {
                break;
            }
            count += 1;
        }
        self.queue.drain(..count).collect()
    }

    /// As many as a batch may have of channels of which none is in flight, in order; none if they are too few. Looks no
    /// further than what all lanes may have.
    fn fill_beside_others(&mut self) -> Vec<Queued> {
        if self.queue.len() < self.looked_at + self.further_min {
            return Vec::new();
        }
        let is_free = |queued: &&Queued| !self.flights.has(queued.channel);
        let within = || self.queue.iter().take((BATCH_MESSAGES_MAX * BATCHES_IN_FLIGHT_MAX) as usize);
        if within().filter(is_free).take(self.further_min).count() < self.further_min {
            self.looked_at = self.queue.len();
            return Vec::new();
        }
        let (mut taken, mut left, mut bytes) = (Vec::new(), Vec::new(), 0);
        let looks = within().count();
        for queued in self.queue.drain(..looks) {
            let has_room = taken.len() < BATCH_MESSAGES_MAX as usize && bytes < BATCH_BODY_BYTES_MAX as usize;
            // What does not fit is followed by nothing of its channel, and here by nothing at all.
            if has_room && !self.flights.has(queued.channel) {
                bytes += queued.body_bytes();
                taken.push(queued);
            } else {
                left.push(queued);
            }
        }
        left.into_iter().rev().for_each(|queued| self.queue.push_front(queued));
        taken
    }

    /// Takes back what came of a batch in flight.
    ///
    /// What did not fit, or is to be tried in smaller parts, is queued again before all others, in order. If a send was
    /// refused for now, so are later ones of the same user to the same channel that are queued: their order holds.
    ///
    /// # Panics
    /// If the batch is not in flight.
    pub fn finished(&mut self, outcome: Outcome) -> Finished {
        let Outcome { lane, number, epoch, ended, moved, link, learned, outdated, hooks } = outcome;
        self.flights.end(lane, number);
        self.looked_at = 0;
        self.hooks = hooks.or(self.hooks.take());
        if let Some(chain) = &mut self.chain {
            chain.add(link);
        }
        outdated.into_iter().for_each(|channel| self.cache.forget(channel));
        learned.into_iter().for_each(|(channel, members)| self.cache.put(channel, members));
        let mut finished = match ended {
            Ended::Committed { replies, told, left } => {
                self.requeue(left);
                let Told { hints, live, feeds } = told;
                Finished { replies, hints, live, feeds, fenced: None }
            }
            Ended::Split(parts) => {
                for part in parts.into_iter().rev() {
                    self.queued_bytes += bytes(&part);
                    self.parts.push_front(part);
                }
                Finished::default()
            }
            Ended::Failed { ops, refusal } => {
                let held_back = if refusal.code.is_temporary() { self.take_later_sends(&ops) } else { Vec::new() };
                Finished { replies: refused(ops.into_iter().chain(held_back), &refusal), ..Finished::default() }
            }
            Ended::Fenced(ops) => {
                self.requeue(ops);
                self.ended = self.ended.max(Some(epoch));
                Finished { fenced: Some(epoch), ..Finished::default() }
            }
        };
        finished.replies.extend(refused(moved.into_iter(), &moving()));
        finished
    }

    /// Puts what did not fit, or is to be decided again, before all others.
    fn requeue(&mut self, left: Vec<Queued>) {
        if left.is_empty() {
            return;
        }
        self.queued_bytes += bytes(&left);
        if self.parts.is_empty() {
            left.into_iter().rev().for_each(|queued| self.queue.push_front(queued));
        } else {
            self.parts.push_front(left);
        }
    }

    /// Takes out of the queue the sends that come after one of `refused`, by the same user to the same channel.
    fn take_later_sends(&mut self, refused: &[Queued]) -> Vec<Queued> {
        let senders: BTreeSet<_> = refused.iter().filter_map(Queued::sender).collect();
        self.take(|queued| queued.sender().is_some_and(|sender| senders.contains(&sender)))
    }

    /// Takes operations out of the queue, in their order.
    fn take(&mut self, is_taken: impl Fn(&Queued) -> bool) -> Vec<Queued> {
        let mut taken = Vec::new();
        for part in &mut self.parts {
            taken.extend(part.extract_if(.., |queued| is_taken(queued)));
        }
        self.parts.retain(|part| !part.is_empty());
        let (last, kept): (VecDeque<_>, VecDeque<_>) = self.queue.drain(..).partition(is_taken);
        self.queue = kept;
        taken.extend(last);
        self.queued_bytes -= bytes(&taken);
        taken
    }
}

fn bytes(ops: &[Queued]) -> usize {
    ops.iter().map(Queued::body_bytes).sum()
}

fn refused(ops: impl Iterator<Item = Queued>, refusal: &Refusal) -> Vec<(u64, Result<OpReply, Refusal>)> {
    ops.map(|queued| (queued.ticket, Err(refusal.clone()))).collect()
}
