//! I3: an acknowledged message is in the log at every later instant, including after power loss.

use crate::facts::Facts;

use super::store::Log;
use super::{Check, violated};

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    for ack in &facts.acks {
        let key = ack.key;
        let place = usize::try_from(ack.seq.0).expect("a run is short");
        let stored = log.channels.get(&key.channel).and_then(|messages| messages.get(place.wrapping_sub(1)));
        let body = &facts.written[&key].body;
        let is_there = stored.is_some_and(|message| {
            message.client_msg_id == key.id && message.from == key.user && message.body == *body
        });
        if !is_there {
            let stored = stored.map(|message| (message.client_msg_id, message.from, message.body.len()));
            return violated("I3", format!("{key:?} was acknowledged as {}, where the log has {stored:?}", ack.seq));
        }
    }
    Ok(())
}
