//! Commands that change a text, and applications that are asked before: what waits for their word, and what comes of it.
//!
//! Owns the way from a command to its ticket. Where no application is to be asked, and nothing of the channel waits, there is
//! nothing between. Upholds rule 7: of a channel all leaves in the order in which it came, and what waits behind a send that is to be
//! sent again is refused with it. What applications refuse goes to the channel's home all the same, with their word: it alone
//! knows whether the message is stored already.

use schema::{ChannelId, ChannelOp, ErrorCode, Refusal};

use crate::counters::Counter;
use crate::io::ConnId;
use crate::order::Arrival;
use crate::store::{Answer, AskBefore, waiters};
use crate::tickets::Sent;

use super::held::{Ready, Told};
use super::{Session, ShardContext};

/// When a client should repeat what was refused for what went before it.
const RETRY_MS: u32 = 100;

/// A session that waits for applications' word on an operation.
#[derive(Debug)]
pub struct BeforeWaiter {
    pub(crate) conn: ConnId,
    channel: ChannelId,
    /// The question's own: a send that is repeated keeps its arrival, and the word on its first time is not its own.
    number: Arrival,
    /// Of the shard's room for those that wait.
    pub(crate) bytes: u32,
}

waiters! { AskBefore => BeforeWaiter; }

impl Session {
    /// Carries out what changes a text, once applications that are to be asked have said what they think of it.
    pub(super) fn submit(
        &mut self,
        (id, arrival): (u32, Arrival),
        channel: ChannelId,
        op: ChannelOp,
        context: &mut ShardContext<'_>,
    ) {
        let asks = context.before.concerns(channel, &op);
        let waits = self.cold.as_deref().is_some_and(|cold| cold.held.has(channel));
        if !asks && !waits {
            return self.carry_out((id, arrival), channel, op, context);
        }
        if let Err(refusal) = context.before.check() {
            context.effects.count(Counter::Before);
            // What is held came before it, and goes on.
            if let Some(sent) = Sent::of(channel, &op, arrival) {
                self.note_refused(sent, context);
            }
            return self.answer(id, Err(refusal), context);
        }
        if !asks {
            return self.cold().held.hold_behind((id, arrival), channel, op, context.before);
        }
        let number = context.effects.arrival();
        self.cold().held.hold(number, (id, arrival), channel, op.clone());
        let waiter = BeforeWaiter { conn: self.conn, channel, number, bytes: context.before.enter(Some(&op)) };
        context.effects.ask(AskBefore { channel, op }, waiter);
    }

    /// Applications have said what they think of an operation, or could not be asked.
    pub(crate) fn told_before(&mut self, answer: Answer<AskBefore>, context: &mut ShardContext<'_>) {
        let Answer { waiter: BeforeWaiter { channel, number, .. }, reply } = answer;
        if self.cold().held.told(channel, number, reply.and_then(|word| word), context.before) == Told::NoRoom {
            context.effects.count(Counter::Before);
        }
        while let Some(Ready { asked, sends, op }) = self.cold().held.next_ready(channel, context.before) {
            match op {
                Ok(op) => self.carry_out(asked, channel, op, context),
                Err(refusal) => self.refused(asked.0, sends, refusal, context),
            }
        }
    }

    /// A send is to be sent again: what of its channel waits here came behind it, and is refused with it (rule 7).
    pub(super) fn refuse_held(&mut self, channel: ChannelId, context: &mut ShardContext<'_>) {
        let Some(cold) = self.cold.as_deref_mut().filter(|cold| cold.held.has(channel)) else { return };
        for id in cold.held.take_all(channel, context.before) {
            let message = "an earlier message to this channel was refused, send both again in their order";
            self.answer(id, Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS)), context);
        }
    }
}
