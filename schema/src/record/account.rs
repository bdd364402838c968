//! Accounts and their refresh tokens. FlatBuffers.
//!
//! Owns both records and their bytes.

use super::RecordError;
use super::flat::{self, Flat};
use crate::generated::rookery::record as fb;
use crate::id::UserId;
use crate::time::UnixMs;

const FORMAT: u8 = 1;

/// `user`: an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// In lower case, unique.
    pub username: String,
    /// What others see.
    pub display_name: String,
    /// By argon2id, in PHC form.
    pub password_hash: String,
    /// When it was made.
    pub created_ms: UnixMs,
}

impl UserRecord {
    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        flat::encode(FORMAT, |builder| {
            let fields = fb::UserRecordArgs {
                username: Some(builder.create_string(&self.username)),
                display_name: Some(builder.create_string(&self.display_name)),
                password_hash: Some(builder.create_string(&self.password_hash)),
                created_ms: self.created_ms.0,
            };
            fb::UserRecord::create(builder, &fields)
        })
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let row = Flat::<fb::UserRecord<'_>>::read("user", FORMAT, bytes)?;
        Ok(Self {
            username: row.username().to_owned(),
            display_name: row.display_name().to_owned(),
            password_hash: row.password_hash().to_owned(),
            created_ms: UnixMs(row.created_ms()),
        })
    }
}

/// `refresh`: one refresh token, under its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// Whose.
    pub user: UserId,
    /// The family that its successors share.
    pub family: u64,
    /// The device that it is bound to, if any.
    pub device: Option<String>,
    /// Until when.
    pub expires_ms: UnixMs,
    /// Whether it was used: a second use revokes the family.
    pub used: bool,
}

impl RefreshRecord {
    /// As it lies in the store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        flat::encode(FORMAT, |builder| {
            let fields = fb::RefreshRecordArgs {
                user: self.user.0,
                family: self.family,
                device: self.device.as_ref().map(|device| builder.create_string(device)),
                expires_ms: self.expires_ms.0,
                used: self.used,
            };
            fb::RefreshRecord::create(builder, &fields)
        })
    }

    /// From what lies in the store.
    ///
    /// # Errors
    /// If it is of a newer format, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let row = Flat::<fb::RefreshRecord<'_>>::read("refresh", FORMAT, bytes)?;
        Ok(Self {
            user: UserId(row.user()),
            family: row.family(),
            device: row.device().map(str::to_owned),
            expires_ms: UnixMs(row.expires_ms()),
            used: row.used(),
        })
    }
}
