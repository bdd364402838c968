//! Real nodes and real clients, for tests that need both.
//!
//! Owns `rookery` processes with what they say ([`Node`]), the public API ([`Place`]) and a WebSocket client
//! ([`Client`]) that nobody here wrote the protocol parts of: tungstenite frames it, and JSON is read as JSON; [`plain`] HTTP.

#![expect(dead_code, unused_imports, reason = "each test binary uses its part of this")]

mod client;
mod node;
pub(crate) mod plain;
mod stomp;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use client::{Client, Gone, socket};
pub(crate) use node::{Node, Place, private_file, rookery, said};
use schema::{ClientMsgId, UnixMs};
use serde_json::{Value, json};
pub(crate) use stomp::{check_stomp, chromium, stomp_facts};

/// How long anything may take here before the test fails: a lease of 5 s, on a machine with much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A JSON string's text.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a string")).to_owned()
}

pub(crate) fn wall() -> UnixMs {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    UnixMs(u64::try_from(ms).expect("before the year 584 million"))
}

/// A client_msg_id of this test's start: a UUID of version 7 whose rest counts. The same number gives the same id.
pub(crate) fn client_msg_id(number: u64) -> String {
    static START: LazyLock<UnixMs> = LazyLock::new(wall);
    ClientMsgId::new(*START, u128::from(number)).to_string()
}

/// The fields of a send.
pub(crate) fn message(channel: &str, id: &str, body: &str) -> Value {
    json!({"channel_id": channel, "client_msg_id": id, "body": body})
}

/// All of a channel's history by pages, body by seq.
pub(crate) fn history(client: &mut Client, channel: &str) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    loop {
        let after = found.last_key_value().map_or(0, |(&seq, _)| seq);
        let reply = client.ask("history", json!({"channel_id": channel, "after": after, "limit": 200}));
        let page = &reply["history"];
        for message in page["messages"].as_array().unwrap_or_else(|| panic!("a page has messages: {reply}")) {
            let seq = message["seq"].as_u64().expect("a seq");
            assert!(found.insert(seq, text(&message["body"])).is_none(), "seq {seq} twice");
        }
        if !page["more"].as_bool().expect("a page says whether there is more") {
            return found;
        }
    }
}

/// Two accounts talk, their node is killed, and on the next one everything is there: each has been pushed all, in
/// order, and a retry returns the seq of what it repeats. `messages` each way. Returns the second node.
pub(crate) fn survives_kill_9(messages: u64, start: impl Fn() -> Node) -> Node {
    let node = start();
    let (ann_id, ann_token) = node.sign_up("ann");
    let (bob_id, bob_token) = node.sign_up("bob");
    let channel = node.direct(&ann_token, &bob_id);
    assert_eq!(node.direct(&bob_token, &ann_id), channel, "the same two have the same channel");
    let tokens = [ann_token, bob_token];
    let mut clients = tokens.each_ref().map(|token| node.connect(token, "phone"));
    let mut sent: BTreeMap<u64, (usize, String, String)> = BTreeMap::new();
    for number in 0..messages {
        for (who, client) in clients.iter_mut().enumerate() {
            let (id, body) = (client_msg_id(number * 2 + who as u64), format!("{who} {number}"));
            let reply = client.send(&channel, &id, &body);
            assert_eq!(reply["send"]["duplicate"], json!(false), "{reply}");
            let seq = reply["send"]["seq"].as_u64().expect("a seq");
            assert!(sent.insert(seq, (who, id, body)).is_none(), "seq {seq} was given twice");
        }
    }
    assert!(sent.keys().copied().eq(1..=messages * 2), "the seqs are 1 to {}", messages * 2);
    for client in &mut clients {
        for (seq, (_, _, body)) in &sent {
            let push = client.push();
            let message = &push["message"]["message"];
            assert_eq!((&message["seq"], &message["body"]), (&json!(seq), &json!(body)), "{push}");
        }
    }
    node.kill();

    let node = start();
    let mut ann = node.connect(&tokens[0], "phone");
    let expected: BTreeMap<u64, String> = sent.iter().map(|(&seq, (_, _, body))| (seq, body.clone())).collect();
    assert_eq!(history(&mut ann, &channel), expected);
    for seq in [1, messages, messages * 2] {
        let (who, id, body) = &sent[&seq];
        let mut client = node.connect(&tokens[*who], "retry");
        let reply = client.send(&channel, id, body);
        assert_eq!((&reply["send"]["seq"], &reply["send"]["duplicate"]), (&json!(seq), &json!(true)), "{reply}");
        assert_eq!(client.send(&channel, id, "other content")["error"]["code"], json!(121));
    }
    node
}
