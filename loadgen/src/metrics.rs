//! Metrics: the numbers of a JSON report, each under its path.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::report::Phase;

/// Where latencies are, and phases with theirs; the names of both are metrics without it too.
pub(crate) const LATENCIES: &str = "latencies_us.";
const PHASES: &str = "phases";

/// Parts of a JSON report that are no metrics: lists, what has other names in each run (reasons, codes), what says how
/// the run was made, and a process by its number.
const NO_METRICS: [&str; 13] = [
    "closed_reasons",
    "feed.refused",
    "feed.seed",
    "memory.pid",
    "refused",
    "reconnection.reconnects",
    "reconnection.failed_tries",
    "reconnection.refusals",
    "status.refusals",
    "status.lost",
    "status.failed_tries",
    "status.orders",
    "status.cpu_ns",
];
const PROVENANCE: &str = "run";

/// Metrics that are what they are however fast the generator was: what became of messages, and memory.
const FACTS: [&str; 15] = [
    "lost",
    "forbidden",
    "stale",
    "miscounted",
    "unacknowledged",
    "duplicated",
    "out_of_order",
    "closed",
    "mismatched",
    "repeated",
    "crowded",
    "early",
    "pings",
    "missing",
    "connected",
];

/// The metrics of a report.
pub(crate) fn metrics(report: &Value) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    gather(&mut metrics, "", report);
    metrics
}

/// A metric's name without what is clear without it: `storm.ack.p99`.
pub(crate) fn short(name: &str) -> String {
    let name = name.replace(LATENCIES, "");
    name.strip_prefix(PHASES).and_then(|name| name.strip_prefix('.')).map(str::to_owned).unwrap_or(name)
}

/// The phase of a metric, as a part of its name.
pub(crate) fn phase_of(name: &str) -> Option<&str> {
    name.strip_prefix(PHASES)?.strip_prefix('.')?.split('.').next()
}

/// Whether a metric is what it is however fast the generator was.
pub(crate) fn is_fact(name: &str) -> bool {
    name.starts_with("memory.")
        || name.starts_with("million.session.")
        || FACTS.contains(&name.rsplit('.').next().unwrap_or(name))
}

fn gather(metrics: &mut BTreeMap<String, f64>, path: &str, value: &Value) {
    match value {
        _ if NO_METRICS.contains(&path) || path == PROVENANCE => {}
        Value::Number(number) => _ = number.as_f64().map(|figure| metrics.insert(path.to_owned(), figure)),
        // No latency was measured, so none is 0.
        Value::Object(of) if path.contains(LATENCIES) && of.get("count").is_some_and(|count| count == 0) => {
            metrics.insert(format!("{path}.count"), 0.0);
        }
        Value::Object(of) => of.iter().for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            gather(metrics, &path, value);
        }),
        Value::Array(phases) if path == PHASES => phases.iter().for_each(|phase| {
            let slug = Phase::slug(phase["name"].as_str().unwrap_or_default());
            gather(metrics, &format!("{path}.{slug}"), phase);
        }),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_a_number_that_every_report_of_its_kind_has() {
        check(r#"{"lost": 1, "url": "ws", "interrupted": true, "memory": null}"#, "lost=1");
        check(
            r#"{"latencies_us": {"ack": {"count": 2, "p50": 1.5}}}"#,
            "latencies_us.ack.count=2 latencies_us.ack.p50=1.5",
        );
        check(r#"{"latencies_us": {"ack": {"count": 0, "p50": 0}}}"#, "latencies_us.ack.count=0");
        check(r#"{"by_second": [{"sent": 1}], "closed_reasons": {"a": 1}, "run": {"started_ms": 1}}"#, "");
        check(
            r#"{"phases": [{"name": "all read", "seconds": 2, "latencies_us": {"ack": {"count": 0, "p50": 0}}}]}"#,
            "phases.all-read.latencies_us.ack.count=0 phases.all-read.seconds=2",
        );
        check(r#"{"status": {"lost": {"a": 1}, "churned": 2, "orders": 9}}"#, "status.churned=2");
        check(r#"{"reconnection": {"away": 3, "refusals": {"114": 2}}}"#, "reconnection.away=3");
    }

    #[test]
    fn a_name_may_be_short() {
        assert_eq!(short("phases.storm.latencies_us.ack.p99"), "storm.ack.p99");
        assert_eq!(short("latencies_us.ack.p99"), "ack.p99");
        assert_eq!(short("memory.bytes_per_connection"), "memory.bytes_per_connection");
        assert_eq!(phase_of("phases.storm.latencies_us.ack.p99"), Some("storm"));
        assert_eq!(phase_of("latencies_us.ack.p99"), None);
    }

    fn check(report: &str, expected: &str) {
        let metrics = metrics(&serde_json::from_str(report).expect("JSON"));
        let said: Vec<_> = metrics.iter().map(|(name, figure)| format!("{name}={figure}")).collect();
        assert_eq!(said.join(" "), expected);
    }
}
