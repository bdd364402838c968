//! Sources of hits: what is not indexed, segments, and messages that have the terms.
//!
//! Owns what it takes to open one. A source has a bound: no hit in it has a greater place. Opening it gives hits, and
//! sources whose bounds are no greater. Upholds I10: messages that the user may not read are dropped before they are
//! read.

use std::cmp::Ordering;

use bytes::Bytes;
use schema::command::SearchHit;
use schema::record::{MessageRecord, RecordError};
use schema::{ChannelId, MessagePlace, Seq, UnixMs, UserId};

use super::damaged;
use super::directory::{Directory, DirectoryPage};
use super::query::Query;
use super::segment::Segment;
use super::words::TermRange;
use crate::keys;
use crate::{LayerError, content};
use kv::transaction::Transaction;

/// Messages of a source that are read at once: at first one, which tells when the others were sent at the latest.
const MESSAGES_FIRST: usize = 1;
const MESSAGES_MAX: usize = 32;
/// Messages not indexed yet that are read at once, at first and at most.
const TAIL_FIRST: u64 = 32;
const TAIL_MAX: u64 = 256;

/// What a message must be to be a hit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) query: &'a Query,
    pub(super) from: Option<UserId>,
    /// The terms of the query, in the order in which they are looked for.
    pub(super) terms: &'a [TermRange],
}

/// A channel that is searched.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) channel: ChannelId,
    /// What the user may read of it, as far as it is searched: first and last of each range, one at least.
    visible: Vec<(Seq, Seq)>,
    /// Messages that were sent later are not searched.
    latest: UnixMs,
    /// Whether the index does not have all of it.
    pub(super) behind: bool,
}

impl Place {
    /// What of a channel lies below a place; `None` if that is nothing.
    pub(super) fn below(
        end: MessagePlace,
        channel: ChannelId,
        mut visible: Vec<(Seq, Seq)>,
        behind: bool,
    ) -> Option<Self> {
        let latest = match channel.cmp(&end.channel_id) {
            Ordering::Less => end.sent_ms,
            Ordering::Equal => {
                // No later message was sent earlier, so the seq alone tells.
                visible.retain_mut(|(first, last)| {
                    *last = Seq(end.seq.0.saturating_sub(1)).min(*last);
                    *first <= *last
                });
                end.sent_ms
            }
            Ordering::Greater => UnixMs(end.sent_ms.0.checked_sub(1)?),
        };
        (!visible.is_empty()).then_some(Self { channel, visible, latest, behind })
    }

    /// The last message that is searched, if it was sent in time.
    fn last(&self) -> Seq {
        self.visible.last().expect("one range at least").1
    }

    /// A bound of what was sent up to a time and has a seq up to this.
    fn bound(&self, sent_ms: UnixMs, seq: Seq) -> MessagePlace {
        MessagePlace { sent_ms: sent_ms.min(self.latest), channel_id: self.channel, seq: seq.min(self.last()) }
    }

    fn shows(&self, seq: Seq) -> bool {
        self.visible.iter().any(|&(first, last)| (first..=last).contains(&seq))
    }

    fn overlaps(&self, segment: &Segment) -> bool {
        self.visible.iter().any(|&(first, last)| first <= segment.last() && segment.first() <= last)
    }
}

/// Where hits may be. Orders by bound; what else differs does not matter to when it is opened.
#[derive(Debug)]
pub(super) struct Source {
    /// No hit in it has a greater place.
    pub(super) bound: MessagePlace,
    /// Index of its channel.
    pub(super) place: usize,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Messages not indexed, some of which were sent too late.
    LateTail { first: Seq, last: Seq },
    /// Messages not indexed, and how many of them to read.
    Tail { first: Seq, last: Seq, count: u64 },
    /// A page of segments.
    Page(u32),
    /// A segment, and its only row if it lies in the directory. From the seq on, if there is one, all was sent too late.
    Segment { segment: Segment, row: Option<Bytes>, end: Option<Seq> },
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
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Source {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bound.cmp(&other.bound)
    }
}

/// What came of opening a source.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) sources: Vec<Source>,
    pub(super) hits: Vec<SearchHit>,
    /// Rows read.
    pub(super) reads: usize,
    /// Messages of a segment that have the first of the wanted terms, the second, and so on, as far as was looked.
    pub(super) with_terms: Vec<usize>,
    /// Bytes of the texts compared.
    pub(super) text_bytes: usize,
}

impl Source {
    /// The messages from the first that is not indexed on, the newest of the channel sent at `head_ms`.
    pub(super) fn tail(number: usize, place: &Place, first: Seq, head_ms: UnixMs) -> Option<Self> {
        let last = place.last();
        let what = if head_ms > place.latest {
            What::LateTail { first, last }
        } else {
            What::Tail { first, last, count: TAIL_FIRST }
        };
        (first <= last).then(|| Self { bound: place.bound(head_ms, last), place: number, what })
    }

    /// All that is indexed of a channel and is searched.
    pub(super) fn of_directory(number: usize, place: &Place, directory: Directory) -> impl Iterator<Item = Self> {
        let Directory { pages, paged_ms, segments, open, .. } = directory;
        let open = open.map(|(segment, row)| (segment, Some(row)));
        let segments = segments.into_iter().map(|segment| (segment, None)).chain(open);
        let within = segments.filter_map(move |(segment, row)| Self::segment(number, place, segment, row));
        within.chain(Self::page(number, pages, place.bound(paged_ms, place.last())))
    }

    fn segment(number: usize, place: &Place, segment: Segment, row: Option<Bytes>) -> Option<Self> {
        if segment.first_ms() > place.latest || !place.overlaps(&segment) {
            return None;
        }
        // Most segments that a time falls into need not be opened: all that they have before it is older than enough hits.
        let (end, last_ms) = segment.times.up_to(place.latest);
        let last = end.map_or(segment.last(), |end| Seq(end.0.saturating_sub(1)));
        Some(Self { bound: place.bound(last_ms, last), place: number, what: What::Segment { segment, row, end } })
    }

    /// The last of so many pages.
    fn page(place: usize, pages: u32, bound: MessagePlace) -> Option<Self> {
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
        let mut opened = Opened::default();
        match what {
            What::LateTail { first, last } => {
                let last = opened.last_in_time(tx, place, first, last).await?;
                opened.sources.extend(last.map(|last| {
                    let what = What::Tail { first, last, count: TAIL_FIRST };
                    Self { bound: place.bound(bound.sent_ms, last), place: number, what }
                }));
            }
            What::Tail { first, last, count } => {
                let read = first.max(Seq(last.0.saturating_sub(count - 1)));
                let seqs = (read.0..=last.0).map(Seq).filter(|seq| place.shows(*seq)).collect();
                let oldest = opened.compare(tx, place, wanted, seqs).await?.unwrap_or(bound.sent_ms);
                if first < read {
                    let last = Seq(read.0 - 1);
                    let what = What::Tail { first, last, count: (count * 2).min(TAIL_MAX) };
                    let bound = place.bound(oldest.min(bound.sent_ms), last);
                    opened.sources.push(Self { bound, place: number, what });
                }
            }
            What::Page(page) => {
                let key = keys::segments(place.channel, page);
                let row = tx.snapshot_get(&key).await?.ok_or_else(|| missing(place.channel, "page", page))?;
                let DirectoryPage { before_ms, segments } = DirectoryPage::decode(&row)?;
                let within = segments.into_iter().filter_map(|it| Self::segment(number, place, it, None));
                let older = place.bound(before_ms.min(bound.sent_ms), bound.seq);
                opened.sources.extend(within.chain(Self::page(number, page, older)));
                opened.reads = 1;
            }
            What::Segment { segment, row, end } => {
                let mut seqs = opened.matching(tx, place.channel, &segment, row.as_ref(), wanted.terms).await?;
                seqs.retain(|seq| place.shows(*seq) && end.is_none_or(|end| *seq < end));
                if let Some(&newest) = seqs.last() {
                    let bound = place.bound(segment.times.bound_of(newest).min(bound.sent_ms), newest);
                    let what = What::Messages { seqs, count: MESSAGES_FIRST };
                    opened.sources.push(Self { bound, place: number, what });
                }
            }
            What::Messages { mut seqs, count } => {
                let newest = seqs.split_off(seqs.len().saturating_sub(count));
                let oldest = opened.compare(tx, place, wanted, newest).await?.unwrap_or(bound.sent_ms);
                if let Some(&newest) = seqs.last() {
                    let what = What::Messages { seqs, count: (count * 2).min(MESSAGES_MAX) };
                    let bound = place.bound(oldest.min(bound.sent_ms), newest);
                    opened.sources.push(Self { bound, place: number, what });
                }
            }
        }
        Ok(opened)
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
            if record.deleted || record.sent_ms > place.latest || wanted.from.is_some_and(|from| from != record.from) {
                continue;
            }
            let text = match content::text(tx, (channel_id, seq), &record).await {
                Err(LayerError::Record(_)) => continue,
                text => text?,
            };
            let text = content::searched(&text, &record);
            self.text_bytes += text.len();
            if let Some(snippet) = wanted.query.snippet(&text) {
                let MessageRecord { sent_ms, from, .. } = record;
                self.hits.push(SearchHit { channel_id, seq, sent_ms, from, snippet });
            }
        }
        Ok(oldest)
    }

    /// The messages of a segment that have every term, ascending. Looks no further than to the first term after which none
    /// is left.
    async fn matching<T: Transaction>(
        &mut self,
        tx: &T,
        channel: ChannelId,
        segment: &Segment,
        only_row: Option<&Bytes>,
        terms: &[TermRange],
    ) -> Result<Vec<Seq>, LayerError> {
        let mut matching: Option<Vec<Seq>> = None;
        for &range in terms {
            let mut with_term = Vec::new();
            for at @ (number, _) in segment.rows_of(range) {
                let row = match only_row {
                    Some(row) => row.clone(),
                    None => {
                        self.reads += 1;
                        let number = u16::try_from(number).expect("rows are below 65,536");
                        let key = keys::posting(channel, segment.id, number);
                        tx.snapshot_get(&key).await?.ok_or_else(|| missing(channel, "segment", segment.id))?
                    }
                };
                segment.read(at, &row, range, |_, seq| with_term.push(seq))?;
            }
            with_term.sort_unstable();
            with_term.dedup();
            self.with_terms.push(with_term.len());
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
        Ok(matching.unwrap_or_default())
    }

    /// The last of these messages that was sent in time, by halving.
    async fn last_in_time<T: Transaction>(
        &mut self,
        tx: &T,
        place: &Place,
        first: Seq,
        last: Seq,
    ) -> Result<Option<Seq>, LayerError> {
        let (mut in_time, mut late) = (first.0 - 1, last.0 + 1);
        while in_time + 1 < late {
            let middle = Seq(in_time.midpoint(late));
            self.reads += 1;
            let records = content::records(tx, &[(place.channel, middle)]).await?;
            // What cannot be read counts as in time, so that nothing before it is left out.
            let record = records.first().and_then(|(_, record)| record.as_ref());
            if record.is_some_and(|record| record.sent_ms > place.latest) {
                late = middle.0;
            } else {
                in_time = middle.0;
            }
        }
        Ok((in_time >= first.0).then_some(Seq(in_time)))
    }
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

fn missing(channel: ChannelId, what: &str, number: u32) -> RecordError {
    damaged(channel, &format!("{what} {number} is missing"))
}
