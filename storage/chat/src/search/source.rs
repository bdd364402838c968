//! Where hits may be: what is not indexed, segments, and messages that have the terms.
//!
//! Owns what it takes to open one. A source has a bound: no hit in it was sent later. Opening it gives hits, and sources whose
//! bounds are no greater. Upholds I10: messages that the user may not read are dropped before they are read.

use bytes::Bytes;
use schema::command::SearchHit;
use schema::record::{MessageRecord, RecordError};
use schema::{ChannelId, Seq, UnixMs, UserId};

use super::directory::{Directory, DirectoryPage};
use super::query::Query;
use super::segment::Segment;
use crate::keys;
use crate::{LayerError, content};
use kv::transaction::Transaction;

/// Messages of a source that are read at once: at first one, which tells when the others were sent at the latest.
const MESSAGES_FIRST: usize = 1;
const MESSAGES_MAX: usize = 32;

/// What a message must be to be a hit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) query: &'a Query,
    pub(super) from: Option<UserId>,
    pub(super) before: UnixMs,
}

/// A channel that is searched.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) channel: ChannelId,
    /// What the user may read of it: first and last of each range.
    pub(super) visible: Vec<(Seq, Seq)>,
    /// Whether the index does not have all of it.
    pub(super) behind: bool,
}

impl Place {
    fn shows(&self, seq: Seq) -> bool {
        self.visible.iter().any(|&(first, last)| (first..=last).contains(&seq))
    }

    fn overlaps(&self, segment: &Segment) -> bool {
        self.visible.iter().any(|&(first, last)| first <= segment.last() && segment.first() <= last)
    }
}

/// Where hits may be. Orders by bound, then by channel; what else differs does not matter to when it is opened.
#[derive(Debug)]
pub(super) struct Source {
    /// When the newest hit in it was sent at the latest.
    pub(super) bound: UnixMs,
    /// Index of its channel.
    pub(super) place: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Messages, the newest of them this, so many at most.
    Tail { last: Seq, count: u64 },
    /// A page of segments.
    Page(u32),
    /// A segment, and its only row if it lies in the directory.
    Segment(Segment, Option<Bytes>),
    /// Messages that have the terms, ascending, and how many to read.
    Messages { seqs: Vec<Seq>, count: usize },
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Source {}

impl PartialOrd for Source {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Source {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.bound, self.place).cmp(&(other.bound, other.place))
    }
}

/// What came of opening a source.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) sources: Vec<Source>,
    pub(super) hits: Vec<SearchHit>,
    /// Rows read.
    pub(super) reads: usize,
    /// Bytes of the texts compared.
    pub(super) text_bytes: usize,
}

impl Source {
    /// The newest `count` messages up to one, none of them sent after `bound`.
    pub(super) fn tail(place: usize, last: Seq, count: u64, bound: UnixMs) -> Self {
        Self { bound, place, what: What::Tail { last, count } }
    }

    /// All that is indexed of a channel and was sent before a time.
    pub(super) fn of_directory(
        number: usize,
        place: &Place,
        directory: Directory,
        before: UnixMs,
    ) -> impl Iterator<Item = Self> {
        let Directory { pages, paged_ms, segments, open, .. } = directory;
        let open = open.map(|(segment, row)| (segment, Some(row)));
        let segments = segments.into_iter().map(|segment| (segment, None)).chain(open);
        let within = segments.filter_map(move |(segment, row)| Self::segment(number, place, segment, row, before));
        within.chain(Self::page(number, pages, paged_ms.min(before)))
    }

    fn segment(number: usize, place: &Place, segment: Segment, row: Option<Bytes>, before: UnixMs) -> Option<Self> {
        let bound = segment.last_ms().min(before);
        let within = segment.first_ms() < before && place.overlaps(&segment);
        within.then_some(Self { bound, place: number, what: What::Segment(segment, row) })
    }

    /// The last of so many pages.
    fn page(place: usize, pages: u32, bound: UnixMs) -> Option<Self> {
        let last = pages.checked_sub(1)?;
        Some(Self { bound, place, what: What::Page(last) })
    }

    /// What is in it.
    pub(super) async fn open<T: Transaction>(
        self,
        tx: &T,
        place: &Place,
        wanted: Wanted<'_>,
    ) -> Result<Opened, LayerError> {
        let Self { bound, place: number, what } = self;
        match what {
            What::Tail { last, count } => {
                let first = Seq(last.0 - (count - 1).min(last.0 - 1));
                let read = first.max(Seq(last.0.saturating_sub(MESSAGES_MAX as u64 - 1)));
                let seqs = (read.0..=last.0).map(Seq).filter(|seq| place.shows(*seq)).collect();
                let mut opened = Opened::default();
                let oldest = opened.compare(tx, place, wanted, seqs).await?.unwrap_or(bound);
                let left = read.0 - first.0;
                if left > 0 {
                    let last = Seq(read.0 - 1);
                    opened.sources.push(Self::tail(number, last, left, oldest.min(bound)));
                }
                Ok(opened)
            }
            What::Page(page) => {
                let key = keys::segments(place.channel, page);
                let row = tx.snapshot_get(&key).await?.ok_or_else(|| missing(place.channel, "page", page))?;
                let DirectoryPage { before_ms, segments } = DirectoryPage::decode(&row)?;
                let segments = segments.into_iter();
                let within = segments.filter_map(|it| Self::segment(number, place, it, None, wanted.before));
                let sources = within.chain(Self::page(number, page, before_ms.min(bound))).collect();
                Ok(Opened { sources, reads: 1, ..Opened::default() })
            }
            What::Segment(segment, row) => {
                let (mut seqs, reads) = matching(tx, place.channel, &segment, row.as_ref(), wanted.query).await?;
                let end = segment.end_of(wanted.before);
                seqs.retain(|seq| place.shows(*seq) && end.is_none_or(|end| *seq < end));
                let mut opened = Opened { reads, ..Opened::default() };
                if let Some(newest) = seqs.last() {
                    let bound = segment.bound_of(*newest).min(bound);
                    let what = What::Messages { seqs, count: MESSAGES_FIRST };
                    opened.sources.push(Self { bound, place: number, what });
                }
                Ok(opened)
            }
            What::Messages { mut seqs, count } => {
                let newest = seqs.split_off(seqs.len().saturating_sub(count));
                let mut opened = Opened::default();
                let oldest = opened.compare(tx, place, wanted, newest).await?.unwrap_or(bound);
                if !seqs.is_empty() {
                    let what = What::Messages { seqs, count: (count * 2).min(MESSAGES_MAX) };
                    opened.sources.push(Self { bound: oldest.min(bound), place: number, what });
                }
                Ok(opened)
            }
        }
    }
}

impl Opened {
    /// Reads messages and keeps those that are hits. When the oldest of them was sent; `None` without any.
    async fn compare<T: Transaction>(
        &mut self,
        tx: &T,
        place: &Place,
        wanted: Wanted<'_>,
        seqs: Vec<Seq>,
    ) -> Result<Option<UnixMs>, LayerError> {
        self.reads += seqs.len();
        let places: Vec<(ChannelId, Seq)> = seqs.into_iter().map(|seq| (place.channel, seq)).collect();
        let mut oldest = None;
        for ((channel_id, seq), record) in content::records(tx, &places).await? {
            let Some(record) = record else { continue };
            oldest = oldest.or(Some(record.sent_ms));
            if record.deleted || record.sent_ms >= wanted.before || wanted.from.is_some_and(|from| from != record.from)
            {
                continue;
            }
            let text = match content::text(tx, (channel_id, seq), &record).await {
                Err(LayerError::Record(_)) => continue,
                text => text?,
            };
            self.text_bytes += text.len();
            if let Some(snippet) = wanted.query.snippet(&text) {
                let MessageRecord { sent_ms, from, .. } = record;
                self.hits.push(SearchHit { channel_id, seq, sent_ms, from, snippet });
            }
        }
        Ok(oldest)
    }
}

/// The messages of a segment that have every term, ascending, and how many rows told so.
async fn matching<T: Transaction>(
    tx: &T,
    channel: ChannelId,
    segment: &Segment,
    only_row: Option<&Bytes>,
    query: &Query,
) -> Result<(Vec<Seq>, usize), LayerError> {
    let mut matching: Option<Vec<Seq>> = None;
    let mut reads = 0;
    for &range in &query.terms {
        let mut with_term = Vec::new();
        for number in segment.rows_of(range) {
            let row = match only_row {
                Some(row) => row.clone(),
                None => {
                    reads += 1;
                    let key = keys::posting(channel, segment.id, u16::try_from(number).expect("rows are below 65,536"));
                    tx.snapshot_get(&key).await?.ok_or_else(|| missing(channel, "segment", segment.id))?
                }
            };
            segment.read(number, &row, range, |_, seq| with_term.push(seq))?;
        }
        with_term.sort_unstable();
        with_term.dedup();
        let both = match matching.take() {
            None => with_term,
            Some(before) => intersection(&before, &with_term),
        };
        let none = both.is_empty();
        matching = Some(both);
        if none {
            break;
        }
    }
    Ok((matching.unwrap_or_default(), reads))
}

/// What is in both of two ascending lists.
fn intersection(one: &[Seq], other: &[Seq]) -> Vec<Seq> {
    let mut rest = other.iter().peekable();
    let has = |seq: &Seq| {
        while rest.next_if(|other| *other < seq).is_some() {}
        rest.next_if_eq(&seq).is_some()
    };
    let mut both = one.to_vec();
    both.retain(has);
    both
}

fn missing(channel: ChannelId, what: &'static str, number: u32) -> RecordError {
    RecordError::Damaged { what: "index", bytes: 0, why: format!("{what} {number} of channel {channel} is missing") }
}
