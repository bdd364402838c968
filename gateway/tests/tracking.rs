//! What becomes of notifications is heard: a real node, whose links lead back to it, and services that call it.

mod support;

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fakes::Fakes;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Node, text};

const SHOP: &str = "https://shop.example/orders/7";

/// What somebody asks, and the answer's status, its `Location` and its body. No redirect is followed.
fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    let agent: ureq::Agent = config.max_redirects_will_error(false).build().into();
    let mut answer = agent.run(request.body(body.to_owned()).expect("legal")).expect("it answers");
    let location = answer.headers().get("location").map_or("", |there| there.to_str().expect("text")).to_owned();
    let said = answer.body_mut().read_to_string().unwrap_or_default();
    (answer.status().as_u16(), location, said)
}

/// Whether something is so within some seconds.
fn soon(is_so: impl Fn() -> bool) -> bool {
    (0..300).any(|_| {
        thread::sleep(Duration::from_millis(100));
        is_so()
    })
}

#[test]
fn an_application_hears_what_became_of_what_it_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    std::fs::create_dir(&data).expect("it can be made");
    let fakes = Fakes::start(&directory.path().join("fakes")).expect("they start");
    // Links name the port before the node has it.
    let api = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound").to_string();
    let config = std::fs::read_to_string(fakes.config_path()).expect("it was written");
    std::fs::write(fakes.config_path(), format!("public_url = \"http://{api}\"\n{config}")).expect("written");
    let providers = fakes.config_path().to_str().expect("a path in UTF-8").to_owned();
    let mut command = support::rookery(&["run", "--api", &api, "--ws", "127.0.0.1:0", "--internal", "127.0.0.1:0"]);
    command.args(["--log.format", "json", "--notify.providers_file", &providers]).arg("--data").arg(&data);
    let node = Node::spawn(command).ready();
    let cli = |words: &[&str]| {
        support::said(support::rookery(words).args(["--internal", node.internal.trim_start_matches("http://")]))
    };
    let word = |said: &str, name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {said}")).trim().to_owned()
    };

    let (ann_id, ann) = node.sign_up("ann");
    let subscription: Value = serde_json::from_str(&fakes.subscription("ann-laptop")).expect("JSON");
    let push = json!({"medium": "webpush", "subscription": subscription});
    assert_eq!(node.http("PUT", "/v1/me/devices/laptop/push", Some(&ann), Some(&push)).0, 204);
    let phone = json!({"medium": "sms", "address": "+49 151 12345678"});
    assert_eq!(node.http("PUT", "/v1/me/contacts", Some(&ann), Some(&phone)).0, 202);
    assert!(soon(|| fakes.sms.counts().taken == 1), "{:?}", fakes.sms.counts());
    let sent = fakes.sms.received()[0].body.clone();
    let code = sent.split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == 6).expect("a code").to_owned();
    let proved = json!({"code": code});
    assert_eq!(node.http("POST", "/v1/me/contacts/sms/verify", Some(&ann), Some(&proved)).0, 204);

    let (_, made) = cli(&["app", "create", "shop"]);
    let (key, secret) = (word(&made, "key"), word(&made, "secret"));
    let shop = format!("http://{}/events", fakes.events.address());
    let (code, called) = cli(&["app", "events", &key, "--url", &shop]);
    assert_eq!((code, word(&called, "url")), (0, shop), "{called}");
    fakes.expect_events_signed(&word(&called, "secret"));
    let (code, refused) = cli(&["app", "events", &key, "--url", "https://10.0.0.1/"]);
    assert!(code != 0 && refused.contains("private or reserved address"), "{refused}");

    let basic = format!("Basic {}", STANDARD.encode(format!("{key}:{secret}")));
    let as_shop = |method: &str, path: &str, body: &str| {
        let headers = [("authorization", basic.as_str()), ("content-type", "application/json")];
        ask(method, &format!("{}{path}", node.api), &headers, body)
    };
    let wanted = json!({
        "to": [ann_id], "category": "shipping", "title": "On its way", "body": "Today.", "data": {"url": SHOP},
        "media": ["webpush", "sms"], "track": true,
    });
    let (status, _, accepted) = as_shop("POST", "/v1/notifications", &wanted.to_string());
    assert_eq!(status, 202, "{accepted}");
    let id = text(&serde_json::from_str::<Value>(&accepted).expect("JSON")["id"]);
    let states = || {
        let (_, _, report) = as_shop("GET", &format!("/v1/notifications/{id}"), "");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let all = report["deliveries"].as_array().expect("a list").iter();
        let mut all: Vec<_> = all.map(|one| format!("{} {}", text(&one["medium"]), text(&one["state"]))).collect();
        all.sort();
        all.join(", ")
    };
    // The gateway of text messages has said that it was delivered.
    assert!(soon(|| states() == "sms delivered, webpush sent"), "{}", states());
    let pushed = fakes.webpush.received().pop().expect("one");
    let click = pushed.data.get("click_url").expect("a link that tells of a click").clone();
    assert!(click.starts_with(&format!("http://{api}/n/")) && pushed.data["url"] == SHOP, "{pushed:?}");
    let (status, there, _) = ask("GET", &click, &[], "");
    assert_eq!((status, there.as_str()), (303, SHOP));
    assert_eq!(states(), "sms delivered, webpush clicked");
    // Whoever changes a character of it is led nowhere.
    let forged = format!("{}{}", &click[..click.len() - 5], "AAAAA");
    assert_eq!(ask("GET", &forged, &[], "").0, 404);

    // Both ways tell the same, in the same order.
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let stored = lines(&as_shop("GET", "/v1/notifications/events", "").2);
    let told = || fakes.events.received().iter().flat_map(|call| lines(&call.body)).collect::<Vec<_>>();
    assert!(soon(|| told() == stored), "{stored:?} {:?} {:?}", told(), fakes.events.fault());
    let state = |line: &String| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["notification_id"], id.as_str());
        format!("{} {}", event["medium"].as_str().unwrap_or_default(), text(&event["state"])).trim().to_owned()
    };
    let mut words: Vec<_> = stored.iter().map(state).collect();
    assert_eq!(
        (words.first().map(String::as_str), words.last().map(String::as_str)),
        (Some("accepted"), Some("webpush clicked"))
    );
    words.sort();
    let expected =
        ["accepted", "sms delivered", "sms planned", "sms sent", "webpush clicked", "webpush planned", "webpush sent"];
    assert_eq!(words, expected);
    assert!(soon(|| node.metric("rookery_notify_events_total") == 7), "it is counted");
    let (_, off) = cli(&["app", "events", &key, "--off"]);
    assert!(off.contains("is called no more"), "{off}");

    // Whoever follows is no reason to wait at the end.
    let address = api.clone();
    let following = thread::spawn(move || {
        let url = format!("http://{address}/v1/notifications/events?follow=true");
        ask("GET", &url, &[("authorization", &basic)], "")
    });
    thread::sleep(Duration::from_secs(2));
    let begun = std::time::Instant::now();
    node.signal(Signal::TERM);
    assert!(node.ended().0.success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let (status, _, all) = following.join().expect("it ends");
    assert_eq!((status, all.lines().filter(|line| !line.is_empty()).count()), (200, 7), "{all}");
}
