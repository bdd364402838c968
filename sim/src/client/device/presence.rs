//! A device's part in presence: whom it watches, and how its user leaves.

use std::time::Duration;

use schema::{Command, PresenceEntry};
use tokio::time::sleep;

use crate::facts::PresenceSeen;
use crate::trace::note;
use crate::world::Phase;

use super::{Asked, Device, End, Session};

/// How long who goes for a moment stays away: well within the grace, with the time to connect again.
const BLINK_MS: std::ops::RangeInclusive<u64> = 1_000..=20_000;
/// How often who has left looks whether the run is over.
const GONE: Duration = Duration::from_millis(100);

impl Device {
    /// Asks who is there, of everybody, if that is due.
    pub(super) fn watch(&mut self, session: &mut Session) {
        let is_asked = session.asked.values().any(|(asked, _)| matches!(asked, Asked::Watch));
        if !is_asked && session.watch_ms.is_some_and(|due_ms| due_ms <= self.world.trace.now_ms()) {
            let user_ids = self.world.users.clone();
            self.ask(session, Asked::Watch, Command::PresenceWatch { user_ids });
        }
    }

    pub(super) fn saw_presence(&self, entries: &[PresenceEntry], is_change: bool) {
        let at_ms = self.world.trace.now_ms();
        let told = entries.iter().map(|&entry| {
            note!(self.world.trace, "{}: is told that {} is {:?}", self.name, entry.user_id, entry.state);
            PresenceSeen { by: self.name.clone(), to: self.user, entry, at_ms, is_change }
        });
        self.world.facts.borrow_mut().presence.seen.extend(told);
    }

    /// The first user goes for good, the second for a moment, the others stay.
    pub(super) fn leave(&mut self) -> Option<End> {
        if self.user == self.world.users[0] {
            note!(self.world.trace, "{}: goes for good", self.name);
            let now_ms = self.world.trace.now_ms();
            self.world.facts.borrow_mut().presence.left_ms.insert(self.user, now_ms);
            return Some(End::Left);
        }
        if self.user == self.world.users[1] && !self.has_blinked {
            self.has_blinked = true;
            self.blink_ms = self.rng.within(BLINK_MS);
            note!(self.world.trace, "{}: goes for {} ms", self.name, self.blink_ms);
            return Some(End::Lost);
        }
        None
    }

    /// It does not come back; its host waits for the end.
    pub(super) async fn stay_away(&self) {
        while self.world.phase() != Phase::Over {
            sleep(GONE).await;
        }
    }
}
