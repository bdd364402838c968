//! Resolver: which transactions commit, at which version and in which order.
//!
//! Owns versions, the writes of the last seconds, the conflict check, versionstamps and watches. Knows nothing of
//! where rows are kept: an engine opens a group, admits transactions into it, stores the group as one durable batch,
//! and then releases it. No thread, clock or wait: time comes as an argument.
//! Upholds I3's half of the bargain: a version is released, in order, only when the engine says that it is durable.

mod recent;
mod request;
mod spans;
mod watches;

use bytes::Bytes;

pub use request::{CommitRequest, Mutation, Write};
pub(crate) use spans::Ranges;
pub use spans::Span;

use crate::error::Error;
use crate::limits;
use crate::transaction::{Stamp, Version};
use recent::Recent;
use watches::Watches;

/// The state between commits. `W` is how the engine knows who waits on a watch.
#[derive(Debug)]
pub struct Resolver<W> {
    /// Newest released version: what a fresh transaction reads.
    durable: Version,
    /// Newest version given to a group.
    assigned: Version,
    /// Versions up to here may be assigned: a restart begins above it.
    reserved: Version,
    /// The open group: transactions and bytes in it.
    open: Option<OpenGroup>,
    recent: Recent,
    watches: Watches<W>,
}

#[derive(Debug)]
struct OpenGroup {
    version: Version,
    transactions: u16,
    len_bytes: usize,
}

/// A group commit: what an engine stores as one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The version of everything in it.
    pub version: Version,
    /// A new reserve, which the same batch must make durable: [`Resolver::restart`] is given it.
    pub reserve: Option<Version>,
}

/// What came of a transaction that was admitted.
#[derive(Debug)]
pub struct Admitted {
    /// Its place: the group's version, and its own order in it.
    pub stamp: Stamp,
    /// What it writes, in its order.
    pub writes: Vec<Write>,
}

/// Why a watch was not registered; holds the waiter.
#[derive(Debug)]
pub enum Unwatched<W> {
    /// The key was written since, or whether it was is not known any more.
    Written(W),
    /// There are [`limits::WATCHES_MAX`] watches.
    Full(W),
}

impl<W> Resolver<W> {
    /// Begins above `reserve`, the last one that was made durable; 0 for a new store.
    #[must_use]
    pub fn restart(reserve: Version) -> Self {
        Self {
            durable: reserve,
            assigned: reserve,
            reserved: reserve,
            open: None,
            recent: Recent::new(reserve, limits::RECENT_BYTES_MAX),
            watches: Watches::new(),
        }
    }

    /// The version at which a fresh transaction reads.
    #[must_use]
    pub fn durable(&self) -> Version {
        self.durable
    }

    /// The newest version given to a group; beyond [`Self::durable`] while one is in flight.
    #[must_use]
    pub fn assigned(&self) -> Version {
        self.assigned
    }

    /// Whether a group takes transactions.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Transactions that read below this are too old, whatever their age.
    #[must_use]
    pub fn floor(&self) -> Version {
        self.recent.floor()
    }

    /// Whether the open group, if there is one, takes a further transaction.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.as_ref().is_none_or(|open| {
            usize::from(open.transactions) < limits::GROUP_TRANSACTIONS_MAX && open.len_bytes < limits::GROUP_BYTES_MAX
        })
    }

    /// Opens the next group. Seal the one before first.
    pub fn open(&mut self) -> Group {
        assert!(self.open.is_none(), "a group is open at {}", self.assigned);
        self.assigned.0 += 1;
        let version = self.assigned;
        let reserve = (version > self.reserved).then(|| {
            self.reserved = Version(version.0 + limits::VERSIONS_RESERVED);
            self.reserved
        });
        self.open = Some(OpenGroup { version, transactions: 0, len_bytes: 0 });
        self.recent.open(version);
        Group { version, reserve }
    }

    /// Judges one transaction; admitted, its writes are part of the open group and those after it are checked
    /// against them. Returns them with their stamps filled in.
    ///
    /// # Errors
    /// [`Error::Conflict`]; [`Error::TooOld`] if it read before what is remembered; [`Error::FutureVersion`].
    ///
    /// # Panics
    /// If no group is open or it has no room.
    pub fn admit(&mut self, request: CommitRequest) -> Result<Admitted, Error> {
        assert!(self.has_room(), "the group is full");
        self.check(&request)?;
        let open = self.open.as_mut().expect("a group is open");
        let stamp = Stamp::new(open.version, open.transactions);
        open.transactions += 1;
        open.len_bytes += request.size_bytes;
        let writes: Vec<Write> = request.mutations.into_iter().map(|mutation| mutation.write(stamp)).collect();
        writes.iter().for_each(|write| self.recent.insert(write));
        Ok(Admitted { stamp, writes })
    }

    fn check(&self, request: &CommitRequest) -> Result<(), Error> {
        let since = request.read_version;
        if since > self.durable {
            return Err(Error::FutureVersion { asked: since, durable: self.durable });
        }
        // As in FoundationDB, what read nothing is never too old.
        if request.reads.is_empty() {
            return Ok(());
        }
        if since < self.recent.floor() {
            return Err(Error::TooOld);
        }
        // What is in flight counts too.
        let conflicts = request.reads.iter().any(|read| self.recent.written(read, since, self.assigned));
        if conflicts { Err(Error::Conflict) } else { Ok(()) }
    }

    /// Closes the open group, if there is one.
    pub fn seal(&mut self) {
        self.open = None;
    }

    /// Takes note that every sealed group up to `version` is durable: it may be read from now on. Returns who waited
    /// for what it wrote.
    ///
    /// # Panics
    /// If that is not ahead of what was durable, or its group is still open.
    pub fn release(&mut self, now_ms: u64, version: Version) -> Vec<W> {
        assert!(
            self.durable < version && version <= self.assigned,
            "I3: durable {} did not advance to {version}, assigned {}",
            self.durable,
            self.assigned,
        );
        assert!(
            self.open.as_ref().is_none_or(|open| version < open.version),
            "I3: {version} is released while it is open",
        );
        self.durable = version;
        let mut fired = Vec::new();
        self.recent.release(now_ms, version, |group| fired.extend(self.watches.fire(group)));
        fired
    }

    /// Registers a watch of `key` as it was at `since`.
    ///
    /// # Errors
    /// Gives the waiter back if there is nothing to wait for, or no place to wait.
    pub fn watch(&mut self, key: &Bytes, since: Version, waiter: W) -> Result<(), Unwatched<W>> {
        let span = Span::Key(key.clone());
        if since < self.recent.floor() || self.recent.written(&span, since, self.durable) {
            return Err(Unwatched::Written(waiter));
        }
        if self.watches.is_full() {
            return Err(Unwatched::Full(waiter));
        }
        self.watches.insert(key.clone(), waiter);
        Ok(())
    }

    /// Whether the table of watches is full: time to [`Self::retain_watches`].
    #[must_use]
    pub fn watches_full(&self) -> bool {
        self.watches.is_full()
    }

    /// Drops the watches that nobody waits for any more.
    pub fn retain_watches(&mut self, keep: impl Fn(&W) -> bool) {
        self.watches.retain(keep);
    }
}

const _: () = assert!(
    limits::GROUP_TRANSACTIONS_MAX < u16::MAX as usize,
    "the last order is kept for transactions that only read"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn writing(read_version: Version, key: &'static str) -> CommitRequest {
        let key = Bytes::from_static(key.as_bytes());
        CommitRequest {
            read_version,
            reads: vec![Span::Key(key.clone())],
            mutations: vec![Mutation::Set(key, Bytes::new())],
            size_bytes: 100,
        }
    }

    #[test]
    fn a_restart_begins_above_every_version_that_was_assigned() {
        let mut resolver: Resolver<()> = Resolver::restart(Version(0));
        let mut persisted = Version(0);
        for _ in 0..10 {
            let group = resolver.open();
            persisted = group.reserve.unwrap_or(persisted);
            assert!(group.version <= persisted, "{group:?} is above the reserve {persisted}");
            resolver.seal();
            resolver.release(0, group.version);
        }
        let durable = resolver.durable();
        let mut resolver: Resolver<()> = Resolver::restart(persisted);
        assert!(resolver.durable() >= durable);
        let group = resolver.open();
        assert!(group.version > durable);
        assert!(group.reserve.is_some_and(|reserve| reserve >= group.version), "the old block is used up: {group:?}");
    }

    #[test]
    fn groups_in_flight_are_checked_and_not_readable() {
        let mut resolver: Resolver<()> = Resolver::restart(Version(0));
        let first = resolver.open();
        let admitted = resolver.admit(writing(Version(0), "a")).expect("nothing before it");
        assert_eq!(admitted.stamp, Stamp::new(first.version, 0));
        assert!(matches!(resolver.admit(writing(Version(0), "a")), Err(Error::Conflict)));
        assert_eq!(resolver.admit(writing(Version(0), "b")).expect("no conflict").stamp.order(), 1);
        resolver.seal();
        let second = resolver.open();
        assert!(matches!(resolver.admit(writing(Version(0), "b")), Err(Error::Conflict)), "sealed, in flight");
        assert!(matches!(resolver.admit(writing(first.version, "c")), Err(Error::FutureVersion { .. })));
        resolver.release(0, first.version);
        assert_eq!(resolver.durable(), first.version);
        assert_eq!(resolver.admit(writing(first.version, "b")).expect("it read that").stamp.version(), second.version);
    }

    #[test]
    fn a_group_has_room_for_so_many_and_then_no_more() {
        let mut resolver: Resolver<()> = Resolver::restart(Version(0));
        resolver.open();
        let blind = || CommitRequest { reads: Vec::new(), ..writing(Version(0), "a") };
        let mut admitted = 0;
        while resolver.has_room() {
            resolver.admit(blind()).expect("it reads nothing");
            admitted += 1;
        }
        assert_eq!(admitted, limits::GROUP_TRANSACTIONS_MAX);
        resolver.seal();
        resolver.open();
        let large = CommitRequest { size_bytes: limits::GROUP_BYTES_MAX, ..blind() };
        resolver.admit(large).expect("one always fits");
        assert!(!resolver.has_room());
    }

    #[test]
    fn a_full_table_of_watches_takes_more_once_some_are_dropped() {
        let mut resolver: Resolver<usize> = Resolver::restart(Version(0));
        let key = Bytes::from_static(b"k");
        for waiter in 0..limits::WATCHES_MAX {
            resolver.watch(&key, Version(0), waiter).expect("there is room");
        }
        assert!(matches!(resolver.watch(&key, Version(0), 0), Err(Unwatched::Full(0))));
        assert!(resolver.watches_full());
        resolver.retain_watches(|waiter| *waiter == 7);
        assert!(!resolver.watches_full());
        let group = resolver.open();
        resolver.admit(writing(Version(0), "k")).expect("no conflict");
        resolver.seal();
        assert_eq!(resolver.release(0, group.version), [7]);
        assert!(matches!(resolver.watch(&key, Version(0), 8), Err(Unwatched::Written(8))));
    }

    #[test]
    #[should_panic(expected = "I3")]
    fn an_open_group_is_never_released() {
        let mut resolver: Resolver<()> = Resolver::restart(Version(0));
        let group = resolver.open();
        resolver.release(0, group.version);
    }
}
