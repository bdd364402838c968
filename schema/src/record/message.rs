//! One message of a channel's log. FlatBuffers.
//!
//! Owns the record and its bytes; how a body is cut into parts is `storage`'s.

use std::sync::Arc;

use super::RecordError;
use super::flat::{self, Flat};
use crate::enums::Numbered as _;
use crate::flat::{put_users, uuid};
use crate::generated::rookery as common;
use crate::generated::rookery::record as fb;
use crate::id::{ClientMsgId, Seq, UserId};
use crate::message::MessageKind;
use crate::time::UnixMs;

const FORMAT: u8 = 1;

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
    /// When it was last edited.
    pub edited_ms: Option<UnixMs>,
    /// Whether it was deleted. Then its text is empty, and it names nobody.
    pub deleted: bool,
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

impl MessageRecord {
    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        flat::encode(FORMAT, |builder| {
            let (body, body_parts, body_bytes) = match &self.body {
                BodyRecord::Inline(text) => (Some(builder.create_string(text)), 0, 0),
                &BodyRecord::Parts { parts, bytes } => (None, parts, bytes),
            };
            let mentions = put_users(builder, &self.mentions);
            let fields = fb::MessageRecordArgs {
                revision: self.revision,
                from: self.from.0,
                sent_ms: self.sent_ms.0,
                client_msg_id: Some(&common::Uuid::new(&self.client_msg_id.0)),
                kind: self.kind.number(),
                body,
                body_parts,
                body_bytes,
                reply_to: self.reply_to.map(|seq| seq.0),
                mentions,
                edited_ms: self.edited_ms.map(|at| at.0),
                deleted: self.deleted,
            };
            fb::MessageRecord::create(builder, &fields)
        })
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let row = Flat::<fb::MessageRecord<'_>>::read("message", FORMAT, bytes)?;
        Ok(Self {
            revision: row.revision(),
            from: UserId(row.from()),
            sent_ms: UnixMs(row.sent_ms()),
            client_msg_id: uuid(row.client_msg_id()),
            kind: row.known(MessageKind::of_number(row.kind()), "kind")?,
            body: match row.body() {
                Some(text) => BodyRecord::Inline(text.into()),
                None => BodyRecord::Parts { parts: row.body_parts(), bytes: row.body_bytes() },
            },
            reply_to: row.reply_to().map(Seq),
            mentions: row.mentions().into_iter().flatten().map(UserId).collect(),
            edited_ms: row.edited_ms().map(UnixMs),
            deleted: row.deleted(),
        })
    }
}
