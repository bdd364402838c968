//! Presence of users, as their homes last said.
//!
//! Owns the rows `presence`. Who is present is for the home to find out; here it only survives the home. Upholds I7:
//! what a home says that is a home no more is refused, and no clock is compared with another's.

use bytes::Bytes;
use schema::record::{FenceRecord, PresenceRecord};
use schema::{Epoch, Incarnation, UserId};

use super::{LayerError, commit, moving, read, unreadable};
use crate::keys;
use kv::transaction::{Begin, Engine, Transaction};

/// Stores what a home of this node says of a user under an epoch. A home has one word about a user under way at a time,
/// so the last it said stands, whatever its clock; writing again is safe.
///
/// # Errors
/// 113 once the node's fence is not of this epoch: nothing is stored. The store's, and damage in the fence.
pub async fn put<E: Engine>(
    engine: &E,
    epoch: Epoch,
    incarnation: Incarnation,
    user: UserId,
    record: PresenceRecord,
) -> Result<(), LayerError> {
    let (key, fence_key) = (&keys::presence(user), &keys::fence(incarnation));
    commit!(engine, Begin::Cached, |tx, _| {
        let fence = tx.get(fence_key).await?;
        let fence = unreadable::refuse_some(fence_key, fence.as_ref(), FenceRecord::decode)?;
        if fence != Some(FenceRecord { incarnation, epoch }) {
            return Err(moving().into());
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
