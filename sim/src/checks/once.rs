//! I5: (user, channel, client_msg_id) maps to at most one seq; a retry returns the same seq. What was refused for good
//! at the only attempt is nowhere. An operation on a message makes a revision of its own.

use std::collections::BTreeMap;

use schema::{Command, Seq};

use crate::facts::{Done, Facts, Key};
use crate::outcome::violated;

use super::Check;
use super::store::Log;

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    let mut stored: BTreeMap<Key, Seq> = BTreeMap::new();
    for (&channel, messages) in &log.channels {
        for message in messages {
            let key = Key { user: message.from, channel, id: message.client_msg_id };
            if let Some(first) = stored.insert(key, message.seq) {
                violated!("I5", "{key:?} is in the log as {first} and as {}", message.seq);
            }
            if !facts.written.contains_key(&key) {
                violated!("I5", "nobody wrote {key:?}, which is in the log as {}", message.seq);
            }
        }
    }
    for ack in &facts.acks {
        if stored.get(&ack.key) != Some(&ack.seq) {
            let (key, at, seq) = (ack.key, stored.get(&ack.key), ack.seq);
            let duplicate = ack.duplicate;
            violated!("I5", "{key:?} is stored at {at:?}, acknowledged as {seq}, duplicate: {duplicate}");
        }
    }
    once_revised(facts)?;
    for (key, code) in &facts.refused {
        if let Some(seq) = stored.get(key).filter(|_| facts.written[key].attempts == 1) {
            violated!("I5", "{key:?} was refused with {code} and is in the log as {seq}");
        }
    }
    Ok(())
}

/// Two operations never make the same revision. Only deletions share one: all but the first change nothing.
fn once_revised(facts: &Facts) -> Check {
    let mut makers: BTreeMap<_, (&Key, bool)> = BTreeMap::new();
    for (key, operation) in &facts.operations {
        let Some((Done::Revised(revision), _)) = operation.done else { continue };
        let (seq, deletes) = match &operation.command {
            Command::Edit(edit) => (edit.seq, false),
            Command::Delete(delete) => (delete.seq, true),
            _ => continue,
        };
        if let Some((other, others)) = makers.insert((key.channel, seq, revision), (key, deletes))
            && !(deletes && others)
        {
            violated!("I5", "{other:?} and {key:?} both made revision {revision} of {seq}");
        }
    }
    Ok(())
}
