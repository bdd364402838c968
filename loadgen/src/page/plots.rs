//! The plots of a page: latency by percentile, and three things over time.
//!
//! Owns which lines each has and in what they are said.

use super::chart::{Axis, Line, Scale, chart};
use crate::process::Memory;
use crate::report::{Latencies, Report, Second, time};

/// A rate of less than half a second says more of its ends than of the server.
const RATE_SECONDS_MIN: f64 = 0.5;

/// Those for which there are figures.
pub(super) fn plots(report: &Report) -> Vec<String> {
    let mut plots = Vec::new();
    if report.latencies_us.values().any(|latencies| latencies.summary().count > 0) {
        plots.push(by_percentile(report));
    }
    if report.by_second.iter().any(|second| second.sent > 0 || second.acked > 0) {
        plots.push(throughput(report));
        plots.push(latency(report));
    }
    if !report.by_second.is_empty() {
        plots.push(processor(report));
    }
    plots.extend(memory(report));
    plots
}

/// Horizontally, how many answers there are to one that takes longer: 10 is the 90th percentile.
fn by_percentile(report: &Report) -> String {
    let line = |(what, latencies): (&&'static str, &Latencies)| {
        let one = 0.5 / latencies.summary().count.max(1) as f64;
        let place = |(quantile, micros): (f64, f64)| (1.0 / (1.0 - quantile).max(one), micros);
        Line { name: (*what).to_owned(), points: latencies.curve().into_iter().map(place).collect() }
    };
    let x = Axis { scale: Scale::Log, label: percentile };
    let y = Axis { scale: Scale::Linear, label: micros };
    let lines: Vec<_> = report.latencies_us.iter().map(line).collect();
    chart("Latency by percentile", &x, &y, &lines, None)
}

/// What of all is below the place where one in `of` is above.
fn percentile(of: f64) -> String {
    let nines = of.log10().round().max(0.0) as usize;
    format!("{:.*} %", nines.saturating_sub(2), 100.0 - 100.0 / of)
}

fn throughput(report: &Report) -> String {
    let line = |name: &str, of: fn(&Second) -> u64| {
        let seconds = report.by_second.iter().filter(|second| second.seconds >= RATE_SECONDS_MIN);
        let points = seconds.map(|second| (middle(second), of(second) as f64 / second.seconds));
        Line { name: name.to_owned(), points: points.collect() }
    };
    let lines = [
        line("sent", |second| second.sent),
        line("acked", |second| second.acked),
        line("delivered", |second| second.delivered),
    ];
    over_time("Throughput, messages a second", report, Axis { scale: Scale::Linear, label: count }, &lines)
}

fn latency(report: &Report) -> String {
    let mut lines = Vec::new();
    for &what in report.latencies_us.keys() {
        for (part, of) in [("p50", 0), ("p99", 1), ("max", 2)] {
            let points = report.by_second.iter().filter_map(|second| {
                let brief = second.latencies_us.get(what).filter(|brief| brief.count > 0)?;
                Some((middle(second), [brief.p50, brief.p99, brief.max][of]))
            });
            let points: Vec<_> = points.collect();
            if !points.is_empty() {
                lines.push(Line { name: format!("{what} {part}"), points });
            }
        }
    }
    over_time("Latency of what was answered in each second", report, Axis { scale: Scale::Log, label: micros }, &lines)
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

/// Of each connection beyond the first ones where that was measured, else of the process.
fn memory(report: &Report) -> Option<String> {
    let resident = report.by_second.iter().filter_map(|second| Some((second, second.server_resident_bytes?)));
    if let Some(Memory { base, .. }) = &report.memory {
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
    chart(title, &x, &y, lines, Some((report.seconds, "drain")))
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
        titles(report, &["Latency by", "Throughput", "Latency of", "Processor", "Memory of"]);
    }

    fn titles(report: Report, expected: &[&str]) {
        let plots = plots(&report);
        assert_eq!(plots.len(), expected.len(), "{plots:?}");
        for (plot, title) in plots.iter().zip(expected) {
            assert!(plot.contains(&format!("<h2>{title}")), "{title}: {plot}");
        }
    }
}
