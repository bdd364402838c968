//! The newest version that this process knows to be readable, and how long ago that was certainly the newest.
//!
//! Owns what [`Begin::Cached`](crate::Begin::Cached) and [`Begin::AtLeast`](crate::Begin::AtLeast) begin at. A version
//! comes from a read version that the cluster gave, or from a commit of this process; both hold everything that was
//! answered before they were asked for, so that moment, not the answer's, is the version's time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::transaction::Version;

/// Age in milliseconds up to which a version at hand is used: the most by which a cached read may lag behind another
/// node.
///
/// A busy node has a younger one nearly always, since each commit renews it; an idle one asks four times a second at
/// most.
pub const CACHED_MS_MAX: u64 = 250;

/// Versions seen.
#[derive(Debug, Default)]
pub(super) struct Versions(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    newest: Version,
    /// `None`: not to be begun at.
    since: Option<Instant>,
    /// When the cluster did not know `newest`: what it says to whoever asks later holds, though it be less.
    doubted: Option<Instant>,
}

impl Versions {
    /// `version` was given for what was asked at `asked`.
    pub(super) fn saw(&self, version: Version, asked: Instant) {
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
    pub(super) fn outdated(&self, version: Version) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.newest <= version {
            seen.since = None;
        }
    }

    /// Whoever read at `version` was told at `now` that the cluster is not there yet: a server of it lags, or it was
    /// restored from a backup, or another answers in its place. Then versions count on from less.
    pub(super) fn doubted(&self, version: Version, now: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.newest <= version {
            (seen.since, seen.doubted) = (None, Some(now));
        }
    }

    /// The newest, of whatever age.
    pub(super) fn newest(&self) -> Version {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).newest
    }

    /// One to begin at: young, and at least `floor`.
    pub(super) fn cached(&self, floor: Version, now: Instant) -> Option<Version> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(seen.since?);
        (seen.newest >= floor && age <= Duration::from_millis(CACHED_MS_MAX)).then_some(seen.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions seen at milliseconds, one found outdated, then what is at hand at `now_ms` for a floor.
    fn check(saw: &[(u64, u64)], outdated: Option<u64>, floor: u64, now_ms: u64, expected: Option<u64>) {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
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
            let start = Instant::now();
            let at = |ms| start + Duration::from_millis(ms);
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
    fn a_version_at_which_a_commit_failed_is_not_begun_at_again() {
        check(&[(7, 0)], Some(7), 0, 0, None);
        check(&[(7, 0)], Some(6), 0, 0, Some(7));
        check(&[(7, 0)], Some(8), 0, 0, None);
    }
}
