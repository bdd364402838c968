//! Kicks of the HTTP API: the end of sessions whose device or login counts no longer, asked of their home until it says
//! that they were told.
//!
//! Owns who waits for that, and for how long. The device or login has ended in the store before. Which epoch stands then
//! is read there, and only a home that goes by a view as new is believed: whoever comes to another home under a later
//! one is checked after the device or login had ended (I10).

use std::collections::BTreeMap;

use schema::mesh::{Kicked, MeshBody};
use schema::{Epoch, ErrorCode, Instant, OpReply, Refusal, UserId};

use crate::counters::Counter;
use crate::disruption::Disruption;
use crate::effects::Effects;
use crate::store::{Answer, Standing, waiters};

/// Time that a home's word is waited for.
const ANSWER_MS: u64 = 10_000;
/// Kicks without an answer. Each is a request of the HTTP API that waits.
const OPEN_MAX: usize = 4_096;
/// When to ask again while there are more.
const RETRY_MS: u32 = 500;

waiters! { Standing => KickNumber; }

/// The API's number for a kick.
#[derive(Debug)]
pub struct KickNumber(u64);

#[derive(Debug)]
struct Kick {
    user: UserId,
    whose: Kicked,
    by: Instant,
    /// The epoch that stood when the device or login had ended; none before that is read.
    epoch: Option<Epoch>,
    /// Whether it is being read.
    is_reading: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Kicks {
    open: BTreeMap<u64, Kick>,
}

impl Kicks {
    /// A device or a login of this user counts no longer.
    pub(crate) fn kick(&mut self, ticket: u64, user: UserId, whose: Kicked, effects: &mut Effects) {
        if self.open.len() >= OPEN_MAX {
            effects.count(Counter::Kicks);
            let message = format!("{OPEN_MAX} endings of sessions wait for their homes, ask again later");
            return effects.reply(ticket, Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS)));
        }
        let by = effects.now.mono.plus_ms(ANSWER_MS);
        self.open.insert(ticket, Kick { user, whose, by, epoch: None, is_reading: false });
        self.go_on(ticket, effects);
    }

    /// The store has said which epoch stands.
    pub(crate) fn standing(&mut self, answer: Answer<Standing>, effects: &mut Effects) {
        let Answer { waiter: KickNumber(ticket), reply } = answer;
        let Some(kick) = self.open.get_mut(&ticket) else { return };
        kick.is_reading = false;
        if let Ok(epoch) = reply {
            kick.epoch = Some(epoch);
            self.go_on(ticket, effects);
        }
    }

    /// A home has told its sessions, or has not: then it is asked again, or another is.
    pub(crate) fn done(&mut self, ticket: u64, refused: Option<&Refusal>, effects: &mut Effects) {
        if refused.is_none() && self.open.remove(&ticket).is_some() {
            effects.reply(ticket, Ok(OpReply::Told));
        }
    }

    /// Homes may not have heard, or may not be homes any more.
    pub(crate) fn disrupted(&mut self, disruption: Disruption, effects: &mut Effects) {
        let concerned = |kick: &Kick| disruption.concerns_user(&effects.placement, kick.user);
        let again: Vec<u64> = self.open.iter().filter(|(_, kick)| concerned(kick)).map(|(&ticket, _)| ticket).collect();
        for ticket in again {
            self.go_on(ticket, effects);
        }
    }

    /// A second has passed: whoever has not answered is asked again, and who has waited for too long is told.
    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        let now = effects.now.mono;
        for (ticket, _) in self.open.extract_if(.., |_, kick| now >= kick.by) {
            effects.count(Counter::Overdue);
            let message = "the account's home did not say that its sessions end; ask again";
            effects.reply(ticket, Err(Refusal::new(ErrorCode::StorageUnavailable, message)));
        }
        let again: Vec<u64> = self.open.keys().copied().collect();
        for ticket in again {
            self.go_on(ticket, effects);
        }
    }

    /// Asks whoever is to be asked next: the store, for a newer view, or the home.
    fn go_on(&mut self, ticket: u64, effects: &mut Effects) {
        let Some(kick) = self.open.get_mut(&ticket) else { return };
        match kick.epoch {
            None if kick.is_reading => {}
            None => {
                kick.is_reading = true;
                effects.ask(Standing, KickNumber(ticket));
            }
            Some(epoch) if epoch > effects.placement.view().epoch => effects.outdated(epoch),
            Some(_) => {
                let (user, whose) = (kick.user, kick.whose.clone());
                let home = effects.placement.home_of_user(user);
                effects.mesh(home, MeshBody::Kick { ticket, user, whose });
            }
        }
    }

    /// Kicks without an answer.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}
