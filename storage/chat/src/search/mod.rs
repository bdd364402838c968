//! Looking for words in what one may read.
//!
//! Owns the index of each channel's messages and the search over the channels of a user. The index is written behind the
//! append, up to `indexed · channel`, by whoever calls [`advance`]; what it does not have yet a search reads from the
//! messages. It only says where to look: every hit is a message whose text, as it is now, has what was asked for.
//! Upholds I10: every hit lies within the ranges that the user may read.
//!
//! ```text
//! fold        what looks alike is written alike          words       where texts are cut, and the terms of the parts
//! bits        numbers in few bits                        segment     which messages have which terms
//! packed      numbers in few bytes                       directory   the segments of a channel
//! advance     the index follows the messages             query       what is asked for, and texts that have it
//! find        the search, newest first                   source      where hits may be
//! verify      whether the index has every message
//! ```

mod advance;
mod bits;
mod directory;
mod find;
mod fold;
mod packed;
mod query;
mod segment;
mod source;
mod verify;
mod words;

pub use advance::advance;
pub use find::query;
pub use verify::{IndexSize, verify};

use super::LayerError;
use kv::retry::Abort;

/// What the store says may be tried again, all else ends the call.
fn stored(error: LayerError) -> Abort<LayerError> {
    match error {
        LayerError::Store(error) => Abort::Store(error),
        LayerError::Record(_) | LayerError::Refused(_) => Abort::Refused(error),
    }
}
