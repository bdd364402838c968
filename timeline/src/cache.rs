//! A look-aside cache of what the store said lately, within a number of bytes.
//!
//! Owns how long a value is believed ([`BELIEVED_MS`]), and that a value which was read before a change is not kept
//! after it: whoever reads takes a [`Ticket`] first, a change of the key makes that worthless, and what was read then
//! answers its own request alone. Which value is given up when there is no more room is `quick_cache`'s. Reads no
//! clock: times are the caller's.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::{DefaultHashBuilder, Weighter, sync};
use schema::Instant;

/// How long something is gone by after it was read. What was changed by another node is seen no later; what was changed
/// by this one is seen at once.
pub(crate) const BELIEVED_MS: u64 = 2_000;

/// What a value takes beside its own bytes: its key, its place in the cache's tables, its counts.
const ENTRY_BYTES: u64 = 96;
/// Counters of changes, which keys share by a hash. Who shares one with a key that changes reads once more than it needs.
const STRIPES: usize = 4_096;

/// A value that can be kept.
pub(crate) trait Weigh {
    /// The bytes that it takes, about.
    fn bytes(&self) -> u64;
}

impl Weigh for bool {
    fn bytes(&self) -> u64 {
        1
    }
}

#[derive(Debug, Clone)]
struct ByBytes;

impl<K, V: Weigh> Weighter<K, Kept<V>> for ByBytes {
    fn weight(&self, _: &K, kept: &Kept<V>) -> u64 {
        ENTRY_BYTES + kept.value.bytes()
    }
}

#[derive(Debug)]
struct Kept<V> {
    read_at: Instant,
    value: Arc<V>,
}

impl<V> Clone for Kept<V> {
    fn clone(&self) -> Self {
        Self { read_at: self.read_at, value: Arc::clone(&self.value) }
    }
}

/// Leave to keep what is read from now on, unless its key changes meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    stripe: usize,
    changes: u64,
    read_at: Instant,
}

impl Ticket {
    /// The same for what was read at another time.
    pub(crate) fn read_at(self, read_at: Instant) -> Self {
        Self { read_at, ..self }
    }
}

/// How often a cache was asked, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// It had what was wanted, and it was new enough.
    pub hits: u64,
    /// It had to be read.
    pub misses: u64,
    /// Bytes that it holds.
    pub bytes: u64,
}

/// Values by key.
pub(crate) struct Cache<K, V> {
    values: sync::Cache<K, Kept<V>, ByBytes>,
    stripes: Box<[AtomicU64]>,
    seed: RandomState,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

impl<K: Eq + Hash + Clone, V: Weigh> Cache<K, V> {
    /// An empty cache of so many bytes, in values of about `value_bytes` each.
    pub(crate) fn new(bytes_max: u64, value_bytes: u64) -> Self {
        let expected = usize::try_from(bytes_max / (ENTRY_BYTES + value_bytes)).unwrap_or(usize::MAX).max(16);
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), sync::DefaultLifecycle::default());
        Self {
            values: sync::Cache::with(expected, bytes_max, ByBytes, hasher, lifecycle),
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            seed: RandomState::new(),
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
        }
    }

    /// What was read at most [`BELIEVED_MS`] before `now`.
    pub(crate) fn get(&self, key: &K, now: Instant) -> Option<Arc<V>> {
        let found = self.find(key, now).map(|(value, _)| value);
        self.count(found.is_some());
        found
    }

    /// The same with when it was read, uncounted.
    pub(crate) fn find(&self, key: &K, now: Instant) -> Option<(Arc<V>, Instant)> {
        let found = self.values.get(key).filter(|kept| now <= kept.read_at.plus_ms(BELIEVED_MS));
        found.map(|kept| (kept.value, kept.read_at))
    }

    /// Counts a question that was answered elsewhere.
    pub(crate) fn count(&self, is_hit: bool) {
        let count = if is_hit { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it has a value, however old.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.values.peek(key).is_some()
    }

    /// To be taken before the store is asked for a key.
    pub(crate) fn ticket(&self, key: &K, now: Instant) -> Ticket {
        let stripe = self.stripe(key);
        Ticket { stripe, changes: self.stripes[stripe].load(Ordering::Acquire), read_at: now }
    }

    /// Keeps what was read under a ticket, unless the key has changed since.
    pub(crate) fn keep(&self, ticket: Ticket, key: K, value: V) -> Arc<V> {
        let value = Arc::new(value);
        self.keep_shared(ticket, key, Arc::clone(&value));
        value
    }

    /// The same of a value that another cache has, too.
    pub(crate) fn keep_shared(&self, ticket: Ticket, key: K, value: Arc<V>) {
        let is_as_it_was = || self.stripes[ticket.stripe].load(Ordering::Acquire) == ticket.changes;
        if is_as_it_was() {
            self.values.insert(key.clone(), Kept { read_at: ticket.read_at, value });
            // A change between the two looks found nothing to remove.
            if !is_as_it_was() {
                self.values.remove(&key);
            }
        }
    }

    /// The key has changed in the store: what was read of it before counts no longer.
    pub(crate) fn forget(&self, key: &K) {
        self.stripes[self.stripe(key)].fetch_add(1, Ordering::AcqRel);
        self.values.remove(key);
    }

    /// Hits and misses so far, and the bytes that are held now.
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.values.weight(),
        }
    }

    fn stripe(&self, key: &K) -> usize {
        usize::try_from(self.seed.hash_one(key) % STRIPES as u64).expect("below 4,096")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for u64 {
        fn bytes(&self) -> u64 {
            *self
        }
    }

    fn at_ms(ms: u64) -> Instant {
        Instant::default().plus_ms(ms)
    }

    #[test]
    fn what_was_read_is_believed_for_a_while_and_until_it_changes() {
        let cache = Cache::<u64, u64>::new(1 << 20, 8);
        let check = |key, ms, expected: Option<u64>| {
            assert_eq!(cache.get(&key, at_ms(ms)).as_deref().copied(), expected, "{key} at {ms} ms");
        };
        let kept = cache.keep(cache.ticket(&1, at_ms(1_000)), 1, 7);
        assert_eq!(*kept, 7);
        check(1, 1_000, Some(7));
        check(1, 1_000 + BELIEVED_MS, Some(7));
        check(1, 1_001 + BELIEVED_MS, None);
        check(2, 1_000, None);
        cache.forget(&1);
        check(1, 1_000, None);
        assert_eq!(cache.asked(), Asked { hits: 2, misses: 3, bytes: 0 });
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = Cache::<u64, u64>::new(1 << 20, 8);
        let before = cache.ticket(&1, at_ms(0));
        cache.forget(&1);
        assert_eq!(*cache.keep(before, 1, 7), 7, "who read it is answered");
        assert_eq!(cache.get(&1, at_ms(0)), None);
        let after = cache.ticket(&1, at_ms(0));
        cache.keep(after, 1, 8);
        assert_eq!(cache.get(&1, at_ms(0)).as_deref(), Some(&8));
    }

    #[test]
    fn it_holds_so_many_bytes() {
        let cache = Cache::<u64, u64>::new(1 << 20, 1 << 16);
        for key in 0..1_000 {
            cache.keep(cache.ticket(&key, at_ms(0)), key, 1 << 16);
        }
        let kept = (0..1_000).filter(|key| cache.get(key, at_ms(0)).is_some()).count();
        assert!((1..16).contains(&kept), "{kept} of a sixteenth each");
        assert!(cache.asked().bytes <= 1 << 20);
    }
}
