//! Conditions of `--fail-if`: a metric, a comparison, a figure with its unit.
//!
//! Owns their grammar and the units. Which metrics there are, and what a condition means for a run, is in `judge`.

use std::fmt::{self, Display};
use std::str::FromStr;

/// Comparisons, the longer ones first: `>=` begins with `>`.
const COMPARISONS: [(&str, Comparison); 6] = [
    (">=", |left, right| left >= right),
    ("<=", |left, right| left <= right),
    ("==", |left, right| left == right),
    ("!=", |left, right| left != right),
    (">", |left, right| left > right),
    ("<", |left, right| left < right),
];

type Comparison = fn(&f64, &f64) -> bool;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Micros,
    Seconds,
    Bytes,
    Percent,
    PerSecond,
    Count,
}

/// What may stand behind a figure, and how many of the unit's own that is. The first is how the unit is said.
type Suffixes = &'static [(&'static str, f64)];

impl Unit {
    /// The unit of the metric with this name, which a report's names end in.
    pub(crate) fn of(metric: &str) -> Self {
        let last = metric.rsplit('.').next().unwrap_or(metric);
        let is_latency = metric.contains("latencies_us.") && last != "count";
        match last {
            _ if is_latency => Self::Micros,
            _ if last.ends_with("_us") || last.contains("_us_per_") => Self::Micros,
            "seconds" => Self::Seconds,
            _ if last.ends_with("_seconds") => Self::Seconds,
            _ if last.ends_with("_bytes") || last.starts_with("bytes_") => Self::Bytes,
            _ if last.ends_with("_percent") => Self::Percent,
            _ if last.ends_with("per_second") => Self::PerSecond,
            _ => Self::Count,
        }
    }

    fn suffixes(self) -> Suffixes {
        match self {
            Self::Micros => &[("us", 1.0), ("µs", 1.0), ("ns", 1e-3), ("ms", 1e3), ("s", 1e6)],
            Self::Seconds => &[("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6)],
            Self::Bytes => {
                const K: f64 = 1024.0;
                &[("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("KiB", K), ("MiB", K * K), ("GiB", K * K * K)]
            }
            Self::Percent => &[("%", 1.0)],
            Self::PerSecond => &[("/s", 1.0)],
            Self::Count => &[],
        }
    }

    /// A figure in words.
    pub(crate) fn said(self, figure: f64) -> String {
        match self {
            Self::Micros if figure.abs() >= 1_000.0 => format!("{} ms", (figure / 10.0).round() / 100.0),
            Self::Percent | Self::PerSecond => format!("{figure}{}", self.suffixes()[0].0),
            Self::Count => figure.to_string(),
            Self::Micros | Self::Seconds | Self::Bytes => format!("{figure} {}", self.suffixes()[0].0),
        }
    }
}

/// What fails a run where it is so.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// As it was written.
    text: String,
    pub(crate) metric: String,
    comparison: Comparison,
    figure: f64,
    suffix: String,
}

impl Condition {
    /// Whether it is so of a metric whose unit is `unit`.
    ///
    /// # Errors
    /// Its figure is in another unit.
    pub(crate) fn is_so(&self, unit: Unit, metric: f64) -> Result<bool, String> {
        let suffixes = unit.suffixes();
        let scale = match suffixes.iter().find(|(suffix, _)| *suffix == self.suffix) {
            Some(&(_, scale)) => scale,
            None if self.suffix.is_empty() => 1.0,
            None => {
                let said: Vec<_> = suffixes.iter().map(|&(suffix, _)| suffix).collect();
                let may = if said.is_empty() { "it is a count".to_owned() } else { said.join(", ") };
                return Err(format!("{:?} is no unit of {}: {may}", self.suffix, self.metric));
            }
        };
        Ok((self.comparison)(&metric, &(self.figure * scale)))
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "is not METRIC, one of > >= < <= == !=, and a figure with its unit, such as ack.p99>25ms";
        let found = COMPARISONS.iter().filter_map(|&(sign, comparison)| Some((text.find(sign)?, sign, comparison)));
        // The first sign, and of those that begin there the longest.
        let (at, sign, comparison) = found.min_by_key(|&(at, sign, _)| (at, 2 - sign.len())).ok_or(form)?;
        let (metric, figure) = (text[..at].trim(), text[at + sign.len()..].trim());
        let digits = figure.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | '_')).unwrap_or(figure.len());
        let (number, suffix) = figure.split_at(digits);
        let number = number.replace('_', "").parse().map_err(|_| form)?;
        if metric.is_empty() || metric.contains(char::is_whitespace) {
            return Err(form.to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            metric: metric.to_owned(),
            comparison,
            figure: number,
            suffix: suffix.trim().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_compared_in_the_unit_of_its_metric() {
        check("ack.p99>25ms", "latencies_us.ack.p99", 25_000.1, "so");
        check("ack.p99>25ms", "latencies_us.ack.p99", 25_000.0, "not so");
        check("ack.p99 >= 25 ms", "latencies_us.ack.p99", 25_000.0, "so");
        check("ack.p99>0.1s", "latencies_us.ack.p99", 100_001.0, "so");
        check("ack.max<=1500", "latencies_us.ack.max", 1_500.0, "so");
        check("ack.count<10", "latencies_us.ack.count", 9.0, "so");
        check("lost!=0", "lost", 0.0, "not so");
        check("lost==0", "lost", 0.0, "so");
        check("per_second<10_000/s", "per_second", 9_999.0, "so");
        check("memory.bytes_per_connection>2KiB", "memory.bytes_per_connection", 2_049.0, "so");
        check("cpu_percent>90%", "cpu_percent", 90.1, "so");
        check("opening_seconds>1500ms", "opening_seconds", 1.6, "so");
        check("storm.ack.p99>25ms", "phases.storm.latencies_us.ack.p99", 25_000.1, "so");
        check("storm.ack.count>25ms", "phases.storm.latencies_us.ack.count", 0.0, "\"ms\" is no unit");
        check("fanout.server_us_per_delivery>2us", "phases.fanout.server_us_per_delivery", 2.1, "so");
        check("million.quiet.nodes_us<=1us", "million.quiet.nodes_us", 1.0, "so");
        check("million.session.nodes_bytes>1KiB", "million.session.nodes_bytes", 1_025.0, "so");
    }

    #[test]
    fn what_is_no_condition_is_refused_with_the_form() {
        check("ack.p99", "", 0.0, "is not METRIC");
        check(">5", "", 0.0, "is not METRIC");
        check("ack.p99>", "", 0.0, "is not METRIC");
        check("ack.p99>fast", "", 0.0, "is not METRIC");
        check("ack p99>5", "", 0.0, "is not METRIC");
        check("ack.p99>25%", "latencies_us.ack.p99", 0.0, "\"%\" is no unit of ack.p99: us, µs, ns, ms, s");
        check("lost>5ms", "lost", 0.0, "\"ms\" is no unit of lost: it is a count");
    }

    /// Of the metric with this whole name and figure.
    fn check(text: &str, metric: &str, figure: f64, expected: &str) {
        let condition = text.parse::<Condition>();
        let said = match condition.and_then(|condition| condition.is_so(Unit::of(metric), figure)) {
            Ok(true) => "so".to_owned(),
            Ok(false) => "not so".to_owned(),
            Err(error) => error,
        };
        assert!(said.starts_with(expected), "{text} of {figure}: {said}");
    }
}
