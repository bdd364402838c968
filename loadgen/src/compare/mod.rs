//! `loadgen compare`: two saved reports side by side, and which of their differences are more than noise.
//!
//! Owns what is compared: medians of the window's whole seconds, each with the seconds' spread, and figures that a run
//! has one of. The arithmetic of noise is in `noise`. Measures nothing.

mod asked;
mod noise;
mod table;

use std::path::Path;

use anyhow::{Context, ensure};
use serde::Serialize;
use serde_json::Value;

use self::noise::{Difference, Middle};
use crate::metrics::{is_fact, metrics, short};

/// How much shorter or longer than a second a whole second may be.
const SECOND_SLACK: f64 = 0.1;
/// Microseconds of a core that are a percent of it in a second.
const PERCENT_MICROS: f64 = 10_000.0;

/// Two reports, compared.
#[derive(Debug, Serialize)]
pub(crate) struct Compared {
    command: String,
    /// What should be known before any ratio is believed.
    warnings: Vec<String>,
    /// Of medians over the seconds.
    seconds: Vec<Row>,
    /// Of what a run has one of.
    whole: Vec<Row>,
}

/// One metric of both.
#[derive(Debug, Serialize)]
struct Row {
    metric: String,
    before: f64,
    after: f64,
    /// None of nothing.
    ratio: Option<f64>,
    /// The larger spread of the seconds of one run, as a part of its median.
    #[serde(skip_serializing_if = "Option::is_none")]
    spread: Option<f64>,
    difference: Difference,
}

/// Reads and compares.
///
/// # Errors
/// A file is no report, or the reports are of different things.
pub(crate) fn run(before: &Path, after: &Path) -> anyhow::Result<Compared> {
    compare(&read(before)?, &read(after)?)
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let report: Value = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no report: write one with --save or --json", path.display()))?;
    ensure!(
        report["command"].is_string() && report["run"].is_object(),
        "{} is no report of this program: write one with --save or --json",
        path.display()
    );
    Ok(report)
}

fn compare(before: &Value, after: &Value) -> anyhow::Result<Compared> {
    let command = |report: &Value| report["command"].as_str().unwrap_or_default().to_owned();
    ensure!(
        command(before) == command(after),
        "the reports are of {} and of {}, which have nothing to compare",
        command(before),
        command(after)
    );
    let bound = [before, after].map(|report| report["figures_of"] != "server");
    let known = |metric: &str, difference| {
        let is_known = is_fact(metric) || metric.ends_with("server resident bytes") || bound == [false, false];
        if is_known { difference } else { Difference::NotKnown }
    };
    let (first, second) = (series(before), series(after));
    let seconds = first.iter().filter_map(|(metric, values)| {
        let other = &second.iter().find(|(name, _)| name == metric)?.1;
        let (before, after) = (Middle::of(values)?, Middle::of(other)?);
        let part = |middle: &Middle| middle.deviation / middle.median.abs().max(f64::MIN_POSITIVE);
        Some(Row {
            metric: metric.clone(),
            before: before.median,
            after: after.median,
            ratio: ratio(before.median, after.median),
            spread: Some(part(&before).max(part(&after))).filter(|spread| *spread < 1e6),
            difference: known(metric, before.to(&after)),
        })
    });
    let (one, other) = (metrics(before), metrics(after));
    let whole = one.iter().filter_map(|(metric, &before)| {
        let &after = other.get(metric)?;
        let metric = short(metric);
        let difference = if before == after { Difference::Noise } else { Difference::NotKnown };
        Some(Row { metric, before, after, ratio: ratio(before, after), spread: None, difference })
    });
    Ok(Compared {
        command: command(before),
        warnings: warnings(before, after, bound),
        seconds: seconds.collect(),
        whole: whole.filter(|row| row.before != 0.0 || row.after != 0.0).collect(),
    })
}

fn ratio(before: f64, after: f64) -> Option<f64> {
    (before != 0.0).then(|| after / before)
}

fn warnings(before: &Value, after: &Value, bound: [bool; 2]) -> Vec<String> {
    let of = |name: &str, report: &Value| report["run"][name].clone();
    let arguments = |report: &Value| -> Vec<String> {
        let arguments = report["run"]["arguments"].as_array().into_iter().flatten();
        arguments.filter_map(|argument| argument.as_str().map(str::to_owned)).collect()
    };
    let mut warnings: Vec<String> = asked::differences(&arguments(before), &arguments(after));
    warnings.iter_mut().for_each(|flag| flag.insert_str(0, "asked differently, "));
    for (name, what) in [("machine", "measured on another machine"), ("version", "measured by another version")] {
        if of(name, before) != of(name, after) {
            warnings.push(format!("{what}: {} | {}", of(name, before), of(name, after)));
        }
    }
    for ((name, report), bound) in [("A", before), ("B", after)].into_iter().zip(bound) {
        if bound {
            warnings.push(format!("{name}'s rates and latencies are its generator's, which was the bottleneck"));
        }
        if report["interrupted"] == true {
            warnings.push(format!("{name} was ended early"));
        }
    }
    warnings
}

/// Each metric of whole seconds, second by second: of the window, or, where a run has phases, of each of those, since
/// what two phases have in the middle says nothing of either.
fn series(report: &Value) -> Vec<(String, Vec<f64>)> {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let whole = ("", 0.0, number(&report["seconds"]), &report["latencies_us"]);
    let phases = report["phases"].as_array().into_iter().flatten().map(|phase| {
        let from = number(&phase["from_seconds"]);
        (phase["name"].as_str().unwrap_or_default(), from, from + number(&phase["seconds"]), &phase["latencies_us"])
    });
    let mut stretches: Vec<_> = phases.collect();
    if stretches.is_empty() {
        stretches.push(whole);
    }
    let of = |(name, from, to, latencies): (&str, f64, f64, &Value)| {
        let name = if name.is_empty() { String::new() } else { format!("{name}: ") };
        series_of(report, from, to, latencies).into_iter().map(move |(what, values)| (format!("{name}{what}"), values))
    };
    stretches.into_iter().flat_map(of).collect()
}

/// The same of the seconds that lie in a stretch, which has latencies of these kinds.
fn series_of(report: &Value, from: f64, to: f64, latencies: &Value) -> Vec<(String, Vec<f64>)> {
    let is_whole = |second: &&Value| {
        let length = second["seconds"].as_f64().unwrap_or_default();
        let at = second["at"].as_f64().unwrap_or(f64::MAX);
        (length - 1.0).abs() <= SECOND_SLACK && at + SECOND_SLACK >= from && at + 1.0 <= to + SECOND_SLACK
    };
    let seconds: Vec<&Value> = report["by_second"].as_array().into_iter().flatten().filter(is_whole).collect();
    let mut series = Vec::new();
    let mut gather = |name: String, of: &dyn Fn(&Value) -> Option<f64>| {
        let values: Vec<f64> = seconds.iter().filter_map(|second| of(second)).collect();
        if values.iter().any(|&value| value != 0.0) {
            series.push((name, values));
        }
    };
    let rate = |name: &'static str| move |second: &Value| Some(second[name].as_f64()? / second["seconds"].as_f64()?);
    gather("acked a second".to_owned(), &rate("acked"));
    gather("delivered a second".to_owned(), &rate("delivered"));
    for kind in latencies.as_object().into_iter().flat_map(|kinds| kinds.keys()) {
        for part in ["p50", "p99", "max"] {
            gather(format!("{kind} {part}, µs"), &|second| {
                let latency = &second["latencies_us"][kind];
                latency[part].as_f64().filter(|_| latency["count"] != 0)
            });
        }
    }
    gather("generator's processor time, %".to_owned(), &|second| second["cpu_percent"].as_f64());
    gather("server's processor time, %".to_owned(), &|second| second["server_cpu_percent"].as_f64());
    let each = |second: &Value, of: &str| {
        let micros = second["server_cpu_percent"].as_f64()? * PERCENT_MICROS * second["seconds"].as_f64()?;
        second[of].as_f64().filter(|&count| count > 0.0).map(|count| micros / count)
    };
    gather("the same an answer, µs".to_owned(), &|second| each(second, "acked"));
    if report["phases"].is_array() {
        gather("the same a delivery, µs".to_owned(), &|second| each(second, "delivered"));
    }
    gather("server resident bytes".to_owned(), &|second| second["server_resident_bytes"].as_f64());
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rate: u64, p50: f64, arguments: &[&str]) -> Value {
        let second = |at: u64| {
            serde_json::json!({
                "at": at, "seconds": 1.0, "sent": rate, "acked": rate + at % 3, "delivered": rate, "cpu_percent": 20,
                "server_cpu_percent": 50, "latencies_us": {"ack": {"count": rate, "p50": p50, "p99": p50 * 3.0, "max": 0}}
            })
        };
        serde_json::json!({
            "command": "chat", "run": {"arguments": arguments}, "seconds": 10.0, "figures_of": "server", "lost": 0,
            "latencies_us": {"ack": {"count": 5, "p99": p50 * 3.0}},
            // The last one is the drain's.
            "by_second": (0..11).map(second).collect::<Vec<_>>()
        })
    }

    #[test]
    fn a_row_says_the_ratio_and_whether_it_is_noise() {
        let (before, after) = (report(500, 900.0, &["chat"]), report(500, 1_800.0, &["chat"]));
        check(&before, &after, "ack p50, µs", 2.0, Difference::More);
        check(&after, &before, "ack p99, µs", 0.5, Difference::Less);
        check(&before, &after, "acked a second", 1.0, Difference::Noise);
        check(&before, &after, "the same an answer, µs", 1.0, Difference::Noise);
        let mut bound = after.clone();
        bound["figures_of"] = "generator".into();
        check(&before, &bound, "ack p50, µs", 2.0, Difference::NotKnown);
    }

    fn check(before: &Value, after: &Value, metric: &str, ratio: f64, expected: Difference) {
        let compared = compare(before, after).expect("two reports");
        let row = compared.seconds.iter().find(|row| row.metric == metric).unwrap_or_else(|| panic!("{compared:?}"));
        let near = row.ratio.is_some_and(|found| (found - ratio).abs() < 0.01);
        assert!(near && row.difference == expected, "{row:?}");
    }

    #[test]
    fn each_phase_is_compared_by_its_own_seconds() {
        let with_phases = |mut report: Value, slower: f64| {
            let latencies = report["latencies_us"].clone();
            let phase = |name: &str, from: u32| serde_json::json!({"name": name, "from_seconds": from, "seconds": 5.0, "latencies_us": latencies});
            report["phases"] = serde_json::json!([phase("quiet", 0), phase("storm", 5)]);
            for second in report["by_second"].as_array_mut().unwrap().iter_mut().skip(5) {
                second["latencies_us"]["ack"]["p50"] = slower.into();
            }
            report
        };
        let before = with_phases(report(500, 900.0, &["storm"]), 900.0);
        let after = with_phases(report(500, 900.0, &["storm"]), 2_700.0);
        check(&before, &after, "quiet: ack p50, µs", 1.0, Difference::Noise);
        check(&before, &after, "storm: ack p50, µs", 3.0, Difference::More);
        check(&before, &after, "storm: the same a delivery, µs", 1.0, Difference::Noise);
    }

    #[test]
    fn what_makes_a_ratio_doubtful_is_told_first() {
        let (before, after) = (report(500, 900.0, &["chat", "--rate", "500"]), report(500, 900.0, &["chat"]));
        let compared = compare(&before, &after).expect("two reports");
        assert_eq!(compared.warnings, ["asked differently, --rate: 500 | not given"]);
        let mut other = before.clone();
        other["command"] = "echo".into();
        assert!(compare(&before, &other).unwrap_err().to_string().contains("of chat and of echo"));
    }
}
