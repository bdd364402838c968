//! Looking for words in what one may read.
//!
//! Owns the index of each channel's messages and the search over the channels of a user. The index is written behind
//! the append, up to `indexed · channel`, by whoever calls [`advance`]; what it does not have yet a search reads from
//! the messages. It only says where to look: every hit is a message whose text, as it is now, has what was asked for.
//! Upholds I10: every hit lies within the ranges that the user may read.
//!
//! ```text
//! fold        what looks alike is written alike          words       where texts are cut, and the terms of the parts
//! bits        numbers in few bits                        row         terms and their messages
//! segment     which messages have which terms            times       when they were sent
//! advance     the index follows the messages             directory   the segments of a channel
//! find        the search, newest first                   query       what is asked for, and texts that have it
//! verify      whether the index has every message        source      where hits may be
//! rarity      which term to look for first
//! ```

mod advance;
mod bits;
mod directory;
mod find;
mod fold;
mod query;
mod rarity;
mod row;
mod segment;
mod source;
mod times;
mod verify;
mod words;

pub use advance::advance;
pub use find::query;
pub use verify::{IndexSize, verify};

use schema::ChannelId;
use schema::record::RecordError;

use super::LayerError;
use kv::transaction::{RangeRequest, Row, Transaction};

/// The format of all that the index stores: folding, terms, segments and directories. An index of an earlier one is
/// made anew.
const FORMAT: u8 = 3;

/// Whether a row is of an earlier format.
fn is_outdated(row: &[u8]) -> bool {
    row.first().is_some_and(|format| (1..FORMAT).contains(format))
}

/// The index of a channel is not as it says.
fn damaged(channel: ChannelId, why: &str) -> RecordError {
    RecordError::Damaged { what: "index", bytes: 0, why: format!("channel {channel}: {why}") }
}

/// All rows of a range.
async fn all<T: Transaction>(tx: &T, range: RangeRequest) -> Result<Vec<Row>, LayerError> {
    let (mut rows, mut next) = (Vec::new(), Some(range));
    while let Some(range) = next {
        let page = tx.snapshot_get_range(&range).await?;
        next = RangeRequest::after(range, &page);
        rows.extend(page.rows);
    }
    Ok(rows)
}
