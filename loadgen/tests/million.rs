//! `loadgen million` as a user runs it, with a stand-in, nodes and workers of its own, at a size that a test may have.

mod running;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A run of two nodes on ports that no other test has, with programs that were built beside: a build of the workspace has
/// them.
fn million(port: u16, arguments: &str) -> String {
    format!("million --port {port} --devices 4 --nodes 2 --json {arguments}")
}

/// Processes that descend from `ancestor` by their names.
fn descendants(ancestor: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("there is /proc").flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if parent == Some(ancestor) {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
            found.push((pid, words));
        }
    }
    found
}

fn lives(pid: u32) -> bool {
    // One that nobody has waited for is no longer alive.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn until(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < until, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_session_is_there_and_each_drawn_one_gets_its_message() {
    let arguments =
        "--sessions 100 --opening 50 --quiet 1 --seconds 2 --rate 20 --probes 30 --fail-if talk.ack.p99>60s";
    let (code, report, stderr) = running::run(&million(21_100, arguments));
    let row = format!("{report} {stderr}");
    assert_eq!(code, 0, "{row}");
    let counted = |name: &str| running::count(&report["status"], name);
    assert_eq!((counted("connected"), counted("probed"), counted("arrived")), (100, 30, 30), "{row}");
    assert_eq!(["lost", "duplicated", "out_of_order"].map(|name| running::count(&report, name)), [0, 0, 0], "{row}");
    let sent = counted("sent");
    assert!((50..=70).contains(&(sent - 30 + 20)), "{sent} in {row}");
    // Each to two accounts of four devices.
    assert_eq!((counted("acked"), counted("delivered")), (sent, 8 * sent), "{row}");
    for latency in ["in", "ack", "delivery"] {
        assert!(report["latencies_us"][latency]["p50"].as_f64() > Some(0.0), "{latency} of {row}");
    }
    assert_eq!((report["million"]["nodes"].as_u64(), report["workers"].as_u64()), (Some(2), Some(1)), "{row}");
    let phases: Vec<_> = report["phases"].as_array().expect("phases").iter().map(|phase| &phase["name"]).collect();
    assert_eq!(phases, ["opening", "resting", "quiet", "talk", "probes"], "{row}");
    assert_eq!(report["judged"][0]["outcome"].as_str(), Some("held"), "{row}");
}

#[test]
fn what_cannot_be_held_is_said_before_anything_is_started() {
    let check = |arguments: &str, expected: &str| {
        let (code, report, stderr) = running::run(&million(21_200, arguments));
        assert!(code == 2 && report == Value::Null && stderr.contains(expected), "{arguments}: {code} {stderr}");
    };
    check(
        "--sessions 2000000000",
        "this machine is too small for 2000000000 sessions, nothing was started:\n  files: ",
    );
    check("--sessions 7", "--sessions 7 of --devices 4 each are less than two whole accounts");
    check("--sessions 100 --rookery /none", "/none is missing: name it with --rookery, or build it");
}

/// A run that has come as far as `line`, and what it started.
fn running_until(port: u16, line: &str) -> (Child, Vec<(u32, String)>, BufReader<std::process::ChildStderr>) {
    let mut child =
        running::loadgen(&million(port, "--sessions 64 --quiet 600 --probes 8")).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut said = String::new();
    while !said.contains(line) {
        said.clear();
        assert!(lines.read_line(&mut said).expect("it writes text") > 0, "it ended before {line:?}");
    }
    let started = descendants(child.id());
    // A store, two nodes and a worker.
    assert_eq!(started.len(), 4, "{started:?}");
    (child, started, lines)
}

#[test]
fn nothing_outlives_a_run_however_it_ends() {
    let mut directories = Vec::new();
    for (port, signal) in [(21_300, Signal::KILL), (21_340, Signal::INT)] {
        let (mut child, started, _lines) = running_until(port, "quiet ");
        let directory = std::env::temp_dir().join(format!("rookery-million-{}", child.id()));
        assert!(directory.is_dir(), "{}", directory.display());
        directories.push(directory);
        let pid = Pid::from_raw(child.id() as i32).expect("it has a process");
        kill_process(pid, signal).expect("it is ours");
        until("the end of all that was started", || started.iter().all(|&(pid, _)| !lives(pid)));
        child.wait().expect("it has ended");
    }
    // A killed run removes nothing, and the next one does.
    assert!(directories.iter().all(|directory| !directory.exists()), "{directories:?}");
}

#[test]
fn a_worker_or_a_node_that_dies_ends_the_run_with_its_reason() {
    for (port, name, expected) in
        [(21_400, "loadgen worker", "was killed (signal 9)"), (21_440, "node-1", "node-1 has ended (signal: 9")]
    {
        let (child, started, mut lines) = running_until(port, "quiet ");
        let (pid, _) = started.iter().find(|(_, words)| words.contains(name)).expect("it was started");
        kill_process(Pid::from_raw(*pid as i32).expect("it has a process"), Signal::KILL).expect("it is ours");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut lines, &mut said).expect("it writes text");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.code() == Some(2) && said.contains(expected), "{name}: {:?} {said}", output.status);
        until("the end of all that was started", || started.iter().all(|&(pid, _)| !lives(pid)));
    }
}
