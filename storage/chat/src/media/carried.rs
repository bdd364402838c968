//! What messages carry, for those who may read them.
//!
//! Owns the question alone: who may read what is history's and the posts' to say (I10).

use schema::op::ChannelKind;
use schema::record::{ChannelRecord, HeadRecord, MemberRecord};
use schema::{Attachment, ChannelId, ErrorCode, Refusal, Seq, UserId};

use crate::{LayerError, content, keys, posts, read, unreadable, visible};
use kv::transaction::{Begin, Engine, Transaction};

/// The media of those of a channel's messages that a user may read now, in the order in which messages are named.
///
/// # Errors
/// 102 if the user was never in the channel; the store's, and damage.
pub async fn carried<E: Engine>(
    engine: &E,
    user: UserId,
    channel: ChannelId,
    seqs: &[Seq],
) -> Result<Vec<Attachment>, LayerError> {
    let key = keys::channel(channel);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get(&key).await?))?;
    let record = unreadable::refuse_some(&key, row.as_ref(), ChannelRecord::decode)?;
    let unknown = || LayerError::from(Refusal::new(ErrorCode::UnknownChannel, format!("no channel {channel}")));
    if record.ok_or_else(unknown)?.kind == ChannelKind::Feed {
        let places: Vec<_> = seqs.iter().map(|&seq| (channel, seq)).collect();
        let shown = posts::shown(engine, user, &places).await?;
        return Ok(shown.into_iter().flatten().flat_map(|post| post.message.media.clone()).collect());
    }
    let wanted = [keys::member(channel, user), keys::former(channel, user), keys::head(channel)];
    read!(engine, Begin::Fresh, |tx| {
        let rows = tx.snapshot_get_all(&wanted).await?;
        let member = unreadable::refuse_some(&wanted[0], rows[0].as_ref(), MemberRecord::decode)?;
        let former = unreadable::refuse_some(&wanted[1], rows[1].as_ref(), MemberRecord::decode)?;
        let head = unreadable::refuse_some(&wanted[2], rows[2].as_ref(), HeadRecord::decode)?.unwrap_or_default().seq;
        let ranges = member.or(former).ok_or_else(unknown)?.ranges;
        // A seq that a client names need not be there, which is no damage.
        let is_there = |seq: &&Seq| seq.0 > 0 && **seq <= head && visible::shows(&ranges, **seq);
        let places: Vec<_> = seqs.iter().filter(is_there).map(|&seq| (channel, seq)).collect();
        let placed = content::rows(&tx, &places).await?;
        Ok(placed.into_iter().flatten().flat_map(|placed| placed.record.media).collect())
    })
}
