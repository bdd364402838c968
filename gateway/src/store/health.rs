//! Health of the store: whether it answers, and whether it takes commits.
//!
//! Owns the judgement over answers and counts, with its hysteresis. Reads no clock. Who asks the store, and what a
//! change stops, is the node's: while a store is away sends are refused with 115, and no socket is closed for it.

use std::time::{Duration, Instant};

use schema::limits::STORE_AWAY_MS;

/// A store that has not answered for so long is away. Nodes of a shared store commit a heartbeat each second, so that
/// it is asked something all the time.
const AWAY_AFTER: Duration = Duration::from_millis(STORE_AWAY_MS);
/// A look that comes so long after the one before says that this process stood still, not that the store did.
const LOOK_LATE: Duration = Duration::from_secs(3);
/// A second in which more commits were turned away than taken may be an accident, so many in a row are not.
const FULL_AFTER_SECONDS: u32 = 2;
/// A full store that nobody has tried for so many seconds may have room again.
const FULL_FORGOTTEN_SECONDS: u32 = 10;

/// What a store has done with commits since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Commits {
    /// Transactions that committed.
    pub(crate) taken: u64,
    /// Transactions turned away because the store had more work than it takes on, or no room.
    pub(crate) throttled: u64,
}

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers, and takes what it is given.
    Answering,
    /// It takes no commits, or few, and can be read.
    Full,
    /// It does not answer.
    Away {
        /// Its last answer.
        since: Instant,
    },
}

impl Health {
    /// Why the node takes no traffic, in the words of `/health/ready`. `None` where it does.
    pub(crate) fn reason(&self, now: Instant) -> Option<String> {
        match self {
            Self::Answering => None,
            Self::Full => Some("store: full or overloaded".to_owned()),
            Self::Away { since } => {
                Some(format!("store: no answer for {} s", now.saturating_duration_since(*since).as_secs()))
            }
        }
    }
}

/// Judges one store.
#[derive(Debug)]
pub(crate) struct HealthWatch {
    health: Health,
    answered_at: Instant,
    looked_at: Instant,
    commits: Commits,
    /// Seconds in a row in which most commits were turned away.
    bad_seconds: u32,
    /// Seconds in a row in which nothing was committed or turned away.
    idle_seconds: u32,
}

impl HealthWatch {
    /// Of a store that has just been opened.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            health: Health::Answering,
            answered_at: now,
            looked_at: now,
            commits: Commits::default(),
            bad_seconds: 0,
            idle_seconds: 0,
        }
    }

    /// How it was at the last look.
    pub(crate) fn health(&self) -> Health {
        self.health
    }

    /// The store has answered something then, if only to refuse it.
    pub(crate) fn answered(&mut self, at: Instant) {
        self.answered_at = self.answered_at.max(at);
    }

    /// Judges anew. To be called each second with what has been counted so far. `Some` if it changes anything.
    ///
    /// A look that comes late finds no store away: what stood still was this process, and it has asked nothing
    /// meanwhile.
    pub(crate) fn observe(&mut self, now: Instant, commits: Commits) -> Option<Health> {
        let taken = commits.taken.saturating_sub(self.commits.taken);
        let throttled = commits.throttled.saturating_sub(self.commits.throttled);
        self.commits = commits;
        if taken + throttled > 0 {
            self.answered(now);
            self.idle_seconds = 0;
            self.bad_seconds = if throttled > taken { self.bad_seconds + 1 } else { 0 };
        } else {
            self.idle_seconds += 1;
            if self.idle_seconds >= FULL_FORGOTTEN_SECONDS {
                self.bad_seconds = 0;
            }
        }
        let late = now.saturating_duration_since(self.looked_at) > LOOK_LATE;
        self.looked_at = now;
        let health = if now.saturating_duration_since(self.answered_at) >= AWAY_AFTER {
            if late { self.health } else { Health::Away { since: self.answered_at } }
        } else if self.bad_seconds >= FULL_AFTER_SECONDS {
            Health::Full
        } else {
            Health::Answering
        };
        let changed = health != self.health;
        self.health = health;
        changed.then_some(health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each second changes: a word for what the store did in it. `.` is an answer, `-` none, `c` a commit, `t` one
    /// that was turned away, `T` two of them and a commit. A digit is no answer, and no look for so many seconds before
    /// this one.
    fn check(seconds: &str, expected: &str) {
        let start = Instant::now();
        let mut watch = HealthWatch::new(start);
        let mut commits = Commits::default();
        let mut changes = String::new();
        let mut now = start;
        for did in seconds.chars() {
            now += Duration::from_secs(1 + u64::from(did.to_digit(10).unwrap_or(0)));
            match did {
                '.' => watch.answered(now),
                '-' | '1'..='9' => {}
                'c' => commits.taken += 1,
                't' => commits.throttled += 1,
                'T' => commits = Commits { taken: commits.taken + 1, throttled: commits.throttled + 2 },
                other => panic!("{other} is no word"),
            }
            changes.push(match watch.observe(now, commits) {
                None => '.',
                Some(Health::Answering) => 'A',
                Some(Health::Full) => 'F',
                Some(Health::Away { since }) => {
                    assert!(now - since >= AWAY_AFTER, "away is since the last answer");
                    'X'
                }
            });
        }
        assert_eq!(changes, expected, "{seconds}");
    }

    #[test]
    fn a_store_is_away_after_3_s_without_an_answer_and_back_with_the_first() {
        check("....", "....");
        check(".--.--.", ".......");
        check(".---", "...X");
        check(".------.", "...X...A");
        check(".---c", "...XA");
        check("cc---tc", "....XA.");
    }

    #[test]
    fn a_look_that_comes_late_finds_no_store_away() {
        check("c9c", "...");
        check("c9.", "...");
        check("c9-c", "..XA");
        check("c-2-", "..X.");
        check("c---9c", "...X.A");
    }

    #[test]
    fn a_store_is_full_once_most_commits_are_turned_away_for_2_s() {
        check("ctc", "...");
        check("ctt", "..F");
        check("cTTT", "..F.");
        check("ttttc", ".F..A");
        check("t.t.c", "..F.A");
        check("tt..........", ".F.........A");
        check("tt---t", ".F..XF");
    }

    #[test]
    fn a_probe_is_told_for_how_long() {
        let since = Instant::now();
        let check = |health: Health, expected: Option<&str>| {
            assert_eq!(health.reason(since + Duration::from_millis(7_100)).as_deref(), expected);
        };
        check(Health::Answering, None);
        check(Health::Full, Some("store: full or overloaded"));
        check(Health::Away { since }, Some("store: no answer for 7 s"));
    }
}
