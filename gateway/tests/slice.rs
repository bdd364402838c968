//! The whole straight line, by real processes: two accounts, a direct channel, kill -9, and everything is still there.

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::{Client, Node, client_msg_id};

/// Messages each way.
const MESSAGES: u64 = 1_000;

fn send(channel: &str, id: &str, body: &str) -> Value {
    json!({"channel_id": channel, "client_msg_id": id, "body": body})
}

/// All of a channel's history, by pages.
fn history(client: &mut Client, channel: &str) -> Vec<Value> {
    let mut messages: Vec<Value> = Vec::new();
    loop {
        let after = messages.last().map_or(json!(0), |message| message["seq"].clone());
        let reply = client.ask("history", json!({"channel_id": channel, "after": after, "limit": 200}));
        let page = &reply["history"];
        messages.extend(page["messages"].as_array().expect("a page has messages").iter().cloned());
        if !page["more"].as_bool().expect("a page says whether there is more") {
            return messages;
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_a_retry_returns_its_seq() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (ann_id, ann_token) = node.sign_up("ann");
    let (bob_id, bob_token) = node.sign_up("bob");
    let channel = node.direct(&ann_token, &bob_id);
    assert_eq!(node.direct(&bob_token, &ann_id), channel, "the same two have the same channel");

    let (mut ann, connected) = Client::connect(&node.ws, &ann_token, "ann-phone", None);
    assert_eq!(connected["connect"]["user_id"], json!(ann_id));
    let (mut bob, _) = Client::connect(&node.ws, &bob_token, "bob-phone", None);

    let mut sent: BTreeMap<u64, (String, String)> = BTreeMap::new();
    for number in 0..MESSAGES {
        for (client, name, offset) in [(&mut ann, "ann", 0), (&mut bob, "bob", 1 << 32)] {
            let (id, body) = (client_msg_id(number + offset), format!("{name} {number}"));
            let reply = client.ask("send", send(&channel, &id, &body));
            assert_eq!(reply["send"]["duplicate"], json!(false), "{reply}");
            let seq = reply["send"]["seq"].as_u64().expect("a seq");
            assert!(sent.insert(seq, (id, body)).is_none(), "seq {seq} was given twice");
        }
    }
    assert!(sent.keys().copied().eq(1..=MESSAGES * 2), "the seqs are 1 to {}", MESSAGES * 2);

    for client in [&mut ann, &mut bob] {
        for seq in 1..=MESSAGES * 2 {
            let push = client.push();
            let message = &push["message"]["message"];
            assert_eq!(message["seq"], json!(seq), "{push}");
            assert_eq!(message["body"], json!(sent[&seq].1));
        }
    }

    node.kill();
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (mut ann, _) = Client::connect(&node.ws, &ann_token, "ann-phone", None);
    let found: Vec<(u64, String)> = history(&mut ann, &channel)
        .iter()
        .map(|message| (message["seq"].as_u64().expect("a seq"), support::text(&message["body"])))
        .collect();
    let expected: Vec<(u64, String)> = sent.iter().map(|(&seq, (_, body))| (seq, body.clone())).collect();
    assert_eq!(found, expected);

    for seq in [1, MESSAGES, MESSAGES * 2] {
        let (id, body) = &sent[&seq];
        let sender = if body.starts_with("ann") { &ann_token } else { &bob_token };
        let (mut client, _) = Client::connect(&node.ws, sender, "retry", None);
        let reply = client.ask("send", send(&channel, id, body));
        assert_eq!(reply["send"]["seq"], json!(seq), "{reply}");
        assert_eq!(reply["send"]["duplicate"], json!(true), "{reply}");
        let reply = client.ask("send", send(&channel, id, "other content"));
        assert_eq!(reply["error"]["code"], json!(121), "{reply}");
    }
}

#[test]
fn a_device_that_was_away_is_pushed_what_it_missed_once_and_in_order() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, ann_token) = node.sign_up("ann");
    let (bob_id, bob_token) = node.sign_up("bob");
    let channel = node.direct(&ann_token, &bob_id);
    let (mut ann, _) = Client::connect(&node.ws, &ann_token, "a", None);
    let (mut bob, connected) = Client::connect(&node.ws, &bob_token, "b", None);
    let mut cursor = support::text(&connected["connect"]["cursor"]);

    let mut next = 1;
    for round in 0..20_u64 {
        for number in 0..10 {
            let id = client_msg_id(round * 10 + number);
            ann.ask("send", send(&channel, &id, &format!("{round}.{number}")));
        }
        // Reads some, then goes without a word and comes back from the last cursor it holds.
        for _ in 0..7 {
            let push = bob.push();
            assert_eq!(push["message"]["message"]["seq"], json!(next), "{push}");
            cursor = support::text(&push["message"]["cursor"]);
            next += 1;
        }
        drop(bob);
        bob = Client::connect(&node.ws, &bob_token, "b", Some(&cursor)).0;
    }
    while next <= 200 {
        let push = bob.push();
        assert_eq!(push["message"]["message"]["seq"], json!(next), "{push}");
        next += 1;
    }
}

#[test]
fn sigterm_tells_clients_and_exits_0() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, token) = node.sign_up("ann");
    let (client, _) = Client::connect(&node.ws, &token, "a", None);
    let started = std::time::Instant::now();
    let waiting = std::thread::spawn(move || client.closed());
    let status = node.terminate();
    assert!(status.success(), "{status}");
    assert!(started.elapsed().as_secs() < 10, "it took {:?}", started.elapsed());
    assert_eq!(waiting.join().expect("the client was told"), 3001);
}
