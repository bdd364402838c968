//! A look-aside cache: what was read lately, within a number of bytes.
//!
//! Owns how long a value is believed ([`STALE_MS`]) and what is counted. Times are the caller's, so that a simulation
//! repeats them. Which is given up when there is no more room is `quick_cache`'s.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync;
use quick_cache::{DefaultHashBuilder, Weighter};
use schema::UnixMs;

/// How long something is gone by after it was read: what was changed on another node is seen no later.
pub const STALE_MS: u64 = 2_000;

/// Bytes that one cache may hold.
const BYTES_MAX: u64 = 32 << 20;
/// Values that are expected in these: what there is no more room for is given up by bytes.
const VALUES_EXPECTED: usize = 64 << 10;
/// What a value takes beside its own bytes.
const ENTRY_BYTES: u64 = 96;

/// A value that can be kept.
pub trait Weigh {
    /// The bytes that it takes, about.
    fn bytes(&self) -> u64;
}

#[derive(Debug, Clone)]
struct ByBytes;

impl<K, V: Weigh> Weighter<K, (UnixMs, Arc<V>)> for ByBytes {
    fn weight(&self, _: &K, (_, value): &(UnixMs, Arc<V>)) -> u64 {
        ENTRY_BYTES + value.bytes()
    }
}

/// How often a cache was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// It had what was wanted, and it was new enough.
    pub hits: u64,
    /// It had to be read.
    pub misses: u64,
}

/// Values by key, each with when it was read.
pub struct Cache<K, V> {
    values: sync::Cache<K, (UnixMs, Arc<V>), ByBytes>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

impl<K: Eq + Hash + Clone, V: Weigh> Default for Cache<K, V> {
    fn default() -> Self {
        let values = sync::Cache::with(
            VALUES_EXPECTED,
            BYTES_MAX,
            ByBytes,
            DefaultHashBuilder::default(),
            sync::DefaultLifecycle::default(),
        );
        Self { values, hits: AtomicU64::default(), misses: AtomicU64::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Weigh> Cache<K, V> {
    /// What was read at most [`STALE_MS`] before `now`.
    #[must_use]
    pub fn lately(&self, key: &K, now: UnixMs) -> Option<Arc<V>> {
        self.found(key, |read| now.since_ms(read) <= STALE_MS && read <= now)
    }

    /// What is kept, whenever that was: for what never changes.
    #[must_use]
    pub fn ever(&self, key: &K) -> Option<Arc<V>> {
        self.found(key, |_| true)
    }

    fn found(&self, key: &K, counts: impl FnOnce(UnixMs) -> bool) -> Option<Arc<V>> {
        let found = self.values.get(key).filter(|(read, _)| counts(*read));
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found.map(|(_, value)| value)
    }

    /// Whether it is kept, which is not counted.
    #[must_use]
    pub fn has(&self, key: &K) -> bool {
        self.values.peek(key).is_some()
    }

    /// Keeps what was read at `now`.
    pub fn keep(&self, key: K, value: V, now: UnixMs) -> Arc<V> {
        let value = Arc::new(value);
        self.values.insert(key, (now, Arc::clone(&value)));
        value
    }

    /// Hits and misses so far.
    #[must_use]
    pub fn asked(&self) -> Asked {
        Asked { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
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

    #[test]
    fn what_was_read_is_believed_for_a_while() {
        let cache = Cache::<u64, u64>::default();
        cache.keep(1, 7, UnixMs(10_000));
        let check = |key, now, expected: Option<u64>| {
            assert_eq!(cache.lately(&key, UnixMs(now)).as_deref().copied(), expected, "{key} at {now}");
        };
        check(1, 10_000, Some(7));
        check(1, 10_000 + STALE_MS, Some(7));
        check(1, 10_001 + STALE_MS, None);
        // A clock that was set back says nothing of how old it is.
        check(1, 9_999, None);
        check(2, 10_000, None);
        assert_eq!(cache.asked(), Asked { hits: 2, misses: 3 });
        cache.keep(1, 8, UnixMs(20_000));
        check(1, 20_000, Some(8));
        assert_eq!([cache.has(&1), cache.has(&2)], [true, false]);
        assert_eq!(cache.ever(&1).as_deref(), Some(&8), "of what never changes nothing is too old");
    }

    #[test]
    fn it_holds_so_many_bytes() {
        let cache = Cache::<u64, u64>::default();
        for key in 0..100 {
            cache.keep(key, BYTES_MAX / 10, UnixMs(1));
        }
        let kept = (0..100).filter(|key| cache.lately(key, UnixMs(1)).is_some()).count();
        assert!((1..=10).contains(&kept), "{kept} of a tenth each");
        cache.keep(1_000, BYTES_MAX + 1, UnixMs(1));
        assert_eq!(cache.lately(&1_000, UnixMs(1)), None, "what has no room at all is not kept");
    }
}
