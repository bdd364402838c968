//! Members come, change their role, and go.
//!
//! Upholds I10: a range of seqs opens at the head when a user joins and closes at the head when it goes, in the
//! transaction that orders both among the channel's messages. Every change raises the channel's member epoch.

use std::sync::Arc;

use schema::event::{MemberChange, Role};
use schema::limits::MEMBER_RANGES_MAX;
use schema::op::ChannelKind;
use schema::record::{EventRecordBody, MemberRecord, RecordError, SeqRange};
use schema::{ChannelId, ErrorCode, OpReply, Seq, UserId};

use super::draft::{Draft, Step, refuse};
use super::members::{Member, Members};
use crate::keys;

impl Draft<'_> {
    /// Adds a user, or gives a member another role.
    ///
    /// Owners may do both to everyone; admins add members and admins, and change the roles of those.
    pub(super) fn add_member(&mut self, channel: ChannelId, by: UserId, user: UserId, role: Role) -> Step<OpReply> {
        let by = self.group_member(channel, by)?;
        let members = self.members(channel)?;
        let before = members.get(user).map(|member| member.role);
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
        let record = match before {
            Some(_) => MemberRecord { role, ..self.member_record(channel, user)? },
            None => self.joining(channel, user, role, &members)?,
        };
        self.put_member(channel, user, &record);
        if before.is_none() {
            self.clear(keys::former(channel, user));
            self.clear(keys::left(user, channel));
            self.count_joined(user, 1);
        }
        self.put_members(channel, members.with(Member::of(user, &record)));
        let audience = self.drafted_users(channel);
        let event = EventRecordBody::Membership { user, change: MemberChange::Added, role };
        self.tell(channel, event, None, audience);
        Ok(OpReply::Changed { changed: true })
    }

    /// The record of a user who joins at the head, if there is room on both sides.
    fn joining(&mut self, channel: ChannelId, user: UserId, role: Role, members: &Members) -> Step<MemberRecord> {
        if members.len() >= self.terms.group_members_max as usize {
            let limit = self.terms.group_members_max;
            return refuse(ErrorCode::GroupFull, format!("the group has {limit} members, which is the limit"));
        }
        let (former, exists) = (self.get(keys::former(channel, user)), self.users_exist([user].into_iter()));
        let (former, ()) = (former?, exists?);
        self.users_have_room([user].into_iter())?;
        let after = self.channel(channel)?.head.seq;
        Ok(match former {
            Some(row) => {
                let mut record = MemberRecord::decode(&row)?;
                open_range(&mut record.ranges, after);
                MemberRecord { role, ..record }
            }
            None => {
                let ranges = vec![SeqRange { after, through: None }];
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
        let members = self.members(channel)?;
        let Some(member) = members.get(user) else { return Ok(OpReply::Changed { changed: false }) };
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
        let mut record = self.member_record(channel, user)?;
        let head = self.channel(channel)?.head.seq;
        close_range(&mut record.ranges, head);
        self.clear(keys::member(channel, user));
        self.clear(keys::membership(user, channel));
        self.set(keys::former(channel, user), record.encode());
        self.set(keys::left(user, channel), Vec::new());
        self.count_joined(user, -1);
        let (change, role) =
            if by.user == user { (MemberChange::Left, member.role) } else { (MemberChange::Removed, member.role) };
        // The one concerned hears of it too.
        let audience = Arc::clone(&members.users);
        self.put_members(channel, members.without(user));
        self.tell(channel, EventRecordBody::Membership { user, change, role }, None, audience);
        Ok(OpReply::Changed { changed: true })
    }

    /// Whether a user was a member and is none any more.
    fn has_left(&mut self, channel: ChannelId, user: UserId) -> Step<bool> {
        if self.members(channel)?.get(user).is_some() {
            return Ok(false);
        }
        Ok(self.get(keys::former(channel, user))?.is_some())
    }

    /// A member of a group; direct channels are of the same two for ever.
    fn group_member(&mut self, channel: ChannelId, user: UserId) -> Step<Member> {
        let member = self.member(channel, user)?;
        match self.channel(channel)?.record.kind {
            ChannelKind::Group | ChannelKind::Large => Ok(member),
            ChannelKind::Direct => refuse(ErrorCode::PermissionDenied, "the two of a direct channel do not change"),
        }
    }

    fn member_record(&mut self, channel: ChannelId, user: UserId) -> Step<MemberRecord> {
        let row = self.get(keys::member(channel, user))?.ok_or_else(|| RecordError::Damaged {
            what: "member",
            bytes: 0,
            why: format!("user {user} is in the list of channel {channel} and has no row"),
        })?;
        Ok(MemberRecord::decode(&row)?)
    }
}

/// Opens a range at the head, or goes on with the last if nothing was missed. The oldest makes room for a ninth.
fn open_range(ranges: &mut Vec<SeqRange>, after: Seq) {
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
                    Ok(head) => open_range(&mut ranges, Seq(head)),
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
}
