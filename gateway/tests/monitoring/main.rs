//! The dashboard and the alert rules in `deploy/` name what nodes export, and nothing else.
//!
//! Two real nodes are asked: one over the embedded store that sends notifications, one of a cluster, whose links' port a
//! stranger has found. Metrics and labels that neither exports are a failure, and so is an alert without a remedy or with
//! a section that the manual does not have.

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use cluster::Cluster;
use fakes::Fakes;
use serde_json::Value;
use support::{Node, PATIENCE, text};

/// What expressions are made of beside metrics and labels.
const PROMQL: [&str; 18] = [
    "and",
    "avg",
    "bool",
    "by",
    "count",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "min",
    "offset",
    "on",
    "or",
    "predict_linear",
    "rate",
    "sum",
    "unless",
    "without",
];
/// Labels that Prometheus gives what it reads, and a metric of its own.
const OWN_LABELS: [&str; 2] = ["job", "instance"];
const OWN_METRIC: &str = "up";

/// Labels of each metric, by its name in expressions.
type Exported = BTreeMap<String, BTreeSet<String>>;

fn file(path: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Adds what a node's `/metrics` says.
fn add(exported: &mut Exported, text: &str) {
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            let ends: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                "info" => &["_info"],
                _ => &[""],
            };
            for end in ends {
                exported.entry(format!("{name}{end}")).or_default();
            }
        } else if !line.starts_with('#') {
            let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
            exported.entry(name.to_owned()).or_default().extend(words(labels));
        }
    }
}

/// Names in an expression, without its texts, numbers and ranges.
fn words(expression: &str) -> Vec<String> {
    let outside = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let outside: String = outside.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':' | '$' | '.');
    let found = outside.split(|letter| !is_part(letter)).map(str::to_owned);
    found.filter(|word| word.starts_with(|letter: char| letter.is_ascii_alphabetic())).collect()
}

/// What an expression names that nobody exports, and what the text beside it does.
fn unknown(exported: &Exported, expression: &str, beside: &str) -> Vec<String> {
    let is_metric = |word: &String| word.starts_with("rookery_") || word.starts_with("process_");
    let (metrics, others): (Vec<String>, Vec<String>) = words(expression).into_iter().partition(is_metric);
    let mut unknown: Vec<String> = metrics.iter().filter(|metric| !exported.contains_key(*metric)).cloned().collect();
    if metrics.is_empty() && !others.iter().any(|word| word == OWN_METRIC) {
        unknown.push(format!("no metric in {expression:?}"));
    }
    let labels: BTreeSet<&str> =
        metrics.iter().filter_map(|metric| exported.get(metric)).flatten().map(String::as_str).collect();
    let is_label = |word: &str| labels.contains(word) || OWN_LABELS.contains(&word);
    let is_known = |word: &str| is_label(word) || PROMQL.contains(&word) || word == OWN_METRIC;
    unknown.extend(others.into_iter().filter(|word| !is_known(word)));
    // `{{label}}` of a legend, `$labels.label` of an annotation.
    let shown = beside.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(inside, _)| inside.trim());
    let shown = shown.map(|inside| inside.strip_prefix("$labels.").unwrap_or(inside));
    unknown.extend(shown.filter(|inside| !inside.starts_with("$value") && !is_label(inside)).map(str::to_owned));
    unknown
}

/// Each expression of a dashboard with its legend.
fn expressions(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            let legend = fields.get("legendFormat").map_or(String::new(), text);
            let named = ["expr", "definition"].iter().filter_map(|key| fields.get(*key));
            found.extend(named.map(|expression| (text(expression), legend.clone())));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(elements) => elements.iter().for_each(|value| expressions(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The rules of a file whose values each stand on a line: what each key says, of each alert.
fn alerts(rules: &str) -> Vec<BTreeMap<String, String>> {
    let mut alerts: Vec<BTreeMap<String, String>> = Vec::new();
    for line in rules.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        if key == "- alert" {
            alerts.push(BTreeMap::new());
        }
        if let Some(alert) = alerts.last_mut() {
            alert.insert(key.trim_start_matches("- ").to_owned(), value.trim_matches('"').to_owned());
        }
    }
    alerts
}

/// The anchors of a manual's headings.
fn anchors(manual: &str) -> BTreeSet<String> {
    let anchor = |line: &str| -> String {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    manual.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// What a node says of itself, once this is a part of it.
fn once_it_has(node: &Node, part: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = node.get("/metrics").1;
        if text.contains(part) {
            return text;
        }
        assert!(Instant::now() < until, "{part:?} never came: {text}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// What two nodes export.
fn exported() -> Exported {
    let mut exported = Exported::new();
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    std::fs::create_dir(&data).expect("a directory");
    let fakes = Fakes::start(&directory.path().join("fakes")).expect("they start");
    let providers = fakes.config_path().to_str().expect("a path in UTF-8");
    let alone = Node::start("run", &data, &["--shards", "1", "--notify.providers_file", providers]);
    // Depths of queues are counted some time after the start.
    add(&mut exported, &once_it_has(&alone, "\nrookery_notify_waiting{"));

    let cluster = Cluster::start();
    let member = cluster.linked("one").ready();
    member.until_ready(None);
    let nodes: Value = serde_json::from_str(&member.get("/admin/nodes").1).expect("JSON");
    let mut stranger = TcpStream::connect(text(&nodes["nodes"][0]["links"])).expect("it listens");
    stranger.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
    stranger.write_all(&[b'x'; 64]).expect("it is taken");
    // It is told a number, and then that it is nobody: an end, or a reset where it was not read to its end.
    let _ = stranger.read_to_end(&mut Vec::new());
    add(&mut exported, &once_it_has(&member, "\nrookery_links_refused_total{"));
    exported
}

#[test]
fn the_dashboard_and_the_alerts_name_what_nodes_export() {
    let exported = exported();
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/rookery.json")).expect("JSON");
    let mut shown = Vec::new();
    expressions(&dashboard, &mut shown);
    assert!(shown.len() > 50, "the dashboard has {} expressions", shown.len());
    for (expression, legend) in &shown {
        assert_eq!(unknown(&exported, expression, legend), [""; 0], "no node exports that: {expression} {legend}");
    }

    let (rules, anchors) = (file("deploy/prometheus/alerts.yml"), anchors(&file("docs/operation.md")));
    let alerts = alerts(&rules);
    assert_eq!(alerts.len(), rules.matches("- alert: ").count());
    assert!(alerts.len() > 20, "there are {} alerts", alerts.len());
    for alert in &alerts {
        let says = |key: &str| alert.get(key).unwrap_or_else(|| panic!("{alert:?} says no {key}"));
        let shown = format!("{} {}", says("summary"), says("remedy"));
        assert_eq!(unknown(&exported, says("expr"), &shown), [""; 0], "no node exports that: {alert:?}");
        assert!(says("remedy").len() > 20, "{alert:?} has no remedy");
        assert!(matches!(says("labels").as_str(), "{severity: page}" | "{severity: ticket}"), "{alert:?}");
        let anchor = says("manual").strip_prefix("docs/operation.md#").unwrap_or_else(|| panic!("{alert:?}"));
        assert!(anchors.contains(anchor), "docs/operation.md has no section #{anchor}: {alert:?}");
    }
}

#[test]
fn what_no_node_exports_is_found() {
    let mut exported = Exported::new();
    add(
        &mut exported,
        "# TYPE rookery_sends counter\nrookery_sends_total 3\n# TYPE rookery_links gauge\nrookery_links{shard=\"0\"} 1\n\
         # TYPE rookery_append_seconds histogram\nrookery_append_seconds_bucket{le=\"0.1\"} 2\n# EOF",
    );
    let check = |expression: &str, beside: &str, expected: &[&str]| {
        assert_eq!(unknown(&exported, expression, beside), expected, "{expression} {beside}");
    };
    check("rate(rookery_sends_total{job=~\"$job\"}[5m]) > 0", "{{instance}}", &[]);
    check("sum by (shard) (rookery_links)", "{{shard}} {{ $labels.shard }} {{ $value | humanize }}", &[]);
    check("histogram_quantile(0.99, sum by (le) (rate(rookery_append_seconds_bucket[5m])))", "", &[]);
    check("up{job=\"rookery\"} == 0", "{{ $labels.instance }}", &[]);
    check("rate(rookery_sends[5m])", "", &["rookery_sends"]);
    check("rookery_append_seconds", "", &["rookery_append_seconds"]);
    check("sum by (node) (rookery_links)", "", &["node"]);
    check("rookery_links{shred=\"0\"}", "{{shred}}", &["shred", "shred"]);
    check("some(rookery_links)", "", &["some"]);
    check("vector(1)", "", &["no metric in \"vector(1)\"", "vector"]);
}
