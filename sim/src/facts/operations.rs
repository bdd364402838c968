//! Edits, deletions and reactions, as who asked for them knows them.
//!
//! Owns no judgement but one: whether a second reply to the same `op_id` is the first.

use std::collections::BTreeMap;

use schema::Command;

use super::Key;

/// What an operation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// An edit's or a deletion's revision.
    Revised(u32),
    /// A reaction's count.
    Reacted(u32),
}

/// One operation, under an `op_id` of its own.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// An `edit`, a `delete` or a `react`.
    pub(crate) command: Command,
    /// When it was first asked for.
    pub(crate) first: u64,
    /// The first reply, and when it came.
    pub(crate) done: Option<(Done, u64)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Operations(BTreeMap<Key, Operation>);

impl Operations {
    /// It leaves for the node, at the time `now` if that is the first time.
    pub(super) fn asked(&mut self, key: Key, command: &Command, now: u64) {
        self.0.entry(key).or_insert_with(|| Operation { command: command.clone(), first: now, done: None });
    }

    /// It was answered. The first reply, if this is not the first.
    pub(super) fn answered(&mut self, key: Key, done: Done, now: u64) -> Option<Done> {
        let operation = self.0.get_mut(&key).expect("what is answered was asked");
        match operation.done {
            Some((first, _)) => Some(first),
            None => {
                operation.done = Some((done, now));
                None
            }
        }
    }

    /// Whether it was answered before.
    pub(crate) fn is_done(&self, key: Key) -> bool {
        self.0.get(&key).is_some_and(|operation| operation.done.is_some())
    }

    /// What was asked for.
    ///
    /// # Panics
    /// If nothing was.
    pub(crate) fn command(&self, key: Key) -> &Command {
        &self.0[&key].command
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &Operation)> {
        self.0.iter()
    }

    /// How many were carried out.
    pub(crate) fn done(&self) -> usize {
        self.0.values().filter(|operation| operation.done.is_some()).count()
    }
}
