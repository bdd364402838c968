//! A channel as one of its members looks at it: who is in it, and how far it has come.
//!
//! Owns the reads behind opening a channel, following a large one's log and paging through its members. Membership is
//! judged in the snapshot that is read (I10).

use bytes::Bytes;
use schema::command::ReadMark;
use schema::limits::{GROUP_MEMBERS_MAX, PRESENCE_USERS_MAX, SMALL_GROUP_MEMBERS_MAX};
use schema::op::ChannelKind;
use schema::page::{MembersPage, OpenedChannel};
use schema::record::{ChannelRecord, HeadRecord, MemberRecord, ReadMarkRecord, SeqRange};
use schema::{ChannelId, ErrorCode, Refusal, Seq, UserId};

use super::{LayerError, channels, read, unreadable};
use crate::keys;
use kv::join;
use kv::transaction::{Begin, Engine, Transaction};

/// Opens a channel for a member.
///
/// # Errors
/// 102 if the user was never in it, 103 if it left; the store's, and damage.
pub async fn opened<E: Engine>(engine: &E, user: UserId, channel: ChannelId) -> Result<OpenedChannel, LayerError> {
    read!(engine, Begin::Fresh, |tx| {
        let (kind, head_seq, ranges) = seen(&tx, user, channel).await?;
        let members = match kind {
            // Nobody is a member of a feed, and so nobody opens one.
            ChannelKind::Large | ChannelKind::Feed => Vec::new(),
            ChannelKind::Direct | ChannelKind::Group => members(&tx, channel, None, GROUP_MEMBERS_MAX).await?,
        };
        let is_small = !members.is_empty() && members.len() <= SMALL_GROUP_MEMBERS_MAX as usize;
        let marked = if is_small && !is_blocked(&tx, kind, &members).await? { members.as_slice() } else { &[] };
        let wanted: Vec<_> = marked.iter().chain([&user]).map(|&member| keys::read(member, channel)).collect();
        let rows = tx.get_all(&wanted).await?;
        let mark = |(key, row): (&Vec<u8>, &Option<Bytes>)| -> ReadMarkRecord {
            unreadable::skip_or_default(key, row.as_ref(), ReadMarkRecord::decode)
        };
        let mut marks: Vec<Seq> = wanted.iter().zip(&rows).map(|row| mark(row).seq).collect();
        let read_seq = marks.pop().expect("one for each key");
        let mark = |(&user_id, read_seq): (&UserId, Seq)| ReadMark { user_id, read_seq };
        let reads = marked.iter().zip(marks).map(mark).collect();
        Ok(OpenedChannel { kind, head_seq, read_seq, ranges, members, reads })
    })
}

/// Whether one of a direct channel's two has blocked the other: then neither sees how far the other has read.
async fn is_blocked<T: Transaction>(tx: &T, kind: ChannelKind, members: &[UserId]) -> Result<bool, LayerError> {
    let (ChannelKind::Direct, &[one, other]) = (kind, members) else { return Ok(false) };
    let rows = tx.get_all(&[keys::block(one, other), keys::block(other, one)]).await?;
    Ok(rows.iter().any(Option::is_some))
}

/// The newest seq of a large channel that a member follows.
///
/// # Errors
/// 102 if the user was never in it, 103 if it left, 107 if the channel is not large; the store's, and damage.
pub async fn followed<E: Engine>(engine: &E, user: UserId, channel: ChannelId) -> Result<Seq, LayerError> {
    let (kind, head, _) = read!(engine, Begin::Fresh, |tx| seen(&tx, user, channel).await)?;
    match kind {
        ChannelKind::Large => Ok(head),
        ChannelKind::Direct | ChannelKind::Group | ChannelKind::Feed => {
            let message = format!("channel {channel} is not large: there is nothing to follow");
            Err(Refusal::new(ErrorCode::BadRequest, message).into())
        }
    }
}

/// One page of a channel's members, for one of them.
///
/// A page further back reads those before it too.
///
/// # Errors
/// 102 if the user was never in it, 103 if it left; the store's, and damage.
pub async fn page_of_members<E: Engine>(
    engine: &E,
    user: UserId,
    channel: ChannelId,
    page: u32,
) -> Result<MembersPage, LayerError> {
    read!(engine, Begin::Fresh, |tx| {
        let (kind, _, _) = seen(&tx, user, channel).await?;
        let fellows = kind != ChannelKind::Large;
        let mut after = None;
        for _ in 0..page {
            match members(&tx, channel, after, PRESENCE_USERS_MAX).await?.pop() {
                Some(last) => after = Some(last),
                None => return Ok(MembersPage { users: Vec::new(), fellows }),
            }
        }
        Ok(MembersPage { users: members(&tx, channel, after, PRESENCE_USERS_MAX).await?, fellows })
    })
}

/// What a channel is and how far it has come, if the user is a member.
async fn seen<T: Transaction>(
    tx: &T,
    user: UserId,
    channel: ChannelId,
) -> Result<(ChannelKind, Seq, Vec<SeqRange>), LayerError> {
    let keys = [keys::channel(channel), keys::head(channel)];
    let rows = async { tx.get_all(&keys).await.map_err(LayerError::from) };
    let (member, rows) = join::both(channels::membership(tx, user, channel), rows).await?;
    let record = unreadable::refuse_some(&keys[0], rows[0].as_ref(), ChannelRecord::decode)?;
    let record = record.ok_or_else(|| unreadable::missing(&keys[0], "channel"))?;
    let head = unreadable::refuse_some(&keys[1], rows[1].as_ref(), HeadRecord::decode)?.unwrap_or_default();
    let ranges = unreadable::refuse(&member.key, MemberRecord::decode(&member.value))?.ranges;
    Ok((record.kind, head.seq, ranges))
}

async fn members<T: Transaction>(
    tx: &T,
    channel: ChannelId,
    after: Option<UserId>,
    rows: u32,
) -> Result<Vec<UserId>, LayerError> {
    let page = tx.snapshot_get_range(&keys::members_after(channel, after).rows(rows)).await?;
    Ok(unreadable::readable(&page.rows, |row| Ok(keys::member_of(&row.key)?.1)))
}
