//! Who is away is told: a real node, real accounts, and the services of Apple and of browsers on loopback.

mod support;

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fakes::{Fake, Fakes, Profile};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Node, client_msg_id, message, text};
use tempfile::TempDir;

/// Longer than the grace of 30 s after which an absent user is told, on a machine with much else to do.
const TOLD: Duration = Duration::from_secs(90);

/// Stand-ins of the services, and a directory for their files and a node's.
fn stand_ins() -> (TempDir, Fakes) {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("data")).expect("it can be made");
    let fakes = Fakes::start(&directory.path().join("fakes")).expect("they start");
    (directory, fakes)
}

/// A node that sends to them.
fn start(directory: &TempDir, fakes: &Fakes) -> Node {
    let providers = fakes.config_path().to_str().expect("a path in UTF-8");
    Node::start("run", &directory.path().join("data"), &["--notify.providers_file", providers])
}

/// A device's token of APNs: hexadecimal, as theirs are.
fn token(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

fn put(node: &Node, account: &str, device: &str, body: &Value) {
    let (status, answer) = node.http("PUT", &format!("/v1/me/devices/{device}/push"), Some(account), Some(body));
    assert_eq!(status, 204, "{answer}");
}

fn send(node: &Node, account: &str, channel: &str, number: u64, body: &str) {
    let path = format!("/v1/channels/{channel}/messages");
    let (status, answer) =
        node.http("POST", &path, Some(account), Some(&message(channel, &client_msg_id(number), body)));
    assert_eq!(status, 201, "{answer}");
}

/// What a fake was sent for a target, in words: title, text, badge.
fn told(fake: &Fake, target: &str) -> Vec<String> {
    let received = fake.received().into_iter().filter(|received| received.target == target);
    received.map(|received| format!("{} | {} | {:?}", received.title, received.body, received.badge)).collect()
}

#[test]
fn who_is_away_is_told_once_of_what_is_unread_through_a_crash() {
    let (directory, fakes) = stand_ins();
    let start = || start(&directory, &fakes);
    let node = start();

    let (_, ann) = node.sign_up("ann");
    let [bob, cho, dan] = ["bob", "cho", "dan"].map(|name| node.sign_up(name));
    let team = node.group(&ann, "Team", &[&bob.0, &cho.0, &dan.0]);
    let (bob_id, [bob, cho, dan]) = (bob.0, [bob.1, cho.1, dan.1]);
    put(&node, &bob, "phone", &json!({"medium": "apns", "token": token(1)}));
    let subscription: Value = serde_json::from_str(&fakes.subscription("bob-laptop")).expect("JSON");
    put(&node, &bob, "laptop", &json!({"medium": "webpush", "subscription": subscription}));
    put(&node, &bob, "tablet", &json!({"medium": "fcm", "token": "bob-tablet"}));
    put(&node, &cho, "phone", &json!({"medium": "apns", "token": token(2)}));
    put(&node, &dan, "phone", &json!({"medium": "apns", "token": token(3)}));
    for (number, body) in [(1, "first"), (2, "second"), (3, "third")] {
        send(&node, &ann, &team, number, body);
    }
    // Whose phone says nothing: who has read it meanwhile, and who wants nothing of this channel.
    let (status, _) =
        node.http("POST", &format!("/v1/channels/{team}/mark"), Some(&cho), Some(&json!({"read_seq": 3})));
    assert_eq!(status, 200);
    let (status, _) =
        node.http("PATCH", &format!("/v1/channels/{team}/members/me"), Some(&dan), Some(&json!({"muted": true})));
    assert_eq!(status, 200);
    // What is to be told outlives the node.
    node.kill();
    let node = start();

    assert!(fakes.apns.wait(1, TOLD), "{:?}", fakes.apns.counts());
    assert!(fakes.webpush.wait(1, TOLD), "{:?}", fakes.webpush.counts());
    assert_eq!(told(&fakes.apns, &token(1)), ["3 new in Team | ann: third | Some(3)"]);
    assert_eq!(told(&fakes.webpush, "bob-laptop"), ["3 new in Team | ann: third | Some(3)"]);
    assert!(fakes.fcm.wait(1, TOLD), "{:?}", fakes.fcm.counts());
    let tablet = told(&fakes.fcm, "bob-tablet");
    assert!(tablet[0].starts_with("3 new in Team | ann: third"), "{tablet:?}");
    let received = &fakes.apns.received()[0];
    assert_eq!((received.collapse.as_str(), received.data.get("channel_id")), (team.as_str(), Some(&team)));

    // A direct message, while the push service says that the phone is gone; the laptop is told all the same.
    fakes.apns.set_profile(Profile::Gone);
    let direct = node.direct(&ann, &bob_id);
    send(&node, &ann, &direct, 4, "are you there?");
    assert!(fakes.webpush.wait(2, TOLD), "{:?}", fakes.webpush.counts());
    assert_eq!(told(&fakes.webpush, "bob-laptop")[1..], ["ann | are you there? | Some(4)"]);
    let gone = || {
        let (_, contacts) = node.http("GET", "/v1/me/contacts", Some(&bob), None);
        contacts["contacts"].as_array().expect("a list").iter().map(|one| text(&one["medium"])).collect::<Vec<_>>()
    };
    let forgotten = (0..50).any(|_| {
        thread::sleep(Duration::from_millis(100));
        gone() == ["fcm", "webpush"]
    });
    assert!(forgotten, "{:?}", gone());
    assert_eq!(fakes.apns.counts().distinct, 1, "nobody else was told, and nobody twice");
    assert_eq!(fakes.webpush.counts().taken, 2);
    assert_eq!(node.metric(r#"rookery_notify_sent_total{medium="webpush"}"#), 2);
    node.signal(Signal::TERM);
    assert!(node.ended().0.success());
}

/// What an application asks, and the answer.
fn ask_as(app: &(String, String), method: &str, url: &str, body: &Value) -> (u16, Value) {
    let given = STANDARD.encode(format!("{}:{}", app.0, app.1));
    let request =
        ureq::http::Request::builder().method(method).uri(url).header("authorization", format!("Basic {given}"));
    let request = request.header("content-type", "application/json").body(body.to_string()).expect("legal");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.run(request).expect("it answers");
    let text = answer.body_mut().read_to_string().expect("text");
    (answer.status().as_u16(), serde_json::from_str(&text).expect("JSON"))
}

/// What a command says of a node, and its exit code.
fn cli(node: &Node, words: &[&str]) -> (i32, String) {
    support::said(support::rookery(words).args(["--internal", node.internal.trim_start_matches("http://")]))
}

/// The word behind a name on a line of its own.
fn word(said: &str, name: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {said}")).trim().to_owned()
}

/// An application that may do anything.
fn shop(node: &Node) -> (String, String) {
    let (code, made) = cli(node, &["app", "create", "shop"]);
    assert_eq!(code, 0, "{made}");
    (word(&made, "key"), word(&made, "secret"))
}

#[test]
fn who_chooses_mail_is_told_by_it_once_the_address_is_proved() {
    let (directory, fakes) = stand_ins();
    let node = start(&directory, &fakes);
    let (_, ann) = node.sign_up("ann");
    let (bob_id, bob) = node.sign_up("bob");

    let address = json!({"medium": "mail", "address": "bob@example.org"});
    let (status, answer) = node.http("PUT", "/v1/me/contacts", Some(&bob), Some(&address));
    assert_eq!(status, 202, "{answer}");
    assert!(fakes.mail.wait(1, TOLD), "{:?}", fakes.mail.counts());
    let mail = &fakes.mail.received()[0];
    let code = mail.title.strip_prefix("Your code is ").expect("a code").to_owned();
    assert_eq!((mail.target.as_str(), mail.body.contains(&code)), ("bob@example.org", true));
    let (status, answer) = node.http("POST", "/v1/me/contacts/mail/verify", Some(&bob), Some(&json!({"code": code})));
    assert_eq!(status, 204, "{answer}");

    // A message to who is away: by mail because it was chosen, once, with what is unread.
    let settings = json!({"categories": {"messages": {"mail": true}}});
    let (status, answer) = node.http("PUT", "/v1/me/notification-settings", Some(&bob), Some(&settings));
    assert_eq!(status, 204, "{answer}");
    let direct = node.direct(&ann, &bob_id);
    send(&node, &ann, &direct, 1, "are you <there>?");
    send(&node, &ann, &direct, 2, "it is & remains urgent");
    assert!(fakes.mail.wait(2, TOLD), "{:?}", fakes.mail.counts());
    let mail = &fakes.mail.received()[1];
    assert_eq!((mail.title.as_str(), mail.target.as_str()), ("2 new from ann", "bob@example.org"));
    assert_eq!(mail.body.trim(), "it is & remains urgent");
    assert!(mail.extra["html"].contains("it is &amp; remains urgent"), "{:?}", mail.extra);
    assert_eq!(fakes.mail.counts().taken, 2, "once each");

    // A backend's template has words of its own for mail, and what it puts into HTML is escaped.
    let app = shop(&node);
    let template = json!({
        "default_locale": "en",
        "parameters": [{"name": "name", "kind": "text", "required": true}],
        "variants": [
            {"locale": "en", "title": "Short", "body": "Short."},
            {"locale": "en", "medium": "mail", "title": "Dear {{ name }}", "body": "Long.", "html": "<p>Dear <b>{{ name }}</b></p>"},
        ],
    });
    let (status, answer) = ask_as(&app, "PUT", &format!("{}/v1/templates/letter", node.api), &template);
    assert_eq!(status, 200, "{answer}");
    let wanted = json!({
        "to": [bob_id], "category": "news", "media": ["mail"], "template": "letter", "data": {"name": "Bo & <Co>"},
    });
    let (status, answer) = ask_as(&app, "POST", &format!("{}/v1/notifications", node.api), &wanted);
    assert_eq!(status, 202, "{answer}");
    assert!(fakes.mail.wait(3, TOLD), "{:?}", fakes.mail.counts());
    let mail = &fakes.mail.received()[2];
    assert_eq!((mail.title.as_str(), mail.body.trim()), ("Dear Bo & <Co>", "Long."));
    assert!(mail.extra["html"].contains("<p>Dear <b>Bo &amp; &lt;Co&gt;</b></p>"), "{:?}", mail.extra);
    node.signal(Signal::TERM);
    assert!(node.ended().0.success());
}

#[test]
fn a_backend_notifies_through_trouble_of_a_provider_and_sees_what_became_of_it() {
    let (directory, fakes) = stand_ins();
    let node = start(&directory, &fakes);
    let (ann_id, ann) = node.sign_up("ann");
    let (bob_id, bob) = node.sign_up("bob");
    put(&node, &ann, "phone", &json!({"medium": "apns", "token": token(1)}));
    put(&node, &bob, "phone", &json!({"medium": "apns", "token": token(2)}));

    let cli = |words: &[&str]| cli(&node, words);
    let app = shop(&node);
    let (_, list) = cli(&["app", "list"]);
    assert!(list.contains(&app.0) && list.contains("shop") && !list.contains(&app.1), "{list}");

    // The first attempt meets trouble, and so does the second of each; the third is taken, and nobody is told twice.
    fakes.apns.set_profile(Profile::Unavailable);
    let wanted = json!({"to": [ann_id, bob_id], "category": "shipping", "title": "On its way", "body": "Today.", "data": {"order": "7"}});
    let url = format!("{}/v1/notifications", node.api);
    let (status, accepted) = ask_as(&app, "POST", &url, &wanted);
    assert_eq!(status, 202, "{accepted}");
    let report = |state: &str| {
        let (_, report) = ask_as(&app, "GET", &format!("{url}/{}", text(&accepted["id"])), &Value::Null);
        report["states"][state].as_u64().unwrap_or_default()
    };
    let until = |state: &str, count: u64| {
        (0..400).any(|_| {
            thread::sleep(Duration::from_millis(100));
            report(state) == count
        })
    };
    let refused = (0..400).any(|_| {
        thread::sleep(Duration::from_millis(100));
        fakes.apns.counts().requests >= 4
    });
    assert!(refused && report("planned") == 2, "{:?}", fakes.apns.counts());
    fakes.apns.set_profile(Profile::Ok);
    assert!(until("sent", 2), "{:?}", fakes.apns.counts());
    assert_eq!(told(&fakes.apns, &token(1)), ["On its way | Today. | None"]);
    assert_eq!(fakes.apns.received()[0].data.get("order").map(String::as_str), Some("7"));
    assert_eq!(fakes.apns.counts().taken, 2, "once each");
    // What no service takes is dead, and an operator has it tried again.
    let large =
        json!({"to": [ann_id, bob_id], "category": "shipping", "title": "Large", "data": {"a": "x".repeat(8_000)}});
    let (status, large) = ask_as(&app, "POST", &url, &large);
    assert_eq!(status, 202, "{large}");
    let dead = || {
        (0..400).any(|_| {
            thread::sleep(Duration::from_millis(100));
            cli(&["notify", "dead", "apns"]).1.matches("payload: its data").count() == 2
        })
    };
    assert!(dead(), "{}", cli(&["notify", "dead", "apns"]).1);
    assert!(cli(&["notify", "status"]).1.lines().any(|line| line.starts_with("apns") && line.ends_with('2')));
    assert_eq!(cli(&["notify", "replay", "apns"]), (0, "2 of apns are tried again\n".to_owned()));
    assert!(dead(), "it is as large as before: {}", cli(&["notify", "dead", "apns"]).1);
    let (code, revoked) = cli(&["app", "revoke", &app.0]);
    assert_eq!((code, ask_as(&app, "POST", &url, &wanted).0), (0, 401), "{revoked}");
    node.signal(Signal::TERM);
    assert!(node.ended().0.success());
}

#[test]
fn a_template_is_told_in_each_targets_language_and_an_operators_words_as_they_are() {
    let (directory, fakes) = stand_ins();
    let node = start(&directory, &fakes);
    let (ann_id, ann) = node.sign_up("ann");
    let (bob_id, bob) = node.sign_up("bob");
    put(&node, &ann, "phone", &json!({"medium": "apns", "token": token(1), "locale": "pt-BR"}));
    put(&node, &bob, "phone", &json!({"medium": "apns", "token": token(2)}));
    put(&node, &bob, "tablet", &json!({"medium": "fcm", "token": "a-tablet", "locale": "de"}));
    let app = shop(&node);
    let template = |today: &str| {
        json!({
            "default_locale": "en",
            "parameters": [
                {"name": "name", "kind": "text", "required": true},
                {"name": "parcels", "kind": "list"},
            ],
            "variants": [
                {"locale": "en", "title": "For {{ name }}", "body": format!("{today} {{{{ parcels|length }}}} of them")},
                {"locale": "pt", "title": "Para {{ name }}", "body": "{{ parcels|length }} delas"},
            ],
        })
    };
    let url = |path: &str| format!("{}{path}", node.api);
    let put_template = |today| ask_as(&app, "PUT", &url("/v1/templates/parcel"), &template(today));
    assert_eq!(put_template("Today,"), (200, json!({"name": "parcel", "version": 1})));
    let wanted =
        |data: Value| json!({"to": [ann_id, bob_id], "category": "shipping", "template": "parcel", "data": data});
    let accept = |wanted: &Value| {
        let (status, accepted) = ask_as(&app, "POST", &url("/v1/notifications"), wanted);
        assert_eq!(status, 202, "{accepted}");
    };
    // What is accepted is told in the words of then, though it is sent once there are others.
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let mut later = wanted(json!({"name": "Zoë", "parcels": [7, 8]}));
    later["send_at"] = json!(u64::try_from(now_ms).expect("a time") + 3_000);
    accept(&later);
    assert_eq!(put_template("Tomorrow,"), (200, json!({"name": "parcel", "version": 2})));
    assert!(fakes.apns.wait(2, TOLD), "{:?}", fakes.apns.counts());
    assert!(fakes.fcm.wait(1, TOLD), "{:?}", fakes.fcm.counts());
    assert_eq!(told(&fakes.apns, &token(1)), ["Para Zoë | 2 delas | None"]);
    assert_eq!(told(&fakes.apns, &token(2)), ["For Zoë | Today, 2 of them | None"]);
    assert_eq!(told(&fakes.fcm, "a-tablet"), ["For Zoë | Today, 2 of them | None"]);
    let data = &fakes.apns.received()[0].data;
    assert_eq!((data.get("name").map(String::as_str), data.get("parcels")), (Some("Zoë"), None), "texts go along");
    // What a variant says is made once, or by two media at the same moment, and kept for each of the three targets.
    let rendered = |what: &str| node.metric(&format!("rookery_notify_cache_{what}_total{{cache=\"rendered\"}}"));
    let (made, kept) = (rendered("misses"), rendered("hits"));
    assert!((2..=3).contains(&made) && kept >= 3, "{made} were made, {kept} were there");

    // Who has chosen a language is told in it, whatever the device's is.
    let (status, answer) =
        node.http("PUT", "/v1/me/notification-settings", Some(&ann), Some(&json!({"language": "en"})));
    assert_eq!(status, 204, "{answer}");
    let mut chosen = wanted(json!({"name": "Ann", "parcels": []}));
    chosen["to"] = json!([ann_id]);
    accept(&chosen);
    assert!(fakes.apns.wait(3, TOLD), "{:?}", fakes.apns.counts());
    assert_eq!(told(&fakes.apns, &token(1))[1..], ["For Ann | Tomorrow, 0 of them | None"]);

    // A template that its parameters do not do for is not told, and says why.
    accept(&wanted(json!({"name": "Zoë"})));
    let dead = |medium: &str| {
        (0..400).any(|_| {
            thread::sleep(Duration::from_millis(100));
            cli(&node, &["notify", "dead", medium])
                .1
                .contains("payload: template parcel: body, line 1: undefined value")
        })
    };
    assert!(dead("apns") && dead("fcm"), "{}", cli(&node, &["notify", "dead", "apns"]).1);

    let (code, sent) = cli(&node, &["notify", "send", "ann", &bob_id, "--title", "Maintenance", "--body", "At ten."]);
    assert_eq!((code, word(&sent, "users").as_str()), (0, "2"), "{sent}");
    assert!(fakes.apns.wait(5, TOLD), "{:?}", fakes.apns.counts());
    assert_eq!(told(&fakes.apns, &token(1))[2..], ["Maintenance | At ten. | None"]);
    let received = fakes.apns.received();
    assert!(received.iter().any(|received| received.data.get("notice_id") == Some(&word(&sent, "notice"))), "{sent}");
    let shown = || cli(&node, &["notify", "show", &word(&sent, "notice")]).1;
    let all_sent = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        word(&shown(), "targets") == "3 sent"
    });
    assert!(all_sent && word(&shown(), "of") == "an operator" && shown().contains("tablet"), "{}", shown());
    let refused = |words: &[&str], expected: &str| {
        let (code, said) = cli(&node, &[&["notify", "send"], words].concat());
        assert!(code != 0 && said.contains(expected), "{words:?}: {code} {said}");
    };
    refused(&["ann", "nobody", "--title", "x"], "there is no user \"nobody\"");
    refused(&["ann", "--title", ""], "`title` is one line of 1 to 200 characters");
    refused(&["ann", "--title", "x", "--medium", "pigeon"], "apns, fcm, webpush, mail, sms or webhook");
    refused(&["ann"], "--title <TITLE>");
    node.signal(Signal::TERM);
    assert!(node.ended().0.success());
}

#[test]
fn a_file_of_providers_that_does_not_do_ends_the_node_with_a_remedy() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("notify.toml");
    let check = |content: &str, expected: &[&str]| {
        std::fs::write(&file, content).expect("it can be written");
        let path = file.to_str().expect("UTF-8");
        for command in ["dev", "checkconfig"] {
            let (code, said) = support::said(&mut support::rookery(&[command, "--notify.providers_file", path]));
            assert_eq!(code, 1, "{command}: {said}");
            assert!(expected.iter().all(|part| said.contains(part)), "{command}: {said}");
        }
    };
    check("[[provider]]\nmedium = \"apns\"\n", &["notify.toml", "name is missing"]);
    check(
        "[[provider]]\nname = \"a\"\nmedium = \"pigeon\"\n",
        &["provider a", "apns, fcm, webpush, mail, sms, webhook"],
    );
    check("colour = 1\n", &["notify.toml"]);
}
