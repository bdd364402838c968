//! Writes and notices of an operation, once it has checked all that it must: nothing here stops.
//!
//! Upholds I6 and I10 where events are made: each names those whose inboxes tell it, or goes to a large channel's feed.

use std::sync::Arc;

use bytes::Bytes;
use schema::event::{MemberChange, Role};
use schema::hook::HookKind;
use schema::mesh::LiveBody;
use schema::op::{ChannelKind, PastAccess};
use schema::record::{ChannelRecord, EventRecord, EventRecordBody, HeadRecord, HookedBody, HookedRecord, MemberRecord};
use schema::{ChannelId, Message, Seq, UserId};

use super::{Draft, Drafted};
use crate::appender::capacity::{EVENT_BYTES, written_beyond};
use crate::appender::effects::{Happened, Hooked, content};
use crate::appender::members::{Member, Members};
use crate::posts::counters::Counter;
use crate::{hooks, keys};
use kv::transaction::RangeRequest;

/// How who is in a channel changes.
pub(in crate::appender) enum MembersChange {
    /// A user is a member now.
    Joined(Member),
    /// A member has another role.
    Changed(Member),
    /// A user is none any more.
    Gone(UserId),
    /// One of a direct channel's two has blocked the other, or neither has any more.
    Blocked(bool),
}

impl Draft<'_> {
    pub(in crate::appender) fn set(&mut self, key: Vec<u8>, value: impl Into<Bytes>) {
        let value = value.into();
        self.other_bytes += written_beyond(&key, &value);
        self.writes.insert(key, Some(value));
    }

    pub(in crate::appender) fn clear(&mut self, key: Vec<u8>) {
        self.other_bytes += written_beyond(&key, &[]);
        self.writes.insert(key, None);
    }

    /// Clears a range in which this batch writes nothing any more.
    pub(in crate::appender) fn clear_range(&mut self, range: RangeRequest) {
        self.cleared.push(range);
    }

    /// A new channel, with its list.
    pub(in crate::appender) fn put_channel(&mut self, channel: ChannelId, record: ChannelRecord, members: Vec<Member>) {
        let members = Arc::new(match record.kind {
            ChannelKind::Direct | ChannelKind::Group => Members::new(record.member_epoch, members),
            ChannelKind::Large => Members::large(),
            ChannelKind::Feed => Members::feed(record.member_epoch, record.creator),
        });
        // Later operations of this batch find the row, those of this channel the draft.
        self.set(keys::channel(channel), record.encode());
        let drafted = Drafted {
            record,
            record_changed: false,
            head: HeadRecord::default(),
            head_changed: false,
            members: Some(members),
        };
        self.channels.insert(channel, drafted);
    }

    /// What a channel is that was looked at, what of its past is open, and its head.
    pub(in crate::appender) fn drafted(&self, channel: ChannelId) -> (ChannelKind, PastAccess, Seq) {
        let Drafted { record, head, .. } = self.channels.get(&channel).expect("looked at before");
        (record.kind, record.past, head.seq)
    }

    pub(in crate::appender) fn put_head(&mut self, channel: ChannelId, head: HeadRecord) {
        let drafted = self.channels.get_mut(&channel).expect("read before it is written");
        (drafted.head, drafted.head_changed) = (head, true);
    }

    pub(in crate::appender) fn put_title(&mut self, channel: ChannelId, title: &str) {
        let drafted = self.channels.get_mut(&channel).expect("read before it is written");
        (drafted.record.title, drafted.record_changed) = (title.to_owned(), true);
        self.other_bytes += title.len();
    }

    /// A change of who is in a channel, or of what a member may do, and with it the epoch of the channel's row.
    pub(in crate::appender) fn put_members(&mut self, channel: ChannelId, change: &MembersChange) {
        let drafted = self.channels.get_mut(&channel).expect("read before it is written");
        let members = drafted.members.as_ref().expect("read before it is written");
        drafted.record.member_epoch += 1;
        drafted.record_changed = true;
        let after = match change {
            MembersChange::Joined(member) => {
                drafted.record.member_count += 1;
                members.with(member.clone())
            }
            MembersChange::Changed(member) => members.with(member.clone()),
            MembersChange::Gone(user) => {
                drafted.record.member_count -= 1;
                members.without(*user)
            }
            MembersChange::Blocked(blocked) => members.with_block(*blocked),
        };
        if !members.large {
            drafted.members = Some(Arc::new(after));
            self.members_changed.push(channel);
        }
    }

    /// A membership, in both orders; it takes the place of what was kept after leaving. Who has a role in a large
    /// channel is listed apart.
    pub(in crate::appender) fn put_member(
        &mut self,
        kind: ChannelKind,
        channel: ChannelId,
        user: UserId,
        record: &MemberRecord,
    ) {
        let value = Bytes::from(record.encode());
        match (kind, record.role) {
            (ChannelKind::Direct | ChannelKind::Group | ChannelKind::Feed, _) => {}
            (ChannelKind::Large, Role::Member) => self.clear(keys::officer(channel, user)),
            (ChannelKind::Large, Role::Admin | Role::Owner) => self.set(keys::officer(channel, user), value.clone()),
        }
        self.set(keys::member(channel, user), value.clone());
        self.set(keys::membership(user, channel), value);
    }

    pub(in crate::appender) fn count_joined(&mut self, user: UserId, change: i64) {
        *self.joined.entry(user).or_default() += change;
    }

    /// Counts more of something, or fewer.
    pub(in crate::appender) fn count(&mut self, counter: Counter, change: i64) {
        let key = counter.key();
        self.other_bytes += written_beyond(&key, &[0; 8]);
        *self.counted.entry(key).or_default() += change;
    }

    /// A user's mark is at least here.
    pub(in crate::appender) fn raise_mark(&mut self, user: UserId, channel: ChannelId, seq: Seq) {
        let mark = self.marks.entry((user, channel)).or_default();
        *mark = seq.max(*mark);
    }

    /// What this batch has made of a user's mark so far; zero if nothing.
    pub(in crate::appender) fn drafted_mark(&self, user: UserId, channel: ChannelId) -> Seq {
        self.marks.get(&(user, channel)).copied().unwrap_or_default()
    }

    /// Who is in a channel, as this batch leaves its list.
    pub(in crate::appender) fn drafted_members(&self, channel: ChannelId) -> Arc<Members> {
        let members = self.channels.get(&channel).and_then(|drafted| drafted.members.as_ref());
        Arc::clone(members.expect("put in just before"))
    }

    /// Something happened to a message: those who may read it are told by their inboxes, or by a large channel's feed.
    pub(in crate::appender) fn tell_readers(
        &mut self,
        channel: ChannelId,
        seq: Seq,
        body: EventRecordBody,
        message: Option<Arc<Message>>,
    ) {
        if self.drafted(channel).0 == ChannelKind::Feed {
            // Timelines tell of it, behind the append.
            return self.hook(channel, &body);
        }
        let members = self.drafted_members(channel);
        if members.large {
            self.hook(channel, &body);
            self.feeds.entry(channel).or_default().push(content(&body, message.as_ref()));
        } else {
            let audience = members.readers(seq);
            self.tell(channel, body, message, audience);
        }
    }

    /// A membership changed: all members are told, and the one concerned. Of a large channel the members hear it by the
    /// feed.
    pub(in crate::appender) fn tell_membership(
        &mut self,
        channel: ChannelId,
        user: UserId,
        change: MemberChange,
        role: Role,
    ) {
        let body = EventRecordBody::Membership { user, change, role };
        let members = self.drafted_members(channel);
        if members.large {
            self.hook(channel, &body);
            self.feeds.entry(channel).or_default().push(content(&body, None));
            if change != MemberChange::Title {
                self.tell_inboxes(channel, body, None, Arc::from([user]));
            }
        } else {
            // An application's own account is in no channel, and reads no inbox.
            let gone = (members.get(user).is_none() && !user.is_system()).then_some(user);
            let audience = match gone {
                None => Arc::clone(&members.users),
                Some(gone) => members.users.iter().copied().chain([gone]).collect(),
            };
            self.tell(channel, body, None, audience);
        }
    }

    /// Something that these users are told live, and that is kept nowhere.
    pub(in crate::appender) fn tell_live(&mut self, channel: ChannelId, body: LiveBody, audience: Arc<[UserId]>) {
        self.live.tell(channel, body, audience);
    }

    /// Something happened that these users' inboxes tell, and hooks.
    pub(in crate::appender) fn tell(
        &mut self,
        channel: ChannelId,
        body: EventRecordBody,
        message: Option<Arc<Message>>,
        audience: Arc<[UserId]>,
    ) {
        self.hook(channel, &body);
        self.tell_inboxes(channel, body, message, audience);
    }

    /// Something happened that hooks tell which want it.
    fn hook(&mut self, channel: ChannelId, body: &EventRecordBody) {
        if self.rows.hooks().len() == 0 {
            return;
        }
        let drafted = self.channels.get(&channel).expect("looked at before");
        let (kind, of_kind) = (HookKind::of_event(body), drafted.record.kind);
        let event = EventRecord { channel, body: body.clone() };
        let record = HookedRecord { at_ms: self.terms.wall, body: HookedBody::Channel(event) };
        let value = Bytes::from(record.encode());
        let partition = hooks::partition_of_channel(channel);
        for hook in self.rows.hooks().wanting(kind, Some((channel, of_kind))) {
            self.hooked.push(Hooked { hook, partition, value: value.clone() });
        }
    }

    fn tell_inboxes(
        &mut self,
        channel: ChannelId,
        body: EventRecordBody,
        message: Option<Arc<Message>>,
        audience: Arc<[UserId]>,
    ) {
        if let EventRecordBody::Read { user, .. } = body {
            // Of several marks the last stands, at the place of the last: it may not come before what it marks as read.
            if let Some(earlier) = self.read_events.insert((user, channel), self.happened.len()) {
                self.happened[earlier] = None;
                self.inbox_rows -= 1;
            }
        }
        self.inbox_rows += audience.len();
        if let EventRecordBody::Reaction { emoji, .. } = &body {
            self.other_bytes += audience.len() * (32 + emoji.as_str().len() - EVENT_BYTES);
        }
        self.happened.push(Some(Happened { event: EventRecord { channel, body }, message, audience }));
    }
}
