//! Records of media: what is known of one, and how far an upload is. Bytes are in an object store.

use super::flat_records;
use crate::generated::rookery::record as fb;
use crate::id::{MediaId, UserId};
use crate::media::Attachment;
use crate::time::UnixMs;

/// `media`: a media that is whole and may be attached. There is no row before that, and none once its bytes are to go.
///
/// Who attaches it reads this row in the same transaction, checked at commit, and writes `media use · media · channel ·
/// seq`: the removal reads those and clears this row, so of the two one fails. Who takes a use away clears that row and
/// writes `media due · now · media`; upkeep then removes the media unless another use or `reserved_ms` keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRecord {
    /// Who uploaded it: nobody else may attach it.
    pub owner: UserId,
    /// What messages that carry it say of it, each with a copy.
    pub attachment: Attachment,
    /// SHA-256 of the bytes as they are served, and its `ETag`.
    pub sha256: [u8; 32],
    /// SHA-256 of the bytes as they were uploaded: differs where metadata was taken out of a picture.
    pub uploaded_sha256: [u8; 32],
    /// When it was whole.
    pub created_ms: UnixMs,
    /// Until when it stays though nothing holds it, where its owner uploaded the same bytes again; 0 if not.
    pub reserved_ms: UnixMs,
    /// Bytes of each of the original's objects but the last.
    pub part_bytes: u64,
    /// The thumbnails that there are, a bit each: small 1, medium 2, large 4.
    pub thumbnails: u32,
    /// The media type of the thumbnails; empty without any.
    pub thumbnails_type: String,
}

/// `upload`: a resumable upload that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRecord {
    /// Who uploads.
    pub owner: UserId,
    /// The file's name, without a path.
    pub name: String,
    /// The picture that is to stand for it, if it is a video.
    pub poster: Option<MediaId>,
    /// Bytes that it will have.
    pub length: u64,
    /// Bytes that are in the object store, durable, from the first on.
    pub offset: u64,
    /// Bytes of each of its objects but the last.
    pub part_bytes: u64,
    /// When it was begun.
    pub created_ms: UnixMs,
    /// When it is removed if it is not whole by then.
    pub expires_ms: UnixMs,
    /// The media that it became in the place of its own: one that the account had of the same bytes.
    pub became: Option<MediaId>,
}

flat_records! {
    MediaRecord "media" format 1 {
        owner, attachment, sha256, uploaded_sha256, created_ms, reserved_ms, part_bytes, thumbnails, thumbnails_type
    }, check has_parts
    UploadRecord "upload" format 1 { owner, name, poster, length, offset, part_bytes, created_ms, expires_ms, became }, check has_parts
}

impl MediaRecord {
    fn has_parts(&self) -> Result<(), String> {
        has_bytes(self.part_bytes)
    }
}

impl UploadRecord {
    fn has_parts(&self) -> Result<(), String> {
        has_bytes(self.part_bytes)
    }
}

fn has_bytes(part_bytes: u64) -> Result<(), String> {
    if part_bytes > 0 { Ok(()) } else { Err("its parts have no bytes".to_owned()) }
}
