//! The newest version that one process of several knows to be readable, and how long ago that was certainly the newest.
//!
//! Owns what [`Begin::Cached`] and [`Begin::AtLeast`] begin at where others commit to the same store: in a cluster, and
//! in its simulation. A version comes from a read version that the cluster gave, or from a commit of this process; both
//! hold everything that was answered before they were asked for, so that moment, not the answer's, is the version's
//! time. Another process may say what it was answered: that is a version to begin at, but says nothing of when it was
//! the newest. Reads no clock: a moment is the time since any start that a process keeps to.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::transaction::{Begin, Version};

/// Age in milliseconds up to which a version at hand is used: the most by which a cached read may lag behind another
/// node.
///
/// A busy node has a younger one nearly always, since each commit renews it; an idle one asks four times a second at
/// most.
pub const CACHED_MS_MAX: u64 = 250;

/// Versions seen.
#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    newest: Version,
    /// `None`: not to be begun at.
    since: Option<Duration>,
    /// When the cluster did not know `newest`: what it says to whoever asks later holds, though it be less.
    doubted: Option<Duration>,
}

impl Versions {
    /// `version` was given for what was asked at `asked`.
    pub(crate) fn saw(&self, version: Version, asked: Duration) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.doubted {
            Some(doubted) if asked < doubted => {
                seen.newest = seen.newest.max(version);
                return;
            }
            Some(_) => seen.newest = version,
            None => seen.newest = seen.newest.max(version),
        }
        seen.doubted = None;
        // A smaller version that was asked for later proves that the newer one held at that later moment too.
        seen.since = seen.since.max(Some(asked));
    }

    /// Whoever read at `version` found that too old to commit: what is not newer serves nobody.
    pub(crate) fn outdated(&self, version: Version) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.newest <= version {
            seen.since = None;
        }
    }

    /// Whoever read at `version` was told at `now` that the cluster is not there yet: a server of it lags, or it was
    /// restored from a backup, or another answers in its place. Then versions count on from less.
    pub(crate) fn doubted(&self, version: Version, now: Duration) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.newest <= version {
            (seen.since, seen.doubted) = (None, Some(now));
        }
    }

    /// The newest, of whatever age.
    pub(crate) fn newest(&self) -> Version {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).newest
    }

    /// Another process was answered `version`. What is at hand is no younger for it.
    pub(crate) fn floor(&self, version: Version) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.newest = seen.newest.max(version);
    }

    /// Where a transaction that begins now reads without asking, if it may.
    pub(crate) fn at_hand(&self, begin: Begin, now: Duration) -> Option<Version> {
        match begin {
            Begin::Fresh => None,
            Begin::Cached => self.cached(Version(1), now),
            Begin::AtLeast(floor) => self.cached(floor.max(Version(1)), now),
            // What was seen is durable and can be read; anything beyond is asked for first.
            Begin::At(version) => (Version(0) < version && version <= self.newest()).then_some(version),
        }
    }

    /// One to begin at: young, and at least `floor`.
    fn cached(&self, floor: Version, now: Duration) -> Option<Version> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_sub(seen.since?);
        (seen.newest >= floor && age <= Duration::from_millis(CACHED_MS_MAX)).then_some(seen.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions seen at milliseconds, one found outdated, then what is at hand at `now_ms` for a floor.
    fn check(saw: &[(u64, u64)], outdated: Option<u64>, floor: u64, now_ms: u64, expected: Option<u64>) {
        let at = Duration::from_millis;
        let versions = Versions::default();
        saw.iter().for_each(|&(version, asked_ms)| versions.saw(Version(version), at(asked_ms)));
        outdated.into_iter().for_each(|version| versions.outdated(Version(version)));
        let found = versions.cached(Version(floor), at(now_ms)).map(|version| version.0);
        assert_eq!(found, expected, "saw {saw:?}, outdated {outdated:?}, floor {floor} at {now_ms} ms");
    }

    #[test]
    fn a_version_is_at_hand_while_it_is_young_and_no_older_than_asked() {
        check(&[], None, 0, 0, None);
        check(&[(7, 0)], None, 0, CACHED_MS_MAX, Some(7));
        check(&[(7, 0)], None, 0, CACHED_MS_MAX + 1, None);
        check(&[(7, 0)], None, 7, 0, Some(7));
        check(&[(7, 0)], None, 8, 0, None);
        check(&[(7, 100), (9, 0)], None, 0, CACHED_MS_MAX + 100, Some(9));
        check(&[(9, 0), (7, 100)], None, 0, CACHED_MS_MAX + 100, Some(9));
    }

    #[test]
    fn a_version_that_the_cluster_does_not_know_gives_way_to_what_it_says_later() {
        let check = |doubted: u64, saw: &[(u64, u64)], newest: u64, at_hand: Option<u64>| {
            let at = Duration::from_millis;
            let versions = Versions::default();
            versions.saw(Version(9), at(0));
            versions.doubted(Version(doubted), at(10));
            saw.iter().for_each(|&(version, asked_ms)| versions.saw(Version(version), at(asked_ms)));
            let found = (versions.newest().0, versions.cached(Version(0), at(30)).map(|version| version.0));
            assert_eq!(found, (newest, at_hand), "doubted {doubted}, then saw {saw:?}");
        };
        check(9, &[], 9, None);
        check(8, &[], 9, Some(9));
        check(9, &[(4, 10)], 4, Some(4));
        // Asked before, answered after: it proves nothing.
        check(9, &[(4, 5)], 9, None);
        check(9, &[(12, 5)], 12, None);
        check(9, &[(4, 20), (3, 15)], 4, Some(4));
    }

    #[test]
    fn what_another_was_answered_is_newer_and_makes_nothing_younger() {
        let check = |saw: &[(u64, u64)], floor: u64, now_ms: u64, newest: u64, at_hand: Option<u64>| {
            let at = Duration::from_millis;
            let versions = Versions::default();
            saw.iter().for_each(|&(version, asked_ms)| versions.saw(Version(version), at(asked_ms)));
            versions.floor(Version(floor));
            let found = versions.at_hand(Begin::AtLeast(versions.newest()), at(now_ms)).map(|version| version.0);
            assert_eq!((versions.newest().0, found), (newest, at_hand), "saw {saw:?}, told {floor}, at {now_ms} ms");
        };
        check(&[(7, 0)], 9, CACHED_MS_MAX, 9, Some(9));
        check(&[(7, 0)], 9, CACHED_MS_MAX + 1, 9, None);
        check(&[(7, 0)], 5, 0, 7, Some(7));
        check(&[], 9, 0, 9, None);
    }

    #[test]
    fn a_version_at_which_a_commit_failed_is_not_begun_at_again() {
        check(&[(7, 0)], Some(7), 0, 0, None);
        check(&[(7, 0)], Some(6), 0, 0, Some(7));
        check(&[(7, 0)], Some(8), 0, 0, None);
    }
}
