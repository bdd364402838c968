//! The seconds of a run as they pass: when one is over, and what rose in it.
//!
//! Owns the boundaries, which lie whole seconds behind the beginning of the measured window, and this thread's and the
//! server's processor time between them. Taking one costs the generator some 0.1 ms.

use std::collections::BTreeMap;

use crate::machine::thread_cpu_ns;
use crate::pace::SECOND_NS;
use crate::process::Usage;
use crate::report::{Counts, Packed, Second};

/// What is seen at a boundary.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// So far.
    pub(crate) counts: Counts,
    /// Since the last boundary.
    pub(crate) latencies: BTreeMap<&'static str, Packed>,
    pub(crate) open: u64,
    pub(crate) usage: Option<Usage>,
}

/// Where the running second began.
#[derive(Debug)]
struct Mark {
    at_ns: u64,
    counts: Counts,
    cpu_ns: u64,
    usage: Option<Usage>,
}

/// Seconds that are over, and the one that runs. Times are nanoseconds on the engine's clock.
#[derive(Debug)]
pub(crate) struct Sampler {
    start_ns: u64,
    mark: Mark,
    seconds: Vec<Second>,
}

impl Sampler {
    /// The window begins.
    pub(crate) fn new(start_ns: u64, seen: Seen) -> Self {
        let Seen { counts, usage, .. } = seen;
        Self { start_ns, mark: Mark { at_ns: start_ns, counts, cpu_ns: thread_cpu_ns(), usage }, seconds: Vec::new() }
    }

    /// When the running second ends.
    pub(crate) fn next_ns(&self) -> u64 {
        self.start_ns + (self.number(self.mark.at_ns) + 1) * SECOND_NS
    }

    /// The running second is over.
    pub(crate) fn take(&mut self, now_ns: u64, seen: Seen) -> &Second {
        let Seen { counts, latencies, open, usage } = seen;
        let (before, cpu_ns) = (&self.mark, thread_cpu_ns());
        let length_ns = now_ns.saturating_sub(before.at_ns).max(1);
        let percent = |ns: u64| (1_000.0 * ns as f64 / length_ns as f64).round() / 10.0;
        let rise = |now: Usage| Some(percent(now.cpu_ns.saturating_sub(before.usage?.cpu_ns)));
        let second = Second {
            seconds: (length_ns as f64 / 1e6).round() / 1e3,
            open,
            cpu_percent: percent(cpu_ns - before.cpu_ns),
            server_cpu_percent: usage.and_then(rise),
            server_resident_bytes: usage.map(|usage| usage.resident_bytes),
            ..Second::new(self.number(before.at_ns), &before.counts, &counts, latencies)
        };
        self.mark = Mark { at_ns: now_ns, counts, cpu_ns, usage };
        self.seconds.push(second);
        &self.seconds[self.seconds.len() - 1]
    }

    /// All of them. The last one is what is left since the last boundary, if anything happened in it.
    pub(crate) fn end(mut self, now_ns: u64, seen: Seen) -> Vec<Second> {
        if seen.counts != self.mark.counts || seen.latencies.values().any(|each| each.open().summary().count > 0) {
            self.take(now_ns, seen);
        }
        self.seconds
    }

    fn number(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.start_ns) / SECOND_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_what_rose_in_it() {
        check("1000:5 2000:9 2500:9", "0:5/1 1:4/1");
        check("1000:5 2000:9 2500:10", "0:5/1 1:4/1 2:1/0.5");
        // Slept through two boundaries: one long second, and the next one is of its own number.
        check("1003:5 4100:9 5000:12 5000:12", "0:5/1.003 1:4/3.097 4:3/0.9");
        check("300:0", "");
    }

    /// Looks at these milliseconds, with so much sent by then; the last one ends the run. Seconds as number:sent/length.
    fn check(looks: &str, expected: &str) {
        let seen = |sent| Seen { counts: Counts { sent, ..Counts::default() }, ..Seen::default() };
        let start_ns = 77;
        let mut sampler = Sampler::new(start_ns, seen(0));
        let looks: Vec<(u64, u64)> = looks
            .split(' ')
            .map(|look| look.split_once(':').expect("ms:sent"))
            .map(|(ms, sent)| (start_ns + ms.parse::<u64>().unwrap() * 1_000_000, sent.parse().unwrap()))
            .collect();
        let (&(end_ns, sent), looks) = looks.split_last().expect("one look at least");
        for &(now_ns, sent) in looks {
            if now_ns >= sampler.next_ns() {
                sampler.take(now_ns, seen(sent));
            }
        }
        let seconds = sampler.end(end_ns, seen(sent));
        let said: Vec<_> = seconds.iter().map(|each| format!("{}:{}/{}", each.at, each.sent, each.seconds)).collect();
        assert_eq!(said.join(" "), expected);
    }
}
