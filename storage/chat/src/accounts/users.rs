//! Accounts and their names: one account a name, for ever.

use bytes::Bytes;
use schema::UserId;
use schema::record::UserRecord;

use super::NewFamily;
use super::logins::put_family;
use crate::keys;
use crate::{LayerError, commit, packed, read, recent, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// What came of a sign-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUp {
    /// The account exists.
    Created,
    /// Another account has the name. Nothing was stored.
    NameTaken,
    /// Another account has the id. Nothing was stored: draw another.
    IdTaken,
}

/// Makes an account, and its first login with it.
///
/// `record.username` is in lower case and within its limits; `user` is new, and random enough to be no other's.
///
/// # Errors
/// What the store reports.
pub async fn create_user<E: Engine>(
    engine: &E,
    user: UserId,
    record: &UserRecord,
    login: Option<&NewFamily>,
) -> Result<SignUp, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let name_key = keys::username(&record.username);
        let user_key = keys::user(user);
        match tx.get(&name_key).await? {
            // An earlier attempt of this same call committed: nobody else has this id.
            Some(value) if unreadable::refuse(&name_key, packed::user(&value))? == user => return Ok(SignUp::Created),
            Some(_) => return Ok(SignUp::NameTaken),
            None => {}
        }
        if tx.get(&user_key).await?.is_some() {
            return Ok(SignUp::IdTaken);
        }
        tx.set(&user_key, &record.encode());
        tx.set(&name_key, &packed::row(user));
        if let Some(login) = login {
            put_family(&mut tx, user, login);
        }
        Ok(SignUp::Created)
    })
}

/// What came of one of several accounts that were to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provided {
    /// The account has this id, made now or earlier.
    Account(UserId),
    /// The name is an account's with another password. Nothing was stored.
    NameTaken,
    /// Another account has the id. Nothing was stored: draw another.
    IdTaken,
}

/// Makes accounts without a login in one transaction, where their names are free, and says in their order what each came
/// to. One that is there already with the same password hash is what was wanted.
///
/// As for [`create_user`]; names and ids differ among themselves.
///
/// # Errors
/// What the store reports.
pub async fn provide<E: Engine>(engine: &E, wanted: &[(UserId, UserRecord)]) -> Result<Vec<Provided>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let names: Vec<_> = wanted.iter().map(|(_, record)| keys::username(&record.username)).collect();
        let users: Vec<_> = wanted.iter().map(|&(user, _)| keys::user(user)).collect();
        let (by_name, by_id) = (tx.get_all(&names).await?, tx.get_all(&users).await?);
        let mut provided = Vec::with_capacity(wanted.len());
        for (at, &(user, ref record)) in wanted.iter().enumerate() {
            if let Some(value) = &by_name[at] {
                let user = unreadable::refuse(&names[at], packed::user(value))?;
                let key = keys::user(user);
                let value = tx.get(&key).await?.ok_or_else(|| unreadable::missing(&key, "user"))?;
                let there = unreadable::refuse(&key, UserRecord::decode(&value))?;
                let same = there.password_hash == record.password_hash;
                provided.push(if same { Provided::Account(user) } else { Provided::NameTaken });
            } else if by_id[at].is_some() {
                provided.push(Provided::IdTaken);
            } else {
                tx.set(&users[at], &record.encode());
                tx.set(&names[at], &packed::row(user));
                provided.push(Provided::Account(user));
            }
        }
        Ok(provided)
    })
}

/// The account with this id, as a recent read sees it.
///
/// # Errors
/// What the store reports.
pub async fn by_id<E: Engine>(engine: &E, user: UserId) -> Result<Option<UserRecord>, LayerError> {
    let key = keys::user(user);
    let value = read!(engine, recent(engine), |tx| Ok(tx.get(&key).await?))?;
    Ok(unreadable::refuse_some(&key, value.as_ref(), UserRecord::decode)?)
}

/// The accounts with these ids that can be read, in their order, at one recent version.
///
/// # Errors
/// What the store reports.
pub async fn by_ids<E: Engine>(engine: &E, users: &[UserId]) -> Result<Vec<Option<UserRecord>>, LayerError> {
    let keys: Vec<_> = users.iter().map(|&user| keys::user(user)).collect();
    let values = read!(engine, recent(engine), |tx| Ok(tx.get_all(&keys).await?))?;
    let decode = |(key, value): (&Vec<u8>, Option<Bytes>)| unreadable::skip(key, UserRecord::decode(&value?));
    Ok(keys.iter().zip(values).map(decode).collect())
}

/// The account with this name, in lower case.
///
/// # Errors
/// What the store reports.
pub async fn by_username<E: Engine>(engine: &E, name: &str) -> Result<Option<(UserId, UserRecord)>, LayerError> {
    let name = keys::username(name);
    read!(engine, Begin::Fresh, |tx| {
        let Some(value) = tx.get(&name).await? else { return Ok(None) };
        let user = unreadable::refuse(&name, packed::user(&value))?;
        let key = keys::user(user);
        let value = tx.get(&key).await?.ok_or_else(|| unreadable::missing(&key, "user"))?;
        Ok(Some((user, unreadable::refuse(&key, UserRecord::decode(&value))?)))
    })
}

/// Changes what others see of an account; the account after it, or none if there is no such account.
///
/// # Errors
/// What the store reports.
pub async fn set_display_name<E: Engine>(
    engine: &E,
    user: UserId,
    display_name: &str,
) -> Result<Option<UserRecord>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::user(user);
        let Some(value) = tx.get(&key).await? else { return Ok(None) };
        let before = unreadable::refuse(&key, UserRecord::decode(&value))?;
        let record = UserRecord { display_name: display_name.to_owned(), ..before };
        tx.set(&key, &record.encode());
        Ok(Some(record))
    })
}

/// Makes an account public, so that anybody may follow it and see its public posts, or private; the account after it, or
/// none if there is no such account. Whoever follows it still does, and sees its public posts while it is public.
///
/// # Errors
/// What the store reports.
pub async fn set_public<E: Engine>(engine: &E, user: UserId, public: bool) -> Result<Option<UserRecord>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::user(user);
        let Some(value) = tx.get(&key).await? else { return Ok(None) };
        let record = UserRecord { public, ..unreadable::refuse(&key, UserRecord::decode(&value))? };
        tx.set(&key, &record.encode());
        Ok(Some(record))
    })
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::super::tests::record;
    use super::*;
    use kv::memory::MemoryEngine;

    #[test]
    fn a_name_has_one_account() {
        let engine = MemoryEngine::ephemeral();
        let check = |user, name, expected| {
            let seen = block_on(create_user(&engine, UserId(user), &record(name), None));
            assert_eq!(seen.expect("the store is there"), expected, "{user} {name}");
        };
        check(1, "bora", SignUp::Created);
        check(2, "bora", SignUp::NameTaken);
        check(1, "minsu", SignUp::IdTaken);
        check(1, "bora", SignUp::Created);
        check(2, "minsu", SignUp::Created);

        let found = block_on(by_username(&engine, "minsu")).expect("read");
        assert_eq!(found, Some((UserId(2), record("minsu"))));
        assert_eq!(block_on(by_username(&engine, "nobody")).expect("read"), None);
        let both = block_on(by_ids(&engine, &[UserId(2), UserId(3), UserId(1)])).expect("read");
        assert_eq!(both, [Some(record("minsu")), None, Some(record("bora"))]);
    }

    #[test]
    fn several_accounts_are_there_afterwards_or_it_is_said_why_not() {
        use Provided::{Account, IdTaken, NameTaken};
        let engine = MemoryEngine::ephemeral();
        let check = |wanted: &[(u64, &str, &str)], expected: &[Provided]| {
            let record = |name: &str, hash: &str| UserRecord { password_hash: hash.to_owned(), ..record(name) };
            let wanted: Vec<_> = wanted.iter().map(|&(user, name, hash)| (UserId(user), record(name, hash))).collect();
            assert_eq!(block_on(provide(&engine, &wanted)).expect("the store is there"), expected, "{wanted:?}");
        };
        check(&[(1, "load0", "!"), (2, "load1", "!")], &[Account(UserId(1)), Account(UserId(2))]);
        check(&[(3, "load1", "!"), (4, "load2", "!")], &[Account(UserId(2)), Account(UserId(4))]);
        check(&[(5, "load1", "a hash"), (4, "load3", "!")], &[NameTaken, IdTaken]);
        assert_eq!(
            block_on(by_username(&engine, "load2")).expect("read"),
            Some((UserId(4), UserRecord { password_hash: "!".to_owned(), ..record("load2") }))
        );
        assert_eq!(block_on(by_username(&engine, "load3")).expect("read"), None);
    }

    #[test]
    fn a_display_name_changes_alone() {
        let engine = MemoryEngine::ephemeral();
        block_on(create_user(&engine, UserId(1), &record("bora"), None)).expect("stored");
        let changed = block_on(set_display_name(&engine, UserId(1), "보라")).expect("stored");
        assert_eq!(changed, Some(UserRecord { display_name: "보라".to_owned(), ..record("bora") }));
        assert_eq!(block_on(by_id(&engine, UserId(1))).expect("read"), changed);
        assert_eq!(block_on(set_display_name(&engine, UserId(2), "x")).expect("read"), None);
    }

    #[test]
    fn one_of_two_who_want_a_name_at_once_gets_it() {
        let engine = MemoryEngine::ephemeral();
        let (bora, other) = (record("bora"), record("bora"));
        let first = create_user(&engine, UserId(1), &bora, None);
        let second = create_user(&engine, UserId(2), &other, None);
        let (first, second) = block_on(futures_lite::future::zip(first, second));
        let mut seen = [first.expect("stored"), second.expect("stored")];
        seen.sort_by_key(|&outcome| outcome != SignUp::Created);
        assert_eq!(seen, [SignUp::Created, SignUp::NameTaken]);
    }
}
