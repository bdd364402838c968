//! Forgets first replies that nobody may ask for any more.
//!
//! Owns clearing by day, and the row that tells up to which day it was done. Rows are written by the appender.

use schema::UnixMs;
use schema::limits::{DEDUP_CLEARED_DAYS, DEDUP_DAYS};

use super::{ATTEMPTS_MAX, LayerError, packed};
use crate::keys;
use crate::retry::{self, Abort};
use crate::transaction::{Begin, Engine, Transaction};

const _: () = assert!(DEDUP_CLEARED_DAYS > DEDUP_DAYS + 1, "an id of any day that is still answered keeps its row");

/// Clears the rows of ids made more than 33 days before `wall`, and idempotency keys of more than 24 hours. Once a day
/// is often enough.
///
/// Never goes back: a `wall` that is behind an earlier call's clears nothing.
///
/// # Errors
/// The store's. Then nothing, or all of it, was cleared; clearing again is safe.
pub async fn clear<E: Engine>(engine: &E, wall: UnixMs) -> Result<(), LayerError> {
    let before = keys::day(wall).saturating_sub(u32::try_from(DEDUP_CLEARED_DAYS).expect("33"));
    retry::run(engine, Begin::Fresh, ATTEMPTS_MAX, retry::at_once, |mut tx: E::Tx, _attempt| async move {
        let floor = packed::day(tx.get(&keys::dedup_floor()).await?.as_ref())?;
        if before > floor {
            tx.set(&keys::dedup_floor(), &packed::day_row(before));
            for hash in 0..=u8::MAX {
                let range = keys::dedups_before(hash, before);
                tx.clear_range(&range.begin, &range.end);
            }
            let keys = keys::idempotencies_before(keys::day(wall).saturating_sub(1));
            tx.clear_range(&keys.begin, &keys.end);
        }
        Ok::<_, Abort<LayerError>>((tx, ()))
    })
    .await?;
    Ok(())
}
