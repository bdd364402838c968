//! Acknowledgements by stretches of the window, for whoever does something to the nodes meanwhile.

use crate::report::{Latencies, Stretch};

/// Length of a stretch.
const STRETCH_SECONDS: u64 = 5;
/// Stretches that are told apart, 5 minutes: the last one has all that was due later. 200 KB each.
const STRETCHES_MAX: usize = 60;

/// Latencies of each.
#[derive(Debug, Default)]
pub(super) struct Stretches(Vec<Latencies>);

impl Stretches {
    /// A message that was due so long after the window's beginning is acknowledged.
    pub(super) fn record(&mut self, due_after_ns: u64, latency_ns: u64) {
        let at = (due_after_ns / (STRETCH_SECONDS * 1_000_000_000)).min(STRETCHES_MAX as u64 - 1) as usize;
        while self.0.len() <= at {
            self.0.push(Latencies::new());
        }
        self.0[at].record(latency_ns);
    }

    pub(super) fn summaries(&self) -> Vec<Stretch> {
        (0..).step_by(STRETCH_SECONDS as usize).zip(&self.0).map(|(from, each)| Stretch::new(from, each)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_counts_where_its_message_was_due() {
        check("0 4 5 14", "0:2 5:1 10:1");
        check("6", "0:0 5:1");
        check("299 300 9000", "295:3");
    }

    /// Messages that were due at these seconds. The stretches with their counts, those before the last first one that
    /// counts left out where there are many.
    fn check(due: &str, expected: &str) {
        let mut stretches = Stretches::default();
        for due in due.split(' ') {
            stretches.record(due.parse::<u64>().unwrap() * 1_000_000_000, 1_000);
        }
        let said = stretches.summaries();
        let few = said.len() < 10;
        let said = said.iter().filter(|stretch| few || stretch.acked > 0);
        let said: Vec<_> = said.map(|stretch| format!("{}:{}", stretch.from_seconds, stretch.acked)).collect();
        assert_eq!(said.join(" "), expected);
    }
}
