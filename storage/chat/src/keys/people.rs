//! Keys of what users are to each other: friends, blocks, presence, and the devices of an account.

use schema::record::RecordError;
use schema::{DeviceId, UserId};

use super::{Fields, Key, Table, damaged};
use kv::transaction::RangeRequest;

/// `friend`: what `other` is to `user`. Each of the two has a row.
#[must_use]
pub fn friend(user: UserId, other: UserId) -> Vec<u8> {
    Key::of(Table::Friend).u64(user.0).u64(other.0).0
}

/// A user's friends and requests after one, ascending by the other's id.
#[must_use]
pub fn friends_after(user: UserId, last: Option<UserId>) -> RangeRequest {
    Key::of(Table::Friend).u64(user.0).all_after(last.map(|other| friend(user, other)))
}

/// The user and the other of a `friend` key.
///
/// # Errors
/// If it is no such key.
pub fn friend_of(key: &[u8]) -> Result<(UserId, UserId), RecordError> {
    pair(Table::Friend, "friend", key)
}

/// `block`: `by` blocks `user`.
#[must_use]
pub fn block(by: UserId, user: UserId) -> Vec<u8> {
    Key::of(Table::Block).u64(by.0).u64(user.0).0
}

/// Whom a user blocks after one, ascending by id.
#[must_use]
pub fn blocks_after(by: UserId, last: Option<UserId>) -> RangeRequest {
    Key::of(Table::Block).u64(by.0).all_after(last.map(|user| block(by, user)))
}

/// Who blocks and who is blocked in a `block` key.
///
/// # Errors
/// If it is no such key.
pub fn block_of(key: &[u8]) -> Result<(UserId, UserId), RecordError> {
    pair(Table::Block, "block", key)
}

fn pair(table: Table, what: &'static str, key: &[u8]) -> Result<(UserId, UserId), RecordError> {
    let parse = || {
        let mut fields = Fields::of(table, key)?;
        let pair = (UserId(fields.u64()?), UserId(fields.u64()?));
        fields.end(pair)
    };
    parse().ok_or_else(|| damaged(what, key))
}

/// `presence`: how present a user is.
#[must_use]
pub fn presence(user: UserId) -> Vec<u8> {
    Key::of(Table::Presence).u64(user.0).0
}

/// `device`: a device of an account.
#[must_use]
pub fn device(user: UserId, device: &DeviceId) -> Vec<u8> {
    Key::of(Table::Device).u64(user.0).bytes(device.as_str().as_bytes()).0
}

/// Every device of an account, by name.
#[must_use]
pub fn devices(user: UserId) -> RangeRequest {
    Key::of(Table::Device).u64(user.0).all()
}

/// The user and the device of a `device` key.
///
/// # Errors
/// If it is no such key.
pub fn device_of(key: &[u8]) -> Result<(UserId, DeviceId), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Device, key)?;
        let user = UserId(fields.u64()?);
        Some((user, std::str::from_utf8(fields.rest()).ok()?.parse().ok()?))
    };
    parse().ok_or_else(|| damaged("device", key))
}
