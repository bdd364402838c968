//! What the store keeps under each key, as values.
//!
//! Owns the values' meaning and their bytes: a format version of one byte, then FlatBuffers (verified on read), or a packed
//! struct for the small fixed ones. Keys are `storage::keys`.

use std::sync::Arc;

use crate::event::{MemberChange, Role};
use crate::id::{ChannelId, ClientMsgId, Seq, UserId};
use crate::message::MessageKind;
use crate::op::ChannelKind;
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation};

/// `channel`: what a channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRecord {
    /// What it is.
    pub kind: ChannelKind,
    /// Its title; empty for a direct one.
    pub title: String,
    /// Who made it.
    pub creator: UserId,
    /// When.
    pub created_ms: UnixMs,
    /// Raised by every change of members, roles, ranges or blocks.
    pub member_epoch: u64,
    /// Members now.
    pub member_count: u32,
}

/// `message`: one message, with its text or where its parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// 0 as sent.
    pub revision: u32,
    /// Who sent it.
    pub from: UserId,
    /// When its home accepted it.
    pub sent_ms: UnixMs,
    /// The sender's name for it.
    pub client_msg_id: ClientMsgId,
    /// What it is.
    pub kind: MessageKind,
    /// The text.
    pub body: BodyRecord,
    /// What it answers.
    pub reply_to: Option<Seq>,
    /// Whom it names.
    pub mentions: Vec<UserId>,
}

/// A message's text where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyRecord {
    /// Beside the message, up to 8 KB.
    Inline(Arc<str>),
    /// In parts under keys of their own, compressed as a whole and then cut.
    Parts {
        /// How many parts.
        parts: u32,
        /// Bytes of the text.
        bytes: u32,
    },
}

/// `head`: a channel's newest seq and its time. Packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadRecord {
    /// The newest seq.
    pub seq: Seq,
    /// Its `sent_ms`, which never decreases.
    pub sent_ms: UnixMs,
}

/// `dedup`: the first reply to an operation. Packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupRecord {
    /// The message's seq.
    pub seq: Seq,
    /// Its time.
    pub sent_ms: UnixMs,
    /// The revision after the operation; 0 for a send.
    pub revision: u32,
    /// The count after the operation; 0 for a send.
    pub count: u32,
    /// Of the decoded content, so that the encoding does not matter.
    pub content_hash: u64,
}

/// One event as an inbox row or an arrival row holds it: content stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRecord {
    /// The channel it is about.
    pub channel: ChannelId,
    /// What happened.
    pub body: EventRecordBody,
}

/// What happened, without the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventRecordBody {
    /// A message was sent.
    Message {
        /// Its seq.
        seq: Seq,
        /// Its revision then; the content is the store's at reading, never older.
        revision: u32,
    },
    /// A membership changed.
    Membership {
        /// Whose.
        user: UserId,
        /// How.
        change: MemberChange,
        /// The role after it.
        role: Role,
    },
    /// The account's own mark moved.
    Read {
        /// Whose mark.
        user: UserId,
        /// Up to where.
        read_seq: Seq,
    },
}

/// `arrival`: what one transaction brought to the users of one home shard.
///
/// Users are listed once for each distinct list, since most of a batch's events share one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArrivalRecord {
    /// Distinct lists of users of this home shard.
    pub audiences: Vec<Vec<UserId>>,
    /// The events in the order of their ordinals.
    pub events: Vec<ArrivalEvent>,
}

/// One event of an arrival row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrivalEvent {
    /// The event's number in its transaction.
    pub ordinal: u16,
    /// Which of the row's audiences it is for.
    pub audience: u16,
    /// The event.
    pub event: EventRecord,
}

/// `member`: one user's membership of one channel, kept after leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// What the user may do.
    pub role: Role,
    /// Whether the user wants no notifications.
    pub muted: bool,
    /// When the user first joined.
    pub joined_ms: UnixMs,
    /// The seqs it may read, ascending, at most 8. The last is open while the user is a member.
    pub ranges: Vec<SeqRange>,
}

/// Seqs that a member may read: those after `after`, up to and with `through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqRange {
    /// The head when the user joined.
    pub after: Seq,
    /// The head when the user left; none while it is a member.
    pub through: Option<Seq>,
}

/// `user`: an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// In lower case, unique.
    pub username: String,
    /// What others see.
    pub display_name: String,
    /// By argon2id, in PHC form.
    pub password_hash: String,
    /// When it was made.
    pub created_ms: UnixMs,
}

/// `refresh`: one refresh token, under its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// Whose.
    pub user: UserId,
    /// The family that its successors share.
    pub family: u64,
    /// The device that it is bound to, if any.
    pub device: Option<String>,
    /// Until when.
    pub expires_ms: UnixMs,
    /// Whether it was used: a second use revokes the family.
    pub used: bool,
}

/// `idempotency`: the channel that a creation's key made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// The channel.
    pub channel: ChannelId,
    /// When.
    pub made_ms: UnixMs,
    /// Of the request, so that a key reused for another is refused.
    pub content_hash: u64,
}

/// `fence`: who may append for a node. Packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceRecord {
    /// The node's life.
    pub incarnation: Incarnation,
    /// The view under which it accepts.
    pub epoch: Epoch,
}

/// Bytes in the store that are not what their key says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer version of this software.
    #[error("a {what} record has format {found}, this version reads up to {known}: use the newer version")]
    Newer {
        /// Which record.
        what: &'static str,
        /// The format in the store.
        found: u8,
        /// The newest known here.
        known: u8,
    },
    /// Damaged.
    #[error("a {what} record of {bytes} bytes is damaged: {why}")]
    Damaged {
        /// Which record.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// What the verifier found.
        why: String,
    },
}
