//! External users: accounts of whom another issuer's tokens speak, and the logins of these tokens.
//!
//! Owns the rows `external`, which say whose account a name of an issuer's is, and the rows of `refresh` that stand for a
//! login of an external user. An account is made when a token first speaks for its name.
//!
//! Such a login is a family as any other: it is ended by the same rows, and whoever it was ended for is refused. Beside it
//! lies a row of `refresh` under a hash that no text has, so that no refresh token finds it; it says of which family the
//! tokens are, and up to which of them were seen. After the family has ended, those count no more; one that was issued
//! later begins a new family, since the issuer knew better. For good it is the account that is deactivated.

use schema::record::{RefreshRecord, UserRecord};
use schema::{ErrorCode, Refusal, UnixMs, UserId};
use sha2::{Digest as _, Sha256};

use super::FAMILY_OPERATOR;
use super::logins::{check_active, sweep};
use crate::keys;
use crate::{LayerError, commit, packed, read, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// What stands where a password's hash would: no password has this one.
pub(super) const NO_PASSWORD: &str = "!";
/// How long a login is kept that is not seen again, as long as a refresh token can be used.
const LOGIN_MS: u64 = 30 * 24 * 3600 * 1000;
/// How much of that may pass before it is put off again, so that not every token writes.
const LOGIN_SLACK_MS: u64 = 24 * 3600 * 1000;
/// Draws of an id that no other account has.
const DRAWS_MAX: u64 = 4;

/// Who a verified token of another issuer speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Whose name `subject` is: names of two namespaces are of different users.
    pub namespace: String,
    /// What the issuer calls the user.
    pub subject: String,
    /// What the issuer calls the login, empty if it has no names for logins: then all of a user's are one.
    pub session: String,
    /// When the token was issued, in Unix seconds. Where it does not say that, when it ends: of two, the later is newer.
    pub issued_s: u64,
    /// Until when it counts.
    pub expires_ms: UnixMs,
    /// A legal display name, if it says one.
    pub display_name: Option<String>,
    /// The URL of a picture, if it says one.
    pub picture: Option<String>,
    /// 64 random bits, of which ids are drawn.
    pub draw: u64,
}

/// Whom a token speaks for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// The account.
    pub user: UserId,
    /// The login.
    pub family: u64,
}

/// The state of a token's login.
enum Known {
    /// It lives, and nothing is to be written.
    Live(Entered),
    /// It lives, and this token is newer than those before, or its row is to be put off.
    Newer(RefreshRecord),
    /// It has ended, and this token is of before.
    Ended,
    /// There is none for this token. One of before that has ended is remembered until then, or none was: so long its
    /// tokens of before are refused, however soon this one ends.
    New(UnixMs),
}

/// Finds the account and the login that a token speaks for, or makes them. What a newer token says of its user's name and
/// picture is so from then on.
///
/// # Errors
/// 101 if the login has ended or the account is deactivated; the store's, and damage. Asking again is safe.
pub async fn enter<E: Engine>(engine: &E, external: &External, wall: UnixMs) -> Result<Entered, LayerError> {
    let login = login_hash(external);
    match read!(engine, Begin::Fresh, |tx| known(&tx, external, &login, wall).await)? {
        Known::Live(entered) => return Ok(entered),
        Known::Ended => return Err(ended()),
        Known::Newer(_) | Known::New(_) => {}
    }
    commit!(engine, Begin::Fresh, |tx, _| {
        let record = match known(&tx, external, &login, wall).await? {
            Known::Live(entered) => return Ok(entered),
            Known::Ended => return Err(ended()),
            Known::Newer(record) => {
                sweep(&mut tx, wall).await?;
                let key = keys::user(record.user);
                let row = tx.get(&key).await?.ok_or_else(|| unreadable::missing(&key, "user"))?;
                let user = unreadable::refuse(&key, UserRecord::decode(&row))?;
                check_active(&user)?;
                say(&mut tx, record.user, user, external);
                record
            }
            Known::New(expires_ms) => {
                sweep(&mut tx, wall).await?;
                let user = account(&mut tx, external, wall).await?;
                let family = drawn(external.draw, "family").max(FAMILY_OPERATOR + 1);
                RefreshRecord { user, family, device: None, expires_ms, used: false, issued_s: 0 }
            }
        };
        let Entered { user, family } = entered(&record);
        let expires_ms = put_off(record.expires_ms, external, wall).unwrap_or(record.expires_ms);
        if expires_ms != record.expires_ms {
            tx.clear(&keys::refresh_due(record.expires_ms, login));
        }
        // All rows anew, since the sweep may just have cleared them.
        tx.set(&keys::family(user, family), packed::MARK);
        tx.set(&keys::refresh_due(expires_ms, login), &[]);
        let record = RefreshRecord { expires_ms, issued_s: record.issued_s.max(external.issued_s), ..record };
        tx.set(&keys::refresh(login), &record.encode());
        Ok(Entered { user, family })
    })
}

/// Finds the account of a name, or makes it, with what is said of it.
///
/// # Errors
/// 101 if it is deactivated; the store's, and damage. Asking again is safe.
pub async fn ensure_external<E: Engine>(engine: &E, external: &External, wall: UnixMs) -> Result<UserId, LayerError> {
    commit!(engine, Begin::Fresh, |tx, _| account(&mut tx, external, wall).await)
}

async fn known<T: Transaction>(
    tx: &T,
    external: &External,
    login: &[u8; 32],
    wall: UnixMs,
) -> Result<Known, LayerError> {
    let key = keys::refresh(*login);
    let Some(record) = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), RefreshRecord::decode)? else {
        return Ok(Known::New(UnixMs(0)));
    };
    let lives = tx.get(&keys::family(record.user, record.family)).await?.is_some();
    let is_newer = external.issued_s > record.issued_s;
    let is_old = put_off(record.expires_ms, external, wall).is_some();
    Ok(match (lives, is_newer) {
        (false, true) => Known::New(record.expires_ms),
        (false, false) => Known::Ended,
        (true, newer) if newer || is_old => Known::Newer(record),
        (true, _) => Known::Live(entered(&record)),
    })
}

fn entered(record: &RefreshRecord) -> Entered {
    Entered { user: record.user, family: record.family }
}

/// When a login is forgotten that is not seen again. Not before its token ends: an ended login is remembered as long.
fn kept_until(external: &External, wall: UnixMs) -> UnixMs {
    wall.plus_ms(LOGIN_MS).max(external.expires_ms)
}

/// Until when a login is kept from now on, if that is so much later than until now that its rows are written anew: not
/// every newer token moves them.
fn put_off(expires_ms: UnixMs, external: &External, wall: UnixMs) -> Option<UnixMs> {
    let kept_ms = kept_until(external, wall);
    (expires_ms.plus_ms(LOGIN_SLACK_MS) < kept_ms).then_some(kept_ms)
}

fn ended() -> LayerError {
    Refusal::new(ErrorCode::Unauthenticated, "the login of this token has ended, sign in again").into()
}

/// The account of a name, made if there is none.
async fn account<T: Transaction>(tx: &mut T, external: &External, wall: UnixMs) -> Result<UserId, LayerError> {
    let name = name_hash(&external.namespace, &external.subject);
    if let Some((user, record)) = find(tx, name).await? {
        check_active(&record)?;
        say(tx, user, record, external);
        return Ok(user);
    }
    for user in draws(external.draw, wall) {
        if let Some(record) = make(tx, user, (&external.namespace, &external.subject), wall).await? {
            say(tx, user, record, external);
            return Ok(user);
        }
    }
    Err(Refusal::new(ErrorCode::Internal, "no free id was drawn, try again").into())
}

/// The account that a name is of.
pub(super) async fn find<T: Transaction>(tx: &T, name: [u8; 32]) -> Result<Option<(UserId, UserRecord)>, LayerError> {
    let key = keys::external(name);
    let Some(user) = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), packed::user)? else {
        return Ok(None);
    };
    let key = keys::user(user);
    let record = unreadable::refuse_some(&key, tx.get(&key).await?.as_ref(), UserRecord::decode)?;
    Ok(record.map(|record| (user, record)))
}

/// Makes the account of a name, which is free, under this id, if that is free. Its username is `u` and the id in
/// hexadecimal.
pub(super) async fn make<T: Transaction>(
    tx: &mut T,
    user: UserId,
    (namespace, subject): (&str, &str),
    wall: UnixMs,
) -> Result<Option<UserRecord>, LayerError> {
    let username = format!("u{:016x}", user.0);
    let (user_key, name_key) = (keys::user(user), keys::username(&username));
    if tx.get_all(&[user_key.clone(), name_key.clone()]).await?.iter().any(Option::is_some) {
        return Ok(None);
    }
    let record = UserRecord {
        display_name: username.clone(),
        username,
        password_hash: NO_PASSWORD.to_owned(),
        created_ms: wall,
        namespace: Some(namespace.to_owned()),
        external_id: Some(subject.to_owned()),
        ..UserRecord::default()
    };
    tx.set(&user_key, &record.encode());
    tx.set(&name_key, &packed::row(user));
    tx.set(&keys::external(name_hash(namespace, subject)), &packed::row(user));
    Ok(Some(record))
}

/// Writes what a token says of its user, where that is new.
fn say<T: Transaction>(tx: &mut T, user: UserId, before: UserRecord, external: &External) {
    let mut record = before.clone();
    if let Some(name) = &external.display_name {
        record.display_name.clone_from(name);
    }
    if external.picture.is_some() {
        record.picture.clone_from(&external.picture);
    }
    if record != before {
        tx.set(&keys::user(user), &record.encode());
    }
}

/// By what the row of a name is found.
pub(crate) fn name_hash(namespace: &str, subject: &str) -> [u8; 32] {
    hash(&[namespace, subject])
}

/// By what the row of a login is found. It begins with a byte that no text has: a refresh token is found by the hash of
/// its text.
fn login_hash(external: &External) -> [u8; 32] {
    hash(&["login", &external.namespace, &external.subject, &external.session])
}

fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix([0xFF]);
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Ids of which one is free.
pub(super) fn draws(draw: u64, wall: UnixMs) -> impl Iterator<Item = UserId> {
    (0..DRAWS_MAX).map(move |at| UserId::new(wall, drawn(draw, &at.to_string())))
}

/// 64 bits that follow from a draw.
fn drawn(draw: u64, label: &str) -> u64 {
    let hash = Sha256::new().chain_update(draw.to_be_bytes()).chain_update(label).finalize();
    u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::super::{NewToken, Rotation, by_id, family_is_live, revoke_family, rotate};
    use super::*;
    use kv::memory::MemoryEngine;

    const DAY_MS: u64 = 24 * 3600 * 1000;

    fn token(who: &str, issued_s: u64, wall: UnixMs) -> External {
        let (who, session) = who.split_once('/').unwrap_or((who, ""));
        let (namespace, subject) = who.split_once(':').unwrap_or(("a", who));
        External {
            namespace: namespace.to_owned(),
            subject: subject.to_owned(),
            session: session.to_owned(),
            issued_s,
            expires_ms: wall.plus_ms(3_600_000),
            display_name: Some(format!("{subject} {issued_s}")),
            picture: None,
            draw: wall.0 + issued_s,
        }
    }

    /// The place of a thing among those that came, from 1.
    fn place<T: PartialEq>(seen: &mut Vec<T>, one: T) -> usize {
        seen.iter().position(|other| *other == one).unwrap_or_else(|| {
            seen.push(one);
            seen.len() - 1
        }) + 1
    }

    /// `SUBJECT[/SESSION] ISSUED` shows a token of the namespace `a`, or of the one before a colon; where `ISSUED` has
    /// `~DAYS` it counts for so long, otherwise for an hour; `end USER FAMILY`; `@DAY` and `+MS` move the time on; `rows`
    /// counts those of logins: their own, their times and families. A result names users and logins by the order in which they came, and the display name; or a code.
    fn check(script: &str) {
        let engine = MemoryEngine::ephemeral();
        let (mut users, mut families, mut wall) = (Vec::new(), Vec::new(), UnixMs(100 * DAY_MS));
        for step in script.split(", ") {
            let (step, expected) = step.split_once(" => ").unwrap_or((step, "done"));
            let words: Vec<_> = step.split(' ').collect();
            let seen = match words[..] {
                ["end", user, family] => {
                    let at = |name: &str| name.parse::<usize>().expect("a number") - 1;
                    let ended = revoke_family(&engine, users[at(user)], families[at(family)]);
                    block_on(ended).expect("the store is there");
                    "done".to_owned()
                }
                [day] if day.starts_with('@') => {
                    wall = UnixMs(day[1..].parse::<u64>().expect("a day") * DAY_MS);
                    "done".to_owned()
                }
                [by] if by.starts_with('+') => {
                    wall = wall.plus_ms(by[1..].parse().expect("milliseconds"));
                    "done".to_owned()
                }
                ["rows"] => block_on(rows(&engine, users.len())).expect("read").to_string(),
                [who, issued] => {
                    let (issued, days) = issued.split_once('~').unwrap_or((issued, ""));
                    let mut external = token(who, issued.parse().expect("a number"), wall);
                    if !days.is_empty() {
                        external.expires_ms = wall.plus_ms(days.parse::<u64>().expect("days") * DAY_MS);
                    }
                    match block_on(enter(&engine, &external, wall)) {
                        Ok(Entered { user, family }) => {
                            assert!(block_on(family_is_live(&engine, user, family)).expect("read"));
                            let record = block_on(by_id(&engine, user)).expect("read").expect("it was made");
                            assert_eq!(record.external_id, Some(external.subject));
                            let (user, family) = (place(&mut users, user), place(&mut families, family));
                            format!("{user} {family} {}", record.display_name)
                        }
                        Err(error) => u16::from(error.into_refusal().code).to_string(),
                    }
                }
                _ => panic!("no such step: {step}"),
            };
            assert_eq!(seen, expected, "{step} in {script}");
        }
    }

    /// All rows but the three of each user: the account, its username and its external name.
    async fn rows(engine: &MemoryEngine, users: usize) -> Result<usize, LayerError> {
        let tx = engine.begin(Begin::Fresh);
        let all = tx.get_range(&kv::transaction::RangeRequest::new(vec![0], vec![0xFF])).await?;
        Ok(all.rows.len() - 3 * users)
    }

    #[test]
    fn a_user_is_made_when_first_seen_and_names_of_two_issuers_are_of_two() {
        check("ann 5 => 1 1 ann 5, ann 5 => 1 1 ann 5, bob 6 => 2 2 bob 6, b:ann 7 => 3 3 ann 7");
        // An issuer whose name is another's and a part of a subject is still another.
        check("aa:b 1 => 1 1 b 1, a:ab 2 => 2 2 ab 2");
    }

    #[test]
    fn a_newer_token_says_what_the_user_is_called() {
        check("ann 5 => 1 1 ann 5, ann 6 => 1 1 ann 6, ann 5 => 1 1 ann 6");
    }

    #[test]
    fn a_login_that_was_ended_is_so_for_all_tokens_of_before() {
        check("ann 5 => 1 1 ann 5, end 1 1, ann 5 => 101, ann 4 => 101, ann 6 => 1 2 ann 6, ann 5 => 1 2 ann 6");
        check("ann/s 5 => 1 1 ann 5, ann/t 6 => 1 2 ann 6, end 1 1, ann/s 5 => 101, ann/t 6 => 1 2 ann 6");
    }

    #[test]
    fn a_login_is_kept_for_as_long_as_it_is_seen() {
        check("ann 5 => 1 1 ann 5, @120, ann 6 => 1 1 ann 6, @140, ann 7 => 1 1 ann 7, @160, ann 7 => 1 1 ann 7");
        // What is due is swept by whoever comes: this one has been put off, and stays.
        check("ann 5 => 1 1 ann 5, @120, ann 6 => 1 1 ann 6, @145, bob 7 => 2 2 bob 7, ann 6 => 1 1 ann 6");
        // One that was not seen for so long begins anew, as the same user.
        check("ann 5 => 1 1 ann 5, @140, bob 6 => 2 2 bob 6, ann 5 => 1 3 ann 5");
        // That it has ended is remembered as long.
        check("ann 5 => 1 1 ann 5, end 1 1, @129, bob 6 => 2 2 bob 6, ann 5 => 101");
        // And as long as a token of before counts, whatever comes between.
        check("ann 5~90 => 1 1 ann 5, end 1 1, ann 6 => 1 2 ann 6, @140, bob 7 => 2 3 bob 7, ann 5~50 => 1 2 ann 6");
        check("ann 5~90 => 1 1 ann 5, end 1 1, ann 6 => 1 2 ann 6, end 1 2, @140, bob 7 => 2 3 bob 7, ann 5~50 => 101");
    }

    #[test]
    fn a_login_has_three_rows_however_many_tokens_it_shows() {
        check("ann 5 => 1 1 ann 5, rows => 3, +1000, ann 6 => 1 1 ann 6, +1000, ann 7 => 1 1 ann 7, rows => 3");
        check("ann 5 => 1 1 ann 5, @102, ann 6 => 1 1 ann 6, rows => 3, @120, ann 6 => 1 1 ann 6, rows => 3");
        check("ann 5 => 1 1 ann 5, end 1 1, rows => 2, +1000, ann 6 => 1 2 ann 6, rows => 3");
        check("ann 5 => 1 1 ann 5, end 1 1, @110, ann 6 => 1 2 ann 6, rows => 3");
        // A newer token sweeps what others left, and not its own login.
        check("bob 5 => 1 1 bob 5, ann 6 => 2 2 ann 6, rows => 6, @140, ann 7 => 2 2 ann 7, rows => 3");
    }

    #[test]
    fn no_refresh_token_finds_the_login() {
        let engine = MemoryEngine::ephemeral();
        block_on(enter(&engine, &token("ann", 1, UnixMs(0)), UnixMs(0))).expect("in");
        let next = NewToken { hash: [1; 32], expires_ms: UnixMs(DAY_MS) };
        let texts = ["", "ann", "login", "a", "loginaann", "\u{FF}", "\u{5}login\u{1}a\u{3}ann"];
        for text in texts {
            let used = Sha256::digest(text).into();
            assert_eq!(block_on(rotate(&engine, &used, &next, UnixMs(0))).expect("read"), Rotation::Unknown, "{text}");
        }
    }
}
