//! Channels of an account.
//!
//! Owns lists of channels and members for reading. Who may change them is the appender's.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schema::event::Role;
use schema::limits::{CHANNELS_OF_USER_MAX, GROUP_MEMBERS_MAX};
use schema::op::ChannelKind;
use schema::record::{ChannelRecord, HeadRecord, MemberRecord, ReadMarkRecord, RecordError};
use schema::{ChannelId, ErrorCode, Message, Refusal, Seq, UnixMs, UserId};

use super::{LayerError, UsersPage, content, read, unreadable, users_page, visible};
use crate::keys;
use kv::join;
use kv::transaction::{Begin, Engine, Row, Transaction};

/// A channel as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSummary {
    /// The channel.
    pub id: ChannelId,
    /// What it is.
    pub record: ChannelRecord,
    /// What the account may do there.
    pub role: Role,
    /// Whether the account wants no notifications.
    pub muted: bool,
    /// Its newest seq and time.
    pub head: HeadRecord,
    /// The account's mark.
    pub read_seq: Seq,
    /// Messages after the larger of the mark and `joined_after`.
    pub unread: u64,
    /// The head when the account joined last.
    pub joined_after: Seq,
    /// The newest message that the account may read, if there is one: of one that joined again, maybe one from before.
    pub last_message: Option<Arc<Message>>,
    /// The other of a direct channel's two.
    pub peer: Option<UserId>,
}

/// A channel's place in the list of an account's channels, in the list's order: where something happened last comes
/// first. Its text is for handing back alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelPlace {
    /// When something last happened: the newest message, or the making.
    active_ms: Reverse<UnixMs>,
    channel: ChannelId,
}

/// A text that is no place in a list of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a list of channels")]
pub struct ParsePlaceError;

impl fmt::Display for ChannelPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.active_ms.0.0, self.channel)
    }
}

impl FromStr for ChannelPlace {
    type Err = ParsePlaceError;

    fn from_str(text: &str) -> Result<Self, ParsePlaceError> {
        let parse = || {
            let (active_ms, channel) = text.split_once('-')?;
            Some(Self { active_ms: Reverse(UnixMs(active_ms.parse().ok()?)), channel: channel.parse().ok()? })
        };
        parse().ok_or(ParsePlaceError)
    }
}

/// A page of an account's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelsPage {
    /// The one where something happened last first.
    pub channels: Vec<ChannelSummary>,
    /// Where to go on, if there are more.
    pub next: Option<ChannelPlace>,
    /// Messages that are unread in all of the account's channels, on this page or not.
    pub unread_total: u64,
}

/// A channel's rows for one member.
pub(super) struct State {
    pub(super) id: ChannelId,
    pub(super) record: ChannelRecord,
    pub(super) member: MemberRecord,
    pub(super) head: HeadRecord,
    pub(super) read_seq: Seq,
}

impl State {
    pub(super) fn unread(&self) -> u64 {
        visible::unread(self.head.seq, self.read_seq, visible::joined_after(&self.member))
    }

    fn place(&self) -> ChannelPlace {
        let active_ms = self.head.sent_ms.max(self.record.created_ms);
        ChannelPlace { active_ms: Reverse(active_ms), channel: self.id }
    }
}

/// The states of the channels in these rows of `membership`, each on its own: one that cannot be read hides no other.
pub(super) async fn states<T: Transaction>(
    tx: &T,
    user: UserId,
    rows: &[Row],
) -> Result<Vec<Result<State, RecordError>>, LayerError> {
    let mut memberships = Vec::with_capacity(rows.len());
    let mut wanted = Vec::with_capacity(rows.len() * 3);
    for row in rows {
        let Some((_, channel)) = unreadable::skip(&row.key, keys::membership_of(&row.key)) else { continue };
        memberships.push((channel, unreadable::refuse(&row.key, MemberRecord::decode(&row.value))));
        wanted.extend([keys::channel(channel), keys::head(channel), keys::read(user, channel)]);
    }
    let values = tx.get_all(&wanted).await?;
    let mut states = Vec::with_capacity(memberships.len());
    for ((id, member), (keys, rows)) in memberships.into_iter().zip(wanted.chunks(3).zip(values.chunks(3))) {
        let state = || {
            let record = unreadable::refuse_some(&keys[0], rows[0].as_ref(), ChannelRecord::decode)?;
            let head = unreadable::refuse_some(&keys[1], rows[1].as_ref(), HeadRecord::decode)?;
            let mark: ReadMarkRecord = unreadable::skip_or_default(&keys[2], rows[2].as_ref(), ReadMarkRecord::decode);
            Ok(State {
                id,
                record: record.ok_or_else(|| unreadable::missing(&keys[0], "channel"))?,
                member: member?,
                head: head.unwrap_or_default(),
                read_seq: mark.seq,
            })
        };
        states.push(state());
    }
    Ok(states)
}

/// The account's channels after a place, at most `limit` of them.
///
/// A user is in 2,000 channels at most, and four rows of each are read: nothing else knows their order, nor what is
/// unread in all of them. Messages and peers are read of those on the page alone.
///
/// # Errors
/// The store's, and damage.
pub async fn list<E: Engine>(
    engine: &E,
    user: UserId,
    after: Option<ChannelPlace>,
    limit: u32,
) -> Result<ChannelsPage, LayerError> {
    let range = keys::memberships_after(user, None).rows(CHANNELS_OF_USER_MAX);
    read!(engine, Begin::Fresh, |tx| {
        let page = tx.snapshot_get_range(&range).await?;
        let mut states: Vec<State> = states(&tx, user, &page.rows).await?.into_iter().flatten().collect();
        let unread_total = states.iter().map(State::unread).sum();
        states.retain(|state| after.is_none_or(|after| state.place() > after));
        states.sort_by_key(State::place);
        let more = states.len() > limit as usize;
        states.truncate(limit as usize);
        let next = states.last().filter(|_| more).map(State::place);
        Ok(ChannelsPage { channels: summaries(&tx, user, states).await?, next, unread_total })
    })
}

/// One channel, as `user` sees it.
///
/// # Errors
/// 102 if the user was never in it, 103 if it left; the store's, and damage.
pub async fn get<E: Engine>(engine: &E, user: UserId, channel: ChannelId) -> Result<ChannelSummary, LayerError> {
    read!(engine, Begin::Fresh, |tx| {
        let row = membership(&tx, user, channel).await?;
        let states = states(&tx, user, &[row]).await?.into_iter().collect::<Result<_, _>>()?;
        Ok(summaries(&tx, user, states).await?.pop().expect("one for one membership"))
    })
}

/// The row of a membership that lasts.
pub(super) async fn membership<T: Transaction>(tx: &T, user: UserId, channel: ChannelId) -> Result<Row, LayerError> {
    let key = keys::membership(user, channel);
    let (row, former) = join::both(tx.get(&key), tx.get(&keys::former(channel, user))).await?;
    match (row, former) {
        (Some(value), _) => Ok(Row { key: key.into(), value }),
        (None, Some(_)) => {
            let text = format!("user {user} is not in channel {channel} any more");
            Err(Refusal::new(ErrorCode::PermissionDenied, text).into())
        }
        (None, None) => Err(Refusal::new(ErrorCode::UnknownChannel, format!("no channel {channel}")).into()),
    }
}

/// The states with what takes further reads: the newest messages, and whom direct channels are with.
async fn summaries<T: Transaction>(
    tx: &T,
    user: UserId,
    states: Vec<State>,
) -> Result<Vec<ChannelSummary>, LayerError> {
    let newest = |state: &State| visible::newest(&state.member.ranges, state.head.seq).map(|seq| (state.id, seq));
    let places: Vec<_> = states.iter().filter_map(newest).collect();
    let peers = join::try_all(states.iter().map(|state| peer(tx, user, state)));
    let messages = async { content::messages(tx, content::rows(tx, &places).await?).await };
    let (messages, peers) = join::both(messages, peers).await?;
    let mut messages = messages.into_iter();
    Ok(states
        .into_iter()
        .zip(peers)
        .map(|(state, peer)| ChannelSummary {
            unread: state.unread(),
            last_message: newest(&state).and_then(|_| messages.next().expect("one for each place")),
            id: state.id,
            role: state.member.role,
            muted: state.member.muted,
            joined_after: visible::joined_after(&state.member),
            record: state.record,
            head: state.head,
            read_seq: state.read_seq,
            peer,
        })
        .collect())
}

/// The other of a direct channel's two: its creator, or whoever is listed beside this one.
async fn peer<T: Transaction>(tx: &T, user: UserId, state: &State) -> Result<Option<UserId>, LayerError> {
    match state.record.kind {
        ChannelKind::Group | ChannelKind::Large | ChannelKind::Feed => Ok(None),
        ChannelKind::Direct if state.record.creator != user => Ok(Some(state.record.creator)),
        ChannelKind::Direct => {
            let page = tx.snapshot_get_range(&keys::members_after(state.id, None).rows(2)).await?;
            let members = page.rows.iter().filter_map(|row| unreadable::skip(&row.key, keys::member_of(&row.key)));
            Ok(members.map(|(_, member)| member).find(|&member| member != user))
        }
    }
}

/// The members of a channel after one, for one of them: at most `limit` of them and 500.
///
/// # Errors
/// 102 if the user was never in it, 103 if it left; the store's, and damage.
pub async fn members<E: Engine>(
    engine: &E,
    user: UserId,
    channel: ChannelId,
    after: Option<UserId>,
    limit: u32,
) -> Result<UsersPage<MemberRecord>, LayerError> {
    let range = keys::members_after(channel, after).rows(limit.min(GROUP_MEMBERS_MAX));
    read!(engine, Begin::Fresh, |tx| {
        let page = users_page(&tx, &range, keys::member_of, MemberRecord::decode);
        Ok(join::both(membership(&tx, user, channel), page).await?.1)
    })
}

/// A channel, its newest seq and time, for whoever sees all of them: an application's backend.
///
/// # Errors
/// 102 if there is none; the store's, and damage.
pub async fn record<E: Engine>(engine: &E, channel: ChannelId) -> Result<(ChannelRecord, HeadRecord), LayerError> {
    let wanted = [keys::channel(channel), keys::head(channel)];
    let rows = read!(engine, Begin::Fresh, |tx| Ok(tx.get_all(&wanted).await?))?;
    let record = unreadable::refuse_some(&wanted[0], rows[0].as_ref(), ChannelRecord::decode)?;
    let head = unreadable::refuse_some(&wanted[1], rows[1].as_ref(), HeadRecord::decode)?;
    let missing = || Refusal::new(ErrorCode::UnknownChannel, format!("no channel {channel}"));
    Ok((record.ok_or_else(missing)?, head.unwrap_or_default()))
}

/// The members of a channel after one, likewise: at most `limit` of them and 500.
///
/// # Errors
/// The store's, and damage.
pub async fn all_members<E: Engine>(
    engine: &E,
    channel: ChannelId,
    after: Option<UserId>,
    limit: u32,
) -> Result<UsersPage<MemberRecord>, LayerError> {
    let range = keys::members_after(channel, after).rows(limit.min(GROUP_MEMBERS_MAX));
    read!(engine, Begin::Fresh, |tx| users_page(&tx, &range, keys::member_of, MemberRecord::decode).await)
}

/// The channels that an account is a member of, at most 2,000, with what each is.
///
/// # Errors
/// The store's, and damage.
pub async fn of_user<E: Engine>(engine: &E, user: UserId) -> Result<Vec<(ChannelId, ChannelKind)>, LayerError> {
    let range = keys::memberships_after(user, None).rows(CHANNELS_OF_USER_MAX);
    read!(engine, Begin::Fresh, |tx| {
        let page = tx.snapshot_get_range(&range).await?;
        let states = states(&tx, user, &page.rows).await?;
        Ok(states.into_iter().flatten().map(|state| (state.id, state.record.kind)).collect())
    })
}

/// The large channels of an account, ascending: those of which its inbox tells nothing. At most 2,000.
///
/// # Errors
/// The store's, and damage.
pub async fn large_of<E: Engine>(engine: &E, user: UserId) -> Result<Vec<ChannelId>, LayerError> {
    let range = keys::larges(user).rows(CHANNELS_OF_USER_MAX);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    Ok(unreadable::readable(&page.rows, |row| Ok(keys::large_of(&row.key)?.1)))
}
