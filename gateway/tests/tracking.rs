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

/// The stand-ins, and a node whose links lead back to it.
struct Rig {
    fakes: Fakes,
    node: Node,
    /// Where the node's API is: `127.0.0.1:PORT`.
    api: String,
    _directory: tempfile::TempDir,
}

impl Rig {
    fn start() -> Self {
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
        Self { fakes, node, api, _directory: directory }
    }

    /// What a command says of the node, and its exit code.
    fn cli(&self, words: &[&str]) -> (i32, String) {
        support::said(support::rookery(words).args(["--internal", self.node.internal.trim_start_matches("http://")]))
    }

    /// Has an address counted as a user's: a code is sent there, and read.
    fn prove(&self, token: &str, medium: &str, address: &str) {
        let fake = if medium == "mail" { &self.fakes.mail } else { &self.fakes.sms };
        let wanted = json!({"medium": medium, "address": address});
        assert_eq!(self.node.http("PUT", "/v1/me/contacts", Some(token), Some(&wanted)).0, 202);
        assert!(soon(|| fake.counts().taken == 1), "{:?}", fake.counts());
        let sent = fake.received()[0].body.clone();
        let mut numbers = sent.split(|c: char| !c.is_ascii_digit());
        let code = json!({"code": numbers.find(|digits| digits.len() == 6).expect("a code")});
        assert_eq!(
            self.node.http("POST", &format!("/v1/me/contacts/{medium}/verify"), Some(token), Some(&code)).0,
            204
        );
    }

    /// A new application: its key, and its key and secret as a header.
    fn shop(&self) -> (String, String) {
        let (_, made) = self.cli(&["app", "create", "shop"]);
        let (key, secret) = (word(&made, "key"), word(&made, "secret"));
        let basic = format!("Basic {}", STANDARD.encode(format!("{key}:{secret}")));
        (key, basic)
    }

    /// What an application asks, and the body of the answer.
    fn ask_as(&self, basic: &str, method: &str, path: &str, body: &str) -> String {
        let headers = [("authorization", basic), ("content-type", "application/json")];
        let (status, _, said) = ask(method, &format!("{}{path}", self.node.api), &headers, body);
        assert!(status == 200 || status == 202, "{status} {said}");
        said
    }

    /// Has a notification sent: its id.
    fn notify(&self, basic: &str, wanted: &Value) -> String {
        let accepted = self.ask_as(basic, "POST", "/v1/notifications", &wanted.to_string());
        text(&serde_json::from_str::<Value>(&accepted).expect("JSON")["id"])
    }

    /// What became of a notification, by medium.
    fn states(&self, basic: &str, id: &str) -> String {
        let report = self.ask_as(basic, "GET", &format!("/v1/notifications/{id}"), "");
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let all = report["deliveries"].as_array().expect("a list").iter();
        let mut all: Vec<_> = all.map(|one| format!("{} {}", text(&one["medium"]), text(&one["state"]))).collect();
        all.sort();
        all.join(", ")
    }
}

/// The word behind a name on a line of its own.
fn word(said: &str, name: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {said}")).trim().to_owned()
}

#[test]
fn a_mail_tells_that_it_was_opened_and_one_click_ends_such_mails() {
    let rig = Rig::start();
    let (ann_id, ann) = rig.node.sign_up("ann");
    rig.prove(&ann, "mail", "ann@example.org");
    let (_, basic) = rig.shop();
    let mut wanted = json!({
        "to": [ann_id], "category": "news", "title": "News", "body": "Text.", "media": ["mail"], "data": {"url": SHOP},
        "html": format!("<html><body><a href=\"{SHOP}\">Look</a></body></html>"), "track": true,
    });
    let id = rig.notify(&basic, &wanted);
    assert!(soon(|| rig.fakes.mail.counts().taken == 2), "{:?}", rig.fakes.mail.counts());
    let mail = rig.fakes.mail.received()[1].clone();
    let links = |html: &str, before: &str| -> Vec<String> {
        html.split(before).skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
    };
    let html = &mail.extra["html"];
    let ([click, unsubscribe], [pixel]) = (&links(html, "href=\"")[..], &links(html, "src=\"")[..]) else {
        panic!("{html}")
    };
    assert!(soon(|| rig.states(&basic, &id) == "mail sent"), "{}", rig.states(&basic, &id));
    assert_eq!(ask("GET", pixel, &[], "").0, 200);
    assert_eq!(rig.states(&basic, &id), "mail opened");
    let (status, there, _) = ask("GET", click, &[], "");
    assert_eq!((status, there.as_str()), (303, SHOP));
    assert_eq!(rig.states(&basic, &id), "mail clicked");
    assert!(mail.body.contains(&format!("Open: {click}")) && !mail.body.contains(SHOP), "{}", mail.body);

    // What a mail program does that knows RFC 8058, by the header alone.
    assert_eq!(mail.extra["list-unsubscribe-post"], "List-Unsubscribe=One-Click");
    assert_eq!(mail.extra["list-unsubscribe"].replace(['\r', '\n', ' '], ""), format!("<{unsubscribe}>"));
    assert_eq!(ask("GET", unsubscribe, &[], "").0, 200);
    let again = rig.notify(&basic, &wanted);
    assert!(soon(|| rig.states(&basic, &again) == "mail sent"), "a scanner that fetches the link ends nothing");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(ask("POST", unsubscribe, &form, "List-Unsubscribe=One-Click").0, 200);
    let (_, settings) = rig.node.http("GET", "/v1/me/notification-settings", Some(&ann), None);
    assert_eq!(settings["categories"]["news"]["mail"], false, "{settings}");
    let (refused, other) = (rig.notify(&basic, &wanted), {
        wanted["category"] = json!("billing");
        rig.notify(&basic, &wanted)
    });
    assert!(soon(|| rig.states(&basic, &other) == "mail sent"), "another category is told");
    assert_eq!(rig.states(&basic, &refused), "", "and this one no more");
    let events = rig.ask_as(&basic, "GET", "/v1/notifications/events", "");
    let says = |line: &&str| line.contains(&refused) && line.contains("withdrawn") && line.contains("no target");
    assert!(events.lines().any(|line| says(&line)), "{events}");
    assert_eq!(rig.fakes.mail.counts().taken, 4);
    rig.node.signal(Signal::TERM);
    assert!(rig.node.ended().0.success());
}

#[test]
fn an_application_hears_what_became_of_what_it_sent() {
    let rig = Rig::start();
    let Rig { fakes, node, api, _directory } = &rig;
    let cli = |words: &[&str]| rig.cli(words);
    let (ann_id, ann) = node.sign_up("ann");
    let subscription: Value = serde_json::from_str(&fakes.subscription("ann-laptop")).expect("JSON");
    let push = json!({"medium": "webpush", "subscription": subscription});
    assert_eq!(node.http("PUT", "/v1/me/devices/laptop/push", Some(&ann), Some(&push)).0, 204);
    rig.prove(&ann, "sms", "+49 151 12345678");

    let (key, basic) = rig.shop();
    let shop = format!("http://{}/events", fakes.events.address());
    let (code, called) = cli(&["app", "events", &key, "--url", &shop]);
    assert_eq!((code, word(&called, "url")), (0, shop), "{called}");
    fakes.expect_events_signed(&word(&called, "secret"));
    let (code, refused) = cli(&["app", "events", &key, "--url", "https://10.0.0.1/"]);
    assert!(code != 0 && refused.contains("private or reserved address"), "{refused}");

    let wanted = json!({
        "to": [ann_id], "category": "shipping", "title": "On its way", "body": "Today.", "data": {"url": SHOP},
        "media": ["webpush", "sms"], "track": true,
    });
    let id = rig.notify(&basic, &wanted);
    let states = || rig.states(&basic, &id);
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
    let stored = lines(&rig.ask_as(&basic, "GET", "/v1/notifications/events", ""));
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
    assert!(cli(&["app", "list"]).1.contains(&format!("http://{}/events", fakes.events.address())));
    let (_, off) = cli(&["app", "events", &key, "--off"]);
    assert!(off.contains("is called no more"), "{off}");

    // Whoever follows is no reason to wait at the end.
    let url = format!("http://{api}/v1/notifications/events?follow=true");
    let following = thread::spawn(move || ask("GET", &url, &[("authorization", &basic)], ""));
    thread::sleep(Duration::from_secs(2));
    let begun = std::time::Instant::now();
    node.signal(Signal::TERM);
    assert!(rig.node.ended().0.success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let (status, _, all) = following.join().expect("it ends");
    assert_eq!((status, all.lines().filter(|line| !line.is_empty()).count()), (200, 7), "{all}");
}
