//! Frames between shards, on one node through mailboxes and between nodes over links.
//!
//! Owns the frames' meaning and their FlatBuffers form, which is for what leaves the process: shards of one node hand
//! frames over by value. Frames between two shards arrive in the order sent. A frame may be lost, and sessions and
//! homes ask again, but for those of [`MeshBody::must_arrive`].

mod flat;
mod size;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::command::SnapshotChannel;
use crate::event::{Event, EventBody};
use crate::id::{ChannelId, DeviceId, Seq, SessionId, UserId};
use crate::op::{ChannelOp, OpReply, Refusal};
use crate::page::SessionStart;
use crate::position::{Cursor, Position, Stamp};
use crate::presence::PresenceEntry;
use crate::time::UnixMs;
use crate::view::{Epoch, Owner};

/// One frame, from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshFrame {
    /// The sender.
    pub from: Owner,
    /// The shard that is meant. Its incarnation tells frames for an earlier life.
    pub to: Owner,
    /// The view under which it was addressed.
    pub epoch: Epoch,
    /// The content.
    pub body: MeshBody,
}

impl MeshFrame {
    /// Appends this frame's bytes, which do not say where they end: that is for who carries them.
    ///
    /// # Panics
    /// If a target names an event that its delivery does not have.
    pub fn encode(&self, out: &mut Vec<u8>) {
        flat::encode(self, out);
    }

    /// Reads a frame from exactly its bytes.
    ///
    /// # Errors
    /// If the bytes are damaged, or say what only a later version understands.
    pub fn decode(bytes: &[u8]) -> Result<Self, MeshError> {
        flat::decode(bytes)
    }
}

/// Bytes that are no frame of this version. Whoever reads them drops the link: who sent the frame asks again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeshError {
    /// From a later version during an upgrade: something of a kind that this one does not know.
    #[error("a mesh frame has {what} number {number}, which this version does not know")]
    Unknown {
        /// Of what it is a kind.
        what: &'static str,
        /// The number of the kind, or of the code.
        number: u16,
    },
    /// The sender's fault, or the network's.
    #[error("a mesh frame of {bytes} bytes is damaged: {why}")]
    Damaged {
        /// Bytes of the whole frame.
        bytes: usize,
        /// The first fault that was found.
        why: String,
    },
}

/// The content of a mesh frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshBody {
    /// To a channel's home: carry this out.
    Apply {
        /// The asker's number for it.
        ticket: u64,
        /// The channel that the operation changes.
        channel: ChannelId,
        /// The operation.
        op: ChannelOp,
        /// How often the asker has asked it before, whoever was the home.
        attempt: u32,
        /// The send of the same session to the same channel that this one comes behind, if that is not answered yet: a
        /// home that has not seen it was not told all, and takes nothing that comes behind (rule 7).
        behind: Option<u64>,
    },
    /// From a channel's home: it is durable, or it was refused and nothing changed.
    Applied {
        /// The asker's number, from the question.
        ticket: u64,
        /// The attempt that this answers.
        attempt: u32,
        /// The reply, or the refusal.
        reply: Result<OpReply, Refusal>,
    },
    /// To a users' home: your arrivals have grown by one transaction, and this is its content.
    Hint {
        /// The place of the transaction among all of its store.
        stamp: Stamp,
        /// Its events that concern users there, by ordinal.
        events: Vec<Event>,
    },
    /// To a user's home: this session follows the inbox from here.
    Register {
        /// The session, whose name is unique in the sending shard.
        session: SessionId,
        /// The account of the session.
        user: UserId,
        /// The device, of which one session lives.
        device: DeviceId,
        /// The login that its token is of, which ends the session when it is revoked.
        family: u64,
        /// What the client calls itself.
        client: Option<String>,
        /// The cursor at which it stopped; none to start at the newest.
        cursor: Option<Cursor>,
        /// The session's number for this word, from 1.
        attempt: u32,
    },
    /// To users' home: these sessions follow their inboxes already, and their home is another now or has lost them.
    RegisterMany {
        /// The sessions, whose names are unique in the sending shard.
        sessions: Vec<Returning>,
    },
    /// From a user's home.
    Registered {
        /// A session of the other shard, whose name is unique there.
        session: SessionId,
        /// The word that this answers; 0 if it is the home's own, that it does not know the session.
        attempt: u32,
        /// The cursor to start from and the note of its connect, or why there is none.
        start: Result<SessionStart, Refusal>,
    },
    /// To a user's home: the session is gone.
    Unregister {
        /// A session of the other shard, whose name is unique there.
        session: SessionId,
        /// The account of the session.
        user: UserId,
    },
    /// To a user's home: what comes after this place?
    More(More),
    /// From a users' home: what came, for one or more sessions.
    Deliver {
        /// Each event once, in the order of positions.
        events: Vec<Event>,
        /// The sessions that get some of them.
        targets: Vec<Target>,
    },
    /// From a user's home, in place of events: the cursor is behind what the inbox keeps.
    Snapshot {
        /// A session of the other shard, whose name is unique there.
        session: SessionId,
        /// The `after` that this answers.
        after: Position,
        /// A page of the account's channels.
        channels: Vec<SnapshotChannel>,
        /// Whether to ask for a further page, after the last channel of this one.
        more: bool,
        /// The place from which to go on after the last page: the first page's version.
        through: Position,
    },
    /// From a user's home: the same device has connected elsewhere.
    Replaced {
        /// The older of the two sessions, which ends.
        session: SessionId,
    },
    /// To a user's home: a device or a login of this user counts no longer. From the HTTP API, which has revoked it.
    Kick {
        /// The asker's number for it.
        ticket: u64,
        /// The account of the session.
        user: UserId,
        /// The sessions that end.
        whose: Kicked,
    },
    /// From a user's home: its sessions were told, and none that comes later is let in.
    KickDone {
        /// The asker's number, from the question.
        ticket: u64,
        /// Why they were not told, if they were not.
        refused: Option<Refusal>,
    },
    /// From a user's home: this session ends, with 3503 or 3511.
    Kicked {
        /// The session that ends.
        session: SessionId,
        /// Whether that is because its account was erased.
        erased: bool,
    },
    /// To a users' home: what is told live and kept nowhere.
    Live {
        /// In the order in which it happened.
        events: Vec<LiveEvent>,
    },
    /// From a home, to be pushed to sessions as it is.
    Tell {
        /// The sessions that are told; those that are gone are not.
        sessions: Vec<SessionId>,
        /// The content of the push.
        what: Telling,
    },
    /// To a user's home: somebody uses this session's device.
    Active {
        /// The session that the frame is about.
        session: SessionId,
        /// The account of the session.
        user: UserId,
    },
    /// To the home of some users: tell this session of their presence from now on. Renewed with the same number.
    Watch {
        /// The session that the frame is about.
        session: SessionId,
        /// The account that watches.
        watcher: UserId,
        /// The session's number for this list; a later one takes the place of those before.
        number: u32,
        /// Users of that home; none ends the watch.
        users: Vec<UserId>,
        /// Those of them whom the watcher was shown by their home before: they need not be judged anew.
        visible: Vec<UserId>,
    },
    /// From a home: who is there, of a list watched for the first time.
    Watched {
        /// A session of the other shard, whose name is unique there.
        session: SessionId,
        /// The number of the list, from the watch.
        number: u32,
        /// One for each user asked of.
        entries: Vec<PresenceEntry>,
    },
    /// To the home of some users: who is there?
    PresenceAsk {
        /// The asker's number for it.
        ticket: u64,
        /// The user who asks.
        asker: UserId,
        /// Users of that home.
        users: Vec<UserId>,
        /// They are all in a direct channel or group with the asker: only blocks can hide them.
        fellows: bool,
    },
    /// From a home: who is there.
    PresenceAnswer {
        /// The asker's number, from the question.
        ticket: u64,
        /// One for each user asked of, or why not.
        entries: Result<Vec<PresenceEntry>, Refusal>,
    },
    /// To a large channel's home: this session follows the log. Renewed.
    Subscribe {
        /// The session that the frame is about.
        session: SessionId,
        /// The account of the session.
        user: UserId,
        /// The channel that the frame is about.
        channel: ChannelId,
        /// The session's number for it, another each time.
        number: u32,
    },
    /// From a large channel's home: from here on the session's shard is told.
    Subscribed {
        /// The session that the frame is about.
        session: SessionId,
        /// The channel that the frame is about.
        channel: ChannelId,
        /// The number that this answers. Another's answer counts for nothing.
        number: u32,
        /// The state of the log, or why it is not told.
        start: Result<FeedStart, Refusal>,
    },
    /// To a large channel's home: this session does not follow any more.
    Unsubscribe {
        /// The session that the frame is about.
        session: SessionId,
        /// The channel that the frame is about.
        channel: ChannelId,
    },
    /// From a large channel's home, to a shard with sessions that follow it: what happened, in the order of the log.
    Feed(Feed),
    /// To large channels' home: users of this home are members, and want to know how far these have grown. Renewed.
    Interest {
        /// Large channels of that home.
        channels: Vec<ChannelId>,
    },
    /// From large channels' home: how far these have grown.
    Heads {
        /// Channels with their newest seqs.
        heads: Vec<(ChannelId, Seq)>,
    },
    /// To a channel's home: its index of words is behind.
    Index {
        /// The channel that the frame is about.
        channel: ChannelId,
    },
}

impl MeshBody {
    /// Whether nobody asks again if this is lost: who is there, who is gone, and who is hidden from whom. All else is
    /// made good within seconds.
    #[must_use]
    pub fn must_arrive(&self) -> bool {
        match self {
            Self::Register { .. }
            | Self::RegisterMany { .. }
            | Self::Registered { .. }
            | Self::Unregister { .. }
            | Self::Replaced { .. }
            | Self::Kicked { .. } => true,
            // That a member is gone.
            Self::Feed(feed) => feed.events.iter().any(|event| matches!(event, EventBody::Membership { .. })),
            // Typing and marks beside a block are few.
            Self::Live { events } => events.iter().any(|event| matches!(event.body, LiveBody::Blocked { .. })),
            Self::Apply { .. }
            | Self::Applied { .. }
            | Self::Hint { .. }
            | Self::More(_)
            | Self::Deliver { .. }
            | Self::Snapshot { .. }
            // Asked again each second.
            | Self::Kick { .. }
            | Self::KickDone { .. }
            | Self::Tell { .. }
            | Self::Active { .. }
            | Self::Watch { .. }
            | Self::Watched { .. }
            | Self::PresenceAsk { .. }
            | Self::PresenceAnswer { .. }
            | Self::Subscribe { .. }
            | Self::Subscribed { .. }
            | Self::Unsubscribe { .. }
            | Self::Interest { .. }
            | Self::Heads { .. }
            | Self::Index { .. } => false,
        }
    }
}

/// The sessions of a user that end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kicked {
    /// Those of one device.
    Device(DeviceId),
    /// Those that a token of one login opened.
    Family(u64),
    /// All of them: the account was deactivated, or erased.
    Account {
        /// Whether it was erased: they end with 3511 then.
        erased: bool,
    },
}

/// A live event: told to sessions, and stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEvent {
    /// The channel that it happened in.
    pub channel: ChannelId,
    /// Users of the home that is told.
    pub users: Vec<UserId>,
    /// The kind of event with its fields.
    pub body: LiveBody,
}

/// The kinds of live events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveBody {
    /// A member is writing, or has stopped.
    Typing {
        /// The member who is writing, or who has read.
        user: UserId,
        /// Whether it is writing.
        on: bool,
        /// Only sessions that have the channel open are told.
        open_only: bool,
    },
    /// Another member has read up to here.
    Read {
        /// The member who is writing, or who has read.
        user: UserId,
        /// The mark after it.
        read_seq: Seq,
    },
    /// One of the two has blocked the other, or does so no longer; or a friendship has ended or begun: neither sees the
    /// other's presence, or each may again, which is judged anew.
    Blocked {
        /// The user who blocks, or one of the friends.
        by: UserId,
        /// The user who is blocked, or the other.
        user: UserId,
        /// Whether neither sees the other until it is judged.
        on: bool,
    },
    /// An application's backend says something of a channel.
    Published {
        /// What happened, in the application's words.
        event: Arc<str>,
        /// What it says of that.
        data: Arc<str>,
        /// Only sessions that have the channel open are told.
        open_only: bool,
    },
    /// Posts came into the news feeds of these users. Of no channel; which ones is read there.
    FeedHead {
        /// How many, for each of the users.
        count: u32,
    },
}

/// The content of a `Tell`, which is in no inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Telling {
    /// A member is writing, or has stopped.
    Typing {
        /// The channel that it happened in.
        channel: ChannelId,
        /// The member who is writing, or who has read.
        user: UserId,
        /// Whether it is writing.
        on: bool,
        /// Only if the session has the channel open.
        open_only: bool,
    },
    /// Another member has read.
    Read {
        /// The channel that it happened in.
        channel: ChannelId,
        /// The member who is writing, or who has read.
        user: UserId,
        /// The mark after it.
        read_seq: Seq,
    },
    /// A large channel has grown. Not for sessions that have it open.
    Head {
        /// The large channel that has grown.
        channel: ChannelId,
        /// The newest seq of the channel.
        head_seq: Seq,
    },
    /// The presence of watched users has changed; each session makes its own batches of it.
    Presence {
        /// Each as it is now.
        entries: Vec<PresenceEntry>,
    },
    /// An application's backend says something of a channel.
    Published {
        /// The channel that it is about.
        channel: ChannelId,
        /// What happened, in the application's words.
        event: Arc<str>,
        /// What it says of that.
        data: Arc<str>,
        /// Only if the session has the channel open.
        open_only: bool,
    },
    /// Posts came into the user's news feed.
    FeedHead {
        /// How many, since it was last told.
        count: u32,
    },
}

/// Events of a large channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The channel whose log it is.
    pub channel: ChannelId,
    /// Without places: a large channel's events are in no inbox.
    pub events: Vec<EventBody>,
}

/// The state of a large channel's log when a session begins to follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedStart {
    /// The newest seq of the channel.
    pub head_seq: Seq,
    /// Sessions that have it open, this one too.
    pub open: u32,
}

/// A live session that registers again: with its device's connect, which stays the one that was noted, and with its
/// question. Nothing is stored for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returning {
    /// A session of the other shard, whose name is unique there.
    pub session: SessionId,
    /// The account of the session.
    pub user: UserId,
    /// The device, of which one session lives.
    pub device: DeviceId,
    /// The login that its token is of. The session ends if it counts no longer.
    pub family: u64,
    /// The transaction that noted its device's connect: of a device's sessions the one of the greatest stays.
    pub stamp: Stamp,
    /// The place up to which it was pushed its inbox.
    pub cursor: Cursor,
    /// When somebody last used its device, as far as its home was to know.
    pub used_ms: UnixMs,
    /// Bytes of events that it can take now; 0 if it does not ask.
    pub credit_bytes: u32,
    /// In the middle of a snapshot: where it goes on.
    pub snapshot: Option<SnapshotPlace>,
    /// The session's number for this word, from 1.
    pub attempt: u32,
}

/// A session asks for what comes after its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct More {
    /// A session of the other shard, whose name is unique there.
    pub session: SessionId,
    /// The account of the session.
    pub user: UserId,
    /// The cursor behind which the session asks.
    pub after: Position,
    /// Bytes of events that it can take now; at least one event comes whatever its size.
    pub credit_bytes: u32,
    /// In the middle of a snapshot: where it goes on, and which channel was the last.
    pub snapshot: Option<SnapshotPlace>,
}

/// A session's progress in a paged snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPlace {
    /// The first page's `through`.
    pub through: Position,
    /// The last channel of the last page.
    pub last: ChannelId,
}

/// One session's part of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A session of the other shard, whose name is unique there.
    pub session: SessionId,
    /// The `after` that this answers. If it is not the session's cursor any more, the answer is dropped.
    pub after: Position,
    /// Its cursor after these events: nothing of its inbox lies between the last of them and here.
    pub through: Position,
    /// Indices into the delivery's events, ascending.
    pub events: Vec<u16>,
}
