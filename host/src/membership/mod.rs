//! One node among the nodes of a store: what follows from each of its heartbeats.
//!
//! Owns the way of a node into the view, through it and out of it, and with it the proposals of views: somebody joins,
//! takes its share in steps, hands it over, or is dead. Any member proposes what it sees to be due; that of two
//! proposals one commits is [`chat::view::change`]'s. Reads no clock. Upholds I7 on this side: a life that was in a view
//! and is in none any more never appends again, whatever it sees later.
//!
//! ```text
//! beat ─► Seen ─► judgement::step ─► nothing, register, propose, forget, over
//!           ╰───► Clocks: who said a word when, and whose clock is wrong
//! ```

mod clocks;
mod judgement;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat::LayerError;
use chat::view::{self, Load, Roll, Said};
use kv::Engine;
use schema::record::NodeRecord;
use schema::{Epoch, Incarnation, Now, View};

use judgement::{Judgement, Step};

pub use clocks::{Clocks, OwnClock, Pulse};
pub use judgement::{Change, Misfit, Refused, Wish};

/// See [the module](self).
#[derive(Debug)]
pub struct Membership<E> {
    engine: E,
    me: Incarnation,
    record: NodeRecord,
    judgement: Judgement,
    clocks: Clocks,
    load: Load,
    registered: bool,
    count: u64,
    /// The newest view that was told.
    told: Epoch,
}

/// A view that this node has not been told yet.
#[derive(Debug, Clone)]
pub struct News {
    /// The view.
    pub view: Arc<View>,
    /// A version of the store at which it stood.
    pub version: u64,
}

/// What a heartbeat came to.
#[derive(Debug)]
pub struct Beat {
    /// What it saw.
    pub roll: Roll,
    /// When each node said its last word, and how far its clock is from this node's.
    pub pulses: BTreeMap<Incarnation, Pulse>,
    /// Whether this node's clock is right. One that is far off must not go on, and does not join.
    pub clock: OwnClock,
    /// A newer view, of which this node is a member. Its shards are to go by it at once.
    pub news: Option<News>,
    /// A change that is due, to be proposed by [`Membership::propose`] after so many milliseconds: of several members
    /// that see it one is first, and the others find it done.
    pub due: Option<(u64, Change)>,
    /// Registrations that were removed, of lives in no view that said nothing for a lease.
    pub forgotten: usize,
    /// Members are there that this node cannot work with, as one of them has no links: it stands by until they are gone.
    pub stands_by: bool,
    /// The node must not join, and is to end.
    pub refused: Option<Refused>,
    /// This life is in no view any more: nothing that it does counts, and it is to end.
    pub over: bool,
}

impl<E: Engine> Membership<E> {
    /// A node that is not registered yet, and the lives before it that are known to be over: that is for the caller to
    /// have proof of. Nobody's lease has to run out for those.
    pub fn new(engine: E, me: Incarnation, record: NodeRecord, earlier: BTreeSet<Incarnation>) -> Self {
        let judgement = Judgement::new(me, record.clone(), earlier);
        let (clocks, load) = (Clocks::default(), Load::default());
        Self { engine, me, record, judgement, clocks, load, registered: false, count: 0, told: Epoch(0) }
    }

    /// What this node has to do, as it tells the others from its next heartbeat on.
    pub fn set_load(&mut self, load: Load) {
        self.load = load;
    }

    /// What this node wants from now on.
    pub fn wish(&mut self, wish: Wish) {
        self.judgement.wish = wish;
    }

    /// Says that the node lives, and looks around.
    ///
    /// # Errors
    /// The store's, and damage in the rows. Then nothing is known, and the next heartbeat says it as well.
    pub async fn beat(&mut self, now: Now) -> Result<Beat, LayerError> {
        if !self.registered {
            view::register(&self.engine, self.me, &self.record).await?;
            self.registered = true;
        }
        self.count += 1;
        let said = Said { count: self.count, epoch: self.told, wall: now.wall, load: self.load };
        let seen = view::beat(&self.engine, self.me, &said).await?;
        self.clocks.observe(now, &seen.roll);
        let clock = self.clocks.judge(self.me, &seen.roll);
        if let OwnClock::FarOff(_) = clock
            && !self.judgement.joined
        {
            self.judgement.wish = Wish::Drain;
        }
        let step = self.judgement.step(now.mono.0 / 1_000_000, &seen);
        let mut beat = Beat {
            news: None,
            due: None,
            forgotten: 0,
            stands_by: false,
            refused: None,
            over: false,
            pulses: self.clocks.pulses().clone(),
            clock,
            roll: seen.roll,
        };
        match step {
            Step::Wait => {}
            Step::StandBy => beat.stands_by = true,
            Step::Refuse(refused) => beat.refused = Some(refused),
            Step::Register => self.registered = false,
            Step::Propose { after_ms, change } => beat.due = Some((after_ms, change)),
            Step::Forget(verdict) => beat.forgotten = view::forget(&self.engine, &verdict).await?,
            Step::Over => beat.over = true,
        }
        beat.news = self.news(beat.roll.view.as_ref(), beat.roll.version);
        Ok(beat)
    }

    /// Proposes a change. Returns the view, if it is made.
    ///
    /// # Errors
    /// As [`view::change`].
    pub async fn propose(&mut self, change: &Change) -> Result<Option<News>, LayerError> {
        match view::change(&self.engine, self.me, &change.proposal).await? {
            Some(_) => self.look().await,
            None => Ok(None),
        }
    }

    /// Reads the view at once: a batch was fenced, or another node spoke of a newer one. None if it is not newer, or this
    /// node is not in it, which its next heartbeat judges.
    ///
    /// # Errors
    /// The store's, and damage in the row.
    pub async fn look(&mut self) -> Result<Option<News>, LayerError> {
        let current = view::current(&self.engine).await?;
        Ok(current.and_then(|current| self.news(Some(&current.view), current.version)))
    }

    fn news(&mut self, view: Option<&View>, version: u64) -> Option<News> {
        let view = view.filter(|view| view.epoch > self.told && view.member(self.me).is_some())?;
        self.told = view.epoch;
        self.judgement.joined = true;
        Some(News { view: Arc::new(view.clone()), version })
    }
}
