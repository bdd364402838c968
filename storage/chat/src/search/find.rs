//! The search over the channels of a user, newest first.
//!
//! Owns which channels are searched, the order in which sources are opened, and when to stop: once enough hits are newer than
//! every bound that is left, or the work has reached [`READS_MAX`] rows or [`TEXT_BYTES_MAX`] of texts.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use bytes::Bytes;
use schema::command::{self, SearchHit, SearchPage};
use schema::limits::{CHANNELS_OF_USER_MAX, SEARCH_HITS_MAX};
use schema::page::FoundPage;
use schema::record::{HeadRecord, MemberRecord, SeqRange};
use schema::{ChannelId, ErrorCode, Refusal, Seq, UnixMs, UserId};

use super::directory::Directory;
use super::query::Query;
use super::source::{Place, Source, Wanted};
use crate::keys;
use crate::{LayerError, again, visible};
use kv::join;
use kv::transaction::{Begin, Engine, Transaction};

/// Rows of the index and messages that one search reads: ten a channel of a user in 2,000.
const READS_MAX: usize = 20_000;
/// Bytes of texts that one search compares: some 0.1 s.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// Messages not indexed yet that one search reads of a channel, and of all.
const TAIL_MESSAGES_MAX: u64 = 256;
const TAILS_MESSAGES_MAX: u64 = 4_096;
/// Sources opened at once, at first and at most: a word in every message is found in a few, a word in none takes all.
const WIDTH_FIRST: usize = 32;
const WIDTH_MAX: usize = 256;
/// Keys of one read.
const KEYS: usize = 256;
/// Bytes of the largest list of memberships: 2,000 with eight ranges each take 1 MB.
const MEMBERSHIPS_BYTES: u32 = 4 << 20;

/// A channel, and what the user may read of it.
type Readable = (ChannelId, Vec<SeqRange>);

/// The order of hits: the newest first.
type Rank = (Reverse<UnixMs>, ChannelId, Reverse<Seq>);

/// The newest messages with all words of a query, among what the user may read: now, or since it left.
///
/// `more` is whether older ones may follow: where `limit` ended the page, and where the bounds of one search did. A page
/// ends between two times, so that asking for what was sent before its last hit leaves none out; of more hits at one time
/// than a page holds the rest is not shown. Of channels left, those made last count, as many as one may be in.
///
/// # Errors
/// 106 for a query of over 200 characters, 107 for one without a word, 102 for a channel in which the user never was; the
/// store's, and damage.
pub async fn query<E: Engine>(engine: &E, user: UserId, request: &command::Search) -> Result<FoundPage, LayerError> {
    let query = Query::parse(&request.query, request.from)?;
    again!(query_once(engine, user, &query, request))
}

async fn query_once<E: Engine>(
    engine: &E,
    user: UserId,
    query: &Query,
    request: &command::Search,
) -> Result<FoundPage, LayerError> {
    let tx = engine.begin(Begin::Fresh);
    let readable = match request.channel_id {
        Some(channel) => vec![readable_channel(&tx, user, channel).await?],
        None => readable_channels(&tx, user).await?,
    };
    let before = request.before_ms.unwrap_or(UnixMs(u64::MAX));
    let wanted = Wanted { query, from: request.from, before };
    let limit = request.limit.clamp(1, SEARCH_HITS_MAX) as usize;
    let mut search = Search::over(&tx, readable, before).await?;
    search.run(&tx, wanted, limit + 1).await?;
    let behind = search.places.iter().filter(|place| place.behind).map(|place| place.channel).collect();
    Ok(FoundPage { page: page(search.hits, limit, search.complete), behind })
}

/// The first hits, as many as fit, and not a part of those sent at one time unless they are all.
fn page(found: BTreeMap<Rank, SearchHit>, limit: usize, complete: bool) -> SearchPage {
    let more = found.len() > limit || !complete;
    let mut hits: Vec<SearchHit> = found.into_values().take(limit + 1).collect();
    if hits.len() > limit {
        let beyond = hits.pop().expect("more than the limit").sent_ms;
        match hits.partition_point(|hit| hit.sent_ms > beyond) {
            0 => {}
            newer => hits.truncate(newer),
        }
    }
    SearchPage { hits, more }
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
        values.extend(tx.get_all(keys).await?);
    }
    Ok(values)
}

/// A search under way.
struct Search {
    places: Vec<Place>,
    sources: BinaryHeap<Source>,
    hits: BTreeMap<Rank, SearchHit>,
    /// Whether nothing was left out.
    complete: bool,
}

impl Search {
    /// Everything in these channels that was sent before a time.
    async fn over<T: Transaction>(tx: &T, readable: Vec<Readable>, before: UnixMs) -> Result<Self, LayerError> {
        let channels = || readable.iter().map(|&(channel, _)| channel);
        let heads = read_all(tx, channels().map(keys::head)).await?;
        let indexed = read_all(tx, channels().map(keys::indexed)).await?;
        let mut search = Self { places: Vec::new(), sources: BinaryHeap::new(), hits: BTreeMap::new(), complete: true };
        let mut tails = 0;
        for (((channel, ranges), head), indexed) in readable.into_iter().zip(heads).zip(indexed) {
            let Some(head) = head.map(|row| HeadRecord::decode(&row)).transpose()? else { continue };
            let spans = visible::spans(&ranges, head.seq);
            let Some(&(_, newest)) = spans.last() else { continue };
            let directory = Directory::decode(indexed.as_ref())?;
            let place = Place { channel, visible: spans, behind: directory.through < head.seq };
            let number = search.places.len();
            if directory.through < newest {
                let wanted = newest.0 - directory.through.0;
                let allowed = wanted.min(TAIL_MESSAGES_MAX).min(TAILS_MESSAGES_MAX - tails);
                tails += allowed;
                search.complete &= allowed == wanted;
                let bound = head.sent_ms.min(before);
                search.sources.extend((allowed > 0).then(|| Source::tail(number, newest, allowed, bound)));
            }
            search.sources.extend(Source::of_directory(number, &place, directory, before));
            search.places.push(place);
        }
        Ok(search)
    }

    /// Opens sources until so many hits are newer than what is left.
    async fn run<T: Transaction>(&mut self, tx: &T, wanted: Wanted<'_>, hits: usize) -> Result<(), LayerError> {
        let (mut reads, mut text_bytes) = (0, 0);
        let mut width = WIDTH_FIRST;
        while let Some(next) = self.sources.peek() {
            if let Some(((Reverse(last), ..), _)) = self.hits.iter().nth(hits - 1)
                && *last >= next.bound
            {
                return Ok(());
            }
            if reads > READS_MAX || text_bytes > TEXT_BYTES_MAX {
                self.complete = false;
                return Ok(());
            }
            let sources: Vec<Source> = std::iter::from_fn(|| self.sources.pop()).take(width).collect();
            let places = &self.places;
            let open = sources.into_iter().map(|source| {
                let place = &places[source.place];
                source.open(tx, place, wanted)
            });
            for opened in join::try_all(open).await? {
                reads += opened.reads;
                text_bytes += opened.text_bytes;
                self.sources.extend(opened.sources);
                let ranked = |hit: SearchHit| ((Reverse(hit.sent_ms), hit.channel_id, Reverse(hit.seq)), hit);
                self.hits.extend(opened.hits.into_iter().map(ranked));
            }
            width = (width * 2).min(WIDTH_MAX);
        }
        Ok(())
    }
}
