//! Rates of requests: a bounded table of token buckets.
//!
//! Owns 65,536 buckets of one number of 8 bytes: 512 KiB, whatever is asked of it.
//! A key is hashed into the table under a seed of this process, so that nobody chooses whose bucket to share. Two keys
//! that do share one share its budget; the users of the table say why that is harmless.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pace::Rate;

/// Buckets of a table.
const BUCKETS: usize = 1 << 16;

/// A table of buckets of one rate.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Refilled in microseconds.
    rate: Rate,
    seed: RandomState,
    origin: Instant,
    /// For each bucket, when it will be full again, in microseconds after `origin`.
    full_at_us: Mutex<Box<[u64]>>,
}

/// Requests that were taken, to be given back if they are not to count.
#[derive(Debug)]
pub(crate) struct Taken {
    bucket: usize,
    count: u32,
}

impl Rates {
    /// A table of full buckets.
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            seed: RandomState::new(),
            origin: Instant::now(),
            full_at_us: Mutex::new(vec![0; BUCKETS].into_boxed_slice()),
        }
    }

    /// Takes one now, or says after how many milliseconds there will be one.
    pub(crate) fn take(&self, key: impl Hash) -> Result<Taken, u32> {
        self.take_many(key, 1)
    }

    /// Takes so many at once, or none, and says after how many milliseconds there will be as many.
    ///
    /// # Panics
    /// If a full bucket has fewer.
    pub(crate) fn take_many(&self, key: impl Hash, count: u32) -> Result<Taken, u32> {
        assert!(count <= self.rate.burst, "a bucket never has {count}");
        self.take_at(key, count, self.origin.elapsed())
    }

    fn take_at(&self, key: impl Hash, count: u32, now: Duration) -> Result<Taken, u32> {
        let bucket = usize::try_from(self.seed.hash_one(key) % BUCKETS as u64).expect("below 65,536");
        let mut full_at_us = self.full_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.rate.take(full_at_us[bucket], micros(now), count);
        full_at_us[bucket] = taken.map_err(|wait_us| u32::try_from(wait_us.div_ceil(1000)).unwrap_or(u32::MAX))?;
        Ok(Taken { bucket, count })
    }

    /// Puts back what was taken.
    pub(crate) fn give_back(&self, taken: Taken) {
        let mut full_at_us = self.full_at_us.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at_us = &mut full_at_us[taken.bucket];
        *full_at_us = self.rate.give_back(*full_at_us, taken.count);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).expect("a process lives below 500,000 years")
}

/// The key of an address: of IPv6 the /64, which is what one customer gets.
pub(crate) fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).expect("128 - 64 = 64 bits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill: 10_000_000 };

    /// Takes at seconds for an address, one or `xN`; `back` gives it back. Each answers `+` or the wait in seconds.
    fn check(script: &str, expected: &str) {
        let rates = Rates::new(RATE);
        let mut seen = Vec::new();
        for step in script.split(", ") {
            let mut words = step.split(' ');
            let at_s: u64 = words.next().and_then(|word| word.parse().ok()).expect("seconds");
            let address: IpAddr = words.next().and_then(|word| word.parse().ok()).expect("an address");
            let how = words.next().unwrap_or_default();
            let count = how.strip_prefix('x').map_or(1, |count| count.parse().expect("a number"));
            seen.push(match rates.take_at(("bora", network(address)), count, Duration::from_secs(at_s)) {
                Ok(taken) => {
                    if how == "back" {
                        rates.give_back(taken);
                    }
                    "+".to_owned()
                }
                Err(wait_ms) => (wait_ms / 1000).to_string(),
            });
        }
        assert_eq!(seen.join(" "), expected, "{script}");
    }

    #[test]
    fn a_burst_then_one_each_refill() {
        check(
            "0 10.0.0.1, 0 10.0.0.1, 0 10.0.0.1, 0 10.0.0.1, 4 10.0.0.1, 10 10.0.0.1, 10 10.0.0.1",
            "+ + + 10 6 + 10",
        );
        check(
            "0 10.0.0.1, 0 10.0.0.1, 0 10.0.0.1, 90 10.0.0.1, 90 10.0.0.1, 90 10.0.0.1, 90 10.0.0.1",
            "+ + + + + + 10",
        );
    }

    #[test]
    fn many_are_taken_together_or_not_at_all() {
        check("0 10.0.0.1 x3, 0 10.0.0.1, 20 10.0.0.1 x3, 20 10.0.0.1 x2", "+ 10 10 +");
        check("0 10.0.0.1 x2, 0 10.0.0.1 x2, 0 10.0.0.1", "+ 10 +");
    }

    #[test]
    fn what_is_given_back_does_not_count() {
        check(&["0 10.0.0.1 back"; 20].join(", "), &["+"; 20].join(" "));
    }

    #[test]
    fn an_address_is_a_customer() {
        check("0 2001:db8::1, 0 2001:db8::1, 0 2001:db8::1, 0 2001:db8::2, 0 2001:db8:0:1::1", "+ + + 10 +");
        check("0 ::ffff:10.0.0.1, 0 10.0.0.1, 0 10.0.0.1, 0 10.0.0.1, 0 10.0.0.2", "+ + + 10 +");
    }
}
