//! The index follows the messages: what was sent, edited or deleted since is taken in, and segments are merged as they
//! grow.
//!
//! Owns the one transaction that writes the index. It reads `indexed` so that another like it conflicts: two at once,
//! or one whose outcome was unknown, do nothing twice. Never part of an append.
//!
//! New messages go to the directory's own row until they are 64, then to a segment that grows to 2,048 messages and
//! stays. So a message is written some 32 times in a row of 2 KB and 16 times in a segment, about as many bytes as its
//! append takes, and a search reads one row a term for each 2,048 messages of a channel. With a segment between the two
//! it read one more, which took half as long again (docs/measurements.md).

use bytes::Bytes;
use schema::page::Indexed;
use schema::record::{HeadRecord, MessageRecord, RecordError};
use schema::{ChannelId, Seq, UserId};

use super::directory::Directory;
use super::fold::Folded;
use super::segment::{Contents, Segment};
use super::words::{self, Term};
use super::{all, is_outdated};
use crate::keys;
use crate::{LayerError, commit, content};
use kv::join;
use kv::limits::RANGE_BYTES_DEFAULT;
use kv::transaction::{Begin, Engine, Transaction, key_after};

/// Messages of one transaction: at some 2 µs of work and 40 bytes of index each, some milliseconds and 20 KB.
const STEP_MESSAGES: u32 = 512;
/// Bytes of text of one transaction; one message always fits. Postings take fewer bytes than their text.
const STEP_TEXT_BYTES: usize = 128 << 10;
/// Edited messages of one transaction.
const STEP_EDITS: u32 = 64;
/// Messages that lie in the directory until they are a segment, and the bytes of their row.
const OPEN_MESSAGES: u32 = 64;
const OPEN_BYTES: u32 = 4 << 10;
/// Messages of a segment that grows no more.
const SEGMENT_MESSAGES: u32 = 2_048;
/// Bytes of a segment that grows no more: with what a step adds to it, and the rows cleared, a transaction stays below
/// 1 MB.
const SEGMENT_BYTES: u32 = 256 << 10;

/// Takes what is new in a channel into its index, as much as fits into one transaction.
///
/// # Errors
/// The store's, and damage. What an unknown outcome left undone is done by the next call.
pub async fn advance<E: Engine>(engine: &E, channel: ChannelId) -> Result<Indexed, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| step(&mut tx, channel).await)
}

async fn step<T: Transaction>(tx: &mut T, channel: ChannelId) -> Result<Indexed, LayerError> {
    let (indexed, head) = (keys::indexed(channel), keys::head(channel));
    let edits = keys::edits(channel).rows(STEP_EDITS);
    let rows = join::both(tx.get(&indexed), tx.snapshot_get(&head));
    let ((row, head), edits) = join::both(rows, tx.snapshot_get_range(&edits)).await?;
    let mut directory = Directory::decode(row.as_ref())?;
    if row.is_some_and(|row| is_outdated(&row)) {
        for rows in keys::index_rows(channel) {
            tx.clear_range(&rows.begin, &rows.end);
        }
    }
    let head = head.map_or(Ok(HeadRecord::default()), |row| HeadRecord::decode(&row))?.seq;

    let mut contents = Contents::default();
    let mut text_bytes = 0;
    let mut all_edits = !edits.more;
    for row in &edits.rows {
        if text_bytes > STEP_TEXT_BYTES {
            all_edits = false;
            break;
        }
        let (_, seq) = keys::edited_place(&row.key)?;
        // An edit after this version writes the row again: then its words are not those that were read here.
        tx.add_read_conflict(&row.key, &key_after(&row.key));
        tx.clear(&row.key);
        // What is not indexed yet will be, as it is then.
        if seq <= directory.through
            && let Some(row) = tx.snapshot_get(&keys::message(channel, seq)).await?
        {
            text_bytes += add(tx, &mut contents, channel, seq, &MessageRecord::decode(&row)?).await?;
        }
    }
    let next = directory.through.next();
    if next <= head && text_bytes <= STEP_TEXT_BYTES {
        let mut range = keys::messages(channel, next, head).rows(STEP_MESSAGES);
        range.limit_bytes = RANGE_BYTES_DEFAULT;
        let page = tx.snapshot_get_range(&range).await?;
        for row in &page.rows {
            let (_, seq) = keys::message_place(&row.key)?;
            text_bytes += add(tx, &mut contents, channel, seq, &MessageRecord::decode(&row.value)?).await?;
            directory.through = seq;
            if text_bytes > STEP_TEXT_BYTES {
                break;
            }
        }
        if directory.through < next {
            let why = format!("none of the messages {next} to {head} of channel {channel}");
            return Err(RecordError::Damaged { what: "message", bytes: 0, why }.into());
        }
    }
    let done = Indexed { through: directory.through, head, more: directory.through < head || !all_edits };
    if done.through >= next || !contents.is_empty() {
        take_in(tx, channel, &mut directory, contents).await?;
        tx.set(&indexed, &directory.encode());
    }
    Ok(done)
}

/// Adds a message's terms. Returns the bytes of its text.
async fn add<T: Transaction>(
    tx: &T,
    contents: &mut Contents,
    channel: ChannelId,
    seq: Seq,
    record: &MessageRecord,
) -> Result<usize, LayerError> {
    if record.deleted {
        return Ok(0);
    }
    let text = content::text(tx, (channel, seq), record).await?;
    contents.add_message(seq, record.sent_ms);
    let text = content::searched(&text, record);
    each_term(&text, record.from, |term| contents.postings.push((term, std::cmp::Reverse(seq))));
    Ok(text.len())
}

/// The terms of a message.
pub(super) fn each_term(text: &str, from: UserId, mut each: impl FnMut(Term)) {
    each(Term::sender(from));
    let folded = Folded::of(text);
    words::pieces(&folded.text).for_each(|(_, piece)| piece.terms(&mut each));
}

/// Puts what is new where it belongs.
async fn take_in<T: Transaction>(
    tx: &mut T,
    channel: ChannelId,
    directory: &mut Directory,
    mut contents: Contents,
) -> Result<(), LayerError> {
    if let Some((open, row)) = directory.open.take() {
        contents.add_segment(&open, &[row])?;
    }
    if contents.messages < OPEN_MESSAGES {
        let Some((open, rows)) = contents.clone().encode(directory.next_id, true) else { return Ok(()) };
        if open.bytes <= OPEN_BYTES {
            directory.open = rows.into_iter().next().map(|row| (open, Bytes::from(row)));
            return Ok(());
        }
    }
    if let Some(last) = directory.segments.pop_if(|last| grows(last, &contents)) {
        contents.add_segment(&last, &segment_rows(tx, channel, &last).await?)?;
        let rows = keys::postings(channel, last.id);
        tx.clear_range(&rows.begin, &rows.end);
    }
    let id = directory.draw_id();
    let (segment, rows) = contents.encode(id, false).expect("it has messages");
    for (number, row) in (0..).zip(rows) {
        tx.set(&keys::posting(channel, id, number), &row);
    }
    directory.segments.push(segment);
    if let Some((number, page)) = directory.turn_page() {
        tx.set(&keys::segments(channel, number), &page.encode());
    }
    Ok(())
}

/// Whether a channel's last segment takes this in.
fn grows(last: &Segment, contents: &Contents) -> bool {
    last.messages + contents.messages <= SEGMENT_MESSAGES && last.bytes <= SEGMENT_BYTES
}

/// The rows of a segment.
pub(super) async fn segment_rows<T: Transaction>(
    tx: &T,
    channel: ChannelId,
    segment: &Segment,
) -> Result<Vec<Bytes>, LayerError> {
    let rows = all(tx, keys::postings(channel, segment.id)).await?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}
