//! Keys of inboxes.

use schema::record::RecordError;
use schema::{Position, UserId};

use super::{Fields, Key, Table, damaged, next_user};
use kv::transaction::{RangeRequest, key_after};

/// What precedes the stamp in the keys of a user's inbox. The ordinal, two bytes big-endian, follows the stamp.
#[must_use]
pub fn inbox_prefix(user: UserId) -> Vec<u8> {
    Key::of(Table::Inbox).u64(user.0).0
}

/// `inbox`: one event of a user's inbox.
#[must_use]
pub fn inbox(user: UserId, position: Position) -> Vec<u8> {
    Key::of(Table::Inbox).u64(user.0).bytes(&position.to_bytes()).0
}

/// A user's inbox after a place.
#[must_use]
pub fn inbox_after(user: UserId, after: Position) -> RangeRequest {
    Key::of(Table::Inbox).u64(user.0).all_after(Some(inbox(user, after)))
}

/// A user's inbox up to a place and with it.
#[must_use]
pub fn inbox_through(user: UserId, through: Position) -> RangeRequest {
    RangeRequest::new(inbox_prefix(user), key_after(&inbox(user, through)))
}

/// The inboxes of every user after one.
#[must_use]
pub fn inboxes_after(last: Option<UserId>) -> RangeRequest {
    next_user(Table::Inbox, last)
}

/// The user and place of an `inbox` key.
///
/// # Errors
/// If it is no such key.
pub fn inbox_place(key: &[u8]) -> Result<(UserId, Position), RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::Inbox, key)?;
        let place = (UserId(fields.u64()?), Position::from_bytes(fields.take()?));
        fields.end(place)
    };
    parse().ok_or_else(|| damaged("inbox", key))
}

/// `inbox floor`: the last place that was trimmed from a user's inbox.
#[must_use]
pub fn inbox_floor(user: UserId) -> Vec<u8> {
    Key::of(Table::InboxFloor).u64(user.0).0
}
