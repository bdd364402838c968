//! Media: what is known of pictures and files, who holds one, and when one is to go.
//!
//! Owns the rows `media`, `media hash`, `media due`, `upload` and `media of`, and what `media use` means. Knows no bytes:
//! who writes and removes objects is told here when it may.
//!
//! ```text
//! uploads   what is being uploaded, in one request or several
//! whole     media that are whole: made, found again by their bytes, read
//! carried   what messages carry, for those who may read them
//! sweep     what nothing holds any more
//! ```
//!
//! **No object without a row.** Before the first byte of a media is written there is a `media due` for it, which stays
//! until the media is whole or its objects are gone. So whatever breaks off, the sweep finds it.
//!
//! **Uses.** `media use · media · channel · seq` says that a message holds a media; with channel 0 `seq` is the media
//! whose poster it is. The appender reads the `media` row of what a message is to carry, checked at commit, and writes
//! the use. The sweep reads the uses, checked at commit, and clears the row: of the two one fails, and no message is
//! committed whose media is being removed. Whoever takes a use away writes `media due · now · media`; the sweep removes
//! what has no other use.
//!
//! A `media due` is a time at which to look, not a verdict: of one media there may be several, and each is cleared once
//! it was looked at.

mod carried;
mod sweep;
mod uploads;
mod whole;

use schema::limits::MEDIA_UNUSED_MS;
use schema::{MediaId, UnixMs};

use crate::keys;
use kv::transaction::Transaction;

pub use carried::carried;
pub use sweep::{Due, Looked, due, forget, look, put_off, release_some};
pub use uploads::{Begun, abandon, advance, begin, begin_resumable, upload};
pub use whole::{Completed, complete, get, get_either, same};

/// What a row says that only has to be there.
const MARK: &[u8] = &[1];

/// Has the sweep look at a media.
pub(crate) fn look_at<T: Transaction>(tx: &mut T, media: MediaId, at: UnixMs) {
    tx.set(&keys::media_due(at, media), MARK);
}

/// When a media goes that nothing holds, of one that was uploaded now.
fn unused_at(now: UnixMs) -> UnixMs {
    now.plus_ms(MEDIA_UNUSED_MS)
}
