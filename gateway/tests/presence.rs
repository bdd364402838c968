//! Presence by real processes: a client that is killed is shown offline after the grace and not before, and one that
//! comes back within it is not shown at all (I8).

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use schema::limits::{LEASE_MS, PRESENCE_GRACE_MS};
use serde_json::{Value, json};
use support::{Client, Node, text};

/// Where the client's process connects to, with which token.
const WS: &str = "ROOKERY_TEST_CLIENT_WS";
const TOKEN: &str = "ROOKERY_TEST_CLIENT_TOKEN";

const GRACE: Duration = Duration::from_millis(PRESENCE_GRACE_MS);
/// How late the news may be: a home looks each second, and pushes are batched.
const LATE: Duration = Duration::from_millis(LEASE_MS);
/// How early it may seem, since the clock here starts when the kill was asked for.
const EARLY: Duration = Duration::from_millis(500);

/// The client that the other test kills. Alone it is nobody's, and does nothing.
#[test]
fn a_client_of_its_own_process() {
    let (Ok(ws), Ok(token)) = (std::env::var(WS), std::env::var(TOKEN)) else { return };
    let (mut client, connected) = Client::connect(&ws, &token, "killed", None);
    assert!(connected["connect"].is_object(), "{connected}");
    // Until it is killed, or this has gone on for too long.
    assert_eq!(client.push_within(Duration::from_secs(120)), None);
}

fn client(node: &Node, token: &str) -> Child {
    Command::new(std::env::current_exe().expect("this test is a program"))
        .args(["--exact", "a_client_of_its_own_process"])
        .env(WS, &node.ws)
        .env(TOKEN, token)
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts")
}

fn kill(mut child: Child) {
    child.kill().expect("it runs");
    child.wait().expect("it was ours");
}

/// The states that a push of presence tells.
fn states(push: &Value) -> Vec<(String, String)> {
    let entries = push["presence"]["entries"].as_array().unwrap_or_else(|| panic!("{push} is no presence"));
    entries.iter().map(|entry| (text(&entry["user_id"]), text(&entry["state"]))).collect()
}

#[test]
fn a_killed_client_is_offline_after_the_grace_and_one_that_comes_back_never() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, ann_token) = node.sign_up("ann");
    let (bob, bob_token) = node.sign_up("bob");
    let (cho, cho_token) = node.sign_up("cho");
    let (dan, _) = node.sign_up("dan");
    for friend in [&bob, &cho] {
        node.direct(&ann_token, friend);
    }
    let mut ann = node.connect(&ann_token, "a");
    while ann.push_within(Duration::from_millis(200)).is_some() {}
    let reply = ann.ask("presence_watch", json!({"user_ids": [bob, cho, dan]}));
    let entries = &reply["presence_watch"]["entries"];
    assert!(entries.as_array().expect("one each").iter().all(|entry| entry["state"] == "offline"), "{reply}");

    let (bobs, chos) = (client(&node, &bob_token), client(&node, &cho_token));
    let mut online = Vec::new();
    while online.len() < 2 {
        online.extend(states(&ann.push()));
    }
    online.sort();
    let mut expected = [(bob.clone(), "online".to_owned()), (cho.clone(), "online".to_owned())];
    expected.sort();
    assert_eq!(online, expected);

    let killed = Instant::now();
    kill(bobs);
    kill(chos);
    assert_eq!(ann.push_within(Duration::from_secs(3)), None, "nothing is told within the grace");
    let chos = client(&node, &cho_token);
    let push = ann.push_within(GRACE + LATE).expect("bob is offline after the grace");
    let after = killed.elapsed();
    assert_eq!(states(&push), [(bob.clone(), "offline".to_owned())], "and cho was never away");
    assert!(after + EARLY >= GRACE && after <= GRACE + LATE, "told after {after:?}, the grace is {GRACE:?}");
    let reply = ann.ask("presence_get", json!({"user_ids": [bob, cho]}));
    let entries = &reply["presence_get"]["entries"];
    assert_eq!((&entries[0]["state"], &entries[1]["state"]), (&json!("offline"), &json!("online")), "{reply}");
    assert!(entries[0]["last_active_ms"].as_u64() > Some(0), "{reply}");
    assert_eq!(ann.push_within(Duration::from_secs(2)), None, "nothing else happened");
    kill(chos);
}
