//! Gathered answers: the presence of users of several homes.
//!
//! Owns which homes have not answered yet, in which order the users were asked for, and for how long that is waited
//! for.

use std::collections::{BTreeMap, BTreeSet};

use schema::command::Opened;
use schema::mesh::MeshBody;
use schema::{ErrorCode, Instant, Owner, PresenceEntry, PresenceState, Refusal, Reply, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::io::ConnId;

/// How long the homes' word is waited for.
const ANSWER_MS: u64 = 10_000;
/// Answers that are gathered at once, at up to 500 users of some 50 bytes each: 100 MB.
const OPEN_MAX: usize = 4_096;
/// When to ask again while there are more.
const RETRY_MS: u32 = 500;

/// A question for the presence of users.
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
    users: Vec<UserId>,
    missing: BTreeSet<Owner>,
    found: BTreeMap<UserId, PresenceEntry>,
    by: Instant,
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
        now: Instant,
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
        let homes = effects.placement.by_home(&users);
        let missing = homes.keys().copied().collect();
        let gather = Gather { conn, id, purpose, users, missing, found: BTreeMap::new(), by: now.plus_ms(ANSWER_MS) };
        self.open.insert(ticket, gather);
        for (home, users) in homes {
            effects.mesh(home, MeshBody::PresenceAsk { ticket, asker, users, fellows });
        }
        Ok(())
    }

    /// A home has answered: the whole, if it was the last.
    pub(crate) fn answered(
        &mut self,
        ticket: u64,
        from: Owner,
        entries: Result<Vec<PresenceEntry>, Refusal>,
    ) -> Option<Answer> {
        let gather = self.open.get_mut(&ticket)?;
        match entries {
            Ok(entries) if gather.missing.remove(&from) => {
                gather.found.extend(entries.into_iter().map(|entry| (entry.user_id, entry)));
                if !gather.missing.is_empty() {
                    return None;
                }
            }
            Ok(_) => return None,
            Err(refusal) => {
                let Gather { conn, id, .. } = self.open.remove(&ticket)?;
                return Some((conn, id, Err(refusal)));
            }
        }
        let Gather { conn, id, purpose, users, found, .. } = self.open.remove(&ticket)?;
        Some((conn, id, Ok(purpose.reply(&users, &found))))
    }

    /// Takes those that have waited for too long.
    pub(crate) fn overdue(&mut self, now: Instant) -> Vec<(ConnId, u32)> {
        let mut overdue = Vec::new();
        while let Some(oldest) = self.open.first_entry().filter(|oldest| oldest.get().by <= now) {
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
    /// The reply, of entries in the order asked for. Whom no home spoke of is as one who may not be seen.
    pub(crate) fn reply(self, users: &[UserId], found: &BTreeMap<UserId, PresenceEntry>) -> Reply {
        let of = |&user: &UserId| found.get(&user).copied().unwrap_or(PresenceEntry::unknown(user));
        match self {
            Self::Open(opened) => {
                let is_there = |entry: &PresenceEntry| entry.state != PresenceState::Offline;
                let online = users.iter().map(of).filter(is_there).count();
                Reply::Open(Opened { online: u32::try_from(online).expect("at most 500 members"), ..*opened })
            }
            Self::Entries => Reply::PresenceGet { entries: users.iter().map(of).collect() },
        }
    }
}
