//! Latencies: a histogram while they come in, its seconds, and what is said of it.
//!
//! Owns the histogram's scale, which is one for all, so that any two add up.

use std::fmt::{self, Display};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Serialize, Serializer as Serde};

/// Longest latency told apart, 10 minutes; longer ones count as that. With three digits from 128 ns on a histogram
/// takes 24 rows of 1,024 counts, 200 KB, of which a run touches a few cache lines.
const LATENCY_NS_MAX: u64 = 600 * 1_000_000_000;
const LATENCY_NS_MIN: u64 = 128;
/// Where one in a hundred takes as long as that, all is said in milliseconds.
const SLOW_MICROS: f64 = 100_000.0;

/// Latencies as they come in. A report says their summary.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, 3).expect("the bounds are constant and valid"))
    }

    pub(crate) fn record(&mut self, latency_ns: u64) {
        self.0.saturating_record(latency_ns);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// What is in it, which is empty afterwards.
    pub(crate) fn take(&mut self) -> Packed {
        let packed = Packed::new(self);
        self.0.reset();
        packed
    }

    pub(crate) fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// Those of another as well.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have one scale");
    }

    /// Their quantiles for a plot, each with its latency in microseconds: five points each time that what is left of
    /// all is halved.
    pub(crate) fn curve(&self) -> Vec<(f64, f64)> {
        self.0.iter_quantiles(5).map(|at| (at.quantile_iterated_to(), micros(at.value_iterated_to()))).collect()
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

impl Serialize for Latencies {
    fn serialize<S: Serde>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.summary().serialize(serializer)
    }
}

/// Latencies of which the last ones are also told by themselves.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    before: Latencies,
    second: Latencies,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { before: Latencies::new(), second: Latencies::new() }
    }

    pub(crate) fn record(&mut self, latency_ns: u64) {
        self.second.record(latency_ns);
    }

    /// What came in since this was called last.
    pub(crate) fn turn(&mut self) -> Packed {
        self.before.add(&self.second);
        self.second.take()
    }

    /// All of them.
    pub(crate) fn all(mut self) -> Latencies {
        self.before.add(&self.second);
        self.before
    }
}

/// A histogram at rest, as HdrHistogram's second format has it: 1 to 4 KB where an open one takes 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    pub(crate) fn new(latencies: &Latencies) -> Self {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&latencies.0, &mut bytes).expect("memory takes everything");
        Self(bytes.into())
    }

    pub(crate) fn open(&self) -> Latencies {
        Self::read(&self.0).expect("it is as it was packed")
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The latencies that another process packed; none if these bytes are not such.
    pub(crate) fn read(bytes: &[u8]) -> Option<Latencies> {
        let mut all = Latencies::new();
        all.0.add(Deserializer::new().deserialize::<u64, _>(&mut &bytes[..]).ok()?).ok()?;
        Some(all)
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
    fn seconds_by_themselves_add_up_to_all() {
        let (mut recorder, mut sum) = (Recorder::new(), Latencies::new());
        for second in [&[100, 7_000_000, 7_000_001][..], &[], &[1, u64::MAX]] {
            second.iter().for_each(|&ns| recorder.record(ns));
            let packed = recorder.turn();
            assert_eq!(packed.open().summary().count, second.len() as u64);
            sum.add(&packed.open());
        }
        recorder.record(5_000);
        sum.record(5_000);
        assert_eq!(recorder.all(), sum);
    }

    #[test]
    fn a_curve_ends_at_the_slowest() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.curve(), []);
        (1..=1_000).for_each(|micros| latencies.record(micros * 1_000));
        let curve = latencies.curve();
        assert!(curve.len() > 20 && curve.windows(2).all(|pair| pair[0] <= pair[1]), "{curve:?}");
        assert_eq!(curve.last().map(|&(quantile, micros)| (quantile, micros.round())), Some((1.0, 1_000.0)));
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
