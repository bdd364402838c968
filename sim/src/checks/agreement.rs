//! I2: per channel the seqs are exactly 1..N; any two readers agree on (seq, revision) → (id, body). I3 for what was
//! only seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use schema::{Message, message};

use crate::facts::Facts;
use crate::outcome::violated;

use super::Check;
use super::store::Log;

/// A message without what changes while its revision does not.
fn content(message: &Message) -> Message {
    Message { reactions: message::no_reactions(), ..message.clone() }
}

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    for (channel, messages) in &log.channels {
        for (expected, message) in (1..).zip(messages) {
            if message.seq.0 != expected {
                violated!("I2", "channel {channel} has {} where #{expected} belongs", message.seq);
            }
        }
    }
    // What each revision was first seen as, the log's own before all.
    let stored = log.channels.values().flatten();
    let mut known: BTreeMap<_, Arc<Message>> = stored.map(|message| (place(message), Arc::clone(message))).collect();
    for seen in &facts.sightings {
        let message = &seen.message;
        let what = || {
            let (id, seq, channel) = (message.client_msg_id, message.seq, message.channel_id);
            format!(
                "{} saw {id} by {} as {seq} of channel {channel}, revision {}",
                seen.by, message.from, message.revision
            )
        };
        let Some(stored) = log.message(message.channel_id, message.seq) else {
            // What is told is durable, so a log that ends before it has lost it.
            violated!("I3", "{}, where the log has nothing", what());
        };
        if stored.revision < message.revision {
            violated!("I3", "{}, where the log has revision {}", what(), stored.revision);
        }
        let first = known.entry(place(message)).or_insert_with(|| Arc::clone(message));
        let is_one = stored.client_msg_id == message.client_msg_id && stored.from == message.from;
        if !is_one || content(first) != content(message) {
            let (stored, first) = ((stored.client_msg_id, stored.from), first.body.len());
            let bytes = message.body.len();
            violated!("I2", "{} with {bytes} bytes; the log has {stored:?}, and others saw {first} bytes", what());
        }
    }
    Ok(())
}

fn place(message: &Message) -> (schema::ChannelId, schema::Seq, u32) {
    (message.channel_id, message.seq, message.revision)
}
