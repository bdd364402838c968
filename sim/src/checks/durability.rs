//! I3: an acknowledged message is in the log at every later instant, including after power loss; so is what an
//! acknowledged edit or deletion made of it, and the last reaction.

use std::collections::BTreeMap;

use schema::{Command, Emoji};

use crate::facts::{Done, Facts, Operation};
use crate::outcome::violated;

use super::Check;
use super::store::Log;

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    for ack in &facts.acks {
        let key = ack.key;
        let stored = log.message(key.channel, ack.seq);
        let is_there = stored.is_some_and(|message| message.client_msg_id == key.id && message.from == key.user);
        if !is_there {
            let stored = stored.map(|message| (message.client_msg_id, message.from));
            violated!("I3", "{key:?} was acknowledged as {}, where the log has {stored:?}", ack.seq);
        }
    }
    for (key, operation) in &facts.operations {
        let (what, seq, text) = match (&operation.command, operation.done) {
            (Command::Edit(edit), Some((Done::Revised(revision), _))) => (revision, edit.seq, Some(&edit.body)),
            (Command::Delete(delete), Some((Done::Revised(revision), _))) => (revision, delete.seq, None),
            _ => continue,
        };
        let Some(stored) = log.message(key.channel, seq) else {
            violated!("I3", "{key:?} revised {seq}, where the log has nothing");
        };
        // A deletion is the last revision; after an edit others may follow.
        let is_there = match text {
            Some(_) if stored.revision > what => true,
            Some(text) => stored.revision == what && !stored.deleted && stored.body == *text,
            None => stored.revision == what && stored.deleted,
        };
        if !is_there {
            let (revision, deleted) = (stored.revision, stored.deleted);
            let stored = format!("revision {revision}, deleted: {deleted}");
            violated!("I3", "{key:?} made revision {what} of {seq}, and the log has {stored}");
        }
    }
    reactions(log, facts)
}

/// Of reactions that followed one another, the last counts, unless its message was deleted.
fn reactions(log: &Log, facts: &Facts) -> Check {
    let mut of: BTreeMap<_, Vec<(&Operation, bool)>> = BTreeMap::new();
    for (key, operation) in &facts.operations {
        if let Command::React(react) = &operation.command {
            let emoji: Emoji = react.emoji.parse().expect("devices react with emojis");
            of.entry((key.channel, react.seq, emoji, key.user)).or_default().push((operation, react.on));
        }
    }
    for (place, mut operations) in of {
        operations.sort_by_key(|(operation, _)| operation.first);
        let (last, on) = operations.pop().expect("one at least");
        let follows = operations.iter().all(|(earlier, _)| earlier.done.is_some_and(|(_, at)| at < last.first));
        let stands = log.message(place.0, place.1).is_some_and(|message| !message.deleted);
        if follows && stands && last.done.is_some() && log.reactions.contains(&place) != on {
            violated!("I3", "the last reaction at {place:?} was acknowledged with on: {on}");
        }
    }
    Ok(())
}
