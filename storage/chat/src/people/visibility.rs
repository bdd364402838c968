//! Visibility of presence: oneself, a friend, a fellow of a direct channel or a group, and nobody across a block.
//!
//! Limits: some 500 users are asked of at a time, each with six reads. Who is neither friend nor correspondent takes a
//! look for a common group from whichever side has fewer channels: the watcher's channels, each with one read of
//! whether the user is in it, or the user's memberships in one range. That is at most 2,000 rows a user, and some 20
//! for most.

use std::collections::BTreeSet;

use bytes::Bytes;
use schema::limits::{CHANNELS_OF_USER_MAX, PRESENCE_USERS_MAX, WATCHED_MAX};
use schema::record::{FriendRecord, FriendState, PresenceRecord};
use schema::{ChannelId, UserId};

use crate::keys;
use crate::{LayerError, packed, presence, read, unreadable};
use kv::join;
use kv::transaction::{Begin, Engine, Transaction};

/// Users of one transaction: 600 reads.
const USERS_AT_ONCE: usize = 100;
/// Rows that one transaction reads in search of common groups; one user's, at most 2,000, always fit. So each stays far
/// below the life of a transaction.
const ROWS_AT_ONCE: u64 = 4_000;

const _: () = assert!(PRESENCE_USERS_MAX <= WATCHED_MAX, "the longer list is the bound");

/// What `watcher` may see of each of `users`, in their order: what is stored of its presence, or nothing.
///
/// With `fellows` they are known to be in a direct channel or a group with the watcher, and only blocks are looked at.
/// Users are looked at some at a time, so not all at one version.
///
/// # Errors
/// The store's, and damage.
///
/// # Panics
/// If there are more users than a session may watch.
pub async fn visible<E: Engine>(
    engine: &E,
    watcher: UserId,
    users: &[UserId],
    fellows: bool,
) -> Result<Vec<Option<PresenceRecord>>, LayerError> {
    assert!(users.len() <= WATCHED_MAX as usize, "{} users are more than a session may watch", users.len());
    let mut found = Vec::with_capacity(users.len());
    for users in users.chunks(USERS_AT_ONCE) {
        found.extend(read!(engine, Begin::Fresh, |tx| close(&tx, watcher, users, fellows).await)?);
    }
    let mut undecided: Vec<(usize, UserId, u64)> = Vec::new();
    for (at, visibility) in found.iter().enumerate() {
        if let &Visibility::Undecided { channels, .. } = visibility {
            undecided.push((at, users[at], channels));
        }
    }
    if !undecided.is_empty() {
        let own = read!(engine, Begin::Fresh, |tx| groups(&tx, watcher).await)?;
        let cost = |channels: u64| channels.min(own.len() as u64);
        let mut rest = undecided.as_slice();
        while !rest.is_empty() {
            let mut rows = 0;
            let fitting = rest.iter().take_while(|&&(_, _, channels)| {
                rows += cost(channels);
                rows <= ROWS_AT_ONCE
            });
            let (now, later) = rest.split_at(fitting.count().max(1));
            let fellows = read!(engine, Begin::Fresh, |tx| are_fellows(&tx, &own, now).await)?;
            for (&(at, ..), fellow) in now.iter().zip(fellows) {
                found[at] = match found[at] {
                    Visibility::Undecided { presence, .. } if fellow => Visibility::Shown(presence),
                    Visibility::Undecided { .. } | Visibility::Shown(_) | Visibility::Hidden => Visibility::Hidden,
                };
            }
            rest = later;
        }
    }
    let seen = |visibility| match visibility {
        Visibility::Shown(presence) => Some(presence),
        Visibility::Hidden => None,
        Visibility::Undecided { .. } => unreachable!("every one was decided above"),
    };
    Ok(found.into_iter().map(seen).collect())
}

/// What is known of one user.
#[derive(Debug, Clone, Copy)]
enum Visibility {
    Hidden,
    Shown(PresenceRecord),
    /// Visible if the two are in a group together.
    Undecided {
        presence: PresenceRecord,
        /// How many channels the user is in.
        channels: u64,
    },
}

/// What follows from blocks, friendship and direct channels.
async fn close<T: Transaction>(
    tx: &T,
    watcher: UserId,
    users: &[UserId],
    fellows: bool,
) -> Result<Vec<Visibility>, LayerError> {
    let mut wanted = Vec::with_capacity(users.len() * 6);
    for &user in users {
        wanted.extend([keys::presence(user), keys::block(watcher, user), keys::block(user, watcher)]);
        if !fellows {
            wanted.extend([keys::friend(watcher, user), keys::direct(watcher, user), keys::joined(user)]);
        }
    }
    let rows = tx.get_all(&wanted).await?;
    let mut found = Vec::with_capacity(users.len());
    let each = if fellows { 3 } else { 6 };
    for (&user, (keys, rows)) in users.iter().zip(wanted.chunks(each).zip(rows.chunks(each))) {
        let presence = presence::record(&keys[0], rows[0].as_ref());
        let blocked = rows[1].is_some() || rows[2].is_some();
        found.push(if user == watcher {
            Visibility::Shown(presence)
        } else if blocked {
            Visibility::Hidden
        } else if fellows || is_friend(&keys[3], rows[3].as_ref()) || rows[4].is_some() {
            Visibility::Shown(presence)
        } else {
            // How many channels there are decides no more than which way to look.
            let channels =
                unreadable::skip(&keys[5], packed::or_default(rows[5].as_ref(), packed::counter)).unwrap_or(u64::MAX);
            Visibility::Undecided { presence, channels }
        });
    }
    Ok(found)
}

fn is_friend(key: &[u8], row: Option<&Bytes>) -> bool {
    let record = row.and_then(|row| unreadable::skip(key, FriendRecord::decode(row)));
    record.is_some_and(|record| match record.state {
        FriendState::Accepted => true,
        FriendState::Requested | FriendState::Asked => false,
    })
}

/// A user's direct channels and groups: its memberships but for the large channels, which are listed apart. What a
/// channel is stands in its own row, of which 2,000 would be read otherwise.
async fn groups<T: Transaction>(tx: &T, user: UserId) -> Result<BTreeSet<ChannelId>, LayerError> {
    let range = keys::larges(user).rows(CHANNELS_OF_USER_MAX);
    let large = async { tx.snapshot_get_range(&range).await.map_err(LayerError::from) };
    let (mut groups, large) = join::both(memberships(tx, user), large).await?;
    for channel in unreadable::readable(&large.rows, |row| Ok(keys::large_of(&row.key)?.1)) {
        groups.remove(&channel);
    }
    Ok(groups)
}

async fn memberships<T: Transaction>(tx: &T, user: UserId) -> Result<BTreeSet<ChannelId>, LayerError> {
    let page = tx.snapshot_get_range(&keys::memberships_after(user, None).rows(CHANNELS_OF_USER_MAX)).await?;
    Ok(unreadable::readable(&page.rows, |row| Ok(keys::membership_of(&row.key)?.1)).into_iter().collect())
}

/// Whether each of these users, who are in so many channels, is in one of `groups`.
async fn are_fellows<T: Transaction>(
    tx: &T,
    groups: &BTreeSet<ChannelId>,
    users: &[(usize, UserId, u64)],
) -> Result<Vec<bool>, LayerError> {
    let mut fellows = Vec::with_capacity(users.len());
    for &(_, user, channels) in users {
        fellows.push(if channels < groups.len() as u64 {
            !memberships(tx, user).await?.is_disjoint(groups)
        } else {
            let wanted: Vec<_> = groups.iter().map(|&channel| keys::member(channel, user)).collect();
            tx.get_all(&wanted).await?.iter().any(Option::is_some)
        });
    }
    Ok(fellows)
}
