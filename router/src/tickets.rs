//! Operations that this shard has asked of channels' homes, and who waits for each.
//!
//! Owns their numbers and how long they are waited for. A home's answer to a ticket that is not here any more is dropped;
//! the asker has been told to try again, and a retry has no second effect (I5).

use std::collections::BTreeMap;

use schema::mesh::MeshBody;
use schema::{ChannelId, ChannelOp, Instant};

use crate::effects::Effects;
use crate::io::ConnId;

/// How long an answer is waited for. The store is given 10 s to heal, and the home as long again to work off what waits.
const ANSWER_MS: u64 = 20_000;

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A session, under its own number for the request.
    Session {
        /// Its connection.
        conn: ConnId,
        /// The client's number.
        id: u32,
    },
    /// The HTTP API, under its number.
    Api(u64),
}

#[derive(Debug, Default)]
pub(crate) struct Tickets {
    /// Ascending by number, and so by the time of asking.
    open: BTreeMap<u64, (Asker, Instant)>,
    next: u64,
}

impl Tickets {
    /// Asks the channel's home to carry an operation out.
    pub(crate) fn ask(&mut self, now: Instant, asker: Asker, channel: ChannelId, op: ChannelOp, effects: &mut Effects) {
        let ticket = self.next;
        self.next += 1;
        self.open.insert(ticket, (asker, now.plus_ms(ANSWER_MS)));
        let home = effects.placement.home_of_channel(channel);
        effects.mesh(home, MeshBody::Apply { ticket, channel, op });
    }

    /// Who waits for this answer, if anybody still does.
    pub(crate) fn answered(&mut self, ticket: u64) -> Option<Asker> {
        self.open.remove(&ticket).map(|(asker, _)| asker)
    }

    /// Takes the askers that have waited for too long.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<Asker> {
        let mut overdue = Vec::new();
        while let Some(oldest) = self.open.first_entry() {
            if oldest.get().1 > now {
                break;
            }
            overdue.push(oldest.remove().0);
        }
        overdue
    }
}
