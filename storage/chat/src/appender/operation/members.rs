//! Members come, change their role, and go.
//!
//! Upholds I10: a range of seqs opens at the head when a user joins and closes at the head when it goes, in the
//! transaction that orders both among the channel's messages. Every change raises the channel's member epoch.

use schema::event::{MemberChange, Role};
use schema::limits::MEMBER_RANGES_MAX;
use schema::op::{ChannelKind, PastAccess};
use schema::record::{ChannelRecord, MemberRecord, SeqRange};
use schema::{ChannelId, ErrorCode, OpReply, Seq, UserId};

use super::{Operation, Proof};
use crate::appender::capacity::Cost;
use crate::appender::draft::{Draft, Drafted, MembersChange, Step, refuse};
use crate::appender::members::{Member, Members};
use crate::appender::prefetch::Prefetch;
use crate::{keys, packed, unreadable};

/// Adds a user, or gives a member another role.
pub(super) struct Add {
    pub(super) by: UserId,
    pub(super) user: UserId,
    pub(super) role: Role,
}

impl Operation for Add {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        let channel = read.channel;
        read.channel(&[self.by]);
        read.rows([keys::member(channel, self.user), keys::former(channel, self.user)]);
        read.loose([keys::user(self.user), keys::joined(self.user)]);
    }

    /// Channel, mark, six rows, a counter and an event; an event for each member.
    fn cost(&self, members: usize) -> Cost {
        Cost::rows(10 + members)
    }

    /// Owners may do both to everyone; admins add members and admins, and change the roles of those.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let &Self { by, user, role } = self;
        let by = draft.group_member(channel, by)?;
        let before = draft.find_member(channel, user)?.map(|member| member.role);
        if before == Some(role) {
            return Ok(OpReply::Changed { changed: false });
        }
        let highest = role.max(before.unwrap_or(Role::Member));
        match by.role {
            Role::Owner => {}
            Role::Admin if highest <= Role::Admin => {}
            Role::Admin | Role::Member => {
                return refuse(ErrorCode::PermissionDenied, "only an owner or an admin of no lower role may do that");
            }
        }
        if by.user == user && before == Some(Role::Owner) && heir(draft, channel, &by)?.is_some() {
            return refuse(ErrorCode::PermissionDenied, "the last owner stays one: make another an owner first");
        }
        let record = match before {
            Some(_) => MemberRecord { role, ..draft.member_record(channel, user)? },
            None => joining(draft, channel, user, role)?,
        };
        let (kind, ..) = draft.drafted(channel);
        draft.put_member(kind, channel, user, &record);
        let member = Member::of(user, &record);
        let change = if before.is_none() {
            joined(draft, channel, user);
            draft.put_members(channel, &MembersChange::Joined(member));
            MemberChange::Added
        } else {
            draft.put_members(channel, &MembersChange::Changed(member));
            MemberChange::Role
        };
        draft.tell_membership(channel, user, change, role);
        Ok(OpReply::Changed { changed: true })
    }

    fn proof(&self) -> Proof {
        Proof::Newest
    }
}

/// What a new member leaves and brings beside its own rows. Where all of the past is open to it, none of it is unread.
fn joined(draft: &mut Draft<'_>, channel: ChannelId, user: UserId) {
    draft.clear(keys::former(channel, user));
    draft.clear(keys::left(user, channel));
    draft.count_joined(user, 1);
    let (kind, past, head) = draft.drafted(channel);
    match kind {
        ChannelKind::Direct | ChannelKind::Group | ChannelKind::Feed => {}
        ChannelKind::Large => draft.set(keys::large(user, channel), packed::MARK),
    }
    match past {
        PastAccess::Joined => {}
        PastAccess::All => draft.raise_mark(user, channel, head),
    }
}

/// The record of a user who joins at the head, if there is room on both sides.
fn joining(draft: &mut Draft<'_>, channel: ChannelId, user: UserId, role: Role) -> Step<MemberRecord> {
    let members = draft.members(channel)?;
    if !members.large && members.len() >= draft.group_members_max() as usize {
        let limit = draft.group_members_max();
        return refuse(ErrorCode::GroupFull, format!("the group has {limit} members, which is the limit"));
    }
    let former = draft.record(keys::former(channel, user), MemberRecord::decode);
    let exists = draft.users_exist([user].into_iter());
    let (former, ()) = (former?, exists?);
    draft.users_have_room([user].into_iter())?;
    let Drafted { record: ChannelRecord { past, .. }, head, .. } = draft.channel(channel)?;
    let (past, after) = (*past, head.seq);
    Ok(match former {
        Some(mut record) => {
            open_range(&mut record.ranges, past, after);
            MemberRecord { role, ..record }
        }
        None => {
            let mut ranges = Vec::with_capacity(1);
            open_range(&mut ranges, past, after);
            MemberRecord { role, muted: false, joined_ms: draft.wall(), ranges }
        }
    })
}

/// Removes a user, or lets it leave.
pub(super) struct Remove {
    pub(super) by: UserId,
    pub(super) user: UserId,
}

impl Operation for Remove {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        let channel = read.channel;
        read.channel(&[self.by]);
        read.rows([keys::member(channel, self.user), keys::former(channel, self.user)]);
    }

    /// As adding, and three rows and an event of a new owner; an event of each for each member.
    fn cost(&self, members: usize) -> Cost {
        Cost::rows(14 + 2 * members)
    }

    /// Owners may remove everyone, admins everyone but owners.
    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let &Self { by, user } = self;
        if by == user && has_left(draft, channel, user)? {
            return Ok(OpReply::Changed { changed: false });
        }
        let by = draft.group_member(channel, by)?;
        let Some(member) = draft.find_member(channel, user)? else { return Ok(OpReply::Changed { changed: false }) };
        let may = by.user == user
            || match by.role {
                Role::Owner => true,
                Role::Admin => member.role < Role::Owner,
                Role::Member => false,
            };
        if !may {
            return refuse(
                ErrorCode::PermissionDenied,
                "only an owner, or an admin of no lower role, may remove others",
            );
        }
        let heir = heir(draft, channel, &member)?;
        let mut record = draft.member_record(channel, user)?;
        let head = draft.channel(channel)?.head.seq;
        close_range(&mut record.ranges, head);
        draft.clear(keys::member(channel, user));
        draft.clear(keys::membership(user, channel));
        draft.set(keys::former(channel, user), record.encode());
        draft.set(keys::left(user, channel), Vec::new());
        draft.count_joined(user, -1);
        let (kind, ..) = draft.drafted(channel);
        match kind {
            ChannelKind::Direct | ChannelKind::Group | ChannelKind::Feed => {}
            ChannelKind::Large => {
                draft.clear(keys::large(user, channel));
                draft.clear(keys::officer(channel, user));
            }
        }
        draft.put_members(channel, &MembersChange::Gone(user));
        let change = if by.user == user { MemberChange::Left } else { MemberChange::Removed };
        // The one concerned hears of it too.
        draft.tell_membership(channel, user, change, member.role);
        if let Some((heir, record)) = heir {
            draft.put_member(kind, channel, heir, &record);
            draft.put_members(channel, &MembersChange::Changed(Member::of(heir, &record)));
            draft.tell_membership(channel, heir, MemberChange::Role, record.role);
        }
        Ok(OpReply::Changed { changed: true })
    }
}

/// Who becomes an owner when a member goes, with its record then: nobody while there is another owner.
fn heir(draft: &mut Draft<'_>, channel: ChannelId, gone: &Member) -> Step<Option<(UserId, MemberRecord)>> {
    if gone.role < Role::Owner {
        return Ok(None);
    }
    let members = draft.members(channel)?;
    let heir = if members.large { heir_of_large(draft, channel, gone.user)? } else { members.heir(gone.user).cloned() };
    let Some(heir) = heir else { return Ok(None) };
    let record = MemberRecord { role: Role::Owner, ..draft.member_record(channel, heir.user)? };
    Ok(Some((heir.user, record)))
}

/// The same of a large channel: of those who have a role there, else of its first members by id, who may be many.
fn heir_of_large(draft: &mut Draft<'_>, channel: ChannelId, gone: UserId) -> Step<Option<Member>> {
    let mut candidates = Vec::new();
    for (key, row) in draft.get_range(keys::officers(channel))? {
        let (_, user) = unreadable::refuse(&key, keys::officer_of(&key))?;
        candidates.push(Member::of(user, &unreadable::refuse(&key, MemberRecord::decode(&row))?));
    }
    if candidates.iter().any(|officer| officer.user != gone) {
        return Ok(Members::new(0, candidates).heir(gone).cloned());
    }
    for (key, row) in draft.get_range(keys::members_after(channel, None))? {
        let (_, user) = unreadable::refuse(&key, keys::member_of(&key))?;
        if user != gone {
            candidates.push(Member::of(user, &unreadable::refuse(&key, MemberRecord::decode(&row))?));
        }
    }
    Ok(Members::new(0, candidates).heir(gone).cloned())
}

/// Whether a user was a member and is none any more.
fn has_left(draft: &mut Draft<'_>, channel: ChannelId, user: UserId) -> Step<bool> {
    if draft.find_member(channel, user)?.is_some() {
        return Ok(false);
    }
    Ok(draft.get(keys::former(channel, user))?.is_some())
}

/// Opens a range at the head, or goes on with the last if nothing was missed. The oldest makes room for a ninth. Where
/// all of the past is open to members, one range is all there is.
pub(super) fn open_range(ranges: &mut Vec<SeqRange>, past: PastAccess, after: Seq) {
    match past {
        PastAccess::Joined => {}
        PastAccess::All => {
            *ranges = vec![SeqRange { after: Seq::ZERO, through: None }];
            return;
        }
    }
    if let Some(last) = ranges.last_mut()
        && last.through == Some(after)
    {
        last.through = None;
        return;
    }
    if ranges.len() >= MEMBER_RANGES_MAX as usize {
        ranges.remove(0);
    }
    ranges.push(SeqRange { after, through: None });
}

/// Closes the open range at the head.
fn close_range(ranges: &mut [SeqRange], head: Seq) {
    let last = ranges.last_mut().expect("I10: a member has a range");
    assert_eq!(last.through, None, "I10: a member's last range is open");
    last.through = Some(head);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_open_and_close_at_the_head() {
        // What happens to one user: +N it joins at head N, -N it goes.
        let check = |story: &[i64], expected: &[(u64, Option<u64>)]| {
            let mut ranges = Vec::new();
            for &step in story {
                match u64::try_from(step) {
                    Ok(head) => open_range(&mut ranges, PastAccess::Joined, Seq(head)),
                    Err(_) => close_range(&mut ranges, Seq(step.unsigned_abs())),
                }
            }
            let found: Vec<_> = ranges.iter().map(|range| (range.after.0, range.through.map(|seq| seq.0))).collect();
            assert_eq!(found, expected, "{story:?}");
        };
        check(&[0], &[(0, None)]);
        check(&[3, -5], &[(3, Some(5))]);
        check(&[3, -5, 5], &[(3, None)]);
        check(&[3, -5, 7], &[(3, Some(5)), (7, None)]);
        let many: Vec<i64> = (0..9).flat_map(|turn| [turn * 10 + 1, -(turn * 10 + 2)]).collect();
        let kept: Vec<_> = (1..9_u64).map(|turn| (turn * 10 + 1, Some(turn * 10 + 2))).collect();
        check(&many, &kept);
    }
    #[test]
    fn where_all_of_the_past_is_open_one_range_is_all() {
        let mut ranges = Vec::new();
        open_range(&mut ranges, PastAccess::All, Seq(7));
        assert_eq!(ranges, [SeqRange { after: Seq(0), through: None }]);
        close_range(&mut ranges, Seq(9));
        open_range(&mut ranges, PastAccess::All, Seq(12));
        assert_eq!(ranges, [SeqRange { after: Seq(0), through: None }]);
    }
}
