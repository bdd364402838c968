//! Media: what a file is, pictures and their thumbnails, and the objects that hold the bytes.
//!
//! Owns everything that is done to a file's bytes between a request and the object store. Knows no HTTP, no accounts and
//! no messages: who may upload or see a media is `api`'s and `chat`'s.
//!
//! ```text
//! sniff      what a file is by its first bytes; what its name and its sender say of it proves nothing
//! strip      metadata out of a picture, without decoding it
//! pictures   a picture decoded within limits: orientation, thumbnails, BlurHash
//! worker     the thread that works on pictures, one after the other
//! objects    the object store: a directory, or S3 and compatible; files in parts, their removal, free space
//! turns      one request at a time writes to an upload of several
//! library    all of it, for a node
//! ```

mod library;
mod objects;
mod pictures;
mod sniff;
mod strip;
mod turns;
mod worker;

pub use library::{Counts, FinishError, Finished, Library, Limits, Place, Writing, Written};
pub use objects::{Objects, PART_BYTES, S3, StoreError, Variant};
pub use pictures::{Picture, PictureError, PictureLimits, Thumbnail, thumbnail_bits};
pub use sniff::{Sniffed, contradiction, file_name, is_inline, sniff};
pub use turns::Turn;
pub use worker::PICTURES_THREAD;
