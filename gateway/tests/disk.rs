//! Below the reserve of free disk a node keeps what it has, takes nothing new, and says so.

mod support;

use serde_json::json;
use support::{Node, client_msg_id};

#[test]
fn a_node_that_is_short_of_disk_refuses_sends_and_is_not_ready() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, ann_token) = node.sign_up("ann");
    let (bob_id, _) = node.sign_up("bob");
    let channel = node.direct(&ann_token, &bob_id);
    assert_eq!(node.connect(&ann_token, "a").send(&channel, &client_msg_id(1), "x")["send"]["seq"], json!(1));
    assert!(node.terminate().success());

    // A pebibyte: more than the disk of this test has.
    let node = Node::start("run", data.path(), &["--shards", "2", "--data.free_bytes_min", "1125899906842624"]);
    node.until_ready(Some("free disk"));
    let mut ann = node.connect(&ann_token, "a");
    let reply = ann.send(&channel, &client_msg_id(2), "x");
    assert_eq!((&reply["error"]["code"], &reply["error"]["temporary"]), (&json!(115), &json!(true)), "{reply}");
    let account = json!({"username": "cho", "password": "correct horse battery"});
    let (status, problem) = node.http("POST", "/v1/auth/signup", None, Some(&account));
    assert_eq!((status, &problem["code"]), (503, &json!(115)), "{problem}");
    let friend = format!("/v1/me/friends/{bob_id}");
    assert_eq!(node.http("PUT", &friend, Some(&ann_token), None).0, 503);
    let login = json!({"username": "ann", "password": "correct horse battery"});
    assert_eq!(node.http("POST", "/v1/auth/login", None, Some(&login)).0, 200, "who cannot log in reads nothing");
    let page = ann.ask("history", json!({"channel_id": channel}));
    assert_eq!(page["history"]["head_seq"], json!(1), "what is there can be read: {page}");
}
