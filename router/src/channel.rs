//! The home of channels: which operations are taken on, in which order, and who is answered.
//!
//! Owns the operations of this shard's channels that are not durable yet, in the [`Room`] that there is for them (I11). That it is the
//! home of what it is asked about has been judged before. The order of a
//! channel is the order in which its operations leave here as [`Apply`] (I2, I4); a seq is only given, and
//! membership only judged, inside the append's transaction, because a retry is answered before membership (rule 1) and
//! only the store knows both. Answers leave when the transaction is durable, never before (I3).
//!
//! Limit: one core orders one channel, so a channel's peak rate is that core's rate.

use schema::limits::PENDING_APPENDS_MAX;
use schema::mesh::MeshBody;
use schema::{
    ChannelId, ChannelOp, ClientMsgId, ErrorCode, Incarnation, Instant, OpReply, Owner, Partition, Refusal, UserId,
};

use crate::counters::Counter;
use crate::disruption::Disruption;
use crate::effects::Effects;
use crate::index::Indexer;
use crate::order::{Arrival, SendOrder};
use crate::room::{Place, Room};
use crate::seen::Seen;
use crate::store::{Answer, Apply, Index, waiters};

/// When a client should ask again while the store takes no writes: disk space does not come back faster.
const WRITES_OFF_RETRY_MS: u32 = 5_000;

/// Bytes that each operation occupies beside its text.
const AROUND_BYTES: u32 = 256;

/// Senders whose order is kept after a refusal, at some 60 bytes each. As many as the operations that fill the shard.
const SENDERS_MAX: usize = PENDING_APPENDS_MAX as usize;

/// One user's sends to one channel, whose order is kept.
type Line = (ChannelId, UserId);

/// The shard that asked, and its number for the answer, with the attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) by: Owner,
    pub(crate) ticket: u64,
    pub(crate) attempt: u32,
}

/// A send in its line.
#[derive(Debug, Clone, Copy)]
struct Sent {
    line: Line,
    id: ClientMsgId,
    arrival: Arrival,
}

/// An operation that the store has, and who wants its answer.
#[derive(Debug)]
pub struct Admitted {
    place: Place,
    asker: Asked,
    send: Option<Sent>,
    /// The channel, if it has another text after this.
    writes: Option<ChannelId>,
}

waiters! { Apply => Admitted; }

/// The channels of which this shard is home.
#[derive(Debug)]
pub(crate) struct Channels {
    order: SendOrder<Line>,
    seen: Seen,
    room: Room,
    pub(crate) indexer: Indexer,
    /// The store takes no writes now.
    writes_off: bool,
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self {
            order: SendOrder::new(SENDERS_MAX),
            seen: Seen::default(),
            room: Room::default(),
            indexer: Indexer::default(),
            writes_off: false,
        }
    }

    /// Whether the store takes writes.
    pub(crate) fn set_writes(&mut self, on: bool) {
        self.writes_off = !on;
    }

    /// Takes an operation on, or refuses it. A send may say that it comes behind another of its line.
    pub(crate) fn apply(
        &mut self,
        asker: Asked,
        channel: ChannelId,
        op: ChannelOp,
        behind: Option<u64>,
        effects: &mut Effects,
    ) {
        let arrival = effects.arrival();
        let mut send = op.sends().map(|(from, id)| Sent { line: (channel, from), id, arrival });
        // What holds for all comes first: a sender who is told to send two messages again would be refused again.
        if let Err((counter, refusal)) = self.check_room(effects) {
            effects.count(counter);
            self.answer(asker, send, Err(refusal), effects);
            return;
        }
        if let Some(Sent { line, id, arrival }) = &mut send {
            match self.order.pass(effects.now.mono, line, *id, *arrival) {
                Ok(first) => *arrival = first,
                // The line stays as it is: only what closed it opens it.
                Err(refusal) => return reply_to(asker, Err(refusal), effects),
            }
        }
        // Nothing is lost on the way from this very shard.
        if send.is_some() && asker.by != effects.placement.me {
            if behind.is_some_and(|behind| !self.seen.has(asker.by, behind)) {
                effects.count(Counter::Behind);
                let refusal = Refusal::new(ErrorCode::Moving, "the message before this one did not come");
                return reply_to(asker, Err(refusal), effects);
            }
            self.seen.note(effects.now.mono, asker.by, asker.ticket);
        }
        let place = self.room.enter(effects.now.mono, weight_bytes(&op));
        let writes = matches!(op, ChannelOp::Send(_) | ChannelOp::Edit(_) | ChannelOp::Delete { .. });
        let writes = writes.then_some(channel);
        let epoch = effects.placement.view().epoch;
        effects.ask(Apply { epoch, channel, op }, Admitted { place, asker, send, writes });
    }

    fn check_room(&mut self, effects: &Effects) -> Result<(), (Counter, Refusal)> {
        if self.writes_off {
            let message = "the store takes nothing new for now, try again later";
            let refusal = Refusal::new(ErrorCode::StorageUnavailable, message).after_ms(WRITES_OFF_RETRY_MS);
            return Err((Counter::WritesOff, refusal));
        }
        self.room.check(effects.now.mono).map_err(|refusal| (Counter::Appends, refusal))
    }

    /// The store has answered.
    pub(crate) fn applied(&mut self, answer: Answer<Apply>, effects: &mut Effects) {
        let Answer { waiter: Admitted { place, asker, send, writes }, reply } = answer;
        self.room.leave(place);
        if let Some(channel) = writes.filter(|_| reply.is_ok()) {
            self.indexer.mark(channel, effects);
        }
        self.answer(asker, send, reply, effects);
    }

    /// Tells the asker. A send that may be repeated closes its line until it is (rule 7).
    fn answer(&mut self, asker: Asked, send: Option<Sent>, reply: Result<OpReply, Refusal>, effects: &mut Effects) {
        if let (Some(Sent { line, id, arrival }), Err(refusal)) = (send, &reply)
            && refusal.code.is_temporary()
        {
            self.seen.forget(asker.by, asker.ticket);
            if effects.placement.owns(Partition::of_channel(line.0)) {
                self.order.refused(effects.now.mono, line, id, arrival);
            }
        }
        reply_to(asker, reply, effects);
    }

    /// Some channels have another home now, or had one meanwhile.
    pub(crate) fn moved(&mut self, disruption: Disruption, effects: &Effects) {
        let is_over = |channel: ChannelId| disruption.concerns_channel(&effects.placement, channel);
        self.order.forget(|&(channel, _)| is_over(channel));
        self.indexer.forget(is_over);
    }

    /// A node and this one know nothing of each other any more.
    pub(crate) fn lost(&mut self, peer: Incarnation) {
        self.seen.lost(peer);
    }

    /// A second has passed: forgets senders who may send again, and indexes what was written.
    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        self.order.tick(effects.now.mono);
        self.seen.tick(effects.now.mono);
        self.room.tick();
        if !self.writes_off {
            self.indexer.tick(self.room.is_busy(), effects);
        }
    }

    /// Operations that the store has not answered.
    pub(crate) fn pending(&self) -> u32 {
        self.room.pending()
    }

    /// For how long the oldest of them waits.
    pub(crate) fn waits_ms(&self, now: Instant) -> u64 {
        self.room.waits_ms(now)
    }

    /// The store has indexed a part of a channel, or could not.
    pub(crate) fn indexed(&mut self, answer: Answer<Index>, effects: &mut Effects) {
        self.indexer.indexed(answer, self.room.is_busy(), effects);
    }
}

fn reply_to(Asked { by, ticket, attempt }: Asked, reply: Result<OpReply, Refusal>, effects: &mut Effects) {
    effects.mesh(by, MeshBody::Applied { ticket, attempt, reply });
}

fn weight_bytes(op: &ChannelOp) -> u32 {
    AROUND_BYTES.saturating_add(u32::try_from(op.text_bytes()).unwrap_or(u32::MAX))
}
