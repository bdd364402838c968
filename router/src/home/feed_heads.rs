//! Hints that posts came into the news feeds of this home's users: at most one each 5 s to a user, kept nowhere.
//!
//! Owns whom it told in the last seconds and what has come for them since. All waits are equally long, so they end in the
//! order in which they began, and a second costs what is due in it. At most one entry for each user with a session: of
//! anybody else nothing is noted.

use std::collections::{BTreeMap, VecDeque};

use schema::limits::FEED_HEAD_MS;
use schema::mesh::Telling;
use schema::{Instant, UserId};

use crate::effects::Effects;

use super::Home;

#[derive(Debug, Default)]
pub(super) struct FeedHeads {
    /// Posts that came since the user was told.
    since: BTreeMap<UserId, u32>,
    /// When each of them may be told again.
    waits: VecDeque<(Instant, UserId)>,
}

impl FeedHeads {
    /// Posts came into a user's feed. Whether the user is told now.
    fn came(&mut self, now: Instant, user: UserId, count: u32) -> bool {
        match self.since.get_mut(&user) {
            Some(since) => {
                *since = since.saturating_add(count);
                false
            }
            None => {
                self.told(now, user);
                true
            }
        }
    }

    fn told(&mut self, now: Instant, user: UserId) {
        self.since.insert(user, 0);
        self.waits.push_back((now.plus_ms(FEED_HEAD_MS), user));
    }

    /// The users whose wait is over and for whom something has come, with how much.
    fn due(&mut self, now: Instant) -> Vec<(UserId, u32)> {
        let mut due = Vec::new();
        while let Some((_, user)) = self.waits.pop_front_if(|&mut (at, _)| at <= now) {
            match self.since.remove(&user) {
                Some(0) | None => {}
                Some(count) => {
                    self.told(now, user);
                    due.push((user, count));
                }
            }
        }
        due
    }
}

impl Home {
    /// Posts came into the feeds of users of this home, as many into each.
    pub(super) fn feeds_grew(&mut self, users: &[UserId], count: u32, effects: &mut Effects) {
        let now = effects.now.mono;
        let is_told = |user: &UserId| self.users.contains(*user) && self.feed_heads.came(now, *user, count);
        let told: Vec<UserId> = users.iter().copied().filter(is_told).collect();
        self.notify(&told, None, &Telling::FeedHead { count }, effects);
    }

    /// A second has passed: tells what has come for those who may be told again.
    pub(super) fn tell_feed_heads(&mut self, effects: &mut Effects) {
        let mut by_count: BTreeMap<u32, Vec<UserId>> = BTreeMap::new();
        for (user, count) in self.feed_heads.due(effects.now.mono) {
            by_count.entry(count).or_default().push(user);
        }
        for (count, users) in by_count {
            self.notify(&users, None, &Telling::FeedHead { count }, effects);
        }
    }
}
