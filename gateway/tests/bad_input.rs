//! Mistakes of clients: each gets its error or close code, and the node, the other sessions and the store go on.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use serde_json::{Value, json};
use support::{Client, Node, client_msg_id, message, rookery, said};

/// The code of an error reply.
fn code(reply: &Value) -> u64 {
    reply["error"]["code"].as_u64().unwrap_or_else(|| panic!("{reply} is an error"))
}

/// What a handshake with these header lines beside the usual is answered: the status and all of it.
fn upgrade(ws: &str, lines: &str) -> (String, String) {
    let host = ws.trim_start_matches("ws://");
    let mut stream = TcpStream::connect(host).expect("the node listens");
    let request = format!(
        "GET /connection/websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it ends, as nothing more is said");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).unwrap_or_default().to_owned(), answer)
}

#[test]
fn each_fault_gets_its_code_and_nobody_else_notices() {
    let data = tempfile::tempdir().expect("a directory");
    let origins = "--listen.allowed_origins=https://app.example.com,https://other.example.com";
    let node = Node::start("run", data.path(), &["--shards", "2", origins]);
    let (ann_id, ann_token) = node.sign_up("ann");
    let (bob_id, bob_token) = node.sign_up("bob");
    let (_, eve_token) = node.sign_up("eve");
    let channel = node.direct(&ann_token, &bob_id);
    let (mut ann, mut bob, mut eve) =
        (node.connect(&ann_token, "a"), node.connect(&bob_token, "b"), node.connect(&eve_token, "e"));

    // Errors: the session stays.
    let check = |client: &mut Client, command: &str, fields: Value, expected: u64| {
        let reply = client.ask(command, fields);
        assert_eq!(code(&reply), expected, "{command}: {reply}");
    };
    check(&mut ann, "send", message("1", &client_msg_id(1), "x"), 102);
    check(&mut ann, "send", message(&channel, &client_msg_id(2), &"가".repeat(100_001)), 116);
    check(&mut ann, "send", message(&channel, &client_msg_id(3), ""), 107);
    check(&mut ann, "send", message(&channel, "no uuid", "x"), 107);
    check(&mut ann, "send", message(&channel, "019b76da-a800-7000-8000-000000000000", "older than 30 days"), 124);
    let to_nothing = json!({"channel_id": channel, "client_msg_id": client_msg_id(4), "body": "x", "reply_to": 9});
    check(&mut ann, "send", to_nothing, 123);
    check(&mut ann, "mark", json!({"channel_id": "1", "read_seq": 1}), 102);
    check(&mut ann, "history", json!({"channel_id": "1"}), 102);
    check(&mut ann, "echo", json!({"data": "x".repeat(4097)}), 106);
    check(&mut ann, "dance", json!({}), 104);
    check(&mut ann, "connect", json!({"token": ann_token, "device_id": "a"}), 107);
    check(&mut eve, "send", message(&channel, &client_msg_id(5), "from outside"), 102);
    check(&mut eve, "history", json!({"channel_id": channel}), 102);
    ann.send_text("not json");
    assert_eq!(code(&ann.reply(0)), 107);

    // The same id with other content; with the same content it is the same message.
    let id = client_msg_id(6);
    let first = ann.ask("send", message(&channel, &id, "one"));
    assert_eq!(first["send"]["seq"], json!(1), "{first}");
    check(&mut ann, "send", message(&channel, &id, "two"), 121);
    let again = ann.ask("send", message(&channel, &id, "one"));
    assert_eq!((&again["send"]["seq"], &again["send"]["duplicate"]), (&json!(1), &json!(true)));

    // A body of exactly 100,000 characters, in 74 frames, is whole after its way through the store.
    let full = "나".repeat(100_000);
    let reply = ann.ask("send", message(&channel, &client_msg_id(7), &full));
    assert_eq!(reply["send"]["seq"], json!(2), "{reply}");
    assert_eq!(bob.push()["message"]["message"]["seq"], json!(1));
    assert_eq!(bob.push()["message"]["message"]["body"], json!(full));
    let page = bob.ask("history", json!({"channel_id": channel, "after": 1}));
    assert_eq!(page["history"]["messages"][0]["body"], json!(full));

    // Pages of other origins; what is no browser has none.
    for (origin, expected) in [
        ("", "101"),
        ("Origin: http://127.0.0.1:8000\r\n", "101"),
        ("Origin: http://localhost:8000\r\n", "101"),
        ("Origin: https://app.example.com\r\n", "101"),
        ("Origin: https://evil.example.com\r\n", "403"),
        ("Origin: null\r\n", "403"),
    ] {
        let (status, text) = upgrade(&node.ws, origin);
        assert_eq!(status, expected, "{origin}{text}");
        assert!(status == "101" || text.contains("listen.allowed_origins"), "{text}");
    }

    node.until_metric("rookery_refused_origins_total", 2);

    // Closes.
    let mut wrong = Client::open(&node.ws);
    let id = wrong.tell("connect", json!({"token": "wrong", "device_id": "w"}));
    assert_eq!(code(&wrong.reply(id)), 101);
    assert_eq!(wrong.closed(), 3500);
    let mut early = Client::open(&node.ws);
    let reply = early.ask("echo", json!({"data": "before connect"}));
    assert!(matches!(code(&reply), 101), "{reply}");
    let reply = early.ask("connect", json!({"token": ann_token, "device_id": "early", "cursor": "nonsense"}));
    assert_eq!(code(&reply), 112);
    early.send_binary(b"\0\0");
    assert_eq!(early.closed(), 3501);
    let mut chatter = Client::open(&node.ws);
    for _ in 0..20 {
        chatter.send_text("?");
    }
    assert_eq!(chatter.closed(), 3509);
    let mut large = Client::open(&node.ws);
    large.send_text(&"x".repeat(2 * 1024 * 1024 + 1));
    assert_eq!(large.closed(), 1009);
    let (older, _) = Client::connect(&node.ws, &ann_token, "same", None);
    let (_newer, _) = Client::connect(&node.ws, &ann_token, "same", None);
    assert_eq!(older.closed(), 3505);

    // Nobody else noticed, and the store is as it should be.
    let reply = bob.ask("send", message(&channel, &client_msg_id(8), "still here"));
    assert_eq!(reply["send"]["seq"], json!(3), "{reply}");
    let (status, me) = node.http("GET", "/v1/me", Some(&ann_token), None);
    assert_eq!((status, &me["user_id"]), (200, &json!(ann_id)));
    assert!(node.terminate().success());
    let (code, told) = said(rookery(&["store", "check", "--data"]).arg(data.path()));
    assert_eq!(code, 0, "{told}");
}
