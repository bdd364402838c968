//! A channel is made.
//!
//! Owns what makes it happen once: the channel's own row for a repeated command, the `direct` row for two who open the
//! same conversation at once, the `idempotency` row for a client's key. All three are read in the transaction.

use std::collections::BTreeSet;

use schema::event::{MemberChange, Role};
use schema::op::{ChannelKind, CreateOp, PastAccess};
use schema::record::{ChannelRecord, EventRecordBody, IdempotencyRecord, MemberRecord, SeqRange};
use schema::{ChannelId, ErrorCode, OpReply, Seq, UnixMs, UserId};
use xxhash_rust::xxh3::Xxh3;

use super::draft::{Draft, Step, refuse};
use super::members::Member;
use super::rows::both_blocks;
use super::settings::check_title;
use crate::keys;
use crate::packed;

/// Bytes of an `Idempotency-Key`: a UUID's text has 36.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// How long a key gives the same channel.
const IDEMPOTENCY_MS: u64 = 24 * 3600 * 1000;

impl Draft<'_> {
    pub(super) fn create(&mut self, channel: ChannelId, op: &CreateOp) -> Step<OpReply> {
        if let Some(made) = self.made_with_key(op)? {
            return Ok(OpReply::Created { channel: made, existed: true });
        }
        let users = self.checked_users(op)?;
        self.check_no_block(op, &users)?;
        if let ChannelKind::Direct = op.kind
            && let Some(channel) = self.record(direct_key(&users), packed::direct)?
        {
            return Ok(OpReply::Created { channel, existed: true });
        }
        if let Some(made) = self.record(keys::channel(channel), ChannelRecord::decode)? {
            if (made.kind, made.past, made.creator, made.title.as_str()) == (op.kind, op.past, op.creator, &*op.title) {
                return Ok(OpReply::Created { channel, existed: true });
            }
            return refuse(ErrorCode::Internal, format!("the id {channel} is taken, draw another"));
        }
        self.users_exist(users.iter().copied())?;
        self.users_have_room(users.iter().copied())?;
        self.write_channel(channel, op, &users);
        Ok(OpReply::Created { channel, existed: false })
    }

    /// The channel that the client's key made before, if it has one.
    fn made_with_key(&mut self, op: &CreateOp) -> Step<Option<ChannelId>> {
        let Some(key) = &op.idempotency_key else { return Ok(None) };
        if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
            let length = key.len();
            let text = format!("an idempotency key of {length} bytes, the limit is {IDEMPOTENCY_KEY_BYTES_MAX}");
            return refuse(ErrorCode::BadRequest, text);
        }
        let [today, yesterday] = idempotency_days(self.terms.wall);
        let today = self.record(keys::idempotency(today, op.creator, key), IdempotencyRecord::decode);
        let yesterday = self.record(keys::idempotency(yesterday, op.creator, key), IdempotencyRecord::decode);
        for record in [today?, yesterday?].into_iter().flatten() {
            if self.terms.wall.since_ms(record.made_ms) > IDEMPOTENCY_MS {
                continue;
            }
            if record.content_hash != content_hash(op) {
                return refuse(ErrorCode::IdReused, "the idempotency key was used for another channel");
            }
            return Ok(Some(record.channel));
        }
        Ok(None)
    }

    /// The creator and then the others, without repetition, if they may make up such a channel.
    fn checked_users(&self, op: &CreateOp) -> Step<Vec<UserId>> {
        let others: BTreeSet<UserId> = op.members.iter().copied().filter(|&user| user != op.creator).collect();
        let users: Vec<UserId> = [op.creator].into_iter().chain(others).collect();
        match op.kind {
            ChannelKind::Direct if users.len() != 2 || op.members.len() != 1 => {
                return refuse(ErrorCode::BadRequest, "a direct channel is of two users, you and another");
            }
            // More than that come to a large channel one by one.
            ChannelKind::Group | ChannelKind::Large if users.len() > self.terms.group_members_max as usize => {
                let (count, limit) = (users.len(), self.terms.group_members_max);
                return refuse(ErrorCode::GroupFull, format!("{count} members, the limit is {limit}"));
            }
            ChannelKind::Group | ChannelKind::Large => check_title(&op.title)?,
            ChannelKind::Direct => {}
        }
        match (op.kind, op.past) {
            (ChannelKind::Direct | ChannelKind::Group, PastAccess::All) => {
                refuse(ErrorCode::BadRequest, "only a large channel shows new members what was sent before")
            }
            (ChannelKind::Large, PastAccess::All)
            | (ChannelKind::Direct | ChannelKind::Group | ChannelKind::Large, PastAccess::Joined) => Ok(users),
        }
    }

    /// Refuses a direct channel of two of whom one has blocked the other, also if it is there already.
    fn check_no_block(&mut self, op: &CreateOp, users: &[UserId]) -> Step<()> {
        let (ChannelKind::Direct, &[one, other]) = (op.kind, users) else { return Ok(()) };
        let [mine, theirs] = both_blocks([one, other]).map(|key| self.get(key));
        if mine?.is_some() | theirs?.is_some() {
            return refuse(ErrorCode::Blocked, "one of the two has blocked the other");
        }
        Ok(())
    }

    fn write_channel(&mut self, channel: ChannelId, op: &CreateOp, users: &[UserId]) {
        let wall = self.terms.wall;
        let record = ChannelRecord {
            kind: op.kind,
            title: op.title.to_string(),
            creator: op.creator,
            created_ms: wall,
            member_epoch: 1,
            member_count: u32::try_from(users.len()).expect("at most 500"),
            past: op.past,
        };
        let role = |user| match op.kind {
            ChannelKind::Group | ChannelKind::Large if user == op.creator => Role::Owner,
            ChannelKind::Group | ChannelKind::Large | ChannelKind::Direct => Role::Member,
        };
        let mut members = Vec::with_capacity(users.len());
        for &user in users {
            let ranges = vec![SeqRange { after: Seq::ZERO, through: None }];
            let member = MemberRecord { role: role(user), muted: false, joined_ms: wall, ranges };
            self.put_member(op.kind, channel, user, &member);
            self.count_joined(user, 1);
            if let ChannelKind::Large = op.kind {
                self.set(keys::large(user, channel), packed::mark_row());
            }
            members.push(Member::of(user, &member));
        }
        if let ChannelKind::Direct = op.kind {
            self.set(direct_key(users), packed::direct_row(channel));
        }
        if let Some(key) = &op.idempotency_key {
            let [today, _] = idempotency_days(self.terms.wall);
            let record = IdempotencyRecord { channel, made_ms: wall, content_hash: content_hash(op) };
            self.set(keys::idempotency(today, op.creator, key), record.encode());
        }
        self.put_channel(channel, record, members);
        let event =
            EventRecordBody::Membership { user: op.creator, change: MemberChange::Created, role: role(op.creator) };
        // Ascending, as lists of members are, so that events for the same users share one audience.
        let audience: BTreeSet<UserId> = users.iter().copied().collect();
        self.tell(channel, event, None, audience.into_iter().collect());
    }
}

/// The days on which a key that still counts can have been used.
pub(super) fn idempotency_days(wall: UnixMs) -> [u32; 2] {
    let today = keys::day(wall);
    [today, today.saturating_sub(1)]
}

/// The row of a direct channel's two users.
fn direct_key(users: &[UserId]) -> Vec<u8> {
    keys::direct(users[0], users[1])
}

/// Of what a creation means. Part of the stored format, for a day.
fn content_hash(op: &CreateOp) -> u64 {
    let mut hash = Xxh3::new();
    let kind = match op.kind {
        ChannelKind::Direct => 0,
        ChannelKind::Group => 1,
        ChannelKind::Large => 2,
    };
    let past = match op.past {
        PastAccess::Joined => 0,
        PastAccess::All => 16,
    };
    hash.update(&[kind + past]);
    hash.update(&(op.title.len() as u64).to_be_bytes());
    hash.update(op.title.as_bytes());
    let members: BTreeSet<UserId> = op.members.iter().copied().collect();
    for member in members {
        hash.update(&member.0.to_be_bytes());
    }
    hash.digest()
}
