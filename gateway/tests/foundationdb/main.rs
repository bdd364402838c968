//! A node whose store is a cluster, by real processes over the stand-in: it starts, waits, loses its cluster and has it
//! back.

#[path = "../cluster/mod.rs"]
mod cluster;
mod load;
#[path = "../support/mod.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fdb_c::Faults;
use serde_json::json;

use cluster::{Cluster, flags};
use load::{Sent, check_sent, under_load};
use support::{client_msg_id, history, message, rookery, said, survives_kill_9};

/// Messages each way.
const MESSAGES: u64 = 100;
/// For how long a cluster is away; a minute with `ROOKERY_AWAY_SECONDS=60`.
const AWAY: Duration = Duration::from_secs(7);

#[test]
fn what_was_acknowledged_survives_kill_9_and_a_retry_returns_its_seq() {
    let cluster = Cluster::start();
    let node = survives_kill_9(MESSAGES, || cluster.node());
    assert!(node.metric("rookery_store_commits_total") > 0);
    assert!(node.terminate().success());
    let (_, told) = said(&mut cluster.rookery(&["store", "check"]));
    assert!(told.starts_with(&format!("sound: 1 channels, {} messages", MESSAGES * 2)), "{told}");
}

/// A command on free ports of loopback, told of this cluster file and library.
fn told_of(cluster: &Cluster, command: &str, cluster_file: &Path, library: &Path) -> Command {
    let mut rookery = rookery(&[command, "--api=127.0.0.1:0", "--ws=127.0.0.1:0", "--internal=127.0.0.1:0"]);
    rookery.arg("--data").arg(cluster.path()).arg("--log=error").args(flags(cluster_file, library));
    rookery
}

#[test]
fn what_cannot_be_used_is_one_line() {
    let cluster = Cluster::start();
    let check = |cluster_file: &Path, library: &Path, parts: &[&str]| {
        let (code, error) = said(&mut told_of(&cluster, "run", cluster_file, library));
        assert_eq!((code, error.lines().count()), (1, 1), "{error}");
        for part in parts {
            assert!(error.starts_with("rookery: ") && error.contains(part), "{part} in {error}");
        }
    };
    let file = cluster.server.cluster_file(cluster.path());
    let text = cluster.path().join("text.cluster");
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
    let node = cluster.starting("one", &[]);
    node.until_ready(Some("store: waiting for the cluster, 2 s"));
    assert_eq!(node.get("/health/live").0, 200);
    assert_eq!(node.metric("rookery_store_answers"), 0);
    node.logged("waiting for the store, which does not answer: see `fdbcli");
    cluster.server.resume();
    node.until_ready(None);
    assert_eq!(node.metric("rookery_store_answers"), 1);
    node.two();
}

#[test]
fn a_command_that_waits_for_its_cluster_says_so() {
    let cluster = Cluster::start();
    cluster.server.pause();
    let mut command = cluster.rookery(&["store", "import"]);
    command.arg("--from").arg(cluster.path().join("absent.dump"));
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let told = lines.next().expect("a line");
    assert!(told.starts_with("rookery: waiting for the store, which does not answer: see `fdbcli"), "{told}");
    cluster.server.resume();
    let told = lines.next().expect("a line");
    assert!(told.contains("absent.dump"), "it goes on once the store answers: {told}");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

/// Whatever a node waits for, a signal ends it in time.
#[test]
fn a_node_stops_in_time_while_its_cluster_is_away() {
    let check = |serves: bool, reason: &str, most: Duration| {
        let cluster = Cluster::start();
        if !serves {
            cluster.server.pause();
        }
        let node = cluster.starting("one", &[]);
        if serves {
            let (channel, tokens) = node.two();
            let mut ann = node.connect(&tokens[0], "phone");
            cluster.server.pause();
            // On its way when the cluster goes, and never answered.
            ann.tell("send", message(&channel, &client_msg_id(1), "x"));
        }
        node.until_ready(Some(reason));
        let asked = Instant::now();
        assert!(node.terminate().success());
        assert!(asked.elapsed() < most, "{:?}", asked.elapsed());
    };
    check(false, "store: waiting for the cluster", Duration::from_secs(5));
    check(true, "store: no answer for ", Duration::from_secs(10));
}

#[test]
fn a_cluster_that_goes_away_under_load_and_returns_loses_nothing() {
    let away = std::env::var("ROOKERY_AWAY_SECONDS").ok().and_then(|text| text.parse().ok());
    let away = away.map_or(AWAY, Duration::from_secs);
    let cluster = Cluster::start();
    let node = cluster.node();
    let (channel, tokens) = node.two();
    let mut idle = node.connect(&tokens[0], "idle");
    let unsure = client_msg_id(8_000_000);
    let (mut sent, refused) = under_load(&node, (&channel, &tokens), 4, || {
        let gone = Instant::now();
        cluster.server.pause();
        let body = json!({"client_msg_id": unsure, "body": "as it goes"});
        let path = format!("/v1/channels/{channel}/messages");
        let (status, problem) = node.http("POST", &path, Some(&tokens[0]), Some(&body));
        assert_eq!((status, &problem["code"]), (503, &json!(115)), "{problem}");
        assert!(gone.elapsed() < Duration::from_secs(6), "nobody waits for long: {:?}", gone.elapsed());
        node.until_ready(Some("store: no answer for "));
        assert_eq!(node.metric("rookery_store_answers"), 0);
        let asked = Instant::now();
        let (status, problem) = node.http("GET", "/v1/me", Some(&tokens[0]), None);
        assert_eq!((status, &problem["code"]), (503, &json!(115)), "{problem}");
        let reply = idle.send(&channel, &client_msg_id(9_000_000), "while it is away");
        assert_eq!(reply["error"]["code"], json!(115), "{reply}");
        assert!(asked.elapsed() < Duration::from_secs(1), "refused at once: {:?}", asked.elapsed());
        node.logged("the store does not answer: sends are refused (115) and connections are kept");
        thread::sleep(away.saturating_sub(gone.elapsed()));
        cluster.server.resume();
        node.until_ready(None);
        node.logged("the store answers and takes commits");
    });
    let messages: usize = sent.iter().map(|sent| sent.messages.len()).sum();
    assert!(refused > 0 && messages as u64 > refused, "{refused} of {messages} were refused");
    assert_eq!(node.metric("rookery_store_outages_total"), 1);
    let reply = idle.ask("echo", json!({"data": "x"}));
    assert_eq!(reply["echo"]["data"], json!("x"), "the socket was kept: {reply}");
    // Nobody was told whether it took effect, and its retry finds out.
    sent.push(Sent { token: tokens[0].clone(), messages: vec![(unsure, "as it goes".to_owned(), None)] });
    check_sent(&node, &channel, &sent);
    assert!(node.terminate().success());
}

#[test]
fn a_store_that_throttles_and_conflicts_loses_nothing() {
    let check = |chained: &str| {
        let cluster = Cluster::start();
        let node = cluster.starting("one", &[chained]);
        let (channel, tokens) = node.two();
        let (sent, _) = under_load(&node, (&channel, &tokens), 2, || {
            cluster.server.set_faults(Faults {
                behind: 100,
                conflict: 50,
                unknown_committed: 50,
                unknown_lost: 50,
                too_old: 20,
                read_behind: 10,
                ..Faults::default()
            });
            thread::sleep(Duration::from_secs(3));
        });
        cluster.server.set_faults(Faults::default());
        node.until_ready(None);
        assert!(node.metric("rookery_store_throttled_total") > 0);
        check_sent(&node, &channel, &sent);
    };
    check("--store.chained_appends=false");
    check("--store.chained_appends=true");
}

#[test]
fn a_full_store_is_read_and_says_so() {
    let cluster = Cluster::start();
    let node = cluster.node();
    let (channel, tokens) = node.two();
    let mut ann = node.connect(&tokens[0], "phone");
    let first = ann.send(&channel, &client_msg_id(9_000_000), "before");
    assert_eq!(first["send"]["seq"], json!(1), "{first}");
    let (mut sent, _) = under_load(&node, (&channel, &tokens), 2, || {
        cluster.server.fill(true);
        node.until_ready(Some("store: full or overloaded"));
        assert_eq!(node.metric("rookery_store_full"), 1);
        assert!(!history(&mut ann, &channel).is_empty(), "what is there can be read");
        cluster.server.fill(false);
        node.until_ready(None);
    });
    let first = (client_msg_id(9_000_000), "before".to_owned(), Some(1));
    sent.push(Sent { token: tokens[0].clone(), messages: vec![first] });
    check_sent(&node, &channel, &sent);
    assert_eq!(node.metric("rookery_store_full"), 0);
}

#[test]
fn doctor_says_what_there_is_of_a_cluster() {
    let cluster = Cluster::start();
    let (file, library) = (cluster.server.cluster_file(cluster.path()), fdb_c::library());
    let check = |cluster_file: &Path, library: &Path, expected: &[&str]| {
        let output = told_of(&cluster, "doctor", cluster_file, library).output().expect("the program starts");
        let text = String::from_utf8(output.stdout).expect("it writes text");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let rows: Vec<String> = text.lines().filter(|line| line.contains("store: ")).map(words).collect();
        assert_eq!(rows.len(), expected.len(), "{rows:?}");
        for (row, parts) in rows.iter().zip(expected) {
            assert!(parts.split('…').all(|part| row.contains(part)), "{row:?} is not {parts:?}");
        }
    };
    let (sound, there) = ("ok store: client library…API version up to 7", "ok store: cluster file");
    check(
        &file,
        &library,
        &[sound, there, "ok store: cluster at version…no store \"rookery\" yet, the first start makes it"],
    );
    assert_eq!(cluster.server.calls().committed, 0, "doctor writes nothing");
    assert!(cluster.node().terminate().success());
    let made = "store \"rookery\" of format 2, generation";
    check(&file, &library, &[sound, there, made, "ok store: rows set aside none"]);
    let (lacking, unasked) = (
        "LACKING store: client library not usable…/absent/libfdb_c.so does not exist",
        "LACKING store: cluster not asked…first what is lacking above",
    );
    check(&file, Path::new("/absent/libfdb_c.so"), &[lacking, there, unasked]);
    let lacking = "LACKING store: cluster file absent.cluster…cannot be read";
    check(Path::new("absent.cluster"), &library, &[sound, lacking, unasked]);
    cluster.server.pause();
    let asked = Instant::now();
    check(&file, &library, &[sound, there, "LACKING store: cluster does not answer as it should…"]);
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}
