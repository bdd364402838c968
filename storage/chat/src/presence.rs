//! Presence of users, as their homes last said.
//!
//! Owns the rows `presence`. Who is present is for the home to find out; here it only survives the home. Upholds I7 and
//! I8: a row is written only by the user's home of the view that stands, which the fence proves in the same transaction,
//! so that rows follow each other as views do, and no clock is compared with another's. Webhooks are told of a transition
//! in the transaction that stores it.

use bytes::Bytes;
use schema::hook::HookKind;
use schema::record::{FenceRecord, HookedBody, PresenceRecord};
use schema::{Owner, UserId, View};

use super::{LayerError, commit, moving, read, recent, unreadable};
use crate::hooks::Hooks;
use crate::keys;
use kv::join;
use kv::transaction::{Begin, Engine, Transaction, key_after};

/// Stores what `home` says of one of its users under `view`. A home has one word about a user under way at a time, so
/// the last it said stands, whatever its clock; writing again is safe.
///
/// # Errors
/// 113, and nothing is stored, if the user is another's under this view, or the view has ended. The store's, and damage
/// in the fence.
pub async fn put<E: Engine>(
    engine: &E,
    view: &View,
    home: Owner,
    user: UserId,
    record: PresenceRecord,
) -> Result<(), LayerError> {
    if view.home_of_user(user) != home {
        return Err(moving().into());
    }
    let (key, fence_key) = (&keys::presence(user), &keys::fence(home.incarnation));
    let expected = FenceRecord { incarnation: home.incarnation, epoch: view.epoch };
    // The view was read by this process, so the fence that it wrote is seen from there on.
    commit!(engine, recent(engine), |tx, _| {
        let fence = async { tx.get(fence_key).await.map_err(LayerError::from) };
        let (fence, hooks) = join::both(fence, Hooks::read(&tx)).await?;
        let fence = unreadable::refuse_some(fence_key, fence.as_ref(), FenceRecord::decode)?;
        if fence != Some(expected) {
            return Err(moving().into());
        }
        // An earlier word whose outcome nobody awaited does not come after this one.
        tx.add_read_conflict(key, &key_after(key));
        if hooks.wanting(HookKind::Presence, None).next().is_some() {
            let before = self::record(key, tx.get(key).await?.as_ref());
            // One that says the same again, of an attempt that has committed above all, is no transition.
            if before.state != record.state {
                let PresenceRecord { state, last_active_ms, at_ms } = record;
                hooks.tell_of_user(&mut tx, user, at_ms, HookedBody::Presence { user, state, last_active_ms });
            }
        }
        tx.set(key, &record.encode());
        Ok(())
    })
}

/// What is stored of these users, in their order, read at one version; who never was present is offline.
///
/// # Errors
/// The store's.
pub async fn get_all<E: Engine>(engine: &E, users: &[UserId]) -> Result<Vec<PresenceRecord>, LayerError> {
    let keys: Vec<_> = users.iter().map(|&user| keys::presence(user)).collect();
    let rows = read!(engine, Begin::Fresh, |tx| Ok(tx.get_all(&keys).await?))?;
    Ok(keys.iter().zip(&rows).map(|(key, row)| record(key, row.as_ref())).collect())
}

/// A row of `presence`; offline where there is none that can be read.
pub(super) fn record(key: &[u8], row: Option<&Bytes>) -> PresenceRecord {
    unreadable::skip_or_default(key, row, PresenceRecord::decode)
}
