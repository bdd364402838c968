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
        /// Takeovers by other lives, those after crashes too.
        takeovers,
        /// Batches that found the fence another's.
        fenced,
        /// Pages of inboxes, histories and arrivals that were read.
        pages,
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
