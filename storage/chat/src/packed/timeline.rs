//! Rows of feeds and timelines: where a feed is, how far its posts have come, and how whole a timeline is.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use schema::{Audience, ChannelId, Seq, UnixMs, UserId};

use crate::fields::{Field, of_fields};

/// A post's place among those of all authors, in the order in which they are read: the newest first, of one moment by
/// author, of one author the greatest seq. Its text is for handing back alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// When it was sent.
    pub sent_ms: UnixMs,
    /// By whom.
    pub author: UserId,
    /// Where in the author's feed.
    pub seq: Seq,
}

impl Place {
    fn order(&self) -> (Reverse<UnixMs>, UserId, Reverse<Seq>) {
        (Reverse(self.sent_ms), self.author, Reverse(self.seq))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.sent_ms.0, self.author, self.seq.0)
    }
}

/// A text that is no place among posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place among posts")]
pub struct ParsePostPlaceError;

impl FromStr for Place {
    type Err = ParsePostPlaceError;

    fn from_str(text: &str) -> Result<Self, ParsePostPlaceError> {
        let parse = || {
            let mut parts = text.split('-');
            let (sent_ms, author, seq) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() {
                return None;
            }
            let (sent_ms, seq) = (UnixMs(sent_ms.parse().ok()?), Seq(seq.parse().ok()?));
            Some(Self { sent_ms, author: author.parse().ok()?, seq })
        };
        parse().ok_or(ParsePostPlaceError)
    }
}

/// `feed of`: a user's feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FeedRow {
    pub(crate) channel: ChannelId,
    /// Whether its readers are marked, or are being marked: then whoever becomes one is marked by the transaction that
    /// makes it one.
    pub(crate) is_marked: bool,
}

/// `fanned`: how far a feed's posts have come into timelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FannedRow {
    /// The newest post that has come to all of its readers.
    pub(crate) through: Option<(UnixMs, Seq)>,
    /// The post that is on its way.
    pub(crate) now: Option<Walk>,
    /// Whether all readers are marked.
    pub(crate) is_marked: bool,
    /// Whether the last post was for marked readers to look up.
    pub(crate) is_heavy: bool,
}

/// A post on its way to its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) sent_ms: UnixMs,
    pub(crate) seq: Seq,
    pub(crate) audience: Audience,
    pub(crate) stage: Stage,
    /// The last reader of the stage that was looked at.
    pub(crate) after: Option<UserId>,
}

/// Which readers are walked over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Friends, who get a row.
    Friends,
    /// Followers, who get a row.
    Followers,
    /// Friends, who are marked.
    MarkFriends,
    /// Followers, who are marked.
    MarkFollowers,
    /// Those whose pages look into enough others: they get a row.
    Rest,
}

/// `timeline state`: how whole a timeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimelineRow {
    /// The day on which its user read it last.
    pub(crate) seen_day: u32,
    pub(crate) phase: Phase,
    /// The day on which it was trimmed last.
    pub(crate) trimmed_day: u32,
    /// Down to where its rows are all there are, with this place; to the end if there is none.
    pub(crate) whole_through: Option<Place>,
}

/// Whether a timeline gets rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It does, and is whole.
    Whole,
    /// It does, and what came before is still to be written.
    Rebuilding,
    /// It does not: its user was not seen for long.
    Dormant,
}

of_fields! {
    FeedRow { channel: ChannelId, is_marked: bool }
    FannedRow { through: Option<(UnixMs, Seq)>, now: Option<Walk>, is_marked: bool, is_heavy: bool }
    Walk { sent_ms: UnixMs, seq: Seq, audience: Audience, stage: Stage, after: Option<UserId> }
    TimelineRow { seen_day: u32, phase: Phase, trimmed_day: u32, whole_through: Option<Place> }
    Place { sent_ms: UnixMs, author: UserId, seq: Seq }
}

/// Enums as numbers of one byte, which never change.
macro_rules! numbered {
    ($($name:ident { $($variant:ident = $number:literal),* })*) => {$(
        impl Field for $name {
            type Owned = Self;
            const BYTES: usize = 1;

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.push(match self { $(Self::$variant => $number,)* });
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                match u8::take(rest)? {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    )*};
}

numbered! {
    Stage { Friends = 0, Followers = 1, MarkFriends = 2, MarkFollowers = 3, Rest = 4 }
    Phase { Whole = 0, Rebuilding = 1, Dormant = 2 }
}
