//! Accounts, their names, and the refresh tokens of their logins.
//!
//! Owns the rows `user`, `username`, `external`, `refresh`, `refresh due` and `family`, which nothing caches: whoever calls decides
//! in one transaction. Knows no password and no token, only hashes of them.
//!
//! A login begins a *family*. Its refresh token is used once and replaced by the next; every used one is remembered
//! until it expires, and a second use of it revokes the family: one of the two who used it had stolen it. A use that is
//! repeated within a minute, before its answer was used, is the same one. A family lives while its row is there. Every
//! transaction here can be repeated without a second effect, so an unknown result is answered by asking again.

mod backend;
mod external;
mod logins;
mod users;

pub use backend::{
    Change, NAMESPACE, Put, SYSTEM_NAMESPACE, all_named, deactivate, end_logins, named, put, system_account,
};
pub(crate) use external::name_hash;
pub use external::{Entered, External, ensure_external, enter};
pub use logins::{
    FAMILY_OPERATOR, NewFamily, NewToken, Rotation, families_live, family_is_live, open_family, revoke_by_token,
    revoke_family, rotate,
};
pub(crate) use logins::{login_counts, login_key};
pub use users::{Provided, SignUp, by_id, by_ids, by_username, create_user, provide, set_display_name, set_public};

#[cfg(test)]
mod tests {
    //! What is both an account's and a login's.

    use futures_lite::future::block_on;
    use schema::record::UserRecord;
    use schema::{UnixMs, UserId};

    use super::*;
    use kv::memory::CommitFault::{self, Conflict, UnknownCommitted, UnknownLost};
    use kv::memory::{MemoryEngine, MemoryOptions, MemoryStore, ScriptedFaults};

    pub(super) fn record(username: &str) -> UserRecord {
        UserRecord {
            username: username.to_owned(),
            display_name: username.to_uppercase(),
            password_hash: "hash".to_owned(),
            created_ms: UnixMs(1),
            ..UserRecord::default()
        }
    }

    fn token(name: u8) -> NewToken {
        NewToken { hash: [name; 32], expires_ms: UnixMs(30 * 24 * 3600 * 1000) }
    }

    #[test]
    fn the_operators_tokens_live_while_the_account_does() {
        let engine = MemoryEngine::ephemeral();
        assert!(!block_on(family_is_live(&engine, UserId(1), FAMILY_OPERATOR)).expect("read"));
        block_on(create_user(&engine, UserId(1), &record("bora"), None)).expect("stored");
        assert!(block_on(family_is_live(&engine, UserId(1), FAMILY_OPERATOR)).expect("read"));
    }

    #[test]
    fn an_unknown_outcome_is_found_out() {
        let check = |fates: &[_]| {
            let store = MemoryStore::new(kv::transaction::Generation(1));
            // The same fates for both transactions, one after the other.
            let faults = Box::new(ScriptedFaults::new(fates.iter().chain(fates).copied()));
            let engine = MemoryEngine::open(&store, MemoryOptions { faults, ..MemoryOptions::default() });
            let login = NewFamily { family: 1, device: Some("tab".to_owned()), token: token(b'a') };
            let created = block_on(create_user(&engine, UserId(1), &record("bora"), Some(&login)));
            assert_eq!(created.expect("stored"), SignUp::Created, "{fates:?}");
            let rotated = block_on(rotate(&engine, &token(b'a').hash, &token(b'b'), UnixMs(0)));
            let expected = Rotation::Rotated { user: UserId(1), family: 1, device: Some("tab".to_owned()) };
            assert_eq!(rotated.expect("stored"), expected, "{fates:?}");
            assert!(block_on(family_is_live(&engine, UserId(1), 1)).expect("read"), "{fates:?}");
        };
        check(&[CommitFault::None]);
        check(&[UnknownCommitted]);
        check(&[UnknownLost, CommitFault::None]);
        check(&[Conflict, UnknownLost, Conflict, CommitFault::None]);
    }
}
