//! Lists of members, and a cache of them that is bounded and proves nothing by itself.
//!
//! Owns both. A cached list counts only where the transaction finds its epoch in the channel's row.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use schema::event::Role;
use schema::record::{MemberRecord, RecordError, SeqRange};
use schema::{ChannelId, Seq, UnixMs, UserId};

use crate::keys;
use crate::visible;
use kv::transaction::Row;

/// Members of cached lists in one shard, and one for each list. At 56 bytes each, 28 MB; 166,000 direct channels or
/// 1,000 of the largest groups.
const CACHED_MEMBERS_MAX: usize = 500_000;

/// One member, as far as appends need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) user: UserId,
    pub(super) role: Role,
    /// The head when the user joined last.
    pub(super) joined_after: Seq,
    /// When the user joined first.
    pub(super) joined_ms: UnixMs,
    /// Ranges of earlier memberships; nearly always none.
    pub(super) earlier: Box<[SeqRange]>,
}

impl Member {
    pub(super) fn of(user: UserId, record: &MemberRecord) -> Self {
        let earlier = record.ranges.split_last().map_or(&[][..], |(_, earlier)| earlier);
        let (role, joined_after, joined_ms) = (record.role, visible::joined_after(record), record.joined_ms);
        Self { user, role, joined_after, joined_ms, earlier: earlier.into() }
    }

    pub(super) fn of_row(row: &Row) -> Result<Self, RecordError> {
        let (_, user) = keys::member_of(&row.key)?;
        Ok(Self::of(user, &MemberRecord::decode(&row.value)?))
    }

    /// What an application's own account may do in a channel: what an owner may that was always there.
    pub(super) fn system(user: UserId) -> Self {
        let (joined_after, joined_ms) = (Seq::ZERO, UnixMs(0));
        Self { user, role: Role::Owner, joined_after, joined_ms, earlier: Box::default() }
    }

    /// Whether the member may read a seq that exists.
    pub(super) fn sees(&self, seq: Seq) -> bool {
        seq > self.joined_after || visible::shows(&self.earlier, seq)
    }
}

/// Who is in a channel at one epoch of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) epoch: u64,
    /// Ascending by user.
    list: Vec<Member>,
    /// The same users: whom an event of the channel is for.
    pub(super) users: Arc<[UserId]>,
    /// Whether one of a direct channel's two has blocked the other.
    pub(super) blocked: bool,
    /// Whether the channel is a large one. Then nobody is listed: members are looked up one by one.
    pub(super) large: bool,
    /// Whose feed the channel is, if it is one. Then nobody is a member, and friendship says who may do what.
    pub(super) author: Option<UserId>,
}

impl Members {
    pub(super) fn new(epoch: u64, mut list: Vec<Member>) -> Self {
        list.sort_by_key(|member| member.user);
        let users = list.iter().map(|member| member.user).collect();
        Self { epoch, list, users, blocked: false, large: false, author: None }
    }

    /// What stands for the list of a large channel, at any epoch.
    pub(super) fn large() -> Self {
        Self { large: true, ..Self::new(0, Vec::new()) }
    }

    /// What stands for the list of a feed, whose members never change.
    pub(super) fn feed(epoch: u64, author: UserId) -> Self {
        Self { author: Some(author), ..Self::new(epoch, Vec::new()) }
    }

    pub(super) fn get(&self, user: UserId) -> Option<&Member> {
        self.list.binary_search_by_key(&user, |member| member.user).ok().map(|at| &self.list[at])
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whom an event of a message is for: those who may read it.
    pub(super) fn readers(&self, seq: Seq) -> Arc<[UserId]> {
        if self.list.iter().all(|member| member.sees(seq)) {
            return Arc::clone(&self.users);
        }
        self.list.iter().filter(|member| member.sees(seq)).map(|member| member.user).collect()
    }

    /// Everyone but one.
    pub(super) fn others(&self, user: UserId) -> Arc<[UserId]> {
        self.users.iter().copied().filter(|&other| other != user).collect()
    }

    /// Who owns the channel once its last owner has gone: of the others, the one of highest role who joined first. None
    /// while there is another owner, and if nobody is left.
    pub(super) fn heir(&self, gone: UserId) -> Option<&Member> {
        let others = || self.list.iter().filter(|member| member.user != gone);
        if self.get(gone)?.role < Role::Owner || others().any(|member| member.role == Role::Owner) {
            return None;
        }
        others().min_by_key(|member| (Reverse(member.role), member.joined_ms, member.user))
    }

    /// The list at the next epoch, with `member` in it, or in place of its earlier self.
    pub(super) fn with(&self, member: Member) -> Self {
        let others = self.list.iter().filter(|other| other.user != member.user).cloned();
        Self::new(self.epoch + 1, others.chain([member.clone()]).collect())
    }

    /// The list at the next epoch, without `user`.
    pub(super) fn without(&self, user: UserId) -> Self {
        Self::new(self.epoch + 1, self.list.iter().filter(|other| other.user != user).cloned().collect())
    }

    /// The list at the next epoch, of two of whom one has `blocked` the other, or none.
    pub(super) fn with_block(&self, blocked: bool) -> Self {
        Self { epoch: self.epoch + 1, blocked, ..self.clone() }
    }

    /// What the cache counts for it.
    fn weight(&self) -> usize {
        1 + self.list.len()
    }
}

/// The lists that were used last, in two halves: when the younger is full it becomes the older, which is forgotten.
#[derive(Debug, Default)]
pub(super) struct Cache {
    young: BTreeMap<ChannelId, Arc<Members>>,
    young_members: usize,
    old: BTreeMap<ChannelId, Arc<Members>>,
}

impl Cache {
    pub(super) fn get(&mut self, channel: ChannelId) -> Option<Arc<Members>> {
        if let Some(members) = self.young.get(&channel) {
            return Some(Arc::clone(members));
        }
        let members = self.old.remove(&channel)?;
        self.put(channel, Arc::clone(&members));
        Some(members)
    }

    pub(super) fn put(&mut self, channel: ChannelId, members: Arc<Members>) {
        self.old.remove(&channel);
        self.young_members += members.weight();
        if let Some(before) = self.young.insert(channel, members) {
            self.young_members -= before.weight();
        }
        if self.young_members > CACHED_MEMBERS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_members = 0;
        }
    }

    pub(super) fn forget(&mut self, channel: ChannelId) {
        self.old.remove(&channel);
        if let Some(members) = self.young.remove(&channel) {
            self.young_members -= members.weight();
        }
    }

    /// Forgets the lists of all other channels.
    pub(super) fn retain(&mut self, is_kept: impl Fn(ChannelId) -> bool) {
        self.old.retain(|&channel, _| is_kept(channel));
        self.young.retain(|&channel, _| is_kept(channel));
        self.young_members = self.young.values().map(|members| members.weight()).sum();
    }

    #[cfg(test)]
    fn members(&self) -> usize {
        self.young.values().chain(self.old.values()).map(|members| members.weight()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(users: std::ops::Range<u64>) -> Arc<Members> {
        Arc::new(Members::new(1, users.map(|user| member(user, Role::Member, user)).collect()))
    }

    fn member(user: u64, role: Role, joined_ms: u64) -> Member {
        let (user, joined_ms) = (UserId(user), UnixMs(joined_ms));
        Member { user, role, joined_after: Seq::ZERO, joined_ms, earlier: Box::default() }
    }

    #[test]
    fn the_last_owner_leaves_the_channel_to_the_highest_who_joined_first() {
        use Role::{Admin, Member, Owner};
        let check = |all: &[(u64, Role, u64)], gone: u64, expected: Option<u64>| {
            let members = Members::new(1, all.iter().map(|&(user, role, at)| member(user, role, at)).collect());
            assert_eq!(members.heir(UserId(gone)).map(|heir| heir.user.0), expected, "{all:?} without {gone}");
        };
        check(&[(1, Owner, 1), (2, Member, 3), (3, Member, 2)], 1, Some(3));
        check(&[(1, Owner, 1), (2, Admin, 9), (3, Member, 2)], 1, Some(2));
        check(&[(1, Owner, 1), (3, Admin, 5), (2, Admin, 5)], 1, Some(2));
        check(&[(1, Owner, 1), (2, Owner, 9), (3, Admin, 2)], 1, None);
        check(&[(1, Owner, 1), (2, Admin, 2)], 2, None);
        check(&[(1, Owner, 1)], 1, None);
    }

    #[test]
    fn the_cache_stays_within_its_bound_and_keeps_what_is_used() {
        let mut cache = Cache::default();
        let used = ChannelId(0);
        cache.put(used, list(0..100));
        for channel in 1..20_000 {
            cache.put(ChannelId(channel), list(0..100));
            assert!(cache.members() <= CACHED_MEMBERS_MAX, "{} members are cached", cache.members());
            assert!(cache.get(used).is_some(), "used just before, forgotten at {channel}");
        }
        assert!(cache.get(ChannelId(1)).is_none());
        cache.forget(used);
        assert!(cache.get(used).is_none());
        let kept = ChannelId(19_999);
        cache.retain(|channel| channel == kept);
        assert!(cache.get(kept).is_some());
        assert_eq!(cache.members(), 101, "and of all others nothing");
    }

    #[test]
    fn a_list_finds_its_members_before_and_after_changes() {
        let members = list(0..5).without(UserId(2)).with(Member {
            user: UserId(9),
            role: Role::Admin,
            joined_after: Seq(4),
            joined_ms: UnixMs(7),
            earlier: Box::new([SeqRange { after: Seq(0), through: Some(Seq(1)) }]),
        });
        assert_eq!((members.epoch, members.len()), (3, 5));
        assert_eq!(members.get(UserId(2)), None);
        let joined = members.get(UserId(9)).expect("added");
        assert_eq!([1, 2, 4, 5].map(|seq| joined.sees(Seq(seq))), [true, false, false, true]);
        assert_eq!(&*members.users, &[0, 1, 3, 4, 9].map(UserId));
    }
}
