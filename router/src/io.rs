//! Inputs and outputs of a shard: the surface between logic and the world, but for the store's.
//!
//! Owns the vocabulary. The driver turns sockets, mailboxes and clocks into [`Input`]s and carries [`Output`]s out.
//! What the store is asked is in [`store`](crate::store). Nothing here blocks or fails: a refusal is an output too.

use std::sync::Arc;

use schema::hook::Concerns;
use schema::mesh::{Kicked, LiveEvent, MeshFrame};
use schema::{
    ChannelId, ChannelOp, CloseCode, Encoding, Epoch, Event, EventBody, Incarnation, OpReply, Owner, Refusal, Stamp,
    UserId, View,
};
use wire::SharedFrame;

use crate::drain::Drain;
use crate::store::Answered;

/// A connection's number at its driver, never used twice in one life of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What a connection is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A session in the encoding that was agreed: it follows its account's inbox, and by it its user is there.
    Session(Encoding),
    /// A call, in JSON: a `connect`, whose device counts for nothing, then one message, and it is over once all of that is answered
    /// ([`CloseCode::Normal`]). It follows nothing, and nobody is there by it.
    Call,
}

impl Purpose {
    /// How its messages are encoded.
    pub(crate) fn encoding(self) -> Encoding {
        match self {
            Self::Session(encoding) => encoding,
            Self::Call => Encoding::Json,
        }
    }
}

/// One event at a shard.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection is open.
    Accepted {
        /// The connection.
        conn: ConnId,
        /// What it is there for.
        purpose: Purpose,
    },
    /// A connection was closed before the shard heard of it: the shard has as many as it may (3015).
    TurnedAway,
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
    /// Bytes of frames from [`Output::Send`] have left for the peer; pings and closes do not count. The shard panics if
    /// more left than it gave (I11).
    Drained {
        /// The connection.
        conn: ConnId,
        /// The number of bytes.
        bytes: u32,
    },
    /// The connection is gone.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// Time has passed.
    Tick,
    /// The store has answered a question of this shard.
    Answered(Answered),
    /// A batch of this shard's appends is done, and durable as far as it wrote: what it brought to each home shard.
    Committed {
        /// Home shard, transaction, and its events there with their content.
        hints: Vec<(Owner, Stamp, Vec<Event>)>,
        /// Home shard, and what users there are told live.
        live: Vec<(Owner, Vec<LiveEvent>)>,
        /// Large channel, and what happened there in the order of its log.
        feeds: Vec<(ChannelId, Vec<EventBody>)>,
    },
    /// A frame of another shard.
    Mesh {
        /// The frame.
        frame: MeshFrame,
    },
    /// The HTTP API wants something done to a channel.
    Command {
        /// The number under which the API waits for the reply.
        ticket: u64,
        /// The channel.
        channel: ChannelId,
        /// The operation.
        op: ChannelOp,
    },
    /// The HTTP API has revoked a device or a login: answered once its sessions are told.
    Kick {
        /// The number under which the API waits for that. No command has the same.
        ticket: u64,
        /// The account.
        user: UserId,
        /// The device or login whose sessions end.
        whose: Kicked,
    },
    /// The partition table changed. One that is not newer than the shard's own says nothing.
    View {
        /// The table.
        view: Arc<View>,
        /// A version of the store at which it was read: whatever was committed under earlier epochs is there to be read.
        version: u64,
    },
    /// All that this node and another were to tell each other is lost, or the other is gone: nothing that came from it
    /// counts any more but answers.
    PeerLost {
        /// The life of the other node.
        incarnation: Incarnation,
    },
    /// Some frames between this node and another were lost, of those that need not arrive.
    Gap {
        /// The life of the other node.
        incarnation: Incarnation,
    },
    /// Whether the store takes writes: below the reserve of free disk it does not, and what changes a channel is
    /// refused (115).
    Writes {
        /// Whether it does.
        on: bool,
    },
    /// What applications are asked about before it is carried out, from here on.
    Before {
        /// It.
        concerns: Arc<Concerns>,
    },
    /// The node stops: sessions are told, finish what is under way, and are closed (3001). A later one with an earlier
    /// deadline takes the place of the one before.
    Drain(Drain),
}

/// One effect that a shard wants carried out.
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
        /// The reason, as the client is told.
        code: CloseCode,
    },
    /// Stop or go on reading the socket.
    Reads {
        /// The connection.
        conn: ConnId,
        /// Whether to read.
        on: bool,
    },
    /// Tell another shard. Frames to one shard arrive in this order. One of
    /// [`must_arrive`](schema::mesh::MeshBody::must_arrive) does; any other may be lost and is made good within
    /// seconds.
    Mesh {
        /// The frame, which says to whom.
        frame: MeshFrame,
    },
    /// There is a view of this epoch: read it, and bring it as [`Input::View`].
    Outdated {
        /// Its epoch.
        epoch: Epoch,
    },
    /// What another node has sent could not be kept: have both nodes hear [`Input::PeerLost`]. This shard goes by that
    /// already.
    Lost {
        /// The life of the other node.
        incarnation: Incarnation,
    },
    /// Answer the HTTP API.
    Reply {
        /// The number of the API's command.
        ticket: u64,
        /// The outcome.
        reply: Result<OpReply, Refusal>,
    },
}
