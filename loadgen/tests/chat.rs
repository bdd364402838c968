//! `loadgen` in sessions as a user runs it, against a node that breaks its promises: what is counted is what happened.

mod listener;
mod node;
mod running;

use std::path::Path;

use node::{Fault, Node};
use running::count;
use serde_json::Value;

/// Runs to the end against a node; gives the exit code, the report (null if there is none) and standard error.
fn run(node: &Node, accounts: &Path, arguments: &str) -> (i32, Value, String) {
    let (ws, api, accounts) = (node.ws, node.api, accounts.display());
    running::run(&format!("{arguments} --url ws://{ws} --api http://{api} --json --accounts {accounts}"))
}

const COUNTS: [&str; 6] = ["lost", "duplicated", "out_of_order", "mismatched", "closed", "unsent"];

#[test]
fn what_the_node_does_to_messages_is_what_is_counted() {
    check(Fault::None, "--rate 400", "", 0);
    check(Fault::None, "--rate 400 --encoding json", "", 0);
    check(Fault::None, "--pipeline 2", "", 0);
    check(Fault::None, "--rate 200 --group 4", "", 0);
    check(Fault::LosePush, "--rate 400", "lost", 1);
    check(Fault::LoseAck, "--rate 400", "lost", 1);
    check(Fault::DoublePush, "--rate 400", "duplicated", 1);
    check(Fault::SwapPush, "--rate 2000", "out_of_order", 1);
    check(Fault::ChangePush, "--rate 400", "mismatched", 1);
    check(Fault::Refuse, "--rate 400", "retried", 0);
    check(Fault::Forbid, "--rate 100", "refused", 1);
}

/// Of the counts, `named` equals the node's and all others are 0.
fn check(fault: Fault, arguments: &str, named: &str, code: i32) {
    let (node, directory) = (Node::start(fault), tempfile::tempdir().expect("a directory"));
    let arguments = format!("chat --connections 8 --seconds 0.6 --warmup 0.1 {arguments}");
    let (got, report, stderr) = run(&node, &directory.path().join("accounts"), &arguments);
    let row = format!("{fault:?} {arguments}: {report} {stderr}");
    assert_eq!(got, code, "{row}");
    assert!(count(&report, "acked") > 20, "{row}");
    assert_eq!(node.faults() > 0, fault != Fault::None, "{row}");
    for name in COUNTS {
        let expected = if name == named { node.faults() } else { 0 };
        // One who was told another text first disagrees with all who are told later.
        let more = (fault, name) == (Fault::ChangePush, "mismatched") && count(&report, name) > expected;
        assert!(more || count(&report, name) == expected, "{name} of {row}");
    }
    let refused: u64 = report["refused"].as_object().expect("a map").values().filter_map(Value::as_u64).sum();
    assert_eq!(refused, if named == "refused" { node.faults() } else { 0 }, "{row}");
    assert_eq!(count(&report, "retried"), if named == "retried" { node.faults() } else { 0 }, "{row}");
    let seconds = report["by_second"].as_array().expect("a list");
    for latency in ["ack", "delivery"] {
        let counts = seconds.iter().map(|second| second["latencies_us"][latency]["count"].as_u64());
        assert_eq!(counts.sum::<Option<u64>>(), report["latencies_us"][latency]["count"].as_u64(), "{row}");
    }
    if fault == Fault::None {
        let others = count(&report, "group") - 1;
        assert_eq!(count(&report, "delivered"), others * count(&report, "acked"), "{row}");
        assert_eq!(count(&report, "sent"), count(&report, "acked"), "{row}");
        for latency in ["ack", "delivery"] {
            assert!(report["latencies_us"][latency]["p50"].as_f64() > Some(0.0), "{row}");
        }
    }
}

#[test]
fn a_resumed_device_was_pushed_its_inbox_or_the_difference_is_counted() {
    let arguments = "chat --connections 4 --rate 400 --seconds 1 --warmup 0.1 --resumes 20";
    let (node, directory) = (Node::start(Fault::None), tempfile::tempdir().expect("a directory"));
    let (code, report, stderr) = run(&node, &directory.path().join("accounts"), arguments);
    let row = format!("{report} {stderr}");
    assert_eq!((code, count(&report, "resumed"), node.state().connects), (0, 20, 4 + 20), "{row}");
    assert!(count(&report, "compared") > 100, "{row}");
    assert!(COUNTS.iter().all(|name| count(&report, name) == 0), "{row}");

    let node = Node::start(Fault::ResumeTooEarly);
    let (code, report, stderr) = run(&node, &directory.path().join("others"), arguments);
    let row = format!("{report} {stderr}");
    assert_eq!((code, count(&report, "duplicated")), (1, node.faults()), "{row}");
    assert!(node.faults() > 0, "{row}");
}

#[test]
fn a_device_that_catches_up_has_what_it_missed_once_and_in_order() {
    let check = |fault: Fault, named: &str, code: i32| {
        let (node, directory) = (Node::start(fault), tempfile::tempdir().expect("a directory"));
        let arguments = "catch-up --connections 4 --channels 1 --missed 12 --rounds 5";
        let (got, report, stderr) = run(&node, &directory.path().join("accounts"), arguments);
        let row = format!("{fault:?}: {report} {stderr}");
        assert_eq!((got, count(&report, "acked"), count(&report, "delivered")), (code, 60, 60), "{row}");
        for name in ["lost", "duplicated", "out_of_order", "closed"] {
            // Cut between two that were swapped, the device comes back to the earlier cursor and is told one of them
            // again.
            let may = (fault, name) == (Fault::SwapPush, "duplicated");
            assert!(may || (count(&report, name) > 0) == (name == named), "{name} of {row}");
        }
        assert_eq!(report["latencies_us"]["catch-up"]["count"], 5, "{row}");
    };
    check(Fault::None, "", 0);
    check(Fault::DoublePush, "duplicated", 1);
    check(Fault::SwapPush, "out_of_order", 1);
}

/// Runs to the end against nodes that are one.
fn run_over(nodes: &[Node], arguments: &str) -> (i32, Value, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let urls = nodes.iter().map(|node| format!("--url ws://{} --api http://{}", node.ws, node.api));
    let urls: Vec<_> = urls.collect();
    let accounts = directory.path().join("accounts");
    running::run(&format!("{arguments} {} --json --accounts {}", urls.join(" "), accounts.display()))
}

/// The sum of the counts under a name.
fn sum(counts: &Value) -> u64 {
    counts.as_object().expect("a map").values().filter_map(Value::as_u64).sum()
}

#[test]
fn sessions_that_are_lost_come_back_and_miss_nothing_or_the_difference_is_counted() {
    check_over(Fault::None, "--rate 400", "", 0);
    check_over(Fault::None, "--rate 400 --encoding json", "", 0);
    check_over(Fault::None, "--pipeline 2 --group 4", "", 0);
    check_over(Fault::Refuse, "--rate 400", "", 0);
    check_over(Fault::ResumeTooEarly, "--rate 400", "duplicated", 1);
    check_over(Fault::ResumeTooLate, "--rate 400", "lost", 1);
    check_over(Fault::CommitTwice, "--rate 400", "duplicated doubled", 1);
    check_over(Fault::HideFromHistory, "--rate 400", "history", 1);
    check_over(Fault::ChangePush, "--rate 400", "mismatched", 1);
}

/// Over three restless nodes: of the counts, those `named` equal the nodes' and all others are 0.
fn check_over(fault: Fault, arguments: &str, named: &str, code: i32) {
    let nodes = Node::restless(fault, 3);
    let arguments = format!("chat --connections 8 --seconds 1 --warmup 0.1 {arguments}");
    let (got, report, stderr) = run_over(&nodes, &arguments);
    let row = format!("{fault:?} {arguments}: {report} {stderr}");
    let state = nodes[0].state();
    assert_eq!((got, state.faults() > 0), (code, fault != Fault::None), "{row}");
    let expected = |name: &str| if named.split(' ').any(|named| named == name) { state.faults() } else { 0 };
    for name in COUNTS {
        let more = (fault, name) == (Fault::ChangePush, "mismatched") && count(&report, name) > expected(name);
        assert!(more || count(&report, name) == expected(name), "{name} of {row}");
    }
    let (reconnection, acked) = (&report["reconnection"], count(&report, "acked"));
    assert!(acked > 50 && state.ended > 0 && state.refused > 0, "{row}");
    assert_eq!(sum(&reconnection["reconnects"]), state.ended, "{row}");
    assert!(reconnection["refusals"]["113"].as_u64() >= Some(state.refused), "{row}");
    assert_eq!((count(reconnection, "away"), count(reconnection, "unacknowledged")), (0, 0), "{row}");
    let history = &reconnection["history"];
    assert_eq!(count(history, "doubled"), expected("doubled"), "{row}");
    assert_eq!(count(history, "lost"), expected("history"), "{row}");
    assert_eq!((count(history, "out_of_order"), count(history, "untold")), (0, 0), "{row}");
    assert!(fault != Fault::None || count(history, "messages") == acked, "{row}");
    let back = &report["latencies_us"]["back"];
    assert!(count(back, "count") > 0 && back["p99"].as_f64() > Some(0.0), "{row}");
}

#[test]
fn a_node_that_says_nothing_is_left_and_so_is_one_that_goes_away() {
    let arguments = "chat --connections 8 --rate 200 --seconds 1 --warmup 0";
    let nodes = Node::pair(Fault::FallSilent);
    let (code, report, stderr) = run_over(&nodes, arguments);
    let reconnects = &report["reconnection"]["reconnects"];
    assert_eq!((code, &reconnects["its node said nothing for 6 s"]), (0, &1.into()), "{report} {stderr}");

    let nodes = Node::pair(Fault::Drain);
    let (code, report, stderr) = run_over(&nodes, arguments);
    let (reconnects, state) = (&report["reconnection"]["reconnects"], nodes[0].state());
    assert_eq!((code, &reconnects["its node goes away"]), (0, &state.faults().into()), "{report} {stderr}");
    assert_eq!((state.faults(), state.places[0].1, state.places[1].1), (4, 4, 8), "all are at the other node now");
}

#[test]
fn a_node_that_cannot_be_reached_is_passed_over_and_if_none_can_that_is_said() {
    let mut nodes = Node::pair(Fault::None);
    let nobody = "127.0.0.1:1".parse().expect("an address");
    (nodes[0].ws, nodes[0].api) = (nobody, nobody);
    let arguments = "chat --connections 8 --rate 200 --seconds 0.5 --warmup 0";
    let (code, report, stderr) = run_over(&nodes, arguments);
    let failed = &report["reconnection"]["failed_tries"];
    assert!(code == 0 && sum(failed) >= 4 && failed.to_string().contains("Connection refused"), "{report} {stderr}");

    nodes[1].ws = nobody;
    let (code, _, stderr) = run_over(&nodes, arguments);
    assert!(code == 2 && stderr.contains("cannot connect to 127.0.0.1:1"), "{code} {stderr}");
}

#[test]
fn accounts_and_channels_are_made_once_and_used_again() {
    let (node, directory) = (Node::start(Fault::None), tempfile::tempdir().expect("a directory"));
    let accounts = directory.path().join("accounts");
    let made = |arguments: &str| {
        let (code, report, stderr) = run(&node, &accounts, arguments);
        assert_eq!(code, 0, "{arguments}: {report} {stderr}");
        let state = node.state();
        (state.users.len(), state.channels.len())
    };
    let quick = "--seconds 0.2 --warmup 0";
    assert_eq!(made(&format!("chat --connections 4 --rate 50 {quick}")), (4, 2));
    assert_eq!(made(&format!("chat --connections 4 --rate 50 {quick}")), (4, 2));
    assert_eq!(made(&format!("chat --connections 6 --rate 50 {quick}")), (6, 3));
    assert_eq!(made(&format!("chat --connections 6 --group 3 --rate 50 {quick}")), (6, 5));
    assert_eq!(made(&format!("echo --connections 6 --pipeline 4 {quick}")), (6, 5));
    assert_eq!(made("idle --connections 7 --seconds 0.2"), (7, 5));

    let other = Node::start(Fault::None);
    let (code, _, stderr) = run(&other, &accounts, "idle --connections 1 --seconds 0.1");
    assert!(code == 2 && stderr.contains("name another file"), "{code} {stderr}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let (node, directory) = (Node::start(Fault::None), tempfile::tempdir().expect("a directory"));
    let refusal = |arguments: &str, part: &str| {
        let (code, _, stderr) = run(&node, &directory.path().join("accounts"), arguments);
        assert!(code == 2 && stderr.contains(part), "{arguments}: {code} {stderr}");
    };
    refusal("chat --connections 7 --group 3", "does not divide into channels of 3 members; 6 or 9 would");
    refusal("chat --raw --connections 2", "leave out --raw");
    refusal("echo --size 10000", "larger ones need --raw");
    let mut gone = node.clone();
    gone.api = "127.0.0.1:1".parse().expect("an address");
    let (code, _, stderr) = run(&gone, &directory.path().join("accounts"), "idle");
    assert!(code == 2 && stderr.contains("cannot reach the API at http://127.0.0.1:1"), "{code} {stderr}");
}
