//! Clients that send while the cluster is not well, and what must be true of their messages afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{Node, Place, client_msg_id, history};

/// What a client under load knows of its messages: each with its id and body, and its seq once it was acknowledged.
pub(crate) struct Sent {
    pub(crate) token: String,
    pub(crate) messages: Vec<(String, String, Option<u64>)>,
}

/// Stops clients under load when it is dropped, also by a test that fails: it would wait for them for ever.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// So many clients send a second before, through and after what happens meanwhile. What each sent, and how many sends
/// were refused.
pub(crate) fn under_load(
    node: &Node,
    (channel, tokens): (&str, &[String; 2]),
    clients: usize,
    meanwhile: impl FnOnce(),
) -> (Vec<Sent>, u64) {
    let stop = AtomicBool::new(false);
    let place: &Place = node;
    thread::scope(|scope| {
        let stopping = Stop(&stop);
        let stop = &stop;
        let start = |who: usize| scope.spawn(move || load(place, &tokens[who % 2], who as u64, channel, stop));
        let clients: Vec<_> = (0..clients).map(start).collect();
        thread::sleep(Duration::from_secs(1));
        meanwhile();
        thread::sleep(Duration::from_secs(1));
        drop(stopping);
        let ended = clients.into_iter().map(|client| client.join().expect("a client ends well"));
        let (sent, refused): (Vec<Sent>, Vec<u64>) = ended.unzip();
        (sent, refused.into_iter().sum())
    })
}

/// Sends one message after the other until it is told to stop. One that is refused as temporary is left as it is, for
/// its retry to find later.
fn load(node: &Place, token: &str, who: u64, channel: &str, stop: &AtomicBool) -> (Sent, u64) {
    let mut client = node.connect(token, &format!("load-{who}"));
    let mut messages = Vec::new();
    let mut refused = 0;
    while !stop.load(Ordering::Relaxed) {
        let number = who * 1_000_000 + messages.len() as u64;
        let (id, body) = (client_msg_id(number), format!("{who} {number}"));
        let reply = client.send(channel, &id, &body);
        let seq = reply["send"]["seq"].as_u64();
        if seq.is_none() {
            let (code, temporary) = (&reply["error"]["code"], &reply["error"]["temporary"]);
            assert!((*code == 115 || *code == 114) && *temporary == true, "{reply}");
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
        let mut client = node.connect(&sent.token, &format!("retry-{who}"));
        for (id, body, acknowledged) in &sent.messages {
            let seq = match acknowledged {
                Some(seq) => *seq,
                None => {
                    let reply = client.send(channel, id, body);
                    reply["send"]["seq"].as_u64().unwrap_or_else(|| panic!("a retry is acknowledged: {reply}"))
                }
            };
            assert!(by_seq.insert(seq, body.clone()).is_none(), "seq {seq} is of two messages");
            client.pushes.clear();
        }
    }
    assert_eq!(history(&mut node.connect(&all[0].token, "reader"), channel), by_seq, "I2, I3, I5");
}
