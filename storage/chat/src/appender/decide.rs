//! Deciding a batch: its operations in order, as many as fit into one transaction.

use super::draft::{Draft, Halt, Terms};
use super::effects::Effects;
use super::rows::{Rows, Wanted};
use super::{Queued, operation};
use crate::damaged;

/// What came of deciding a batch.
pub(super) enum Verdict {
    /// Rows are missing: read them and decide again.
    Unread(Wanted),
    /// The first operations that fit into one transaction, at least one.
    Decided(Box<Effects>),
}

/// Decides `ops`. One that stands on a row which cannot be read is refused, and no other.
pub(super) fn decide(terms: &Terms, rows: &Rows, ops: &[Queued]) -> Verdict {
    let mut draft = Draft::new(terms, rows);
    for &Queued { ticket, epoch: _, channel, ref op } in ops {
        let fits = operation::with(op, |op| draft.fits(&op.cost(draft.members_at_hand(channel))));
        if !fits {
            break;
        }
        match operation::with(op, |op| op.decide(&mut draft, channel)) {
            Ok(reply) => draft.reply(ticket, Ok(reply)),
            Err(Halt::Refused(refusal)) => draft.reply(ticket, Err(refusal)),
            Err(Halt::Unread) => {}
            Err(Halt::Damaged) => draft.reply(ticket, Err(damaged())),
        }
    }
    match draft.finish() {
        Ok(effects) => Verdict::Decided(Box::new(effects)),
        Err(wanted) => Verdict::Unread(wanted),
    }
}
