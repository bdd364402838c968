//! Messages of a channel's log. FlatBuffers.
//!
//! How a body is cut into parts is `chat`'s.

use std::sync::Arc;

use flatbuffers::WIPOffset;

use super::flat_records;
use crate::flat::{Builder, Illegal, Put, Take};
use crate::generated::rookery::record as fb;
use crate::id::{ClientMsgId, Seq, UserId};
use crate::limits::MEDIA_OF_MESSAGE_MAX;
use crate::media::Attachment;
use crate::message::MessageKind;
use crate::op::Audience;
use crate::time::UnixMs;

/// `message`: one message, with its text or where its parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRecord {
    /// 0 as sent; each edit and the deletion add one.
    pub revision: u32,
    /// The user who sent it.
    pub from: UserId,
    /// When its home accepted it.
    pub sent_ms: UnixMs,
    /// The sender's name for it (rule 1).
    pub client_msg_id: ClientMsgId,
    /// Media if it has any, else text.
    pub kind: MessageKind,
    /// The text, or where its parts are.
    pub body: BodyRecord,
    /// The message of the same channel that it answers.
    pub reply_to: Option<Seq>,
    /// Members whom it names.
    pub mentions: Vec<UserId>,
    /// When it was last edited.
    pub edited_ms: Option<UnixMs>,
    /// Whether it was deleted. Then its text is empty, it names nobody and has no media.
    pub deleted: bool,
    /// For whom it is, if it is a post; a reply to one has none.
    pub audience: Option<Audience>,
    /// What it carries, as it was when it was sent.
    pub media: Vec<Attachment>,
}

impl MessageRecord {
    fn check(&self) -> Result<(), String> {
        let most = MEDIA_OF_MESSAGE_MAX as usize;
        if self.media.len() > most {
            return Err(format!("{} media, the limit is {most}", self.media.len()));
        }
        if self.kind != MessageKind::Text.with(&self.media) {
            return Err(format!("it is of kind {:?} and has {} media", self.kind, self.media.len()));
        }
        Ok(())
    }
}

/// A message's text where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyRecord {
    /// Beside the message, up to 8 KB.
    Inline(Arc<str>),
    /// In parts under keys of their own, compressed as a whole and then cut.
    Parts {
        /// Parts, at least one.
        parts: u32,
        /// Bytes of the whole text, uncompressed.
        bytes: u32,
    },
}

flat_records! {
    MessageRecord "message" format 1 {
        body as (body, body_parts, body_bytes),
        mentions, revision, from, sent_ms, client_msg_id, kind as [beside media], reply_to, edited_ms, deleted, audience,
        media
    }, check check
}

impl Put for BodyRecord {
    type Stored = (Option<WIPOffset<&'static str>>, u32, u32);

    fn put(&self, builder: &mut Builder) -> Self::Stored {
        match self {
            Self::Inline(text) => (text.put(builder), 0, 0),
            &Self::Parts { parts, bytes } => (None, parts, bytes),
        }
    }
}

impl Take<(Option<&str>, u32, u32)> for BodyRecord {
    fn take((text, parts, bytes): (Option<&str>, u32, u32)) -> Result<Self, Illegal> {
        Ok(text.map_or(Self::Parts { parts, bytes }, |text| Self::Inline(text.into())))
    }
}
