//! Tickets: operations that this shard has asked of channels' homes, and who waits for each.
//!
//! Owns their numbers and how long they are waited for. A home's answer to a ticket that is not here any more is
//! dropped; the asker has been told to try again, and a retry has no second effect (I5).

use std::collections::{BTreeMap, BTreeSet};

use schema::limits::PENDING_APPENDS_MAX;
use schema::mesh::MeshBody;
use schema::{ChannelId, ChannelOp, ClientMsgId, ErrorCode, Instant, Refusal};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::io::ConnId;

/// Time that an answer is waited for. The store is given 10 s to heal, and the home as long again to work off what
/// waits.
const ANSWER_MS: u64 = 20_000;
/// Operations without an answer: twice what one home takes, since a shard's sessions have several homes.
const OPEN_MAX: usize = PENDING_APPENDS_MAX as usize * 2;
/// When to ask again while there are more.
const RETRY_MS: u32 = 100;

/// The asker of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A session, under its own number for the request.
    Session {
        /// Its connection.
        conn: ConnId,
        /// The client's number.
        id: u32,
        /// Whether it deletes: edits and deletions are answered alike, and told apart to the client.
        deletes: bool,
    },
    /// The HTTP API, under its number.
    Api(u64),
}

/// The message that an operation sends, if it sends one.
pub(crate) type Sends = Option<(ChannelId, ClientMsgId)>;

#[derive(Debug)]
struct Ticket {
    asker: Asker,
    by: Instant,
    sends: Sends,
}

impl Ticket {
    /// The session and the channel whose order this send is part of.
    fn line(&self) -> Option<(ConnId, ChannelId)> {
        match (self.asker, self.sends) {
            (Asker::Session { conn, .. }, Some((channel, _))) => Some((conn, channel)),
            (Asker::Session { .. }, None) | (Asker::Api(_), _) => None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    /// Ascending by number, and so by the time of asking.
    open: BTreeMap<u64, Ticket>,
    next: u64,
}

impl Tickets {
    /// Asks the channel's home to carry an operation out, if there is room for one more.
    pub(crate) fn ask(
        &mut self,
        asker: Asker,
        channel: ChannelId,
        op: ChannelOp,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        if self.open.len() >= OPEN_MAX {
            effects.count(Counter::Tickets);
            let message = format!("{OPEN_MAX} operations wait for their channels, send it again later");
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
        }
        let sends = op.sends().map(|(_, id)| (channel, id));
        let ticket = self.next;
        self.next += 1;
        self.open.insert(ticket, Ticket { asker, by: effects.now.mono.plus_ms(ANSWER_MS), sends });
        let home = effects.placement.home_of_channel(channel);
        effects.mesh(home, MeshBody::Apply { ticket, channel, op });
        Ok(())
    }

    /// Takes the asker that waits for this answer, if it still does.
    pub(crate) fn answered(&mut self, ticket: u64) -> Option<Asker> {
        self.open.remove(&ticket).map(|ticket| ticket.asker)
    }

    /// Takes the askers that have waited for too long, and with a send those that the same session sent behind it to
    /// the same channel: they are to be repeated in their order (rule 7).
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(Asker, Sends)> {
        let mut overdue = Vec::new();
        let mut lines = BTreeSet::new();
        while let Some(oldest) = self.open.first_entry() {
            if oldest.get().by > now {
                break;
            }
            let ticket = oldest.remove();
            lines.extend(ticket.line());
            overdue.push((ticket.asker, ticket.sends));
        }
        if !lines.is_empty() {
            let behind = |_: &u64, ticket: &mut Ticket| ticket.line().is_some_and(|line| lines.contains(&line));
            overdue.extend(self.open.extract_if(.., behind).map(|(_, ticket)| (ticket.asker, ticket.sends)));
        }
        overdue
    }

    /// Operations without an answer.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}
