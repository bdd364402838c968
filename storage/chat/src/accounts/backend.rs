//! Accounts that an application's backend makes, changes and deactivates, and the one in whose name it sends.
//!
//! Owns the names that backends give their users, which are those of the namespace [`NAMESPACE`]; what is left of
//! one that is erased is [`erasure`](crate::erasure)'s. Sessions are its home's to end, and memberships its
//! channels'.

use schema::record::UserRecord;
use schema::{ErrorCode, Refusal, UnixMs, UserId};

use super::external::{NO_PASSWORD, draws, find, make, name_hash};
use crate::{LayerError, commit, keys, packed, read, unreadable};
use kv::transaction::{Begin, Engine, RangeRequest, Transaction};

/// Whose names backends give their users. An issuer with the same namespace speaks of the same users.
pub const NAMESPACE: &str = "server";
/// Whose names the applications' own accounts have, for whom no token speaks: no issuer has it.
pub const SYSTEM_NAMESPACE: &str = "system";
/// Draws of an application's own id, of four million.
const DRAWS_MAX: u64 = 8;

/// What is to be so of an account; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// A legal display name.
    pub display_name: Option<String>,
    /// The URL of a picture; empty for none.
    pub picture: Option<String>,
    /// A legal username, in lower case.
    pub username: Option<String>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is so.
    Done {
        /// The account.
        user: UserId,
        /// The account as it is now.
        record: Box<UserRecord>,
        /// Whether it was made just now.
        created: bool,
    },
    /// The username is another account's. Nothing was stored.
    NameTaken,
}

/// Makes the account of a name, if there is none, and changes it.
///
/// # Errors
/// The store's, and damage. Asking again is safe.
pub async fn put<E: Engine>(
    engine: &E,
    subject: &str,
    change: &Change,
    draw: u64,
    wall: UnixMs,
) -> Result<Put, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let found = find(&tx, name_hash(NAMESPACE, subject)).await?;
        // Before anything is written, since what is written stands.
        if let Some(username) = &change.username {
            let key = keys::username(username);
            let holder = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), packed::user)?;
            if holder.is_some() && holder != found.as_ref().map(|(user, _)| *user) {
                return Ok(Put::NameTaken);
            }
        }
        let (user, before, created) = match found {
            Some((user, record)) => {
                // Of an earlier attempt of this same call.
                let is_ours = attempt.maybe_committed && draws(draw, wall).any(|drawn| drawn == user);
                (user, record, is_ours)
            }
            None => {
                let (user, record) = made(&mut tx, subject, draw, wall).await?;
                (user, record, true)
            }
        };
        let record = changed(&mut tx, user, &before, change);
        Ok(Put::Done { user, record: Box::new(record), created })
    })
}

async fn made<T: Transaction>(
    tx: &mut T,
    subject: &str,
    draw: u64,
    wall: UnixMs,
) -> Result<(UserId, UserRecord), LayerError> {
    for user in draws(draw, wall) {
        if let Some(record) = make(tx, user, (NAMESPACE, subject), wall).await? {
            return Ok((user, record));
        }
    }
    Err(no_id())
}

fn no_id() -> LayerError {
    Refusal::new(ErrorCode::Internal, "no free id was drawn, try again").into()
}

/// Writes a change of an account, whose username is nobody else's.
fn changed<T: Transaction>(tx: &mut T, user: UserId, before: &UserRecord, change: &Change) -> UserRecord {
    let mut record = before.clone();
    if let Some(username) = change.username.as_ref().filter(|&username| *username != before.username) {
        tx.set(&keys::username(username), &packed::row(user));
        tx.clear(&keys::username(&before.username));
        // Who is called by the name alone still is.
        if before.display_name == before.username {
            record.display_name.clone_from(username);
        }
        record.username.clone_from(username);
    }
    if let Some(name) = &change.display_name {
        record.display_name.clone_from(name);
    }
    if let Some(picture) = &change.picture {
        record.picture = Some(picture.clone()).filter(|picture| !picture.is_empty());
    }
    if record != *before {
        tx.set(&keys::user(user), &record.encode());
    }
    record
}

/// The account that backends call so.
///
/// # Errors
/// The store's, and damage.
pub async fn named<E: Engine>(engine: &E, subject: &str) -> Result<Option<(UserId, UserRecord)>, LayerError> {
    read!(engine, Begin::Fresh, |tx| find(&tx, name_hash(NAMESPACE, subject)).await)
}

/// The accounts that backends call so, in their order, read at one version.
///
/// # Errors
/// The store's, and damage.
pub async fn all_named<E: Engine>(engine: &E, subjects: &[&str]) -> Result<Vec<Option<UserId>>, LayerError> {
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = subjects.iter().map(|subject| keys::external(name_hash(NAMESPACE, subject))).collect();
    let rows = read!(engine, Begin::Fresh, |tx| Ok(tx.get_all(&keys).await?))?;
    let user = |(key, row): (&Vec<u8>, &Option<bytes::Bytes>)| unreadable::refuse_some(key, row.as_ref(), packed::user);
    Ok(keys.iter().zip(&rows).map(user).collect::<Result<_, _>>()?)
}

/// Ends every login of an account.
///
/// # Errors
/// The store's. Asking again is safe.
pub async fn end_logins<E: Engine>(engine: &E, user: UserId) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        clear(&mut tx, keys::families(user));
        Ok(())
    })
}

/// Deactivates an account, whose logins all end and which opens none from then on, or ends that. The account after it;
/// none if there is no such account.
///
/// # Errors
/// The store's, and damage. Asking again is safe.
pub async fn deactivate<E: Engine>(
    engine: &E,
    user: UserId,
    on: bool,
    wall: UnixMs,
) -> Result<Option<UserRecord>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::user(user);
        let Some(before) = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), UserRecord::decode)? else {
            return Ok(None);
        };
        let deactivated_ms = on.then(|| before.deactivated_ms.unwrap_or(wall));
        let record = UserRecord { deactivated_ms, ..before };
        tx.set(&key, &record.encode());
        if on {
            clear(&mut tx, keys::families(user));
        }
        Ok(Some(record))
    })
}

fn clear<T: Transaction>(tx: &mut T, range: RangeRequest) {
    tx.clear_range(&range.begin, &range.end);
}

/// The account in whose name an application sends, made when it is first asked for.
///
/// # Errors
/// The store's, and damage.
pub async fn system_account<E: Engine>(
    engine: &E,
    app: u64,
    name: &str,
    draw: u64,
    wall: UnixMs,
) -> Result<UserId, LayerError> {
    let subject = &*format!("{app:016x}");
    let hash = name_hash(SYSTEM_NAMESPACE, subject);
    if let Some((user, _)) = read!(engine, Begin::Fresh, |tx| find(&tx, hash).await)? {
        return Ok(user);
    }
    commit!(engine, Begin::Fresh, |tx, _| {
        if let Some((user, _)) = find(&tx, hash).await? {
            return Ok(user);
        }
        for at in 0..DRAWS_MAX {
            let user = UserId::system(draw.wrapping_add(at));
            if let Some(record) = make(&mut tx, user, (SYSTEM_NAMESPACE, subject), wall).await? {
                let display_name = name.to_owned();
                let password_hash = NO_PASSWORD.to_owned();
                let record = UserRecord { display_name, password_hash, system: true, ..record };
                tx.set(&keys::user(user), &record.encode());
                return Ok(user);
            }
        }
        Err(no_id())
    })
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::super::FAMILY_OPERATOR;
    use super::super::tests::record;
    use super::super::{
        External, NewFamily, NewToken, SignUp, by_id, by_username, create_user, enter, family_is_live, open_family,
    };
    use super::*;
    use kv::memory::MemoryEngine;

    const WALL: UnixMs = UnixMs(1_800_000_000_000);

    fn change(display_name: &str, picture: &str, username: &str) -> Change {
        let some = |text: &str| Some(text.to_owned()).filter(|text| text != "-");
        Change { display_name: some(display_name), picture: some(picture), username: some(username) }
    }

    #[test]
    fn an_account_is_made_once_and_changed_as_often_as_wanted() {
        let engine = MemoryEngine::ephemeral();
        block_on(create_user(&engine, UserId(1), &record("bora"), None)).expect("stored");
        let check = |subject: &str, change: &Change, draw, expected: &str| {
            let found = match block_on(put(&engine, subject, change, draw, WALL)).expect("the store is there") {
                Put::NameTaken => "taken".to_owned(),
                Put::Done { user, record, created } => {
                    assert_eq!(block_on(by_id(&engine, user)).expect("read").as_ref(), Some(&*record));
                    let by_name = block_on(by_username(&engine, &record.username)).expect("read");
                    assert_eq!(by_name, Some((user, *record.clone())), "its name is its own");
                    let picture = record.picture.unwrap_or_default();
                    let of_id = record.username == format!("u{:016x}", user.0);
                    let username = if of_id { "u…" } else { &record.username };
                    let shown = if record.display_name.starts_with('u') { "u…" } else { &record.display_name };
                    format!("{} {shown} {username} {picture}", if created { "made" } else { "there" })
                }
            };
            assert_eq!(found.trim(), expected, "{subject} {change:?}");
        };
        check("ann", &change("-", "-", "-"), 1, "made u… u…");
        check("ann", &change("-", "-", "-"), 2, "there u… u…");
        check("ann", &change("Ann", "https://x/a.png", "-"), 3, "there Ann u… https://x/a.png");
        check("ann", &change("-", "-", "ann"), 4, "there Ann ann https://x/a.png");
        check("ann", &change("-", "", "ann"), 5, "there Ann ann");
        check("cho", &change("-", "-", "ann"), 6, "taken");
        check("cho", &change("-", "-", "bora"), 7, "taken");
        check("cho", &change("-", "-", "cho"), 8, "made cho cho");
        check("ann", &change("-", "-", "ann.2"), 9, "there Ann ann.2");
        check("cho", &change("-", "-", "ann"), 10, "there ann ann");
        let issuers = |namespace: &str| External {
            namespace: namespace.to_owned(),
            subject: "ann".to_owned(),
            session: String::new(),
            issued_s: 1,
            expires_ms: WALL,
            display_name: None,
            picture: None,
            draw: 11,
        };
        let ann = block_on(named(&engine, "ann")).expect("read").expect("she is there").0;
        assert_eq!(block_on(enter(&engine, &issuers(NAMESPACE), WALL)).expect("in").user, ann);
        assert_ne!(block_on(enter(&engine, &issuers("other"), WALL)).expect("in").user, ann);
    }

    #[test]
    fn a_deactivated_account_has_no_login_and_opens_none_until_that_ends() {
        let engine = MemoryEngine::ephemeral();
        let user = UserId(7);
        let created = block_on(create_user(&engine, user, &record("bora"), None)).expect("stored");
        assert_eq!(created, SignUp::Created);
        let login = |family| NewFamily { family, device: None, token: NewToken { hash: [1; 32], expires_ms: WALL } };
        let lives = |family| block_on(family_is_live(&engine, user, family)).expect("read");
        block_on(open_family(&engine, user, &login(5), WALL)).expect("logged in");
        assert!(lives(5) && lives(FAMILY_OPERATOR));
        let on = block_on(deactivate(&engine, user, true, WALL)).expect("stored").expect("it is there");
        assert_eq!(on.deactivated_ms, Some(WALL));
        assert!(!lives(5) && !lives(FAMILY_OPERATOR));
        let again = block_on(deactivate(&engine, user, true, WALL.plus_ms(5))).expect("stored");
        assert_eq!(again, Some(on), "since when does not change");
        let refused = block_on(open_family(&engine, user, &login(6), WALL)).expect_err("it is deactivated");
        assert_eq!(refused.into_refusal().code, ErrorCode::Unauthenticated);
        block_on(deactivate(&engine, user, false, WALL)).expect("stored");
        assert!(lives(FAMILY_OPERATOR) && !lives(5), "its logins do not come back");
        block_on(open_family(&engine, user, &login(6), WALL)).expect("logged in");
        assert_eq!(block_on(deactivate(&engine, UserId(8), true, WALL)).expect("read"), None);
    }

    #[test]
    fn an_application_has_one_account_of_its_own() {
        let engine = MemoryEngine::ephemeral();
        let of = |app, draw| block_on(system_account(&engine, app, "Shop", draw, WALL)).expect("made");
        let shop = of(1, 77);
        assert_eq!(of(1, 99), shop);
        let other = of(2, 77);
        assert_ne!(other, shop, "the id that was drawn is taken");
        let record = block_on(by_id(&engine, shop)).expect("read").expect("it is there");
        assert!(shop.is_system() && record.system && record.display_name == "Shop");
    }
}
