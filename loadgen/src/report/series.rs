//! A run second by second: what was sent and answered in each, how soon, and what it took of the machine.
//!
//! Owns the form of a second, in JSON and in lines, of which a report has a few dozen at most whatever the run's
//! length. Seconds of generators that ran side by side add up by their number: counts, and histograms too.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Counts, Latencies, Packed};

/// Lines that a report has of its seconds. Those of a longer run are put together, as many as it takes.
const LINES_MAX: usize = 20;

/// One second, by when things happened in it: a latency is where the answer came, however long ago its message was due.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Second {
    /// Its number, counted from the beginning of the measured window. Those beyond the window are the drain's.
    pub(crate) at: u64,
    /// How long it was: the last one is shorter, and one that the generator slept through is longer.
    pub(crate) seconds: f64,
    /// Connections at its end.
    pub(crate) open: u64,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) delivered: u64,
    /// Of messages that were due in the measured window.
    pub(crate) latencies_us: BTreeMap<&'static str, Brief>,
    /// What the generator's thread took of one core.
    pub(crate) cpu_percent: f64,
    /// What the process of `--pid` took of one core, and had at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_resident_bytes: Option<u64>,
    /// All latencies, of which `latencies_us` is what JSON says.
    #[serde(skip)]
    pub(crate) histograms: BTreeMap<&'static str, Packed>,
}

/// What is said of the latencies of a second, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Brief {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Brief {
    pub(crate) fn new(latencies: &Latencies) -> Self {
        let all = latencies.summary();
        Self { count: all.count, p50: all.p50, p99: all.p99, max: all.max }
    }
}

impl Second {
    /// The second `at`, in which counts rose `from` what they were `to` what they are.
    pub(crate) fn new(at: u64, from: &Counts, to: &Counts, histograms: BTreeMap<&'static str, Packed>) -> Self {
        Self {
            at,
            sent: to.sent - from.sent,
            acked: to.acked - from.acked,
            delivered: to.delivered - from.delivered,
            latencies_us: histograms.iter().map(|(&what, each)| (what, Brief::new(&each.open()))).collect(),
            histograms,
            ..Self::default()
        }
    }

    /// The latency that is asked for first: of the answer to a message.
    pub(crate) fn answer(&self) -> Option<(&'static str, Brief)> {
        self.latencies_us.iter().next().map(|(&what, &brief)| (what, brief))
    }

    /// The same second of another generator as well; the busier one's processor time counts.
    pub(crate) fn beside(&self, other: &Self) -> Self {
        let mut all: BTreeMap<&'static str, Latencies> = BTreeMap::new();
        for (&what, packed) in self.histograms.iter().chain(&other.histograms) {
            all.entry(what).or_insert_with(Latencies::new).add(&packed.open());
        }
        Self {
            at: self.at,
            seconds: self.seconds.max(other.seconds),
            open: self.open + other.open,
            sent: self.sent + other.sent,
            acked: self.acked + other.acked,
            delivered: self.delivered + other.delivered,
            latencies_us: all.iter().map(|(&what, all)| (what, Brief::new(all))).collect(),
            cpu_percent: self.cpu_percent.max(other.cpu_percent),
            server_cpu_percent: self.server_cpu_percent.or(other.server_cpu_percent),
            server_resident_bytes: self.server_resident_bytes.or(other.server_resident_bytes),
            histograms: all.iter().map(|(&what, all)| (what, Packed::new(all))).collect(),
        }
    }

    /// Several that follow each other, as one.
    fn together(seconds: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> u64| seconds.iter().map(of).sum();
        let length: f64 = seconds.iter().map(|second| second.seconds).sum();
        let mean = |of: &dyn Fn(&Self) -> Option<f64>| {
            let parts = seconds.iter().map(|second| of(second).map(|percent| percent * second.seconds));
            parts.sum::<Option<f64>>().map(|sum| sum / length.max(f64::MIN_POSITIVE))
        };
        let mut all: BTreeMap<&'static str, Latencies> = BTreeMap::new();
        for (&what, packed) in seconds.iter().flat_map(|second| &second.histograms) {
            all.entry(what).or_insert_with(Latencies::new).add(&packed.open());
        }
        let [first, .., last] = seconds else { return seconds.first().cloned().unwrap_or_default() };
        Self {
            at: first.at,
            seconds: length,
            open: last.open,
            sent: sum(|second| second.sent),
            acked: sum(|second| second.acked),
            delivered: sum(|second| second.delivered),
            latencies_us: all.iter().map(|(&what, all)| (what, Brief::new(all))).collect(),
            cpu_percent: mean(&|second| Some(second.cpu_percent)).unwrap_or_default(),
            server_cpu_percent: mean(&|second| second.server_cpu_percent),
            server_resident_bytes: last.server_resident_bytes,
            histograms: BTreeMap::new(),
        }
    }

    /// Of one core, and resident bytes, as far as they are known.
    pub(crate) fn machine(&self) -> String {
        let mut said = format!("own CPU {:.0} %", self.cpu_percent);
        if let Some(percent) = self.server_cpu_percent {
            said += &format!(" · server's {percent:.0} %");
        }
        if let Some(bytes) = self.server_resident_bytes {
            said += &format!(", {:.1} MB", bytes as f64 / 1e6);
        }
        said
    }

    fn line(&self) -> String {
        let Self { at, sent, acked, delivered, .. } = self;
        let mut said = format!("from {at} s: ");
        if let Some((what, Brief { count, p50, p99, max })) = self.answer() {
            said += &format!("sent {sent} · acked {acked} · delivered {delivered} · ");
            let [p50, p99, max] = [p50, p99, max].map(time);
            said += &if count > 0 {
                format!("{what} p50 {p50} · p99 {p99} · max {max} · ")
            } else {
                format!("no {what} · ")
            };
        } else {
            said += &format!("{} open · ", self.open);
        }
        said + &self.machine()
    }
}

/// A latency in words, with three digits or so.
pub(crate) fn time(micros: f64) -> String {
    match micros {
        ..1_000.0 => format!("{micros:.0} µs"),
        1_000.0..10_000.0 => format!("{:.2} ms", micros / 1e3),
        10_000.0..1_000_000.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// A report's lines.
pub(super) fn rows(seconds: &[Second]) -> Vec<(&'static str, String)> {
    let each = seconds.len().div_ceil(LINES_MAX).max(1);
    let lines = seconds.chunks(each).map(|stretch| Second::together(stretch).line());
    lines.enumerate().map(|(at, line)| (if at == 0 { "by second" } else { "" }, line)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Recorder;
    use super::*;

    fn second(at: u64, acked: u64, latency_ms: u64) -> Second {
        let mut recorder = Recorder::new();
        (0..acked).for_each(|_| recorder.record(latency_ms * 1_000_000));
        let to = Counts { sent: acked + 1, acked, delivered: 2 * acked, ..Counts::default() };
        Second {
            seconds: 1.0,
            cpu_percent: 10.0 * at as f64,
            server_resident_bytes: Some(1_000_000 * at),
            ..Second::new(at, &Counts::default(), &to, [("ack", recorder.turn())].into())
        }
    }

    #[test]
    fn a_line_says_what_happened_in_its_seconds() {
        let machine = "own CPU 0 %, 0.0 MB";
        check(1, 0, "sent 1 · acked 0 · delivered 0 · no ack", machine);
        check(1, 4, "sent 5 · acked 4 · delivered 8 · ack p50 1.00 ms · p99 1.00 ms · max 1.00 ms", machine);
        let two = "sent 10 · acked 8 · delivered 16 · ack p50 1.00 ms · p99 2.00 ms · max 2.00 ms";
        check(40, 4, two, "own CPU 5 %, 1.0 MB");
    }

    /// The first line of so many seconds, each later one slower by 1 ms.
    fn check(seconds: u64, acked: u64, expected: &str, machine: &str) {
        let seconds: Vec<Second> = (0..seconds).map(|at| second(at, acked, at + 1)).collect();
        let rows = rows(&seconds);
        assert_eq!(rows[0], ("by second", format!("from 0 s: {expected} · {machine}")));
        assert_eq!(rows.len(), seconds.len().min(LINES_MAX));
    }

    #[test]
    fn no_acknowledgement_is_in_two_lines_or_in_none() {
        let seconds: Vec<Second> = (0..47).map(|at| second(at, at, 1)).collect();
        let acked = |line: &str| line.split("acked ").nth(1)?.split(' ').next()?.parse::<u64>().ok();
        let rows = rows(&seconds);
        assert_eq!(rows.len(), 16, "three seconds each");
        assert_eq!(rows.iter().filter_map(|(_, line)| acked(line)).sum::<u64>(), (0..47).sum::<u64>());
    }
}
