//! The smallest rows of the layers: numbers and places that no other program reads.
//!
//! Owns their bytes: a format, then fields as keys have them. Counters are the store's own little-endian numbers.

use bytes::Bytes;
use schema::record::RecordError;
use schema::{Audience, ChannelId, MediaId, Medium, Position, Stamp, UnixMs, UserId};

use crate::fields::{Field, Reader, Writer, of_fields};

mod heartbeat;
mod timeline;
mod view;

pub use heartbeat::{Load, Said};
pub(crate) use timeline::{FannedRow, FeedRow, Phase, Stage, TimelineRow, Walk};
pub use timeline::{ParsePostPlaceError, Place};
pub(crate) use view::{Table, ViewRow};

/// The format of all of them.
const FORMAT: u8 = 1;

/// A row whose key says it all: reactions, mentions, edits to be indexed, the large channels of a user, token families.
pub(super) const MARK: &[u8] = &[FORMAT];

/// `batch`: the last batch of a shard that committed, which of its attempts, and where. The store puts the stamp there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchRow {
    pub(super) number: u64,
    pub(super) attempt: u32,
    pub(super) stamp: Stamp,
}

/// `import`: which dump is being written into this store, and how many of its parts are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ImportRow {
    pub(super) dump: u64,
    pub(super) parts: u64,
}

/// `clock`: the time that is believed, and for how long a later one was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockRow {
    pub(super) believed_ms: UnixMs,
    pub(super) doubted_ms: u64,
}

of_fields! {
    BatchRow { number: u64, attempt: u32, stamp: Stamp }
    ImportRow { dump: u64, parts: u64 }
    ClockRow { believed_ms: UnixMs, doubted_ms: u64 }
}

/// The row of these fields.
pub(super) fn row(fields: impl Field) -> Vec<u8> {
    Writer::behind(FORMAT).and(fields).0
}

/// Declares rows: the function that reads one, its fields, and its table.
macro_rules! rows {
    ($($read:ident: $fields:ty = $table:literal;)*) => {
        $(
            #[doc = concat!("Reads a row of `", $table, "`.")]
            pub(super) fn $read(bytes: &[u8]) -> Result<$fields, RecordError> {
                Reader::of_row($table, FORMAT, bytes)?.last::<$fields>()
            }
        )*

        /// Each reader, giving the row of what it has read.
        #[cfg(test)]
        const ALL: &[(&str, crate::fields::Read<Vec<u8>>)] = &[$(($table, |bytes| $read(bytes).map(row))),*];
    };
}

rows! {
    user: UserId = "username";
    holder: (UserId, Medium, String) = "address";
    floor: Position = "inbox floor";
    day: u32 = "dedup floor";
    clock: ClockRow = "clock";
    view: ViewRow = "view";
    beat: Said = "heartbeat";
    batch: BatchRow = "batch";
    import: ImportRow = "import";
    version: u32 = "template";
    event_cursor: Position = "event cursor";
    hook_cursor: Position = "hook cursor";
    feed: FeedRow = "feed of";
    post: Audience = "post";
    since: UnixMs = "follow";
    fanned: FannedRow = "fanned";
    timeline: (ChannelId, Audience) = "timeline";
    timeline_state: TimelineRow = "timeline state";
}

/// What a row says; where there is none, the default.
pub(super) fn or_default<T: Default>(
    row: Option<&Bytes>,
    read: impl FnOnce(&[u8]) -> Result<T, RecordError>,
) -> Result<T, RecordError> {
    row.map_or_else(|| Ok(T::default()), |row| read(row))
}

/// `inbox floor` at the end of the transaction that writes it: what stands before its stamp, and what after.
pub(super) fn floor_around_stamp() -> (&'static [u8], [u8; 2]) {
    (MARK, u16::MAX.to_be_bytes())
}

/// `joined`: the operand that changes a counter. Adding wraps, so what was added can be taken away.
pub(super) fn counter_change(change: i64) -> [u8; 8] {
    change.to_le_bytes()
}

/// `joined`.
pub(super) fn counter(bytes: &[u8]) -> Result<u64, RecordError> {
    bytes.try_into().map(u64::from_le_bytes).map_err(|_| damaged("counter", bytes))
}

/// `direct`: the channel of two users. It has no format.
pub(super) fn direct_row(channel: ChannelId) -> [u8; 8] {
    channel.0.to_be_bytes()
}

/// `direct`.
pub(super) fn direct(bytes: &[u8]) -> Result<ChannelId, RecordError> {
    bytes.try_into().map(|number| ChannelId(u64::from_be_bytes(number))).map_err(|_| damaged("direct", bytes))
}

/// `media hash`: the media of these bytes. It has no format.
pub(super) fn media_row(media: MediaId) -> [u8; 8] {
    media.0.to_be_bytes()
}

/// `media hash`.
pub(super) fn media(bytes: &[u8]) -> Result<MediaId, RecordError> {
    bytes.try_into().map(|number| MediaId(u64::from_be_bytes(number))).map_err(|_| damaged("media hash", bytes))
}

fn damaged(what: &'static str, bytes: &[u8]) -> RecordError {
    RecordError::Damaged { what, bytes: bytes.len(), why: "it is no number of eight bytes".into() }
}

#[cfg(test)]
mod tests {
    use schema::{Epoch, Seq};

    use super::*;

    /// Part of the stored format: no row changes a byte.
    #[test]
    fn rows_are_read_back_and_nothing_else_is_one() {
        let stamp = Stamp { version: 258, batch: 1 };
        let rows: [(Vec<u8>, &[u8]); 18] = [
            (row(UserId(3)), &[1, 0, 0, 0, 0, 0, 0, 0, 3]),
            (row((UserId(3), Medium::Fcm, "")), &[1, 0, 0, 0, 0, 0, 0, 0, 3, 2]),
            (row(stamp.at(9)), &[1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 9]),
            (row(20_000_u32), &[1, 0, 0, 0x4E, 0x20]),
            (
                row(ClockRow { believed_ms: UnixMs(1), doubted_ms: 7 }),
                &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7],
            ),
            (row(ViewRow { epoch: Epoch(3), table: None }), &[1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0]),
            (
                row(Said { count: 258, epoch: Epoch(3), wall: UnixMs(4), load: Load { sessions: 5, permille: 6 } }),
                &[1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 5, 0, 6],
            ),
            (
                row(BatchRow { number: 5, attempt: 6, stamp }),
                &[1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1],
            ),
            (row(ImportRow { dump: 4, parts: 9 }), &[1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9]),
            (row(7_u32), &[1, 0, 0, 0, 7]),
            (row(stamp.at(9)), &[1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 9]),
            (row(stamp.at(9)), &[1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 1, 0, 9]),
            (row(FeedRow { channel: ChannelId(9), is_marked: true }), &[1, 0, 0, 0, 0, 0, 0, 0, 9, 1]),
            (row(Audience::Public), &[1, 1]),
            (row(UnixMs(258)), &[1, 0, 0, 0, 0, 0, 0, 1, 2]),
            (
                row(FannedRow {
                    through: Some((UnixMs(5), Seq(6))),
                    now: Some(Walk {
                        sent_ms: UnixMs(7),
                        seq: Seq(8),
                        audience: Audience::Friends,
                        stage: Stage::Followers,
                        after: Some(UserId(9)),
                    }),
                    is_marked: true,
                    is_heavy: false,
                }),
                &[
                    1, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0,
                    0, 8, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0,
                ],
            ),
            (row((ChannelId(9), Audience::Friends)), &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0]),
            (
                row(TimelineRow {
                    seen_day: 258,
                    phase: Phase::Rebuilding,
                    trimmed_day: 257,
                    whole_through: Some(Place { sent_ms: UnixMs(7), author: UserId(8), seq: Seq(9) }),
                }),
                &[
                    1, 0, 0, 1, 2, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0,
                    0, 9,
                ],
            ),
        ];
        for ((name, again), (row, bytes)) in ALL.iter().zip(&rows) {
            assert_eq!((row.as_slice(), again(bytes).as_deref()), (*bytes, Ok(*bytes)), "{name}");
            for bad in [&bytes[..bytes.len() - 1], &bytes[1..], &[]] {
                assert!(matches!(again(bad), Err(RecordError::Damaged { .. })), "{name}: {bad:?}");
            }
            let newer = [&[2], &bytes[1..]].concat();
            assert!(matches!(again(&newer), Err(RecordError::Newer { found: 2, known: 1, .. })), "{name}");
        }
        assert_eq!(ALL.len(), rows.len());
        assert_eq!((or_default(None, floor), or_default(None, counter)), (Ok(Position::START), Ok(0)));
        assert_eq!((direct(&direct_row(ChannelId(9))), counter(&counter_change(3))), (Ok(ChannelId(9)), Ok(3)));
    }
}
