//! Directory of a channel's index: the seq up to which it goes, its segments, and the messages that fill none yet.
//!
//! Owns the rows `indexed` and `segments`. The newest segments are in the first, with those messages' own rows; when
//! they become many the oldest go to a page, which never changes. So both stay small, and a search reads one row for
//! most channels.

use bytes::Bytes;
use schema::record::RecordError;
use schema::{Seq, UnixMs};

use super::segment::Segment;
use super::{FORMAT, is_outdated};
use crate::fields::{Reader, Writer};

/// Segments in `indexed` beyond which the oldest go to a page. Only the last may still grow.
const LISTED_MAX: usize = 8;
/// Segments of a page. At some 70 rows each, which take 3 bytes, and 512 times, 4 KB.
const PAGE_SEGMENTS: usize = 5;

/// `indexed`: a channel's index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Directory {
    /// Messages up to here are in the index.
    pub(super) through: Seq,
    /// The number of the next segment.
    pub(super) next_id: u32,
    /// Pages of older segments.
    pub(super) pages: u32,
    /// When the newest message of any page was sent.
    pub(super) paged_ms: UnixMs,
    /// The newest segments, the oldest of them first.
    pub(super) segments: Vec<Segment>,
    /// The messages that fill no segment yet, with the row of what is nearly one.
    pub(super) open: Option<(Segment, Bytes)>,
}

/// `segments`: some older segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirectoryPage {
    /// When the newest message of any page before was sent.
    pub(super) before_ms: UnixMs,
    /// The oldest first.
    pub(super) segments: Vec<Segment>,
}

impl Directory {
    pub(super) fn encode(&self) -> Vec<u8> {
        let writer = Writer::behind(FORMAT).number(self.through.0).number(self.next_id);
        let writer = put_segments(writer.number(self.pages).number(self.paged_ms.0), &self.segments);
        match &self.open {
            None => writer.number(0_u64).0,
            Some((segment, row)) => segment.put(writer.number(1_u64)).bytes(row).0,
        }
    }

    /// A channel without the row is not indexed, nor is one with an index of an earlier format.
    pub(super) fn decode(row: Option<&Bytes>) -> Result<Self, RecordError> {
        let Some(row) = row.filter(|row| !is_outdated(row)) else { return Ok(Self::default()) };
        let mut reader = Reader::of_row("indexed", FORMAT, row)?;
        let mut directory = Self {
            through: Seq(reader.number()?),
            next_id: reader.number()?,
            pages: reader.number()?,
            paged_ms: UnixMs(reader.number()?),
            segments: take_segments(&mut reader, row)?,
            open: None,
        };
        match reader.number::<u64>()? {
            0 => {}
            1 => {
                let segment = Segment::take(&mut reader, row)?;
                directory.open = Some((segment, row.slice_ref(reader.bytes()?)));
            }
            _ => return Err(reader.damaged("it has more than one open segment")),
        }
        reader.end(directory)
    }

    /// The number of a new segment.
    pub(super) fn draw_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Takes the oldest segments out if they have become many: the page to be written, and its number.
    pub(super) fn turn_page(&mut self) -> Option<(u32, DirectoryPage)> {
        if self.segments.len() <= LISTED_MAX {
            return None;
        }
        let segments: Vec<Segment> = self.segments.drain(..PAGE_SEGMENTS).collect();
        let page = DirectoryPage { before_ms: self.paged_ms, segments };
        let number = self.pages;
        self.pages += 1;
        self.paged_ms = page.segments.iter().map(Segment::last_ms).fold(self.paged_ms, UnixMs::max);
        Some((number, page))
    }
}

impl DirectoryPage {
    pub(super) fn encode(&self) -> Vec<u8> {
        put_segments(Writer::behind(FORMAT).number(self.before_ms.0), &self.segments).0
    }

    pub(super) fn decode(row: &Bytes) -> Result<Self, RecordError> {
        let mut reader = Reader::of_row("segments", FORMAT, row)?;
        let page = Self { before_ms: UnixMs(reader.number()?), segments: take_segments(&mut reader, row)? };
        reader.end(page)
    }
}

fn put_segments(writer: Writer, segments: &[Segment]) -> Writer {
    segments.iter().fold(writer.number(segments.len() as u64), |writer, segment| segment.put(writer))
}

fn take_segments(reader: &mut Reader<'_>, row: &Bytes) -> Result<Vec<Segment>, RecordError> {
    let count = reader.count()?;
    (0..count).map(|_| Segment::take(reader, row)).collect()
}
