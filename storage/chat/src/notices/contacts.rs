//! Contacts: where a user is told, by medium and device.
//!
//! Owns the rows `contact` and `address`. An address is one user's on one device: who registers it takes it from whoever
//! had it, so that nobody is told at a phone that another has signed in at. A contact ends with the login that
//! registered it, with its device, and when a provider says that there is nobody.

use schema::limits::{CONTACT_BYTES_MAX, CONTACTS_OF_USER_MAX};
use schema::record::ContactRecord;
use schema::{DeviceId, ErrorCode, Medium, Refusal, UserId};
use sha2::{Digest as _, Sha256};

use crate::accounts::{login_counts, login_key};
use crate::{LayerError, commit, keys, packed, read, unreadable};
use kv::join;
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Rows that are read of one user's: the limit, and as many again that registered at once.
const ROWS_MAX: u32 = 2 * CONTACTS_OF_USER_MAX;

/// The device of a contact that waits for the proof of who reads there. A device of a user may be called so, by other media.
pub const PENDING: &str = "pending";

/// A contact and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// By what.
    pub medium: Medium,
    /// On which device; empty where it is the user's own, a mail address say.
    pub device: String,
    /// What is stored.
    pub record: ContactRecord,
}

impl Contact {
    /// Whether it waits for its proof.
    pub(super) fn is_pending(&self) -> bool {
        !self.medium.is_of_device() && self.device == PENDING
    }
}

/// Registers where a device is told, in place of what the device had, by whichever medium. Of more than
/// `CONTACTS_OF_USER_MAX` devices the one that registered first is told no more.
///
/// # Errors
/// 101 if the login has ended, 107 for an address that is empty or longer than `CONTACT_BYTES_MAX`; the store's, and
/// damage. Registering again is safe.
pub async fn put_device<E: Engine>(
    engine: &E,
    user: UserId,
    device: &DeviceId,
    medium: Medium,
    record: &ContactRecord,
) -> Result<(), LayerError> {
    let bytes = record.address.len();
    if bytes == 0 || bytes > CONTACT_BYTES_MAX as usize {
        let text = format!("an address has 1 to {CONTACT_BYTES_MAX} bytes, this one has {bytes}");
        return Err(Refusal::new(ErrorCode::BadRequest, text).into());
    }
    commit!(engine, Begin::Fresh, |tx, _| {
        let login = login_key(user, record.family);
        if !login_counts(record.family, tx.get(&login).await?.as_ref()) {
            return Err(Refusal::new(ErrorCode::Unauthenticated, "the token was revoked, sign in again").into());
        }
        for other in of_device(&tx, user, device).await? {
            forget(&mut tx, user, &other);
        }
        let mut others = all(&tx, user).await?;
        others.retain(|other| other.medium.is_of_device() && other.device != device.as_str());
        others.sort_by_key(|other| other.record.registered_ms);
        let over = (others.len() + 1).saturating_sub(CONTACTS_OF_USER_MAX as usize);
        for first in others.drain(..over) {
            forget(&mut tx, user, &first);
        }
        take(&mut tx, (user, medium, device.as_str()), record).await
    })
}

/// Tells a user at an address, and whoever was told there before no more.
pub(super) async fn take<T: Transaction>(
    tx: &mut T,
    (user, medium, device): (UserId, Medium, &str),
    record: &ContactRecord,
) -> Result<(), LayerError> {
    let address = keys::address(hash(medium, &record.address));
    let holder = tx.get(&address).await?;
    if let Some((before, by, on)) = holder.and_then(|row| unreadable::skip(&address, packed::holder(&row))) {
        tx.clear(&keys::contact(before, by, &on));
    }
    tx.set(&keys::contact(user, medium, device), &record.encode());
    tx.set(&address, &packed::row((user, medium, device)));
    Ok(())
}

/// Tells a device no more. Whether it was told.
///
/// # Errors
/// The store's, and damage. Removing again is safe.
pub async fn remove_device<E: Engine>(engine: &E, user: UserId, device: &DeviceId) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let contacts = of_device(&tx, user, device).await?;
        for contact in &contacts {
            forget(&mut tx, user, contact);
        }
        Ok(!contacts.is_empty() || attempt.maybe_committed)
    })
}

/// Every contact of a user.
///
/// # Errors
/// The store's.
pub async fn list<E: Engine>(engine: &E, user: UserId) -> Result<Vec<Contact>, LayerError> {
    read!(engine, Begin::Fresh, |tx| all(&tx, user).await)
}

/// Every contact of a user that can be read, by medium and device.
pub(crate) async fn all<T: Transaction>(tx: &T, user: UserId) -> Result<Vec<Contact>, LayerError> {
    let page = tx.snapshot_get_range(&keys::contacts(user).rows(ROWS_MAX)).await?;
    Ok(unreadable::readable(&page.rows, |row: &Row| {
        let (_, medium, device) = keys::contact_of(&row.key)?;
        Ok(Contact { medium, device, record: ContactRecord::decode(&row.value)? })
    }))
}

/// Those of a user's contacts whose logins have not ended.
pub(super) async fn live<T: Transaction>(tx: &T, user: UserId) -> Result<Vec<Contact>, LayerError> {
    let contacts = all(tx, user).await?;
    let logins: Vec<_> = contacts.iter().map(|contact| login_key(user, contact.record.family)).collect();
    let rows = tx.snapshot_get_all(&logins).await?;
    let counts = |(contact, row): &(Contact, Option<bytes::Bytes>)| login_counts(contact.record.family, row.as_ref());
    Ok(contacts.into_iter().zip(rows).filter(counts).map(|(contact, _)| contact).collect())
}

/// What a device is told by, read so that whoever registers it meanwhile is a conflict.
pub(crate) async fn of_device<T: Transaction>(
    tx: &T,
    user: UserId,
    device: &DeviceId,
) -> Result<Vec<Contact>, LayerError> {
    let media = Medium::ALL.iter().copied().filter(|medium| medium.is_of_device());
    let wanted: Vec<_> = media.map(|medium| (medium, keys::contact(user, medium, device.as_str()))).collect();
    let rows = join::try_all(wanted.iter().map(|(_, key)| tx.get(key))).await?;
    let contact = |((medium, key), row): (&(Medium, Vec<u8>), Option<bytes::Bytes>)| {
        let record = unreadable::skip(key, ContactRecord::decode(&row?))?;
        Some(Contact { medium: *medium, device: device.as_str().to_owned(), record })
    };
    Ok(wanted.iter().zip(rows).filter_map(contact).collect())
}

/// Forgets a contact and whose its address is. An address that was not proved is nobody's, or somebody else's.
pub(crate) fn forget<T: Transaction>(tx: &mut T, user: UserId, contact: &Contact) {
    tx.clear(&keys::contact(user, contact.medium, &contact.device));
    if !contact.is_pending() {
        tx.clear(&keys::address(hash(contact.medium, &contact.record.address)));
    }
}

/// By what an address is found. Not by a short hash: whoever found another's would take their notifications away.
fn hash(medium: Medium, address: &str) -> [u8; 32] {
    Sha256::new().chain_update([medium as u8]).chain_update(address).finalize().into()
}
