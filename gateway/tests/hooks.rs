//! Webhooks of real nodes: a server that takes nothing for a while, and a node that is killed meanwhile, lose and disorder
//! nothing.
//!
//! `ROOKERY_HOOK_OUTAGE_S=120` makes the while two minutes; it is 6 s unless set.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fakes::{Fake, Fakes, Profile};
use serde_json::{Value, json};
use support::{Client, Node, client_msg_id, history, text};

/// The stand-ins and a node's data, for one node after the other.
struct Rig {
    fakes: Fakes,
    data: PathBuf,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        std::fs::create_dir(&data).expect("it can be made");
        let fakes = Fakes::start(&directory.path().join("fakes")).expect("they start");
        Self { fakes, data, _directory: directory }
    }

    fn start(&self) -> Node {
        let providers = self.fakes.config_path().to_str().expect("a path in UTF-8");
        Node::start("run", &self.data, &["--notify.providers_file", providers])
    }

    /// Where webhooks go.
    fn url(&self) -> String {
        format!("http://{}/hooks", self.fakes.events.address())
    }
}

/// A new application's key and secret, as a header.
fn app(node: &Node) -> String {
    let mut command = support::rookery(&["app", "create", "shop", "--scopes", "hooks"]);
    let (_, said) = support::said(command.args(["--internal", node.internal.trim_start_matches("http://")]));
    let word =
        |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).expect("it is said").trim().to_owned();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", word("key"), word("secret"))))
}

/// What an application asks, and the answer.
fn ask(node: &Node, basic: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", node.api));
    let request = request.header("authorization", basic).header("content-type", "application/json");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut answer = agent.run(request.body(body).expect("legal")).expect("it answers");
    let said = answer.body_mut().read_to_string().unwrap_or_default();
    (answer.status().as_u16(), serde_json::from_str(&said).unwrap_or(Value::Null))
}

/// Whether something is so within so many seconds.
fn within(seconds: u64, is_so: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// What a sink was told: each event once, in the order in which they came first. One that came again said the same.
fn told(sink: &Fake) -> (Vec<Value>, usize) {
    let mut events: Vec<Value> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut repeated = 0;
    for call in sink.received() {
        let body: Value = serde_json::from_str(&call.body).expect("JSON");
        for event in body["events"].as_array().expect("a list") {
            let id = text(&event["id"]);
            match known.get(&id) {
                Some(&at) => {
                    // A message's content is as it is when it is told.
                    let same = ["id", "type", "at_ms", "channel_id"].map(|field| event[field] == events[at][field]);
                    assert_eq!((same, &event["data"]["seq"]), ([true; 4], &events[at]["data"]["seq"]), "{event}");
                    repeated += 1;
                }
                None => {
                    known.insert(id, events.len());
                    events.push(event.clone());
                }
            }
        }
    }
    (events, repeated)
}

/// The seqs and bodies of messages that were told of a channel, in their order.
fn sent(events: &[Value], channel: &str) -> Vec<(u64, String)> {
    let of = events.iter().filter(|event| event["type"] == "message.sent" && event["channel_id"] == channel);
    of.map(|event| (event["data"]["seq"].as_u64().expect("a seq"), text(&event["data"]["body"]))).collect()
}

struct Talk {
    channels: Vec<String>,
    number: u64,
}

impl Talk {
    /// A message to each channel.
    fn send(&mut self, client: &mut Client) {
        for channel in &self.channels {
            self.number += 1;
            let reply = client.send(channel, &client_msg_id(self.number), &format!("message {}", self.number));
            assert!(reply["send"]["seq"].is_u64(), "{reply}");
        }
    }
}

#[test]
fn a_sink_that_is_down_is_told_each_event_in_order_once_it_is_back() {
    let outage = env::var("ROOKERY_HOOK_OUTAGE_S").map_or(6, |text| text.parse().expect("seconds"));
    let rig = Rig::new();
    let sink = &rig.fakes.events;
    let mut node = rig.start();
    let (_, ann) = node.sign_up("ann");
    let (bob, _) = node.sign_up("bob");
    let mut channels = vec![node.direct(&ann, &bob)];
    channels.extend(["crabs", "rooks", "owls"].map(|title| node.group(&ann, title, &[&bob])));
    let mut talk = Talk { channels, number: 0 };
    let basic = app(&node);
    let (status, hook) = ask(&node, &basic, "POST", "/v1/hooks", &json!({"url": rig.url(), "events": ["*"]}));
    assert_eq!(status, 201, "{hook}");
    let id = text(&hook["id"]);
    rig.fakes.expect_events_signed(&text(&hook["secret"]));
    // A second later it counts.
    thread::sleep(Duration::from_millis(1_200));
    let mut client = node.connect(&ann, "phone");
    (0..5).for_each(|_| talk.send(&mut client));
    let all_sent = |events: &[Value], talk: &Talk| {
        talk.channels.iter().map(|channel| sent(events, channel).len() as u64).sum::<u64>() == talk.number
    };
    assert!(within(20, || all_sent(&told(sink).0, &talk)), "{:?} {:?}", sink.counts(), sink.fault());

    sink.set_profile(Profile::Unavailable);
    let down = Instant::now();
    let mut killed = false;
    while down.elapsed() < Duration::from_secs(outage) {
        talk.send(&mut client);
        client.ask(
            "edit",
            json!({"channel_id": talk.channels[1], "seq": 1, "op_id": client_msg_id(1_000_000 + talk.number),
            "base_revision": 0, "body": "edited"}),
        );
        thread::sleep(Duration::from_millis(100));
        if !killed && down.elapsed() > Duration::from_secs(outage / 2) {
            killed = true;
            node.kill();
            node = rig.start();
            client = node.connect(&ann, "phone");
        }
    }
    let (before, _) = told(sink);
    assert!(!all_sent(&before, &talk), "nothing was taken meanwhile");
    sink.set_profile(Profile::Ok);
    let back = Instant::now();
    // Its pause may have just begun, which is as long as the outage at most, give or take a fifth.
    assert!(within(20 + 2 * outage, || all_sent(&told(sink).0, &talk)), "{:?} {:?}", sink.counts(), sink.fault());
    let caught_up = back.elapsed();
    talk.send(&mut client);
    assert!(within(20, || all_sent(&told(sink).0, &talk)), "it is told on");

    let (events, repeated) = told(sink);
    for channel in &talk.channels {
        let expected: BTreeMap<u64, String> = history(&mut client, channel);
        let mut found = sent(&events, channel);
        // The one that was edited was told before that.
        found
            .iter_mut()
            .filter(|(seq, _)| *seq == 1 && *channel == talk.channels[1])
            .for_each(|(_, body)| *body = "edited".into());
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "each once, in order, none missing");
    }
    let edits: Vec<_> = events.iter().filter(|event| event["type"] == "message.edited").collect();
    assert!(edits.iter().all(|event| event["data"]["body"] == "edited") && edits.len() == 1, "{edits:?}");
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!(of("device.connected"), 2, "before and after the kill");
    eprintln!(
        "{} messages, {} events, {repeated} of them again, {} calls taken of {}, told {:.1} s after it was back",
        talk.number,
        events.len(),
        sink.counts().taken,
        sink.counts().requests,
        caught_up.as_secs_f64(),
    );

    let (_, log) = ask(&node, &basic, "GET", &format!("/v1/hooks/{id}/calls?limit=1000"), &Value::Null);
    let calls = log["calls"].as_array().expect("a list");
    let with = |status: u64| calls.iter().filter(|call| call["status"] == status).count();
    assert!(with(204) > 0 && with(503) > 0, "{log}");
    assert!(calls.iter().all(|call| call["error"].is_string() != (call["status"] == 204)), "{log}");
    assert!(node.metric("rookery_hook_events_total") > 0 && node.metric("rookery_hook_calls_failed_total") > 0);

    let taken = sink.counts().taken;
    sink.clear();
    let (status, replayed) = ask(&node, &basic, "POST", &format!("/v1/hooks/{id}/replay"), &json!({"from_ms": 0}));
    assert!(status == 200 && replayed["lanes"].as_u64().is_some_and(|lanes| lanes > 0), "{replayed}");
    assert!(within(20, || all_sent(&told(sink).0, &talk)), "{taken} {:?}", sink.counts());
    let again: Vec<_> = told(sink).0;
    for channel in &talk.channels {
        let ids = |events: &[Value]| -> Vec<String> {
            events.iter().filter(|event| event["channel_id"] == *channel).map(|event| text(&event["id"])).collect()
        };
        assert_eq!(ids(&again), ids(&events), "under the same ids");
    }
    let (status, _) = ask(&node, &basic, "DELETE", &format!("/v1/hooks/{id}"), &Value::Null);
    assert_eq!(status, 204);
    thread::sleep(Duration::from_millis(2_500));
    sink.clear();
    talk.send(&mut client);
    thread::sleep(Duration::from_millis(1_500));
    assert_eq!(sink.counts().requests, 0, "it is ended");
}

/// A server that says the same to every request, or nothing. Where it is.
fn server(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("it is accepted");
            let mut head = [0; 4096];
            // Whoever has gone needs no answer.
            let _ = stream.read(&mut head);
            if let Some(answer) = answer {
                let _ = stream.write_all(
                    format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes(),
                );
            } else {
                held.push(stream);
            }
        }
    });
    format!("http://{at}/")
}

#[test]
fn a_server_that_redirects_fails_or_hangs_is_logged_and_delays_no_other() {
    let rig = Rig::new();
    let node = rig.start();
    let (channel, [ann, _]) = node.two();
    let basic = app(&node);
    let make = |url: &str| -> (String, String) {
        let (status, hook) = ask(&node, &basic, "POST", "/v1/hooks", &json!({"url": url, "events": ["message.sent"]}));
        assert_eq!(status, 201, "{hook}");
        (text(&hook["id"]), text(&hook["secret"]))
    };
    let bad = [
        (server(Some("302 Found\r\nlocation: http://10.0.0.1/")), 302, "it answers 302"),
        (server(Some("500 Internal Server Error")), 500, "it answers 500"),
        (server(None), 0, "no answer within 20000 ms"),
    ]
    .map(|(url, status, why)| (make(&url).0, status, why));
    let (_, secret) = make(&rig.url());
    rig.fakes.expect_events_signed(&secret);
    thread::sleep(Duration::from_millis(1_200));
    let mut client = node.connect(&ann, "phone");
    for number in 1..=5 {
        let began = Instant::now();
        client.send(&channel, &client_msg_id(number), &format!("message {number}"));
        let is_told = || sent(&told(&rig.fakes.events).0, &channel).len() as u64 == number;
        assert!(within(10, is_told), "{number} {:?}", rig.fakes.events.fault());
        eprintln!("told {} ms after it was sent", began.elapsed().as_millis());
    }
    for (id, status, why) in bad {
        let calls = || ask(&node, &basic, "GET", &format!("/v1/hooks/{id}/calls"), &Value::Null).1["calls"].clone();
        assert!(within(40, || calls()[0]["status"].is_u64()), "{why}: {}", calls());
        let first = &calls()[0];
        assert_eq!((&first["status"], &first["error"]), (&json!(status), &json!(why)), "{first}");
    }
}

#[test]
fn a_hook_to_a_private_address_is_refused() {
    let rig = Rig::new();
    let node = rig.start();
    let basic = app(&node);
    for url in ["https://10.0.0.1/", "https://192.168.1.1/hooks", "ftp://shop.example/", "http://shop.example/"] {
        let (status, refused) = ask(&node, &basic, "POST", "/v1/hooks", &json!({"url": url, "events": ["*"]}));
        assert_eq!((status, refused["code"].clone()), (400, json!(107)), "{url} {refused}");
    }
}

#[test]
fn an_operator_sees_how_hooks_fare_and_pauses_resumes_and_ends_one() {
    let rig = Rig::new();
    let node = rig.start();
    let (channel, [ann, _]) = node.two();
    let basic = app(&node);
    let (_, hook) = ask(&node, &basic, "POST", "/v1/hooks", &json!({"url": rig.url(), "events": ["message.sent"]}));
    let id = text(&hook["id"]);
    rig.fakes.expect_events_signed(&text(&hook["secret"]));
    let hooks = |words: &[&str]| {
        let mut command = support::rookery(&["app", "hooks"]);
        let (code, said) =
            support::said(command.args(words).args(["--internal", node.internal.trim_start_matches("http://")]));
        assert_eq!(code, 0, "{words:?} {said}");
        said
    };
    let state = || hooks(&[]).lines().nth(1).expect("a row").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let row = state();
    assert_eq!(row[..7], [id.as_str(), "shop", "message.sent", "-", "0", "-", "-"], "{row:?}");
    thread::sleep(Duration::from_millis(1_200));
    rig.fakes.events.set_profile(Profile::Unavailable);
    let mut client = node.connect(&ann, "phone");
    client.send(&channel, &client_msg_id(1), "one");
    assert!(
        within(20, || state()[4..].starts_with(&["1".to_owned()]) && state().contains(&"503,".to_owned())),
        "{:?}",
        state()
    );
    assert!(hooks(&["--pause", &id]).ends_with("is paused\n"));
    assert!(hooks(&[]).contains("paused: an operator has paused it"), "{}", hooks(&[]));
    rig.fakes.events.set_profile(Profile::Ok);
    // Nothing is written for it meanwhile, from a second later on.
    thread::sleep(Duration::from_millis(1_200));
    client.send(&channel, &client_msg_id(2), "two");
    assert!(hooks(&["--resume", &id]).ends_with("is told again\n"));
    thread::sleep(Duration::from_millis(1_200));
    client.send(&channel, &client_msg_id(3), "three");
    let bodies = || sent(&told(&rig.fakes.events).0, &channel).into_iter().map(|(_, body)| body).collect::<Vec<_>>();
    assert!(within(20, || bodies() == ["one", "three"]), "{:?}", bodies());
    assert!(within(5, || told(&rig.fakes.events).0.iter().any(|event| event["type"] == "hook.gap")));
    let all: Value = serde_json::from_str(&hooks(&["--json"])).expect("JSON");
    assert_eq!(all[0]["last_call"]["status"], 204, "{all}");
    assert!(hooks(&[&text(&all[0]["app"])]).contains(&id));
    assert!(hooks(&["--delete", &id]).ends_with("is ended\n"));
    assert!(hooks(&[]).starts_with("no webhooks"), "{}", hooks(&[]));
    let help = support::said(&mut support::rookery(&["app", "hooks", "--help"])).1;
    assert!(help.contains("LAST CALL is the status of its answer"), "{help}");
}
