//! How present users are, as their homes last said.
//!
//! Owns the rows `presence`. Who is present is for the home to find out; here it only survives the home.

use bytes::Bytes;
use schema::UserId;
use schema::record::PresenceRecord;

use super::{ATTEMPTS_MAX, LayerError, again, unreadable};
use crate::keys;
use kv::retry::{self, Abort};
use kv::transaction::{Begin, Engine, Transaction};

/// Stores what a home says of a user, unless something later is stored. So writes that overtake each other end with the
/// last word, and writing again is safe.
///
/// # Errors
/// The store's, and damage.
pub async fn put<E: Engine>(engine: &E, user: UserId, record: PresenceRecord) -> Result<(), LayerError> {
    let key = keys::presence(user);
    let key = &key;
    retry::run(engine, Begin::Cached, ATTEMPTS_MAX, retry::at_once, |mut tx: E::Tx, _attempt| async move {
        let row = tx.get(key).await?;
        let stored = row.as_ref().and_then(|row| unreadable::skip(key, PresenceRecord::decode(row)));
        if let (Some(row), None) = (&row, &stored) {
            unreadable::keep(&mut tx, key, row);
        }
        if stored.is_none_or(|stored| stored.at_ms <= record.at_ms) {
            tx.set(key, &record.encode());
        }
        Ok::<_, Abort<LayerError>>((tx, ()))
    })
    .await?;
    Ok(())
}

/// What is stored of these users, in their order, read at one version; who never was present is offline.
///
/// # Errors
/// The store's, and damage.
pub async fn get_all<E: Engine>(engine: &E, users: &[UserId]) -> Result<Vec<PresenceRecord>, LayerError> {
    again!(get_all_once(engine, users))
}

async fn get_all_once<E: Engine>(engine: &E, users: &[UserId]) -> Result<Vec<PresenceRecord>, LayerError> {
    let keys: Vec<_> = users.iter().map(|&user| keys::presence(user)).collect();
    let rows = engine.begin(Begin::Fresh).get_all(&keys).await?;
    Ok(keys.iter().zip(&rows).map(|(key, row)| record(key, row.as_ref())).collect())
}

/// A row of `presence`; offline where there is none that can be read.
pub(super) fn record(key: &[u8], row: Option<&Bytes>) -> PresenceRecord {
    unreadable::skip_or_default(key, row, PresenceRecord::decode)
}
