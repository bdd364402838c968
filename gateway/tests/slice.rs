//! The whole straight line, by real processes: two accounts, a direct channel, kill -9, and everything is still there.

mod support;

use serde_json::json;
use support::{Client, Node, client_msg_id, survives_kill_9, text};

#[test]
fn what_was_acknowledged_survives_kill_9_and_a_retry_returns_its_seq() {
    let data = tempfile::tempdir().expect("a directory");
    survives_kill_9(1_000, || Node::start("run", data.path(), &["--shards", "2"]));
}

#[test]
fn a_device_that_was_away_is_pushed_what_it_missed_once_and_in_order() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (channel, [ann, bob_token]) = node.two();
    let mut ann = node.connect(&ann, "a");
    let (mut bob, connected) = Client::connect(&node.ws, &bob_token, "b", None);
    let mut cursor = text(&connected["connect"]["cursor"]);
    let mut next = 1;
    for round in 0..20_u64 {
        for number in 0..10 {
            ann.send(&channel, &client_msg_id(round * 10 + number), &format!("{round}.{number}"));
        }
        // Reads some, then goes without a word and comes back from the last cursor it holds.
        for _ in 0..if round < 19 { 7 } else { 200 - 7 * 19 } {
            let push = bob.push();
            assert_eq!(push["message"]["message"]["seq"], json!(next), "{push}");
            cursor = text(&push["message"]["cursor"]);
            next += 1;
        }
        bob = Client::connect(&node.ws, &bob_token, "b", Some(&cursor)).0;
    }
}

#[test]
fn sigterm_tells_clients_and_exits_0() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, token) = node.sign_up("ann");
    let client = node.connect(&token, "a");
    let started = std::time::Instant::now();
    let waiting = std::thread::spawn(move || client.closed());
    let status = node.terminate();
    assert!(status.success(), "{status}");
    assert!(started.elapsed().as_secs() < 10, "it took {:?}", started.elapsed());
    assert_eq!(waiting.join().expect("the client was told"), 3001);
}
