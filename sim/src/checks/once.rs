//! I5: (user, channel, client_msg_id) maps to at most one seq; a retry returns the same seq. What was refused for good at the only
//! attempt is nowhere.

use std::collections::BTreeMap;

use schema::Seq;

use crate::facts::{Facts, Key};

use super::store::Log;
use super::{Check, violated};

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    let mut stored: BTreeMap<Key, Seq> = BTreeMap::new();
    for (&channel, messages) in &log.channels {
        for message in messages {
            let key = Key { user: message.from, channel, id: message.client_msg_id };
            if let Some(first) = stored.insert(key, message.seq) {
                return violated("I5", format!("{key:?} is in the log as {first} and as {}", message.seq));
            }
            if !facts.written.contains_key(&key) {
                return violated("I5", format!("nobody wrote {key:?}, which is in the log as {}", message.seq));
            }
        }
    }
    for ack in &facts.acks {
        if stored.get(&ack.key) != Some(&ack.seq) {
            let (key, at, seq) = (ack.key, stored.get(&ack.key), ack.seq);
            let duplicate = ack.duplicate;
            return violated(
                "I5",
                format!("{key:?} is stored at {at:?}, acknowledged as {seq}, duplicate: {duplicate}"),
            );
        }
    }
    for (key, code) in &facts.refused {
        if let Some(seq) = stored.get(key).filter(|_| facts.written[key].attempts == 1) {
            return violated("I5", format!("{key:?} was refused with {code} and is in the log as {seq}"));
        }
    }
    Ok(())
}
