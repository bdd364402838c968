//! Times at which a worker has something to do: evenly, or as independent people would, at a rate that may rise or fall.
//!
//! Reads no clock. What is late is still due when it was, so that a stall is in the figures.

use crate::pace::SECOND_NS;

/// Things that are due one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Due {
    start_ns: u64,
    /// A second, at the beginning and at the end of `seconds`; the latter for ever if that is infinite.
    from: f64,
    to: f64,
    seconds: f64,
    poisson: bool,
    /// How many would have been due by the next one.
    mass: f64,
    next_ns: u64,
}

impl Default for Due {
    /// Nothing ever.
    fn default() -> Self {
        Self { start_ns: 0, from: 0.0, to: 0.0, seconds: 0.0, poisson: false, mass: 0.0, next_ns: u64::MAX }
    }
}

impl Due {
    /// So many a second, evenly, for ever. The first is due at once.
    pub(super) fn evenly(per_second: f64, now_ns: u64) -> Self {
        let due =
            Self { start_ns: now_ns, from: per_second, to: per_second, seconds: f64::INFINITY, ..Self::default() };
        Self { next_ns: due.at(0.0), ..due }
    }

    /// A rate that goes evenly from one to another within `seconds`, and ends.
    pub(super) fn stage(from: f64, to: f64, seconds: f64, poisson: bool, now_ns: u64) -> Self {
        let mut due = Self { start_ns: now_ns, from, to, seconds, poisson, ..Self::default() };
        due.step();
        due
    }

    /// When the next one is due.
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// When the next one was due, if that is past. It counts as done then.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = self.next_ns;
        (due_ns <= now_ns).then(|| {
            self.step();
            due_ns
        })
    }

    fn step(&mut self) {
        // Between independent events lie exponential times, one on average.
        self.mass += if self.poisson { -fastrand::f64().max(f64::MIN_POSITIVE).ln() } else { 1.0 };
        self.next_ns = self.at(self.mass);
    }

    /// When so many have been due.
    fn at(&self, mass: f64) -> u64 {
        let Self { start_ns, from, to, seconds, .. } = *self;
        // from·t + (to − from)·t²/2·seconds = mass, solved without a difference of like numbers.
        let slope = if seconds.is_finite() { (to - from) / seconds } else { 0.0 };
        let root = from.mul_add(from, 2.0 * slope * mass);
        let after = 2.0 * mass / (from + root.max(0.0).sqrt());
        let after = if mass == 0.0 && from > 0.0 { 0.0 } else { after };
        let comes = root >= 0.0 && after.is_finite() && after < seconds;
        if comes { start_ns + (after * SECOND_NS as f64) as u64 } else { u64::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(due: &mut Due, now_ms: u64) -> Vec<u64> {
        std::iter::from_fn(|| due.take(now_ms * 1_000_000)).map(|ns| ns / 1_000_000).collect()
    }

    #[test]
    fn what_is_due_so_many_times_a_second_is_due_evenly() {
        let mut due = Due::evenly(4.0, SECOND_NS);
        assert_eq!(taken(&mut due, 1_000), [1_000]);
        assert_eq!(taken(&mut due, 1_200), [0; 0]);
        assert_eq!(taken(&mut due, 1_800), [1_250, 1_500, 1_750]);
        assert_eq!(Due::default().next_ns(), u64::MAX);
        assert_eq!(Due::evenly(0.0, 0).next_ns(), u64::MAX);
    }

    #[test]
    fn a_ramp_has_the_mean_of_its_rates_and_ends() {
        check(0.0, 100.0, 10.0, 500);
        check(100.0, 0.0, 10.0, 500);
        check(50.0, 50.0, 10.0, 500);
        check(0.0, 0.0, 10.0, 0);
    }

    fn check(from: f64, to: f64, seconds: f64, count: usize) {
        let even = taken(&mut Due::stage(from, to, seconds, false, 0), 1_000_000);
        assert!(even.len().abs_diff(count) <= 1, "{from} to {to}: {}", even.len());
        assert!(even.is_sorted() && even.iter().all(|&ms| ms <= 10_000));
        if from < to {
            // A quarter of a ramp from nothing is in its first half.
            let half = even.iter().filter(|&&ms| ms < 5_000).count();
            assert!(half.abs_diff(count / 4) <= 1, "{half} in the first half");
        }
        fastrand::seed(7);
        let poisson = taken(&mut Due::stage(from, to, seconds, true, 0), 1_000_000);
        assert!(poisson.len().abs_diff(count) <= 100, "{from} to {to}: {}", poisson.len());
        // Some come at once, which evenly they never do.
        let close = poisson.windows(2).filter(|pair| pair[1] - pair[0] <= 2).count();
        assert!(count == 0 || close > count / 50, "{close} of {count}");
    }
}
