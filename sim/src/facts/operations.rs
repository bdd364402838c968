//! Edits, deletions and reactions, as who asked for them knows them.
//!
//! Owns no judgement but one: whether a second reply to the same `op_id` is the first.

use schema::Command;

use super::{Facts, Key};

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

impl Facts {
    /// An operation leaves for the node.
    pub(crate) fn asked(&mut self, key: Key, command: &Command) {
        let first = self.number();
        self.operations.entry(key).or_insert_with(|| Operation { command: command.clone(), first, done: None });
    }

    /// An operation was carried out. The first reply, if this is not the first.
    pub(crate) fn done(&mut self, key: Key, done: Done) -> Option<Done> {
        let now = self.number();
        let operation = self.operations.get_mut(&key).expect("what is answered was asked");
        if operation.done.is_none() {
            operation.done = Some((done, now));
            return None;
        }
        operation.done.map(|(first, _)| first)
    }
}
