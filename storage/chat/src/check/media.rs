//! What messages carry: who carries a media that is whole holds it, and what is held is carried.

use schema::record::MessageRecord;
use schema::{ChannelId, MediaId, Seq};

use super::{Check, CheckError, Checked, violated};
use crate::content::Placed;
use crate::keys;
use kv::transaction::{Row, Transaction};

/// Every media that one of these messages carries is held by it. Those of an account that was erased are gone, and what
/// is said of them stays.
pub(super) async fn are_held<T: Transaction>(tx: &T, placed: &[Placed]) -> Result<(), CheckError> {
    let mut carried: Vec<(MediaId, ChannelId, Seq)> = Vec::new();
    for Placed { place: (channel, seq), record, .. } in placed {
        carried.extend(record.media.iter().map(|media| (media.media_id, *channel, *seq)));
    }
    if carried.is_empty() {
        return Ok(());
    }
    let whole: Vec<_> = carried.iter().map(|&(media, ..)| keys::media(media)).collect();
    let uses: Vec<_> = carried.iter().map(|&(media, channel, seq)| keys::media_use(media, channel, seq)).collect();
    let (whole, uses) = (tx.get_all(&whole).await?, tx.get_all(&uses).await?);
    for ((media, channel, seq), (whole, held)) in carried.into_iter().zip(whole.into_iter().zip(uses)) {
        if whole.is_some() && held.is_none() {
            return violated("I2", format!("{seq} of channel {channel} carries media {media} and does not hold it"));
        }
    }
    Ok(())
}

/// Every media that a message holds is whole, and the message carries it. Messages were asked the reverse.
#[derive(Clone)]
pub(super) struct Uses;

impl Check for Uses {
    async fn page<T: Transaction>(&mut self, tx: &T, rows: &[Row], _: &mut Checked) -> Result<(), CheckError> {
        let mut uses = Vec::with_capacity(rows.len());
        for row in rows {
            let named @ (_, channel, _) = keys::media_use_of(&row.key)?;
            // Of channel 0: the poster of another media, which the media layer keeps.
            uses.extend((channel != ChannelId(0)).then_some(named));
        }
        let messages: Vec<_> = uses.iter().map(|&(_, channel, seq)| keys::message(channel, seq)).collect();
        let whole: Vec<_> = uses.iter().map(|&(media, ..)| keys::media(media)).collect();
        let (messages, whole) = (tx.get_all(&messages).await?, tx.get_all(&whole).await?);
        for ((media, channel, seq), (message, whole)) in uses.into_iter().zip(messages.into_iter().zip(whole)) {
            let message = message.map(|row| MessageRecord::decode(&row)).transpose()?;
            let carries = message.is_some_and(|record| record.media.iter().any(|carried| carried.media_id == media));
            if !carries || whole.is_none() {
                let what = if carries { "is not there" } else { "is not carried by it" };
                return violated("I2", format!("media {media} is held by {seq} of channel {channel} and {what}"));
            }
        }
        Ok(())
    }
}
