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

use super::title::check_title;
use super::{Operation, Proof};
use crate::appender::capacity::Cost;
use crate::appender::draft::{Draft, Step, refuse};
use crate::appender::members::Member;
use crate::appender::prefetch::Prefetch;
use crate::appender::rows::both_blocks;
use crate::keys;
use crate::packed::{self, FeedRow};

/// Bytes of an `Idempotency-Key`: a UUID's text has 36.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// How long a key gives the same channel.
const IDEMPOTENCY_MS: u64 = 24 * 3600 * 1000;

impl Operation for CreateOp {
    fn prefetch(&self, read: &mut Prefetch<'_>) {
        read.rows([keys::channel(read.channel)]);
        if let ([other], ChannelKind::Direct) = (self.members.as_slice(), self.kind) {
            read.rows([keys::direct(self.creator, *other)]);
            read.rows(both_blocks([self.creator, *other]));
        }
        if self.kind == ChannelKind::Feed {
            read.rows([keys::feed_of(self.creator)]);
        }
        if let Some(key) = &self.idempotency_key {
            let days = idempotency_days(read.wall);
            read.rows(days.map(|day| keys::idempotency(day, self.creator, key)));
        }
        for &user in self.members.iter().chain([&self.creator]) {
            read.loose([keys::user(user), keys::joined(user)]);
        }
    }

    /// Channel, direct, idempotency; three rows, a counter and an event each; an owner's row of a large one.
    fn cost(&self, _members: usize) -> Cost {
        Cost::rows(4 + 5 * (self.members.len() + 1))
    }

    fn decide(&self, draft: &mut Draft<'_>, channel: ChannelId) -> Step<OpReply> {
        let op = self;
        if let Some(made) = made_with_key(draft, op)? {
            return Ok(OpReply::Created { channel: made, existed: true });
        }
        let users = checked_users(draft, op)?;
        check_no_block(draft, op, &users)?;
        if let ChannelKind::Direct = op.kind
            && let Some(channel) = draft.record(direct_key(&users), packed::direct)?
        {
            return Ok(OpReply::Created { channel, existed: true });
        }
        if let ChannelKind::Feed = op.kind
            && let Some(feed) = draft.record(keys::feed_of(op.creator), packed::feed)?
        {
            return Ok(OpReply::Created { channel: feed.channel, existed: true });
        }
        if let Some(made) = draft.record(keys::channel(channel), ChannelRecord::decode)? {
            if (made.kind, made.past, made.creator, made.title.as_str()) == (op.kind, op.past, op.creator, &*op.title) {
                return Ok(OpReply::Created { channel, existed: true });
            }
            return refuse(ErrorCode::Internal, format!("the id {channel} is taken, draw another"));
        }
        draft.users_exist(users.iter().copied())?;
        if op.kind != ChannelKind::Feed {
            draft.users_have_room(users.iter().copied())?;
        }
        write_channel(draft, channel, op, &users);
        Ok(OpReply::Created { channel, existed: false })
    }

    fn proof(&self) -> Proof {
        Proof::Newest
    }
}

/// The channel that the client's key made before, if it has one.
fn made_with_key(draft: &mut Draft<'_>, op: &CreateOp) -> Step<Option<ChannelId>> {
    let Some(key) = &op.idempotency_key else { return Ok(None) };
    if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
        let length = key.len();
        let text = format!("an idempotency key of {length} bytes, the limit is {IDEMPOTENCY_KEY_BYTES_MAX}");
        return refuse(ErrorCode::BadRequest, text);
    }
    // All of them before any is missed, so that one more round reads them.
    let records = idempotency_days(draft.wall())
        .map(|day| draft.record(keys::idempotency(day, op.creator, key), IdempotencyRecord::decode));
    for record in records {
        let Some(record) = record? else { continue };
        if draft.wall().since_ms(record.made_ms) > IDEMPOTENCY_MS {
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
fn checked_users(draft: &Draft<'_>, op: &CreateOp) -> Step<Vec<UserId>> {
    let others: BTreeSet<UserId> = op.members.iter().copied().filter(|&user| user != op.creator).collect();
    let users: Vec<UserId> = [op.creator].into_iter().chain(others).collect();
    match op.kind {
        ChannelKind::Direct if users.len() != 2 || op.members.len() != 1 => {
            return refuse(ErrorCode::BadRequest, "a direct channel is of two users, you and another");
        }
        // More than that come to a large channel one by one.
        ChannelKind::Group | ChannelKind::Large if users.len() > draft.group_members_max() as usize => {
            let (count, limit) = (users.len(), draft.group_members_max());
            return refuse(ErrorCode::GroupFull, format!("{count} members, the limit is {limit}"));
        }
        ChannelKind::Group | ChannelKind::Large => check_title(&op.title)?,
        ChannelKind::Feed if users.len() != 1 || op.creator.is_system() => {
            return refuse(ErrorCode::BadRequest, "a feed is one user's");
        }
        ChannelKind::Direct | ChannelKind::Feed => {}
    }
    match (op.kind, op.past) {
        (ChannelKind::Direct | ChannelKind::Group | ChannelKind::Feed, PastAccess::All) => {
            refuse(ErrorCode::BadRequest, "only a large channel shows new members what was sent before")
        }
        (ChannelKind::Large, PastAccess::All)
        | (ChannelKind::Direct | ChannelKind::Group | ChannelKind::Large | ChannelKind::Feed, PastAccess::Joined) => {
            Ok(users)
        }
    }
}

/// Refuses a direct channel of two of whom one has blocked the other, also if it is there already.
fn check_no_block(draft: &mut Draft<'_>, op: &CreateOp, users: &[UserId]) -> Step<()> {
    let (ChannelKind::Direct, &[one, other]) = (op.kind, users) else { return Ok(()) };
    let [mine, theirs] = both_blocks([one, other]).map(|key| draft.get(key));
    if mine?.is_some() | theirs?.is_some() {
        return refuse(ErrorCode::Blocked, "one of the two has blocked the other");
    }
    Ok(())
}

fn write_channel(draft: &mut Draft<'_>, channel: ChannelId, op: &CreateOp, users: &[UserId]) {
    let wall = draft.wall();
    let record = ChannelRecord {
        kind: op.kind,
        title: op.title.to_string(),
        creator: op.creator,
        created_ms: wall,
        member_epoch: 1,
        member_count: u32::try_from(users.len()).expect("at most 500"),
        past: op.past,
    };
    if let ChannelKind::Feed = op.kind {
        return write_feed(draft, channel, ChannelRecord { member_count: 0, ..record });
    }
    let role = |user| match op.kind {
        ChannelKind::Group | ChannelKind::Large if user == op.creator => Role::Owner,
        ChannelKind::Group | ChannelKind::Large | ChannelKind::Direct | ChannelKind::Feed => Role::Member,
    };
    let mut members = Vec::with_capacity(users.len());
    for &user in users {
        let ranges = vec![SeqRange { after: Seq::ZERO, through: None }];
        let member = MemberRecord { role: role(user), muted: false, joined_ms: wall, ranges };
        draft.put_member(op.kind, channel, user, &member);
        draft.count_joined(user, 1);
        if let ChannelKind::Large = op.kind {
            draft.set(keys::large(user, channel), packed::MARK);
        }
        members.push(Member::of(user, &member));
    }
    if let ChannelKind::Direct = op.kind {
        draft.set(direct_key(users), packed::direct_row(channel).to_vec());
    }
    if let Some(key) = &op.idempotency_key {
        let today = keys::day(draft.wall());
        let record = IdempotencyRecord { channel, made_ms: wall, content_hash: content_hash(op) };
        draft.set(keys::idempotency(today, op.creator, key), record.encode());
    }
    draft.put_channel(channel, record, members);
    let event = EventRecordBody::Membership { user: op.creator, change: MemberChange::Created, role: role(op.creator) };
    // Ascending, as lists of members are, so that events for the same users share one audience.
    let audience: BTreeSet<UserId> = users.iter().copied().collect();
    draft.tell(channel, event, None, audience.into_iter().collect());
}

/// A user's feed: nobody is a member of it, and nobody's inbox tells of it.
fn write_feed(draft: &mut Draft<'_>, channel: ChannelId, record: ChannelRecord) {
    draft.set(keys::feed_of(record.creator), packed::row(FeedRow { channel, is_marked: false }));
    draft.put_channel(channel, record, Vec::new());
}

/// The days on which a key that still counts can have been used.
fn idempotency_days(wall: UnixMs) -> [u32; 3] {
    let today = keys::day(wall);
    // The channel may have been made by a node whose clock was past midnight already.
    [today, today.saturating_sub(1), today.saturating_add(1)]
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
        ChannelKind::Feed => 3,
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
