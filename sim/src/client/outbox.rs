//! Outbox of a device: messages, and operations on them, that are sent again with the same id until they are
//! acknowledged.

use std::collections::VecDeque;

use schema::Command;

use crate::facts::Key;

/// One of them on its way.
#[derive(Debug, Clone)]
pub(crate) struct Unsent {
    pub(crate) key: Key,
    pub(crate) command: Command,
    /// Whether the node has it and has not answered.
    under_way: bool,
    /// Not before.
    due_ms: u64,
}

/// In the order in which they were done.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<Unsent>);

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn push(&mut self, key: Key, command: Command) {
        self.0.push_back(Unsent { key, command, under_way: false, due_ms: 0 });
    }

    /// The connection is gone: nothing is under way any more.
    pub(crate) fn disconnected(&mut self) {
        self.0.iter_mut().for_each(|unsent| (unsent.under_way, unsent.due_ms) = (false, 0));
    }

    /// What is to be sent now.
    pub(crate) fn take_due(&mut self, now_ms: u64) -> Vec<(Key, Command)> {
        let due = self.0.iter_mut().filter(|unsent| !unsent.under_way && unsent.due_ms <= now_ms);
        due.map(|unsent| {
            unsent.under_way = true;
            (unsent.key, unsent.command.clone())
        })
        .collect()
    }

    /// When something is next to be sent.
    pub(crate) fn next_due_ms(&self) -> Option<u64> {
        self.0.iter().filter(|unsent| !unsent.under_way).map(|unsent| unsent.due_ms).min()
    }

    /// It was refused for now.
    pub(crate) fn again(&mut self, key: Key, due_ms: u64) {
        if let Some(unsent) = self.0.iter_mut().find(|unsent| unsent.key == key) {
            (unsent.under_way, unsent.due_ms) = (false, due_ms);
        }
    }

    /// It was acknowledged, or refused for good.
    pub(crate) fn done(&mut self, key: Key) {
        self.0.retain(|unsent| unsent.key != key);
    }
}
