//! `loadgen storm`, `churn`, `fanout` and `slow-readers` as a user runs them, by workers, against a real node.

mod real;
mod running;

use std::fs;

use real::Node;
use running::count;
use serde_json::Value;

/// A node with accounts that nobody has a password for.
fn node() -> (Node, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let users = real::said(&["store", "accounts", "--prefix", "load_", "--count", "40", "--data"], &data);
    fs::write(directory.path().join("users"), users).expect("written");
    (Node::start(&data), directory)
}

/// Exit code, report and standard error of a run against it.
fn run((node, directory): &(Node, tempfile::TempDir), arguments: &str) -> (i32, Value, String) {
    let (ws, api, at) = (&node.ws, &node.api, directory.path().display());
    running::run(&format!(
        "{arguments} --json --url {ws} --api {api} --token-key {at}/data/token.key --users {at}/users"
    ))
}

#[test]
fn crowds_of_workers_miss_nothing_whatever_they_do() {
    let node = node();
    // Messages go to all devices of a channel's accounts; of so many phases.
    check(&node, "storm --devices 2 --sessions 40 --others 8 --rate 20 --seconds 1", 4, 2);
    check(&node, "churn --devices 2 --sessions 40 --churn 20 --rate 20 --seconds 2 --workers 2", 0, 1);
    check(&node, "fanout --devices 4 --members 10 --rate 20 --seconds 1", 40, 1);
    check(&node, "fanout --large --devices 4 --members 10 --rate 20 --seconds 1 --encoding json", 40, 1);
    check(&node, "fanout --large --devices 2 --members 5 --channels 4 --rate 20 --seconds 1", 10, 1);
    check(&node, "slow-readers --devices 2 --members 4 --sessions 40 --rate 20 --seconds 1 --slow 25", 8, 3);
}

/// All are there, and every message came to `each` sessions, or, where sessions go, to all of those that were there.
fn check(node: &(Node, tempfile::TempDir), arguments: &str, each: u64, phases: usize) {
    let (code, report, stderr) = run(node, arguments);
    let row = format!("{arguments}: {report} {stderr}");
    assert_eq!(code, 0, "{row}");
    let counted = |name: &str| count(&report["status"], name);
    assert_eq!(counted("connected"), count(&report, "connections"), "{row}");
    assert_eq!(["lost", "duplicated", "out_of_order"].map(|name| count(&report, name)), [0, 0, 0], "{row}");
    assert!(counted("sent") >= 15 && counted("sent") == counted("acked"), "{row}");
    let told = report["phases"].as_array().expect("phases");
    assert_eq!(told.len(), phases, "{row}");
    adds_up(&report, &row);
    if each > 0 {
        assert_eq!(counted("delivered"), each * counted("sent"), "{row}");
    } else {
        assert!(counted("churned") >= 30 && counted("delivered") > counted("sent"), "{row}");
        assert!(report["phases"][0]["latencies_us"]["back"]["count"].as_u64() >= Some(20), "{row}");
        assert_eq!(count(&report, "workers"), 2, "{row}");
    }
}

/// What is told by phase and by second is what is told of the whole.
fn adds_up(report: &Value, row: &str) {
    let of = |part: &Value, kind: &str| part["latencies_us"][kind]["count"].as_u64().unwrap_or_default();
    let sum = |parts: &str, kind: &str| {
        report[parts].as_array().into_iter().flatten().map(|part| of(part, kind)).sum::<u64>()
    };
    for kind in ["ack", "delivery"] {
        let all = of(report, kind);
        assert!(all > 0 && sum("phases", kind) == all && sum("by_second", kind) == all, "{kind} of {row}");
    }
    assert_eq!(of(report, "ack") + of(report, "slow-ack"), count(report, "acked"), "{row}");
}

#[test]
fn a_crowd_is_judged_kept_drawn_and_compared_as_a_chat_is() {
    let node = node();
    let at = |name: &str| node.1.path().join(name).display().to_string();
    let files = |run: &str| {
        let [save, hlog, html] = ["json", "hlog", "html"].map(|ending| at(&format!("{run}.{ending}")));
        format!("--save {save} --hlog {hlog} --html {html}")
    };
    let pid = node.0.child.id();
    let churn = format!("churn --devices 2 --sessions 40 --churn 20 --rate 20 --seconds 6 --pid {pid}");
    for (run_of, condition, expected) in
        [("a", "churn.ack.p99>60s", "held"), ("b", "churn.server_us_per_delivery>0.001us", "failed")]
    {
        let (code, report, stderr) = run(&node, &format!("{churn} {} --fail-if {condition}", files(run_of)));
        let row = format!("{condition}: {report} {stderr}");
        assert_eq!(report["judged"][0]["outcome"].as_str(), Some(expected), "{row}");
        assert_eq!(code, i32::from(expected == "failed"), "{row}");
        assert!(report["memory"]["bytes_per_connection"].is_number(), "{row}");
        let saved: Value = serde_json::from_str(&fs::read_to_string(at(&format!("{run_of}.json"))).unwrap()).unwrap();
        assert_eq!(saved, report, "--save is --json");
    }
    let log = fs::read_to_string(at("a.hlog")).expect("written");
    assert!(log.contains("Tag=ack,") && log.contains("Tag=back,"), "{log}");
    let page = fs::read_to_string(at("a.html")).expect("written");
    for part in
        ["held: not churn.ack.p99", "Latency by percentile", "<h2>Sessions", "Memory of the server", ">churn</text>"]
    {
        assert!(page.contains(part), "{part} is not on {page}");
    }
    let (code, compared, stderr) = running::run(&format!("compare {} {} --json", at("a.json"), at("b.json")));
    let metrics: Vec<_> = compared["seconds"].as_array().expect("rows").iter().map(|row| &row["metric"]).collect();
    assert!(code == 0 && metrics.contains(&&"churn: ack p50, µs".into()), "{compared} {stderr}");

    let (code, report, stderr) = run(&node, &format!("{churn} --fail-if storm.ack.p99>1ms"));
    assert!(code == 2 && report == Value::Null && stderr.contains("no metric \"storm.ack.p99\""), "{code} {stderr}");
}

#[test]
fn a_scenario_is_played_in_its_shares_and_stages() {
    let node = node();
    let path = node.1.path().join("scenario.toml");
    let text = "group_members = 4\n[mix]\ndirect = 4\ngroup = 3\npresence = 2\nsearch = 2\nchurn = 1\n\
                [[stage]]\nname = \"up\"\nseconds = 2\nrate = 60\nramp = true\n[[stage]]\nseconds = 1\nrate = 60\n";
    let chat = format!("chat --connections 40 --scenario {}", path.display());
    fs::write(&path, text).expect("written");
    let (code, report, stderr) = run(&node, &format!("{chat} --fail-if up.ack.p99>60s --fail-if stage-2.ack.count<1"));
    let row = format!("{report} {stderr}");
    assert_eq!(code, 0, "{row}");
    let counted = |name: &str| count(&report["status"], name);
    assert_eq!(["lost", "duplicated", "out_of_order"].map(|name| count(&report, name)), [0, 0, 0], "{row}");
    // Some 120 actions, seven of twelve of which are messages, four questions and one a session that goes.
    assert!((30..120).contains(&counted("sent")) && counted("sent") == counted("acked"), "{row}");
    assert!((10..90).contains(&(counted("answered") + counted("given_up"))), "{row}");
    assert!((1..40).contains(&counted("churned")), "{row}");
    // To two accounts or to four.
    assert!(counted("delivered") > 2 * counted("sent") - 20, "{row}");
    assert_eq!(report["phases"][0]["name"].as_str(), Some("up"), "{row}");
    assert!(report["phases"][1]["latencies_us"]["ack"]["count"].as_u64() > Some(0), "{row}");

    let check = |from: &str, to: &str, arguments: &str, expected: &str| {
        fs::write(&path, text.replace(from, to)).expect("written");
        let (code, report, stderr) = run(&node, arguments);
        assert!(code == 2 && report == Value::Null && stderr.contains(expected), "{arguments}: {code} {stderr}");
    };
    check("search", "serch", &chat, "line 6: unknown field `serch`");
    check("search", "serch", &chat, "the nearest is `search`");
    check("", "", &chat.replace("40", "30"), "does not divide into groups of 4 accounts");
}

#[test]
fn what_a_crowd_cannot_do_is_said() {
    let node = node();
    let check = |arguments: &str, expected: &str| {
        let (code, report, stderr) = run(&node, arguments);
        assert!(code == 2 && report == Value::Null && stderr.contains(expected), "{arguments}: {code} {stderr}");
    };
    check("churn --sessions 2000", "names 40 accounts, 125 are needed; make more with `rookery store accounts`");
    check("churn --sessions 20", "20 sessions of --devices 16 each are less than one channel of 2 accounts");
    check("fanout --members 300 --devices 1", "names 40 accounts, 300 are needed");
    check("fanout --members 501", "--members 501: a group has 500 at most; --large makes a large channel of more");
    check("fanout --large --members 501 --devices 1", "names 40 accounts, 501 are needed");
}
