//! I2 and I5 over channels, messages and first replies.

use schema::op::ChannelKind;
use schema::record::{AnsweredOp, BodyRecord, ChannelRecord, DedupRecord, HeadRecord, MessageRecord, TalliesRecord};
use schema::{ChannelId, Seq, UnixMs, UserId};

use super::{Check, CheckError, Checked, media, violated};
use crate::content::Placed;
use crate::keys::{self, DedupKey, MentionKey};
use crate::{clock, content, packed};
use kv::join;
use kv::transaction::{RangeRequest, Row, Transaction};

/// Every channel that counts messages has its newest, and as many members as it says.
#[derive(Clone)]
pub(super) struct Channels;

impl Check for Channels {
    async fn page<T: Transaction>(&mut self, tx: &T, rows: &[Row], checked: &mut Checked) -> Result<(), CheckError> {
        let mut channels = Vec::with_capacity(rows.len());
        for row in rows {
            channels.push((keys::channel_id(&row.key)?, ChannelRecord::decode(&row.value)?));
        }
        let heads: Vec<_> = channels.iter().map(|&(channel, _)| keys::head(channel)).collect();
        let members = join::try_all(channels.iter().map(|&(channel, _)| count_members(tx, channel)));
        let heads = async { tx.get_all(&heads).await.map_err(CheckError::from) };
        let (heads, members) = join::both(heads, members).await?;
        for (((channel, record), head), found) in channels.iter().zip(heads).zip(members) {
            if found != u64::from(record.member_count) {
                let counted = record.member_count;
                return violated("I10", format!("channel {channel} has {found} members and counts {counted}"));
            }
            if record.kind == ChannelKind::Large {
                officers_are_members(tx, *channel).await?;
            }
            let head = head.map_or(Ok(HeadRecord::default()), |row| HeadRecord::decode(&row))?;
            if head.seq > Seq::ZERO && tx.get(&keys::message(*channel, head.seq)).await?.is_none() {
                return violated("I2", format!("channel {channel} has the head {} and no such message", head.seq));
            }
        }
        checked.channels += rows.len() as u64;
        Ok(())
    }
}

/// The members of a channel, of which a large one has any number.
async fn count_members<T: Transaction>(tx: &T, channel: ChannelId) -> Result<u64, CheckError> {
    let (mut next, mut found) = (Some(keys::members_after(channel, None)), 0);
    while let Some(range) = next {
        let page = tx.snapshot_get_range(&range).await?;
        found += page.rows.len() as u64;
        next = RangeRequest::after(range, &page);
    }
    Ok(found)
}

/// Who has a role in a large channel is a member, and has it there.
async fn officers_are_members<T: Transaction>(tx: &T, channel: ChannelId) -> Result<(), CheckError> {
    let page = tx.snapshot_get_range(&keys::officers(channel)).await?;
    for row in &page.rows {
        let (_, user) = keys::officer_of(&row.key)?;
        if tx.get(&keys::member(channel, user)).await?.as_ref() != Some(&row.value) {
            return violated("I10", format!("user {user} has a role in channel {channel} that its membership has not"));
        }
    }
    Ok(())
}

/// Every channel's seqs are 1 to its head, each message is whole, and its first reply names it.
#[derive(Clone, Default)]
pub(super) struct Messages {
    /// Where the walk is, once it has begun.
    at: Option<At>,
}

#[derive(Debug, Clone, Copy)]
struct At {
    channel: ChannelId,
    seq: Seq,
    sent_ms: UnixMs,
    head: Seq,
}

impl Check for Messages {
    async fn page<T: Transaction>(&mut self, tx: &T, rows: &[Row], checked: &mut Checked) -> Result<(), CheckError> {
        let mut placed = Vec::with_capacity(rows.len());
        for row in rows {
            let (place, record) = (keys::message_place(&row.key)?, MessageRecord::decode(&row.value)?);
            placed.push(Placed { place, record, tallies: TalliesRecord::default() });
        }
        let dedup_key = |Placed { place: (channel, _), record, .. }: &Placed| {
            DedupKey { channel: *channel, user: record.from, id: record.client_msg_id }.to_key()
        };
        let dedups: Vec<_> = placed.iter().map(dedup_key).collect();
        let floor_key = keys::dedup_floor();
        let (dedups, floor) = join::both(tx.get_all(&dedups), tx.get(&floor_key)).await?;
        let floor = packed::or_default(floor.as_ref(), packed::day)?;
        for (Placed { place: (channel, seq), record, .. }, dedup) in placed.iter().zip(dedups) {
            self.step(tx, *channel, *seq, record).await?;
            let (id, day) = (record.client_msg_id, keys::day(record.client_msg_id.made_at()));
            match dedup.map(|row| DedupRecord::decode(&row)).transpose()? {
                Some(first) if (first.op, first.seq, first.sent_ms) == (AnsweredOp::Send, *seq, record.sent_ms) => {}
                Some(first) => {
                    let (user, other) = (record.from, first.seq);
                    return violated("I5", format!("channel {channel} has {id} of user {user} at {seq} and {other}"));
                }
                None if day < floor => {}
                None => return violated("I5", format!("{seq} of channel {channel} has no first reply under {id}")),
            }
        }
        mentions_are_kept(tx, &placed).await?;
        media::are_held(tx, &placed).await?;
        if let Some((channel, seq)) = first_unread(tx, placed).await? {
            return violated("I2", format!("the body of {seq} of channel {channel} cannot be read"));
        }
        checked.messages += rows.len() as u64;
        Ok(())
    }
}

/// The first message whose body is not what its row says.
async fn first_unread<T: Transaction>(tx: &T, placed: Vec<Placed>) -> Result<Option<(ChannelId, Seq)>, CheckError> {
    let places: Vec<_> = placed.iter().map(|placed| placed.place).collect();
    let messages = content::messages(tx, placed.into_iter().map(Some).collect()).await?;
    Ok(places.into_iter().zip(messages).find(|(_, message)| message.is_none()).map(|(place, _)| place))
}

/// Everyone who is named in a message finds it among its mentions.
async fn mentions_are_kept<T: Transaction>(tx: &T, placed: &[Placed]) -> Result<(), CheckError> {
    let mut named = Vec::new();
    for Placed { place: (channel, seq), record, .. } in placed {
        let key = |&user: &UserId| MentionKey { user, sent_ms: record.sent_ms, channel: *channel, seq: *seq };
        named.extend(record.mentions.iter().map(key));
    }
    let rows: Vec<_> = named.iter().map(|mention| mention.to_key()).collect();
    for (MentionKey { user, channel, seq, .. }, row) in named.into_iter().zip(tx.get_all(&rows).await?) {
        if row.is_none() {
            return violated("I6", format!("user {user} is named in {seq} of channel {channel} and has no row of it"));
        }
    }
    Ok(())
}

impl Messages {
    /// Goes one message on.
    async fn step<T: Transaction>(
        &mut self,
        tx: &T,
        channel: ChannelId,
        seq: Seq,
        record: &MessageRecord,
    ) -> Result<(), CheckError> {
        let before = match self.at.filter(|at| at.channel == channel) {
            Some(at) => at,
            None => {
                self.end()?;
                let (row, head) = (keys::channel(channel), keys::head(channel));
                let (row, head) = join::both(tx.get(&row), tx.get(&head)).await?;
                if row.is_none() {
                    return violated("I2", format!("message {seq} is of channel {channel}, which does not exist"));
                }
                let head = head.map_or(Ok(HeadRecord::default()), |row| HeadRecord::decode(&row))?.seq;
                At { channel, seq: Seq::ZERO, sent_ms: UnixMs(0), head }
            }
        };
        if seq != before.seq.next() || seq > before.head {
            let (after, head) = (before.seq, before.head);
            return violated("I2", format!("channel {channel}: {seq} comes after {after}, the head is {head}"));
        }
        if record.sent_ms < before.sent_ms && before.sent_ms.since_ms(record.sent_ms) <= clock::LEAP_MS {
            let (now, then) = (record.sent_ms.0, before.sent_ms.0);
            return violated("I2", format!("channel {channel}: {seq} was sent at {now}, the one before at {then}"));
        }
        if record.reply_to.is_some_and(|reply_to| reply_to >= seq || reply_to == Seq::ZERO) {
            return violated("I2", format!("channel {channel}: {seq} answers {:?}", record.reply_to));
        }
        let left = match &record.body {
            BodyRecord::Inline(text) => !text.is_empty(),
            BodyRecord::Parts { .. } => true,
        };
        if record.deleted && (left || !record.mentions.is_empty() || !record.media.is_empty()) {
            return violated("I2", format!("channel {channel}: {seq} was deleted and still says something"));
        }
        self.at = Some(At { seq, sent_ms: record.sent_ms, ..before });
        Ok(())
    }

    /// A channel's messages end at its head.
    pub(super) fn end(&self) -> Result<(), CheckError> {
        match self.at {
            Some(At { channel, seq, head, .. }) if seq != head => {
                violated("I2", format!("channel {channel} ends at {seq}, its head is {head}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Every first reply names a message: one that bears its id, or one that has been changed as it says.
#[derive(Clone)]
pub(super) struct FirstReplies;

impl Check for FirstReplies {
    async fn page<T: Transaction>(&mut self, tx: &T, rows: &[Row], checked: &mut Checked) -> Result<(), CheckError> {
        let mut dedups = Vec::with_capacity(rows.len());
        for row in rows {
            dedups.push((DedupKey::of_key(&row.key)?, DedupRecord::decode(&row.value)?));
        }
        let messages: Vec<_> = dedups.iter().map(|(key, first)| keys::message(key.channel, first.seq)).collect();
        for ((key, first), row) in dedups.iter().zip(tx.get_all(&messages).await?) {
            let named = row.map(|row| MessageRecord::decode(&row)).transpose()?;
            let right = named.is_some_and(|record| match first.op {
                AnsweredOp::Send => (record.from, record.client_msg_id) == (key.user, key.id),
                AnsweredOp::Edit => record.from == key.user && record.revision >= first.revision,
                AnsweredOp::Delete => record.deleted && record.revision == first.revision,
                AnsweredOp::React => true,
            });
            if !right {
                let (DedupKey { channel, user, id }, seq) = (*key, first.seq);
                let found = format!("user {user} was answered {seq} to {id} in channel {channel}, which is not it");
                return violated("I5", found);
            }
        }
        checked.first_replies += rows.len() as u64;
        Ok(())
    }
}
