//! The devices of an account: which there are, with which logins they came, and where a session of one starts.
//!
//! Owns the rows `device`, and ends the families that a device came with (`accounts` owns their rows). How many devices
//! are connected at once is the home's to refuse; here are those that connected last, and what is dropped is only the
//! memory of one that has not for a long time.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use schema::limits::{CLIENT_BYTES_MAX, DEVICES_OF_USER_MAX, FAMILIES_OF_DEVICE_MAX};
use schema::page::SessionStart;
use schema::record::{DeviceRecord, HookedBody};
use schema::{Cursor, DeviceId, ErrorCode, Refusal, Stamp, UnixMs, UserId};

use super::accounts;
use super::notices::contacts;
use super::{ATTEMPTS_MAX, LayerError, commit, inbox, read, stamp_of, unreadable};
use crate::hooks::Hooks;
use crate::keys;
use kv::join;
use kv::retry::{self, Abort};
use kv::transaction::{Begin, Engine, Transaction};

/// Rows that are read of one account's devices: the limit, and as many again that connected at once.
const ROWS_MAX: u32 = 2 * DEVICES_OF_USER_MAX;

/// A device that connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connecting {
    /// Whose.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// The login whose token it came with.
    pub family: u64,
    /// What its client calls itself; cut to `CLIENT_BYTES_MAX` bytes. Empty if it does not say.
    pub client: String,
    /// Where it stopped; none to start at the newest.
    pub cursor: Option<Cursor>,
}

/// Notes that a device connects, and says where its session starts: one transaction, so that a login that is revoked
/// before it opens nothing, and a revocation of the device after it knows the login.
///
/// An account keeps the `DEVICES_OF_USER_MAX` that connected last, this one among them. A device keeps the
/// `FAMILIES_OF_DEVICE_MAX` logins that it came with last; the oldest beyond that ends, since no revocation of the
/// device would find it any more.
///
/// # Errors
/// 101 if the login has ended, 112 for a cursor of another store or ahead of this one; the store's, and damage. Opening
/// again is safe.
pub async fn open<E: Engine>(engine: &E, connecting: &Connecting, wall: UnixMs) -> Result<SessionStart, LayerError> {
    let (committed, cursor) =
        retry::run(engine, Begin::Fresh, ATTEMPTS_MAX, retry::at_once, |mut tx: E::Tx, attempt| async move {
            let newest = tx.read_version().await?;
            let cursor = inbox::start(engine.generation(), newest, connecting.cursor).map_err(LayerError::from)?;
            note(&mut tx, connecting, wall, attempt.maybe_committed).await?;
            Ok::<_, Abort<LayerError>>((tx, cursor))
        })
        .await?;
    Ok(SessionStart { cursor, stamp: stamp_of(committed.stamp) })
}

async fn note<T: Transaction>(
    tx: &mut T,
    connecting: &Connecting,
    wall: UnixMs,
    maybe_committed: bool,
) -> Result<(), LayerError> {
    let &Connecting { user, ref device, family, .. } = connecting;
    let key = keys::device(user, device);
    let wanted = [key.clone(), accounts::login_key(user, family)];
    let rows = async { tx.get_all(&wanted).await.map_err(LayerError::from) };
    let (rows, hooks) = join::both(rows, Hooks::read(tx)).await?;
    if !accounts::login_counts(family, rows[1].as_ref()) {
        return Err(Refusal::new(ErrorCode::Unauthenticated, "the token was revoked, sign in again").into());
    }
    let before = unreadable::refuse_some(&key, rows[0].as_ref(), DeviceRecord::decode)?;
    let is_told = maybe_committed && before.as_ref().is_some_and(|before| before.connected_ms == wall);
    if before.is_none() {
        drop_oldest(tx, user, family).await?;
    }
    let mut families = before.as_ref().map(|before| before.families.clone()).unwrap_or_default();
    for ended in admit(tx, user, &mut families, family).await? {
        tx.clear(&keys::family(user, ended));
    }
    // A session that registers again does not say it again.
    let client_before = before.as_ref().map(|before| before.client.clone()).unwrap_or_default();
    let record = DeviceRecord {
        connected_ms: wall,
        last_active_ms: before.map_or(wall, |before| before.last_active_ms.max(before.connected_ms)),
        client: if connecting.client.is_empty() { client_before } else { cut(&connecting.client) },
        families,
        stamp: Stamp::default(),
    };
    tx.set_versionstamped_value(&key, &record.encode_before_stamp(), &[]);
    if !is_told {
        hooks.tell_of_user(tx, user, wall, HookedBody::Connected { user, device: device.as_str().to_owned() });
    }
    Ok(())
}

/// Makes room for one device more, which comes with a login of `family`. The logins that only a dropped device used end
/// with it: nobody could end them by its name any more.
///
/// Reads without conflicts, so that devices that connect at once do not fail each other: as many as do may pass the
/// limit together, until the next new one.
async fn drop_oldest<T: Transaction>(tx: &mut T, user: UserId, family: u64) -> Result<(), LayerError> {
    let page = tx.snapshot_get_range(&keys::devices(user).rows(ROWS_MAX)).await?;
    let mut known = unreadable::readable(&page.rows, |row| Ok((DeviceRecord::decode(&row.value)?, row.key.clone())));
    known.sort_unstable_by_key(|(device, _)| Reverse(device.stamp));
    let (kept, dropped) = known.split_at(known.len().min(DEVICES_OF_USER_MAX as usize - 1));
    let used: BTreeSet<u64> = kept.iter().flat_map(|(device, _)| &device.families).copied().chain([family]).collect();
    for (device, key) in dropped {
        tx.clear(key);
        for ended in device.families.iter().filter(|&family| !used.contains(family)) {
            tx.clear(&keys::family(user, *ended));
        }
    }
    Ok(())
}

/// Puts a login to the end of a device's list. Those that have ended make room first; then the oldest does, and is
/// returned.
async fn admit<T: Transaction>(
    tx: &T,
    user: UserId,
    families: &mut Vec<u64>,
    family: u64,
) -> Result<Vec<u64>, LayerError> {
    families.retain(|&one| one != family);
    families.push(family);
    if families.len() <= FAMILIES_OF_DEVICE_MAX as usize {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = families.iter().map(|&one| keys::family(user, one)).collect();
    let mut live = tx.get_all(&keys).await?.into_iter().map(|row| row.is_some());
    // The operator's has no row, and cannot be revoked: it needs no place once there are too many.
    families.retain(|&one| live.next().expect("one row for each") || one == family);
    let over = families.len().saturating_sub(FAMILIES_OF_DEVICE_MAX as usize);
    Ok(families.drain(..over).collect())
}

/// The first `CLIENT_BYTES_MAX` bytes of a text, less what is left of a character.
fn cut(text: &str) -> String {
    let end = (0..=CLIENT_BYTES_MAX as usize).rev().find(|&end| text.is_char_boundary(end.min(text.len())));
    text[..end.expect("0 is a boundary").min(text.len())].to_owned()
}

/// An account's devices, the one that connected last first.
///
/// # Errors
/// The store's, and damage.
pub async fn list<E: Engine>(engine: &E, user: UserId) -> Result<Vec<(DeviceId, DeviceRecord)>, LayerError> {
    let range = keys::devices(user).rows(ROWS_MAX);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    let device = |row: &kv::Row| Ok((keys::device_of(&row.key)?.1, DeviceRecord::decode(&row.value)?));
    let mut devices = unreadable::readable(&page.rows, device);
    devices.sort_unstable_by_key(|(_, record)| Reverse(record.stamp));
    devices.truncate(DEVICES_OF_USER_MAX as usize);
    Ok(devices)
}

/// Forgets a device and ends the logins that it came with: none of their tokens counts from now on. Whether there was
/// such a device. Its session, if it has one, is the home's to end.
///
/// # Errors
/// The store's, and damage. Then it may be gone all the same: revoking again is safe.
pub async fn revoke<E: Engine>(engine: &E, user: UserId, device: &DeviceId) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::device(user, device);
        // One that never connected may be told all the same.
        let contacts = contacts::of_device(&tx, user, device).await?;
        for contact in &contacts {
            contacts::forget(&mut tx, user, contact);
        }
        let Some(row) = tx.get(&key).await? else {
            // What an earlier attempt removed is not there any more.
            return Ok(attempt.maybe_committed || !contacts.is_empty());
        };
        // Which logins it came with decides what ends.
        let record = unreadable::refuse(&key, DeviceRecord::decode(&row))?;
        for family in record.families {
            tx.clear(&keys::family(user, family));
        }
        tx.clear(&key);
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_name_is_cut_between_characters() {
        let check = |text: &str, expected: &str| assert_eq!(cut(text), expected, "{text}");
        check("", "");
        check("crab/1.0", "crab/1.0");
        check(&"x".repeat(64), &"x".repeat(64));
        check(&"x".repeat(65), &"x".repeat(64));
        check(&format!("{}🦀", "x".repeat(60)), &format!("{}🦀", "x".repeat(60)));
        check(&format!("{}🦀", "x".repeat(61)), &"x".repeat(61));
    }
}
