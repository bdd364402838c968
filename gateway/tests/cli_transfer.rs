//! A store moved by `rookery store export` and `import`: everything is there, and clients go on.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Client, Node, client_msg_id, private_file, rookery, said};

/// Messages each way.
const MESSAGES: u64 = 50;

/// What a command on the store in `data` says.
fn store(words: &[&str], file: &Path, data: &Path) -> String {
    said(rookery(&["store"]).args(words).arg(file).arg("--data").arg(data)).1
}

fn send(client: &mut Client, channel: &str, number: u64, body: &str) -> Value {
    client.send(channel, &client_msg_id(number), body)["send"].clone()
}

#[test]
fn a_store_moves_and_clients_go_on_in_it() {
    let root = tempfile::tempdir().expect("a directory");
    let (old, new, file) = (root.path().join("old"), root.path().join("new"), root.path().join("chat.dump"));
    std::fs::create_dir(&old).expect("a directory");
    let node = Node::start("run", &old, &["--shards", "2"]);
    let (channel, [ann_token, bob_token]) = node.two();
    let mut ann = node.connect(&ann_token, "ann-phone");
    let (mut bob, connected) = Client::connect(&node.ws, &bob_token, "bob-phone", None);
    let cursor = support::text(&connected["connect"]["cursor"]);
    for number in 0..MESSAGES {
        assert_eq!(send(&mut ann, &channel, number, "from ann")["seq"], json!(2 * number + 1));
        assert_eq!(send(&mut bob, &channel, number | 1 << 32, "from bob")["seq"], json!(2 * number + 2));
    }
    let check = |words: &[&str], file: &Path, data: &Path, expected: &str| {
        let told = store(words, file, data);
        assert!(told.contains(expected), "{words:?}: {expected} in {told}");
    };
    let (export, import) = (["export", "--to"], ["import", "--from"]);
    check(&export, &file, &old, "in use by another process");
    assert!(node.terminate().success());
    check(&export, &file, &old, "exported ");
    check(&export, &file, &old, "is whole already");

    // The import is cut off by a dump that is not whole: no node opens such a store, and the whole dump finishes it.
    let whole = std::fs::read(&file).expect("the dump");
    let cut = root.path().join("cut.dump");
    std::fs::write(&cut, &whole[..whole.len() - 10]).expect("written");
    check(&import, &cut, &new, "without an end");
    let (code, refused) = said(rookery(&["run", "--data"]).arg(&new));
    assert!(code == 1 && refused.contains("an import into this store was begun and not finished"), "{refused}");
    // So does a cut export: the rest is written behind what is there.
    check(&export, &cut, &old, "exported ");
    assert!(std::fs::read(&cut).expect("the dump") == whole);
    check(&import, &cut, &new, "\nsound: 1 channels, 100 messages");
    check(&import, &file, &new, "the store is not empty");

    private_file(&new.join("token.key"), &std::fs::read(old.join("token.key")).expect("the node made one"));
    let node = Node::start("run", &new, &["--shards", "1"]);
    let (_, refused) = Client::connect(&node.ws, &bob_token, "bob-phone", Some(&cursor));
    assert_eq!(refused["error"]["code"], json!(112), "a cursor of the old store: {refused}");
    let (mut ann, mut bob) = (node.connect(&ann_token, "ann-phone"), node.connect(&bob_token, "bob-phone"));
    let repeated = send(&mut ann, &channel, 7, "from ann");
    assert_eq!((&repeated["seq"], &repeated["duplicate"]), (&json!(15), &json!(true)), "{repeated}");
    assert_eq!(send(&mut ann, &channel, MESSAGES, "after the move")["seq"], json!(2 * MESSAGES + 1));
    assert_eq!(bob.push()["message"]["message"]["body"], json!("after the move"));
    let page = bob.ask("history", json!({"channel_id": channel, "after": 0, "limit": 200}));
    assert_eq!(page["history"]["messages"].as_array().map(Vec::len), Some(101), "{page}");
    assert!(node.terminate().success());
    assert!(said(rookery(&["store", "check", "--data"]).arg(&new)).1.starts_with("sound: "));
}
