//! Accounts and their refresh tokens. FlatBuffers.

use super::flat_records;
use crate::generated::rookery::record as fb;
use crate::id::UserId;
use crate::time::UnixMs;

/// `user`: an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserRecord {
    /// The name to log in with, in lower case and unique.
    pub username: String,
    /// The name that others see.
    pub display_name: String,
    /// By argon2id, in PHC form.
    pub password_hash: String,
    /// When the account was made.
    pub created_ms: UnixMs,
    /// The URL of its picture, if its issuer or an application has said one.
    pub picture: Option<String>,
    /// Whose name `external_id` is: an issuer's, or `server` for applications; none for an account of our own.
    pub namespace: Option<String>,
    /// What its issuer or applications call it.
    pub external_id: Option<String>,
    /// When it was deactivated: none of its logins counts, and none is opened.
    pub deactivated_ms: Option<UnixMs>,
    /// Whether it is an application's own, in whose name it sends: nobody logs in to it.
    pub system: bool,
    /// Whether anybody may follow it, and see its public posts.
    pub public: bool,
}

/// `refresh`: one refresh token, under its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// The account that the token refreshes.
    pub user: UserId,
    /// The login that it comes from, which its successors share.
    pub family: u64,
    /// The device that it is bound to, if any.
    pub device: Option<String>,
    /// When it counts no longer.
    pub expires_ms: UnixMs,
    /// Whether it was used: a second use revokes the family.
    pub used: bool,
    /// Of the login of an external user, whose row is no token's: when the newest of its tokens was issued, in Unix
    /// seconds.
    pub issued_s: u64,
}

flat_records! {
    UserRecord "user" format 1 {
        username, display_name, password_hash, created_ms, picture, namespace, external_id, deactivated_ms, system, public,
    }
    RefreshRecord "refresh" format 1 { user, family, device, expires_ms, used, issued_s }
}
