//! Judgement of a run by its own figures: what `--fail-if` asks, held against the report.
//!
//! Owns the rule that what was not measured is not judged: nothing is held to be well that nobody saw, and no figure is
//! the server's where the generator was the bottleneck. Metrics are the numbers of the JSON report, by their path.

mod outline;

use std::collections::BTreeMap;

use anyhow::bail;

use self::outline::outline;
use crate::cli::Measurement;
use crate::condition::{Condition, Unit};
use crate::metrics::{LATENCIES, is_fact, metrics};
use crate::report::{FiguresOf, Judgement, Outcome, Report};

/// Refuses conditions that the report of `command` will not answer.
///
/// # Errors
/// A metric does not exist, or a figure is in another unit.
pub(crate) fn ensure_known(command: &Measurement, conditions: &[Condition]) -> anyhow::Result<()> {
    let metrics = metrics_of(&outline(command));
    for condition in conditions {
        let Some(name) = found(&metrics, &condition.metric) else {
            let names = || metrics.keys().map(|name| name.strip_prefix(LATENCIES).unwrap_or(name));
            let near = names().max_by(|a, b| {
                let likeness = |name: &str| strsim::jaro_winkler(name, &condition.metric);
                likeness(a).total_cmp(&likeness(b))
            });
            let (near, all) = (near.unwrap_or_default(), names().collect::<Vec<_>>().join(", "));
            let pid = if metrics.contains_key("memory.bytes_per_connection") { "" } else { ", and memory with --pid" };
            bail!(
                "--fail-if {condition}: this report has no metric {:?}; {near} is nearest. There are: {all}{pid}",
                condition.metric
            );
        };
        if let Err(unit) = condition.is_so(Unit::of(name), 0.0) {
            bail!("--fail-if {condition}: {unit}");
        }
    }
    Ok(())
}

/// What comes of each condition.
pub(crate) fn judged(report: &Report, conditions: &[Condition]) -> Vec<Judgement> {
    let metrics = metrics_of(report);
    conditions.iter().map(|condition| judgement(report, &metrics, condition)).collect()
}

fn judgement(report: &Report, metrics: &BTreeMap<String, f64>, condition: &Condition) -> Judgement {
    let unsaid = |why: &str, figure| Judgement {
        condition: condition.to_string(),
        outcome: Outcome::NotKnown,
        figure,
        said: why.to_owned(),
    };
    let Some(name) = found(metrics, &condition.metric) else {
        return unsaid("nothing of it was measured", None);
    };
    let (figure, unit) = (metrics[name], Unit::of(name));
    let is_fact = is_fact(name);
    if !is_fact && report.figures_of == FiguresOf::Generator {
        return unsaid("the generator was the bottleneck, so the figure is its own", Some(figure));
    }
    if !is_fact && report.interrupted {
        return unsaid("the run was ended early", Some(figure));
    }
    match condition.is_so(unit, figure) {
        Ok(is_so) => {
            let outcome = if is_so { Outcome::Failed } else { Outcome::Held };
            let said = format!("{} is {}", condition.metric, unit.said(figure));
            Judgement { condition: condition.to_string(), outcome, figure: Some(figure), said }
        }
        Err(unit) => unsaid(&unit, Some(figure)),
    }
}

/// The whole name of a metric.
fn found<'a>(metrics: &'a BTreeMap<String, f64>, name: &str) -> Option<&'a str> {
    let latency = format!("{LATENCIES}{name}");
    metrics.get_key_value(name).or_else(|| metrics.get_key_value(&latency)).map(|(name, _)| name.as_str())
}

fn metrics_of(report: &Report) -> BTreeMap<String, f64> {
    metrics(&serde_json::to_value(report).expect("a report can be said in JSON"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::report::{Counts, Latencies};

    fn report(latency_ms: &[u64]) -> Report {
        let mut ack = Latencies::new();
        latency_ms.iter().for_each(|ms| ack.record(ms * 1_000_000));
        Report {
            counts: Counts { lost: 3, ..Counts::default() },
            per_second: 100.0,
            latencies_us: [("ack", ack)].into(),
            ..Report::default()
        }
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let well = report(&[10, 20]);
        let bound = Report { figures_of: FiguresOf::Generator, ..well.clone() };
        let early = Report { interrupted: true, ..well.clone() };
        check(&well, "ack.p99>25ms", Outcome::Held, "ack.p99 is 20 ms");
        check(&well, "latencies_us.ack.p99>15ms", Outcome::Failed, "latencies_us.ack.p99 is 20 ms");
        check(&well, "per_second<101", Outcome::Failed, "per_second is 100/s");
        check(&well, "lost>0", Outcome::Failed, "lost is 3");
        check(&report(&[]), "ack.p99>25ms", Outcome::NotKnown, "nothing of it");
        check(&report(&[]), "ack.count<1", Outcome::Failed, "ack.count is 0");
        check(&bound, "ack.p99>25ms", Outcome::NotKnown, "the generator was the bottleneck");
        check(&bound, "ack.p99>15ms", Outcome::NotKnown, "the generator was the bottleneck");
        check(&bound, "per_second<101", Outcome::NotKnown, "the generator was the bottleneck");
        check(&bound, "lost>0", Outcome::Failed, "lost is 3");
        check(&bound, "lost>3", Outcome::Held, "lost is 3");
        check(&early, "ack.p99>25ms", Outcome::NotKnown, "the run was ended early");
        check(&well, "memory.bytes_per_connection>5", Outcome::NotKnown, "nothing of it");
    }

    fn check(report: &Report, condition: &str, outcome: Outcome, said: &str) {
        let judged = judged(report, &[condition.parse().expect("a condition")]);
        assert_eq!(judged[0].outcome, outcome, "{condition}: {judged:?}");
        assert!(judged[0].said.starts_with(said), "{condition}: {judged:?}");
    }

    #[test]
    fn a_metric_that_there_is_not_is_refused_with_those_that_there_are() {
        check_known("chat --fail-if ack.p99>25ms --fail-if lost>0 --fail-if delivered_per_second<1/s", "");
        check_known("chat --fail-if back.p99>25ms", "\"back.p99\"; ack.p99 is nearest");
        check_known("chat --reconnect --fail-if back.p99>25ms --fail-if reconnection.away>0", "");
        check_known("echo --fail-if ack.p99>25ms", "\"ack.p99\"; echo.p99 is nearest. There are: ");
        check_known("echo --fail-if echo.p98>1", "echo.p99 is nearest");
        check_known("echo --fail-if echo.p99>25/s", "\"/s\" is no unit of echo.p99");
        check_known("idle --fail-if memory.bytes_per_connection>1KiB", "and memory with --pid");
        check_known("idle --pid 1 --fail-if memory.bytes_per_connection>1KiB", "");
        check_known("catch-up --fail-if catch-up.p99>5ms", "");
        check_known("presence --fail-if offline.max>1s --fail-if crowded>0", "");
    }

    fn check_known(arguments: &str, expected: &str) {
        let cli = Cli::try_parse_from(std::iter::once("loadgen").chain(arguments.split(' '))).expect("a command line");
        let Command::Measure(command) = cli.command else { panic!("{arguments} measures nothing") };
        let error = ensure_known(&command, &command.common().fail_if).map_err(|error| error.to_string());
        match error {
            Ok(()) => assert_eq!(expected, "", "{arguments}"),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{arguments}: {error}"),
        }
    }
}
