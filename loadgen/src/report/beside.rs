//! Reports of generators that ran side by side, as one.

use std::collections::BTreeMap;

use super::judgement::FiguresOf;
use super::{Counts, Latencies, Report, Second, count_reasons};

impl Report {
    /// What two found in the same time. The busier one says whether the generator was the bound.
    pub(crate) fn beside(mut self, other: Self) -> Self {
        for (reason, count) in other.closed_reasons {
            count_reasons(&mut self.closed_reasons, reason, count);
        }
        for (what, latencies) in other.latencies_us {
            self.latencies_us.entry(what).or_insert_with(Latencies::new).add(&latencies);
        }
        let starved = self.starved_percent.into_iter().chain(other.starved_percent);
        let bound = self.figures_of == FiguresOf::Generator || other.figures_of == FiguresOf::Generator;
        Self {
            counts: self.counts.and(&other.counts),
            connections: self.connections + other.connections,
            seconds: self.seconds.max(other.seconds),
            opening_seconds: self.opening_seconds.max(other.opening_seconds),
            per_second: self.per_second + other.per_second,
            closed: self.closed + other.closed,
            pings: self.pings + other.pings,
            cpu_percent: self.cpu_percent.max(other.cpu_percent),
            figures_of: if bound { FiguresOf::Generator } else { FiguresOf::Server },
            starved_percent: starved.reduce(f64::max),
            interrupted: self.interrupted || other.interrupted,
            by_second: side_by_side(self.by_second, other.by_second),
            ..self
        }
    }
}

impl Counts {
    fn and(&self, other: &Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            acked: self.acked + other.acked,
            delivered: self.delivered + other.delivered,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            out_of_order: self.out_of_order + other.out_of_order,
            unsent: self.unsent + other.unsent,
        }
    }
}

/// Seconds of the same number as one.
fn side_by_side(these: Vec<Second>, those: Vec<Second>) -> Vec<Second> {
    let mut all: BTreeMap<u64, Second> = BTreeMap::new();
    for second in these.into_iter().chain(those) {
        match all.remove(&second.at) {
            Some(known) => _ = all.insert(second.at, known.beside(&second)),
            None => _ = all.insert(second.at, second),
        }
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Recorder;

    fn report(acked: u64, cpu_percent: f64, latency_ms: u64) -> Report {
        let mut recorder = Recorder::new();
        (0..acked).for_each(|_| recorder.record(latency_ms * 1_000_000));
        let counts = Counts { sent: acked, acked, ..Counts::default() };
        let second = Second {
            seconds: 1.0,
            cpu_percent,
            open: 1,
            ..Second::new(0, &Counts::default(), &counts, [("echo", recorder.turn())].into())
        };
        Report {
            counts,
            per_second: acked as f64,
            closed: 1,
            closed_reasons: [("end".to_owned(), 1)].into(),
            latencies_us: [("echo", recorder.all())].into(),
            cpu_percent,
            figures_of: FiguresOf::new(cpu_percent, std::slice::from_ref(&second)),
            by_second: vec![second],
            ..Report::default()
        }
    }

    #[test]
    fn what_two_found_adds_up_and_the_busier_is_the_bound() {
        let both = report(10, 20.0, 1).beside(report(30, 95.0, 9));
        assert_eq!((both.counts.acked, both.per_second, both.closed), (40, 40.0, 2));
        assert_eq!(both.closed_reasons, [("end".to_owned(), 2)].into());
        assert_eq!((both.cpu_percent, both.figures_of), (95.0, FiguresOf::Generator));
        let [second] = &both.by_second[..] else { panic!("{:?}", both.by_second) };
        assert_eq!((second.acked, second.open, second.cpu_percent), (40, 2, 95.0));
        assert_eq!((second.latencies_us["echo"].count, both.latencies_us["echo"].summary().count), (40, 40));
        assert!(second.latencies_us["echo"].p50 > 8_000.0, "three of four took 9 ms");
        assert_eq!(report(1, 20.0, 1).beside(report(1, 30.0, 1)).figures_of, FiguresOf::Server);
    }
}
