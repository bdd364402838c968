//! What operations are known to read, so that it is read at once.
//!
//! Owns a forecast, which may be wrong: `draft` asks for what is missing, and that costs a further round.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::op::ChannelKind;
use schema::{ChannelId, ChannelOp, ClientMsgId, Seq, UnixMs, UserId};

use super::Queued;
use super::create::idempotency_days;
use super::members::Members;
use super::rows::{Wanted, both_blocks};
use crate::keys::{self, DedupKey};

/// What an operation is known to need before anything is read: all of it in the ordinary case, in one round.
pub(super) fn foresee(
    wall: UnixMs,
    Queued { channel, op, .. }: &Queued,
    cached: &BTreeMap<ChannelId, Arc<Members>>,
    wanted: &mut Wanted,
) {
    let channel = *channel;
    // The list of a large channel is never read: those concerned are looked up.
    let existing = |wanted: &mut Wanted, concerned: &[UserId]| {
        wanted.rows.extend([keys::channel(channel), keys::head(channel)]);
        match cached.get(&channel) {
            None => {
                wanted.lists.insert(channel);
            }
            Some(members) if members.large => {
                wanted.rows.extend(concerned.iter().map(|&user| keys::member(channel, user)));
            }
            Some(_) => {}
        }
    };
    let changing = |wanted: &mut Wanted, user: UserId, op_id: ClientMsgId, seq: Seq| {
        existing(wanted, &[user]);
        wanted.rows.extend([
            DedupKey { channel, user, id: op_id }.to_key(),
            keys::message(channel, seq),
            keys::tallies(channel, seq),
        ]);
    };
    match op {
        ChannelOp::Send(op) => {
            existing(wanted, &[op.from]);
            existing(wanted, &op.mentions);
            wanted.rows.insert(DedupKey { channel, user: op.from, id: op.client_msg_id }.to_key());
        }
        &ChannelOp::Mark { user, .. } => {
            existing(wanted, &[user]);
            wanted.rows.insert(keys::read(user, channel));
        }
        ChannelOp::Create(op) => {
            wanted.rows.insert(keys::channel(channel));
            if let ([other], ChannelKind::Direct) = (op.members.as_slice(), op.kind) {
                wanted.rows.insert(keys::direct(op.creator, *other));
                wanted.rows.extend(both_blocks([op.creator, *other]));
            }
            if let Some(key) = &op.idempotency_key {
                let days = idempotency_days(wall);
                wanted.rows.extend(days.map(|day| keys::idempotency(day, op.creator, key)));
            }
            for &user in op.members.iter().chain([&op.creator]) {
                wanted.loose.extend([keys::user(user), keys::joined(user)]);
            }
        }
        &ChannelOp::AddMember { by, user, .. } => {
            existing(wanted, &[by]);
            wanted.rows.extend([keys::member(channel, user), keys::former(channel, user)]);
            wanted.loose.extend([keys::user(user), keys::joined(user)]);
        }
        &ChannelOp::RemoveMember { by, user } => {
            existing(wanted, &[by]);
            wanted.rows.extend([keys::member(channel, user), keys::former(channel, user)]);
        }
        ChannelOp::Edit(op) => changing(wanted, op.by, op.op_id, op.seq),
        &ChannelOp::Delete { by, seq, op_id } => changing(wanted, by, op_id, seq),
        ChannelOp::React(op) => {
            changing(wanted, op.by, op.op_id, op.seq);
            wanted.rows.insert(keys::reaction(channel, op.seq, &op.emoji, op.by));
        }
        &ChannelOp::Typing { user, .. } => existing(wanted, &[user]),
        &ChannelOp::SetTitle { by, .. } => existing(wanted, &[by]),
        &ChannelOp::SetMuted { user, .. } => {
            existing(wanted, &[user]);
            wanted.rows.insert(keys::member(channel, user));
        }
        &ChannelOp::Block { by, user, .. } => {
            existing(wanted, &[by]);
            wanted.rows.extend(both_blocks([by, user]));
        }
    }
}
