//! Decision of a worker about a push item at its time.

use std::fmt;

use schema::limits::{LEASE_MS, PRESENCE_ACTIVE_MS, PRESENCE_AWAY_MS, PRESENCE_GRACE_MS};
use schema::record::{MemberRecord, MessageRecord, PresenceRecord, PushItem, ReadMarkRecord, ToldRecord};
use schema::{PresenceState, UnixMs};

use crate::keys;
use crate::{LayerError, presence, read, unreadable, visible};
use kv::transaction::{Begin, Engine, Transaction};

/// How long a stored "online" is true without another word: a home writes a user's activity that often, calls the user
/// away that long after the last, and is believed for its lease and the grace. Beyond it the home is gone and nobody
/// said so.
const ONLINE_MS: u64 = PRESENCE_ACTIVE_MS + PRESENCE_AWAY_MS + PRESENCE_GRACE_MS + LEASE_MS;

/// Items that are looked at in one transaction, with [`READS`] reads each.
const AT_ONCE: usize = 200;
/// Reads for one item.
const READS: usize = 6;

/// What a worker decides. Of several that hold the first one here is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// The user may not read the message any more, or the channel is gone.
    Gone,
    /// The message was deleted.
    Deleted,
    /// The user has read it, or was away from the channel since, which leaves nothing unread.
    Read,
    /// The user blocks who sent it.
    Blocked,
    /// The user wants no notifications of that channel.
    Muted,
    /// Somebody uses one of the user's devices, and sees it there.
    Online,
    /// It was told already, by itself or with a later message of the channel.
    Told,
    /// A row that says who may read what cannot be read itself.
    Unreadable,
    /// The phone is told.
    Push,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Gone => "gone",
            Self::Deleted => "deleted",
            Self::Read => "read",
            Self::Blocked => "blocked",
            Self::Told => "told",
            Self::Muted => "muted",
            Self::Online => "online",
            Self::Unreadable => "unreadable",
            Self::Push => "push",
        })
    }
}

/// What is to be done about each of these items when it is due, or at `wall` if that is later, as things stand now.
///
/// # Errors
/// The store's, and damage.
pub async fn decide<E: Engine>(engine: &E, items: &[PushItem], wall: UnixMs) -> Result<Vec<Decision>, LayerError> {
    let mut decisions = Vec::with_capacity(items.len());
    for items in items.chunks(AT_ONCE) {
        decisions.extend(read!(engine, Begin::Fresh, |tx| decide_some(&tx, items, wall).await)?);
    }
    Ok(decisions)
}

/// The same of few items, in a transaction that nothing of it makes fail.
pub(crate) async fn decide_some<T: Transaction>(
    tx: &T,
    items: &[PushItem],
    wall: UnixMs,
) -> Result<Vec<Decision>, LayerError> {
    let mut wanted = Vec::with_capacity(items.len() * READS);
    for &PushItem { user, channel, seq, from, .. } in items {
        wanted.extend([keys::member(channel, user), keys::message(channel, seq)]);
        wanted.extend([keys::read(user, channel), keys::presence(user)]);
        wanted.extend([keys::told(user, channel), keys::block(user, from)]);
    }
    let rows = tx.snapshot_get_all(&wanted).await?;
    let mut decisions = Vec::with_capacity(items.len());
    for (item, (keys, rows)) in items.iter().zip(wanted.chunks(READS).zip(rows.chunks(READS))) {
        let member = unreadable::refuse_some(&keys[0], rows[0].as_ref(), MemberRecord::decode);
        let message = unreadable::refuse_some(&keys[1], rows[1].as_ref(), MessageRecord::decode);
        let mark: ReadMarkRecord = unreadable::skip_or_default(&keys[2], rows[2].as_ref(), ReadMarkRecord::decode);
        let presence = presence::record(&keys[3], rows[3].as_ref());
        let told: ToldRecord = unreadable::skip_or_default(&keys[4], rows[4].as_ref(), ToldRecord::decode);
        decisions.push(match (member, message) {
            (Err(_), _) | (_, Err(_)) => Decision::Unreadable,
            (Ok(Some(member)), Ok(Some(message))) if visible::shows(&member.ranges, item.seq) => {
                if message.deleted {
                    Decision::Deleted
                } else if item.seq <= mark.seq.max(visible::joined_after(&member)) {
                    Decision::Read
                } else if rows[5].is_some() {
                    Decision::Blocked
                } else if member.muted {
                    Decision::Muted
                } else if is_online(&presence, wall.max(item.due_ms)) {
                    Decision::Online
                } else if item.seq <= told.seq {
                    Decision::Told
                } else {
                    Decision::Push
                }
            }
            (Ok(_), Ok(_)) => Decision::Gone,
        });
    }
    Ok(decisions)
}

fn is_online(presence: &PresenceRecord, wall: UnixMs) -> bool {
    match presence.state {
        PresenceState::Online => wall.since_ms(presence.at_ms) <= ONLINE_MS,
        PresenceState::Away | PresenceState::Offline => false,
    }
}
