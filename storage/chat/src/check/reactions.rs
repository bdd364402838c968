//! I5 over reactions: what is counted of a message is what its users put there. And what is kept of mentions.

use schema::record::{MessageRecord, TalliesRecord};
use schema::{ChannelId, Seq};

use super::{Check, CheckError, Checked, violated};
use crate::keys::{self, MentionKey};
use kv::transaction::{Row, Transaction};

/// Every reaction is to a message that was not deleted, and is counted once.
#[derive(Clone, Default)]
pub(super) struct Reactions {
    /// The message whose reactions the walk has met last, and what they count so far, in the order of their keys.
    counted: Option<((ChannelId, Seq), TalliesRecord)>,
}

impl Check for Reactions {
    async fn page<T: Transaction>(&mut self, tx: &T, rows: &[Row], checked: &mut Checked) -> Result<(), CheckError> {
        for row in rows {
            let (channel, seq, emoji, _) = keys::reaction_of(&row.key)?;
            let place = (channel, seq);
            if self.counted.as_ref().is_some_and(|(counted, _)| *counted != place) {
                self.compare(tx).await?;
                self.counted = None;
            }
            let (_, TalliesRecord { counts }) = self.counted.get_or_insert((place, TalliesRecord::default()));
            match counts.last_mut() {
                Some((last, count)) if *last == emoji => *count += 1,
                Some(_) | None => counts.push((emoji, 1)),
            }
        }
        checked.reactions += rows.len() as u64;
        Ok(())
    }
}

impl Reactions {
    /// What is counted of the last message is what was found.
    pub(super) async fn compare<T: Transaction>(&self, tx: &T) -> Result<(), CheckError> {
        let Some(((channel, seq), TalliesRecord { counts })) = &self.counted else { return Ok(()) };
        let rows = tx.get_all(&[keys::message(*channel, *seq), keys::tallies(*channel, *seq)]).await?;
        let message = rows[0].as_ref().map(|row| MessageRecord::decode(row)).transpose()?;
        if message.is_none_or(|record| record.deleted) {
            return violated("I5", format!("{seq} of channel {channel} has reactions, and is gone"));
        }
        let counted = rows[1].as_ref().map(|row| TalliesRecord::decode(row)).transpose()?;
        let (mut counted, mut found) = (counted.unwrap_or_default().counts, counts.clone());
        counted.sort();
        found.sort();
        if counted != found {
            let users = format!("its users put {found:?} there");
            return violated("I5", format!("{seq} of channel {channel} counts {counted:?}, {users}"));
        }
        Ok(())
    }
}

/// Nothing is counted of a message to which nobody reacted.
#[derive(Clone)]
pub(super) struct Tallies;

impl Check for Tallies {
    async fn page<T: Transaction>(&mut self, tx: &T, rows: &[Row], _: &mut Checked) -> Result<(), CheckError> {
        for row in rows {
            let (channel, seq) = keys::tallies_place(&row.key)?;
            let counts = TalliesRecord::decode(&row.value)?.counts;
            if tx.snapshot_get_range(&keys::reactions(channel, seq).rows(1)).await?.rows.is_empty() {
                let found = format!("{seq} of channel {channel} counts {counts:?}, its users put nothing there");
                return violated("I5", found);
            }
        }
        Ok(())
    }
}

/// Every mention is in a message that names its user. Messages were asked the reverse.
#[derive(Clone)]
pub(super) struct Mentions;

impl Check for Mentions {
    async fn page<T: Transaction>(&mut self, tx: &T, rows: &[Row], _: &mut Checked) -> Result<(), CheckError> {
        let mentions = rows.iter().map(|row| MentionKey::of_key(&row.key)).collect::<Result<Vec<_>, _>>()?;
        let messages: Vec<_> = mentions.iter().map(|mention| keys::message(mention.channel, mention.seq)).collect();
        for (MentionKey { user, sent_ms, channel, seq }, row) in mentions.into_iter().zip(tx.get_all(&messages).await?)
        {
            let message = row.map(|row| MessageRecord::decode(&row)).transpose()?;
            if !message.is_some_and(|record| record.sent_ms == sent_ms && record.mentions.contains(&user)) {
                let found = format!("user {user} has a row of {seq} of channel {channel}, which does not name it");
                return violated("I6", found);
            }
        }
        Ok(())
    }
}
