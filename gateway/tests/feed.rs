//! News feeds by real processes: friends, posts, likes, replies, what a session is pushed, and kill -9 on the way.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Node, PATIENCE, Place, client_msg_id, text};

/// A request that is answered as it should be; its JSON.
fn ask(node: &Place, method: &str, path: &str, token: &str, body: Option<Value>, expected: u16) -> Value {
    let (status, answer) = node.http(method, path, Some(token), body.as_ref());
    assert_eq!(status, expected, "{method} {path}: {answer}");
    answer
}

/// Posts a text for friends; its id.
fn post(node: &Place, token: &str, id: u64, body: &str) -> String {
    let post = json!({"client_post_id": client_msg_id(id), "body": body, "audience": "friends"});
    text(&ask(node, "POST", "/v1/me/feed", token, Some(post), 201)["post_id"])
}

fn befriend(node: &Place, (one, one_token): (&str, &str), (other, other_token): (&str, &str)) {
    ask(node, "PUT", &format!("/v1/me/friends/{other}"), one_token, None, 200);
    let friend = ask(node, "PUT", &format!("/v1/me/friends/{one}"), other_token, None, 200);
    assert_eq!(friend["state"], "accepted");
}

/// The posts of a page.
fn posts(node: &Place, token: &str, path: &str) -> Vec<Value> {
    ask(node, "GET", path, token, None, 200)["posts"].as_array().expect("posts").clone()
}

fn bodies(node: &Place, token: &str, path: &str) -> Vec<String> {
    posts(node, token, path).iter().map(|post| text(&post["body"])).collect()
}

/// Waits until a feed is this.
fn until_feed(node: &Place, token: &str, expected: &[String]) {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = bodies(node, token, "/v1/me/feed?limit=100");
        if found == expected {
            return;
        }
        assert!(Instant::now() < until, "the feed is {found:?}, not {expected:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_friends_post_like_and_reply() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (ann, ann_token) = node.sign_up("ann");
    let (bob, bob_token) = node.sign_up("bob");
    befriend(&node, (&ann, &ann_token), (&bob, &bob_token));
    let mut session = node.connect(&bob_token, "phone");
    // The first read is the moment from which bob gets rows.
    assert_eq!(posts(&node, &bob_token, "/v1/me/feed"), [] as [Value; 0]);

    let first = post(&node, &ann_token, 1, "snow");
    let push = session.push();
    assert_eq!(push, json!({"feed_head": {"count": 1}}), "who is there is told");
    until_feed(&node, &bob_token, &["snow".to_owned()]);
    let liked = ask(&node, "PUT", &format!("/v1/posts/{first}/like"), &bob_token, None, 200);
    assert_eq!(liked, json!({"likes": 1, "liked": true}));
    let reply = json!({"client_post_id": client_msg_id(2), "body": "here too"});
    ask(&node, "POST", &format!("/v1/posts/{first}/replies"), &bob_token, Some(reply), 201);
    let shown = &posts(&node, &bob_token, "/v1/me/feed")[0];
    assert_eq!((&shown["likes"], &shown["liked"], &shown["replies"]), (&json!(1), &json!(true), &json!(1)), "{shown}");
    let replies = ask(&node, "GET", &format!("/v1/posts/{first}/replies"), &ann_token, None, 200);
    assert_eq!(replies["replies"][0]["body"], "here too", "{replies}");

    post(&node, &ann_token, 3, "rain");
    until_feed(&node, &bob_token, &["rain".to_owned(), "snow".to_owned()]);
    ask(&node, "DELETE", &format!("/v1/posts/{first}"), &ann_token, None, 204);
    assert_eq!(bodies(&node, &bob_token, "/v1/me/feed"), ["rain"]);
    ask(&node, "DELETE", &format!("/v1/me/friends/{bob}"), &ann_token, None, 204);
    assert_eq!(posts(&node, &bob_token, "/v1/me/feed"), [] as [Value; 0]);

    let (_, metrics) = node.get("/metrics");
    for family in ["rookery_timeline_rows_total 2", "rookery_timeline_cache_hits_total{cache=\"graph\"}"] {
        assert!(metrics.contains(family), "{family} is not in\n{metrics}");
    }
    assert!(node.terminate().success());
}

#[test]
fn posts_on_their_way_arrive_once_after_kill_9() {
    let data = tempfile::tempdir().expect("a directory");
    let start = || Node::start("run", data.path(), &["--shards", "2", "--feed.rows_per_second", "100"]);
    let node = start();
    let (ann, ann_token) = node.sign_up("ann");
    let readers: Vec<(String, String)> = (0..5).map(|at| node.sign_up(&format!("reader{at}"))).collect();
    for (reader, token) in &readers {
        befriend(&node, (&ann, &ann_token), (reader, token));
        posts(&node, token, "/v1/me/feed");
    }
    // So few rows a second that some are still on their way.
    for number in 0..8 {
        post(&node, &ann_token, 100 + number, &format!("post {number}"));
    }
    node.kill();
    let node = start();
    let expected: Vec<String> = (0..8).rev().map(|number| format!("post {number}")).collect();
    for (_, token) in &readers {
        until_feed(&node, token, &expected);
    }
}
