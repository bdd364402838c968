//! `loadgen --raw` as a user runs it, against an echo server of another make: what is counted is what happened.

mod listener;
mod running;
mod server;

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use running::{count, finish, loadgen, run};
use serde_json::Value;
use server::{Fault, Server};

const QUICK: &str = "--seconds 0.4 --warmup 0.1 --json --raw";

#[test]
fn what_the_server_does_to_messages_is_what_is_counted() {
    check(Fault::None, "echo --connections 7 --pipeline 4", "", 0);
    check(Fault::None, "echo --connections 7 --rate 3000", "", 0);
    check(Fault::Drop, "echo --connections 7 --pipeline 4", "lost", 1);
    check(Fault::Drop, "echo --connections 7 --rate 3000", "lost", 1);
    check(Fault::None, "echo --connections 7 --pipeline 4 --threads 3", "", 0);
    check(Fault::Drop, "echo --connections 7 --rate 3000 --threads 2", "lost", 1);
    check(Fault::Duplicate, "echo --connections 7 --pipeline 4", "duplicated", 1);
    check(Fault::Duplicate, "echo --connections 7 --rate 3000", "duplicated", 1);
    check(Fault::Swap, "echo --connections 7 --pipeline 4", "out_of_order", 1);
    check(Fault::Swap, "echo --connections 7 --rate 3000", "out_of_order", 1);
    check(Fault::Fragment, "echo --connections 3 --pipeline 4 --size 1000", "pings", 0);
    check(Fault::Ping, "echo --connections 3 --pipeline 4", "", 0);
    check(Fault::None, "echo --connections 2 --pipeline 2 --size 200000", "", 0);
    check(Fault::Fragment, "echo --connections 2 --pipeline 3 --size 1000000", "pings", 0);
}

/// Of the counts, `named` equals the server's and all others are 0.
fn check(fault: Fault, arguments: &str, named: &str, code: i32) {
    let server = Server::start(fault);
    let (got, report, stderr) = run(&format!("{arguments} --url {} {QUICK}", server.url()));
    let row = format!("{fault:?} {arguments}: {report} {stderr}");
    assert_eq!(got, code, "{row}");
    assert!(count(&report, "acked") > 50, "{row}");
    assert_eq!(count(&report, "acked") + count(&report, "lost"), count(&report, "sent"), "{row}");
    assert_eq!(count(&report, "acked"), count(&report, "delivered"), "{row}");
    for name in ["lost", "duplicated", "out_of_order"] {
        let expected = if name == named { server.faults() } else { 0 };
        assert_eq!(count(&report, name), expected, "{name} of {row}");
    }
    if named == "pings" {
        assert_eq!(count(&report, "pings"), server.faults(), "{row}");
    }
    let latency = &report["latencies_us"]["echo"];
    let seconds = report["by_second"].as_array().expect("a list");
    let answers = seconds.iter().map(|second| second["latencies_us"]["echo"]["count"].as_u64());
    assert_eq!(answers.sum::<Option<u64>>(), latency["count"].as_u64(), "{row}");
    assert!(latency["p50"].as_f64() > Some(0.0) && latency["max"].as_f64() >= latency["p99_9"].as_f64(), "{row}");
}

#[test]
fn each_second_is_told_by_itself() {
    let (server, pid) = (Server::start(Fault::None), std::process::id());
    let arguments = "echo --connections 5 --rate 500 --seconds 2.3 --warmup 0.1 --json --raw";
    let (code, report, stderr) = run(&format!("{arguments} --pid {pid} --url {}", server.url()));
    assert_eq!(code, 0, "{report} {stderr}");
    let seconds = report["by_second"].as_array().expect("a list");
    let ats: Vec<_> = seconds.iter().map(|second| count(second, "at")).collect();
    assert_eq!(ats, [0, 1, 2], "{report}");
    // Two whole seconds at the rate, whatever else the machine does, and the rest.
    for (second, most) in seconds.iter().zip([501, 501, 200]) {
        let sent = count(second, "sent");
        assert!(sent <= most && sent > 0, "{sent} of {most} in {second}");
        assert!(count(second, "server_resident_bytes") > 1_000_000, "{second}");
        assert!(second["server_cpu_percent"].is_f64() && second["cpu_percent"].as_f64() > Some(0.0), "{second}");
        assert_eq!(count(second, "open"), 5, "{second}");
    }
    let sent: u64 = seconds.iter().map(|second| count(second, "sent")).sum();
    assert!((1_145..=1_155).contains(&sent), "{sent} of 1,150 were due in the window: {report}");
}

#[test]
fn a_condition_that_is_so_or_is_not_known_fails_the_run_and_is_named() {
    let load = "--rate 500 --connections 5";
    check_judged(Fault::None, &format!("{load} --fail-if echo.p50>30s --fail-if lost>0"), "held held", 0);
    check_judged(Fault::None, &format!("{load} --fail-if acked<1000000 --fail-if lost>0"), "failed held", 1);
    check_judged(Fault::Drop, &format!("{load} --fail-if lost>0 --fail-if echo.max>1000s"), "failed held", 1);
}

fn check_judged(fault: Fault, arguments: &str, outcomes: &str, code: i32) {
    let server = Server::start(fault);
    let (got, report, stderr) = run(&format!("echo {arguments} --url {} {QUICK}", server.url()));
    let row = format!("{arguments}: {report} {stderr}");
    let judged = report["judged"].as_array().expect("a list");
    let said: Vec<_> = judged.iter().filter_map(|judged| judged["outcome"].as_str()).collect();
    assert_eq!((said.join(" ").as_str(), got), (outcomes, code), "{row}");
    for (judged, outcome) in judged.iter().zip(said) {
        let condition = judged["condition"].as_str().expect("a text");
        assert_eq!(stderr.contains(condition), outcome != "held", "{row}");
    }
}

#[test]
fn what_is_kept_is_read_by_others_and_compared() {
    let (server, directory) = (Server::start(Fault::None), tempfile::tempdir().expect("a directory"));
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("a.json"), "what was here before, and is longer than nothing").expect("a file");
    let load = "echo --raw --connections 4 --rate 400 --seconds 1.5 --warmup 0.1 --json";
    let files = format!("--save {} --hlog {} --html {}", path("a.json"), path("a.hlog"), path("a.html"));
    let (code, report, stderr) = run(&format!("{load} {files} --url {}", server.url()));
    assert_eq!(code, 0, "{report} {stderr}");
    let saved = std::fs::read_to_string(path("a.json")).expect("it is kept");
    assert_eq!(serde_json::from_str::<Value>(&saved).expect("JSON"), report);

    let page = std::fs::read_to_string(path("a.html")).expect("it is kept");
    assert!(page.ends_with("</html>\n") && page.matches("<svg").count() == 4, "{page}");

    // The library's own reader stands for its tools.
    let log = std::fs::read(path("a.hlog")).expect("it is kept");
    let intervals = IntervalLogIterator::new(&log).map(|entry| entry.expect("every line is of the format"));
    let counts = intervals.filter_map(|entry| match entry {
        LogEntry::Interval(interval) => Some(interval),
        LogEntry::StartTime(_) | LogEntry::BaseTime(_) => None,
    });
    let counts = counts.map(|interval| {
        assert_eq!(interval.tag().map(|tag| tag.as_str()), Some("echo"));
        let bytes = STANDARD.decode(interval.encoded_histogram()).expect("base64");
        Deserializer::new().deserialize::<u64, _>(&mut &bytes[..]).expect("a histogram").len()
    });
    assert_eq!(counts.sum::<u64>(), count(&report["latencies_us"]["echo"], "count"));

    let (code, compared, _) = run(&format!("compare {0} {0} --json", path("a.json")));
    assert_eq!((code, &compared["command"]), (0, &"echo".into()), "{compared}");
    let rows = compared["seconds"].as_array().expect("a list");
    assert!(rows.len() > 3 && rows.iter().all(|row| row["ratio"] == 1.0), "{compared}");

    let (code, _, stderr) = run(&format!("compare {} {}", path("a.json"), path("a.hlog")));
    assert_eq!((code, stderr.contains("a.hlog is no report: write one with --save")), (2, true), "{stderr}");
    let (code, _, stderr) = run(&format!("{load} --save {} --url {}", path("no/such"), server.url()));
    assert_eq!((code, stderr.contains("does its folder exist")), (2, true), "{stderr}");
}

#[test]
fn a_connection_that_ends_early_fails_the_run_with_the_reason() {
    check_reason(Fault::Close, "closed it with code 1013: later");
    check_reason(Fault::HangUp, "closed it without a close frame");
    check_reason(Fault::Corrupt, "differs from what was sent");
}

fn check_reason(fault: Fault, expected: &str) {
    let server = Server::start(fault);
    let (code, report, stderr) = run(&format!("echo --connections 3 --pipeline 4 --url {} {QUICK}", server.url()));
    let row = format!("{fault:?}: {report} {stderr}");
    assert!(report.is_object(), "{row}");
    assert_eq!((code, count(&report, "closed")), (1, 3), "{row}");
    let reasons = report["closed_reasons"].as_object().expect("a map");
    assert!(reasons.keys().any(|reason| reason.contains(expected)), "{row}");
}

#[test]
fn a_stall_is_in_the_latency_of_every_message_that_was_due_during_it() {
    let stall = Duration::from_millis(500);
    let arguments = "echo --connections 1 --seconds 1 --warmup 0 --json --raw";
    let p90_ms = |pace: &str| {
        let server = Server::start(Fault::Stall(stall));
        let (code, report, stderr) = run(&format!("{arguments} {pace} --url {}", server.url()));
        assert_eq!(code, 0, "{report} {stderr}");
        report["latencies_us"]["echo"]["p90"].as_f64().expect("a number") / 1000.0
    };
    let (open, closed) = (p90_ms("--rate 1000"), p90_ms(""));
    // Half of all that was due in the second waited, evenly between none and 500 ms: its tenth 400 ms or more.
    assert!(open > 300.0, "the open loop's p90 is {open} ms");
    assert!(closed < 100.0, "the closed loop's p90 is {closed} ms: it asks nothing of a server that stalls");
}

#[test]
fn idle_connections_are_held_answered_and_weighed() {
    let server = Server::start(Fault::Ping);
    let pid = std::process::id();
    let (code, report, stderr) =
        run(&format!("idle --connections 60 --seconds 1.1 --pid {pid} --json --raw --url {}", server.url()));
    assert_eq!(code, 0, "{report} {stderr}");
    assert_eq!((count(&report, "closed"), count(&report, "pings"), server.pongs()), (0, 60, 60), "{report}");
    let memory = &report["memory"];
    assert_eq!((&memory["base"]["connections"], &memory["all"]["connections"]), (&0.into(), &60.into()), "{report}");
    assert_eq!(count(&report["by_second"][0], "open"), 60, "{report}");
    let each = memory["bytes_per_connection"].as_f64().expect("a number");
    assert!(each > 1_000.0, "a thread and a 128 KiB buffer each, and {each} bytes are seen");
}

#[test]
fn an_interrupt_ends_the_run_early_and_reports() {
    let server = Server::start(Fault::None);
    let child =
        loadgen(&format!("echo --connections 5 --seconds 600 --warmup 0.1 --json --raw --url {}", server.url()))
            .spawn()
            .expect("loadgen starts");
    std::thread::sleep(Duration::from_millis(800));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the child takes signals");
    let (code, report, stderr) = finish(child.wait_with_output().expect("loadgen ends"));
    assert_eq!((code, &report["interrupted"]), (0, &Value::Bool(true)), "{report} {stderr}");
    assert!(count(&report, "acked") > 10, "{report}");
    let seconds = report["seconds"].as_f64().expect("a number");
    assert!((0.3..30.0).contains(&seconds), "what was measured is {seconds} s");
}

#[test]
fn what_cannot_be_done_is_said_with_the_address_and_the_remedy() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    check_refusal(&format!("echo --url ws://{nobody}"), &[&nobody.to_string(), "os error 111", "is the node running"]);

    let address = listener::serve(refuse);
    check_refusal(&format!("idle --url ws://{address}"), &[&address.to_string(), "status 404", "/debug/echo"]);

    check_refusal("echo --connections 4000000000", &["the file limit allows", "4000000000 were asked for"]);
    check_refusal("echo --url wss://127.0.0.1:1", &["TLS is not spoken here"]);
    let lists =
        ["no metric \"ack.p99\"", "echo.p99 is nearest", "There are: acked, ", "out_of_order", "memory with --pid"];
    check_refusal("echo --fail-if ack.p99>1ms", &lists);
    check_refusal("echo --fail-if echo.p99>1/s", &["\"/s\" is no unit of echo.p99: us, µs, ns, ms, s"]);
    check_refusal("idle --pid 4294967295", &["is the process running?"]);
    check_refusal("idle --cpu 999999", &["--cpu 999999"]);
    check_refusal("echo --connections 3 --threads 4", &["--threads 4 are more than --connections 3"]);
    check_refusal("echo --threads 2 --pid 1", &["leave out --threads or --pid"]);
    check_refusal(&format!("echo --threads 3 --url ws://{nobody}"), &[&nobody.to_string(), "is the node running"]);
}

fn refuse(mut stream: TcpStream) {
    use std::io::{Read, Write};
    _ = stream.read(&mut [0; 1024]);
    _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

fn check_refusal(arguments: &str, parts: &[&str]) {
    let (code, report, stderr) = run(&format!("{arguments} --raw --json"));
    assert_eq!((code, &report), (2, &Value::Null), "{arguments}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{arguments}: {stderr:?} lacks {part:?}");
    }
}
