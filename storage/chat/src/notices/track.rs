//! What becomes of a notification once it has left: it arrives, is seen, is followed, or comes back.
//!
//! Owns the order of states: a delivery never goes back, and what has ended stays so.

use schema::record::{DeliveryRecord, DeliveryState, NoticeEventRecord};
use schema::{NoticeId, UnixMs, UserId};

use super::events::{self, Events};
use super::jobs::cut;
use super::links::Target;
use crate::{LayerError, commit, keys, read, unreadable};
use kv::transaction::{Begin, Engine, Row, Transaction};

/// Notes a state of a delivery, and why, if the delivery has not come as far already. Whether it had not; `None` if there
/// is no such delivery.
///
/// # Errors
/// The store's, and damage. Noting again is safe.
pub async fn note<E: Engine>(
    engine: &E,
    target: &Target,
    state: DeliveryState,
    why: &str,
    now: UnixMs,
) -> Result<Option<bool>, LayerError> {
    let Target { notice, user, medium, device } = target;
    commit!(engine, Begin::Fresh, |tx, attempt| {
        let key = keys::delivery(*notice, *user, *medium, device);
        let row = tx.get(&key).await?;
        let Some(before) = unreadable::refuse_some(&key, row.as_ref(), DeliveryRecord::decode)? else {
            return Ok(None);
        };
        if !follows(before.state, state) {
            return Ok(Some(attempt.maybe_committed && before.state == state && before.at_ms == now));
        }
        let delivery = DeliveryRecord { state, at_ms: now, why: cut(why), ..before };
        tx.set(&key, &delivery.encode());
        if delivery.origin != NoticeId::default()
            && let Some(app) = events::app_of(&tx, delivery.origin).await?
        {
            Events::default().put(&mut tx, app, &event(target, &delivery));
        }
        Ok(Some(true))
    })
}

/// Whether a delivery in one state may come into another by what is heard of it.
fn follows(before: DeliveryState, next: DeliveryState) -> bool {
    use DeliveryState::{Accepted, Clicked, Dead, Delivered, Expired, Gone, Opened, Planned, Sent, Withdrawn};
    let steps = |state| match state {
        Planned => Some(0),
        Sent => Some(1),
        Delivered => Some(2),
        Opened => Some(3),
        Clicked => Some(4),
        Withdrawn | Gone | Dead | Expired | Accepted => None,
    };
    match (steps(before), steps(next)) {
        (Some(before), Some(next)) => next > before,
        // What has arrived does not come back.
        (Some(before), None) => before <= 1,
        (None, _) => false,
    }
}

/// What an application is told of a delivery.
pub(super) fn event(
    Target { user, medium, device, .. }: &Target,
    DeliveryRecord { state, at_ms, provider, why, origin, .. }: &DeliveryRecord,
) -> NoticeEventRecord {
    NoticeEventRecord {
        notice: *origin,
        user: *user,
        medium: *medium as u8,
        state: *state,
        at_ms: *at_ms,
        device: device.clone(),
        provider: provider.clone(),
        why: why.clone(),
    }
}

/// What an application is told of a notice for a user, or as a whole, where that has no target.
pub(super) fn event_of_user(
    notice: NoticeId,
    user: UserId,
    state: DeliveryState,
    why: &str,
    now: UnixMs,
) -> NoticeEventRecord {
    NoticeEventRecord {
        notice,
        user,
        medium: 0,
        state,
        at_ms: now,
        device: String::new(),
        provider: String::new(),
        why: why.to_owned(),
    }
}

/// What a user was told of a notice, by every target.
///
/// # Errors
/// The store's.
pub async fn deliveries<E: Engine>(
    engine: &E,
    notice: NoticeId,
    user: UserId,
) -> Result<Vec<(Target, DeliveryRecord)>, LayerError> {
    let range = keys::deliveries_to(notice, user).rows(TARGETS_MAX);
    let page = read!(engine, Begin::Fresh, |tx| Ok(tx.snapshot_get_range(&range).await?))?;
    Ok(unreadable::readable(&page.rows, |row: &Row| {
        let (_, notice, user, medium, device) = keys::delivery_fields(&row.key)?;
        Ok((Target { notice, user, medium, device }, DeliveryRecord::decode(&row.value)?))
    }))
}

/// Targets of one user: 16 devices, those that were replaced while a notice was told, and two of the account's own.
const TARGETS_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_never_goes_back_and_what_has_ended_stays_so() {
        use DeliveryState::{Accepted, Clicked, Dead, Delivered, Expired, Gone, Opened, Planned, Sent, Withdrawn};
        let way = [Planned, Sent, Delivered, Opened, Clicked];
        for (at, &before) in way.iter().enumerate() {
            for (to, &next) in way.iter().enumerate() {
                assert_eq!(follows(before, next), to > at, "{before:?} {next:?}");
            }
        }
        for end in [Withdrawn, Gone, Dead, Expired, Accepted] {
            for other in DeliveryState::ALL {
                assert!(!follows(end, other), "{end:?} {other:?}");
            }
            let ended: Vec<_> = way.into_iter().filter(|&before| follows(before, end)).collect();
            assert_eq!(ended, [Planned, Sent], "{end:?}");
        }
    }
}
