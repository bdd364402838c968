//! Latency histograms: HDR inside, Prometheus' buckets outside.
//!
//! Owns range, precision and the bounds of the buckets that are shown.

use std::time::Duration;

/// The longest that is told apart: longer ones count as this. Nothing in the node waits longer.
const LONGEST_US: u64 = 60_000_000;
/// Significant digits: a value is shown within 1 %, and a histogram takes 23 KB.
const DIGITS: u8 = 2;

/// Upper bounds of the buckets that are shown, in microseconds; one without a bound follows. Three a decade.
pub(super) const BOUNDS_US: [u64; 20] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Durations in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: hdrhistogram::Histogram<u64>,
    sum_ns: u128,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = hdrhistogram::Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        Self { counts: counts.expect("1 to 60 s in two digits is a range"), sum_ns: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, took: Duration) {
        self.counts.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US));
        self.sum_ns += took.as_nanos();
    }

    /// The same duration so many times.
    pub(super) fn record_many(&mut self, took: Duration, times: u64) {
        self.counts.saturating_record_n(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US), times);
        self.sum_ns += took.as_nanos() * u128::from(times);
    }

    pub(super) fn add(&mut self, other: &Histogram) {
        self.counts.add(&other.counts).expect("all histograms here have one range");
        self.sum_ns += other.sum_ns;
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.len()
    }

    pub(super) fn sum_s(&self) -> f64 {
        Duration::from_nanos(u64::try_from(self.sum_ns).unwrap_or(u64::MAX)).as_secs_f64()
    }

    /// How many lie in each bucket, not cumulated: upper bound in seconds, the last infinite.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let mut buckets: Vec<_> = BOUNDS_US.iter().map(|us| (Duration::from_micros(*us).as_secs_f64(), 0)).collect();
        buckets.push((f64::INFINITY, 0));
        for value in self.counts.iter_recorded() {
            // A slot of the histogram is 1 % wide; it belongs where its lower end does.
            let us = self.counts.lowest_equivalent(value.value_iterated_to());
            let at = BOUNDS_US.partition_point(|bound_us| *bound_us < us);
            buckets[at].1 += value.count_at_value();
        }
        buckets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(samples_us: &[u64], expected: &[(f64, u64)]) {
        let mut histogram = Histogram::default();
        for us in samples_us {
            histogram.record(Duration::from_micros(*us));
        }
        let filled: Vec<_> = histogram.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, expected, "{samples_us:?}");
        assert_eq!(histogram.count(), samples_us.len() as u64);
    }

    #[test]
    fn a_sample_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        check(&[], &[]);
        check(&[0, 1, 10], &[(0.000_01, 3)]);
        check(&[11, 20], &[(0.000_02, 2)]);
        check(&[10_000], &[(0.01, 1)]);
        check(&[10_200], &[(0.02, 1)]);
        check(&[29_000_000], &[(30.0, 1)]);
        check(&[59_000_000, 600_000_000], &[(f64::INFINITY, 2)]);
    }

    #[test]
    fn histograms_add_up() {
        let mut one = Histogram::default();
        one.record(Duration::from_millis(1));
        let mut other = Histogram::default();
        other.record(Duration::from_millis(1));
        other.record(Duration::from_secs(1));
        one.add(&other);
        assert_eq!(one.count(), 3);
        assert_eq!(one.sum_s(), 1.002);
        assert_eq!(
            one.buckets().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(),
            [(0.001, 2), (1.0, 1)]
        );
    }
}
