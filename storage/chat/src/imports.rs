//! History of other chats: users, channels and messages with the times that they had there.
//!
//! Owns what makes an import safe to repeat. Every id follows from the name that its thing has where it comes from, within a
//! namespace: a channel that is there is taken up again, and of its messages those are written that are missing. Nothing of this
//! is told live: whoever comes back with a cursor of before gets a snapshot, since inboxes of those concerned begin anew.
//! For stores at rest: no node may append meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use kv::transaction::{Atomic, Begin, Engine, Transaction};
use schema::event::Role;
use schema::limits::{BODY_CHARS_MAX, GROUP_MEMBERS_MAX};
use schema::op::{ChannelKind, PastAccess};
use schema::record::{
    AnsweredOp, ChannelRecord, DedupRecord, HeadRecord, MemberRecord, MessageRecord, ReadMarkRecord, SeqRange,
};
use schema::{ChannelId, ClientMsgId, ErrorCode, MessageKind, Position, Refusal, Seq, UnixMs, UserId};
use sha2::{Digest as _, Sha256};

use crate::keys::DedupKey;
use crate::{LayerError, body, commit, keys, packed, read, unreadable};

/// Messages that [`append`] takes at once: with texts of usual length a tenth of what a transaction may write.
pub const MESSAGES_AT_ONCE: usize = 200;
/// Bytes of texts that it takes at once.
pub const BYTES_AT_ONCE: usize = 1024 * 1024;
/// Members whose rows are written in one transaction, three each.
const MEMBERS_AT_ONCE: usize = 500;

/// A channel as it was elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Its name there, within the namespace.
    pub id: String,
    /// Direct, group or large.
    pub kind: ChannelKind,
    /// Its title; empty for a direct one.
    pub title: String,
    /// Who made it: the first of its members, if that is not known.
    pub creator: UserId,
    /// Everybody in it.
    pub members: BTreeSet<UserId>,
    /// When it was made.
    pub created_ms: UnixMs,
}

/// A message as it was elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its name there, within its channel.
    pub id: String,
    /// Who sent it.
    pub from: UserId,
    /// When.
    pub sent_ms: UnixMs,
    /// Its text.
    pub body: Arc<str>,
    /// What it answers: a seq of the same channel.
    pub reply_to: Option<Seq>,
}

/// A channel that an import has to do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its id here.
    pub channel: ChannelId,
    /// The newest message that it has.
    pub head: Seq,
}

/// The id of a message under which it is known here: of its time, and the same whenever it is imported.
#[must_use]
pub fn message_id(namespace: &str, channel: &str, message: &NewMessage) -> ClientMsgId {
    let hash = hash(&["message", namespace, channel, &message.id]);
    ClientMsgId::new(message.sent_ms, u128::from_be_bytes(hash[..16].try_into().expect("sixteen bytes")))
}

/// Finds a channel, or makes it with its members.
///
/// # Errors
/// 107 for a channel that may not be so, 119 for a group of too many, 121 if the two of a direct channel have one that is not of
/// this import and has messages; the store's, and damage. Asking again is safe.
pub async fn channel<E: Engine>(engine: &E, namespace: &str, new: &NewChannel) -> Result<Place, LayerError> {
    check(new)?;
    let drawn = hash(&["channel", namespace, &new.id]);
    // Half of all ids: those that are drawn by time have 63 bits.
    let channel = ChannelId(u64::from_be_bytes(drawn[..8].try_into().expect("eight bytes")) >> 1);
    let direct = direct_key(new);
    let (row, head, two) = (&keys::channel(channel), &keys::head(channel), direct.as_ref());
    let (is_there, head, other) = read!(engine, Begin::Fresh, |tx| {
        let is_there = tx.get(row).await?.is_some();
        let head = unreadable::refuse_some(head, tx.get(head).await?.as_ref(), HeadRecord::decode)?;
        let other = match two {
            Some(two) => unreadable::refuse_some(two, tx.get(two).await?.as_ref(), packed::direct)?,
            None => None,
        };
        Ok((is_there, head.unwrap_or_default().seq, other))
    })?;
    if is_there {
        for some in new.members.iter().copied().collect::<Vec<_>>().chunks(MEMBERS_AT_ONCE) {
            commit!(engine, Begin::Fresh, |tx, _| come(&mut tx, channel, new, some).await)?;
        }
        return Ok(Place { channel, head });
    }
    if other.is_some() {
        let message = format!("the two of {:?} have a direct channel already, which is not of this import", new.id);
        return Err(Refusal::new(ErrorCode::IdReused, message).into());
    }
    // An import that was cut may have left members whom the source has no more, or has in another role.
    take_back(engine, channel).await?;
    // Members first: the channel's row says that all of them are there.
    let members: Vec<UserId> = new.members.iter().copied().collect();
    let (first, last) = members.split_at(members.len().saturating_sub(1) / MEMBERS_AT_ONCE * MEMBERS_AT_ONCE);
    for some in first.chunks(MEMBERS_AT_ONCE) {
        commit!(engine, Begin::Fresh, |tx, _| join(&mut tx, channel, new, some).await)?;
    }
    commit!(engine, Begin::Fresh, |tx, _| {
        if tx.get(&keys::channel(channel)).await?.is_some() {
            return Ok(());
        }
        join(&mut tx, channel, new, last).await?;
        if let Some(two) = two {
            tx.set(two, &packed::direct_row(channel));
        }
        let record = ChannelRecord {
            kind: new.kind,
            title: new.title.clone(),
            creator: new.creator,
            created_ms: new.created_ms,
            member_epoch: 1,
            member_count: u32::try_from(new.members.len()).expect("below 4 billion"),
            past: if new.kind == ChannelKind::Large { PastAccess::All } else { PastAccess::Joined },
        };
        tx.set(&keys::channel(channel), &record.encode());
        Ok(())
    })?;
    Ok(Place { channel, head: Seq::ZERO })
}

fn check(new: &NewChannel) -> Result<(), Refusal> {
    let bad = |message: String| Err(Refusal::new(ErrorCode::BadRequest, message));
    let members = new.members.len();
    match new.kind {
        ChannelKind::Feed => bad(format!("{:?} is a feed, which has posts and no members", new.id)),
        ChannelKind::Direct if members != 2 => {
            bad(format!("a direct channel is of two users, {:?} of {members}", new.id))
        }
        ChannelKind::Group if members > GROUP_MEMBERS_MAX as usize => {
            let message = format!("{:?} has {members} members, a group has at most {GROUP_MEMBERS_MAX}", new.id);
            Err(Refusal::new(ErrorCode::GroupFull, message))
        }
        ChannelKind::Group | ChannelKind::Large if !schema::text::is_name(&new.title) => {
            bad(format!("{:?} is no title: one line with a visible character", new.title))
        }
        _ if !new.members.contains(&new.creator) => bad(format!("who made {:?} is not in it", new.id)),
        ChannelKind::Direct | ChannelKind::Group | ChannelKind::Large => Ok(()),
    }
}

fn direct_key(new: &NewChannel) -> Option<Vec<u8>> {
    let mut users = new.members.iter();
    match (new.kind, users.next(), users.next()) {
        (ChannelKind::Direct, Some(&one), Some(&other)) => Some(keys::direct(one, other)),
        _ => None,
    }
}

/// Takes back the rows of members of a channel that has no row of its own yet.
async fn take_back<E: Engine>(engine: &E, channel: ChannelId) -> Result<(), LayerError> {
    let rows = u32::try_from(MEMBERS_AT_ONCE).expect("500");
    loop {
        let more = commit!(engine, Begin::Fresh, |tx, _| {
            let page = tx.get_range(&keys::members_after(channel, None).rows(rows)).await?;
            for row in &page.rows {
                let (_, user) = keys::member_of(&row.key)?;
                tx.clear(&row.key);
                tx.clear(&keys::membership(user, channel));
                tx.clear(&keys::large(user, channel));
                tx.clear(&keys::officer(channel, user));
                tx.atomic(Atomic::Add, &keys::joined(user), &packed::counter_change(-1));
            }
            Ok(page.more)
        })?;
        if !more {
            return Ok(());
        }
    }
}

/// Takes into a channel that is there who came to it elsewhere since. Whoever has left it here stays away.
async fn come<T: Transaction>(
    tx: &mut T,
    channel: ChannelId,
    new: &NewChannel,
    members: &[UserId],
) -> Result<(), LayerError> {
    let rows =
        |key: fn(ChannelId, UserId) -> Vec<u8>| members.iter().map(|&user| key(channel, user)).collect::<Vec<_>>();
    let (known, former) = (tx.get_all(&rows(keys::member)).await?, tx.get_all(&rows(keys::former)).await?);
    let strangers = members.iter().zip(known.iter().zip(&former));
    let came: Vec<UserId> =
        strangers.filter(|(_, (known, former))| known.is_none() && former.is_none()).map(|(&user, _)| user).collect();
    if came.is_empty() {
        return Ok(());
    }
    let key = keys::channel(channel);
    let row = tx.get(&key).await?.ok_or_else(|| unreadable::missing(&key, "channel"))?;
    let mut record = unreadable::refuse(&key, ChannelRecord::decode(&row))?;
    let count = record.member_count as usize + came.len();
    if record.kind == ChannelKind::Group && count > GROUP_MEMBERS_MAX as usize {
        let message = format!("{:?} would have {count} members, a group has at most {GROUP_MEMBERS_MAX}", new.id);
        return Err(Refusal::new(ErrorCode::GroupFull, message).into());
    }
    record.member_count = u32::try_from(count).expect("below 4 billion");
    record.member_epoch += 1;
    tx.set(&key, &record.encode());
    join(tx, channel, new, &came).await
}

/// The rows of members who are none yet.
async fn join<T: Transaction>(
    tx: &mut T,
    channel: ChannelId,
    new: &NewChannel,
    members: &[UserId],
) -> Result<(), LayerError> {
    let known: Vec<Vec<u8>> = members.iter().map(|&user| keys::member(channel, user)).collect();
    let known = tx.get_all(&known).await?;
    for (&user, _) in members.iter().zip(&known).filter(|(_, known)| known.is_none()) {
        let is_owner = user == new.creator && new.kind != ChannelKind::Direct;
        let role = if is_owner { Role::Owner } else { Role::Member };
        let ranges = vec![SeqRange { after: Seq::ZERO, through: None }];
        let record = MemberRecord { role, muted: false, joined_ms: new.created_ms, ranges }.encode();
        tx.set(&keys::member(channel, user), &record);
        tx.set(&keys::membership(user, channel), &record);
        if new.kind == ChannelKind::Large {
            tx.set(&keys::large(user, channel), packed::MARK);
            if is_owner {
                tx.set(&keys::officer(channel, user), &record);
            }
        }
        tx.atomic(Atomic::Add, &keys::joined(user), &packed::counter_change(1));
    }
    Ok(())
}

/// Writes messages behind those that a channel has, in this order; a time that goes back is that of the message before.
/// At most [`MESSAGES_AT_ONCE`].
///
/// # Errors
/// 121 if the channel's head is another than `place` says, 107 or 116 for a text that may not be; the store's, and damage.
pub async fn append<E: Engine>(
    engine: &E,
    (namespace, name): (&str, &str),
    place: Place,
    messages: &[NewMessage],
) -> Result<Place, LayerError> {
    let Place { channel, head } = place;
    for message in messages {
        check_body(&message.body)?;
    }
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::head(channel);
        let before =
            unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), HeadRecord::decode)?.unwrap_or_default();
        if before.seq != head {
            let found = before.seq;
            let message =
                format!("{name:?} has messages up to {found}, and {head} was expected: nothing may write meanwhile");
            return Err(Refusal::new(ErrorCode::IdReused, message).into());
        }
        let mut at = before;
        for message in messages {
            at = HeadRecord { seq: at.seq.next(), sent_ms: at.sent_ms.max(message.sent_ms) };
            let (body, parts) = body::cut(&message.body);
            let client_msg_id = message_id(namespace, name, message);
            let record = MessageRecord {
                revision: 0,
                from: message.from,
                sent_ms: at.sent_ms,
                client_msg_id,
                kind: MessageKind::Text,
                body,
                reply_to: message.reply_to,
                mentions: Vec::new(),
                edited_ms: None,
                deleted: false,
                audience: None,
                media: Vec::new(),
            };
            tx.set(&keys::message(channel, at.seq), &record.encode());
            // I5: each message has its first reply. Nobody sends under an id of this kind, so what it answered counts for nothing.
            let first = DedupRecord {
                op: AnsweredOp::Send,
                seq: at.seq,
                sent_ms: at.sent_ms,
                revision: 0,
                count: 0,
                content_hash: 0,
            };
            let key = DedupKey { channel, user: message.from, id: client_msg_id };
            tx.set(&key.to_key(), &first.encode());
            for (part, value) in (0..).zip(parts) {
                tx.set(&keys::body_part(channel, at.seq, 0, part), &value);
            }
        }
        tx.set(&key, &at.encode());
        Ok(Place { channel, head: at.seq })
    })
}

fn check_body(body: &str) -> Result<(), Refusal> {
    let chars = body.chars().count();
    if chars == 0 {
        return Err(Refusal::new(ErrorCode::BadRequest, "a message without a text"));
    }
    if chars > BODY_CHARS_MAX as usize {
        let message = format!("a text of {chars} characters, the limit is {BODY_CHARS_MAX}");
        return Err(Refusal::new(ErrorCode::BodyTooLong, message));
    }
    Ok(())
}

/// The message of a channel that an import would write under this number, as it is there: none if it has no such message.
///
/// # Errors
/// The store's, and damage.
pub async fn written<E: Engine>(engine: &E, channel: ChannelId, seq: Seq) -> Result<Option<ClientMsgId>, LayerError> {
    let key = keys::message(channel, seq);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?))?;
    Ok(unreadable::refuse_some(&key, row.as_ref(), MessageRecord::decode)?.map(|record| record.client_msg_id))
}

/// Ends the import of a channel: everybody in it has read what was there, as they have where it comes from, and their inboxes
/// begin anew behind it. Of those for whom that is so already nothing changes.
///
/// # Errors
/// The store's, and damage.
pub async fn settle<E: Engine>(engine: &E, place: Place, members: &BTreeSet<UserId>) -> Result<(), LayerError> {
    let members: Vec<UserId> = members.iter().copied().collect();
    for some in members.chunks(MEMBERS_AT_ONCE) {
        commit!(engine, Begin::Fresh, |tx, _| {
            let marks: Vec<Vec<u8>> = some.iter().map(|&user| keys::read(user, place.channel)).collect();
            let rows = tx.get_all(&marks).await?;
            for ((key, row), &user) in marks.iter().zip(&rows).zip(some) {
                let mark = unreadable::refuse_some(key, row.as_ref(), ReadMarkRecord::decode)?;
                if mark.is_some_and(|mark| mark.seq >= place.head) {
                    continue;
                }
                tx.set(key, &ReadMarkRecord { seq: place.head }.encode());
                let inbox = keys::inbox_after(user, Position::START);
                tx.clear_range(&inbox.begin, &inbox.end);
                let (before, after) = packed::floor_around_stamp();
                tx.set_versionstamped_value(&keys::inbox_floor(user), before, &after);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
