//! Keys of accounts and their logins.

use schema::record::RecordError;
use schema::{UnixMs, UserId};

use super::{Fields, Key, Table, damaged};
use kv::transaction::RangeRequest;

/// `user`: an account.
#[must_use]
pub fn user(user: UserId) -> Vec<u8> {
    Key::of(Table::User).u64(user.0).0
}

/// `username`: whose it is. `name` is in lower case.
#[must_use]
pub fn username(name: &str) -> Vec<u8> {
    Key::of(Table::Username).bytes(name.as_bytes()).0
}

/// `refresh`: a refresh token, by its hash.
#[must_use]
pub fn refresh(hash: &[u8; 32]) -> Vec<u8> {
    Key::of(Table::Refresh).bytes(hash).0
}

/// `refresh due`: the same token, by the time at which it expires.
#[must_use]
pub fn refresh_due(expires: UnixMs, hash: &[u8; 32]) -> Vec<u8> {
    Key::of(Table::RefreshDue).u64(expires.0).bytes(hash).0
}

/// The refresh tokens that expired before a time, the oldest first.
#[must_use]
pub fn refreshes_due(before: UnixMs) -> RangeRequest {
    RangeRequest::new(Key::of(Table::RefreshDue).0, Key::of(Table::RefreshDue).u64(before.0).0)
}

/// The hash of a `refresh due` key.
///
/// # Errors
/// If it is no such key.
pub fn refresh_hash(key: &[u8]) -> Result<[u8; 32], RecordError> {
    let parse = || {
        let mut fields = Fields::of(Table::RefreshDue, key)?;
        let (_expires, hash) = (fields.u64()?, fields.take()?);
        fields.end(hash)
    };
    parse().ok_or_else(|| damaged("refresh due", key))
}

/// `family`: a token family of a user while it lives.
#[must_use]
pub fn family(user: UserId, family: u64) -> Vec<u8> {
    Key::of(Table::Family).u64(user.0).u64(family).0
}

/// Every token family of a user.
#[must_use]
pub fn families(user: UserId) -> RangeRequest {
    Key::of(Table::Family).u64(user.0).all()
}
