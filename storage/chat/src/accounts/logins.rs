//! Logins: families of tokens, of which a refresh token is used once, or again while its answer may be lost.

use bytes::Bytes;
use schema::record::{RefreshRecord, UserRecord};
use schema::{ErrorCode, Refusal, UnixMs, UserId};

use crate::keys;
use crate::{LayerError, clock, commit, packed, read, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// The family of tokens that the holder of the key made, without a login. It lives while the account does.
pub const FAMILY_OPERATOR: u64 = 0;

/// Expired refresh tokens that each login and each refresh removes. Each adds one, so the store holds what was made in
/// the last 31 days and no more.
const SWEPT_ROWS: u32 = 4;

/// How long an expired token is kept: longer than any two nodes' clocks differ.
const SWEPT_AFTER_MS: u64 = 24 * 3600 * 1000;

/// How long a used token gets its first answer again: an answer may be lost, and two tabs may ask at once.
const REPEAT_MS: u64 = 60_000;

/// A refresh token to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Until when it can be used.
    pub expires_ms: UnixMs,
}

/// A login to be stored: a new family with its first token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFamily {
    /// 64 random bits, not [`FAMILY_OPERATOR`].
    pub family: u64,
    /// The one device whose tokens these are, if any.
    pub device: Option<String>,
    /// Its first refresh token.
    pub token: NewToken,
}

/// What came of using a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// It was used up, and the next one stands.
    Rotated {
        /// Whose it was.
        user: UserId,
        /// Its family.
        family: u64,
        /// The device that it is bound to.
        device: Option<String>,
    },
    /// There is no such token, or its family was revoked.
    Unknown,
    /// Its time is over.
    Expired,
    /// It had been used more than a minute before, or what it was answered with has been used too: its family is
    /// revoked now.
    Reused {
        /// Whose it was.
        user: UserId,
        /// Its family.
        family: u64,
    },
}

/// Stores a login of an account.
///
/// # Errors
/// 101 if the account is deactivated, or not there (any more); what the store reports.
pub async fn open_family<E: Engine>(
    engine: &E,
    user: UserId,
    login: &NewFamily,
    wall: UnixMs,
) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::user(user);
        // An account may be erased between the look at its password and this.
        let Some(row) = tx.get(&key).await? else {
            return Err(Refusal::new(ErrorCode::Unauthenticated, "there is no such account").into());
        };
        check_active(&unreadable::refuse(&key, UserRecord::decode(&row))?)?;
        sweep(&mut tx, wall).await?;
        put_family(&mut tx, user, login);
        Ok(())
    })
}

/// Uses up the refresh token with the hash `used` and stores `next` in its place.
///
/// `next` is always the same for the same `used`, but for its time: so a use that is repeated within a minute finds it
/// stored, and is answered as the first was, as long as it has not been used itself. Any other second use revokes the
/// family.
///
/// # Errors
/// What the store reports.
pub async fn rotate<E: Engine>(
    engine: &E,
    used: &[u8; 32],
    next: &NewToken,
    wall: UnixMs,
) -> Result<Rotation, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::refresh(*used);
        let Some(value) = tx.get(&key).await? else { return Ok(Rotation::Unknown) };
        let record = unreadable::refuse(&key, RefreshRecord::decode(&value))?;
        let RefreshRecord { user, family, ref device, .. } = record;
        let device = device.clone();
        let family_key = keys::family(user, family);
        if tx.get(&family_key).await?.is_none() {
            return Ok(Rotation::Unknown);
        }
        if record.used {
            let stored =
                tx.get(&keys::refresh(next.hash)).await?.map(|value| RefreshRecord::decode(&value)).transpose()?;
            // All tokens live equally long, so the difference of their ends is that of their uses.
            let repeats =
                |first: RefreshRecord| !first.used && next.expires_ms.0.saturating_sub(first.expires_ms.0) <= REPEAT_MS;
            if stored.is_some_and(repeats) {
                return Ok(Rotation::Rotated { user, family, device });
            }
            tx.clear(&family_key);
            return Ok(Rotation::Reused { user, family });
        }
        if record.expires_ms <= wall {
            return Ok(Rotation::Expired);
        }
        sweep(&mut tx, wall).await?;
        tx.set(&key, &RefreshRecord { used: true, ..record }.encode());
        put_token(&mut tx, user, family, device.clone(), next);
        Ok(Rotation::Rotated { user, family, device })
    })
}

/// Ends a login: neither its refresh token nor its access tokens count from now on.
///
/// # Errors
/// What the store reports.
pub async fn revoke_family<E: Engine>(engine: &E, user: UserId, family: u64) -> Result<(), LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        tx.clear(&keys::family(user, family));
        Ok(())
    })
}

/// Ends the login that a refresh token, used or not, belongs to: whose it was, and its family. None if there is no such
/// token.
///
/// # Errors
/// What the store reports.
pub async fn revoke_by_token<E: Engine>(engine: &E, hash: &[u8; 32]) -> Result<Option<(UserId, u64)>, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| {
        let key = keys::refresh(*hash);
        let Some(value) = tx.get(&key).await? else { return Ok(None) };
        let record = unreadable::refuse(&key, RefreshRecord::decode(&value))?;
        tx.clear(&keys::family(record.user, record.family));
        Ok(Some((record.user, record.family)))
    })
}

/// Whether tokens of this family of this user count now. Those of [`FAMILY_OPERATOR`] do while the account exists.
///
/// # Errors
/// What the store reports.
pub async fn family_is_live<E: Engine>(engine: &E, user: UserId, family: u64) -> Result<bool, LayerError> {
    Ok(families_live(engine, &[(user, family)]).await?[0])
}

/// The same of several, in their order, read at one version.
///
/// # Errors
/// What the store reports.
pub async fn families_live<E: Engine>(engine: &E, families: &[(UserId, u64)]) -> Result<Vec<bool>, LayerError> {
    let keys: Vec<_> = families.iter().map(|&(user, family)| login_key(user, family)).collect();
    let rows = read!(engine, Begin::Fresh, |tx| Ok(tx.get_all(&keys).await?))?;
    Ok(families.iter().zip(&rows).map(|(&(_, family), row)| login_counts(family, row.as_ref())).collect())
}

/// The row without which a login has ended: its own, or the account's where the holder of the key made its tokens.
pub(crate) fn login_key(user: UserId, family: u64) -> Vec<u8> {
    if family == FAMILY_OPERATOR { keys::user(user) } else { keys::family(user, family) }
}

/// Whether a login counts, by what is under [`login_key`]. Deactivating an account clears the rows of its logins, and
/// the account's own says it for the rest; one that cannot be read says nothing of that.
pub(crate) fn login_counts(family: u64, row: Option<&Bytes>) -> bool {
    let is_active = |row: &Bytes| !UserRecord::decode(row).is_ok_and(|record| record.deactivated_ms.is_some());
    row.is_some_and(|row| family != FAMILY_OPERATOR || is_active(row))
}

/// Refuses what an account that is deactivated may not do.
pub(super) fn check_active(record: &UserRecord) -> Result<(), LayerError> {
    match record.deactivated_ms {
        None => Ok(()),
        Some(_) => Err(Refusal::new(ErrorCode::Unauthenticated, "the account is deactivated").into()),
    }
}

/// A login with its first token.
pub(super) fn put_family<T: Transaction>(tx: &mut T, user: UserId, login: &NewFamily) {
    assert_ne!(login.family, FAMILY_OPERATOR, "a login's family is not the operator's");
    tx.set(&keys::family(user, login.family), packed::MARK);
    put_token(tx, user, login.family, login.device.clone(), &login.token);
}

fn put_token<T: Transaction>(tx: &mut T, user: UserId, family: u64, device: Option<String>, token: &NewToken) {
    let expires_ms = token.expires_ms;
    let record = RefreshRecord { user, family, device, expires_ms, used: false, issued_s: 0 };
    tx.set(&keys::refresh(token.hash), &record.encode());
    tx.set(&keys::refresh_due(token.expires_ms, token.hash), &[]);
}

/// Removes a few tokens that expired long ago, and the families whose last token that was.
///
/// Reads without conflicts: whoever else removes the same rows does no harm.
pub(super) async fn sweep<T: Transaction>(tx: &mut T, wall: UnixMs) -> Result<(), LayerError> {
    let before = UnixMs(clock::believed(tx, wall).await?.0.saturating_sub(SWEPT_AFTER_MS));
    let due = tx.snapshot_get_range(&keys::refreshes_due(before).rows(SWEPT_ROWS)).await?;
    for row in due.rows {
        tx.clear(&row.key);
        let Some((due_ms, hash)) = unreadable::skip(&row.key, keys::refresh_due_of(&row.key)) else {
            unreadable::keep(tx, &row.key, &row.value);
            continue;
        };
        let key = keys::refresh(hash);
        let Some(value) = tx.snapshot_get(&key).await? else { continue };
        // The login of an external user is put off whenever it is seen: then a later row is due.
        if RefreshRecord::decode(&value).is_ok_and(|record| record.expires_ms > due_ms) {
            continue;
        }
        tx.clear(&key);
        match unreadable::skip(&key, RefreshRecord::decode(&value)) {
            Some(record) if !record.used => tx.clear(&keys::family(record.user, record.family)),
            Some(_) => {}
            None => unreadable::keep(tx, &key, &value),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::super::create_user;
    use super::super::tests::record;
    use super::*;
    use kv::memory::MemoryEngine;

    const DAY_MS: u64 = 24 * 3600 * 1000;

    fn hash(token: &str) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..token.len()].copy_from_slice(token.as_bytes());
        hash
    }

    fn token(name: &str, expires_ms: UnixMs) -> NewToken {
        NewToken { hash: hash(name), expires_ms }
    }

    /// `login FAMILY TOKEN`, `nobody FAMILY TOKEN` for an account that is not there, `use TOKEN NEXT`, `logout FAMILY`, `forget TOKEN`, `live FAMILY`, each by user 7 on a day
    /// (`@DAY` moves it on, `+MS` by milliseconds; tokens live for 30 days) and each with its result: `live 1 ? yes`.
    fn check(script: &str) {
        let engine = MemoryEngine::ephemeral();
        let user = UserId(7);
        block_on(create_user(&engine, user, &record("bora"), None)).expect("stored");
        let mut wall = UnixMs(100 * DAY_MS);
        for step in script.split(", ") {
            let (step, expected) = step.split_once(" ? ").unwrap_or((step, "done"));
            let words: Vec<_> = step.split(' ').collect();
            let expires_ms = wall.plus_ms(30 * DAY_MS);
            let seen = match words[..] {
                ["login", family, name] => {
                    let family = family.parse().expect("a number");
                    let login = NewFamily { family, device: None, token: token(name, expires_ms) };
                    block_on(open_family(&engine, user, &login, wall)).map(|()| "done".to_owned())
                }
                ["nobody", family, name] => {
                    let family = family.parse().expect("a number");
                    let login = NewFamily { family, device: None, token: token(name, expires_ms) };
                    match block_on(open_family(&engine, UserId(8), &login, wall)) {
                        Ok(()) => Ok("done".to_owned()),
                        Err(error) => Ok(u16::from(error.into_refusal().code).to_string()),
                    }
                }
                ["use", used, next] => block_on(rotate(&engine, &hash(used), &token(next, expires_ms), wall)).map(
                    |rotation| match rotation {
                        Rotation::Rotated { user, family, device } => {
                            assert_eq!((user, device), (UserId(7), None));
                            family.to_string()
                        }
                        Rotation::Unknown => "unknown".to_owned(),
                        Rotation::Expired => "expired".to_owned(),
                        Rotation::Reused { user, family } => format!("reused of {family} by {user}"),
                    },
                ),
                ["logout", family] => block_on(revoke_family(&engine, user, family.parse().expect("a number")))
                    .map(|()| "done".to_owned()),
                ["forget", name] => block_on(revoke_by_token(&engine, &hash(name)))
                    .map(|ended| ended.map_or("none".to_owned(), |(user, family)| format!("{family} of {user}"))),
                ["live", family] => block_on(family_is_live(&engine, user, family.parse().expect("a number")))
                    .map(|live| live.to_string()),
                ["live", ..] => {
                    let families = words[1..].iter().map(|family| (user, family.parse().expect("a number")));
                    let live = block_on(families_live(&engine, &families.collect::<Vec<_>>()));
                    live.map(|live| live.iter().map(bool::to_string).collect::<Vec<_>>().join(" "))
                }
                ["rows"] => block_on(rows(&engine)).map(|rows| rows.to_string()),
                [to] if to.starts_with('@') => {
                    wall = UnixMs(to[1..].parse::<u64>().expect("a day") * DAY_MS);
                    Ok("done".to_owned())
                }
                [by] if by.starts_with('+') => {
                    wall = wall.plus_ms(by[1..].parse().expect("milliseconds"));
                    Ok("done".to_owned())
                }
                _ => panic!("no such step: {step}"),
            };
            assert_eq!(seen.expect("the store is there"), expected, "{step} in {script}");
        }
    }

    /// Rows of tokens, their times and families: all but the account's own and its username's.
    async fn rows(engine: &MemoryEngine) -> Result<usize, LayerError> {
        let tx = engine.begin(Begin::Fresh);
        let all = tx.get_range(&kv::transaction::RangeRequest::new(vec![0], vec![0xFF])).await?;
        Ok(all.rows.len() - 2)
    }

    #[test]
    fn a_use_is_repeated_within_a_minute_until_its_answer_is_used() {
        check("login 1 a, use a b ? 1, use a b ? 1, +60000, use a b ? 1, use b c ? 1, use b c ? 1, live 1 ? true");
        check("login 1 a, use a b ? 1, +60001, use a b ? reused of 1 by 7, live 1 ? false, use b c ? unknown");
        check("login 1 a, use a b ? 1, use b c ? 1, use a b ? reused of 1 by 7, use c d ? unknown");
        // The minute is that of the first use, and the answer lives as long as it said then.
        check("login 1 a, use a b ? 1, +40000, use a b ? 1, +40000, use a b ? reused of 1 by 7");
    }

    #[test]
    fn a_second_use_revokes_the_family_and_no_other() {
        check("login 1 a, login 2 x, use a b ? 1, use a c ? reused of 1 by 7, live 1 ? false, live 2 ? true");
        check("login 1 a, use a b ? 1, use b c ? 1, use a d ? reused of 1 by 7, use c e ? unknown");
    }

    #[test]
    fn logging_out_ends_the_family() {
        check("login 1 a, logout 1, live 1 ? false, use a b ? unknown");
        check("login 1 a, use a b ? 1, forget a ? 1 of 7, live 1 ? false, use b c ? unknown");
        check("forget a ? none");
        check("login 1 a, login 2 b, login 3 c, logout 2, live 3 2 9 1 ? true false false true");
    }

    #[test]
    fn an_account_that_is_not_there_has_no_login() {
        check("nobody 1 a ? 101, rows ? 0, use a b ? unknown");
    }

    #[test]
    fn a_token_ends_with_its_time() {
        check("login 1 a, @129, use a b ? 1, @131, use b c ? 1");
        check("login 1 a, @130, use a b ? expired, live 1 ? true");
    }

    #[test]
    fn what_expired_is_swept_by_later_logins() {
        check("login 1 a, rows ? 3, use a b ? 1, rows ? 5, @200, login 2 x, rows ? 3, live 1 ? false, live 2 ? true");
        // Used tokens go, and the family lives with its newest.
        check("login 1 a, @120, use a b ? 1, @140, use b c ? 1, rows ? 5, live 1 ? true");
    }
}
