//! Mentions of an account, newest first.
//!
//! Owns reading the rows `mention`, which the appender writes and clears. Upholds I10: only what the account may read
//! is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::limits::HISTORY_ROWS_MAX;
use schema::record::{MemberRecord, SeqRange};
use schema::{ChannelId, Message, MessagePlace, UserId};

use super::{LayerError, content, read, unreadable, visible};
use crate::keys::{self, MentionKey};
use kv::transaction::{Begin, Engine, Transaction};

/// A page of mentions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentionsPage {
    /// Newest first. There may be fewer than were asked for, with more behind them.
    pub messages: Vec<Arc<Message>>,
    /// Where to go on, if there are more.
    pub next: Option<MessagePlace>,
}

/// The messages that name `user` before a place, at most `limit` of them and 200.
///
/// # Errors
/// The store's, and damage.
pub async fn list<E: Engine>(
    engine: &E,
    user: UserId,
    before: Option<MessagePlace>,
    limit: u32,
) -> Result<MentionsPage, LayerError> {
    let before =
        before.map(|MessagePlace { sent_ms, channel_id: channel, seq }| MentionKey { user, sent_ms, channel, seq });
    let range = keys::mentions_before(user, before).rows(limit.min(HISTORY_ROWS_MAX)).reversed();
    read!(engine, Begin::Fresh, |tx| {
        let page = tx.snapshot_get_range(&range).await?;
        let mentions = unreadable::readable(&page.rows, |row| MentionKey::of_key(&row.key));
        let ranges = ranges(&tx, user, &mentions).await?;
        let shown = |mention: &&MentionKey| visible::shows(&ranges[&mention.channel], mention.seq);
        let places: Vec<_> = mentions.iter().filter(shown).map(|mention| (mention.channel, mention.seq)).collect();
        let messages = content::messages(&tx, content::rows(&tx, &places).await?).await?;
        let place = |&MentionKey { sent_ms, channel, seq, .. }: &_| MessagePlace { sent_ms, channel_id: channel, seq };
        let next = mentions.last().filter(|_| page.more).map(place);
        let messages = messages.into_iter().flatten().collect();
        Ok(MentionsPage { messages: content::with_mine(&tx, user, messages).await?, next })
    })
}

/// What the user may read of the channels in which it is named.
async fn ranges<T: Transaction>(
    tx: &T,
    user: UserId,
    mentions: &[MentionKey],
) -> Result<BTreeMap<ChannelId, Vec<SeqRange>>, LayerError> {
    let mut ranges: BTreeMap<ChannelId, Vec<SeqRange>> =
        mentions.iter().map(|mention| (mention.channel, Vec::new())).collect();
    let wanted: Vec<_> =
        ranges.keys().flat_map(|&channel| [keys::member(channel, user), keys::former(channel, user)]).collect();
    let rows = tx.get_all(&wanted).await?;
    for (ranges, (keys, rows)) in ranges.values_mut().zip(wanted.chunks(2).zip(rows.chunks(2))) {
        // Of a channel whose membership cannot be read nothing is shown.
        if let Some((key, row)) = keys.iter().zip(rows).find_map(|(key, row)| Some((key, row.as_ref()?))) {
            *ranges = unreadable::skip(key, MemberRecord::decode(row)).map(|member| member.ranges).unwrap_or_default();
        }
    }
    Ok(ranges)
}
