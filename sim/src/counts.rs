//! Counts of a run: what was done in it, and which faults were injected.

use std::fmt;

/// Counts by kind, which add up over runs.
macro_rules! counts {
    ($(#[$doc:meta])* $name:ident { $($(#[$kind_doc:meta])+ $kind:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$kind_doc])+ pub $kind: u64,)+
        }

        impl $name {
            /// Their names and numbers.
            #[must_use]
            pub fn by_kind(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($kind), self.$kind),)+]
            }

            /// The sum.
            pub fn add(&mut self, other: &Self) {
                $(self.$kind += other.$kind;)+
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let words = self.by_kind().into_iter().map(|(name, count)| format!("{count} {}", name.replace('_', " ")));
                f.write_str(&words.collect::<Vec<_>>().join(", "))
            }
        }
    };
}

counts! {
    /// What was done.
    Done {
        /// Operations that clients asked for, each counted once.
        operations,
        /// Those that were answered for good.
        answered,
        /// Batches that were run.
        batches,
        /// Views that were begun.
        views,
        /// Users and channels that views gave to other shards.
        moves,
        /// Lives that were declared dead, or left.
        gone,
        /// Batches whose view had ended.
        fenced,
        /// Pages of inboxes, histories and arrivals that were read.
        pages,
        /// Attempts to tell a device of something.
        attempts,
        /// Notifications that a provider took, each counted once.
        told,
        /// Calls of webhooks.
        calls,
        /// Steps in which posts were fanned out.
        fan_steps,
        /// Rows of timelines that they wrote.
        timeline_rows,
    }
}

counts! {
    /// What a run of nodes has met.
    Met {
        /// Messages that were written.
        messages,
        /// Those of them that were acknowledged.
        acknowledged,
        /// Lives of nodes that began.
        lives,
        /// Views that nodes went by.
        views,
        /// Partitions that changed their owner.
        moves,
        /// Lives that others declared dead, or that left without handing over.
        takeovers,
        /// Lives that the next one of their node took out of the view, since it knew them to be over.
        earlier_lives,
        /// Lives that found themselves in no view any more.
        fenced_lives,
        /// Batches that found their view ended.
        fenced_batches,
        /// Times that a shard found that its view had ended: a batch was fenced, or a frame was of a later epoch.
        outdated,
        /// Frames that came from one node to another.
        frames_between_nodes,
        /// Networks between two hosts, or between a node and the store, that were cut.
        cuts,
        /// Times that a process stood still.
        pauses,
        /// Times that a frame found a shard's mailbox full.
        held_back,
        /// Frames that found no room to wait either.
        dropped,
        /// Frames between two shards of a node that were lost.
        lost,
        /// Removals of members that raced with others' sends (I10).
        races,
    }
}

counts! {
    /// Faults of the database, and of the way to it.
    Injected {
        /// Commits refused as conflicts, beside those that were ones.
        conflicts,
        /// Commits of unknown result that were stored.
        unknown_stored,
        /// Commits of unknown result that were lost.
        unknown_lost,
        /// Reads and commits that were too old.
        too_old,
        /// Reads and commits refused for load.
        throttled,
        /// Reads that were not answered.
        unavailable,
        /// Cached versions that were behind.
        behind,
        /// Replies that no client heard.
        replies_lost,
    }
}

/// Both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// What was done.
    pub done: Done,
    /// What went wrong on purpose.
    pub injected: Injected,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "done: {}\ninjected: {}", self.done, self.injected)
    }
}
