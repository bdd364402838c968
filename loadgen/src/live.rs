//! What a run does right now: its last seconds as bars of blocks, beside the last one in figures.
//!
//! Owns the choice of what is shown and its form. Where it is drawn is `progress`'s.

use std::collections::VecDeque;

use crate::report::{Second, time};

/// Seconds that are shown: beside a label and a figure they fit on a terminal of 80 columns.
const SECONDS_SHOWN: usize = 40;
/// Heights of a bar, the lowest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What is shown of a second.
#[derive(Debug, Clone, Copy)]
struct Shown {
    acked_per_second: f64,
    p50: Option<f64>,
    p99: Option<f64>,
    cpu_percent: f64,
    server_cpu_percent: Option<f64>,
    server_megabytes: Option<f64>,
}

/// The last seconds.
#[derive(Debug, Default)]
pub(crate) struct Live {
    what: &'static str,
    seconds: VecDeque<Shown>,
}

impl Live {
    pub(crate) fn push(&mut self, second: &Second) {
        let answer = second.answer();
        self.what = answer.map_or("", |(what, _)| what);
        let brief = answer.map(|(_, brief)| brief).filter(|brief| brief.count > 0);
        if self.seconds.len() == SECONDS_SHOWN {
            self.seconds.pop_front();
        }
        self.seconds.push_back(Shown {
            acked_per_second: second.acked as f64 / second.seconds.max(f64::MIN_POSITIVE),
            p50: brief.map(|brief| brief.p50),
            p99: brief.map(|brief| brief.p99),
            cpu_percent: second.cpu_percent,
            server_cpu_percent: second.server_cpu_percent,
            server_megabytes: second.server_resident_bytes.map(|bytes| bytes as f64 / 1e6),
        });
    }

    /// Lines for a terminal, none before the first second.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |label: &str, of: &dyn Fn(&Shown) -> Option<f64>, said: &dyn Fn(f64) -> String| {
            let values: Vec<Option<f64>> = self.seconds.iter().map(of).collect();
            let Some(&Some(last)) = values.last() else { return };
            let most = values.iter().flatten().copied().fold(0.0, f64::max);
            let bar: String = values.iter().map(|value| value.map_or(' ', |value| block(value, most))).collect();
            lines.push(format!("{label:>16} {bar:<SECONDS_SHOWN$} {}", said(last)));
        };
        let percent = |percent: f64| format!("{percent:.0} %");
        if !self.what.is_empty() {
            line("acked a second", &|shown| Some(shown.acked_per_second), &|rate| format!("{rate:.0}"));
            line(&format!("{} p50", self.what), &|shown| shown.p50, &time);
            line(&format!("{} p99", self.what), &|shown| shown.p99, &time);
        }
        line("own CPU", &|shown| Some(shown.cpu_percent), &percent);
        line("server's CPU", &|shown| shown.server_cpu_percent, &percent);
        line("server's memory", &|shown| shown.server_megabytes, &|megabytes| format!("{megabytes:.1} MB"));
        lines
    }

    /// The last second in a few words, for where lines are not drawn over.
    pub(crate) fn said(&self) -> Option<String> {
        let last = self.seconds.back()?;
        let latency = last.p99.map(|p99| format!("{} p99 {} · ", self.what, time(p99)));
        let server = last.server_cpu_percent.map(|percent| format!(" · server's {percent:.0} %"));
        let (latency, server) = (latency.unwrap_or_default(), server.unwrap_or_default());
        Some(format!("last second {latency}own CPU {:.0} %{server}", last.cpu_percent))
    }
}

fn block(value: f64, most: f64) -> char {
    let height = (value / most.max(f64::MIN_POSITIVE) * BLOCKS.len() as f64).ceil() as usize;
    BLOCKS[height.clamp(1, BLOCKS.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Counts, Recorder};

    fn live(acked: &[u64]) -> Live {
        let mut live = Live::default();
        for (at, &acked) in acked.iter().enumerate() {
            let mut recorder = Recorder::new();
            (0..acked).for_each(|_| recorder.record(2_000_000));
            let counts = Counts { acked, ..Counts::default() };
            let histograms = [("ack", recorder.turn())].into();
            let second = Second::new(at as u64, &Counts::default(), &counts, histograms);
            live.push(&Second { seconds: 1.0, cpu_percent: 25.0, ..second });
        }
        live
    }

    #[test]
    fn the_last_seconds_are_bars_and_the_last_one_figures() {
        check(&[], &[]);
        check(&[8, 4, 1], &["acked a second █▄▁ 1", "ack p50 ███ 2.00 ms", "ack p99 ███ 2.00 ms", "own CPU ███ 25 %"]);
        // Nothing was answered: no latency is drawn, and none said.
        check(&[8, 0], &["acked a second █▁ 0", "own CPU ██ 25 %"]);
    }

    fn check(acked: &[u64], expected: &[&str]) {
        let lines = live(acked).lines();
        let said: Vec<_> = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(said, expected, "{acked:?}");
    }

    #[test]
    fn a_line_is_no_longer_than_a_terminal() {
        let live = live(&[1_000; SECONDS_SHOWN + 5]);
        assert!(live.lines().iter().all(|line| line.chars().count() < 80), "{:?}", live.lines());
        assert_eq!(live.said().as_deref(), Some("last second ack p99 2.00 ms · own CPU 25 %"));
    }
}
