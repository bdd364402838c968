//! I2: per channel the seqs are exactly 1..N; any two readers agree on (seq, revision) → (id, body). I3 for what was only seen.

use crate::facts::Facts;

use super::store::Log;
use super::{Check, violated};

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    for (channel, messages) in &log.channels {
        for (expected, message) in (1..).zip(messages) {
            if message.seq.0 != expected {
                return violated("I2", format!("channel {channel} has {} where #{expected} belongs", message.seq));
            }
        }
    }
    for seen in &facts.sightings {
        let message = &seen.message;
        let place = usize::try_from(message.seq.0).expect("a run is short");
        let stored = log.channels.get(&message.channel_id).and_then(|messages| messages.get(place.wrapping_sub(1)));
        if stored != Some(message) {
            let stored = stored.map(|stored| (stored.client_msg_id, stored.from));
            return violated(
                // What is told is durable, so a log that ends before it has lost it.
                if stored.is_none() { "I3" } else { "I2" },
                format!(
                    "{} saw {} by {} as {} of channel {}, where the log has {stored:?}",
                    seen.by, message.client_msg_id, message.from, message.seq, message.channel_id
                ),
            );
        }
    }
    Ok(())
}
