//! What goes into a shard and what comes out: the whole surface between logic and the world.
//!
//! Owns the vocabulary. The driver turns sockets, mailboxes and clocks into [`Input`]s and carries [`Output`]s out; `host`
//! does the same for [`StoreOp`]s. Nothing here blocks or fails: a refusal is an output too.

use std::collections::BTreeSet;
use std::sync::Arc;

use schema::command::{History, HistoryPage, ReadMark, Search, SearchPage, SnapshotChannel};
use schema::mesh::{Kicked, LiveEvent, MeshFrame, SnapshotPlace};
use schema::op::ChannelKind;
use schema::record::{ArrivalRecord, PushItem, SeqRange};
use schema::{
    ChannelId, ChannelOp, CloseCode, Cursor, DeviceId, Encoding, Event, EventBody, OpReply, Owner, Position,
    PresenceEntry, Refusal, Seq, Stamp, UnixMs, UserId, View,
};
use wire::SharedFrame;

/// A connection's number at its driver, never used twice in one life of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A store operation's number at its shard: outputs bear it, results bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A WebSocket is open and its subprotocol agreed.
    Accepted {
        /// The connection.
        conn: ConnId,
        /// What was agreed.
        encoding: Encoding,
    },
    /// A whole message arrived.
    Message {
        /// The connection.
        conn: ConnId,
        /// Whether it was a text message rather than a binary one.
        text: bool,
        /// Its payload.
        payload: &'a [u8],
    },
    /// Bytes arrived that make no message: a pong, a ping, part of something.
    Heard {
        /// The connection.
        conn: ConnId,
    },
    /// Bytes of frames from [`Output::Send`] have left for the peer; pings and closes do not count. The shard panics if more
    /// left than it gave (I11).
    Drained {
        /// The connection.
        conn: ConnId,
        /// How many.
        bytes: u32,
    },
    /// The connection is gone.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// Time has passed.
    Tick,
    /// A store operation is done.
    Stored {
        /// Its number.
        op: OpId,
        /// What came of it.
        result: StoreResult,
    },
    /// A batch of this shard's appends is done, and durable as far as it wrote: what it brought to each home shard.
    Committed {
        /// Home shard, transaction, and its events there with their content.
        hints: Vec<(Owner, Stamp, Vec<Event>)>,
        /// Home shard, and what users there are told live.
        live: Vec<(Owner, Vec<LiveEvent>)>,
        /// Large channel, and what happened there in the order of its log.
        feeds: Vec<(ChannelId, Vec<EventBody>)>,
    },
    /// Another shard says something.
    Mesh {
        /// What.
        frame: MeshFrame,
    },
    /// The HTTP API wants something done to a channel.
    Command {
        /// Its number for the reply.
        ticket: u64,
        /// Which channel.
        channel: ChannelId,
        /// What.
        op: ChannelOp,
    },
    /// The HTTP API has revoked a device or a login.
    Kick {
        /// Whose.
        user: UserId,
        /// Which of the user's sessions end.
        whose: Kicked,
    },
    /// The partition table changed.
    View(Arc<View>),
    /// Whether the store takes writes: below the reserve of free disk it does not, and what changes a channel is refused (115).
    Writes {
        /// Whether it does.
        on: bool,
    },
    /// The node stops: finish what is under way, then close every connection (3001), at the latest at `deadline_ms`.
    Drain {
        /// When what is left is closed all the same.
        deadline_ms: UnixMs,
    },
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Put this behind what is queued for the connection.
    Send {
        /// The connection.
        conn: ConnId,
        /// A whole frame.
        frame: SharedFrame,
    },
    /// Send a WebSocket ping.
    Ping {
        /// The connection.
        conn: ConnId,
    },
    /// Send what is queued, then close. The shard has forgotten the connection already.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// Stop or go on reading the socket.
    Reads {
        /// The connection.
        conn: ConnId,
        /// Whether to read.
        on: bool,
    },
    /// Do this in the store and bring the result back.
    Store {
        /// The number under which it comes back.
        op: OpId,
        /// What.
        store: StoreOp,
    },
    /// Tell another shard. Frames to one shard arrive in this order. One of
    /// [`must_arrive`](schema::mesh::MeshBody::must_arrive) does; any other may be lost and is made good within seconds.
    Mesh {
        /// Which.
        to: Owner,
        /// What.
        frame: MeshFrame,
    },
    /// Answer the HTTP API.
    Reply {
        /// Its number.
        ticket: u64,
        /// What came of it.
        reply: Result<OpReply, Refusal>,
    },
}

/// What the store is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Whose token is this? Answered by [`StoreResult::Identity`].
    Authenticate {
        /// The token's text.
        token: String,
    },
    /// Change a channel, in the order of outputs. Answered by [`StoreResult::Applied`].
    Apply {
        /// Which.
        channel: ChannelId,
        /// How.
        op: ChannelOp,
    },
    /// Read a page of history. Answered by [`StoreResult::History`].
    History {
        /// For whom.
        user: UserId,
        /// Which page.
        request: History,
    },
    /// A device connects: where does its session start? Answered by [`StoreResult::Opened`].
    OpenInbox {
        /// Whose.
        user: UserId,
        /// Which device.
        device: DeviceId,
        /// The login that its token is of.
        family: u64,
        /// What its client calls itself.
        client: Option<String>,
        /// Where it stopped.
        cursor: Option<Cursor>,
    },
    /// Read an inbox. Answered by [`StoreResult::Inbox`].
    ReadInbox {
        /// Whose.
        user: UserId,
        /// After where.
        after: Position,
        /// At a version no older than this.
        at_least: u64,
        /// Bytes of events at most; one event always fits.
        bytes: u32,
        /// Whether this is a session's first read, which is worth a snapshot if it is very far behind.
        first: bool,
    },
    /// Read a page of an account's channels. Answered by [`StoreResult::Snapshot`].
    Snapshot {
        /// Whose.
        user: UserId,
        /// How far it came.
        place: Option<SnapshotPlace>,
    },
    /// Read what arrived for the users of this shard. Answered by [`StoreResult::Arrivals`].
    ReadArrivals {
        /// After which transaction.
        after: Stamp,
        /// At a version no older than this.
        at_least: u64,
        /// Transactions whose content is here already.
        have: BTreeSet<Stamp>,
    },
    /// Forget arrivals up to here. Answered by [`StoreResult::Done`].
    ClearArrivals {
        /// The last transaction to forget.
        through: Stamp,
        /// What is kept in the same transaction for members who were not there.
        pushes: Vec<PushItem>,
    },
    /// Keep how present a user is. Answered by [`StoreResult::Done`].
    PutPresence {
        /// The user, as it is now.
        entry: PresenceEntry,
    },
    /// Who of these may be seen by whom? Answered by [`StoreResult::Visible`].
    Visible {
        /// Who wants to know.
        watcher: UserId,
        /// Of whom.
        users: Vec<UserId>,
        /// They are all in a direct channel or group with the watcher: only blocks can hide them.
        fellows: bool,
    },
    /// Open a channel for a member. Answered by [`StoreResult::ChannelOpened`].
    OpenChannel {
        /// Who.
        user: UserId,
        /// Which.
        channel: ChannelId,
    },
    /// Read a page of a channel's members. Answered by [`StoreResult::Members`].
    Members {
        /// For whom.
        user: UserId,
        /// Which channel.
        channel: ChannelId,
        /// Which 200 of them, from 0.
        page: u32,
    },
    /// May this user follow a large channel's log, and where does that stand? Answered by [`StoreResult::Subscribed`].
    Subscribe {
        /// Who.
        user: UserId,
        /// Which.
        channel: ChannelId,
    },
    /// List a user's large channels. Answered by [`StoreResult::LargeOf`].
    LargeOf {
        /// Whose.
        user: UserId,
    },
    /// Find messages by their words. Answered by [`StoreResult::Found`].
    Search {
        /// For whom.
        user: UserId,
        /// What.
        request: Search,
    },
    /// Index what was written to a channel, some of it. Answered by [`StoreResult::Indexed`].
    Index {
        /// Which.
        channel: ChannelId,
    },
    /// Forget what an inbox keeps beyond its limits. Answered by [`StoreResult::Done`].
    TrimInbox {
        /// Whose.
        user: UserId,
    },
}

/// What the store answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreResult {
    /// To [`StoreOp::Authenticate`].
    Identity(Result<Identity, Refusal>),
    /// To [`StoreOp::Apply`]: durable, or refused and nothing changed.
    Applied(Result<OpReply, Refusal>),
    /// To [`StoreOp::History`].
    History(Result<HistoryPage, Refusal>),
    /// To [`StoreOp::OpenInbox`].
    Opened(Result<InboxStart, Refusal>),
    /// To [`StoreOp::ReadInbox`].
    Inbox(Result<InboxPage, Refusal>),
    /// To [`StoreOp::Snapshot`].
    Snapshot(Result<SnapshotPage, Refusal>),
    /// To [`StoreOp::ReadArrivals`].
    Arrivals(Result<ArrivalsPage, Refusal>),
    /// To [`StoreOp::Visible`]: for each user what is stored of its presence, or none if it may not be seen.
    Visible(Result<Vec<Option<PresenceEntry>>, Refusal>),
    /// To [`StoreOp::OpenChannel`].
    ChannelOpened(Result<OpenedChannel, Refusal>),
    /// To [`StoreOp::Members`].
    Members(Result<MembersPage, Refusal>),
    /// To [`StoreOp::Subscribe`]: the newest seq.
    Subscribed(Result<Seq, Refusal>),
    /// To [`StoreOp::LargeOf`].
    LargeOf(Result<Vec<ChannelId>, Refusal>),
    /// To [`StoreOp::Search`].
    Found(Result<FoundPage, Refusal>),
    /// To [`StoreOp::Index`].
    Indexed(Result<Indexed, Refusal>),
    /// To what answers nothing.
    Done(Result<(), Refusal>),
}

/// Whose token it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub user: UserId,
    /// The one device that may use it; none if any may.
    pub device: Option<DeviceId>,
    /// The login that it is of, which can be revoked as a whole.
    pub family: u64,
    /// Until when.
    pub expires_ms: UnixMs,
}

/// Where a session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxStart {
    /// The place after which it goes on.
    pub cursor: Cursor,
    /// The transaction that noted that the device connected: of two sessions of one device that of the later lives.
    pub stamp: Stamp,
}

/// What a member sees on opening a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedChannel {
    /// What it is.
    pub kind: ChannelKind,
    /// Its newest seq.
    pub head_seq: Seq,
    /// The user's mark.
    pub read_seq: Seq,
    /// What the user may read of it.
    pub ranges: Vec<SeqRange>,
    /// All members; none of a large channel.
    pub members: Vec<UserId>,
    /// The members' marks, of direct channels and small groups.
    pub reads: Vec<ReadMark>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPage {
    /// The hits.
    pub page: SearchPage,
    /// Channels whose newest messages are not in the index yet.
    pub behind: Vec<ChannelId>,
}

/// How far a channel is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indexed {
    /// Whether there is more to do.
    pub more: bool,
}

/// Part of a channel's members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembersPage {
    /// Ascending.
    pub users: Vec<UserId>,
    /// Whether they are in a direct channel or group, whose members see each other's presence.
    pub fellows: bool,
}

/// Part of an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxPage {
    /// What comes after the asked position, in order.
    Events {
        /// Events with their content.
        events: Vec<Event>,
        /// Nothing of this inbox lies between the last event and here.
        through: Position,
    },
    /// The asked position is behind what the inbox keeps, or too far behind to be worth it.
    Behind,
}

/// Part of an account's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPage {
    /// The channels.
    pub channels: Vec<SnapshotChannel>,
    /// Whether there are more.
    pub more: bool,
    /// Where to go on after the last page.
    pub through: Position,
}

/// Part of a home shard's arrivals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivalsPage {
    /// Transactions in the order of commits.
    pub rows: Vec<Arrival>,
    /// Nothing that arrived lies between the last row and here.
    pub through: Stamp,
    /// Whether more rows are there to be read.
    pub more: bool,
}

/// What one transaction brought to a home shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The transaction.
    pub stamp: Stamp,
    /// Its events there and who gets them.
    pub record: ArrivalRecord,
    /// The events with content; none if the asker had them.
    pub contents: Option<Vec<Event>>,
}
