//! Media: pictures, video, sound and other files that messages and posts carry.
//!
//! Owns a media's name, its kind, and what a message says of one that it carries. Bytes are in an object store, which
//! knows nothing of messages; what the store keeps of a media is `record::MediaRecord`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use crate::id::MediaId;
use crate::message::is_zero;

/// What a media is, by its first bytes: a name or a header proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture that was decoded: it has a width, a height and thumbnails.
    Image,
    /// A video, as it was sent. Its poster is a picture that the client gave.
    Video,
    /// Sound.
    Audio,
    /// Anything else: to be saved, never shown by a browser.
    #[default]
    File,
}

/// One media of a message or post: what a page draws before it has loaded a byte of it. Cloning shares the texts.
///
/// Who may see the message may see it, by a URL that a node has signed: `POST /v1/media/urls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attachment {
    /// Which media.
    pub media_id: MediaId,
    /// What it is.
    pub kind: MediaKind,
    /// Its media type, of what its first bytes say: `image/jpeg`.
    pub content_type: Arc<str>,
    /// Its file's name, without a path; empty if its sender gave none.
    #[serde(default = "no_text", skip_serializing_if = "str::is_empty")]
    pub name: Arc<str>,
    /// Its length.
    pub bytes: u64,
    /// Pixels from left to right, as it is to be shown; 0 where it is no picture.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub width: u32,
    /// Pixels from top to bottom, likewise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub height: u32,
    /// A [BlurHash](https://blurha.sh) to draw before it is loaded; empty where it is no picture.
    #[serde(default = "no_text", skip_serializing_if = "str::is_empty")]
    pub blurhash: Arc<str>,
    /// The picture that stands for a video, a media of the same owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poster: Option<MediaId>,
}

impl Attachment {
    /// Bytes that it occupies beside a message that waits: its texts and what surrounds them, about.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        const AROUND_BYTES: usize = 128;
        AROUND_BYTES + self.content_type.len() + self.name.len() + self.blurhash.len()
    }
}

fn no_text() -> Arc<str> {
    Arc::from("")
}
