//! A channel's past, as far as an account may read it.
//!
//! Owns the choice of a page. Upholds I10 for readers: every seq of a page lies within one of the account's ranges. A
//! message that cannot be read is left out.

use std::collections::BTreeMap;

use schema::command::{History, HistoryPage, HistoryWindow};
use schema::limits::{HISTORY_BYTES_MAX, HISTORY_ROWS_MAX};
use schema::record::{HeadRecord, MemberRecord, MessageRecord, SeqRange, TalliesRecord};
use schema::{ChannelId, ErrorCode, Refusal, Seq, UserId};

use super::content::{self, Placed};
use super::{LayerError, read, recent, unreadable, visible};
use crate::keys;
use kv::join;
use kv::transaction::{Engine, Row, Transaction};

/// A page of a channel's history for `user`: at most 200 messages and 256 KiB of texts, but at least one if there is
/// one.
///
/// `more` is whether there are visible messages in the asked direction: older ones for the newest and `before`, newer
/// ones for `after`, either for `around`. Someone who left reads the ranges in which it was a member.
///
/// # Errors
/// 102 if the user was never in the channel; the store's, and damage.
pub async fn page<E: Engine>(engine: &E, user: UserId, request: &History) -> Result<HistoryPage, LayerError> {
    read!(engine, recent(engine), |tx| page_within(&tx, user, request).await)
}

async fn page_within<T: Transaction>(tx: &T, user: UserId, request: &History) -> Result<HistoryPage, LayerError> {
    let channel = request.channel_id;
    let wanted = [keys::member(channel, user), keys::former(channel, user), keys::head(channel)];
    let rows = tx.get_all(&wanted).await?;
    let member = unreadable::refuse_some(&wanted[0], rows[0].as_ref(), MemberRecord::decode)?;
    let former = unreadable::refuse_some(&wanted[1], rows[1].as_ref(), MemberRecord::decode)?;
    let everything = || vec![SeqRange { after: Seq::ZERO, through: None }];
    let ranges = match member.or(former) {
        Some(MemberRecord { ranges, .. }) => Some(ranges),
        // An application's own account reads what its operator could.
        None if user.is_system() && tx.get(&keys::channel(channel)).await?.is_some() => Some(everything()),
        None => None,
    };
    let Some(ranges) = ranges else {
        return Err(Refusal::new(ErrorCode::UnknownChannel, format!("no channel {channel}")).into());
    };
    let head = unreadable::refuse_some(&wanted[2], rows[2].as_ref(), HeadRecord::decode)?.unwrap_or_default().seq;
    let visible = visible::spans(&ranges, head);
    let limit = request.limit.clamp(1, HISTORY_ROWS_MAX);
    let past = Past { tx, channel, visible: &visible };
    let found = match request.window {
        HistoryWindow::Newest => past.older(head, Budget::new(limit)).await?,
        HistoryWindow::Before(seq) => past.older(Seq(seq.0.saturating_sub(1)), Budget::new(limit)).await?,
        HistoryWindow::After(seq) => past.newer(Seq(seq.0.saturating_add(1)), Budget::new(limit)).await?,
        HistoryWindow::Around(seq) => past.around(seq, limit).await?,
    };
    let messages = content::messages(tx, found.placed.into_iter().map(Some).collect()).await?;
    let messages = messages.into_iter().flatten().collect();
    let head_seq = visible::head(&ranges, head);
    Ok(HistoryPage {
        messages: content::with_mine(tx, user, messages).await?,
        head_seq,
        first_seq: visible.first().map_or(head_seq.next(), |&(first, _)| first),
        more: found.more,
    })
}

/// What a page may still take.
#[derive(Debug, Clone, Copy)]
struct Budget {
    rows: u32,
    bytes: usize,
    /// Whether one message is taken whatever its size.
    at_least_one: bool,
}

impl Budget {
    fn new(rows: u32) -> Self {
        Self { rows, bytes: HISTORY_BYTES_MAX as usize, at_least_one: true }
    }

    /// Takes a message if it fits.
    fn take(&mut self, placed: &Placed) -> bool {
        let bytes = content::content_bytes(placed);
        if self.rows == 0 || (bytes > self.bytes && !self.at_least_one) {
            return false;
        }
        self.rows -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.at_least_one = false;
        true
    }
}

/// Part of a page, ascending.
struct Found {
    placed: Vec<Placed>,
    /// Whether visible messages remain in the direction of the search.
    more: bool,
    left: Budget,
}

/// What an account may read of a channel.
struct Past<'a, T> {
    tx: &'a T,
    channel: ChannelId,
    visible: &'a [(Seq, Seq)],
}

impl<T: Transaction> Past<'_, T> {
    /// The visible messages up to `last`, the newest of them that fit.
    async fn older(&self, last: Seq, budget: Budget) -> Result<Found, LayerError> {
        let spans = self.visible.iter().rev().map(|&(first, span_last)| (first, span_last.min(last)));
        let mut found = self.scan(spans, true, budget).await?;
        found.placed.reverse();
        Ok(found)
    }

    /// The visible messages from `first` on, the oldest of them that fit.
    async fn newer(&self, first: Seq, budget: Budget) -> Result<Found, LayerError> {
        let spans = self.visible.iter().map(|&(span_first, last)| (span_first.max(first), last));
        self.scan(spans, false, budget).await
    }

    /// `seq` in the middle: half of the page before it, the rest, and what the first half left over, from it on.
    async fn around(&self, seq: Seq, limit: u32) -> Result<Found, LayerError> {
        let half = Budget { rows: limit / 2, bytes: HISTORY_BYTES_MAX as usize / 2, at_least_one: false };
        let before = self.older(Seq(seq.0.saturating_sub(1)), half).await?;
        let taken = limit / 2 - before.left.rows;
        let rest = Budget { rows: limit - taken, bytes: before.left.bytes + half.bytes, at_least_one: true };
        let after = self.newer(seq, rest).await?;
        let mut placed = before.placed;
        placed.extend(after.placed);
        Ok(Found { placed, more: before.more || after.more, left: after.left })
    }

    /// The messages of `spans` in their order, each span ascending or descending, as many as fit.
    async fn scan(
        &self,
        spans: impl Iterator<Item = (Seq, Seq)>,
        reverse: bool,
        mut left: Budget,
    ) -> Result<Found, LayerError> {
        // Seqs are dense (I2), so the rows wanted are known before they are read, and all spans are read at once.
        let mut wanted = Vec::new();
        let mut more = false;
        let mut rows = u64::from(left.rows);
        for (first, last) in spans.filter(|(first, last)| first <= last) {
            let count = (last.0 - first.0 + 1).min(rows);
            more |= count < last.0 - first.0 + 1;
            rows -= count;
            if count > 0 {
                wanted.push(if reverse { (Seq(last.0 - count + 1), last) } else { (first, Seq(first.0 + count - 1)) });
            }
        }
        let pages = join::try_all(wanted.iter().map(|&(first, last)| self.span(first, last))).await?;
        let mut placed = Vec::new();
        for mut page in pages {
            if reverse {
                page.reverse();
            }
            for row in page {
                if !left.take(&row) {
                    return Ok(Found { placed, more: true, left });
                }
                placed.push(row);
            }
        }
        Ok(Found { placed, more, left })
    }

    /// The rows `first..=last`, all of which exist, those that can be read.
    async fn span(&self, first: Seq, last: Seq) -> Result<Vec<Placed>, LayerError> {
        let (tx, channel) = (self.tx, self.channel);
        let mut range = keys::messages(channel, first, last).rows(HISTORY_ROWS_MAX);
        // 200 rows of up to 8 KB of text each, or of up to 32 emojis.
        range.limit_bytes = 4 << 20;
        let tallies = keys::tallies_within(channel, first, last).rows(HISTORY_ROWS_MAX);
        let (page, tallies) = join::both(tx.snapshot_get_range(&range), tx.snapshot_get_range(&tallies)).await?;
        let tallied = |row: &Row| Ok((keys::tallies_place(&row.key)?, TalliesRecord::decode(&row.value)?));
        let mut tallies: BTreeMap<_, _> = unreadable::readable(&tallies.rows, tallied).into_iter().collect();
        let rows: BTreeMap<&[u8], &Row> = page.rows.iter().map(|row| (&*row.key, row)).collect();
        let placed = |seq: u64| {
            let (place, key) = ((channel, Seq(seq)), keys::message(channel, Seq(seq)));
            let Some(row) = rows.get(&*key) else {
                unreadable::missing(&key, "message");
                return None;
            };
            let record = unreadable::skip(&key, MessageRecord::decode(&row.value))?;
            Some(Placed { place, record, tallies: tallies.remove(&place).unwrap_or_default() })
        };
        Ok((first.0..=last.0).filter_map(placed).collect())
    }
}
