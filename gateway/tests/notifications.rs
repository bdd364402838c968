//! Who is away is told: a real node, real accounts, and the services of Apple and of browsers on loopback.

mod support;

use std::thread;
use std::time::Duration;

use fakes::{Fake, Fakes, Profile};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Node, client_msg_id, message, text};

/// Longer than the grace of 30 s after which an absent user is told, on a machine with much else to do.
const TOLD: Duration = Duration::from_secs(90);

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
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    std::fs::create_dir(&data).expect("it can be made");
    let fakes = Fakes::start(&directory.path().join("fakes")).expect("they start");
    let providers = fakes.config_path().to_str().expect("a path in UTF-8").to_owned();
    let start = || Node::start("run", &data, &["--notify.providers_file", &providers]);
    let node = start();

    let (_, ann) = node.sign_up("ann");
    let [bob, cho, dan] = ["bob", "cho", "dan"].map(|name| node.sign_up(name));
    let team = node.group(&ann, "Team", &[&bob.0, &cho.0, &dan.0]);
    let (bob_id, [bob, cho, dan]) = (bob.0, [bob.1, cho.1, dan.1]);
    put(&node, &bob, "phone", &json!({"medium": "apns", "token": token(1)}));
    let subscription: Value = serde_json::from_str(&fakes.subscription("bob-laptop")).expect("JSON");
    put(&node, &bob, "laptop", &json!({"medium": "webpush", "subscription": subscription}));
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
        gone() == ["webpush"]
    });
    assert!(forgotten, "{:?}", gone());
    assert_eq!(fakes.apns.counts().distinct, 1, "nobody else was told, and nobody twice");
    assert_eq!(fakes.webpush.counts().taken, 2);
    assert_eq!(node.metric(r#"rookery_notify_sent_total{medium="webpush"}"#), 2);
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
        let (code, said) = support::said(&mut support::rookery(&["dev", "--notify.providers_file", path]));
        assert_eq!(code, 1, "{said}");
        assert!(expected.iter().all(|part| said.contains(part)), "{said}");
    };
    check("[[provider]]\nmedium = \"apns\"\n", &["notify.toml", "name is missing"]);
    check(
        "[[provider]]\nname = \"a\"\nmedium = \"pigeon\"\n",
        &["provider a", "apns, fcm, webpush, mail, sms, webhook"],
    );
    check("colour = 1\n", &["notify.toml"]);
}
