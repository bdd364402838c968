//! I2, the other way round: what is in the log, and what was ever shown, is what its writer wrote, letter by letter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::{ChannelId, Command, Message, Seq};

use crate::facts::{Facts, Key};
use crate::outcome::violated;

use super::Check;
use super::store::Log;

/// Texts that users asked for: where, on which base revision.
type Texts = BTreeSet<(ChannelId, Seq, Option<u32>, Arc<str>)>;

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    let stored = log.channels.values().flatten().map(|message| ("the log", message));
    let seen = facts.sightings.iter().map(|seen| (seen.by.as_str(), &seen.message));
    let mut judged: BTreeMap<_, Arc<Message>> = BTreeMap::new();
    let operations = operations(facts);
    for (whose, message) in stored.chain(seen) {
        let place = (message.channel_id, message.seq, message.revision);
        if judged.get(&place).is_some_and(|known| known == message) {
            continue;
        }
        if !is_written(message, facts, &operations) {
            let (id, from, bytes) = (message.client_msg_id, message.from, message.body.len());
            violated!("I2", "{whose} has {place:?}, {id} by {from} with {bytes} bytes, and nobody wrote that");
        }
        judged.insert(place, Arc::clone(message));
    }
    Ok(())
}

fn is_written(message: &Message, facts: &Facts, operations: &Texts) -> bool {
    let key = Key { user: message.from, channel: message.channel_id, id: message.client_msg_id };
    let Some(written) = facts.written.get(&key) else { return false };
    if message.deleted {
        return message.body.is_empty() && operations.contains(&(message.channel_id, message.seq, None, "".into()));
    }
    match message.revision.checked_sub(1) {
        None => written.body == message.body,
        base => operations.contains(&(message.channel_id, message.seq, base, Arc::clone(&message.body))),
    }
}

/// Edits by place, base and text; deletions without a base.
fn operations(facts: &Facts) -> Texts {
    let texts = facts.operations.values().filter_map(|operation| match &operation.command {
        Command::Edit(edit) => Some((edit.channel_id, edit.seq, Some(edit.base_revision), Arc::clone(&edit.body))),
        Command::Delete(delete) => Some((delete.channel_id, delete.seq, None, "".into())),
        _ => None,
    });
    texts.collect()
}
