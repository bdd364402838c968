//! Judgement of a run by its own figures: what `--fail-if` asks, held against the report.
//!
//! Owns the rule that what was not measured is not judged: nothing is held to be well that nobody saw, and no figure is
//! the server's where the generator was the bottleneck. Metrics are the numbers of the JSON report, by their path.

pub(crate) mod outline;

use std::collections::BTreeMap;

use anyhow::bail;

use crate::condition::{Condition, Unit};
use crate::metrics::{is_fact, metrics, phase_of, short};
use crate::report::{FiguresOf, Judgement, Outcome, Phase, Report};

/// Refuses conditions that a report of this outline will not answer.
///
/// # Errors
/// A metric does not exist, or a figure is in another unit.
pub(crate) fn ensure_known(outline: &Report, conditions: &[Condition]) -> anyhow::Result<()> {
    let metrics = metrics_of(outline);
    for condition in conditions {
        let Some(name) = found(&metrics, &condition.metric) else {
            let names = || metrics.keys().map(|name| short(name));
            let near = names().max_by(|a: &String, b| {
                let likeness = |name: &str| strsim::jaro_winkler(name, &condition.metric);
                likeness(a).total_cmp(&likeness(b))
            });
            let (near, all) = (near.unwrap_or_default(), names().collect::<Vec<_>>().join(", "));
            let has_memory = ["memory.bytes_per_connection", "million.session.nodes_bytes"];
            let is_whole = has_memory.iter().any(|&name| metrics.contains_key(name));
            let pid = if is_whole { "" } else { ", and memory with --pid" };
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
    if !is_fact && figures_of(report, name) == FiguresOf::Generator {
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

/// Whose figure a metric of this whole name is: a phase's may be the server's though another phase's are not.
fn figures_of(report: &Report, name: &str) -> FiguresOf {
    let phases = report.crowd.iter().flat_map(|crowd| &crowd.phases);
    let own = phase_of(name).and_then(|slug| phases.into_iter().find(|phase| Phase::slug(&phase.name) == slug));
    own.map_or(report.figures_of, |phase| phase.figures_of)
}

/// The whole name of a metric.
fn found<'a>(metrics: &'a BTreeMap<String, f64>, name: &str) -> Option<&'a str> {
    let exact = metrics.get_key_value(name).map(|(name, _)| name.as_str());
    exact.or_else(|| metrics.keys().map(String::as_str).find(|whole| short(whole) == name))
}

fn metrics_of(report: &Report) -> BTreeMap<String, f64> {
    metrics(&serde_json::to_value(report).expect("a report can be said in JSON"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::report::{Counts, CrowdReport, Latencies};

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

    #[test]
    fn a_phase_is_judged_by_its_own_figures() {
        let phase = |name: &str, latency_ms, figures_of| {
            let latencies_us = report(&[latency_ms]).latencies_us;
            Phase { name: name.to_owned(), latencies_us, figures_of, ..Phase::default() }
        };
        let phases =
            vec![phase("all read", 10, FiguresOf::Server), phase("some read slowly", 20, FiguresOf::Generator)];
        let crowd = Some(CrowdReport { phases, ..CrowdReport::default() });
        let report = Report { crowd, figures_of: FiguresOf::Generator, ..report(&[10, 20]) };
        check(&report, "all-read.ack.p99>15ms", Outcome::Held, "all-read.ack.p99 is 10 ms");
        check(&report, "all-read.ack.p99>5ms", Outcome::Failed, "all-read.ack.p99 is 10 ms");
        check(&report, "phases.all-read.latencies_us.ack.p99>5ms", Outcome::Failed, "phases.all-read");
        check(&report, "some-read-slowly.ack.p99>5ms", Outcome::NotKnown, "the generator was the bottleneck");
        check(&report, "ack.p99>5ms", Outcome::NotKnown, "the generator was the bottleneck");
        check(&report, "status.connected<1", Outcome::Failed, "status.connected is 0");
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

    #[test]
    fn what_crowds_do_is_asked_for_by_phase() {
        check_known("storm T --fail-if storm.ack.p99>25ms --fail-if quiet.ack.p99>5ms --fail-if storm.in.max>10s", "");
        check_known("storm T --fail-if storm.back.p99>25ms", "\"storm.back.p99\"; storm.ack.p99 is nearest");
        check_known("storm T --fail-if storm.server_us_per_delivery>25us", "and memory with --pid");
        check_known("storm T --pid 1 --fail-if storm.server_us_per_delivery>25us", "");
        check_known("churn T --fail-if back.p99>1s --fail-if churn.delivered_per_second<90/s --fail-if lost>0", "");
        check_known("fanout T --fail-if delivery.p99>1s --fail-if fanout.delivery.p99>1s", "");
        check_known("slow-readers T --fail-if some-read-slowly.ack.p99>1s --fail-if slow-delivery.p99>30s", "");
        check_known("slow-readers T --fail-if all-read.slow-delivery.p99>1s", "is nearest. There are: ");
        check_known("million --fail-if million.session.nodes_bytes>1KiB --fail-if million.quiet.nodes_us>1us", "");
        check_known("million --fail-if million.watch.memory.nodes_bytes>1KiB", "is nearest");
        check_known("million --watch 3 --fail-if million.watch.memory.nodes_bytes>1KiB", "");
        check_known(
            "million --fail-if talk.ack.p99>25ms --fail-if status.arrived<1000 --fail-if opening.in.p99>1s",
            "",
        );
    }

    fn check_known(arguments: &str, expected: &str) {
        let arguments = arguments.replace(" T", " --token-key k --users u");
        let cli = Cli::try_parse_from(std::iter::once("loadgen").chain(arguments.split(' '))).expect("a command line");
        let (report, conditions) = match &cli.command {
            Command::Measure(command) => (outline::of(command), &command.common().report.fail_if),
            Command::Fleet(command) => {
                let (report, args) = outline::of_fleet(command).expect("it has a report");
                (report, &args.fail_if)
            }
            _ => panic!("{arguments} measures nothing"),
        };
        let error = ensure_known(&report, conditions).map_err(|error| error.to_string());
        match error {
            Ok(()) => assert_eq!(expected, "", "{arguments}"),
            Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{arguments}: {error}"),
        }
    }
}
