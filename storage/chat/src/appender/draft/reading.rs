//! Reads of an operation: rows and lists as this batch has left them so far, and what it requires of them.
//!
//! Owns nothing: a row that was not read is wanted, and the operation stops ([`Halt::Unread`]). Those that need several
//! ask for all of them before they stop, so that rounds of reading stay few.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use schema::limits::CHANNELS_OF_USER_MAX;
use schema::op::ChannelKind;
use schema::record::{ChannelRecord, HeadRecord, MemberRecord, RecordError};
use schema::{ChannelId, ErrorCode, UserId};

use super::{Draft, Drafted, Halt, Step, refuse};
use crate::appender::capacity::conflict_bytes;
use crate::appender::members::{Member, Members};
use crate::{keys, packed, unreadable};
use kv::transaction::RangeRequest;

impl Draft<'_> {
    /// A row as this batch has left it so far.
    pub(in crate::appender) fn get(&mut self, key: Vec<u8>) -> Step<Option<Bytes>> {
        if let Some(written) = self.writes.get(&key) {
            return Ok(written.clone());
        }
        match self.rows.get(&key) {
            Some(value) => {
                self.other_bytes += conflict_bytes(&key);
                Ok(value.cloned())
            }
            None => {
                self.wanted.rows.insert(key);
                Err(Halt::Unread)
            }
        }
    }

    /// The record of a row as this batch has left it so far.
    pub(in crate::appender) fn record<T>(
        &mut self,
        key: Vec<u8>,
        decode: impl FnOnce(&[u8]) -> Result<T, RecordError>,
    ) -> Step<Option<T>> {
        let row = self.get(key.clone())?;
        Ok(unreadable::refuse_some(&key, row.as_ref(), decode)?)
    }

    /// Like [`Self::get`], for rows on which no order depends.
    pub(in crate::appender) fn get_loose(&mut self, key: Vec<u8>) -> Step<Option<Bytes>> {
        match self.rows.get(&key) {
            Some(value) => Ok(value.cloned()),
            None => {
                self.wanted.loose.insert(key);
                Err(Halt::Unread)
            }
        }
    }

    /// The first rows of a range as this batch has left it so far: [`crate::appender::rows::RANGE_ROWS`] of the
    /// store's, and its own.
    pub(in crate::appender) fn get_range(
        &mut self,
        RangeRequest { begin, end, .. }: RangeRequest,
    ) -> Step<BTreeMap<Vec<u8>, Bytes>> {
        let Some(read) = self.rows.range(&begin) else {
            self.wanted.ranges.insert((begin, end));
            return Err(Halt::Unread);
        };
        let mut rows: BTreeMap<Vec<u8>, Bytes> = read.iter().map(|row| (row.key.to_vec(), row.value.clone())).collect();
        for (key, value) in self.writes.range(begin..end) {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        Ok(rows)
    }

    /// A channel that exists.
    pub(in crate::appender) fn channel(&mut self, channel: ChannelId) -> Step<&mut Drafted> {
        if !self.channels.contains_key(&channel) {
            let record = self.record(keys::channel(channel), ChannelRecord::decode);
            let head = self.record(keys::head(channel), HeadRecord::decode);
            let (record, head) = (record?, head?);
            let Some(record) = record else {
                return refuse(ErrorCode::UnknownChannel, format!("no channel {channel}"));
            };
            let drafted = Drafted {
                record,
                record_changed: false,
                head: head.unwrap_or_default(),
                head_changed: false,
                members: None,
            };
            self.channels.insert(channel, drafted);
        }
        Ok(self.channels.get_mut(&channel).expect("just looked up or put in"))
    }

    /// The list of a channel at the epoch of its row, if it is at hand.
    pub(in crate::appender) fn list(&self, channel: ChannelId) -> Option<&Arc<Members>> {
        if let Some(members) = self.channels.get(&channel).and_then(|drafted| drafted.members.as_ref()) {
            return Some(members);
        }
        self.rows.read.get(&channel).or_else(|| self.rows.cached.get(&channel))
    }

    /// Who is in a channel; of a large one, what stands for its list.
    pub(in crate::appender) fn members(&mut self, channel: ChannelId) -> Step<Arc<Members>> {
        let epoch = self.channel(channel)?.record.member_epoch;
        match self.list(channel).filter(|members| members.large || members.epoch == epoch).cloned() {
            Some(members) => {
                self.channel(channel)?.members = Some(Arc::clone(&members));
                Ok(members)
            }
            None if self.rows.unread.contains(&channel) => Err(Halt::Damaged),
            None => {
                self.wanted.lists.insert(channel);
                Err(Halt::Unread)
            }
        }
    }

    /// A user's membership of a channel, if it is a member.
    pub(in crate::appender) fn find_member(&mut self, channel: ChannelId, user: UserId) -> Step<Option<Member>> {
        let members = self.members(channel)?;
        if !members.large {
            return Ok(members.get(user).cloned());
        }
        let record = self.record(keys::member(channel, user), MemberRecord::decode)?;
        Ok(record.map(|record| Member::of(user, &record)))
    }

    /// A member of a channel, as which an application's own account counts in every one; one who left is told so, one who never was in it that there is no such channel.
    pub(in crate::appender) fn member(&mut self, channel: ChannelId, user: UserId) -> Step<Member> {
        if let Some(member) = self.find_member(channel, user)? {
            return Ok(member);
        }
        if user.is_system() {
            return Ok(Member::system(user));
        }
        match self.get(keys::former(channel, user))? {
            Some(_) => refuse(ErrorCode::PermissionDenied, format!("user {user} is not in channel {channel} any more")),
            None => refuse(ErrorCode::UnknownChannel, format!("no channel {channel}")),
        }
    }

    /// A member of a group; direct channels are of the same two for ever.
    pub(in crate::appender) fn group_member(&mut self, channel: ChannelId, user: UserId) -> Step<Member> {
        let member = self.member(channel, user)?;
        match self.channel(channel)?.record.kind {
            ChannelKind::Group | ChannelKind::Large => Ok(member),
            ChannelKind::Direct => refuse(ErrorCode::PermissionDenied, "the two of a direct channel do not change"),
            ChannelKind::Feed => refuse(ErrorCode::PermissionDenied, "a feed has no members"),
        }
    }

    /// The row of a member, as this batch has left it so far.
    pub(in crate::appender) fn member_record(&mut self, channel: ChannelId, user: UserId) -> Step<MemberRecord> {
        let key = keys::member(channel, user);
        // Who is in the list has a row.
        Ok(self.record(key.clone(), MemberRecord::decode)?.ok_or_else(|| unreadable::missing(&key, "member"))?)
    }

    /// Whether all these users are members of a channel that was looked at.
    pub(in crate::appender) fn check_mentions(&mut self, channel: ChannelId, users: &[UserId]) -> Step<()> {
        self.all(users.iter().copied(), |draft, user| match draft.find_member(channel, user)? {
            Some(_) => Ok(()),
            None => refuse(ErrorCode::BadRequest, format!("user {user}, who is mentioned, is not a member")),
        })
    }

    /// Refuses what may not happen between two of whom one has blocked the other.
    pub(in crate::appender) fn check_not_blocked(&mut self, channel: ChannelId) -> Step<()> {
        if self.members(channel)?.blocked {
            return refuse(ErrorCode::Blocked, "one of the two has blocked the other");
        }
        Ok(())
    }

    /// Whether all these accounts exist.
    pub(in crate::appender) fn users_exist(&mut self, users: impl Iterator<Item = UserId>) -> Step<()> {
        self.all(users, |draft, user| match draft.get_loose(keys::user(user))? {
            Some(_) => Ok(()),
            None => refuse(ErrorCode::UnknownChannel, format!("no user {user}")),
        })
    }

    /// Whether each of these users may be in one more channel.
    pub(in crate::appender) fn users_have_room(&mut self, users: impl Iterator<Item = UserId>) -> Step<()> {
        self.all(users, |draft, user| {
            let key = keys::joined(user);
            let row = draft.get_loose(key.clone())?;
            let joined = unreadable::refuse_some(&key, row.as_ref(), packed::counter)?.unwrap_or_default();
            let joined = joined.saturating_add_signed(draft.joined.get(&user).copied().unwrap_or(0));
            if joined >= u64::from(CHANNELS_OF_USER_MAX) {
                let limit = CHANNELS_OF_USER_MAX;
                return refuse(ErrorCode::LimitExceeded, format!("user {user} is in {limit} channels already"));
            }
            Ok(())
        })
    }

    /// Checks each of these users, also behind one for whom a row is missing, so that all that are missing are wanted
    /// at once.
    pub(super) fn all(
        &mut self,
        users: impl Iterator<Item = UserId>,
        mut check: impl FnMut(&mut Self, UserId) -> Step<()>,
    ) -> Step<()> {
        let mut all = Ok(());
        for user in users {
            match check(self, user) {
                Ok(()) => {}
                Err(Halt::Unread) => all = Err(Halt::Unread),
                Err(halt) => return Err(halt),
            }
        }
        all
    }
}
