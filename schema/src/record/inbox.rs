//! Events of inbox rows and arrival rows. Packed.
//!
//! An inbox row is written once for each member, so it is 22 bytes for a message where a
//! FlatBuffers table would be some 50. Upholds I6 as far as bytes can: events stay in the order of their ordinals.

use super::fields::{Counted, Packed};
use super::packed::{Reader, Writer};
use super::{RecordError, packed_fields, packed_records, record};
use crate::emoji::Emoji;
use crate::event::{MemberChange, Role};
use crate::id::{ChannelId, Seq, UserId};

/// The number of a kind of event, in both. A kind that an older version does not know raises the format of both.
const MESSAGE: u8 = 1;
const MEMBERSHIP: u8 = 2;
const READ: u8 = 3;
const EDITED: u8 = 4;
const DELETED: u8 = 5;
const REACTION: u8 = 6;

/// One event as an inbox row or an arrival row holds it: content stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The channel that the event is about.
    pub channel: ChannelId,
    /// The kind of event, without content.
    pub body: EventRecordBody,
}

/// What happened, without the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventRecordBody {
    /// A message was sent.
    Message {
        /// The message's place in the channel.
        seq: Seq,
        /// Its revision then; the content is the store's at reading, never older.
        revision: u32,
    },
    /// A message has another text.
    Edited {
        /// The message's place in the channel.
        seq: Seq,
        /// Its revision then; the content is the store's at reading, never older.
        revision: u32,
    },
    /// A message was deleted.
    Deleted {
        /// The message's place in the channel.
        seq: Seq,
        /// The revision after it.
        revision: u32,
    },
    /// An emoji was put to a message, or taken away.
    Reaction {
        /// The message's place in the channel.
        seq: Seq,
        /// The emoji, fully qualified.
        emoji: Emoji,
        /// How many have put it there, after this.
        count: u32,
        /// The user who reacted.
        user: UserId,
        /// Whether it was put there.
        on: bool,
    },
    /// A membership changed.
    Membership {
        /// The user whose membership changed.
        user: UserId,
        /// The kind of change.
        change: MemberChange,
        /// The role after it.
        role: Role,
    },
    /// The account's own mark moved.
    Read {
        /// The account whose mark it is.
        user: UserId,
        /// The mark after it.
        read_seq: Seq,
    },
}

record! { EventRecord "inbox event" format 2 encode_packed decode_packed }

impl Packed for EventRecord {
    fn bytes(&self) -> usize {
        /// Kind, channel, a user or seq, and small fields; for a message a little less.
        const USUAL: usize = 1 + 8 + 8 + 8;
        match &self.body {
            EventRecordBody::Reaction { emoji, .. } => USUAL + 4 + 1 + emoji.bytes(),
            EventRecordBody::Message { .. }
            | EventRecordBody::Edited { .. }
            | EventRecordBody::Deleted { .. }
            | EventRecordBody::Membership { .. }
            | EventRecordBody::Read { .. } => USUAL,
        }
    }

    fn put(&self, writer: &mut Writer) {
        let at = self.channel;
        match &self.body {
            &EventRecordBody::Message { seq, revision } => ((MESSAGE, at), (seq, revision)).put(writer),
            &EventRecordBody::Edited { seq, revision } => ((EDITED, at), (seq, revision)).put(writer),
            &EventRecordBody::Deleted { seq, revision } => ((DELETED, at), (seq, revision)).put(writer),
            EventRecordBody::Reaction { seq, emoji, count, user, on } => {
                ((REACTION, at), (*seq, *count, *user, *on, emoji.clone())).put(writer);
            }
            &EventRecordBody::Membership { user, change, role } => ((MEMBERSHIP, at), (user, change, role)).put(writer),
            &EventRecordBody::Read { user, read_seq } => ((READ, at), (user, read_seq)).put(writer),
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let (kind, channel): (u8, ChannelId) = Packed::take(reader)?;
        let take_revised = |reader: &mut Reader<'_>| <(Seq, u32)>::take(reader);
        let body = match kind {
            MESSAGE => take_revised(reader).map(|(seq, revision)| EventRecordBody::Message { seq, revision })?,
            EDITED => take_revised(reader).map(|(seq, revision)| EventRecordBody::Edited { seq, revision })?,
            DELETED => take_revised(reader).map(|(seq, revision)| EventRecordBody::Deleted { seq, revision })?,
            REACTION => {
                let (seq, count, user, on, emoji) = Packed::take(reader)?;
                EventRecordBody::Reaction { seq, emoji, count, user, on }
            }
            MEMBERSHIP => {
                let (user, change, role) = Packed::take(reader)?;
                EventRecordBody::Membership { user, change, role }
            }
            READ => {
                let (user, read_seq) = Packed::take(reader)?;
                EventRecordBody::Read { user, read_seq }
            }
            _ => return Err(reader.damaged(format!("no event is of kind {kind}"))),
        };
        Ok(Self { channel, body })
    }
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivalEvent {
    /// The event's number in its transaction.
    pub ordinal: u16,
    /// Which of the row's audiences it is for.
    pub audience: u16,
    /// What each user of the audience finds in its inbox.
    pub event: EventRecord,
}

packed_fields! { ArrivalEvent { ordinal, audience, event } }

impl Counted for ArrivalEvent {
    const BYTES_MIN: usize = 2 + 2 + (1 + 8 + 8 + 2);
}

packed_records! { ArrivalRecord "arrival" format 2 { audiences, events }, check ordered }

impl ArrivalRecord {
    /// Events stand in the order of their ordinals, and their audiences are there.
    fn ordered(&self) -> Result<(), String> {
        let mut last = 0;
        for &ArrivalEvent { ordinal, audience, .. } in &self.events {
            if ordinal < last {
                return Err(format!("I6: event {ordinal} stands behind {last}"));
            }
            if usize::from(audience) >= self.audiences.len() {
                return Err(format!("audience {audience} of {}", self.audiences.len()));
            }
            last = ordinal;
        }
        Ok(())
    }
}
