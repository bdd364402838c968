//! What is forgotten of notifications.
//!
//! Owns how long it is known what became of them: 30 days.

use schema::limits::DELIVERY_DAYS;
use schema::{Medium, UnixMs};

use crate::share::Share;
use crate::{LayerError, clock, dedup, keys};
use kv::transaction::{Begin, Engine};

/// Forgets what became of notifications more than `DELIVERY_DAYS` before `wall`, as far as it is of this share. Returns
/// how many rows went.
///
/// # Errors
/// The store's. Then some are gone; sweeping again is safe.
pub async fn sweep<E: Engine>(engine: &E, wall: UnixMs, share: &Share) -> Result<u64, LayerError> {
    if !share.has_rest() {
        return Ok(0);
    }
    let wall = clock::believed(&engine.begin(Begin::Fresh), wall).await?;
    let before = UnixMs(wall.0.saturating_sub(DELIVERY_DAYS * keys::DAY_MS));
    let mut swept = dedup::clear_range(engine, &keys::deliveries_before(keys::day(before))).await?;
    for &medium in Medium::ALL {
        swept += dedup::clear_range(engine, &keys::given_up_before(medium, before)).await?;
    }
    Ok(swept)
}
