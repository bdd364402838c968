//! Check that a channel's index has every message that it says it has.
//!
//! Owns the comparison of the whole index with all messages, for tests and measurements. Not bounded by more than the
//! channel.

use std::collections::BTreeSet;

use schema::record::MessageRecord;
use schema::{ChannelId, Seq};

use super::advance::{each_term, segment_rows};
use super::directory::{Directory, DirectoryPage};
use super::segment::{Contents, Segment};
use super::{all, damaged};
use crate::keys;
use crate::{LayerError, content, read};
use kv::transaction::{Begin, Engine, Transaction};

/// What a channel's index takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexSize {
    /// Messages in it.
    pub messages: u64,
    /// Bytes of their texts.
    pub text_bytes: u64,
    /// Bytes of its keys and values.
    pub index_bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Its segments, the one in the directory not counted.
    pub segments: u64,
}

impl IndexSize {
    fn row(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.index_bytes += (key.len() + value.len()) as u64;
    }
}

/// Reads a channel's whole index and every message that is in it.
///
/// # Errors
/// Damage if a message is not found by one of its terms, unless it was edited since; the store's.
pub async fn verify<E: Engine>(engine: &E, channel: ChannelId) -> Result<IndexSize, LayerError> {
    read!(engine, Begin::Fresh, |tx| size(&tx, channel).await)
}

async fn size<T: Transaction>(tx: &T, channel: ChannelId) -> Result<IndexSize, LayerError> {
    let mut size = IndexSize::default();
    let key = keys::indexed(channel);
    let Some(row) = tx.get(&key).await? else { return Ok(size) };
    size.row(&key, &row);
    let directory = Directory::decode(Some(&row))?;
    let mut contents = Contents::default();
    for number in 0..directory.pages {
        let key = keys::segments(channel, number);
        let row = tx.get(&key).await?.ok_or_else(|| damaged(channel, &format!("page {number} is missing")))?;
        size.row(&key, &row);
        add(tx, channel, &mut contents, &mut size, &DirectoryPage::decode(&row)?.segments).await?;
    }
    add(tx, channel, &mut contents, &mut size, &directory.segments).await?;
    if let Some((open, row)) = &directory.open {
        contents.add_segment(open, std::slice::from_ref(row))?;
    }
    let postings: BTreeSet<_> = contents.postings.into_iter().collect();

    let mut edited = BTreeSet::new();
    for row in all(tx, keys::edits(channel)).await? {
        edited.insert(keys::edited_place(&row.key)?.1);
    }
    for row in all(tx, keys::messages(channel, Seq(1), directory.through)).await? {
        let (_, seq) = keys::message_place(&row.key)?;
        let record = MessageRecord::decode(&row.value)?;
        size.messages += 1;
        size.text_bytes += content::text_bytes(&record) as u64;
        if record.deleted || edited.contains(&seq) {
            continue;
        }
        let text = content::text(tx, (channel, seq), &record).await?;
        let mut lacking = None;
        each_term(&content::searched(&text, &record), record.from, |term| {
            if !postings.contains(&(term, std::cmp::Reverse(seq))) {
                lacking = Some(term);
            }
        });
        if let Some(term) = lacking {
            return Err(damaged(channel, &format!("message {seq} is not found by {term:?}")).into());
        }
    }
    Ok(size)
}

async fn add<T: Transaction>(
    tx: &T,
    channel: ChannelId,
    contents: &mut Contents,
    size: &mut IndexSize,
    segments: &[Segment],
) -> Result<(), LayerError> {
    for segment in segments {
        let rows = segment_rows(tx, channel, segment).await?;
        for (number, row) in (0..).zip(&rows) {
            size.row(&keys::posting(channel, segment.id, number), row);
        }
        size.segments += 1;
        contents.add_segment(segment, &rows)?;
    }
    Ok(())
}
