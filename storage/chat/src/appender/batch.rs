//! One batch as one transaction, and the loop that brings it to an end.
//!
//! Owns what an attempt may conclude. Upholds I7: a batch commits only while the fence row, read in the transaction, is
//! of this node's life and of the epoch under which the batch was accepted. Upholds I3 and I5 where a commit's outcome
//! is unknown: the batch row of its lane, read by every attempt in the snapshot in which it reads the fence, says which
//! attempt committed and where, and its replies are then those that this attempt had decided. What an attempt finds at
//! a version of a chain ([`super::chain`]) counts only if it commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::mesh::LiveEvent;
use schema::record::FenceRecord;
use schema::{ChannelId, Epoch, ErrorCode, Event, EventBody, OpReply, Owner, Refusal, Stamp, UnixMs};

use super::chain::Link;
use super::decide::{Verdict, decide};
use super::draft::Terms;
use super::effects::Effects;
use super::members::Members;
use super::operation::{self, Proof};
use super::prefetch::Prefetch;
use super::rows::{Rows, Wanted};
use super::{Queued, moving};
use crate::hooks::Hooks;
use crate::keys;
use crate::packed::{self, BatchRow};
use crate::{LayerError, STORE_RETRY_MS, damaged, stamp_of, unavailable, unreadable};
use kv::transaction::{Begin, Engine, Transaction, Version};

/// Attempts of one batch. Two are enough unless the store is in trouble; with these, the last ones fail within what a
/// client waits for.
const ATTEMPTS_MAX: u32 = 10;
/// Conflicts after which a batch is tried in parts: one may be chance, two are a quarrel over some row.
const CONFLICTS_MAX: u32 = 2;
/// Rounds of reading: what is known at once; lists whose epoch has changed; what was kept of those who are not in them;
/// and some to spare, since operations of one batch may wait for each other.
const ROUNDS_MAX: u32 = 8;

/// Operations to be committed together. Made by [`super::Appender::next_batch`].
#[derive(Debug)]
#[must_use = "its operations are answered only if it is run and its outcome handed back"]
pub struct Batch {
    pub(super) owner: Owner,
    pub(super) lane: u8,
    pub(super) number: u64,
    pub(super) terms: Terms,
    pub(super) cached: BTreeMap<ChannelId, Arc<Members>>,
    /// The hooks that count, if they were read lately.
    pub(super) hooks: Option<Arc<Hooks>>,
    /// The version at which the first attempt may read, instead of asking for the newest.
    pub(super) chained: Option<Version>,
    pub(super) ops: Vec<Queued>,
    /// Operations on channels that the view gives to another shard.
    pub(super) moved: Vec<Queued>,
}

/// What came of a batch, to be handed to [`super::Appender::finished`].
#[derive(Debug)]
#[must_use = "its replies are told by `Appender::finished`"]
pub struct Outcome {
    pub(super) lane: u8,
    pub(super) number: u64,
    /// The view's under which it was tried.
    pub(super) epoch: Epoch,
    pub(super) ended: Ended,
    /// Not tried, since another shard decides them.
    pub(super) moved: Vec<Queued>,
    pub(super) link: Link,
    /// Lists of members that were read.
    pub(super) learned: Vec<(ChannelId, Arc<Members>)>,
    /// Channels whose cached list is outdated.
    pub(super) outdated: Vec<ChannelId>,
    /// The hooks that count, if they were read, and when the batch that read them was accepted.
    pub(super) hooks: Option<(UnixMs, Arc<Hooks>)>,
}

#[derive(Debug)]
pub(super) enum Ended {
    /// The first operations are durable or refused; `left` did not fit.
    Committed { replies: Vec<(u64, Result<OpReply, Refusal>)>, told: Told, left: Vec<Queued> },
    /// Nothing was changed; each part is to be tried alone.
    Split(Vec<Vec<Queued>>),
    /// Given up. With an unknown outcome some of it may be durable; sending it again is safe (I5).
    Failed { ops: Vec<Queued>, refusal: Refusal },
    /// The view has ended. Nothing was changed, and nothing of it can be any more.
    Fenced(Vec<Queued>),
}

/// What others are told once a batch has committed, or had nothing to commit.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) hints: Vec<(Owner, Stamp, Vec<Event>)>,
    pub(super) live: Vec<(Owner, Vec<LiveEvent>)>,
    pub(super) feeds: Vec<(ChannelId, Vec<EventBody>)>,
}

/// What one attempt found.
enum Found {
    /// It committed, or there was nothing to commit.
    Decided(Box<Effects>, Option<Stamp>),
    /// The batch row says that an earlier attempt committed.
    Earlier(BatchRow),
    /// The fence is of another epoch, or gone.
    Fenced,
    /// At the version of a chain something was found that only the newest can prove.
    Unproven,
}

/// An attempt that ended without a decision.
struct Broken {
    error: LayerError,
    /// What it had tried to commit, if that is how far it came.
    tried: Option<Box<Effects>>,
}

impl<E: Into<LayerError>> From<E> for Broken {
    fn from(error: E) -> Self {
        Self { error: error.into(), tried: None }
    }
}

/// What a batch remembers from attempt to attempt.
#[derive(Default)]
struct Memory {
    /// Attempts whose outcome is unknown. Emptied only by a snapshot that shows that none of them committed.
    unknown: Vec<(u32, Box<Effects>)>,
    learned: BTreeMap<ChannelId, Arc<Members>>,
    hooks: Option<Arc<Hooks>>,
    conflicts: u32,
}

impl Batch {
    /// Brings the batch to an end: committed, refused, or to be tried in parts.
    ///
    /// Ends after ten attempts at most. To be polled to its end: dropped before, it leaves operations without an
    /// answer.
    pub async fn run<E: Engine>(mut self, engine: E) -> Outcome {
        let mut memory = Memory::default();
        let mut refusal = unavailable();
        let mut chained = self.chained.filter(|_| self.is_proven_by_commit());
        for attempt in 1..=ATTEMPTS_MAX {
            if self.ops.is_empty() {
                break;
            }
            let begun_at = chained.take();
            let Broken { error, tried } = match self.attempt(&engine, attempt, begun_at, &mut memory).await {
                Ok(Found::Decided(decided, stamp)) => {
                    let link = stamp.map_or(Link::Kept, |stamp| Link::committed(stamp, begun_at, self.terms.wall));
                    return self.committed(*decided, stamp, link, memory);
                }
                Ok(Found::Earlier(row)) => {
                    let at = memory.unknown.iter().position(|(number, _)| *number == row.attempt);
                    let Some(at) = at else {
                        // Another appender of this owner has counted so far, which nobody should make.
                        tracing::error!(owner = %self.owner, batch = self.number, "a batch's number is taken");
                        refusal = moving();
                        break;
                    };
                    let (_, decided) = memory.unknown.swap_remove(at);
                    return self.committed(*decided, Some(row.stamp), Link::Broken, memory);
                }
                Ok(Found::Fenced) => return self.ended(Ended::Fenced, memory),
                Ok(Found::Unproven) => continue,
                Err(broken) => broken,
            };
            let conflicts = memory.conflicts;
            refusal = self.note(attempt, &error, tried, &mut memory);
            if begun_at.is_some() {
                // Another's write since then is what a chain expects, and no quarrel.
                memory.conflicts = conflicts;
                if matches!(error, LayerError::Record(_) | LayerError::Refused(_)) {
                    continue;
                }
            }
            let known = memory.unknown.is_empty();
            // A store that does not answer would let each part wait as long as the whole has.
            let answered = !matches!(error, LayerError::Store(kv::Error::Unavailable));
            let in_parts = answered && (memory.conflicts >= CONFLICTS_MAX || !error.is_retryable());
            if known && in_parts && self.ops.len() > 1 {
                let parts = in_smaller_parts(std::mem::take(&mut self.ops));
                return self.ended(|_| Ended::Split(parts), memory);
            }
            if !error.is_retryable() {
                break;
            }
        }
        if self.ops.is_empty() {
            let (replies, told, left) = (Vec::new(), Told::default(), Vec::new());
            return self.ended(|_| Ended::Committed { replies, told, left }, memory);
        }
        self.ended(|ops| Ended::Failed { ops, refusal }, memory)
    }

    /// Remembers how an attempt broke. Returns what a client is told if it was the last.
    fn note(&self, attempt: u32, error: &LayerError, tried: Option<Box<Effects>>, memory: &mut Memory) -> Refusal {
        match error {
            LayerError::Store(error) => {
                tracing::debug!(batch = self.number, attempt, %error, "an append is tried again");
                match error {
                    kv::Error::Conflict | kv::Error::TooOld => memory.conflicts += 1,
                    kv::Error::Throttled => {
                        return Refusal::new(ErrorCode::Overloaded, "the store is overloaded").after_ms(STORE_RETRY_MS);
                    }
                    other => {
                        if other.maybe_committed()
                            && let Some(tried) = tried
                        {
                            memory.unknown.push((attempt, tried));
                        }
                    }
                }
                unavailable()
            }
            LayerError::Record(error) => {
                tracing::error!(batch = self.number, attempt, %error, "an append met a damaged record");
                damaged()
            }
            LayerError::Refused(refusal) => refusal.clone(),
        }
    }

    /// Whether what this batch reads is read for conflicts, so that a commit proves all of it, refusals too, as of the
    /// commit.
    ///
    /// Some operations read loosely, and some commit nothing.
    fn is_proven_by_commit(&self) -> bool {
        let proofs = || self.ops.iter().map(|queued| operation::with(&queued.op, |op| op.proof()));
        proofs().any(|proof| proof == Proof::Commit) && proofs().all(|proof| proof != Proof::Newest)
    }

    /// One transaction, at a version of the shard's chain or at the newest.
    async fn attempt<E: Engine>(
        &self,
        engine: &E,
        attempt: u32,
        chained: Option<Version>,
        memory: &mut Memory,
    ) -> Result<Found, Broken> {
        let (fence_key, batch_key) = (keys::fence(self.owner.incarnation), keys::batch(self.owner, self.lane));
        let mut tx = engine.begin(chained.map_or(Begin::Fresh, Begin::At));
        let mut rows = Rows::new(self.cached.clone(), self.hooks.clone());
        let mut wanted = self.wanted();
        wanted.rows.extend([batch_key.clone(), fence_key.clone()]);
        rows.load(&tx, wanted).await?;
        memory.learned.clone_from(&rows.read);
        memory.hooks = rows.hooks.clone().filter(|_| self.hooks.is_none());
        if let Some(Some(row)) = rows.get(&batch_key) {
            match unreadable::refuse(&batch_key, packed::batch(row)) {
                Ok(row) if row.number == self.number => return Ok(Found::Earlier(row)),
                Ok(_) => {}
                // Only a batch one of whose attempts may have committed has to know. Any other takes the row's place.
                Err(_) if memory.unknown.is_empty() => unreadable::keep(&mut tx, &batch_key, row),
                Err(error) => return Err(error.into()),
            }
        }
        let fence = unreadable::refuse_some(&fence_key, rows.get(&fence_key).flatten(), FenceRecord::decode)?;
        if !self.holds(fence) {
            // It may have been another's then and be mine by now, under a view that is newer than that version.
            return Ok(if chained.is_some() { Found::Unproven } else { Found::Fenced });
        }
        // No batch row while the fence is still mine: none of the earlier attempts committed, and none can any more.
        memory.unknown.clear();

        let mut round = 1;
        let decided = loop {
            match decide(&self.terms, &rows, &self.ops) {
                Verdict::Decided(decided) => break decided,
                Verdict::Unread(wanted) => {
                    assert!(round < ROUNDS_MAX, "reading comes to an end: round {round} wants {wanted:?}");
                    let proven = chained.is_none() || wanted.loose.is_empty();
                    assert!(proven, "I10: {wanted:?} is wanted at a version of a chain, and no commit would prove it");
                    rows.load(&tx, wanted).await?;
                    memory.learned.clone_from(&rows.read);
                    round += 1;
                }
            }
        };
        if decided.is_empty() {
            // Refusals, repetitions, marks that stand already: without a commit nothing shows that it is so still.
            return Ok(if chained.is_none() { Found::Decided(decided, None) } else { Found::Unproven });
        }
        decided.write(&mut tx);
        tx.set_versionstamped_value(&batch_key, &packed::row((self.number, attempt)), &[]);
        match tx.commit().await {
            Ok(committed) => Ok(Found::Decided(decided, Some(stamp_of(committed.stamp)))),
            Err(error) => Err(Broken { error: error.into(), tried: Some(decided) }),
        }
    }

    /// Whether a fence row lets this batch commit.
    fn holds(&self, fence: Option<FenceRecord>) -> bool {
        fence == Some(FenceRecord { incarnation: self.owner.incarnation, epoch: self.terms.view.epoch })
    }

    /// What the operations are known to need before anything is read.
    fn wanted(&self) -> Wanted {
        let mut wanted = Wanted { hooks: self.hooks.is_none(), ..Wanted::default() };
        for &Queued { channel, ref op, .. } in &self.ops {
            let cached = self.cached.get(&channel).map(|members| &**members);
            let mut read = Prefetch { channel, wall: self.terms.wall, cached, wanted: &mut wanted };
            operation::with(op, |op| op.prefetch(&mut read));
        }
        wanted
    }

    fn committed(mut self, decided: Effects, stamp: Option<Stamp>, link: Link, memory: Memory) -> Outcome {
        let hints = stamp.map_or_else(Vec::new, |stamp| decided.hints(stamp));
        let left = self.ops.split_off(decided.replies.len());
        let Effects { replies, members_changed, live, feeds, .. } = decided;
        let told = Told { hints, live, feeds };
        let mut outcome = self.ended(|_| Ended::Committed { replies, told, left }, memory);
        outcome.learned.retain(|(channel, _)| !members_changed.contains(channel));
        outcome.outdated = members_changed;
        outcome.link = link;
        outcome
    }

    /// The outcome for what is left of the operations.
    fn ended(self, ended: impl FnOnce(Vec<Queued>) -> Ended, memory: Memory) -> Outcome {
        let Self { lane, number, terms, ops, moved, .. } = self;
        let learned = memory.learned.into_iter().collect();
        let hooks = memory.hooks.map(|hooks| (terms.wall, hooks));
        let (epoch, link, outdated) = (terms.view.epoch, Link::Broken, Vec::new());
        Outcome { lane, number, epoch, ended: ended(ops), moved, link, learned, outdated, hooks }
    }
}

/// By channel, if there are several; else in halves. Order within a channel is kept.
fn in_smaller_parts(mut ops: Vec<Queued>) -> Vec<Vec<Queued>> {
    let mut by_channel: BTreeMap<ChannelId, Vec<Queued>> = BTreeMap::new();
    let first = ops[0].channel;
    if ops.iter().all(|queued| queued.channel == first) {
        let second = ops.split_off(ops.len() / 2);
        return vec![ops, second];
    }
    for queued in ops {
        by_channel.entry(queued.channel).or_default().push(queued);
    }
    by_channel.into_values().collect()
}
