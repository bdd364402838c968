//! Members come, change their role, and go.
//!
//! Upholds I10: a range of seqs opens at the head when a user joins and closes at the head when it goes, in the
//! transaction that orders both among the channel's messages. Every change raises the channel's member epoch.

use schema::event::{MemberChange, Role};
use schema::limits::MEMBER_RANGES_MAX;
use schema::op::{ChannelKind, PastAccess};
use schema::record::{ChannelRecord, MemberRecord, SeqRange};
use schema::{ChannelId, ErrorCode, OpReply, Seq, UserId};

use super::draft::{Draft, Drafted, Step, refuse};
use super::members::{Member, Members};
use super::writing::MembersChange;
use crate::{keys, packed, unreadable};

impl Draft<'_> {
    /// Adds a user, or gives a member another role.
    ///
    /// Owners may do both to everyone; admins add members and admins, and change the roles of those.
    pub(super) fn add_member(&mut self, channel: ChannelId, by: UserId, user: UserId, role: Role) -> Step<OpReply> {
        let by = self.group_member(channel, by)?;
        let before = self.find_member(channel, user)?.map(|member| member.role);
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
        if by.user == user && before == Some(Role::Owner) && self.heir(channel, &by)?.is_some() {
            return refuse(ErrorCode::PermissionDenied, "the last owner stays one: make another an owner first");
        }
        let record = match before {
            Some(_) => MemberRecord { role, ..self.member_record(channel, user)? },
            None => self.joining(channel, user, role)?,
        };
        let (kind, ..) = self.drafted(channel);
        self.put_member(kind, channel, user, &record);
        let member = Member::of(user, &record);
        let change = if before.is_none() {
            self.joined(channel, user);
            self.put_members(channel, &MembersChange::Joined(member));
            MemberChange::Added
        } else {
            self.put_members(channel, &MembersChange::Changed(member));
            MemberChange::Role
        };
        self.tell_membership(channel, user, change, role);
        Ok(OpReply::Changed { changed: true })
    }

    /// What a new member leaves and brings beside its own rows. Where all of the past is open to it, none of it is unread.
    fn joined(&mut self, channel: ChannelId, user: UserId) {
        self.clear(keys::former(channel, user));
        self.clear(keys::left(user, channel));
        self.count_joined(user, 1);
        let (kind, past, head) = self.drafted(channel);
        match kind {
            ChannelKind::Direct | ChannelKind::Group => {}
            ChannelKind::Large => self.set(keys::large(user, channel), packed::mark_row()),
        }
        match past {
            PastAccess::Joined => {}
            PastAccess::All => self.raise_mark(user, channel, head),
        }
    }

    /// The record of a user who joins at the head, if there is room on both sides.
    fn joining(&mut self, channel: ChannelId, user: UserId, role: Role) -> Step<MemberRecord> {
        let members = self.members(channel)?;
        if !members.large && members.len() >= self.terms.group_members_max as usize {
            let limit = self.terms.group_members_max;
            return refuse(ErrorCode::GroupFull, format!("the group has {limit} members, which is the limit"));
        }
        let former = self.record(keys::former(channel, user), MemberRecord::decode);
        let exists = self.users_exist([user].into_iter());
        let (former, ()) = (former?, exists?);
        self.users_have_room([user].into_iter())?;
        let Drafted { record: ChannelRecord { past, .. }, head, .. } = self.channel(channel)?;
        let (past, after) = (*past, head.seq);
        Ok(match former {
            Some(mut record) => {
                open_range(&mut record.ranges, past, after);
                MemberRecord { role, ..record }
            }
            None => {
                let mut ranges = Vec::with_capacity(1);
                open_range(&mut ranges, past, after);
                MemberRecord { role, muted: false, joined_ms: self.terms.wall, ranges }
            }
        })
    }

    /// Removes a user, or lets it leave.
    ///
    /// Owners may remove everyone, admins everyone but owners.
    pub(super) fn remove_member(&mut self, channel: ChannelId, by: UserId, user: UserId) -> Step<OpReply> {
        if by == user && self.has_left(channel, user)? {
            return Ok(OpReply::Changed { changed: false });
        }
        let by = self.group_member(channel, by)?;
        let Some(member) = self.find_member(channel, user)? else { return Ok(OpReply::Changed { changed: false }) };
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
        let heir = self.heir(channel, &member)?;
        let mut record = self.member_record(channel, user)?;
        let head = self.channel(channel)?.head.seq;
        close_range(&mut record.ranges, head);
        self.clear(keys::member(channel, user));
        self.clear(keys::membership(user, channel));
        self.set(keys::former(channel, user), record.encode());
        self.set(keys::left(user, channel), Vec::new());
        self.count_joined(user, -1);
        let (kind, ..) = self.drafted(channel);
        match kind {
            ChannelKind::Direct | ChannelKind::Group => {}
            ChannelKind::Large => {
                self.clear(keys::large(user, channel));
                self.clear(keys::officer(channel, user));
            }
        }
        self.put_members(channel, &MembersChange::Gone(user));
        let change = if by.user == user { MemberChange::Left } else { MemberChange::Removed };
        // The one concerned hears of it too.
        self.tell_membership(channel, user, change, member.role);
        if let Some((heir, record)) = heir {
            self.put_member(kind, channel, heir, &record);
            self.put_members(channel, &MembersChange::Changed(Member::of(heir, &record)));
            self.tell_membership(channel, heir, MemberChange::Role, record.role);
        }
        Ok(OpReply::Changed { changed: true })
    }

    /// Who becomes an owner when a member goes, with its record then: nobody while there is another owner.
    fn heir(&mut self, channel: ChannelId, gone: &Member) -> Step<Option<(UserId, MemberRecord)>> {
        if gone.role < Role::Owner {
            return Ok(None);
        }
        let members = self.members(channel)?;
        let heir =
            if members.large { self.heir_of_large(channel, gone.user)? } else { members.heir(gone.user).cloned() };
        let Some(heir) = heir else { return Ok(None) };
        let record = MemberRecord { role: Role::Owner, ..self.member_record(channel, heir.user)? };
        Ok(Some((heir.user, record)))
    }

    /// The same of a large channel: of those who have a role there, else of its first members by id, who may be many.
    fn heir_of_large(&mut self, channel: ChannelId, gone: UserId) -> Step<Option<Member>> {
        let mut candidates = Vec::new();
        for (key, row) in self.get_range(keys::officers(channel))? {
            let (_, user) = unreadable::refuse(&key, keys::officer_of(&key))?;
            candidates.push(Member::of(user, &unreadable::refuse(&key, MemberRecord::decode(&row))?));
        }
        if candidates.iter().any(|officer| officer.user != gone) {
            return Ok(Members::new(0, candidates).heir(gone).cloned());
        }
        for (key, row) in self.get_range(keys::members_after(channel, None))? {
            let (_, user) = unreadable::refuse(&key, keys::member_of(&key))?;
            if user != gone {
                candidates.push(Member::of(user, &unreadable::refuse(&key, MemberRecord::decode(&row))?));
            }
        }
        Ok(Members::new(0, candidates).heir(gone).cloned())
    }

    /// Whether a user was a member and is none any more.
    fn has_left(&mut self, channel: ChannelId, user: UserId) -> Step<bool> {
        if self.find_member(channel, user)?.is_some() {
            return Ok(false);
        }
        Ok(self.get(keys::former(channel, user))?.is_some())
    }

    /// A member of a group; direct channels are of the same two for ever.
    pub(super) fn group_member(&mut self, channel: ChannelId, user: UserId) -> Step<Member> {
        let member = self.member(channel, user)?;
        match self.channel(channel)?.record.kind {
            ChannelKind::Group | ChannelKind::Large => Ok(member),
            ChannelKind::Direct => refuse(ErrorCode::PermissionDenied, "the two of a direct channel do not change"),
        }
    }

    /// The row of a member, as this batch has left it so far.
    pub(super) fn member_record(&mut self, channel: ChannelId, user: UserId) -> Step<MemberRecord> {
        let key = keys::member(channel, user);
        // Who is in the list has a row.
        Ok(self.record(key.clone(), MemberRecord::decode)?.ok_or_else(|| unreadable::missing(&key, "member"))?)
    }
}

/// Opens a range at the head, or goes on with the last if nothing was missed. The oldest makes room for a ninth. Where all
/// of the past is open to members, one range is all there is.
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
