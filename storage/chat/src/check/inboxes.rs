//! I6 over inboxes: each tells every message that its account may read, once, in the order of its channel, and what
//! became of a message to those alone whom it may tell (I10). Of large channels it tells memberships and marks alone.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use schema::limits::{CHANNELS_OF_USER_MAX, MEMBER_RANGES_MAX};
use schema::op::ChannelKind;
use schema::record::{ChannelRecord, EventRecord, EventRecordBody, HeadRecord, MemberRecord, SeqRange};
use schema::{ChannelId, Position, Seq, UserId};

use super::{Check, CheckError, Checked, Walk, violated};
use crate::keys;
use crate::{again, content, packed, visible};
use kv::join;
use kv::transaction::{Begin, Engine, Row, Transaction};

/// What an inbox has told of one channel so far.
#[derive(Debug, Clone)]
struct Told {
    ranges: Vec<SeqRange>,
    head: Seq,
    last: Seq,
    /// Its messages are in no inbox.
    large: bool,
}

impl Told {
    /// The visible seq after the last one told.
    fn next(&self) -> Option<Seq> {
        if self.large {
            return None;
        }
        let spans = visible::spans(&self.ranges, self.head);
        spans
            .into_iter()
            .map(|(first, last)| (first.max(self.last.next()), last))
            .find(|(next, last)| next <= last)
            .map(|(next, _)| next)
    }

    /// Takes a seq if it is the next that the account may read; any visible one is where older rows were `trimmed`.
    fn takes(&mut self, seq: Seq, trimmed: bool) -> bool {
        let first_kept = trimmed && self.last == Seq::ZERO && visible::shows(&self.ranges, seq);
        let taken = self.next() == Some(seq) || first_kept || self.may_be_forgotten(seq);
        self.last = seq;
        taken
    }

    /// Whether it may be told what became of a message: one that it was told, or that was told in rows that were
    /// `trimmed`.
    fn follows(&self, seq: Seq, trimmed: bool) -> bool {
        let visible = visible::shows(&self.ranges, seq) || self.may_be_forgotten(seq);
        !self.large && visible && (seq <= self.last || (trimmed && self.last == Seq::ZERO && seq <= self.head))
    }

    /// Whether a seq may be of a range that has been forgotten for a newer one.
    fn may_be_forgotten(&self, seq: Seq) -> bool {
        self.ranges.len() >= MEMBER_RANGES_MAX as usize && self.ranges.first().is_some_and(|range| seq <= range.after)
    }
}

#[derive(Debug, Clone)]
struct Inbox {
    user: UserId,
    /// Up to here it was trimmed.
    floor: Position,
    channels: BTreeMap<ChannelId, Told>,
}

/// The inbox of every user who has one, or a membership.
pub(super) async fn inboxes<E: Engine, P: FnMut(&Checked) + Send>(walk: &mut Walk<'_, E, P>) -> Result<(), CheckError> {
    let (engine, mut last) = (walk.engine, None);
    while let Some(user) = again!(next_user(engine, last))? {
        last = Some(user);
        let inbox = again!(begin(engine, user))?;
        walk.over(keys::inbox_after(user, Position::START), inbox).await?.end()?;
        walk.checked.users += 1;
    }
    Ok(())
}

/// The least user after `last` with an inbox or a membership.
async fn next_user<E: Engine>(engine: &E, last: Option<UserId>) -> Result<Option<UserId>, CheckError> {
    let tx = engine.begin(Begin::Fresh);
    let (memberships, inboxes) = (keys::memberships_of_users_after(last).rows(1), keys::inboxes_after(last).rows(1));
    let (membership, inbox) = join::both(tx.snapshot_get_range(&memberships), tx.snapshot_get_range(&inboxes)).await?;
    let member = membership.rows.first().map(|row| keys::membership_of(&row.key)).transpose()?.map(|(user, _)| user);
    let reader = inbox.rows.first().map(|row| keys::inbox_place(&row.key)).transpose()?.map(|(user, _)| user);
    Ok(member.into_iter().chain(reader).min())
}

async fn begin<E: Engine>(engine: &E, user: UserId) -> Result<Inbox, CheckError> {
    let tx = engine.begin(Begin::Fresh);
    let (floor, memberships) =
        (keys::inbox_floor(user), keys::memberships_after(user, None).rows(CHANNELS_OF_USER_MAX));
    let (floor, page) = join::both(tx.get(&floor), tx.snapshot_get_range(&memberships)).await?;
    let floor = packed::or_default(floor.as_ref(), packed::floor)?;
    let mut inbox = Inbox { user, floor, channels: BTreeMap::new() };
    for row in &page.rows {
        let (_, channel) = keys::membership_of(&row.key)?;
        let told = told(&tx, channel, MemberRecord::decode(&row.value)?).await?;
        inbox.channels.insert(channel, told);
    }
    larges(&tx, &inbox).await?;
    Ok(inbox)
}

/// A user's large channels are those of which it is a member.
async fn larges<T: Transaction>(tx: &T, inbox: &Inbox) -> Result<(), CheckError> {
    let page = tx.snapshot_get_range(&keys::larges(inbox.user).rows(CHANNELS_OF_USER_MAX)).await?;
    let listed = page.rows.iter().map(|row| keys::large_of(&row.key).map(|(_, channel)| channel));
    let listed = listed.collect::<Result<Vec<_>, _>>()?;
    let large: Vec<_> = inbox.channels.iter().filter(|(_, told)| told.large).map(|(&channel, _)| channel).collect();
    if listed != large {
        let user = inbox.user;
        return violated("I10", format!("user {user} has the large channels {listed:?} and is a member of {large:?}"));
    }
    Ok(())
}

async fn told<T: Transaction>(tx: &T, channel: ChannelId, member: MemberRecord) -> Result<Told, CheckError> {
    let (row, head) = (keys::channel(channel), keys::head(channel));
    let (row, head) = join::both(tx.get(&row), tx.get(&head)).await?;
    let Some(row) = row else {
        return violated("I10", format!("channel {channel} has a member and does not exist"));
    };
    let large = ChannelRecord::decode(&row)?.kind == ChannelKind::Large;
    let head = head.map_or(Ok(HeadRecord::default()), |row| HeadRecord::decode(&row))?.seq;
    Ok(Told { ranges: member.ranges, head, last: Seq::ZERO, large })
}

impl Check for Inbox {
    async fn page<T: Transaction>(&mut self, tx: &T, rows: &[Row], checked: &mut Checked) -> Result<(), CheckError> {
        let (user, floor) = (self.user, self.floor);
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            events.push((keys::inbox_place(&row.key)?.1, EventRecord::decode(&row.value)?));
        }
        checked.inbox_rows += rows.len() as u64;
        let places: Vec<_> = events.iter().filter_map(|(_, event)| content::message_of(event)).collect();
        let mut rows = content::rows(tx, &places).await?.into_iter();
        for (position, EventRecord { channel, body }) in events {
            if position <= floor {
                return violated(
                    "I6",
                    format!("the inbox of user {user} has a row at {position}, its floor is {floor}"),
                );
            }
            let trimmed = floor > Position::START;
            let told = self.channel(tx, channel).await?;
            let named = content::message_of(&EventRecord { channel, body: body.clone() });
            let row = named.and_then(|_| rows.next().expect("one for each message that is named"));
            let revision_now = row.map(|row| row.record.revision);
            match body {
                EventRecordBody::Message { seq, revision } | EventRecordBody::Edited { seq, revision }
                    if revision_now.is_none_or(|now| now < revision) =>
                {
                    let found =
                        format!("the inbox of user {user} names revision {revision} of {seq} in channel {channel}");
                    return violated("I6", found);
                }
                EventRecordBody::Message { seq, .. } => {
                    let next = told.next();
                    if told.large || !told.takes(seq, trimmed) {
                        let found = format!("user {user} was told {seq} of channel {channel} at {position}");
                        return violated("I6", format!("{found}, {next:?} was to come"));
                    }
                }
                EventRecordBody::Edited { seq, .. }
                | EventRecordBody::Deleted { seq, .. }
                | EventRecordBody::Reaction { seq, .. }
                    if !told.follows(seq, trimmed) =>
                {
                    let found = format!("user {user} was told at {position} what became of {seq} of channel {channel}");
                    return violated("I10", format!("{found}, not of it"));
                }
                EventRecordBody::Read { user: marked, .. } if marked != user => {
                    return violated(
                        "I6",
                        format!("the inbox of user {user} has a mark of user {marked} at {position}"),
                    );
                }
                EventRecordBody::Edited { .. }
                | EventRecordBody::Deleted { .. }
                | EventRecordBody::Reaction { .. }
                | EventRecordBody::Read { .. }
                | EventRecordBody::Membership { .. } => {}
            }
        }
        Ok(())
    }
}

impl Inbox {
    /// What was told of a channel, in which the account is, or was.
    async fn channel<T: Transaction>(&mut self, tx: &T, channel: ChannelId) -> Result<&mut Told, CheckError> {
        let user = self.user;
        match self.channels.entry(channel) {
            Entry::Occupied(told) => Ok(told.into_mut()),
            Entry::Vacant(place) => {
                let Some(row) = tx.get(&keys::former(channel, user)).await? else {
                    return violated("I10", format!("user {user} was told of channel {channel} and never was in it"));
                };
                Ok(place.insert(told(tx, channel, MemberRecord::decode(&row)?).await?))
            }
        }
    }

    /// Nothing visible is left untold.
    fn end(&self) -> Result<(), CheckError> {
        let (user, trimmed) = (self.user, self.floor > Position::START);
        for (channel, told) in &self.channels {
            if let Some(next) = told.next()
                && !(trimmed && told.last == Seq::ZERO)
            {
                let head = told.head;
                let found = format!("user {user} was not told {next} of channel {channel}, whose head is {head}");
                return violated("I6", found);
            }
        }
        Ok(())
    }
}
