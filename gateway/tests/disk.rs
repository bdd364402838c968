//! Below the reserve of free disk a node keeps what it has, takes nothing new, and says so.

mod support;

use serde_json::json;
use support::{Client, Node, client_msg_id};

#[test]
fn a_node_that_is_short_of_disk_refuses_sends_and_is_not_ready() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, ann_token) = node.sign_up("ann");
    let (bob_id, _) = node.sign_up("bob");
    let channel = node.direct(&ann_token, &bob_id);
    let send = |number| json!({"channel_id": channel, "client_msg_id": client_msg_id(number), "body": "x"});
    let (mut ann, _) = Client::connect(&node.ws, &ann_token, "a", None);
    assert_eq!(ann.ask("send", send(1))["send"]["seq"], json!(1));
    assert!(node.terminate().success());

    // A pebibyte: more than the disk of this test has.
    let node = Node::start("run", data.path(), &["--shards", "2", "--data.free_bytes_min", "1125899906842624"]);
    let ready = format!("{}/health/ready", node.internal);
    let reasons = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut answer = ureq::get(&ready).config().http_status_as_error(false).build().call().expect("it answers");
        let text = answer.body_mut().read_to_string().expect("text");
        (answer.status() == 503).then_some(text)
    });
    let reasons = reasons.expect("it is not ready within 5 s");
    assert!(reasons.contains("free disk"), "{reasons}");

    let (mut ann, _) = Client::connect(&node.ws, &ann_token, "a", None);
    let reply = ann.ask("send", send(2));
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
