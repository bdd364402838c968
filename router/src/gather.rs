//! Gathered answers: the presence of users of several homes.
//!
//! Owns which homes have not answered yet, in which order the users were asked for, and for how long that is waited
//! for.

use std::collections::{BTreeMap, BTreeSet};

use schema::command::Opened;
use schema::mesh::MeshBody;
use schema::{ErrorCode, Instant, Owner, PresenceEntry, PresenceState, Refusal, Reply, UserId};

use crate::counters::Counter;
use crate::disruption::Disruption;
use crate::effects::Effects;
use crate::io::ConnId;
use crate::placement::Placement;

/// Time that the homes' answers are waited for.
const ANSWER_MS: u64 = 10_000;
/// Answers that are gathered at once, at up to 500 users of some 50 bytes each: 100 MB.
const OPEN_MAX: usize = 4_096;
/// When to ask again while there are more.
const RETRY_MS: u32 = 500;

/// A question for the presence of users.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) asker: UserId,
    pub(crate) users: Vec<UserId>,
    /// Whether they are all in a direct channel or group with the asker.
    pub(crate) fellows: bool,
}

/// The use of the gathered entries.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// The entries themselves.
    Entries,
    /// A channel was opened: how many are there.
    Open(Box<Opened>),
}

#[derive(Debug)]
struct Gather {
    conn: ConnId,
    id: u32,
    purpose: Purpose,
    asker: UserId,
    fellows: bool,
    answers: Answers,
    /// A home was not the home any more: who has not answered is asked again.
    is_refused: bool,
}

/// Answers of several homes to one question, until all of them are there.
#[derive(Debug)]
pub(crate) struct Answers {
    /// In the order asked for.
    users: Vec<UserId>,
    missing: BTreeSet<Owner>,
    found: BTreeMap<UserId, PresenceEntry>,
    by: Instant,
}

impl Answers {
    /// None yet, of these homes for these users.
    pub(crate) fn new(now: Instant, users: Vec<UserId>, missing: BTreeSet<Owner>) -> Self {
        Self { users, missing, found: BTreeMap::new(), by: now.plus_ms(ANSWER_MS) }
    }

    /// The instant until which they are waited for.
    pub(crate) fn by(&self) -> Instant {
        self.by
    }

    /// The users of whom nobody has spoken yet, by their homes of now, which are asked from here on.
    pub(crate) fn ask_again(&mut self, placement: &Placement) -> BTreeMap<Owner, Vec<UserId>> {
        let missing = self.users.iter().copied().filter(|user| !self.found.contains_key(user));
        let homes = placement.by_home(missing);
        self.missing = homes.keys().copied().collect();
        homes
    }

    /// None yet, of the homes of now.
    pub(crate) fn restart(&mut self, placement: &Placement) {
        self.found.clear();
        self.ask_again(placement);
    }

    /// Whether one of the homes that have not answered is concerned.
    fn is_concerned(&self, disruption: Disruption, placement: &Placement) -> bool {
        let mut missing = self.users.iter().filter(|user| !self.found.contains_key(user));
        missing.any(|&user| disruption.concerns_user(placement, user))
    }

    /// Whether this home was asked and has not answered.
    pub(crate) fn waits_for(&self, home: Owner) -> bool {
        self.missing.contains(&home)
    }

    /// Takes what a home says, in place of what it said before.
    pub(crate) fn take(&mut self, from: Owner, entries: impl IntoIterator<Item = PresenceEntry>) {
        self.missing.remove(&from);
        self.found.extend(entries.into_iter().map(|entry| (entry.user_id, entry)));
    }

    /// The entries in the order asked for, once every home has answered. Whom none spoke of is as one who may not be
    /// seen.
    pub(crate) fn all(&self) -> Option<Vec<PresenceEntry>> {
        let entry = |&user| self.found.get(&user).copied().unwrap_or(PresenceEntry::unknown(user));
        self.missing.is_empty().then(|| self.users.iter().map(entry).collect())
    }
}

/// An answer: whose, under which number, and what it is.
pub(crate) type Answer = (ConnId, u32, Result<Reply, Refusal>);

#[derive(Debug, Default)]
pub(crate) struct Gathers {
    /// Ascending by number, and so by the time of asking.
    open: BTreeMap<u64, Gather>,
    next: u64,
}

impl Gathers {
    /// Asks the homes of these users.
    ///
    /// # Errors
    /// If too much is asked at once.
    pub(crate) fn ask(
        &mut self,
        (conn, id): (ConnId, u32),
        purpose: Purpose,
        wanted: Wanted,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        if self.open.len() >= OPEN_MAX {
            effects.count(Counter::Gathers);
            let message = format!("{OPEN_MAX} questions for presence wait, ask again later");
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
        }
        let Wanted { asker, users, fellows } = wanted;
        let ticket = self.next;
        self.next += 1;
        let homes = effects.placement.by_home(users.iter().copied());
        let answers = Answers::new(effects.now.mono, users, homes.keys().copied().collect());
        self.open.insert(ticket, Gather { conn, id, purpose, asker, fellows, answers, is_refused: false });
        for (home, users) in homes {
            effects.mesh(home, MeshBody::PresenceAsk { ticket, asker, users, fellows });
        }
        Ok(())
    }

    fn ask_again(&mut self, tickets: &[u64], effects: &mut Effects) {
        for &ticket in tickets {
            let gather = self.open.get_mut(&ticket).expect("its caller has found it");
            gather.is_refused = false;
            let (asker, fellows) = (gather.asker, gather.fellows);
            for (home, users) in gather.answers.ask_again(&effects.placement) {
                effects.mesh(home, MeshBody::PresenceAsk { ticket, asker, users, fellows });
            }
        }
    }

    /// Homes are others now, or may not have heard: whoever has not answered is asked again.
    pub(crate) fn disrupted(&mut self, disruption: Disruption, effects: &mut Effects) {
        let concerned = |gather: &Gather| gather.answers.is_concerned(disruption, &effects.placement);
        let again: Vec<u64> = self.open.iter().filter(|(_, one)| concerned(one)).map(|(&ticket, _)| ticket).collect();
        self.ask_again(&again, effects);
    }

    /// A second has passed: where a home was not the home any more, the others are asked.
    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        let again: Vec<u64> = self.open.iter().filter(|(_, one)| one.is_refused).map(|(&ticket, _)| ticket).collect();
        self.ask_again(&again, effects);
    }

    /// A home has answered: the whole, if it was the last.
    pub(crate) fn answered(
        &mut self,
        ticket: u64,
        from: Owner,
        entries: Result<Vec<PresenceEntry>, Refusal>,
    ) -> Option<Answer> {
        let gather = self.open.get_mut(&ticket)?;
        let answers = &mut gather.answers;
        let all = match entries {
            // Asked once, it counts once.
            _ if !answers.waits_for(from) => return None,
            Ok(entries) => {
                answers.take(from, entries);
                Ok(answers.all()?)
            }
            Err(refusal) if refusal.code == ErrorCode::Moving => {
                gather.is_refused = true;
                return None;
            }
            Err(refusal) => Err(refusal),
        };
        let Gather { conn, id, purpose, .. } = self.open.remove(&ticket)?;
        Some((conn, id, all.map(|entries| purpose.reply(entries))))
    }

    /// Takes those that have waited for too long.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(ConnId, u32)> {
        let mut overdue = Vec::new();
        while let Some(oldest) = self.open.first_entry().filter(|oldest| oldest.get().answers.by() <= now) {
            let Gather { conn, id, .. } = oldest.remove();
            overdue.push((conn, id));
        }
        overdue
    }

    /// Answers that are being gathered.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}

impl Purpose {
    /// The reply, of entries in the order asked for.
    pub(crate) fn reply(self, entries: Vec<PresenceEntry>) -> Reply {
        match self {
            Self::Open(opened) => {
                let online = entries.iter().filter(|entry| entry.state != PresenceState::Offline).count();
                Reply::Open(Opened { online: u32::try_from(online).expect("at most 500 members"), ..*opened })
            }
            Self::Entries => Reply::PresenceGet { entries },
        }
    }
}
