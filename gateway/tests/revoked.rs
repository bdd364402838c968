//! Devices and logins that are ended over HTTP: the sessions that they opened are closed, and no other.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Client, Node, text};

/// The close code of a session that was revoked.
const KICKED: u16 = 3503;

/// Another login of ann, bound to a device if one is named; its token.
fn log_in(node: &Node, device: Option<&str>) -> String {
    let body = json!({"username": "ann", "password": "correct horse battery", "device_id": device});
    let (status, tokens) = node.http("POST", "/v1/auth/login", None, Some(&body));
    assert_eq!(status, 200, "{tokens}");
    text(&tokens["token"])
}

fn devices(node: &Node, token: &str) -> Vec<(String, bool)> {
    let (status, page) = node.http("GET", "/v1/me/devices", Some(token), None);
    assert_eq!(status, 200, "{page}");
    let shown = |device: &Value| (text(&device["device_id"]), device["current"] == true);
    page["devices"].as_array().expect("a list").iter().map(shown).collect()
}

#[test]
fn an_ended_device_is_closed_with_every_session_of_its_logins_and_does_not_come_back() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, shared) = node.sign_up("ann");
    let bound = log_in(&node, Some("laptop"));
    // Two devices came with one login.
    let phone = node.connect(&shared, "phone");
    let tablet = node.connect(&shared, "tablet");
    let mut laptop = node.connect(&bound, "laptop");
    let own = |name: &str, current| (name.to_owned(), current);
    assert_eq!(devices(&node, &bound), [own("laptop", true), own("tablet", false), own("phone", false)]);

    let (status, problem) = node.http("DELETE", "/v1/me/devices/phone", Some(&bound), None);
    assert_eq!((status, problem), (204, Value::Null));
    assert_eq!((phone.closed(), tablet.closed()), (KICKED, KICKED));
    // Asks to be connected and is not.
    let mut again = Client::open(&node.ws);
    again.tell("connect", json!({"token": shared, "device_id": "phone"}));
    assert_eq!(again.closed(), 3500);
    assert_eq!(laptop.push_within(Duration::from_millis(500)), None, "it stays, and hears of nothing");
    assert!(laptop.ask("echo", json!({"data": "here"}))["echo"].is_object());
    assert_eq!(devices(&node, &bound), [own("laptop", true), own("tablet", false)]);

    // Its own end.
    assert_eq!(node.http("POST", "/v1/auth/logout", Some(&bound), None).0, 200);
    assert_eq!(laptop.closed(), KICKED);
    assert_eq!(node.http("GET", "/v1/me/devices", Some(&bound), None).0, 401);
}
