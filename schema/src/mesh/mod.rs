//! What shards say to each other, on one node through mailboxes and between nodes over links.
//!
//! Owns the frames' meaning and their FlatBuffers form. Frames between two shards arrive in the order sent, or the link is
//! reset; none must arrive: sessions and homes ask again.

mod decode;
mod encode;

use crate::command::SnapshotChannel;
use crate::event::Event;
use crate::id::{ChannelId, DeviceId, SessionId, UserId};
use crate::op::{ChannelOp, OpReply, Refusal};
use crate::position::{Cursor, Position, Stamp};
use crate::view::{Epoch, Owner};

/// One frame, from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshFrame {
    /// Who says it. Its incarnation tells frames of an earlier life.
    pub from: Owner,
    /// Under which view it was addressed.
    pub epoch: Epoch,
    /// What is said.
    pub body: MeshBody,
}

impl MeshFrame {
    /// Appends this frame's bytes, which do not say where they end: that is for who carries them.
    ///
    /// # Panics
    /// If a target names an event that its delivery does not have.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode::frame(self, out);
    }

    /// Reads a frame from exactly its bytes.
    ///
    /// # Errors
    /// If the bytes are damaged, or say what only a later version understands.
    pub fn decode(bytes: &[u8]) -> Result<Self, MeshError> {
        decode::frame(bytes)
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
        /// The kind.
        number: u16,
    },
    /// The sender's fault, or the network's.
    #[error("a mesh frame of {bytes} bytes is damaged: {why}")]
    Damaged {
        /// The frame's size.
        bytes: usize,
        /// What is wrong.
        why: String,
    },
}

/// What one shard says to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshBody {
    /// To a channel's home: carry this out.
    Apply {
        /// The asker's number for it.
        ticket: u64,
        /// On which channel.
        channel: ChannelId,
        /// What.
        op: ChannelOp,
    },
    /// From a channel's home: it is durable, or it was refused and nothing changed.
    Applied {
        /// The asker's number.
        ticket: u64,
        /// What came of it.
        reply: Result<OpReply, Refusal>,
    },
    /// To a users' home: your arrivals have grown by one transaction, and this is its content.
    Hint {
        /// The transaction.
        stamp: Stamp,
        /// Its events that concern users there, by ordinal.
        events: Vec<Event>,
    },
    /// To a user's home: this session follows the inbox from here.
    Register {
        /// Whose name is unique among those of the sending shard.
        session: SessionId,
        /// The account.
        user: UserId,
        /// The device, of which one session lives.
        device: DeviceId,
        /// Where it stopped; none to start at the newest.
        cursor: Option<Cursor>,
    },
    /// From a user's home.
    Registered {
        /// The session.
        session: SessionId,
        /// The cursor to start from, or why there is none.
        start: Result<Cursor, Refusal>,
    },
    /// To a user's home: the session is gone.
    Unregister {
        /// The session.
        session: SessionId,
        /// The account.
        user: UserId,
    },
    /// To a user's home: what comes after this place?
    More(More),
    /// From a users' home: what came, for one or more sessions.
    Deliver {
        /// Each event once, in the order of positions.
        events: Vec<Event>,
        /// Who gets which of them.
        targets: Vec<Target>,
    },
    /// From a user's home, in place of events: the cursor is behind what the inbox keeps.
    Snapshot {
        /// The session.
        session: SessionId,
        /// The `after` that this answers.
        after: Position,
        /// A page of the account's channels.
        channels: Vec<SnapshotChannel>,
        /// Whether to ask for a further page, after the last channel of this one.
        more: bool,
        /// Where to go on after the last page: the first page's version.
        through: Position,
    },
    /// From a user's home: the same device has connected elsewhere.
    Replaced {
        /// The older session.
        session: SessionId,
    },
}

/// A session asks for what comes after its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct More {
    /// The session.
    pub session: SessionId,
    /// The account.
    pub user: UserId,
    /// Its cursor.
    pub after: Position,
    /// Bytes of events that it can take now; at least one event comes whatever its size.
    pub credit_bytes: u32,
    /// In the middle of a snapshot: where it goes on, and which channel was the last.
    pub snapshot: Option<SnapshotPlace>,
}

/// How far a session is in a paged snapshot.
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
    /// The session.
    pub session: SessionId,
    /// The `after` that this answers. If it is not the session's cursor any more, the answer is dropped.
    pub after: Position,
    /// Its cursor after these events: nothing of its inbox lies between the last of them and here.
    pub through: Position,
    /// Indices into the delivery's events, ascending.
    pub events: Vec<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::rookery::mesh as fb;

    /// Why a frame's bytes are none.
    fn check(bytes: &[u8], expected: &str) {
        let error = MeshFrame::decode(bytes).expect_err(expected);
        let text = error.to_string();
        assert!(text.contains(expected), "{text:?} should say {expected:?}");
    }

    fn raw(body_type: fb::MeshBody, build: impl FnOnce(&mut crate::flat::Builder) -> u32) -> Vec<u8> {
        crate::flat::with_builder(|builder| {
            let body = Some(flatbuffers::WIPOffset::new(build(builder)));
            let from = fb::Owner::new(1, 2);
            let root =
                fb::MeshFrame::create(builder, &fb::MeshFrameArgs { from: Some(&from), epoch: 3, body_type, body });
            builder.finish_minimal(root);
            builder.finished_data().to_vec()
        })
    }

    #[test]
    fn a_frame_that_is_none_says_why() {
        check(&[], "damaged");
        check(&[0; 64], "damaged");
        let replaced = |builder: &mut crate::flat::Builder| {
            fb::Replaced::create(builder, &fb::ReplacedArgs { session: 1 }).value()
        };
        check(&raw(fb::MeshBody(99), replaced), "body number 99");
        check(&raw(fb::MeshBody::NONE, replaced), "Exactly one of union discriminant");
        check(
            &raw(fb::MeshBody::registered, |builder| {
                fb::Registered::create(builder, &fb::RegisteredArgs { session: 1, cursor: None, refused: None }).value()
            }),
            "not exactly one of cursor and refused",
        );
        check(
            &raw(fb::MeshBody::deliver, |builder| {
                let (start, events) = (fb::Position::new(0, 0, 0), builder.create_vector(&[0_u16]));
                let (after, through) = (Some(&start), Some(&start));
                let target =
                    fb::Target::create(builder, &fb::TargetArgs { session: 1, after, through, events: Some(events) });
                let targets = Some(builder.create_vector(&[target]));
                fb::Deliver::create(builder, &fb::DeliverArgs { events: None, targets }).value()
            }),
            "its indices do not ascend within 0 events",
        );
        check(
            &raw(fb::MeshBody::applied, |builder| {
                let message = Some(builder.create_string(""));
                let refused = fb::Refusal::create(builder, &fb::RefusalArgs { code: 105, message, retry_after_ms: 0 });
                let result = Some(refused.as_union_value());
                let fields = fb::AppliedArgs { ticket: 1, result_type: fb::OpResult::refused, result };
                fb::Applied::create(builder, &fields).value()
            }),
            "error code number 105",
        );
    }

    #[test]
    fn a_full_batch_fits_in_a_hint() {
        let body = crate::event::EventBody::Read { user: UserId(1), read_seq: crate::Seq(1) };
        let event = Event { position: Position::START, channel: ChannelId(1), body };
        let events = vec![event; crate::limits::BATCH_ROWS_MAX as usize];
        let frame = MeshFrame {
            from: Owner::default(),
            epoch: Epoch(1),
            body: MeshBody::Hint { stamp: Stamp::default(), events },
        };
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        assert_eq!(MeshFrame::decode(&bytes), Ok(frame));
    }
}
