//! Three devices of one account, two of which lose their connections all the time: each ends with exactly the log, by
//! cursor alone.

mod support;

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};
use support::{Client, Node, client_msg_id, message, text};

const CHANNELS: usize = 50;
const SENDERS: usize = 5;
/// Over all channels and senders.
const MESSAGES: u64 = 10_000;
/// Drops of one of the two devices that come and go.
const DROPS: u64 = 100;
/// Sends that one sender has on the way: below what a session may leave unanswered.
const WINDOW: usize = 100;

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// An event as one device holds it: its cursor, and the message's place if it is one.
type Held = (String, Option<(String, u64)>);

/// Reads pushes, and goes without a word every so often, until it holds `MESSAGES` messages.
fn device(ws: &str, token: &str, name: &str, start: String, drops: u64) -> Vec<Held> {
    let mut dice = Dice(drops + u64::from(name.as_bytes()[0]));
    let (mut held, mut messages, mut dropped) = (Vec::<Held>::new(), 0, 0);
    while messages < MESSAGES {
        let cursor = held.last().map_or(&start, |(cursor, _)| cursor);
        let (mut client, connected) = Client::connect(ws, token, name, Some(cursor));
        assert!(connected["connect"].is_object(), "{connected}");
        let until = if dropped < drops { messages + dice.below(2 * MESSAGES / drops.max(1)) } else { MESSAGES };
        while messages < until.min(MESSAGES) {
            let push = client.push();
            let (_, fields) = push.as_object().expect("a push").iter().next().expect("of one kind");
            let place = push["message"].is_object().then(|| {
                let message = &fields["message"];
                (text(&message["channel_id"]), message["seq"].as_u64().expect("a seq"))
            });
            messages += u64::from(place.is_some());
            held.push((text(&fields["cursor"]), place));
        }
        dropped += 1;
    }
    assert!(dropped > drops.min(1), "{name} was dropped {dropped} times");
    held
}

/// Sends its part of the messages, and waits for every answer.
fn sender(ws: &str, token: &str, name: &str, channels: &[String], number: u64) {
    let mut client = Client::connect(ws, token, name, None).0;
    let mut waiting = std::collections::VecDeque::new();
    let mut dice = Dice(number);
    for count in 0..MESSAGES / SENDERS as u64 {
        let channel = &channels[usize::try_from(dice.below(CHANNELS as u64)).expect("small")];
        let id = client_msg_id(number << 32 | count);
        waiting.push_back(client.tell("send", message(channel, &id, "m")));
        if waiting.len() == WINDOW {
            acknowledged(&mut client, waiting.pop_front().expect("full"));
        }
    }
    waiting.into_iter().for_each(|id| acknowledged(&mut client, id));
}

fn acknowledged(client: &mut Client, id: u32) {
    let reply = client.reply(id);
    assert!(reply["send"]["seq"].is_u64(), "{reply}");
}

#[test]
fn devices_that_come_and_go_end_with_the_log() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, token) = node.sign_up("reader");
    let senders: Vec<(String, String)> = (0..SENDERS).map(|number| node.sign_up(&format!("sender{number}"))).collect();
    let members: Vec<&str> = senders.iter().map(|(user, _)| user.as_str()).collect();
    let group = |number| node.group(&token, &format!("group {number}"), &members);
    let channels: Vec<String> = (0..CHANNELS).map(group).collect();
    let (first, connected) = Client::connect(&node.ws, &token, "first", None);
    let start = text(&connected["connect"]["cursor"]);
    drop(first);

    let ws = node.ws.as_str();
    let held: Vec<Vec<Held>> = thread::scope(|scope| {
        let (token, channels, start) = (token.as_str(), channels.as_slice(), &start);
        let devices = [("steady", 0), ("a", DROPS), ("b", DROPS)]
            .map(|(name, drops)| scope.spawn(move || device(ws, token, name, start.clone(), drops)));
        for (number, (_, token)) in (1..).zip(&senders) {
            scope.spawn(move || sender(ws, token, &format!("sender-{number}"), channels, number));
        }
        devices.into_iter().map(|device| device.join().expect("it held what it should")).collect()
    });

    // The same events in the same order: nothing doubled, nothing left out, whoever was away when it happened.
    assert_eq!(held[0].len() as u64, MESSAGES);
    assert!(held[1] == held[0] && held[2] == held[0], "I6: three devices of one account hold different inboxes");
    let mut heads: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, place) in &held[0] {
        let (channel, seq) = place.as_ref().expect("nothing but messages happened");
        let head = heads.entry(channel).or_default();
        assert_eq!(*seq, *head + 1, "I2: channel {channel}");
        *head = *seq;
    }
    let mut reader = node.connect(&token, "later");
    for channel in &channels {
        let page = reader.ask("history", json!({"channel_id": channel, "limit": 1}));
        let expected = heads.get(channel.as_str()).copied().unwrap_or_default();
        assert_eq!(page["history"]["head_seq"], Value::from(expected), "channel {channel}");
    }
}
