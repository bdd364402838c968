//! Codes that prove who reads what is sent to a mail address or a phone number.
//!
//! Owns the rows `code`, and the contact at [`PENDING`] that is told its code and nothing else until it is proved. The code
//! is a notice like any other, of no application: it is sent, tried again and given up as those are.

use schema::limits::{CODE_KEPT_MS, CODE_TRIES_MAX};
use schema::record::{CodeRecord, ContactRecord, JobRecord, NoticeRecord};
use schema::{ChannelId, ErrorCode, Medium, NoticeId, Refusal, Seq, UnixMs, UserId};
use sha2::{Digest as _, Sha256};

use super::contacts::{self, Contact, PENDING};
use super::jobs;
use crate::accounts::FAMILY_OPERATOR;
use crate::{LayerError, commit, keys, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// The category of codes.
pub const VERIFICATION: &str = "verification";

/// A user who wants to be told at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking<'a> {
    /// Who.
    pub user: UserId,
    /// By mail or text message.
    pub medium: Medium,
    /// Where.
    pub address: &'a str,
    /// In which language, as in BCP 47; empty if it is not known.
    pub locale: &'a str,
    /// Digits drawn for this.
    pub code: &'a str,
    /// Drawn for this.
    pub notice: NoticeId,
}

/// Whether a notice bears a code: nobody turns it off, and no hour is too late for who has just asked.
#[must_use]
pub fn is_code(notice: &NoticeRecord) -> bool {
    notice.app == 0 && notice.category == VERIFICATION
}

/// Has a code sent to an address, in the place of one that was asked for before. What is told there by now goes on until
/// the new address is proved.
///
/// # Errors
/// The store's, and damage. Asking again with the same code is safe.
pub async fn ask<E: Engine>(engine: &E, asking: &Asking<'_>, now: UnixMs) -> Result<(), LayerError> {
    let &Asking { user, medium, address, locale, code, notice } = asking;
    commit!(engine, Begin::Fresh, |tx, attempt| {
        // Another address may have been asked for since, or this one proved.
        if attempt.maybe_committed && tx.get(&keys::notice(notice)).await?.is_some() {
            return Ok(());
        }
        let record = ContactRecord {
            address: address.to_owned(),
            app: String::new(),
            development: false,
            locale: locale.to_owned(),
            family: FAMILY_OPERATOR,
            registered_ms: now,
            verified_ms: None,
        };
        tx.set(&keys::contact(user, medium, PENDING), &record.encode());
        let expires_ms = now.plus_ms(CODE_KEPT_MS);
        let row = CodeRecord { hash: hash(user, medium, code), expires_ms, tries: 0 };
        tx.set(&keys::code(user, medium), &row.encode());
        tx.set(&keys::notice(notice), &of_code(asking, now).encode());
        let (channel, seq) = (ChannelId(0), Seq::ZERO);
        let job = JobRecord { channel, seq, origin: notice, planned_ms: now, expires_ms, attempts: 0, leased: false };
        jobs::put(&mut tx, &Contact { medium, device: PENDING.to_owned(), record }, user, notice, &job);
        Ok(())
    })
}

fn of_code(&Asking { code, medium, .. }: &Asking<'_>, now: UnixMs) -> NoticeRecord {
    let minutes = CODE_KEPT_MS / 60_000;
    NoticeRecord {
        category: VERIFICATION.to_owned(),
        title: format!("Your code is {code}"),
        body: format!(
            "Your code is {code}. It counts for {minutes} minutes. If you have not asked for it, nobody needs to do anything."
        ),
        data: "{}".to_owned(),
        media: vec![medium as u16],
        urgent: true,
        created_ms: now,
        send_ms: now,
        expires_ms: CODE_KEPT_MS,
        recipients: 1,
        ..NoticeRecord::default()
    }
}

/// Ends what was asked for: with the right code the user is told at the new address from here on, in the place of the one
/// before, and whoever was told at that address before is not.
///
/// # Errors
/// 102 if no code was asked for, or it has expired or was guessed at too often; 107 for a wrong one, which counts; the
/// store's, and damage.
pub async fn prove<E: Engine>(
    engine: &E,
    user: UserId,
    medium: Medium,
    code: &str,
    now: UnixMs,
) -> Result<(), LayerError> {
    let proved = commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::code(user, medium);
        let row = tx.get(&key).await?;
        let asked = unreadable::refuse_some(&key, row.as_ref(), CodeRecord::decode)?;
        let pending_key = keys::contact(user, medium, PENDING);
        let pending = tx.get(&pending_key).await?;
        let pending = pending.and_then(|row| unreadable::skip(&pending_key, ContactRecord::decode(&row)));
        let (Some(asked), Some(contact)) = (asked, pending) else {
            let key = keys::contact(user, medium, "");
            let contact = if attempt.maybe_committed { tx.get(&key).await? } else { None };
            let contact = contact.and_then(|row| unreadable::skip(&key, ContactRecord::decode(&row)));
            let was_proved = contact.is_some_and(|contact| contact.verified_ms == Some(now));
            return if was_proved { Ok(Proof::Right) } else { Ok(Proof::Nothing) };
        };
        if asked.expires_ms <= now {
            tx.clear(&key);
            tx.clear(&pending_key);
            return Ok(Proof::Nothing);
        }
        if asked.hash != hash(user, medium, code) {
            let tries = asked.tries + 1;
            if tries >= CODE_TRIES_MAX {
                tx.clear(&key);
                tx.clear(&pending_key);
            } else {
                tx.set(&key, &CodeRecord { tries, ..asked }.encode());
            }
            return Ok(Proof::Wrong { left: CODE_TRIES_MAX - tries });
        }
        forget(&mut tx, user, medium).await?;
        contacts::take(&mut tx, (user, medium, ""), &ContactRecord { verified_ms: Some(now), ..contact }).await?;
        Ok(Proof::Right)
    })?;
    let refuse = |code, text: &str| Err(Refusal::new(code, text.to_owned()).into());
    match proved {
        Proof::Right => Ok(()),
        Proof::Nothing => {
            refuse(ErrorCode::UnknownChannel, "no code is waited for here, or it has expired: ask for another")
        }
        Proof::Wrong { left: 0 } => refuse(ErrorCode::BadRequest, "the code is wrong, once too often: ask for another"),
        Proof::Wrong { left } => refuse(ErrorCode::BadRequest, &format!("the code is wrong, {left} more may be tried")),
    }
}

/// What came of a guess. Of a wrong one it is stored that there was one, so it is no refusal of the transaction.
enum Proof {
    Right,
    Wrong { left: u32 },
    Nothing,
}

/// Tells a user at the own address of a medium no more, nor at one that waits for its proof. Whether there was any.
///
/// # Errors
/// The store's, and damage. Removing again is safe.
pub async fn remove<E: Engine>(engine: &E, user: UserId, medium: Medium) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| Ok(forget(&mut tx, user, medium).await? || attempt.maybe_committed))
}

async fn forget<T: Transaction>(tx: &mut T, user: UserId, medium: Medium) -> Result<bool, LayerError> {
    let mut forgotten = false;
    for device in ["", PENDING] {
        let key = keys::contact(user, medium, device);
        let Some(row) = tx.get(&key).await? else { continue };
        forgotten = true;
        match unreadable::skip(&key, ContactRecord::decode(&row)) {
            Some(record) => contacts::forget(tx, user, &Contact { medium, device: device.to_owned(), record }),
            None => tx.clear(&key),
        }
    }
    tx.clear(&keys::code(user, medium));
    Ok(forgotten)
}

/// By what a code is known. It has few digits, so this hides nothing from who can read the store; nobody else can guess
/// more than a few times.
fn hash(user: UserId, medium: Medium, code: &str) -> [u8; 32] {
    Sha256::new().chain_update(user.0.to_be_bytes()).chain_update([medium as u8]).chain_update(code).finalize().into()
}
