//! Events of inbox rows and arrival rows. Packed.
//!
//! An inbox row is written once for each member, so it is 22 bytes for a message where a
//! FlatBuffers table would be some 50. Upholds I6 as far as bytes can: events stay in the order of their ordinals.

use super::{packed_records, record};
use crate::emoji::Emoji;
use crate::event::{MemberChange, Role};
use crate::id::{ChannelId, Seq, UserId};
use crate::packed::{ByteOrder, Packed, Why, packed_fields};

/// One event as an inbox row or an arrival row holds it: content stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The channel that the event is about.
    pub channel: ChannelId,
    /// The kind of event, without content.
    pub body: EventRecordBody,
}

/// The kind of an event, without its content.
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

/// The channel stands between the number of the kind and the kind's fields. A kind that an older version does not know
/// raises the format of both records.
macro_rules! event_kinds {
    ($($kind:ident = $number:literal { $($field:ident),* })*) => {
        impl Packed for EventRecord {
            fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
                match &self.body {
                    $(EventRecordBody::$kind { $($field),* } => {
                        row.push($number);
                        self.channel.put::<O>(row);
                        $($field.put::<O>(row);)*
                    })*
                }
            }

            fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
                let (kind, channel): (u8, ChannelId) = Packed::take::<O>(rest)?;
                let body = match kind {
                    $($number => EventRecordBody::$kind { $($field: Packed::take::<O>(rest)?),* },)*
                    _ => return Err(format!("no event is of kind {kind}").into()),
                };
                Ok(Self { channel, body })
            }
        }

        #[cfg(test)]
        crate::testing::any_variants! { EventRecordBody { $($kind { $($field)* })* } }
    };
}

event_kinds! {
    Message = 1 { seq, revision }
    Membership = 2 { user, change, role }
    Read = 3 { user, read_seq }
    Edited = 4 { seq, revision }
    Deleted = 5 { seq, revision }
    Reaction = 6 { seq, count, user, on, emoji }
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
    /// The audience that it is for, by its number in the row.
    pub audience: u16,
    /// The event as each user of the audience has it in its inbox.
    pub event: EventRecord,
}

packed_fields! { ArrivalEvent { ordinal, audience, event } }

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
