//! Operations: from the application into the outbox, to the server once they are stored, and what became of them.

use serde_json::Value;

use super::{Answer, Now, Output, PAUSE_MS, Session, Ticket, refused};
use crate::config::TokenNeed;
use crate::error::{Code, Error, Refusal, StoreError};
use crate::events::{Event, Fill};
use crate::message::{ChannelId, OperationId};
use crate::outbox::{Draft, Operation, Progress};

impl Session {
    pub(super) fn submit(
        &mut self,
        now: Now,
        (channel_id, mut operation): (ChannelId, Operation),
        random: [u8; 10],
        queue: Fill,
        (stored, done): (Option<Ticket>, Option<Ticket>),
    ) {
        let entries = self.outbox.len() + queue.outgoing;
        let refuse = if self.is_over() {
            Some(Error::Ended)
        } else if let Some(refusal) = self.too_long(&operation) {
            Some(refusal.into())
        } else if entries >= self.settings.bounds.operations {
            Some(Error::OutboxFull { entries })
        } else {
            None
        };
        if let Some(error) = refuse {
            if let Some(ticket) = stored.or(done) {
                self.answer(ticket, Err(error));
            }
            return;
        }
        let mut waiting: Vec<Ticket> = done.into_iter().collect();
        if let Operation::Mark { read_seq } = &mut operation
            && let Some(earlier) = self.outbox.replaced_by_mark(channel_id)
            && let Some(entry) = self.outbox.remove(earlier)
        {
            if let Operation::Mark { read_seq: before } = entry.operation {
                *read_seq = (*read_seq).max(before);
            }
            self.outputs.push_back(Output::Remove { order: entry.order, id: entry.id });
            waiting.extend(self.done.remove(&earlier).into_iter().flatten());
            for ticket in self.stored.remove(&earlier).into_iter().flatten() {
                self.answer(ticket, Ok(Answer::Operation(entry.id)));
            }
        }
        let entry = self.outbox.add(OperationId::new(self.server_ms(now), random), channel_id, operation);
        if !waiting.is_empty() {
            self.done.insert(entry.order, waiting);
        }
        if let Some(ticket) = stored {
            self.stored.insert(entry.order, vec![ticket]);
        }
        self.outputs.push_back(Output::Put(entry));
    }

    /// The server's wall clock, as far as it is known.
    pub(super) fn server_ms(&self, now: Now) -> u64 {
        now.wall_ms.cast_signed().saturating_add(self.clock_off_ms).max(0).cast_unsigned()
    }

    /// Refusal of what no server takes, before it is sent, since the frame might end the connection.
    pub(super) fn too_long(&self, operation: &Operation) -> Option<Refusal> {
        let (Operation::Send(Draft { body, .. }) | Operation::Edit { body, .. }) = operation else {
            return None;
        };
        let (chars, most) = (body.chars().count(), self.limits.body_chars_max);
        let message = || format!("the text has {chars} characters, the limit is {most}");
        (chars > most).then(|| refused(Code::BodyTooLong, message()))
    }

    pub(super) fn was_stored(&mut self, order: u64, result: Result<(), StoreError>) {
        // Nobody waits for a refusal. Where the store did not take it, it has the operation as one that is still to be asked:
        // after a crash it is asked again, under the same id.
        if self.refused.remove(&order) {
            return;
        }
        let retried = self.retried.remove(&order);
        let stored = self.stored.remove(&order).unwrap_or_default();
        let Some(entry) = self.outbox.get(order).cloned() else { return };
        match result {
            Ok(()) => {
                self.outbox.stored(order);
                if !self.done.contains_key(&order) {
                    self.tell(Event::Outgoing(entry.outgoing()));
                }
                for ticket in stored {
                    self.answer(ticket, Ok(Answer::Operation(entry.id)));
                }
            }
            Err(error) => {
                let done = self.done.remove(&order).unwrap_or_default();
                if retried {
                    self.outbox.refuse(order, refused(Code::Other(0), error.to_string()));
                } else {
                    self.outbox.remove(order);
                }
                for ticket in stored.into_iter().chain(done) {
                    self.answer(ticket, Err(error.clone().into()));
                }
            }
        }
    }

    pub(super) fn answered(&mut self, now: Now, order: u64, result: Result<Value, Refusal>) {
        let Some(entry) = self.outbox.get(order).cloned() else { return };
        let finished = match result {
            Err(refusal) if matches!(refusal.code, Code::Unauthenticated | Code::TokenExpired) => {
                self.fetch_token(TokenNeed::Refused);
                return self.outbox.answered(order, now.ms + PAUSE_MS);
            }
            Err(refusal) if refusal.temporary => {
                return self.outbox.answered(order, now.ms + refusal.retry_after_ms.max(PAUSE_MS));
            }
            Err(refusal) => Progress::Failed(refusal),
            Ok(reply) => match entry.operation.outcome(reply) {
                Ok(outcome) => Progress::Done(outcome),
                Err(error) => Progress::Failed(refused(Code::Other(0), format!("the reply is none: {error}"))),
            },
        };
        self.outbox.answered(order, 0);
        match &finished {
            Progress::Failed(refusal) => {
                if let Some(refused) = self.outbox.refuse(order, refusal.clone()) {
                    self.refused.insert(order);
                    self.outputs.push_back(Output::Put(refused));
                }
            }
            Progress::Done(_) | Progress::Pending | Progress::Discarded => {
                self.outbox.remove(order);
                self.outputs.push_back(Output::Remove { order, id: entry.id });
            }
        }
        let waiters = self.done.remove(&order).unwrap_or_default();
        self.outputs.push_back(Output::Finish { waiters, outgoing: entry.with(finished) });
    }

    pub(super) fn try_again(&mut self, id: OperationId, ticket: Ticket) {
        match self.outbox.order_of(id).and_then(|order| self.outbox.retry(order)) {
            Some(entry) => {
                self.retried.insert(entry.order);
                self.stored.entry(entry.order).or_default().push(ticket);
                self.outputs.push_back(Output::Put(entry));
            }
            None => self.answer(ticket, Err(Error::NoSuchOperation)),
        }
    }

    pub(super) fn discard(&mut self, id: OperationId, ticket: Option<Ticket>) {
        // What is on its way may have happened: it cannot be taken back.
        let order = self.outbox.order_of(id).filter(|&order| !self.outbox.is_under_way(order));
        let result = match order.and_then(|order| self.outbox.remove(order)) {
            Some(entry) => {
                self.outputs.push_back(Output::Remove { order: entry.order, id });
                let waiting = [self.stored.remove(&entry.order), self.done.remove(&entry.order)];
                for waiting in waiting.into_iter().flatten().flatten() {
                    self.answer(waiting, Err(Error::NoSuchOperation));
                }
                if ticket.is_some() {
                    self.tell(Event::Outgoing(entry.with(Progress::Discarded)));
                }
                Ok(Answer::Nothing)
            }
            None => Err(Error::NoSuchOperation),
        };
        if let Some(ticket) = ticket {
            self.answer(ticket, result);
        }
    }
}
