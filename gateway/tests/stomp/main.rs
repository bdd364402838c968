//! STOMP against real nodes: by clients that nobody here wrote (see `support/stomp.rs`), and by bytes that no client would
//! send.

#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Node, PATIENCE, check_stomp, chromium, client_msg_id, stomp_facts};
use tungstenite::{Message, WebSocket};

#[test]
fn two_clients_talk_in_each_version() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let mut facts = stomp_facts(&node, &json!({}));
    for versions in [json!(["1.2", "1.1", "1.0"]), json!(["1.1"]), json!(["1.0"])] {
        facts["versions"] = versions;
        check_stomp("talk.js", &facts);
    }
}

#[test]
fn a_replay_goes_on_over_connections_and_acks_move_the_read_mark() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let facts = stomp_facts(&node, &json!({"sent": 600, "more": 300}));
    let (channel, bob) = (facts["channel"].as_str().expect("an id"), facts["bob"]["token"].as_str().expect("a token"));
    let mut ann = node.connect(facts["ann"]["token"].as_str().expect("a token"), "json");
    for seq in 1..=600 {
        ann.send(channel, &client_msg_id(seq), &format!("body {seq}"));
    }
    if check_stomp("replay.js", &facts) {
        let opened = node.connect(bob, "json").ask("open", json!({"channel_id": channel}));
        assert_eq!(opened["open"]["read_seq"], json!(900), "{opened}");
    }
}

#[test]
fn heart_beats_hold() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    check_stomp("beats.js", &stomp_facts(&node, &json!({})));
}

#[test]
fn two_clients_talk_in_python() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    check_stomp("talk.py", &stomp_facts(&node, &json!({})));
}

#[test]
fn two_clients_talk_in_a_browser() {
    let Some(chromium) = chromium() else { return };
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let chromium = chromium.into_string().expect("a name in UTF-8");
    check_stomp("chromium.js", &stomp_facts(&node, &json!({"chromium": chromium})));
}

/// A connection whose bytes are ours.
struct Raw(WebSocket<std::net::TcpStream>);

impl Raw {
    fn open(node: &Node, subprotocol: &str) -> Self {
        Self(support::socket(&node.ws, subprotocol, PATIENCE).expect("the node listens"))
    }

    /// After CONNECT in 1.2.
    fn connected(node: &Node, token: &str, headers: &str) -> Self {
        let mut raw = Self::open(node, "v12.stomp");
        raw.say(&format!("CONNECT\naccept-version:1.2\npasscode:{token}\n{headers}\n\0"));
        let connected = raw.next().expect("an answer");
        assert!(connected.starts_with("CONNECTED\nversion:1.2\n"), "{connected}");
        raw
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("the socket takes it");
    }

    /// What comes next, or the code with which the node closes.
    fn next(&mut self) -> Result<String, u16> {
        loop {
            match self.0.read().expect("the node says something in time") {
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(frame) => return Err(frame.expect("a code").code.into()),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// ERROR with this in it, and a close with this code.
    fn fails(&mut self, part: &str, code: u16) {
        let error = self.next().unwrap_or_else(|code| panic!("closed with {code} in place of {part:?}"));
        assert!(error.starts_with("ERROR\n") && error.contains(part), "{error} has {part:?}");
        assert_eq!(self.next(), Err(code), "{part:?}");
    }
}

#[test]
fn what_no_client_would_send_is_an_error_and_the_end_of_its_connection_alone() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (channel, [ann, bob]) = node.two();
    let send = format!("SEND\ndestination:/channel/{channel}\n");
    let mut witness = Raw::connected(&node, &bob, "login:witness\n");
    witness.say(&format!("SUBSCRIBE\nid:0\ndestination:/channel/{channel}\nreceipt:r\n\n\0"));
    assert!(witness.next().expect("an answer").contains("RECEIPT"));

    for (bytes, part, code) in [
        (format!("{send}a:\\t\n\nx\0"), "escape", 3501),
        (format!("{send}content-length:2\n\nx\0{send}\nx\0"), "no NUL behind the 2 bytes", 3501),
        (format!("{send}content-length:99999999999\n\nx\0"), "longer than", 3501),
        (format!("{send}content-length:-1\n\nx\0"), "content-length", 3501),
        (format!("{send}no colon\n\nx\0"), "no colon", 3501),
        (format!("{send}\0"), "NUL before", 3501),
        (format!("SEND\nx:{}\n\n\0", "y".repeat(1024 * 1024)), "longer than 16384 bytes", 3501),
        ("DANCE\n\n\0".to_owned(), "DANCE", 3501),
        ("SEND\ndestination:/queue/x\n\nx\0".to_owned(), "no destination", 1000),
        ("SEND\ndestination:/channel/1\nreceipt:r\n\nx\0".to_owned(), "receipt-id:r\nx-code:102\n", 1000),
        ("SUBSCRIBE\nid:0\ndestination:/channel/1\n\n\0".to_owned(), "x-code:102\n", 1000),
        ("ACK\nid:1-1\n\n\0".to_owned(), "no subscription", 1000),
        ("COMMIT\ntransaction:t\n\n\0".to_owned(), "no transaction", 1000),
    ] {
        Raw::connected(&node, &ann, "").say_fails(&bytes, part, code);
    }
    for (bytes, part, code) in [
        ("CONNECT\naccept-version:3.0\n\n\0", "version:1.0,1.1,1.2", 1000),
        ("CONNECT\naccept-version:1.2\nlogin:ann\npasscode:secret\n\n\0", "no access token", 3500),
        ("CONNECT\naccept-version:1.2\npasscode:a.b.c\n\n\0", "x-code:101", 3500),
        ("SEND\ndestination:/channel/5\n\nx\0", "send CONNECT first", 3500),
        ("{\"id\":1,\"echo\":{\"data\":\"x\"}}\n\n", "unknown command", 3501),
    ] {
        Raw::open(&node, "v12.stomp").say_fails(bytes, part, code);
    }
    // A body that is not UTF-8 can come in a binary message alone.
    let mut raw = Raw::connected(&node, &ann, "");
    raw.0.send(Message::binary([send.as_bytes(), b"\n\xff\0"].concat())).expect("the socket takes it");
    raw.fails("not UTF-8", 1000);
    // And text may.
    let mut raw = Raw::connected(&node, &ann, "");
    raw.0.send(Message::binary([send.as_bytes(), b"\nstill there\0"].concat())).expect("the socket takes it");
    let heard = witness.next().expect("a message");
    assert!(heard.ends_with("\n\nstill there\0"), "{heard}");
}

impl Raw {
    fn say_fails(&mut self, bytes: &str, part: &str, code: u16) {
        // The node may close before it has read all.
        let _ = self.0.send(Message::text(bytes));
        self.fails(part, code);
    }
}

#[test]
fn a_silent_client_is_given_up() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (_, ann) = node.sign_up("ann");
    let mut raw = Raw::connected(&node, &ann, "heart-beat:5000,0\n");
    let started = Instant::now();
    raw.fails("no heart-beat", 3012);
    let took = started.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(16)).contains(&took), "after {took:?}");
}

/// The account of bytes: the shard's are more or fewer than the socket's, of pages that are long, while the client reads slowly.
#[test]
fn a_slow_reader_of_a_long_replay_misses_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (channel, [ann, bob]) = node.two();
    let mut sender = node.connect(&ann, "json");
    let quotes = "\"\n".repeat(10_000);
    for number in 0..150 {
        let body = if number % 3 == 0 { &*quotes } else { "short" };
        let sent = sender.send(&channel, &client_msg_id(number), body);
        assert!(sent["send"]["seq"].is_u64(), "{sent}");
    }
    let mut raw = Raw::connected(&node, &bob, "");
    raw.say(&format!("SUBSCRIBE\nid:0\ndestination:/channel/{channel}\nx-after-seq:0\n\n\0"));
    for seq in 1..=150 {
        let message = raw.next().expect("a message");
        assert!(message.contains(&format!("\nx-seq:{seq}\n")), "{seq}: {}", &message[..200]);
        if seq % 10 == 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    raw.say("DISCONNECT\nreceipt:d\n\n\0");
    assert_eq!(raw.next(), Ok("RECEIPT\nreceipt-id:d\n\n\0".to_owned()));
    assert_eq!(raw.next(), Err(1000));
}

/// A large channel is in nobody's inbox: its messages come because it is subscribed to, and what was before from its log.
#[test]
fn a_large_channel_is_replayed_and_followed() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, ann) = node.sign_up("ann");
    let (bob_id, bob) = node.sign_up("bob");
    let channel = node.channel(&ann, &json!({"kind": "large", "title": "all", "history": "all"}));
    let (status, reply) = node.http(
        "PUT",
        &format!("/v1/channels/{channel}/members/{bob_id}"),
        Some(&ann),
        Some(&json!({"role": "member"})),
    );
    assert!((200..300).contains(&status), "{status} {reply}");
    let mut sender = node.connect(&ann, "json");
    let mut send = |seq: u64| {
        let sent = sender.send(&channel, &client_msg_id(seq), &format!("body {seq}"));
        assert_eq!(sent["send"]["seq"], json!(seq), "{sent}");
    };
    (1..=250).for_each(&mut send);
    let mut raw = Raw::connected(&node, &bob, "");
    raw.say(&format!("SUBSCRIBE\nid:0\ndestination:/channel/{channel}\nx-after-seq:10\nack:client\n\n\0"));
    let given = |raw: &mut Raw, seq: u64| {
        let message = raw.next().expect("a message");
        assert!(
            message.starts_with("MESSAGE\n") && message.ends_with(&format!("\n\nbody {seq}\0")),
            "{seq}: {message}"
        );
    };
    (11..=150).for_each(|seq| given(&mut raw, seq));
    (251..=260).for_each(&mut send);
    (151..=260).for_each(|seq| given(&mut raw, seq));
    (261..=270).for_each(&mut send);
    (261..=266).for_each(|seq| given(&mut raw, seq));
    // 256 wait for their ACK, as many as may.
    raw.say("ACK\nid:1-260\nreceipt:acked\n\n\0");
    let said: Vec<String> = (0..5).map(|_| raw.next().expect("a frame")).collect();
    assert!(said.iter().any(|said| said == "RECEIPT\nreceipt-id:acked\n\n\0"), "{said:?}");
    for seq in 267..=270 {
        assert!(said.iter().any(|said| said.ends_with(&format!("\n\nbody {seq}\0"))), "{seq} is in {said:?}");
    }
    raw.say("UNSUBSCRIBE\nid:0\nreceipt:gone\n\n\0");
    assert_eq!(raw.next(), Ok("RECEIPT\nreceipt-id:gone\n\n\0".to_owned()));
}

/// Of a large channel the node tells a session from its last `open` on, and refuses one behind which another comes.
#[test]
fn two_subscriptions_of_a_large_channel_miss_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, ann) = node.sign_up("ann");
    let channel = node.channel(&ann, &json!({"kind": "large", "title": "all", "history": "all"}));
    let mut sender = node.connect(&ann, "json");
    let mut send = |seq: u64| {
        let sent = sender.send(&channel, &client_msg_id(seq), &format!("body {seq}"));
        assert_eq!(sent["send"]["seq"], json!(seq), "{sent}");
    };
    let mut raw = Raw::connected(&node, &ann, "");
    let subscribe =
        |id: &str| format!("SUBSCRIBE\nid:{id}\ndestination:/channel/{channel}\nreceipt:{id}\nx-after-seq:0\n\n\0");
    raw.say(&format!("{}{}", subscribe("s"), subscribe("t")));
    for id in ["s", "t"] {
        assert_eq!(raw.next(), Ok(format!("RECEIPT\nreceipt-id:{id}\n\n\0")));
    }
    // A third and a fourth come while messages do.
    for seq in 1..=60 {
        send(seq);
        match seq {
            20 => raw.say(&subscribe("u")),
            40 => raw.say(&subscribe("v")),
            _ => {}
        }
    }
    let mut given: [Vec<u64>; 4] = Default::default();
    while given.iter().any(|given| given.len() < 60) {
        let said = raw.next().expect("a frame");
        let header = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        if let Some(id) = header("subscription") {
            let of = ["s", "t", "u", "v"].iter().position(|known| *known == id).expect("a subscription");
            given[of].push(header("x-seq").expect("a seq").parse().expect("a number"));
            assert_eq!(given[of].last(), Some(&(given[of].len() as u64)), "{id}: {said}");
        }
    }
}

/// The server takes 256 commands without an answer, and sends by their rate: it would close a client that asked on.
#[test]
fn thousands_of_frames_in_one_message_are_slowed_down() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (channel, [ann, bob]) = node.two();
    let mut raw = Raw::connected(&node, &bob, "");
    let subscribe = |id: u32| format!("SUBSCRIBE\nid:{id}\ndestination:/topic/presence.{}\nreceipt:{id}\n\n\0", id + 1);
    raw.say(&(0..500).map(subscribe).collect::<String>());
    let mut receipts = 0;
    while receipts < 500 {
        let said = raw.next().expect("a frame");
        assert!(said.starts_with("RECEIPT") || said.starts_with("MESSAGE"), "{said}");
        receipts += usize::from(said.starts_with("RECEIPT"));
    }
    let mut raw = Raw::connected(&node, &ann, "");
    let send = |number: u32| format!("SEND\ndestination:/channel/{channel}\nreceipt:{number}\n\nx\0");
    raw.say(&(0..3_500).map(send).collect::<String>());
    for number in 0..3_500 {
        let said = raw.next().expect("a frame");
        assert!(said.starts_with(&format!("RECEIPT\nreceipt-id:{number}\n")), "{number}: {said}");
    }
}

/// RECEIPTs of what is done at once wait for it, where the server's own limits do not count them.
#[test]
fn a_client_that_does_not_read_is_not_read() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (_, ann) = node.sign_up("ann");
    let mut raw = Raw::connected(&node, &ann, "");
    let receipt = "r".repeat(15 * 1024);
    let frames = format!("BEGIN\ntransaction:t\nreceipt:{receipt}\n\n\0ABORT\ntransaction:t\n\n\0");
    raw.0.get_mut().set_write_timeout(Some(Duration::from_secs(2))).expect("a socket");
    let mut said = 0;
    while said < 4_000 && raw.0.send(Message::text(&*frames)).is_ok() {
        said += 1;
    }
    // Sockets hold some MB of both ways.
    assert!(said < 4_000, "60 MB were taken of a client that reads nothing");
}
