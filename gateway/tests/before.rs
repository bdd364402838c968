//! Webhooks that are asked before a message is stored: a real node, and a server that allows, changes, refuses, or fails in each
//! way that it can.

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fakes::{Fakes, Profile};
use serde_json::{Value, json};
use support::plain::call;
use support::{Client, Node, PATIENCE, client_msg_id, history, message, text};
use tungstenite::Message;

/// How long a hook has to answer here.
const TIMEOUT_MS: u64 = 400;

struct Rig {
    fakes: Fakes,
    node: Node,
    basic: String,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        Self::of(None)
    }

    /// One whose node has this in its `notify.providers_file`, unless it lists the fakes.
    fn of(providers: Option<&str>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        std::fs::create_dir(&data).expect("it can be made");
        let fakes = Fakes::start(&directory.path().join("fakes")).expect("they start");
        let file = providers.map(|text| {
            let path = directory.path().join("notify.toml");
            std::fs::write(&path, text).expect("written");
            path
        });
        let file = file.as_deref().unwrap_or_else(|| fakes.config_path());
        let providers = file.to_str().expect("a path in UTF-8").to_owned();
        let node = Node::start("run", &data, &["--shards", "2", "--notify.providers_file", &providers]);
        let mut command = support::rookery(&["app", "create", "shop", "--scopes", "hooks,moderate"]);
        let (_, said) = support::said(command.args(["--internal", node.internal.trim_start_matches("http://")]));
        let word = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).expect("it is said").trim();
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", word("key"), word("secret"))));
        Self { fakes, node, basic, _directory: directory }
    }

    fn url(&self) -> String {
        format!("http://{}/before", self.fakes.events.address())
    }

    /// What the application asks: the answer.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = config.build().into();
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.node.api));
        let request = request.header("authorization", &self.basic).header("content-type", "application/json");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut answer = agent.run(request.body(body).expect("legal")).expect("it answers");
        let said = answer.body_mut().read_to_string().unwrap_or_default();
        serde_json::from_str(&said).unwrap_or(Value::Null)
    }

    /// A hook that is asked before both there is, about these channels. Its id.
    fn hook(&self, url: &str, on_failure: &str, channels: &[&str]) -> String {
        self.hook_in(TIMEOUT_MS, url, on_failure, channels)
    }

    /// The same, with so long to answer.
    fn hook_in(&self, timeout_ms: u64, url: &str, on_failure: &str, channels: &[&str]) -> String {
        let before = ["message.send", "message.edit"];
        let body = json!({"url": url, "before": before, "timeout_ms": timeout_ms, "on_failure": on_failure, "channels": channels});
        let hook = self.ask("POST", "/v1/hooks", &body);
        if url == self.url() {
            self.fakes.expect_events_signed(&text(&hook["secret"]));
        }
        // A second later it counts, on each node.
        thread::sleep(Duration::from_millis(1_300));
        text(&hook["id"])
    }

    fn end(&self, hook: &str) {
        self.ask("DELETE", &format!("/v1/hooks/{hook}"), &Value::Null);
        thread::sleep(Duration::from_millis(1_300));
    }
}

/// What a reply to a send comes to, and how long it took.
fn sent(client: &mut Client, channel: &str, id: u64, body: &str) -> (String, Duration) {
    let began = Instant::now();
    let reply = client.send(channel, &client_msg_id(id), body);
    let word = match &reply["error"] {
        Value::Null => {
            format!("#{}{}", reply["send"]["seq"], if reply["send"]["duplicate"] == true { " again" } else { "" })
        }
        error => format!("!{} {}", error["code"], error["message"].as_str().unwrap_or_default()),
    };
    (word, began.elapsed())
}

/// Changes what begins with `fix`, refuses what begins with `no`, and fails as it is told.
fn says(question: &Value) -> (u16, String) {
    let body = question["data"]["body"].as_str().unwrap_or_default();
    let said = |value: Value| (200, value.to_string());
    match body.split(' ').next().unwrap_or_default() {
        "fix" => said(json!({"action": "change", "body": format!("{body}, fixed")})),
        "no" => said(json!({"action": "refuse", "reason": "be kind"})),
        "500" => (500, json!({"action": "allow"}).to_string()),
        "302" => (302, json!({"action": "allow"}).to_string()),
        "text" => (200, "allow".to_owned()),
        "long" => (200, format!(r#"{{"action":"change","body":"{}"}}"#, r"\u4f60".repeat(100_000))),
        "300KB" => said(json!({"action": "change", "body": "a".repeat(300 * 1024)})),
        _ => said(json!({"action": "allow"})),
    }
}

#[test]
fn an_application_allows_changes_and_refuses_on_every_way_in() {
    let rig = Rig::new();
    rig.fakes.answer_before(says);
    let (channel, [ann, bob]) = rig.node.two();
    let (mut client, mut other) = (rig.node.connect(&ann, "phone"), rig.node.connect(&bob, "phone"));
    assert_eq!(sent(&mut client, &channel, 1, "no hook").0, "#1");
    rig.hook(&rig.url(), "allow", &[]);
    let mut check =
        |id, body: &str, expected: &str| assert_eq!(sent(&mut client, &channel, id, body).0, expected, "{body}");
    check(2, "hello", "#2");
    check(3, "fix this", "#3");
    check(4, "no way", "!125 be kind");
    // The first answer holds, whatever is said by now: of what is stored nobody is asked.
    check(1, "no hook", "#1 again");
    check(3, "fix this", "#3 again");
    // What was refused is asked about anew.
    check(4, "no way", "!125 be kind");
    assert_eq!(rig.fakes.events.fault(), None);
    let asked: Vec<Value> =
        rig.fakes.events.received().iter().map(|call| serde_json::from_str(&call.body).expect("JSON")).collect();
    assert_eq!((asked.len(), rig.fakes.events.counts().requests), (3, 4), "{asked:?}");
    assert_eq!(
        (&asked[0]["type"], &asked[0]["channel_id"], &asked[0]["channel_kind"], &asked[0]["data"]["body"]),
        (&json!("message.send"), &json!(channel), &json!("direct"), &json!("hello"))
    );

    // Edits, and the other ways in: the HTTP API, calls, STOMP is one of the same sessions.
    let edit = |client: &mut Client, id: u64, base: u32, body: &str| {
        let fields =
            json!({"channel_id": channel, "seq": 2, "op_id": client_msg_id(id), "base_revision": base, "body": body});
        client.ask("edit", fields)
    };
    assert_eq!(edit(&mut client, 100, 0, "no more")["error"]["code"], 125);
    assert_eq!(edit(&mut client, 101, 0, "fix it")["edit"]["revision"], 1);
    let path = format!("/v1/channels/{channel}/messages");
    let post = |id, body: &str| {
        let body = json!({"client_msg_id": client_msg_id(id), "body": body});
        rig.node.http("POST", &path, Some(&ann), Some(&body))
    };
    let (status, refused) = post(5, "no by HTTP");
    assert_eq!((status, &refused["code"], &refused["detail"]), (403, &json!(125), &json!("be kind")), "{refused}");
    assert_eq!(post(6, "fix by HTTP").0, 201);
    let (status, replies) = call(
        &rig.node.ws,
        &ann,
        &[
            json!({"id": 1, "send": message(&channel, &client_msg_id(7), "no by a call")}),
            json!({"id": 2, "send": message(&channel, &client_msg_id(8), "fix by a call")}),
        ],
    );
    assert_eq!(
        (status, &replies[0]["error"]["code"], &replies[1]["send"]["seq"]),
        (200, &json!(125), &json!(5)),
        "{replies:?}"
    );
    let mut stomp = support::socket(&rig.node.ws, "v12.stomp", PATIENCE).expect("the node listens");
    let mut say = |text: String| stomp.send(Message::text(text)).expect("the socket takes it");
    say(format!("CONNECT\naccept-version:1.2\npasscode:{ann}\ndevice-id:stomp\n\n\0"));
    let id = client_msg_id(9);
    say(format!("SEND\ndestination:/channel/{channel}\nreceipt:r\nx-client-msg-id:{id}\n\nno by STOMP\0"));
    let refused = loop {
        let Message::Text(frame) = stomp.read().expect("an answer") else { continue };
        if frame.starts_with("ERROR") {
            break frame.to_string();
        }
    };
    assert!(refused.contains("x-code:125\n") && refused.contains("be kind"), "{refused}");
    assert_eq!(rig.node.metric("rookery_before_asked_total{outcome=\"refused\"}"), 6);
    let expected = ["no hook", "fix it, fixed", "fix this, fixed", "fix by HTTP, fixed", "fix by a call, fixed"];
    let expected: Vec<(u64, String)> = (1..).zip(expected.map(str::to_owned)).collect();
    assert_eq!(history(&mut other, &channel).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn who_only_asks_needs_no_service_of_notifications_and_a_long_text_comes_back() {
    let rig = Rig::of(Some("allow_loopback = true\n"));
    rig.fakes.answer_before(says);
    let (channel, [ann, bob]) = rig.node.two();
    let (mut client, mut other) = (rig.node.connect(&ann, "phone"), rig.node.connect(&bob, "phone"));
    let told = rig.ask("POST", "/v1/hooks", &json!({"url": rig.url(), "events": ["read"], "before": ["message.send"]}));
    assert_eq!(told["code"], 107, "{told}");
    assert!(text(&told["detail"]).contains("this node has no services"), "{told}");
    rig.hook(&rig.url(), "refuse", &[]);
    assert_eq!(sent(&mut client, &channel, 1, "no way").0, "!125 be kind");
    assert_eq!(sent(&mut client, &channel, 2, "long").0, "#1");
    assert_eq!(history(&mut other, &channel).into_iter().collect::<Vec<_>>(), [(1, "你".repeat(100_000))]);
}

/// A server that allows everything, and takes as long for each connection as that says, or closes it without an answer. Where it is.
fn server(takes: fn(u64) -> Option<Duration>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for (number, stream) in (0..).zip(listener.incoming()) {
            let mut stream = stream.expect("it is accepted");
            thread::spawn(move || {
                let mut head = [0; 16 * 1024];
                // Its requests are small, and come at once.
                let _ = stream.read(&mut head);
                let Some(takes) = takes(number) else { return };
                thread::sleep(takes);
                let body = r#"{"action":"allow"}"#;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            });
        }
    });
    format!("http://{at}/")
}

#[test]
fn sends_of_one_session_stay_in_their_order_however_long_each_answer_takes() {
    let rig = Rig::new();
    // Between 5 and 200 ms, each answer another time; every tenth connection breaks, and is asked once more.
    let takes = |number: u64| (number % 10 != 9).then(|| Duration::from_millis(5 + number * 89 % 195));
    let url = server(takes);
    let (channel, [ann, bob]) = rig.node.two();
    let (mut client, mut other) = (rig.node.connect(&ann, "phone"), rig.node.connect(&bob, "phone"));
    rig.hook(&url, "refuse", &[]);
    let told: Vec<u32> = (1..=60)
        .map(|number| client.tell("send", message(&channel, &client_msg_id(number), &number.to_string())))
        .collect();
    for (seq, id) in (1..).zip(told) {
        let reply = client.reply(id);
        assert_eq!(reply["send"]["seq"], json!(seq), "{reply}");
    }
    let expected: Vec<(u64, String)> = (1..=60).map(|number| (number, number.to_string())).collect();
    assert_eq!(history(&mut other, &channel).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_not_answered_is_decided_in_time_and_other_channels_do_not_notice() {
    let rig = Rig::new();
    rig.fakes.answer_before(says);
    let (bob, _) = rig.node.sign_up("bob");
    let (_, ann) = rig.node.sign_up("ann");
    let channel = rig.node.group(&ann, "asked", &[&bob]);
    let free = rig.node.group(&ann, "free", &[&bob]);
    let mut client = rig.node.connect(&ann, "phone");
    let mut id = 0;
    let mut send = |client: &mut Client, channel: &str, body: &str| {
        id += 1;
        sent(client, channel, id, body)
    };
    let unanswered = "!125 the application that looks at messages here did not answer";
    for (on_failure, is_stored) in [("allow", true), ("refuse", false)] {
        let is_right = |word: &str| if is_stored { word.starts_with('#') } else { word == unanswered };
        let hook = rig.hook(&rig.url(), on_failure, &[&channel]);
        // An answer between them, so that they are no row of failures.
        for body in ["500", "302", "text", "300KB"] {
            let (word, took) = send(&mut client, &channel, body);
            assert!(is_right(&word) && took < Duration::from_secs(2), "{on_failure} {body}: {word} after {took:?}");
            assert!(send(&mut client, &channel, "well").0.starts_with('#'), "{on_failure}");
        }
        rig.fakes.events.set_profile(Profile::Hang);
        let (word, took) = send(&mut client, &channel, "hang");
        let limit = Duration::from_millis(TIMEOUT_MS);
        assert!(is_right(&word) && took >= limit && took < 5 * limit, "{on_failure} hang: {word} after {took:?}");
        // After five in a row it is left alone, and nobody waits for it.
        (0..4).for_each(|_| drop(send(&mut client, &channel, "hang")));
        let (word, took) = send(&mut client, &channel, "left alone");
        assert!(is_right(&word) && took < limit, "{on_failure} left alone: {word} after {took:?}");
        let (word, took) = send(&mut client, &free, "free");
        assert!(word.starts_with('#') && took < limit, "{word} after {took:?}");
        rig.fakes.events.set_profile(Profile::Ok);
        thread::sleep(Duration::from_millis(1_500));
        assert_eq!(send(&mut client, &channel, "no more").0, "!125 be kind", "it is asked again");
        rig.end(&hook);
        assert!(send(&mut client, &channel, "no hook").0.starts_with('#'), "it is ended");
    }
    // Nobody listens.
    let dead = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound");
    rig.hook(&format!("http://{dead}/"), "refuse", &[&channel]);
    let (word, took) = send(&mut client, &channel, "dead");
    assert!(word == unanswered && took < Duration::from_secs(2), "{word} after {took:?}");
    // One that hangs while many wait delays no other channel of the same session.
    let (word, took) = send(&mut client, &free, "free");
    assert!(word.starts_with('#') && took < Duration::from_secs(1), "{word} after {took:?}");
    assert!(rig.node.metric("rookery_before_asked_total{outcome=\"failed\"}") > 0);
    assert!(rig.node.metric("rookery_before_asked_total{outcome=\"left_alone\"}") > 0);
}

#[test]
fn a_hook_that_hangs_leaves_the_next_its_time() {
    let rig = Rig::new();
    rig.fakes.answer_before(says);
    let (channel, [ann, _]) = rig.node.two();
    let mut client = rig.node.connect(&ann, "phone");
    let hanging = rig.hook_in(5_000, &server(|_| Some(Duration::from_secs(30))), "allow", &[]);
    rig.hook(&rig.url(), "allow", &[]);
    let (word, took) = sent(&mut client, &channel, 1, "no way");
    assert_eq!(word, "!125 be kind", "after {took:?}");
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(7), "{took:?}");
    rig.end(&hanging);
    // The second has not failed for the first.
    for id in 2..8 {
        let (word, took) = sent(&mut client, &channel, id, "no way");
        assert!(word == "!125 be kind" && took < Duration::from_secs(1), "{word} after {took:?}");
    }
}

/// Requests that their clients give up leave no calls behind, and cost the hook nothing but what it was asked.
#[test]
fn questions_that_nobody_waits_for_end() {
    let rig = Rig::new();
    let (channel, [ann, _]) = rig.node.two();
    rig.hook_in(5_000, &server(|_| Some(Duration::from_secs(30))), "refuse", &[]);
    let host = rig.node.api.trim_start_matches("http://").to_owned();
    let mut begun = Vec::new();
    for id in 0..300 {
        let body = json!({"client_msg_id": client_msg_id(id), "body": "hello"}).to_string();
        let head =
            format!("POST /v1/channels/{channel}/messages HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {ann}");
        let head = format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut stream = std::net::TcpStream::connect(&host).expect("the node listens");
        stream.write_all(head.as_bytes()).expect("it is taken");
        begun.push(stream);
        if begun.len() == 20 {
            thread::sleep(Duration::from_millis(100));
            begun.clear();
        }
    }
    thread::sleep(Duration::from_millis(500));
    let asked = |outcome: &str| rig.node.metric(&format!("rookery_before_asked_total{{outcome=\"{outcome}\"}}"));
    assert_eq!((asked("full"), asked("failed")), (0, 0), "each gave its place back, and none failed");
}
