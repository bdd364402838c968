//! Clients that send while the cluster is not well, and what must be true of their messages afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Node, client_msg_id, text};

pub(crate) fn send(channel: &str, id: &str, body: &str) -> Value {
    json!({"channel_id": channel, "client_msg_id": id, "body": body})
}

/// All of a channel's history, body by seq.
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

/// What a client under load knows of its messages: each with its id and body, and its seq once it was acknowledged.
pub(crate) struct Sent {
    pub(crate) token: String,
    pub(crate) messages: Vec<(String, String, Option<u64>)>,
}

/// Stops clients under load when it is dropped, also by a test that fails: it would wait for them for ever.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends one message after the other until it is told to stop. One that is refused as temporary is left as it is, for
/// its retry to find later.
pub(crate) fn load(node_ws: &str, token: &str, who: u64, channel: &str, stop: &AtomicBool) -> (Sent, u64) {
    let (mut client, _) = Client::connect(node_ws, token, &format!("load-{who}"), None);
    let mut messages = Vec::new();
    let mut refused = 0;
    while !stop.load(Ordering::Relaxed) {
        let number = who * 1_000_000 + messages.len() as u64;
        let (id, body) = (client_msg_id(number), format!("{who} {number}"));
        let reply = client.ask("send", send(channel, &id, &body));
        let seq = reply["send"]["seq"].as_u64();
        if seq.is_none() {
            let code = &reply["error"]["code"];
            assert!(*code == json!(115) || *code == json!(114), "{reply}");
            assert_eq!(reply["error"]["temporary"], json!(true), "{reply}");
            refused += 1;
            thread::sleep(Duration::from_millis(200));
        }
        // A user may ask 100 times a second.
        thread::sleep(Duration::from_millis(15));
        messages.push((id, body, seq));
        client.pushes.clear();
    }
    (Sent { token: token.to_owned(), messages }, refused)
}

/// Every acknowledged message is there under its seq, and every other one, tried again, is there once.
pub(crate) fn check_sent(node: &Node, channel: &str, all: &[Sent]) {
    let mut by_seq = BTreeMap::new();
    for (who, sent) in all.iter().enumerate() {
        let (mut client, _) = Client::connect(&node.ws, &sent.token, &format!("retry-{who}"), None);
        for (id, body, acknowledged) in &sent.messages {
            let seq = match acknowledged {
                Some(seq) => *seq,
                None => {
                    let reply = client.ask("send", send(channel, id, body));
                    reply["send"]["seq"].as_u64().unwrap_or_else(|| panic!("a retry is acknowledged: {reply}"))
                }
            };
            assert!(by_seq.insert(seq, body.clone()).is_none(), "seq {seq} is of two messages");
            client.pushes.clear();
        }
    }
    let (mut reader, _) = Client::connect(&node.ws, &all[0].token, "reader", None);
    assert_eq!(history(&mut reader, channel), by_seq, "I2, I3, I5");
}
