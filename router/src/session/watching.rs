//! Presence watch of a session: the list of users, and what the client knows of each.
//!
//! Owns the batches of changes: each user once, as it is when the batch leaves, at most one batch in 250 ms, and none
//! before the reply to its `presence_watch`. A change that was lost on the way is made good by the homes, which say once
//! a minute what they know (I8). Who is visible they judge anew, with reads of the store, when the list is given a new
//! number: in the next minute after something happened that may change it, and once an hour whatever happened. It knows
//! no connection and no home: what is due comes back as a value.

use std::collections::{BTreeMap, BTreeSet};

use schema::limits::{PRESENCE_BATCH_MS, RENEW_MS};
use schema::{Instant, Owner, PresenceEntry, PresenceState, SessionId, UserId};

use crate::gather::Answers;
use crate::placement::Placement;

/// The interval at which a list is looked at: whether homes are to judge anew who is visible.
const JUDGE_MS: u64 = 60_000;
/// Time after which they are to, whatever happened: six or seven reads for each user of the list, so 30,000 lists of 50
/// take some 3,000 reads a second.
const AFRESH_MS: u64 = 3_600_000;

/// A watch list. Some 16 bytes for each user.
#[derive(Debug)]
pub(super) struct Watching {
    number: u32,
    /// What is known of each user; nothing before the reply.
    known: BTreeMap<UserId, Option<Known>>,
    /// Changes for the next batch.
    changed: BTreeMap<UserId, PresenceEntry>,
    pushed_at: Instant,
    renew_at: Instant,
    judge_at: Instant,
    afresh_at: Instant,
    /// Whether something has happened since it was judged that may change who is visible.
    is_in_doubt: bool,
    /// The `presence_watch` that is not answered yet, by its number.
    request: Option<(u32, Answers)>,
}

/// One user as a home last told it.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// The state that the client was last told.
    state: PresenceState,
    /// Whether the home showed the user: one who may not be seen is told as one who was never there.
    is_visible: bool,
    unsaid: Unsaid,
}

/// Whether a user who was present has another home since, which has not said so yet: the device may have gone with the
/// earlier home's node, and the new home knows nobody who does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsaid {
    No,
    SinceTheMove,
    /// Also when it was looked at.
    Still,
}

impl Known {
    fn of(entry: &PresenceEntry) -> Self {
        let is_visible = *entry != PresenceEntry::unknown(entry.user_id);
        Self { state: entry.state, is_visible, unsaid: Unsaid::No }
    }
}

/// Deadlines of a list that have come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The number of the `presence_watch` whose homes did not answer in time.
    pub(super) overdue: Option<u32>,
    /// Whether the homes are to be told the list again.
    pub(super) renews: bool,
}

impl Watching {
    /// A list in place of the earlier one, with these homes to answer for its users.
    pub(super) fn new(
        now: Instant,
        earlier: Option<&Self>,
        (session, id): (SessionId, u32),
        users: Vec<UserId>,
        missing: BTreeSet<Owner>,
    ) -> Self {
        // Lists that begin together, as when a node's sessions come back, are not judged anew together.
        let spread_ms = (session.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % (AFRESH_MS / 2);
        Self {
            number: earlier.map_or(1, |earlier| earlier.number + 1),
            known: users.iter().map(|&user| (user, None)).collect(),
            changed: BTreeMap::new(),
            pushed_at: earlier.map_or_else(Instant::default, |earlier| earlier.pushed_at),
            renew_at: now.plus_ms(RENEW_MS),
            judge_at: now.plus_ms(JUDGE_MS),
            afresh_at: now.plus_ms(AFRESH_MS - spread_ms),
            is_in_doubt: false,
            request: Some((id, Answers::new(now, users, missing))),
        }
    }

    /// The number under which homes know the list.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The users of the list, each once.
    pub(super) fn users(&self) -> impl Iterator<Item = UserId> {
        self.known.keys().copied()
    }

    /// Whether this user is on the list.
    pub(super) fn contains(&self, user: UserId) -> bool {
        self.known.contains_key(&user)
    }

    /// Something has happened that may change who is visible.
    pub(super) fn doubt(&mut self) {
        self.is_in_doubt = true;
    }

    /// These users have another home now.
    pub(super) fn moved(&mut self, is_moved: impl Fn(UserId) -> bool) {
        for (&user, known) in &mut self.known {
            if let Some(known) = known.as_mut().filter(|known| known.state != PresenceState::Offline && is_moved(user))
            {
                known.unsaid = Unsaid::SinceTheMove;
            }
        }
    }

    /// Those of these users whom their home has shown.
    pub(super) fn visible(&self, users: &[UserId]) -> Vec<UserId> {
        let is_visible = |user: &UserId| self.known.get(user).copied().flatten().is_some_and(|known| known.is_visible);
        users.iter().copied().filter(is_visible).collect()
    }

    /// Begins again with a `presence_watch` that is not answered yet: under the next number, of which the homes of now
    /// know nothing. Returns whether one is not.
    pub(super) fn restart(&mut self, placement: &Placement) -> bool {
        let Some((_, answers)) = &mut self.request else { return false };
        self.number += 1;
        answers.restart(placement);
        true
    }

    /// The number of the `presence_watch` that is not answered yet.
    pub(super) fn request(&self) -> Option<u32> {
        self.request.as_ref().map(|&(id, _)| id)
    }

    /// When it next has something to do, given whether there is room to push.
    pub(super) fn due(&self, has_room: bool) -> Instant {
        match &self.request {
            Some((_, answers)) => self.renew_at.min(answers.by()),
            None if has_room && !self.changed.is_empty() => {
                self.renew_at.min(self.pushed_at.plus_ms(PRESENCE_BATCH_MS))
            }
            None => self.renew_at,
        }
    }

    /// Takes what a home says of its users on the list. Returns whether it speaks of this list, and not of an earlier
    /// one.
    pub(super) fn answered(&mut self, from: Owner, number: u32, entries: &[PresenceEntry]) -> bool {
        if self.number != number {
            return false;
        }
        let Some((_, answers)) = &mut self.request else {
            self.learn(entries);
            return true;
        };
        answers.take(from, entries.iter().copied());
        for entry in entries {
            // It is in the reply, and what changes from here on is pushed.
            if let Some(known) = self.known.get_mut(&entry.user_id) {
                *known = Some(Known::of(entry));
                self.changed.remove(&entry.user_id);
            }
        }
        true
    }

    /// Takes the reply to the `presence_watch`, once every home has answered.
    pub(super) fn take_reply(&mut self) -> Option<(u32, Vec<PresenceEntry>)> {
        let (id, answers) = self.request.as_ref()?;
        let reply = (*id, answers.all()?);
        self.request = None;
        Some(reply)
    }

    /// Takes the presence of users as it is now: it is pushed if the client knows another state, or is about to.
    pub(super) fn learn(&mut self, entries: &[PresenceEntry]) {
        for entry in entries {
            let Some(Some(known)) = self.known.get_mut(&entry.user_id) else { continue };
            known.is_visible = Known::of(entry).is_visible;
            known.unsaid = Unsaid::No;
            if known.state == entry.state {
                self.changed.remove(&entry.user_id);
            } else {
                self.changed.insert(entry.user_id, *entry);
            }
        }
    }

    /// Takes the next batch of changes, if there are any and the last one was a while ago.
    pub(super) fn take_batch(&mut self, now: Instant) -> Option<Vec<PresenceEntry>> {
        let is_time = now >= self.pushed_at.plus_ms(PRESENCE_BATCH_MS) && self.request.is_none();
        if self.changed.is_empty() || !is_time {
            return None;
        }
        self.pushed_at = now;
        let entries: Vec<PresenceEntry> = std::mem::take(&mut self.changed).into_values().collect();
        self.known.extend(entries.iter().map(|entry| (entry.user_id, Some(Known::of(entry)))));
        Some(entries)
    }

    /// Takes the deadlines that have come.
    pub(super) fn tick(&mut self, now: Instant) -> Due {
        let overdue = self.request.take_if(|(_, answers)| now >= answers.by()).map(|(id, _)| id);
        if overdue.is_some() {
            // What did not come is asked for anew, and pushed when it does.
            self.is_in_doubt = true;
            for known in self.known.values_mut() {
                known.get_or_insert(Known { state: PresenceState::Offline, is_visible: false, unsaid: Unsaid::No });
            }
        }
        let renews = now >= self.renew_at;
        if renews {
            self.renew_at = now.plus_ms(RENEW_MS);
            self.judge(now);
        }
        Due { overdue, renews }
    }

    /// Once a minute: whether homes are to judge anew who is visible.
    fn judge(&mut self, now: Instant) {
        if now < self.judge_at || self.request.is_some() {
            return;
        }
        self.judge_at = now.plus_ms(JUDGE_MS);
        // By the second time that this is looked at their homes have said twice whom they know.
        let is_gone = self.known.values().flatten().any(|known| known.unsaid == Unsaid::Still);
        if std::mem::take(&mut self.is_in_doubt) || is_gone || now >= self.afresh_at {
            self.afresh_at = now.plus_ms(AFRESH_MS);
            self.number += 1;
        }
        for known in self.known.values_mut().flatten() {
            known.unsaid = match known.unsaid {
                Unsaid::No => Unsaid::No,
                Unsaid::SinceTheMove | Unsaid::Still => Unsaid::Still,
            };
        }
    }
}
