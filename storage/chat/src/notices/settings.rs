//! Settings: what a user wants to be told, by which media, and when not.
//!
//! Owns the rows `settings`, and what a choice means: that of the category itself, else that of `*`, else what is so by
//! default. Quiet hours are only kept here: what they come to is `notify::quiet`'s.

use schema::limits::SETTINGS_CATEGORIES_MAX;
use schema::record::{Choice, SettingsRecord};
use schema::{ErrorCode, Medium, Refusal, UnixMs, UserId};

use super::cache::Weigh;
use crate::{LayerError, commit, keys, read, unreadable};
use kv::transaction::{Begin, Engine, Transaction};

/// The category of messages in channels.
pub const MESSAGES: &str = "messages";
/// The choice of every category that has none of its own.
pub const OTHERS: &str = "*";

/// What a user has chosen; nothing, if there is no row.
///
/// # Errors
/// The store's, and damage.
pub async fn get<E: Engine>(engine: &E, user: UserId) -> Result<SettingsRecord, LayerError> {
    let key = keys::settings(user);
    let row = read!(engine, Begin::Fresh, |tx| Ok(tx.get(&key).await?))?;
    Ok(unreadable::refuse_some(&key, row.as_ref(), SettingsRecord::decode)?.unwrap_or_default())
}

/// Stores what a user chooses, in the place of all that was chosen.
///
/// # Errors
/// 106 for more than `SETTINGS_CATEGORIES_MAX` categories; the store's. Storing again is safe.
pub async fn put<E: Engine>(engine: &E, user: UserId, record: &SettingsRecord) -> Result<(), LayerError> {
    check(record)?;
    commit!(engine, Begin::Fresh, |tx, _| {
        tx.set(&keys::settings(user), &record.encode());
        Ok(())
    })
}

/// Tells a user nothing of a category by a medium any more; of one more than there is room for, nothing of all that have no
/// choice of their own. Whether that changed anything.
///
/// # Errors
/// The store's, and damage. Turning off again is safe.
pub async fn turn_off<E: Engine>(
    engine: &E,
    user: UserId,
    category: &str,
    medium: Medium,
    now: UnixMs,
) -> Result<bool, LayerError> {
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::settings(user);
        let row = tx.get(&key).await?;
        let mut record = unreadable::refuse_some(&key, row.as_ref(), SettingsRecord::decode)?.unwrap_or_default();
        let known = |record: &SettingsRecord, of: &str| record.choices.iter().position(|choice| choice.category == of);
        // Where there is no more room all that has no choice of its own is turned off: whoever sends names categories, and
        // is not to choose whether that can be done.
        let is_full = record.choices.len() >= SETTINGS_CATEGORIES_MAX as usize;
        let category = if is_full && known(&record, category).is_none() { OTHERS } else { category };
        let at = known(&record, category).unwrap_or(record.choices.len());
        if at == record.choices.len() {
            record.choices.push(Choice { category: category.to_owned(), on: 0, off: 0 });
        }
        let (choice, bit) = (&mut record.choices[at], bit(medium));
        if choice.off & bit != 0 {
            return Ok(attempt.maybe_committed);
        }
        choice.off |= bit;
        choice.on &= !bit;
        record.changed_ms = now;
        tx.set(&key, &record.encode());
        Ok(true)
    })
}

fn check(record: &SettingsRecord) -> Result<(), LayerError> {
    // One more may have come by turning the others off.
    let others = usize::from(record.choices.iter().any(|choice| choice.category == OTHERS));
    if record.choices.len() <= SETTINGS_CATEGORIES_MAX as usize + others {
        return Ok(());
    }
    let text = format!("settings have {SETTINGS_CATEGORIES_MAX} categories at most");
    Err(Refusal::new(ErrorCode::LimitExceeded, text).into())
}

/// A user's settings as they stand in this transaction. One that cannot be read is as none: nobody goes untold for it.
pub(super) async fn of<T: Transaction>(tx: &T, user: UserId) -> Result<SettingsRecord, LayerError> {
    let key = keys::settings(user);
    let row = tx.snapshot_get(&key).await?;
    Ok(unreadable::skip_or_default(&key, row.as_ref(), SettingsRecord::decode))
}

/// Whether a user wants a category by a medium.
#[must_use]
pub fn wants(settings: &SettingsRecord, category: &str, medium: Medium, by_default: bool) -> bool {
    let chosen = |category: &str| {
        let choice = settings.choices.iter().find(|choice| choice.category == category)?;
        if choice.off & bit(medium) != 0 {
            Some(false)
        } else if choice.on & bit(medium) != 0 {
            Some(true)
        } else {
            None
        }
    };
    chosen(category).or_else(|| chosen(OTHERS)).unwrap_or(by_default)
}

/// A medium's bit in a choice.
#[must_use]
pub fn bit(medium: Medium) -> u32 {
    1 << medium as u8
}

impl Weigh for SettingsRecord {
    fn bytes(&self) -> u64 {
        let texts = [&self.language, &self.quiet_from, &self.quiet_to, &self.zone].map(String::len);
        let choices = self.choices.iter().map(|choice| size_of::<Choice>() + choice.category.len());
        (size_of::<Self>() + texts.iter().sum::<usize>() + choices.sum::<usize>()) as u64
    }
}
