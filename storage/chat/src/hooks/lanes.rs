//! Lanes: what one hook is to be told of one partition, in the order of commits.
//!
//! Owns where a lane is. It goes on only under the fence (I7), after what came before was taken, so each thing is told at
//! least once and in order (I14). A lane that has something to tell has a marker; it is cleared by whoever has read it and finds
//! nothing, so that an append meanwhile, which writes it blindly, fails that and not itself.

use std::sync::Arc;

use bytes::Bytes;
use schema::event::MemberChange;
use schema::record::{
    ChannelRecord, EventRecord, EventRecordBody, HookCallRecord, HookRecord, HookedBody, HookedRecord, RecordError,
};
use schema::{ChannelId, EventBody, Message, Position, UnixMs};

use super::calls;
use crate::notices::Worker;
use crate::{LayerError, commit, content, keys, packed, read, unreadable};
use kv::join;
use kv::transaction::{Begin, Engine, RangeRequest, Row, Transaction};

/// Things that are told at once.
const ROWS_MAX: u32 = 100;
/// Bytes of messages after which a page takes no further row: many servers take no body over 100 KB unless told. One row
/// always comes.
const PAGE_BYTES_MAX: usize = 64 * 1024;
/// Markers of one read.
const MARKERS_AT_ONCE: u32 = 1_000;

/// The partitions of a worker of which a hook has something to be told, those that are free, at most so many. Ascending,
/// the first of them behind `after`, so that all have their turn.
///
/// # Errors
/// The store's.
pub async fn due<E: Engine>(
    engine: &E,
    worker: &Worker,
    hook: u64,
    after: Option<u16>,
    wanted: usize,
    is_free: impl Fn(u16) -> bool,
) -> Result<Vec<u16>, LayerError> {
    let mut found = Vec::new();
    let behind = Some(keys::hooks_due_after(hook, after));
    // Then those up to there.
    let before = after.map(|after| keys::hooks_due_through(hook, after));
    for mut range in [behind, before].into_iter().flatten() {
        while found.len() < wanted {
            let limited = range.clone().rows(MARKERS_AT_ONCE);
            let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&limited).await?))?;
            let partitions = unreadable::readable(&page.rows, |row: &Row| Ok(keys::hook_due_of(&row.key)?.1));
            let is_wanted = |partition: &u16| worker.has_partition(*partition) && is_free(*partition);
            found.extend(partitions.into_iter().filter(is_wanted));
            match RangeRequest::after(limited, &page) {
                Some(next) => range = next,
                None => break,
            }
        }
    }
    found.truncate(wanted);
    Ok(found)
}

/// Something that is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its place, by which a repetition is known.
    pub position: Position,
    /// When it happened.
    pub at_ms: UnixMs,
    /// What happened.
    pub body: ToldBody,
}

impl Told {
    /// The channel that it is of, if it is of one.
    #[must_use]
    pub fn channel(&self) -> Option<ChannelId> {
        match &self.body {
            ToldBody::Channel { event, .. } => Some(event.channel),
            ToldBody::Other(_) => None,
        }
    }
}

/// The same with its content as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldBody {
    /// Something in a channel.
    Channel {
        /// The event without its content.
        event: EventRecord,
        /// What it tells; `None` where the message that it names cannot be read.
        body: Option<EventBody>,
        /// The channel, where it was made or has another title.
        channel: Option<ChannelRecord>,
    },
    /// What has no content beside itself.
    Other(HookedBody),
}

/// What a lane is to tell next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePage {
    /// Where the lane was.
    pub from: Position,
    /// In order. What cannot be read is left out.
    pub told: Vec<Told>,
    /// Where it is once these were taken.
    pub through: Position,
    /// Whether there is more by now.
    pub more: bool,
}

/// Reads what a lane is to tell next, with contents of one version.
///
/// # Errors
/// The store's.
pub async fn page<E: Engine>(engine: &E, hook: u64, partition: u16) -> Result<LanePage, LayerError> {
    read!(engine, Begin::Fresh, |tx| read_page(&tx, hook, partition).await)
}

async fn read_page<T: Transaction>(tx: &T, hook: u64, partition: u16) -> Result<LanePage, LayerError> {
    let key = keys::hook_cursor(hook, partition);
    let from = cursor(&key, tx.snapshot_get(&key).await?.as_ref());
    let page = tx.snapshot_get_range(&keys::hooked_after(hook, partition, from).rows(ROWS_MAX)).await?;
    let mut records = unreadable::readable(&page.rows, record_of);
    let named = records.iter().map(|(_, record)| message_of(record).into_iter().collect());
    let (messages, fitting) = content::fitting(tx, named, PAGE_BYTES_MAX).await?;
    let is_cut = fitting < records.len();
    records.truncate(fitting);
    let last = if is_cut {
        records.last().map(|&(position, _)| position)
    } else {
        page.rows.last().map(|row| keys::hooked_of(&row.key).map(|(_, _, position)| position)).transpose()?
    };
    let shown: Vec<_> = records.iter().filter_map(|(_, record)| shown_channel(record)).map(keys::channel).collect();
    let channels = tx.snapshot_get_all(&shown).await?;
    let mut channels = shown
        .iter()
        .zip(channels)
        .map(|(key, row)| row.and_then(|row| unreadable::skip(key, ChannelRecord::decode(&row))));
    let mut messages = messages.into_iter();
    let told = records.into_iter().map(|(position, record)| {
        let message = message_of(&record).and_then(|_| messages.next().expect("one for each that names one"));
        let channel = shown_channel(&record).and_then(|_| channels.next().expect("one for each that shows one"));
        told(position, record, message, channel)
    });
    let told: Vec<Told> = told.collect();
    assert!(told.is_sorted_by(|one, next| one.position < next.position), "I14: a lane is told in order");
    Ok(LanePage { from, told, through: last.unwrap_or(from), more: page.more || is_cut })
}

fn told(
    position: Position,
    HookedRecord { at_ms, body }: HookedRecord,
    message: Option<Arc<Message>>,
    channel: Option<ChannelRecord>,
) -> Told {
    let body = match body {
        HookedBody::Channel(event) => {
            let body = content::event_body(event.body.clone(), |_seq, _revision| message);
            ToldBody::Channel { event, body, channel }
        }
        other @ (HookedBody::Presence { .. } | HookedBody::Connected { .. } | HookedBody::Gap { .. }) => {
            ToldBody::Other(other)
        }
    };
    Told { position, at_ms, body }
}

fn record_of(row: &Row) -> Result<(Position, HookedRecord), RecordError> {
    let (_, _, position) = keys::hooked_of(&row.key)?;
    Ok((position, HookedRecord::decode(&row.value)?))
}

/// The message that is told.
fn message_of(record: &HookedRecord) -> Option<(ChannelId, schema::Seq)> {
    match &record.body {
        HookedBody::Channel(event) => content::message_of(event),
        HookedBody::Presence { .. } | HookedBody::Connected { .. } | HookedBody::Gap { .. } => None,
    }
}

/// The channel whose kind and title are told.
fn shown_channel(record: &HookedRecord) -> Option<ChannelId> {
    match &record.body {
        HookedBody::Channel(EventRecord { channel, body: EventRecordBody::Membership { change, .. } }) => {
            matches!(change, MemberChange::Created | MemberChange::Title).then_some(*channel)
        }
        HookedBody::Channel(_)
        | HookedBody::Presence { .. }
        | HookedBody::Connected { .. }
        | HookedBody::Gap { .. } => None,
    }
}

/// Where a lane is: at the start, where that cannot be read.
pub(super) fn cursor(key: &[u8], row: Option<&Bytes>) -> Position {
    row.and_then(|row| unreadable::skip(key, packed::hook_cursor(row))).unwrap_or(Position::START)
}

/// Notes that a lane was told up to a place, and the call, if the hook is still there and nobody has moved the lane
/// meanwhile. Whether that was noted.
///
/// # Errors
/// The store's, and damage; 113 once the worker's view has ended. Noting again is safe.
pub async fn note_told<E: Engine>(
    engine: &E,
    worker: &Worker,
    (hook, partition): (u64, u16),
    (from, through): (Position, Position),
    (slot, call): (u16, &HookCallRecord),
) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::hook_cursor(hook, partition);
        let hook_key = keys::hook(hook);
        let (proved, rows) = join::both(worker.prove(&tx), async {
            Ok::<_, LayerError>((tx.get(&key).await?, tx.get(&hook_key).await?))
        })
        .await?;
        let () = proved;
        let (row, hook_row) = rows;
        if unreadable::refuse_some(&hook_key, hook_row.as_ref(), HookRecord::decode)?.is_none() {
            return Ok(false);
        }
        let there = cursor(&key, row.as_ref());
        if there != from {
            return Ok(attempt.maybe_committed && there == through);
        }
        tx.set(&key, &packed::row(through));
        calls::put(&mut tx, hook, slot, call);
        Ok(true)
    })
}

/// Lets a lane rest that has nothing to tell. Whether it does: else there is something by now.
///
/// # Errors
/// The store's; 113 once the worker's view has ended.
pub async fn rest<E: Engine>(engine: &E, worker: &Worker, hook: u64, partition: u16) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        worker.prove(&tx).await?;
        let (due_key, key) = (keys::hook_due(hook, partition), keys::hook_cursor(hook, partition));
        // For conflicts: what is appended from this version on writes the marker, and a replay moves the cursor.
        let (_marker, row) = (tx.get(&due_key).await?, tx.get(&key).await?);
        let range = keys::hooked_after(hook, partition, cursor(&key, row.as_ref())).rows(1);
        let rests = tx.snapshot_get_range(&range).await?.rows.is_empty();
        if rests {
            tx.clear(&due_key);
        }
        Ok(rests)
    })
}
