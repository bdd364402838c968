//! Ownership as the judge of frames: who is asked has to be the home of what it is asked about.
//!
//! Owns the judgement and the refusals. A request counts if this shard has been the home without a break since the view
//! under which it was addressed, so that one which was long on its way is not carried out for a time that is over. What
//! is an answer or a fact counts whoever is the home now; so does whoever takes its leave.

use schema::mesh::MeshBody;
use schema::{ChannelId, Epoch, ErrorCode, Partition, Refusal, UserId};

use crate::placement::Placement;

/// Whether a frame asks something of a home, of which it has to be one under a view as new as the asker's.
pub(crate) fn is_request(body: &MeshBody) -> bool {
    match body {
        MeshBody::Apply { .. }
        | MeshBody::Register { .. }
        | MeshBody::RegisterMany { .. }
        | MeshBody::Unregister { .. }
        | MeshBody::More(_)
        | MeshBody::Kick { .. }
        | MeshBody::Live { .. }
        | MeshBody::Active { .. }
        | MeshBody::Watch { .. }
        | MeshBody::PresenceAsk { .. }
        | MeshBody::Subscribe { .. }
        | MeshBody::Unsubscribe { .. }
        | MeshBody::Interest { .. }
        | MeshBody::Index { .. } => true,
        MeshBody::Applied { .. }
        | MeshBody::Hint { .. }
        | MeshBody::Registered { .. }
        | MeshBody::Deliver { .. }
        | MeshBody::Snapshot { .. }
        | MeshBody::Replaced { .. }
        | MeshBody::KickDone { .. }
        | MeshBody::Kicked { .. }
        | MeshBody::Tell { .. }
        | MeshBody::Watched { .. }
        | MeshBody::PresenceAnswer { .. }
        | MeshBody::Subscribed { .. }
        | MeshBody::Feed(_)
        | MeshBody::Heads { .. } => false,
    }
}

/// Whether a request may be carried out here. Of those about many, each is judged where it is carried out.
pub(crate) fn is_ours(placement: &Placement, epoch: Epoch, body: &MeshBody) -> bool {
    let is_channel_ours = |channel: ChannelId| placement.owns_since(Partition::of_channel(channel), epoch);
    let is_user_ours = |user: UserId| placement.owns_since(Partition::of_user(user), epoch);
    match body {
        &MeshBody::Apply { channel, .. } | &MeshBody::Subscribe { channel, .. } | &MeshBody::Index { channel } => {
            is_channel_ours(channel)
        }
        &MeshBody::Register { user, .. } | &MeshBody::Active { user, .. } | &MeshBody::Kick { user, .. } => {
            is_user_ours(user)
        }
        MeshBody::More(more) => is_user_ours(more.user),
        MeshBody::Watch { users, .. } | MeshBody::PresenceAsk { users, .. } => {
            users.iter().all(|&user| is_user_ours(user))
        }
        MeshBody::RegisterMany { .. }
        | MeshBody::Unregister { .. }
        | MeshBody::Live { .. }
        | MeshBody::Unsubscribe { .. }
        | MeshBody::Interest { .. }
        | MeshBody::Applied { .. }
        | MeshBody::Hint { .. }
        | MeshBody::Registered { .. }
        | MeshBody::Deliver { .. }
        | MeshBody::Snapshot { .. }
        | MeshBody::Replaced { .. }
        | MeshBody::KickDone { .. }
        | MeshBody::Kicked { .. }
        | MeshBody::Tell { .. }
        | MeshBody::Watched { .. }
        | MeshBody::PresenceAnswer { .. }
        | MeshBody::Subscribed { .. }
        | MeshBody::Feed(_)
        | MeshBody::Heads { .. } => true,
    }
}

/// The answer to a request that is not this shard's to carry out, if it has one.
pub(crate) fn refusal(body: &MeshBody) -> Option<MeshBody> {
    match *body {
        MeshBody::Apply { ticket, attempt, .. } => {
            Some(MeshBody::Applied { ticket, attempt, reply: Err(moving("the channel")) })
        }
        MeshBody::Register { session, attempt, .. } => {
            Some(MeshBody::Registered { session, attempt, start: Err(moving("the account")) })
        }
        MeshBody::More(ref more) => {
            Some(MeshBody::Registered { session: more.session, attempt: 0, start: Err(moving("the account")) })
        }
        MeshBody::Kick { ticket, .. } => Some(MeshBody::KickDone { ticket, refused: Some(moving("the account")) }),
        MeshBody::PresenceAsk { ticket, .. } => {
            Some(MeshBody::PresenceAnswer { ticket, entries: Err(moving("a user")) })
        }
        MeshBody::Subscribe { session, channel, number, .. } => {
            Some(MeshBody::Subscribed { session, channel, number, start: Err(moving("the channel")) })
        }
        _ => None,
    }
}

/// A refusal for now: something has another home.
pub(crate) fn moving(what: &str) -> Refusal {
    Refusal::new(ErrorCode::Moving, format!("{what} has another home now, send it again"))
}
