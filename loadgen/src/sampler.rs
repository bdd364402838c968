//! The seconds of a run as they pass: when one is over, and what rose in it.
//!
//! Owns the boundaries, which lie whole seconds behind the beginning of the measured window, and the generator's and the
//! server's processor time between them. Taking one costs the generator some 0.1 ms.

use std::collections::BTreeMap;

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
    /// Processor time so far of each thread or process that generates the load, in the same order each time.
    pub(crate) cpu_ns: Vec<u64>,
    pub(crate) usage: Option<Usage>,
}

/// Where the running second began.
#[derive(Debug)]
struct Mark {
    at_ns: u64,
    counts: Counts,
    cpu_ns: Vec<u64>,
    usage: Option<Usage>,
}

/// Seconds that are over, and the one that runs. Times are nanoseconds on the engine's clock.
#[derive(Debug)]
pub(crate) struct Sampler {
    start_ns: u64,
    /// What was timed of the window before anybody looked: it is of the first second.
    early: BTreeMap<&'static str, Packed>,
    mark: Mark,
    seconds: Vec<Second>,
}

impl Sampler {
    /// The window begins.
    pub(crate) fn new(start_ns: u64, seen: Seen) -> Self {
        let Seen { counts, latencies: early, cpu_ns, usage, .. } = seen;
        Self { start_ns, early, mark: Mark { at_ns: start_ns, counts, cpu_ns, usage }, seconds: Vec::new() }
    }

    /// When the running second ends.
    pub(crate) fn next_ns(&self) -> u64 {
        self.start_ns + (self.number(self.mark.at_ns) + 1) * SECOND_NS
    }

    /// The running second is over.
    pub(crate) fn take(&mut self, now_ns: u64, seen: Seen) -> &Second {
        let Seen { counts, mut latencies, open, cpu_ns, usage } = seen;
        for (what, early) in std::mem::take(&mut self.early) {
            let mut all = early.open();
            latencies.get(what).iter().for_each(|later| all.add(&later.open()));
            latencies.insert(what, Packed::new(&all));
        }
        let before = &self.mark;
        let length_ns = now_ns.saturating_sub(before.at_ns).max(1);
        let percent = |ns: u64| (1_000.0 * ns as f64 / length_ns as f64).round() / 10.0;
        let rise = |now: Usage| Some(percent(now.cpu_ns.saturating_sub(before.usage?.cpu_ns)));
        let second = Second {
            seconds: (length_ns as f64 / 1e6).round() / 1e3,
            open,
            cpu_percent: percent(busiest_ns(&before.cpu_ns, &cpu_ns)),
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
        let mut timed = seen.latencies.values().chain(self.early.values());
        if seen.counts != self.mark.counts || timed.any(|each| each.open().count() > 0) {
            self.take(now_ns, seen);
        }
        self.seconds
    }

    fn number(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.start_ns) / SECOND_NS
    }
}

/// What the busiest of several took between two looks at them.
pub(crate) fn busiest_ns(before: &[u64], after: &[u64]) -> u64 {
    let each = before.iter().zip(after).map(|(before, after)| after.saturating_sub(*before));
    each.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Latencies;

    #[test]
    fn a_second_has_what_rose_in_it() {
        check("1000:5 2000:9 2500:9", "0:5/1 1:4/1");
        check("1000:5 2000:9 2500:10", "0:5/1 1:4/1 2:1/0.5");
        // Slept through two boundaries: one long second, and the next one is of its own number.
        check("1003:5 4100:9 5000:12 5000:12", "0:5/1.003 1:4/3.097 4:3/0.9");
        check("300:0", "");
    }

    #[test]
    fn what_was_timed_before_the_first_look_is_of_the_first_second() {
        let timed = |what, count: u64| {
            let mut latencies = Latencies::new();
            (0..count).for_each(|_| latencies.record(1_000));
            Seen { latencies: [(what, Packed::new(&latencies))].into(), ..Seen::default() }
        };
        let mut sampler = Sampler::new(0, timed("ack", 3));
        sampler.take(SECOND_NS, timed("ack", 2));
        let seconds = sampler.end(2 * SECOND_NS, timed("ack", 1));
        let counts: Vec<_> = seconds.iter().map(|second| second.latencies_us["ack"].count).collect();
        assert_eq!(counts, [5, 1]);
        let only = Sampler::new(0, timed("back", 4)).end(SECOND_NS, Seen::default());
        assert_eq!(only[0].latencies_us["back"].count, 4);
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
