//! What an inbox row and an arrival row hold. Packed.
//!
//! Owns both and their bytes. An inbox row is written once for each member, so it is 22 bytes for a message where a
//! FlatBuffers table would be some 50. Upholds I6 as far as bytes can: events stay in the order of their ordinals.

use super::RecordError;
use super::packed::{Reader, Writer};
use crate::emoji::Emoji;
use crate::enums::Numbered as _;
use crate::event::{MemberChange, Role};
use crate::id::{ChannelId, Seq, UserId};

/// The format of both. A kind of event that an older version does not know raises it.
const FORMAT: u8 = 2;

/// The number of a kind of event, in both.
const MESSAGE: u8 = 1;
const MEMBERSHIP: u8 = 2;
const READ: u8 = 3;
const EDITED: u8 = 4;
const DELETED: u8 = 5;
const REACTION: u8 = 6;

/// One event as an inbox row or an arrival row holds it: content stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The channel it is about.
    pub channel: ChannelId,
    /// What happened.
    pub body: EventRecordBody,
}

/// What happened, without the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventRecordBody {
    /// A message was sent.
    Message {
        /// Its seq.
        seq: Seq,
        /// Its revision then; the content is the store's at reading, never older.
        revision: u32,
    },
    /// A message has another text.
    Edited {
        /// Its seq.
        seq: Seq,
        /// Its revision then; the content is the store's at reading, never older.
        revision: u32,
    },
    /// A message was deleted.
    Deleted {
        /// Its seq.
        seq: Seq,
        /// The revision after it.
        revision: u32,
    },
    /// An emoji was put to a message, or taken away.
    Reaction {
        /// The message's seq.
        seq: Seq,
        /// Which emoji.
        emoji: Emoji,
        /// How many have put it there, after this.
        count: u32,
        /// Who did it.
        user: UserId,
        /// Whether it was put there.
        on: bool,
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

impl EventRecord {
    /// Bytes of nearly every one, without the format: kind, channel, a user or seq and small fields. A reaction has more:
    /// a count, who did it and its emoji.
    const BYTES_USUAL: usize = 1 + 8 + 8 + 8;
    /// Bytes of the shortest.
    const BYTES_MIN: usize = 1 + 8 + 8 + 2;

    /// As it lies in an inbox row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(FORMAT, 1 + Self::BYTES_USUAL);
        self.put(&mut writer);
        writer.finish()
    }

    /// From an inbox row.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("inbox event", FORMAT, bytes)?;
        let record = Self::take(&mut reader)?;
        reader.finish().map(|()| record)
    }

    fn put(&self, writer: &mut Writer) {
        match &self.body {
            &EventRecordBody::Message { seq, revision } => {
                writer.u8(MESSAGE).u64(self.channel.0).u64(seq.0).u32(revision);
            }
            &EventRecordBody::Edited { seq, revision } => {
                writer.u8(EDITED).u64(self.channel.0).u64(seq.0).u32(revision);
            }
            &EventRecordBody::Deleted { seq, revision } => {
                writer.u8(DELETED).u64(self.channel.0).u64(seq.0).u32(revision);
            }
            EventRecordBody::Reaction { seq, emoji, count, user, on } => {
                writer.u8(REACTION).u64(self.channel.0).u64(seq.0).u32(*count).u64(user.0).u8(u8::from(*on));
                writer.short_text(emoji.as_str());
            }
            &EventRecordBody::Membership { user, change, role } => {
                writer.u8(MEMBERSHIP).u64(self.channel.0).u64(user.0).u8(change.byte()).u8(role.byte());
            }
            &EventRecordBody::Read { user, read_seq } => {
                writer.u8(READ).u64(self.channel.0).u64(user.0).u64(read_seq.0);
            }
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let kind = reader.u8()?;
        let channel = ChannelId(reader.u64()?);
        let body = match kind {
            MESSAGE => EventRecordBody::Message { seq: Seq(reader.u64()?), revision: reader.u32()? },
            EDITED => EventRecordBody::Edited { seq: Seq(reader.u64()?), revision: reader.u32()? },
            DELETED => EventRecordBody::Deleted { seq: Seq(reader.u64()?), revision: reader.u32()? },
            REACTION => {
                let (seq, count, user, on) = (Seq(reader.u64()?), reader.u32()?, UserId(reader.u64()?), reader.u8()?);
                let emoji =
                    Emoji::accepted(reader.short_text()?).map_err(|error| reader.damaged(format!("{error}")))?;
                EventRecordBody::Reaction { seq, emoji, count, user, on: on != 0 }
            }
            MEMBERSHIP => {
                let (user, change, role) = (UserId(reader.u64()?), reader.u8()?, reader.u8()?);
                EventRecordBody::Membership {
                    user,
                    change: MemberChange::of_byte(change)
                        .ok_or_else(|| reader.damaged(format!("no change of members is {change}")))?,
                    role: Role::of_byte(role).ok_or_else(|| reader.damaged(format!("no role is {role}")))?,
                }
            }
            READ => EventRecordBody::Read { user: UserId(reader.u64()?), read_seq: Seq(reader.u64()?) },
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
    /// The event.
    pub event: EventRecord,
}

impl ArrivalRecord {
    /// As it lies in an arrival row.
    ///
    /// # Panics
    /// If an event names an audience that the record does not have, if events are not in the order of their ordinals,
    /// or if there are more than 65,535 audiences, users of one or events: a transaction has 8,000 rows at most.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = |len: usize| u16::try_from(len).expect("no more than a transaction has rows");
        let users: usize = self.audiences.iter().map(Vec::len).sum();
        let capacity = 5 + self.audiences.len() * 2 + users * 8 + self.events.len() * (4 + EventRecord::BYTES_USUAL);
        let mut writer = Writer::new(FORMAT, capacity);
        writer.u16(count(self.audiences.len()));
        for audience in &self.audiences {
            writer.u16(count(audience.len()));
            for user in audience {
                writer.u64(user.0);
            }
        }
        writer.u16(count(self.events.len()));
        let mut last = 0;
        for ArrivalEvent { ordinal, audience, event } in &self.events {
            let (ordinal, audience) = (*ordinal, *audience);
            assert!(last <= ordinal, "I6: event {ordinal} of an arrival stands behind {last}");
            assert!(usize::from(audience) < self.audiences.len(), "audience {audience} of {}", self.audiences.len());
            last = ordinal;
            writer.u16(ordinal).u16(audience);
            event.put(&mut writer);
        }
        writer.finish()
    }

    /// From an arrival row.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("arrival", FORMAT, bytes)?;
        let mut record = Self::default();
        let audiences = reader.count(2)?;
        record.audiences.reserve_exact(audiences);
        for _ in 0..audiences {
            let users = reader.count(8)?;
            record.audiences.push((0..users).map(|_| reader.u64().map(UserId)).collect::<Result<_, _>>()?);
        }
        let events = reader.count(4 + EventRecord::BYTES_MIN)?;
        record.events.reserve_exact(events);
        let mut last = 0;
        for _ in 0..events {
            let (ordinal, audience) = (reader.u16()?, reader.u16()?);
            if ordinal < last {
                return Err(reader.damaged(format!("event {ordinal} stands behind {last}")));
            }
            if usize::from(audience) >= audiences {
                return Err(reader.damaged(format!("audience {audience} of {audiences}")));
            }
            last = ordinal;
            record.events.push(ArrivalEvent { ordinal, audience, event: EventRecord::take(&mut reader)? });
        }
        reader.finish().map(|()| record)
    }
}
