//! Metrics: the numbers of a JSON report, each under its path.

use std::collections::BTreeMap;

use serde_json::Value;

/// Where latencies are; their names are metrics without it too.
pub(crate) const LATENCIES: &str = "latencies_us.";

/// Parts of a JSON report that are no metrics: lists, what has other names in each run (reasons, codes), what says how
/// the run was made, and a process by its number.
const NO_METRICS: [&str; 6] = [
    "closed_reasons",
    "memory.pid",
    "refused",
    "reconnection.reconnects",
    "reconnection.failed_tries",
    "reconnection.refusals",
];
const PROVENANCE: &str = "run";

/// Metrics that are what they are however fast the generator was: what became of messages, and memory.
const FACTS: [&str; 9] =
    ["lost", "duplicated", "out_of_order", "closed", "mismatched", "repeated", "crowded", "early", "pings"];

/// The metrics of a report.
pub(crate) fn metrics(report: &Value) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    gather(&mut metrics, "", report);
    metrics
}

/// Whether a metric is what it is however fast the generator was.
pub(crate) fn is_fact(name: &str) -> bool {
    name.starts_with("memory.") || FACTS.contains(&name.rsplit('.').next().unwrap_or(name))
}

fn gather(metrics: &mut BTreeMap<String, f64>, path: &str, value: &Value) {
    match value {
        _ if NO_METRICS.contains(&path) || path == PROVENANCE => {}
        Value::Number(number) => _ = number.as_f64().map(|figure| metrics.insert(path.to_owned(), figure)),
        // No latency was measured, so none is 0.
        Value::Object(of) if path.starts_with(LATENCIES) && of.get("count").is_some_and(|count| count == 0) => {
            metrics.insert(format!("{path}.count"), 0.0);
        }
        Value::Object(of) => of.iter().for_each(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            gather(metrics, &path, value);
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
        check(r#"{"reconnection": {"away": 3, "refusals": {"114": 2}}}"#, "reconnection.away=3");
    }

    fn check(report: &str, expected: &str) {
        let metrics = metrics(&serde_json::from_str(report).expect("JSON"));
        let said: Vec<_> = metrics.iter().map(|(name, figure)| format!("{name}={figure}")).collect();
        assert_eq!(said.join(" "), expected);
    }
}
