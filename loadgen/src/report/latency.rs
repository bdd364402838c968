//! Latencies: a histogram while they come in, and what is said of it.

use std::fmt::{self, Display};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency told apart, 10 minutes; longer ones count as that. With three digits from 128 ns on a histogram
/// takes 24 rows of 1,024 counts, 200 KB, of which a run touches a few cache lines.
const LATENCY_NS_MAX: u64 = 600 * 1_000_000_000;
const LATENCY_NS_MIN: u64 = 128;
/// Where one in a hundred takes as long as that, all is said in milliseconds.
const SLOW_MICROS: f64 = 100_000.0;

/// Latencies as they come in.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3).expect("the bounds are constant and valid"))
    }

    pub(crate) fn record(&mut self, latency_ns: u64) {
        self.0.saturating_record(latency_ns);
    }

    pub(crate) fn summary(&self) -> Latency {
        let at = |quantile| micros(self.0.value_at_quantile(quantile));
        Latency {
            count: self.0.len(),
            mean: micros(self.0.mean() as u64),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros(self.0.max()),
        }
    }
}

fn micros(ns: u64) -> f64 {
    (ns as f64 / 100.0).round() / 10.0
}

/// Latencies in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p99_9: f64,
    pub(crate) max: f64,
}

impl Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("none");
        }
        // What takes long is read in ms.
        let (unit, scale) = if self.p99 < SLOW_MICROS { ("µs", 1.0) } else { ("ms", 1_000.0) };
        let said = |micros: f64| format!("{} {unit}", (10.0 * micros / scale).round() / 10.0);
        let [p50, p90, p99, p99_9, max] = [self.p50, self.p90, self.p99, self.p99_9, self.max].map(said);
        write!(f, "p50 {p50} · p90 {p90} · p99 {p99} · p99.9 {p99_9} · max {max}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_beyond_the_scale_is_its_end() {
        let mut latencies = Latencies::new();
        latencies.record(u64::MAX);
        latencies.record(0);
        let max = latencies.summary().max;
        assert!((599e6..=601e6).contains(&max), "{max}");
    }

    #[test]
    fn what_takes_long_is_said_in_ms() {
        let said = |micros: u64| {
            let mut latencies = Latencies::new();
            latencies.record(micros * 1_000);
            latencies.summary().to_string()
        };
        assert!(said(500).starts_with("p50 500"), "{}", said(500));
        assert!(said(2_000_000).starts_with("p50 2000") && said(2_000_000).contains(" ms"), "{}", said(2_000_000));
    }
}
