//! Pages of stored rows, as the rules of chat read them and shards take them.
//!
//! Owns what both sides of a store question see: the layers in `storage/chat` return these, `router` names them as
//! replies. Only a session's start leaves the process, to its shard.

use crate::command::{ReadMark, SearchPage, SnapshotChannel};
use crate::op::ChannelKind;
use crate::record::{ArrivalRecord, SeqRange};
use crate::{ChannelId, Cursor, Epoch, Event, Position, Seq, Stamp, UserId};

/// The start of a session in its account's inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStart {
    /// The session's own cursor, or, if it came without one, the end of what was committed before.
    pub cursor: Cursor,
    /// The transaction that noted the device's connect: of two sessions of one device the greater stamp is the newer.
    pub stamp: Stamp,
}

/// Events of an inbox after a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxPage {
    /// Events, oldest first.
    Events {
        /// Each with its content as it is now, never older than the event.
        events: Vec<Event>,
        /// Nothing of this inbox lies between the last event, or the place asked for, and here.
        through: Position,
        /// Whether `through` is the end of what was committed at this read.
        exhausted: bool,
    },
    /// The inbox keeps too little or too much after the place: a snapshot stands in for its events.
    Behind,
}

/// One page of the channels that stand in for events that are not told one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPage {
    /// Channels, ascending by id.
    pub channels: Vec<SnapshotChannel>,
    /// Whether further pages follow, after the last of these.
    pub more: bool,
    /// The place from which events go on after the last page: the first page's version. Later pages may be newer.
    pub through: Position,
}

/// The events that one transaction brought to a home shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The transaction.
    pub stamp: Stamp,
    /// Its events that concern users of this home, and which users.
    pub record: ArrivalRecord,
    /// The same events with their contents, in the same order. `None` if the asker has them already.
    pub contents: Option<Vec<Event>>,
}

/// Arrivals of a home shard after a transaction, in the order of commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivalsPage {
    /// The rows.
    pub rows: Vec<Arrival>,
    /// Nothing that arrived lies between the last row, or the place asked for, and here.
    pub through: Stamp,
    /// Whether more had arrived at this read.
    pub more: bool,
    /// The epoch that this read was in. Under a later one than a home knows, what it takes for its users' arrivals may
    /// have gone to other homes, and the page does not reach as far as it says.
    pub epoch: Epoch,
}

/// A channel as a member sees it on opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedChannel {
    /// The channel's kind.
    pub kind: ChannelKind,
    /// The channel's newest seq.
    pub head_seq: Seq,
    /// The user's own mark.
    pub read_seq: Seq,
    /// The seqs that the user may read.
    pub ranges: Vec<SeqRange>,
    /// All members, ascending; none of a large channel.
    pub members: Vec<UserId>,
    /// The members' marks, of direct channels without a block and of small groups.
    pub reads: Vec<ReadMark>,
}

/// One page of a channel's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersPage {
    /// Members, ascending.
    pub users: Vec<UserId>,
    /// Whether the channel is direct or a group, whose members see each other's presence.
    pub fellows: bool,
}

/// The messages that a search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPage {
    /// The hits, and whether there are more.
    pub page: SearchPage,
    /// Channels whose newest messages are not in the index yet: their homes should advance it.
    pub behind: Vec<ChannelId>,
}

/// A channel's progress in the index of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indexed {
    /// The newest message that is in the index.
    pub through: Seq,
    /// The channel's newest message.
    pub head: Seq,
    /// Whether there is more to do: messages after `through`, or edits.
    pub more: bool,
}

impl Indexed {
    /// Messages that are not in the index yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.head.0.saturating_sub(self.through.0)
    }
}
