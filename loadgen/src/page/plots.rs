//! The plots of a page: latency by percentile, and three things over time.
//!
//! Owns which lines each has and in what they are said.

use super::chart::{Axis, Line, Mark, Scale, chart};
use crate::process::Memory;
use crate::report::{Latencies, Phase, Report, Second, time};

/// Where messages are delivered so many times each, deliveries have a plot of their own.
const DELIVERED_APART: u64 = 5;
/// Kinds of latencies, of three lines each, in one plot.
const KINDS_MAX: usize = 2;
/// A rate of less than half a second says more of its ends than of the server.
const RATE_SECONDS_MIN: f64 = 0.5;

/// Those for which there are figures.
pub(super) fn plots(report: &Report) -> Vec<String> {
    let mut plots = Vec::new();
    match phases(report) {
        // How one kind of latency changed from phase to phase.
        phases @ [_, _, ..] => {
            for &what in report.latencies_us.keys() {
                let of = phases.iter().map(|phase| (phase.name.as_str(), phase.latencies_us.get(what)));
                plots.extend(by_percentile(&format!("Latency by percentile: {what}"), of));
            }
        }
        [] | [_] => {
            let all = report.latencies_us.iter().map(|(&what, latencies)| (what, Some(latencies)));
            plots.extend(by_percentile("Latency by percentile", all));
        }
    }
    if report.by_second.iter().any(|second| second.sent > 0 || second.acked > 0) {
        plots.extend(throughput(report));
        plots.extend(latency(report));
    }
    if report.crowd.is_some() {
        plots.push(connected(report));
    }
    if !report.by_second.is_empty() {
        plots.push(processor(report));
    }
    plots.extend(memory(report));
    plots
}

fn phases(report: &Report) -> &[Phase] {
    report.crowd.as_ref().map_or(&[], |crowd| &crowd.phases)
}

/// Horizontally, how many answers there are to one that takes longer: 10 is the 90th percentile. None of nothing.
fn by_percentile<'a>(title: &str, all: impl Iterator<Item = (&'a str, Option<&'a Latencies>)>) -> Option<String> {
    let line = |(name, latencies): (&str, Option<&Latencies>)| {
        let place = |latencies: &Latencies| {
            let one = 0.5 / latencies.count().max(1) as f64;
            let curve = latencies.curve().into_iter();
            curve.map(|(quantile, micros)| (1.0 / (1.0 - quantile).max(one), micros)).collect()
        };
        Line { name: name.to_owned(), points: latencies.map(place).unwrap_or_default() }
    };
    let x = Axis { scale: Scale::Log, label: percentile };
    let y = Axis { scale: Scale::Linear, label: micros };
    let lines: Vec<_> = all.map(line).collect();
    lines.iter().any(|line| !line.points.is_empty()).then(|| chart(title, &x, &y, &lines, &[]))
}

/// What of all is below the place where one in `of` is above.
fn percentile(of: f64) -> String {
    let nines = of.log10().round().max(0.0) as usize;
    format!("{:.*} %", nines.saturating_sub(2), 100.0 - 100.0 / of)
}

fn throughput(report: &Report) -> Vec<String> {
    let line = |name: &str, of: fn(&Second) -> u64| {
        let seconds = report.by_second.iter().filter(|second| second.seconds >= RATE_SECONDS_MIN);
        let points = seconds.map(|second| (middle(second), of(second) as f64 / second.seconds));
        Line { name: name.to_owned(), points: points.collect() }
    };
    let plot =
        |title: &str, lines: &[Line]| over_time(title, report, Axis { scale: Scale::Linear, label: count }, lines);
    let (sent, acked) = (line("sent", |second| second.sent), line("acked", |second| second.acked));
    let delivered = line("delivered", |second| second.delivered);
    if report.counts.delivered > DELIVERED_APART * report.counts.acked {
        vec![
            plot("Throughput, messages a second", &[sent, acked]),
            plot("Throughput, deliveries a second", &[delivered]),
        ]
    } else {
        vec![plot("Throughput, messages a second", &[sent, acked, delivered])]
    }
}

fn connected(report: &Report) -> String {
    let points = report.by_second.iter().map(|second| (second.at as f64 + second.seconds, second.open as f64));
    let line = Line { name: "connected at the end of each second".to_owned(), points: points.collect() };
    over_time("Sessions", report, Axis { scale: Scale::Linear, label: count }, &[line])
}

/// One plot of all that was timed, or one of each where their lines are more than there are colours.
fn latency(report: &Report) -> Vec<String> {
    let lines = |what: &'static str| {
        let of = |part: usize| {
            let points = report.by_second.iter().filter_map(|second| {
                let brief = second.latencies_us.get(what).filter(|brief| brief.count > 0)?;
                Some((middle(second), [brief.p50, brief.p99, brief.max][part]))
            });
            points.collect()
        };
        let line = |(part, name)| Line { name: format!("{what} {name}"), points: of(part) };
        ["p50", "p99", "max"].into_iter().enumerate().map(line).collect::<Vec<_>>()
    };
    let plot = |title: &str, lines: &[Line]| over_time(title, report, Axis { scale: Scale::Log, label: micros }, lines);
    let kinds = || report.latencies_us.iter().filter(|(_, all)| all.count() > 0).map(|(&what, _)| what);
    if kinds().count() <= KINDS_MAX {
        let all: Vec<Line> = kinds().flat_map(lines).collect();
        vec![plot("Latency of what was answered in each second", &all)]
    } else {
        kinds().map(|what| plot(&format!("Latency in each second: {what}"), &lines(what))).collect()
    }
}

fn processor(report: &Report) -> String {
    let line = |name: &str, of: fn(&Second) -> Option<f64>| {
        let seconds = report.by_second.iter().filter(|second| second.seconds >= RATE_SECONDS_MIN);
        let points = seconds.filter_map(|second| Some((middle(second), of(second)?)));
        Line { name: name.to_owned(), points: points.collect() }
    };
    let mut lines = vec![line("generator", |second| Some(second.cpu_percent))];
    let server = line("server's process (--pid)", |second| second.server_cpu_percent);
    lines.extend((!server.points.is_empty()).then_some(server));
    let y = Axis { scale: Scale::Linear, label: |percent| format!("{percent:.0} %") };
    over_time("Processor time, percent of one core", report, y, &lines)
}

/// Of each connection beyond the first ones where that was measured, else of the process: what that has anyway, spread over the
/// first sessions of a crowd, says nothing of a session.
fn memory(report: &Report) -> Option<String> {
    let resident = report.by_second.iter().filter_map(|second| Some((second, second.server_resident_bytes?)));
    if let (Some(Memory { base, .. }), None) = (&report.memory, &report.crowd) {
        let points = resident.filter_map(|(second, bytes)| {
            let connections = second.open.checked_sub(base.connections.into()).filter(|&more| more > 0)?;
            Some((middle(second), (bytes as f64 - base.resident_bytes as f64) / connections as f64))
        });
        let points: Vec<_> = points.collect();
        let name = format!("resident bytes a connection beyond the first {}", base.connections);
        let line = Line { name, points };
        let y = Axis { scale: Scale::Linear, label: count };
        return (!line.points.is_empty()).then(|| over_time("Memory a connection", report, y, &[line]));
    }
    let points: Vec<_> = resident.map(|(second, bytes)| (middle(second), bytes as f64 / 1e6)).collect();
    let line = Line { name: "resident MB of the process".to_owned(), points };
    let y = Axis { scale: Scale::Linear, label: count };
    (!line.points.is_empty()).then(|| over_time("Memory of the server", report, y, &[line]))
}

fn over_time(title: &str, report: &Report, y: Axis, lines: &[Line]) -> String {
    let x = Axis { scale: Scale::Linear, label: |seconds| format!("{seconds} s") };
    let phase = |phase: &Phase| Mark { at: phase.from_seconds, name: phase.name.clone(), ends: false };
    let mut marks: Vec<Mark> = phases(report).iter().map(phase).collect();
    marks.push(Mark { at: report.seconds, name: "drain".to_owned(), ends: true });
    chart(title, &x, &y, lines, &marks)
}

/// Where a second stands in a plot over time.
fn middle(second: &Second) -> f64 {
    second.at as f64 + second.seconds / 2.0
}

/// A latency in words, a round one without the digits that it has not.
fn micros(micros: f64) -> String {
    time(micros).replace(".00 ", " ").replace(".50 ", ".5 ")
}

/// A number in words, short from a thousand on.
fn count(number: f64) -> String {
    match number.abs() {
        ..10.0 if number.fract() != 0.0 => format!("{number:.1}"),
        ..10_000.0 => format!("{number:.0}"),
        10_000.0..1e6 => format!("{}k", (number / 100.0).round() / 10.0),
        _ => format!("{} M", (number / 1e4).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Counts, CrowdReport};

    #[test]
    fn a_percentile_is_said_with_its_nines() {
        check(1.0, "0 %");
        check(10.0, "90 %");
        check(100.0, "99 %");
        check(1_000.0, "99.9 %");
        check(100_000.0, "99.999 %");
    }

    fn check(of: f64, expected: &str) {
        assert_eq!(percentile(of), expected);
    }

    #[test]
    fn a_report_has_the_plots_of_what_was_measured() {
        let mut echo = Latencies::new();
        (1..100).for_each(|micros| echo.record(micros * 1_000));
        let second = Second { seconds: 1.0, sent: 5, acked: 5, ..Second::default() };
        let with_memory = Second { server_resident_bytes: Some(5_000_000), ..second.clone() };
        titles(Report::default(), &[]);
        titles(Report { by_second: vec![Second::default()], ..Report::default() }, &["Processor"]);
        let report = Report { latencies_us: [("echo", echo)].into(), by_second: vec![second], ..Report::default() };
        titles(report.clone(), &["Latency by", "Throughput", "Latency of", "Processor"]);
        let report = Report { by_second: vec![with_memory], ..report };
        titles(report.clone(), &["Latency by", "Throughput", "Latency of", "Processor", "Memory of"]);
        let latencies_us = report.latencies_us.clone();
        let phase = Phase { name: "storm".to_owned(), latencies_us, ..Phase::default() };
        let of_workers = |phases| Some(CrowdReport { phases, ..CrowdReport::default() });
        let one = Report { crowd: of_workers(vec![phase.clone()]), ..report.clone() };
        titles(one, &["Latency by percentile<", "Throughput", "Latency of", "Sessions", "Processor", "Memory of"]);
        let counts = Counts { acked: 5, delivered: 500, ..Counts::default() };
        let two = Report { crowd: of_workers(vec![phase; 2]), counts, ..report };
        let apart = ["Latency by percentile: echo", "Throughput, messages", "Throughput, deliveries", "Latency of"];
        titles(two, &[&apart[..], &["Sessions", "Processor", "Memory of"]].concat());
    }

    fn titles(report: Report, expected: &[&str]) {
        let plots = plots(&report);
        assert_eq!(plots.len(), expected.len(), "{plots:?}");
        for (plot, title) in plots.iter().zip(expected) {
            assert!(plot.contains(&format!("<h2>{title}")), "{title}: {plot}");
        }
    }
}
