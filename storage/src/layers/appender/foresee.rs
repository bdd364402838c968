//! What operations are known to read, so that it is read at once.
//!
//! Owns a forecast, which may be wrong: `draft` asks for what is missing, and that costs a further round.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::op::ChannelKind;
use schema::{ChannelId, ChannelOp, UnixMs};

use super::Queued;
use super::create::idempotency_days;
use super::members::Members;
use super::rows::Wanted;
use crate::keys::{self, DedupKey};

/// What an operation is known to need before anything is read: all of it in the ordinary case, in one round.
pub(super) fn foresee(
    wall: UnixMs,
    Queued { channel, op, .. }: &Queued,
    cached: &BTreeMap<ChannelId, Arc<Members>>,
    wanted: &mut Wanted,
) {
    let channel = *channel;
    let existing = |wanted: &mut Wanted| {
        wanted.rows.extend([keys::channel(channel), keys::head(channel)]);
        if !cached.contains_key(&channel) {
            wanted.lists.insert(channel);
        }
    };
    match op {
        ChannelOp::Send(op) => {
            existing(wanted);
            wanted.rows.insert(DedupKey { channel, user: op.from, id: op.client_msg_id }.to_key());
        }
        &ChannelOp::Mark { user, .. } => {
            existing(wanted);
            wanted.rows.insert(keys::read(user, channel));
        }
        ChannelOp::Create(op) => {
            wanted.rows.insert(keys::channel(channel));
            if let ([other], ChannelKind::Direct) = (op.members.as_slice(), op.kind) {
                wanted.rows.insert(keys::direct(op.creator, *other));
            }
            if let Some(key) = &op.idempotency_key {
                let days = idempotency_days(wall);
                wanted.rows.extend(days.map(|day| keys::idempotency(day, op.creator, key)));
            }
            for &user in op.members.iter().chain([&op.creator]) {
                wanted.loose.extend([keys::user(user), keys::joined(user)]);
            }
        }
        &ChannelOp::AddMember { user, .. } => {
            existing(wanted);
            wanted.rows.extend([keys::member(channel, user), keys::former(channel, user)]);
            wanted.loose.extend([keys::user(user), keys::joined(user)]);
        }
        &ChannelOp::RemoveMember { user, .. } => {
            existing(wanted);
            wanted.rows.extend([keys::member(channel, user), keys::former(channel, user)]);
        }
        ChannelOp::Edit(_)
        | ChannelOp::Delete { .. }
        | ChannelOp::React(_)
        | ChannelOp::Typing { .. }
        | ChannelOp::SetTitle { .. }
        | ChannelOp::SetMuted { .. }
        | ChannelOp::Block { .. } => existing(wanted),
    }
}
