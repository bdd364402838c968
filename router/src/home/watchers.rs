//! Watchers of the presence of this home's users, and whom of them each may see.
//!
//! Owns the watch lists, the questions of one moment, and the reads of the store that say who is visible to whom: a
//! friend, or a fellow member of a direct channel or group, never across a block. A list lapses unless its session
//! renews it, and once a minute what is known of those it sees is said again, so that what was lost on the way is made good
//! (I8); a session gives it another number from time to time, and when its memberships change, with which visibility
//! is read anew, so whatever became visible is found. Changes go to those who see the user, and to nobody else.
//! Where users have come from another home their watchers say whom they were shown, and only the others are judged: a
//! view that moves the homes of many would read millions of rows otherwise. What was hidden in that moment may be shown
//! until the list has its next number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use schema::limits::RENEW_MS;
use schema::mesh::{MeshBody, Telling};
use schema::{ErrorCode, Incarnation, Instant, Owner, PresenceEntry, Refusal, SessionId, UserId};

use crate::counters::Counter;
use crate::disruption::Disruption;
use crate::effects::Effects;
use crate::gather::Wanted;
use crate::ownership::moving;
use crate::placement::by_owner;
use crate::store::Visible;

/// Users of lists, each as often as it is watched. A place in its list and one in the index take some 50 bytes, so 400
/// MB: what 160,000 sessions with 50 friends each want to know. Beyond it a list is not answered, and its session says
/// so.
const WATCHED_TOTAL_MAX: usize = 8_000_000;
/// Reads of visibility at once. Each is a few rows a user, up to 500 users.
const VISIBILITY_READS_MAX: usize = 64;
/// Questions that wait for one, at up to 4 KB each: 4 MB.
const QUESTIONS_MAX: usize = 1_024;
/// The interval at which the session of a list is told again what is known of those it sees.
const TELL_MS: u64 = 60_000;
/// When to ask again if there are more.
const RETRY_MS: u32 = 500;

/// A session, wherever it is.
type Place = (Owner, SessionId);

#[derive(Debug)]
struct List {
    watcher: UserId,
    number: u32,
    users: Vec<UserId>,
    /// The read of visibility that is under way for it.
    reading: Option<u64>,
    /// Everybody on it is to be judged, and not only who is not seen.
    is_afresh: bool,
    /// Whether the session was told what is known since its last word or a block.
    is_answered: bool,
    expires: Instant,
    /// When its session is told again what is known.
    tell_at: Instant,
}

/// Somebody wants to know at this moment who is there.
#[derive(Debug)]
struct Question {
    owner: Owner,
    ticket: u64,
    wanted: Wanted,
}

/// A read of visibility: for whom, and of which users.
#[derive(Debug)]
pub struct VisibilityRead {
    whose: Whose,
    pub(super) users: Vec<UserId>,
}

impl VisibilityRead {
    /// Whether somebody wants to know at this moment, and not from now on.
    pub(super) fn is_question(&self) -> bool {
        matches!(self.whose, Whose::Question(..))
    }
}

#[derive(Debug)]
enum Whose {
    List(Place, u64),
    Question(Owner, u64),
}

#[derive(Debug, Default)]
pub(crate) struct Watchers {
    lists: BTreeMap<Place, List>,
    /// Sessions that see a user.
    of_user: BTreeMap<UserId, BTreeSet<Place>>,
    of_watcher: BTreeMap<UserId, BTreeSet<Place>>,
    expiry: BTreeSet<(Instant, Place)>,
    total: usize,
    questions: VecDeque<Question>,
    /// Lists whose visibility is to be read, in turn after `served`.
    wanted: BTreeSet<Place>,
    served: Option<Place>,
    /// Lists whose visibility could not be read since the last second.
    failed: BTreeSet<Place>,
    under_way: usize,
    reads: u64,
}

impl Watchers {
    /// Users of lists, each as often as it is watched.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// A session watches these users, and no others of this home; those of them who are `visible` were shown to it
    /// before. Returns whom of those it sees, and once a minute all whom it sees: it is told what is known of them.
    pub(super) fn watch(
        &mut self,
        place: Place,
        watcher: UserId,
        (number, users): (u32, Vec<UserId>),
        visible: &[UserId],
        effects: &mut Effects,
    ) -> Vec<UserId> {
        if users.is_empty() {
            self.end(place);
            return Vec::new();
        }
        let expires = effects.now.mono.plus_ms(3 * RENEW_MS);
        let mut told = visible.to_vec();
        match self.lists.get_mut(&place).filter(|list| list.watcher == watcher && list.users == users) {
            Some(list) => {
                if list.number != number {
                    // Until it is known anew who is visible, those who were are.
                    (list.number, list.is_answered, list.reading, list.is_afresh) = (number, false, None, true);
                }
                self.expiry.remove(&(std::mem::replace(&mut list.expires, expires), place));
                self.expiry.insert((expires, place));
                if effects.now.mono >= list.tell_at {
                    list.tell_at = effects.now.mono.plus_ms(TELL_MS);
                    told.clone_from(&list.users);
                }
            }
            None => {
                let mut seen: Vec<UserId> = visible.iter().copied().filter(|user| users.contains(user)).collect();
                let earlier = self.lists.get(&place).filter(|list| list.watcher == watcher && list.number == number);
                if let Some(earlier) = earlier {
                    seen.extend(earlier.users.iter().filter(|user| users.contains(user) && self.sees(place, **user)));
                }
                self.end(place);
                if self.total + users.len() > WATCHED_TOTAL_MAX {
                    effects.count(Counter::Watched);
                    return Vec::new();
                }
                self.total += users.len();
                self.of_watcher.entry(watcher).or_default().insert(place);
                self.expiry.insert((expires, place));
                for user in seen {
                    self.show(user, place, true);
                }
                let tell_at = effects.now.mono.plus_ms(TELL_MS);
                let is_answered = users.iter().all(|&user| self.sees(place, user));
                let list =
                    List { watcher, number, users, reading: None, is_afresh: false, is_answered, expires, tell_at };
                self.lists.insert(place, list);
            }
        }
        self.ask(place);
        self.start(effects);
        told.retain(|&user| self.sees(place, user));
        told
    }

    fn sees(&self, place: Place, user: UserId) -> bool {
        self.of_user.get(&user).is_some_and(|places| places.contains(&place))
    }

    /// A question for the presence of users at this moment.
    pub(crate) fn question(&mut self, (owner, ticket): (Owner, u64), wanted: Wanted, effects: &mut Effects) {
        if self.questions.len() >= QUESTIONS_MAX {
            effects.count(Counter::PresenceQuestions);
            let message = format!("{QUESTIONS_MAX} questions for presence wait, ask again later");
            let entries = Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
            return effects.mesh(owner, MeshBody::PresenceAnswer { ticket, entries });
        }
        self.questions.push_back(Question { owner, ticket, wanted });
        self.start(effects);
    }

    fn ask(&mut self, place: Place) {
        if self.lists.get(&place).is_some_and(|list| list.reading.is_none() && !list.is_answered) {
            self.wanted.insert(place);
        }
    }

    fn start(&mut self, effects: &mut Effects) {
        while self.under_way < VISIBILITY_READS_MAX {
            // Somebody waits for an answer to a question; lists can wait a little.
            let (whose, watcher, users, fellows): (Whose, UserId, Vec<UserId>, bool) = match self.questions.pop_front()
            {
                Some(Question { owner, ticket, wanted: Wanted { asker, users, fellows } }) => {
                    (Whose::Question(owner, ticket), asker, users, fellows)
                }
                None => {
                    let Some(place) = self.next_wanted() else { break };
                    let list = &self.lists[&place];
                    let is_meant = |user: &UserId| list.is_afresh || !self.sees(place, *user);
                    let (watcher, users) = (list.watcher, list.users.iter().copied().filter(is_meant).collect());
                    self.reads += 1;
                    let list = self.lists.get_mut(&place).expect("a list that ends is wanted no more");
                    list.reading = Some(self.reads);
                    (Whose::List(place, self.reads), watcher, users, false)
                }
            };
            self.under_way += 1;
            let done = VisibilityRead { whose, users: users.clone() };
            effects.ask(Visible { watcher, users, fellows }, done);
        }
    }

    fn next_wanted(&mut self) -> Option<Place> {
        let after = self.served.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.wanted.range((after, Bound::Unbounded)).next().or_else(|| self.wanted.first()).copied()?;
        self.wanted.remove(&next);
        self.served = Some(next);
        Some(next)
    }

    /// The store has said who is visible; each with its presence, or none where nothing may be seen.
    pub(super) fn seen(
        &mut self,
        done: VisibilityRead,
        found: Result<Vec<Option<PresenceEntry>>, Refusal>,
        effects: &mut Effects,
    ) {
        self.under_way -= 1;
        match (done.whose, found) {
            (Whose::Question(owner, ticket), found) => {
                let entries = found.map(|found| shown(&done.users, &found));
                effects.mesh(owner, MeshBody::PresenceAnswer { ticket, entries });
            }
            (Whose::List(place, read), found) => {
                let list = self.lists.get_mut(&place).filter(|list| list.reading == Some(read));
                if let Some(list) = list {
                    list.reading = None;
                    if let Ok(found) = found {
                        (list.is_answered, list.is_afresh) = (true, false);
                        let number = list.number;
                        let entries = shown(&done.users, &found);
                        for (&user, found) in done.users.iter().zip(&found) {
                            self.show(user, place, found.is_some());
                        }
                        let (owner, session) = place;
                        effects.mesh(owner, MeshBody::Watched { session, number, entries });
                    } else {
                        self.failed.insert(place);
                    }
                }
            }
        }
        self.start(effects);
    }

    fn show(&mut self, user: UserId, place: Place, is_visible: bool) {
        if is_visible {
            self.of_user.entry(user).or_default().insert(place);
        } else if let Some(places) = self.of_user.get_mut(&user) {
            places.remove(&place);
            if places.is_empty() {
                self.of_user.remove(&user);
            }
        }
    }

    /// Notifies those who see a user of its presence.
    pub(super) fn notify(&self, entry: PresenceEntry, effects: &mut Effects) {
        for (owner, sessions) in by_owner(self.of_user.get(&entry.user_id).into_iter().flatten().copied()) {
            effects.mesh(owner, MeshBody::Tell { sessions, what: Telling::Presence { entries: vec![entry] } });
        }
    }

    /// Some users have another home now, or had one meanwhile. Whoever asks of them is told so.
    pub(super) fn moved(&mut self, disruption: Disruption, effects: &mut Effects) {
        let is_gone = |effects: &Effects, user: UserId| disruption.concerns_user(&effects.placement, user);
        for place in self.lists.keys().copied().collect::<Vec<_>>() {
            let list = self.lists.get_mut(&place).expect("just listed");
            let gone: Vec<UserId> = list.users.extract_if(.., |user| is_gone(effects, *user)).collect();
            if gone.is_empty() {
                continue;
            }
            // What is being read is of other users: it is read again.
            list.reading = None;
            let is_over = list.users.is_empty();
            self.total -= gone.len();
            for user in gone {
                self.show(user, place, false);
            }
            if is_over { self.end(place) } else { self.ask(place) }
        }
        let is_about_them = |one: &Question| one.wanted.users.iter().any(|&user| is_gone(effects, user));
        let (about_them, others): (VecDeque<_>, _) = self.questions.drain(..).partition(is_about_them);
        self.questions = others;
        for Question { owner, ticket, .. } in about_them {
            effects.mesh(owner, MeshBody::PresenceAnswer { ticket, entries: Err(moving("a user")) });
        }
        self.start(effects);
    }

    /// A node and this one know nothing of each other any more: who watches from there says so again.
    pub(super) fn lost(&mut self, peer: Incarnation) {
        let gone = self.lists.keys().copied().filter(|(owner, _)| owner.incarnation == peer);
        for place in gone.collect::<Vec<_>>() {
            self.end(place);
        }
        self.questions.retain(|question| question.owner.incarnation != peer);
    }

    /// Neither of the two sees the other any more, or each may again.
    pub(super) fn blocked(&mut self, one: UserId, other: UserId, on: bool, effects: &mut Effects) {
        for (watcher, user) in [(one, other), (other, one)] {
            let places: Vec<Place> = self.of_watcher.get(&watcher).into_iter().flatten().copied().collect();
            for place in places {
                let list = self.lists.get_mut(&place).expect("who is in the index has a list");
                if !list.users.contains(&user) {
                    continue;
                }
                // What is being read may not know it yet: it is read again.
                (list.is_answered, list.reading) = (false, None);
                if on {
                    self.show(user, place, false);
                    let (owner, session) = place;
                    let entries = vec![PresenceEntry::unknown(user)];
                    let what = Telling::Presence { entries };
                    effects.mesh(owner, MeshBody::Tell { sessions: vec![session], what });
                }
                self.ask(place);
            }
        }
        self.start(effects);
    }

    /// A second has passed: what nobody renews ends, and what could not be read is read again.
    pub(super) fn tick(&mut self, effects: &mut Effects) {
        while let Some(&(_, place)) = self.expiry.first().filter(|(expires, _)| *expires <= effects.now.mono) {
            self.end(place);
        }
        for place in std::mem::take(&mut self.failed) {
            self.ask(place);
        }
        self.start(effects);
    }

    fn end(&mut self, place: Place) {
        let Some(list) = self.lists.remove(&place) else { return };
        self.wanted.remove(&place);
        self.expiry.remove(&(list.expires, place));
        self.total -= list.users.len();
        for user in list.users {
            self.show(user, place, false);
        }
        let places = self.of_watcher.get_mut(&list.watcher).expect("each list is in the index");
        places.remove(&place);
        if places.is_empty() {
            self.of_watcher.remove(&list.watcher);
        }
    }
}

/// The entries that somebody is shown of these users.
fn shown(users: &[UserId], found: &[Option<PresenceEntry>]) -> Vec<PresenceEntry> {
    let found = found.iter().copied().chain(std::iter::repeat(None));
    users.iter().zip(found).map(|(&user, found)| found.unwrap_or(PresenceEntry::unknown(user))).collect()
}
