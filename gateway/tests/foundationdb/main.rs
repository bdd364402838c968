//! A node whose store is a cluster, by real processes over the stand-in: it starts, waits, loses its cluster and has it
//! back.

mod cluster;
mod load;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use fdb_c::Faults;
use serde_json::json;

use cluster::{Cluster, flags};
use load::{Sent, Stop, check_sent, history, load, send};
use support::{Client, Node, client_msg_id};

/// Messages each way, where a test does not say otherwise.
const MESSAGES: u64 = 100;
/// For how long a cluster is away; a minute with `ROOKERY_AWAY_SECONDS=60`.
const AWAY: Duration = Duration::from_secs(7);
/// How long a change may take to be seen.
const SEEN: Duration = Duration::from_secs(20);

/// Two accounts, their direct channel, and their tokens.
fn two(node: &Node) -> (String, [String; 2]) {
    let (_, ann) = node.sign_up("ann");
    let (bob_id, bob) = node.sign_up("bob");
    (node.direct(&ann, &bob_id), [ann, bob])
}

/// Waits until the node is ready, or is not and says this.
fn until_ready(internal: &str, reason: Option<&str>) {
    let until = Instant::now() + SEEN;
    let mut seen = String::new();
    while Instant::now() < until {
        let (status, body) = support::get(&format!("{internal}/health/ready"));
        if reason.map_or(status == 200, |reason| status == 503 && body.contains(reason)) {
            return;
        }
        seen = body;
        thread::sleep(Duration::from_millis(100));
    }
    panic!("not {reason:?} within {SEEN:?}: {seen}");
}

fn metric(internal: &str, name: &str) -> u64 {
    let (_, text) = support::get(&format!("{internal}/metrics"));
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_a_retry_returns_its_seq() {
    let cluster = Cluster::start();
    let node = cluster.node();
    let (channel, tokens) = two(&node);
    let mut sent: BTreeMap<u64, (usize, String, String)> = BTreeMap::new();
    let mut clients = tokens.each_ref().map(|token| Client::connect(&node.ws, token, "phone", None).0);
    for number in 0..MESSAGES {
        for (who, client) in clients.iter_mut().enumerate() {
            let (id, body) = (client_msg_id(number * 2 + who as u64), format!("{who} {number}"));
            let reply = client.ask("send", send(&channel, &id, &body));
            let seq = reply["send"]["seq"].as_u64().unwrap_or_else(|| panic!("acknowledged: {reply}"));
            assert!(sent.insert(seq, (who, id, body)).is_none(), "seq {seq} was given twice");
        }
    }
    assert!(sent.keys().copied().eq(1..=MESSAGES * 2), "the seqs are 1 to {}", MESSAGES * 2);
    for client in &mut clients {
        for seq in 1..=MESSAGES * 2 {
            assert_eq!(client.push()["message"]["message"]["seq"], json!(seq));
        }
    }
    assert!(metric(&node.internal, "rookery_store_commits_total") > 0);

    node.kill();
    let node = cluster.node();
    let (mut ann, _) = Client::connect(&node.ws, &tokens[0], "phone", None);
    let expected: BTreeMap<u64, String> = sent.iter().map(|(&seq, (_, _, body))| (seq, body.clone())).collect();
    assert_eq!(history(&mut ann, &channel), expected);
    for seq in [1, MESSAGES, MESSAGES * 2] {
        let (who, id, body) = &sent[&seq];
        let (mut client, _) = Client::connect(&node.ws, &tokens[*who], "retry", None);
        let reply = client.ask("send", send(&channel, id, body));
        assert_eq!((&reply["send"]["seq"], &reply["send"]["duplicate"]), (&json!(seq), &json!(true)), "{reply}");
    }
    assert!(node.terminate().success());

    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    let output = command.args(["store", "check"]).args(cluster.flags()).output().expect("the program starts");
    let told = String::from_utf8(output.stdout).expect("it writes text");
    assert!(told.starts_with(&format!("sound: 1 channels, {} messages", MESSAGES * 2)), "{told}");
}

#[test]
fn what_cannot_be_used_is_one_line() {
    let cluster = Cluster::start();
    let check = |cluster_file: &Path, library: &Path, parts: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
        command.args(["run", "--api=127.0.0.1:0", "--ws=127.0.0.1:0", "--internal=127.0.0.1:0", "--log=error"]);
        let output = command.arg("--data").arg(cluster.data()).args(flags(cluster_file, library)).output();
        let output = output.expect("the program starts");
        let error = String::from_utf8(output.stderr).expect("it writes text");
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        for part in parts {
            assert!(error.starts_with("rookery: ") && error.contains(part), "{part} in {error}");
        }
    };
    let file = cluster.server.cluster_file(cluster.data());
    let text = cluster.data().join("text.cluster");
    std::fs::write(&text, "hello").expect("a file");
    check(&text, &fdb_c::library(), &["text.cluster is not `description:id@ip:port", "no @"]);
    check(Path::new("absent.cluster"), &fdb_c::library(), &["absent.cluster cannot be read"]);
    check(&file, Path::new("/absent/libfdb_c.so"), &["/absent/libfdb_c.so does not exist", "7.3 or newer"]);
    check(&file, &text, &["text.cluster cannot be opened as a library"]);
}

#[test]
fn a_cluster_that_comes_later_is_waited_for() {
    let cluster = Cluster::start();
    cluster.server.pause();
    let starting = cluster.starting();
    until_ready(&starting.internal, Some("store: waiting for the cluster, 2 s"));
    assert_eq!(support::get(&format!("{}/health/live", starting.internal)).0, 200);
    assert_eq!(metric(&starting.internal, "rookery_store_answers"), 0);
    starting.logged("waiting for the store, which does not answer: see `fdbcli");
    cluster.server.resume();
    let node = starting.ready();
    until_ready(&node.internal, None);
    assert_eq!(metric(&node.internal, "rookery_store_answers"), 1);
    two(&node);
}

#[test]
fn a_command_that_waits_for_its_cluster_says_so() {
    let cluster = Cluster::start();
    cluster.server.pause();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    command.args(["store", "import", "--from"]).arg(cluster.data().join("absent.dump")).args(cluster.flags());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let told = lines.next().expect("a line");
    assert!(told.starts_with("rookery: waiting for the store, which does not answer: see `fdbcli"), "{told}");
    cluster.server.resume();
    let told = lines.next().expect("a line");
    assert!(told.contains("absent.dump"), "it goes on once the store answers: {told}");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

#[test]
fn a_signal_ends_the_waiting_at_once() {
    let cluster = Cluster::start();
    cluster.server.pause();
    let starting = cluster.starting();
    until_ready(&starting.internal, Some("store: waiting for the cluster"));
    let asked = Instant::now();
    assert!(starting.terminate().success());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn a_node_stops_in_time_while_its_cluster_is_away() {
    let cluster = Cluster::start();
    let node = cluster.node();
    let (channel, tokens) = two(&node);
    let (mut ann, _) = Client::connect(&node.ws, &tokens[0], "phone", None);
    cluster.server.pause();
    // On its way when the cluster goes, and never answered.
    ann.tell("send", send(&channel, &client_msg_id(1), "x"));
    until_ready(&node.internal, Some("store: no answer for "));
    let asked = Instant::now();
    assert!(node.terminate().success());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[test]
fn a_cluster_that_goes_away_under_load_and_returns_loses_nothing() {
    let away = std::env::var("ROOKERY_AWAY_SECONDS").ok().and_then(|text| text.parse().ok());
    let away = away.map_or(AWAY, Duration::from_secs);
    let cluster = Cluster::start();
    let node = cluster.node();
    let (channel, tokens) = two(&node);
    let (mut idle, _) = Client::connect(&node.ws, &tokens[0], "idle", None);
    let unsure = client_msg_id(8_000_000);
    let stop = AtomicBool::new(false);
    let sent: Vec<_> = thread::scope(|scope| {
        let stopping = Stop(&stop);
        let senders: Vec<_> = (0..4)
            .map(|who| {
                let (ws, token, channel, stop) = (&node.ws, &tokens[who % 2], &channel, &stop);
                scope.spawn(move || load(ws, token, who as u64, channel, stop))
            })
            .collect();
        thread::sleep(Duration::from_secs(1));
        let gone = Instant::now();
        cluster.server.pause();
        let body = json!({"client_msg_id": unsure, "body": "as it goes"});
        let (status, problem) =
            node.http("POST", &format!("/v1/channels/{channel}/messages"), Some(&tokens[0]), Some(&body));
        assert_eq!((status, &problem["code"]), (503, &json!(115)), "{problem}");
        assert!(gone.elapsed() < Duration::from_secs(6), "nobody waits for long: {:?}", gone.elapsed());
        until_ready(&node.internal, Some("store: no answer for "));
        assert_eq!(metric(&node.internal, "rookery_store_answers"), 0);
        let asked = Instant::now();
        let (status, problem) = node.http("GET", "/v1/me", Some(&tokens[0]), None);
        assert_eq!((status, &problem["code"]), (503, &json!(115)), "{problem}");
        let reply = idle.ask("send", send(&channel, &client_msg_id(9_000_000), "while it is away"));
        assert_eq!(reply["error"]["code"], json!(115), "{reply}");
        assert!(asked.elapsed() < Duration::from_secs(1), "refused at once: {:?}", asked.elapsed());
        node.logged("the store does not answer: sends are refused (115) and connections are kept");
        thread::sleep(away.saturating_sub(gone.elapsed()));
        cluster.server.resume();
        until_ready(&node.internal, None);
        node.logged("the store answers and takes commits");
        thread::sleep(Duration::from_secs(1));
        drop(stopping);
        senders.into_iter().map(|sender| sender.join().expect("a sender ends well")).collect()
    });
    let refused: u64 = sent.iter().map(|(_, refused)| refused).sum();
    let messages: usize = sent.iter().map(|(sent, _)| sent.messages.len()).sum();
    assert!(refused > 0 && messages as u64 > refused, "{refused} of {messages} were refused");
    assert_eq!(metric(&node.internal, "rookery_store_outages_total"), 1);
    let reply = idle.ask("echo", json!({"data": "x"}));
    assert_eq!(reply["echo"]["data"], json!("x"), "the socket was kept: {reply}");
    let mut sent: Vec<_> = sent.into_iter().map(|(sent, _)| sent).collect();
    // Nobody was told whether it took effect, and its retry finds out.
    sent.push(Sent { token: tokens[0].clone(), messages: vec![(unsure, "as it goes".to_owned(), None)] });
    check_sent(&node, &channel, &sent);
    assert!(node.terminate().success());
}

#[test]
fn a_store_that_throttles_and_conflicts_loses_nothing() {
    let check = |chained: &str| {
        let cluster = Cluster::start();
        loses_nothing(&cluster, &cluster.starting_with(&[chained]).ready());
    };
    check("--store.chained_appends=false");
    check("--store.chained_appends=true");
}

fn loses_nothing(cluster: &Cluster, node: &Node) {
    let (channel, tokens) = two(node);
    let stop = AtomicBool::new(false);
    let sent: Vec<_> = thread::scope(|scope| {
        let stopping = Stop(&stop);
        let senders: Vec<_> = (0..2)
            .map(|who| {
                let (ws, token, channel, stop) = (&node.ws, &tokens[who % 2], &channel, &stop);
                scope.spawn(move || load(ws, token, who as u64, channel, stop).0)
            })
            .collect();
        thread::sleep(Duration::from_secs(1));
        cluster.server.set_faults(Faults {
            behind: 100,
            conflict: 50,
            unknown_committed: 50,
            unknown_lost: 50,
            too_old: 20,
            read_behind: 10,
            ..Faults::default()
        });
        thread::sleep(Duration::from_secs(4));
        drop(stopping);
        senders.into_iter().map(|sender| sender.join().expect("a sender ends well")).collect()
    });
    cluster.server.set_faults(Faults::default());
    until_ready(&node.internal, None);
    assert!(metric(&node.internal, "rookery_store_throttled_total") > 0);
    check_sent(node, &channel, &sent);
}

#[test]
fn a_full_store_is_read_and_says_so() {
    let cluster = Cluster::start();
    let node = cluster.node();
    let (channel, tokens) = two(&node);
    let (mut ann, _) = Client::connect(&node.ws, &tokens[0], "phone", None);
    let first = ann.ask("send", send(&channel, &client_msg_id(1), "before"));
    assert_eq!(first["send"]["seq"], json!(1), "{first}");

    let stop = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let stopping = Stop(&stop);
        let sender = scope.spawn(|| load(&node.ws, &tokens[1], 1, &channel, &stop));
        thread::sleep(Duration::from_secs(1));
        cluster.server.fill(true);
        until_ready(&node.internal, Some("store: full or overloaded"));
        assert_eq!(metric(&node.internal, "rookery_store_full"), 1);
        assert!(!history(&mut ann, &channel).is_empty(), "what is there can be read");
        cluster.server.fill(false);
        until_ready(&node.internal, None);
        thread::sleep(Duration::from_secs(1));
        drop(stopping);
        sender.join().expect("a sender ends well").0
    });
    let first = Sent { token: tokens[0].clone(), messages: vec![(client_msg_id(1), "before".to_owned(), Some(1))] };
    check_sent(&node, &channel, &[first, sent]);
    assert_eq!(metric(&node.internal, "rookery_store_full"), 0);
}

#[test]
fn doctor_says_what_there_is_of_a_cluster() {
    let cluster = Cluster::start();
    let file = cluster.server.cluster_file(cluster.data());
    let rows = |cluster_file: &Path, library: &Path| -> Vec<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
        command.args(["doctor", "--api=127.0.0.1:0", "--ws=127.0.0.1:0", "--internal=127.0.0.1:0"]);
        let output = command.arg("--data").arg(cluster.data()).args(flags(cluster_file, library)).output();
        let text = String::from_utf8(output.expect("the program starts").stdout).expect("it writes text");
        let rows = text.lines().filter(|line| line.contains("store: "));
        rows.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let check = |rows: &[String], expected: [&str; 3]| {
        assert_eq!(rows.len(), 3, "{rows:?}");
        for (row, parts) in rows.iter().zip(expected) {
            assert!(parts.split('…').all(|part| row.contains(part)), "{row:?} is not {parts:?}");
        }
    };
    let library = fdb_c::library();
    check(
        &rows(&file, &library),
        [
            "ok store: client library…API version up to 7",
            "ok store: cluster file",
            "ok store: cluster at version…no store \"rookery\" yet, the first start makes it",
        ],
    );
    assert_eq!(cluster.server.calls().committed, 0, "doctor writes nothing");
    assert!(cluster.node().terminate().success());
    check(
        &rows(&file, &library),
        ["ok store: client", "ok store: cluster file", "store \"rookery\" of format 1, generation"],
    );
    check(
        &rows(&file, Path::new("/absent/libfdb_c.so")),
        [
            "LACKING store: client library not usable…/absent/libfdb_c.so does not exist",
            "ok store: cluster file",
            "LACKING store: cluster not asked…first what is lacking above",
        ],
    );
    check(
        &rows(Path::new("absent.cluster"), &library),
        [
            "ok store: client library",
            "LACKING store: cluster file absent.cluster…cannot be read",
            "LACKING store: cluster not asked",
        ],
    );
    cluster.server.pause();
    let asked = Instant::now();
    check(
        &rows(&file, &library),
        ["ok store: client library", "ok store: cluster file", "LACKING store: cluster does not answer as it should…"],
    );
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}
