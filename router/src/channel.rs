//! The home of channels: which operations are taken on, in which order, and who is answered.
//!
//! Owns the operations of this shard's channels that are not durable yet, and their byte budget (I11). The order of a
//! channel is the order in which its operations leave here as [`Apply`] (I2, I4); a seq is only given, and
//! membership only judged, inside the append's transaction, because a retry is answered before membership (rule 1) and
//! only the store knows both. Answers leave when the transaction is durable, never before (I3).
//!
//! Limit: one core orders one channel, so a channel's peak rate is that core's rate.

use schema::limits::{PENDING_APPEND_BYTES_MAX, PENDING_APPENDS_MAX};
use schema::mesh::MeshBody;
use schema::{ChannelId, ChannelOp, ClientMsgId, ErrorCode, OpReply, Owner, Refusal, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::index::Indexer;
use crate::order::SendOrder;
use crate::store::{Answer, Apply, waiters};

/// When a client should ask again while there is no room: a batch takes some 10 ms.
const FULL_RETRY_MS: u32 = 100;

/// When a client should ask again while the store takes no writes: disk space does not come back faster.
const WRITES_OFF_RETRY_MS: u32 = 5_000;

/// Bytes that each operation occupies beside its text.
const AROUND_BYTES: u32 = 256;

/// Senders whose order is kept after a refusal, at some 60 bytes each. As many as the operations that fill the shard.
const SENDERS_MAX: usize = PENDING_APPENDS_MAX as usize;

/// One user's sends to one channel, whose order is kept.
type Line = (ChannelId, UserId);

/// An operation that the store has, and who wants its answer.
#[derive(Debug)]
pub struct Admitted {
    bytes: u32,
    /// The shard that asked, and its number for the answer.
    asker: (Owner, u64),
    send: Option<(Line, ClientMsgId)>,
    /// The channel, if it has another text after this.
    writes: Option<ChannelId>,
}

waiters! { Apply => Admitted; }

/// The channels of which this shard is home.
#[derive(Debug)]
pub(crate) struct Channels {
    order: SendOrder<Line>,
    pending: u32,
    pending_bytes: u32,
    pub(crate) indexer: Indexer,
    /// The store takes no writes now.
    writes_off: bool,
}

impl Channels {
    pub(crate) fn new() -> Self {
        Self {
            order: SendOrder::new(SENDERS_MAX),
            pending: 0,
            pending_bytes: 0,
            indexer: Indexer::default(),
            writes_off: false,
        }
    }

    /// Whether the store takes writes.
    pub(crate) fn set_writes(&mut self, on: bool) {
        self.writes_off = !on;
    }

    /// Takes an operation on, or refuses it.
    pub(crate) fn apply(&mut self, asker: (Owner, u64), channel: ChannelId, op: ChannelOp, effects: &mut Effects) {
        let send = op.sends().map(|(from, id)| ((channel, from), id));
        // What holds for all comes first: a sender who is told to send two messages again would be refused again.
        if let Err((counter, refusal)) = self.room(channel, effects) {
            effects.count(counter);
            self.answer(asker, send, Err(refusal), effects);
            return;
        }
        let ordered = send.as_ref().map_or(Ok(()), |(line, id)| self.order.pass(effects.now.mono, line, *id));
        if let Err(refusal) = ordered {
            // The line stays as it is: only what closed it opens it.
            effects.mesh(asker.0, MeshBody::Applied { ticket: asker.1, reply: Err(refusal) });
            return;
        }
        let bytes = weight_bytes(&op);
        self.pending += 1;
        self.pending_bytes += bytes;
        let writes = matches!(op, ChannelOp::Send(_) | ChannelOp::Edit(_) | ChannelOp::Delete { .. });
        let writes = writes.then_some(channel);
        effects.ask(Apply { channel, op }, Admitted { bytes, asker, send, writes });
    }

    fn room(&self, channel: ChannelId, effects: &Effects) -> Result<(), (Counter, Refusal)> {
        if effects.placement.home_of_channel(channel) != effects.placement.me {
            let refusal = Refusal::new(ErrorCode::Moving, "the channel has another home now, send it again");
            return Err((Counter::Moving, refusal));
        }
        if self.writes_off {
            let message = "the store takes nothing new for now, try again later";
            let refusal = Refusal::new(ErrorCode::StorageUnavailable, message).after_ms(WRITES_OFF_RETRY_MS);
            return Err((Counter::WritesOff, refusal));
        }
        if self.pending >= PENDING_APPENDS_MAX || self.pending_bytes >= PENDING_APPEND_BYTES_MAX {
            let message = format!(
                "{} operations of {} bytes wait for the store, send it again later",
                self.pending, self.pending_bytes
            );
            let refusal = Refusal::new(ErrorCode::Overloaded, message).after_ms(FULL_RETRY_MS);
            return Err((Counter::Appends, refusal));
        }
        Ok(())
    }

    /// The store has answered.
    pub(crate) fn applied(&mut self, answer: Answer<Apply>, effects: &mut Effects) {
        let Answer { waiter: Admitted { bytes, asker, send, writes }, reply } = answer;
        self.pending -= 1;
        self.pending_bytes -= bytes;
        if let Some(channel) = writes.filter(|_| reply.is_ok()) {
            self.indexer.mark(channel, effects);
        }
        self.answer(asker, send, reply, effects);
    }

    /// Tells the asker. A send that may be repeated closes its line until it is (rule 7).
    fn answer(
        &mut self,
        (asker, ticket): (Owner, u64),
        send: Option<(Line, ClientMsgId)>,
        reply: Result<OpReply, Refusal>,
        effects: &mut Effects,
    ) {
        if let (Some((line, id)), Err(refusal)) = (send, &reply)
            && refusal.code.is_temporary()
        {
            self.order.refused(effects.now.mono, line, id);
        }
        effects.mesh(asker, MeshBody::Applied { ticket, reply });
    }

    /// A second has passed: forgets senders who may send again, and indexes what was written.
    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        self.order.tick(effects.now.mono);
        if !self.writes_off {
            self.indexer.tick(effects);
        }
    }

    /// Operations that the store has not answered.
    pub(crate) fn pending(&self) -> u32 {
        self.pending
    }
}

fn weight_bytes(op: &ChannelOp) -> u32 {
    AROUND_BYTES.saturating_add(u32::try_from(op.text_bytes()).unwrap_or(u32::MAX))
}
