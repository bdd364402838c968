//! The search over the channels of a user, newest first.
//!
//! Owns which channels are searched, the order in which sources are opened, and when to stop: once enough hits are
//! newer than every bound that is left, or the work has reached [`READS_MAX`] rows or [`TEXT_BYTES_MAX`] of texts. A
//! page that ends there holds what is newer than the greatest bound left, and the next page goes on from it, so no hit
//! is ever skipped.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use bytes::Bytes;
use schema::command::{self, SearchHit, SearchPage};
use schema::limits::{CHANNELS_OF_USER_MAX, SEARCH_HITS_MAX};
use schema::page::FoundPage;
use schema::record::{HeadRecord, MemberRecord, SeqRange};
use schema::{ChannelId, ErrorCode, MessagePlace, Refusal, Seq, UnixMs, UserId};

use super::directory::Directory;
use super::query::Query;
use super::rarity::Rarity;
use super::source::{Place, Source, Wanted};
use crate::keys;
use crate::{LayerError, read, visible};
use kv::join;
use kv::transaction::{Begin, Engine, Transaction};

/// Rows of the index and messages that one search reads: ten a channel of a user in 2,000.
const READS_MAX: usize = 20_000;
/// Bytes of texts that one search compares: some 0.1 s.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// Sources opened at once, at first and at most: a word in every message is found in a few, a word in none takes all.
const WIDTH_FIRST: usize = 32;
const WIDTH_MAX: usize = 256;
/// Keys of one read.
const KEYS: usize = 256;
/// Bytes of the largest list of memberships: 2,000 with eight ranges each take 1 MB.
const MEMBERSHIPS_BYTES: u32 = 4 << 20;

/// A channel, and what the user may read of it.
type Readable = (ChannelId, Vec<SeqRange>);

/// The newest messages with all words of a query, among what the user may read: now, or since it left.
///
/// The page begins after `request.cursor`, and before `request.before_ms`. Its own cursor is there if older hits may
/// follow: where `limit` ended the page, and where the bounds of one search did. Clients that go on by `before_ms`
/// alone lose what was sent in the millisecond of the last hit, so a page that was asked for without a cursor ends
/// between two times unless all of it is of one. Of channels left, those made last count, as many as one may be in.
///
/// # Errors
/// 106 for a query of over 200 characters, 107 for one without a word, 102 for a channel in which the user never was;
/// the store's, and damage.
pub async fn query<E: Engine>(engine: &E, user: UserId, request: &command::Search) -> Result<FoundPage, LayerError> {
    let query = Query::parse(&request.query, request.from)?;
    let limit = request.limit.clamp(1, SEARCH_HITS_MAX) as usize;
    read!(engine, Begin::Fresh, |tx| {
        let readable = match request.channel_id {
            Some(channel) => vec![readable_channel(&tx, user, channel).await?],
            None => readable_channels(&tx, user).await?,
        };
        let mut search = Search::over(&tx, readable, end(request)).await?;
        search.run(&tx, &query, request.from, limit + 1).await?;
        let behind = search.places.iter().filter(|place| place.behind).map(|place| place.channel).collect();
        Ok(FoundPage { page: search.page(limit, request.cursor.is_none()), behind })
    })
}

/// The place below which hits are wanted.
fn end(request: &command::Search) -> MessagePlace {
    let whole = MessagePlace { sent_ms: UnixMs(u64::MAX), channel_id: ChannelId(u64::MAX), seq: Seq(u64::MAX) };
    let before = |sent_ms| MessagePlace { sent_ms, channel_id: ChannelId(0), seq: Seq::ZERO };
    let before = request.before_ms.map_or(whole, before);
    request.cursor.map_or(before, |cursor| cursor.min(before))
}

/// The channel, if the user is or was in it.
async fn readable_channel<T: Transaction>(tx: &T, user: UserId, channel: ChannelId) -> Result<Readable, LayerError> {
    let (member, former) = (keys::member(channel, user), keys::former(channel, user));
    let (member, former) = join::both(tx.get(&member), tx.get(&former)).await?;
    match member.or(former) {
        Some(row) => Ok((channel, MemberRecord::decode(&row)?.ranges)),
        None => Err(Refusal::new(ErrorCode::UnknownChannel, format!("no channel {channel}")).into()),
    }
}

/// The channels in which the user is or was.
async fn readable_channels<T: Transaction>(tx: &T, user: UserId) -> Result<Vec<Readable>, LayerError> {
    let memberships = keys::memberships_after(user, None).rows(CHANNELS_OF_USER_MAX).bytes(MEMBERSHIPS_BYTES);
    let left = keys::left_newest(user).rows(CHANNELS_OF_USER_MAX);
    let (memberships, left) = join::both(tx.snapshot_get_range(&memberships), tx.snapshot_get_range(&left)).await?;
    let mut readable = Vec::with_capacity(memberships.rows.len() + left.rows.len());
    for row in &memberships.rows {
        readable.push((keys::membership_of(&row.key)?.1, MemberRecord::decode(&row.value)?.ranges));
    }
    let mut formers = Vec::with_capacity(left.rows.len());
    for row in &left.rows {
        formers.push(keys::left_of(&row.key)?.1);
    }
    let rows = read_all(tx, formers.iter().map(|&channel| keys::former(channel, user))).await?;
    for (channel, row) in formers.into_iter().zip(rows) {
        if let Some(row) = row {
            readable.push((channel, MemberRecord::decode(&row)?.ranges));
        }
    }
    Ok(readable)
}

/// The values of keys, in their order.
async fn read_all<T: Transaction>(
    tx: &T,
    keys: impl Iterator<Item = Vec<u8>>,
) -> Result<Vec<Option<Bytes>>, LayerError> {
    let keys: Vec<Vec<u8>> = keys.collect();
    let mut values = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS) {
        values.extend(tx.snapshot_get_all(keys).await?);
    }
    Ok(values)
}

/// A search under way.
struct Search {
    places: Vec<Place>,
    sources: BinaryHeap<Source>,
    /// The newest first.
    hits: BTreeMap<Reverse<MessagePlace>, SearchHit>,
    /// The greatest place that was not looked at, if the bounds of one search ended it.
    frontier: Option<MessagePlace>,
}

impl Search {
    /// Everything in these channels below a place.
    async fn over<T: Transaction>(tx: &T, readable: Vec<Readable>, end: MessagePlace) -> Result<Self, LayerError> {
        let channels = || readable.iter().map(|&(channel, _)| channel);
        let heads = read_all(tx, channels().map(keys::head)).await?;
        let indexed = read_all(tx, channels().map(keys::indexed)).await?;
        let mut search = Self { places: Vec::new(), sources: BinaryHeap::new(), hits: BTreeMap::new(), frontier: None };
        for (((channel, ranges), head), indexed) in readable.into_iter().zip(heads).zip(indexed) {
            let Some(head) = head.map(|row| HeadRecord::decode(&row)).transpose()? else { continue };
            let directory = Directory::decode(indexed.as_ref())?;
            let behind = directory.through < head.seq;
            let spans = visible::spans(&ranges, head.seq);
            let Some(place) = Place::below(end, channel, spans, behind) else { continue };
            let number = search.places.len();
            search.sources.extend(Source::tail(number, &place, directory.through.next(), head.sent_ms));
            search.sources.extend(Source::of_directory(number, &place, directory));
            search.places.push(place);
        }
        Ok(search)
    }

    /// Opens sources until so many hits are newer than what is left.
    async fn run<T: Transaction>(
        &mut self,
        tx: &T,
        query: &Query,
        from: Option<UserId>,
        hits: usize,
    ) -> Result<(), LayerError> {
        let (mut reads, mut text_bytes) = (0, 0);
        let mut rarity = Rarity::of(&query.terms);
        let mut width = WIDTH_FIRST;
        while let Some(next) = self.sources.peek() {
            if let Some((Reverse(last), _)) = self.hits.iter().nth(hits - 1)
                && *last >= next.bound
            {
                return Ok(());
            }
            if reads > READS_MAX || text_bytes > TEXT_BYTES_MAX {
                self.frontier = Some(next.bound);
                return Ok(());
            }
            let sources: Vec<Source> = std::iter::from_fn(|| self.sources.pop()).take(width).collect();
            let (places, terms) = (&self.places, rarity.order());
            let wanted = Wanted { query, from, terms: &terms };
            let open = sources.into_iter().map(|source| {
                let place = &places[source.place];
                source.open(tx, place, wanted)
            });
            for opened in join::try_all(open).await? {
                reads += opened.reads;
                text_bytes += opened.text_bytes;
                rarity.note(&opened.with_terms);
                self.sources.extend(opened.sources);
                self.hits.extend(opened.hits.into_iter().map(|hit| (Reverse(place_of(&hit)), hit)));
            }
            width = (width * 2).min(WIDTH_MAX);
        }
        Ok(())
    }

    /// The first hits, as many as fit, and where to go on.
    fn page(self, limit: usize, between_times: bool) -> SearchPage {
        let frontier = self.frontier;
        let found = self.hits.into_iter().take_while(|(Reverse(place), _)| frontier.is_none_or(|bound| *place > bound));
        let mut hits: Vec<SearchHit> = found.map(|(_, hit)| hit).take(limit + 1).collect();
        let cursor = if hits.len() > limit {
            let beyond = hits.pop().expect("more than the limit").sent_ms;
            let newer = hits.partition_point(|hit| hit.sent_ms > beyond);
            if between_times && newer > 0 {
                hits.truncate(newer);
            }
            hits.last().map(place_of)
        } else {
            // The next page has what is at the frontier too.
            frontier.map(|place| MessagePlace { seq: place.seq.next(), ..place })
        };
        SearchPage { hits, more: cursor.is_some(), cursor }
    }
}

fn place_of(hit: &SearchHit) -> MessagePlace {
    MessagePlace { sent_ms: hit.sent_ms, channel_id: hit.channel_id, seq: hit.seq }
}
