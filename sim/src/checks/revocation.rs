//! I10 for devices: once a revocation is acknowledged, the session that the device had is pushed nothing that is sent
//! after that, and ends.

use crate::facts::{Facts, Key};
use crate::outcome::violated;

use super::Check;

/// How long a device may take to learn that its connection has ended: its node may have been cut off from it.
const NOTICED_MS: u64 = 20_000;

pub(super) fn check(facts: &Facts, healed_ms: u64) -> Check {
    for revocation in &facts.revocations {
        let Some((done, done_ms)) = revocation.done else { continue };
        let (device, asked) = (&revocation.device, revocation.asked);
        for seen in facts.sightings.iter().filter(|seen| seen.by == *device) {
            let message = &seen.message;
            let key = Key { user: message.from, channel: message.channel_id, id: message.client_msg_id };
            let is_later = facts.written.get(&key).is_some_and(|written| written.first > done);
            if is_later && seen.pushed_since.is_some_and(|since| since < asked) {
                let (seq, channel) = (message.seq, message.channel_id);
                violated!(
                    "I10",
                    "{device} was revoked at {done_ms} ms, and its session was pushed {seq} of {channel} later"
                );
            }
        }
        let due_ms = done_ms.max(healed_ms) + NOTICED_MS;
        let earlier = facts.connections.iter().filter(|had| had.device == *device && had.since < asked);
        if let Some(had) = earlier.into_iter().find(|had| had.ended_ms.is_none_or(|ended_ms| ended_ms > due_ms)) {
            let ended_ms = had.ended_ms;
            violated!("I10", "{device} was revoked at {done_ms} ms, and the session it had ended at {ended_ms:?}");
        }
    }
    Ok(())
}
