//! Reading at the version of the shard's own last commit, instead of asking the store for its newest.
//!
//! Owns which version that is, and for how long. Upholds what a fresh read upholds, because all that a batch decides on
//! is read for conflicts: the fence, its batch row, channels, heads, first replies, revisions. If another wrote any of
//! it after the chain's version, the commit fails and the batch begins again at the newest; if it commits, all of it
//! was so at the commit. What is read loosely is either covered by such a row (members, blocks and officers by the
//! channel's epoch of members) or read at the newest (accounts, and in how many channels they are). What is answered
//! without a commit, and a fence that is another's, is decided at the newest.
//!
//! A chain lasts a second, so that its version is never near the end of what the store keeps (5 s), and a shard that
//! only ever meets conflicts asks as often as one without a chain.

use schema::{Stamp, UnixMs};

use kv::transaction::Version;

/// How long a chain goes on from the version that was asked for last.
const CHAIN_MS_MAX: u64 = 1_000;

/// What a batch made of the chain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Link {
    /// It committed here. With the time at which it asked for the newest version, if it did.
    Committed { at: Version, asked_ms: Option<UnixMs> },
    /// It had nothing to commit.
    Kept,
    /// Something else: the next asks for the newest.
    Broken,
}

impl Link {
    /// A batch of this time committed, having begun at a version of the chain or asked for the newest.
    pub(super) fn committed(stamp: Stamp, begun_at: Option<Version>, wall: UnixMs) -> Self {
        Self::Committed { at: Version(stamp.version), asked_ms: begun_at.is_none().then_some(wall) }
    }
}

/// The shard's chain. Begins without a version.
#[derive(Debug, Default)]
pub(super) struct Chain {
    last: Option<Version>,
    /// A time no later than the last at which the newest version was asked for.
    asked_ms: UnixMs,
}

impl Chain {
    /// The version at which a batch of this time may read. `None`: ask for the newest.
    pub(super) fn version(&self, wall: UnixMs) -> Option<Version> {
        // A wall that was set back says nothing of how much time has passed.
        let is_young = wall >= self.asked_ms && wall.since_ms(self.asked_ms) < CHAIN_MS_MAX;
        self.last.filter(|_| is_young)
    }

    /// A batch ended.
    pub(super) fn add(&mut self, link: Link) {
        match link {
            Link::Committed { at, asked_ms } => {
                self.last = Some(at);
                self.asked_ms = asked_ms.unwrap_or(self.asked_ms);
            }
            Link::Kept => {}
            Link::Broken => self.last = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches as `at ms:version`, `+` where the newest was asked for; `k` and `b` keep and break. Then who reads when
    /// where.
    fn check(batches: &str, at_ms: u64, expected: Option<u64>) {
        let mut chain = Chain::default();
        for batch in batches.split_whitespace() {
            let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"));
            chain.add(match (batch, batch.split_once([':', '+'])) {
                ("k", _) => Link::Kept,
                ("b", _) => Link::Broken,
                (_, Some((at_ms, version))) => {
                    let begun_at = batch.contains(':').then_some(Version(0));
                    let stamp = Stamp { version: number(version), batch: 0 };
                    Link::committed(stamp, begun_at, UnixMs(number(at_ms)))
                }
                (_, None) => panic!("{batch:?} is no batch"),
            });
        }
        assert_eq!(chain.version(UnixMs(at_ms)).map(|version| version.0), expected, "{batches}, then {at_ms} ms");
    }

    #[test]
    fn a_chain_goes_on_from_the_last_commit_for_a_second() {
        check("", 0, None);
        check("5000+7", 5_000, Some(7));
        check("5000+7", 5_999, Some(7));
        check("5000+7", 6_000, None);
        check("5000+7 5500:8", 5_999, Some(8));
        check("5000+7 5500:8", 6_000, None);
        check("5000+7 5990+8", 6_500, Some(8));
        check("5000+7 k", 5_001, Some(7));
        check("5000+7 b", 5_001, None);
        check("5000+7 b 5002+9", 5_003, Some(9));
        check("5000+7", 4_999, None);
    }
}
