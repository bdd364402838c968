//! A store moved by `rookery store export` and `import`: everything is there, and clients go on.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::{Client, Node, client_msg_id};

/// Messages each way.
const MESSAGES: u64 = 50;

fn store(words: &[&str], data: &Path, file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    command.arg("store").args(words).arg(file).arg("--data").arg(data);
    command.output().expect("the program starts")
}

/// What a command says on standard output, if it ends well, or else on standard error.
fn told(output: &Output) -> String {
    let stream = if output.status.success() { &output.stdout } else { &output.stderr };
    String::from_utf8(stream.clone()).expect("the program writes text")
}

fn send(client: &mut Client, channel: &str, number: u64, body: &str) -> Value {
    let id = client_msg_id_of(number);
    client.ask("send", json!({"channel_id": channel, "client_msg_id": id, "body": body}))["send"].clone()
}

/// The same id for the same number: the retry of what the old store acknowledged.
fn client_msg_id_of(number: u64) -> String {
    thread_local! {
        static IDS: std::cell::RefCell<std::collections::BTreeMap<u64, String>> = const { std::cell::RefCell::new(std::collections::BTreeMap::new()) };
    }
    IDS.with_borrow_mut(|ids| ids.entry(number).or_insert_with(|| client_msg_id(number)).clone())
}

#[test]
fn a_store_moves_and_clients_go_on_in_it() {
    let root = tempfile::tempdir().expect("a directory");
    let (old, new, file) = (root.path().join("old"), root.path().join("new"), root.path().join("chat.dump"));
    std::fs::create_dir(&old).expect("a directory");
    let node = Node::start("run", &old, &["--shards", "2"]);
    let (_, ann_token) = node.sign_up("ann");
    let (bob_id, bob_token) = node.sign_up("bob");
    let channel = node.direct(&ann_token, &bob_id);
    let (mut ann, _) = Client::connect(&node.ws, &ann_token, "ann-phone", None);
    let (mut bob, connected) = Client::connect(&node.ws, &bob_token, "bob-phone", None);
    let cursor = support::text(&connected["connect"]["cursor"]);
    for number in 0..MESSAGES {
        assert_eq!(send(&mut ann, &channel, number, "from ann")["seq"], json!(2 * number + 1));
        assert_eq!(send(&mut bob, &channel, number | 1 << 32, "from bob")["seq"], json!(2 * number + 2));
    }
    let running = store(&["export", "--to"], &old, &file);
    assert!(told(&running).contains("in use by another process"), "{running:?}");
    assert!(node.terminate().success());

    let exported = store(&["export", "--to"], &old, &file);
    assert!(told(&exported).starts_with("exported "), "{exported:?}");
    let again = store(&["export", "--to"], &old, &file);
    assert!(told(&again).contains("is whole already"), "{again:?}");

    // The import is cut off by a dump that is not whole: no node opens such a store, and the whole dump finishes it.
    let whole = std::fs::read(&file).expect("the dump");
    let cut = root.path().join("cut.dump");
    std::fs::write(&cut, &whole[..whole.len() - 10]).expect("written");
    let early = store(&["import", "--from"], &new, &cut);
    assert!(told(&early).contains("without an end"), "{early:?}");
    let refused =
        Command::new(env!("CARGO_BIN_EXE_rookery")).args(["run", "--data"]).arg(&new).output().expect("it starts");
    assert!(told(&refused).contains("an import into this store was begun and not finished"), "{refused:?}");
    // So does a cut export: the rest is written behind what is there.
    let resumed = store(&["export", "--to"], &old, &cut);
    assert!(resumed.status.success() && std::fs::read(&cut).expect("the dump") == whole, "{resumed:?}");
    let imported = store(&["import", "--from"], &new, &cut);
    assert!(told(&imported).contains("\nsound: 1 channels, 100 messages"), "{imported:?}");
    let twice = store(&["import", "--from"], &new, &file);
    assert!(told(&twice).contains("the store is not empty"), "{twice:?}");

    let key = std::fs::read(old.join("token.key")).expect("the node made one");
    std::fs::write(new.join("token.key"), key).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(new.join("token.key"), mode).expect("it is ours");
    let node = Node::start("run", &new, &["--shards", "1"]);
    let (_, refused) = Client::connect(&node.ws, &bob_token, "bob-phone", Some(&cursor));
    assert_eq!(refused["error"]["code"], json!(112), "a cursor of the old store: {refused}");
    let (mut ann, _) = Client::connect(&node.ws, &ann_token, "ann-phone", None);
    let (mut bob, _) = Client::connect(&node.ws, &bob_token, "bob-phone", None);
    let repeated = send(&mut ann, &channel, 7, "from ann");
    assert_eq!((&repeated["seq"], &repeated["duplicate"]), (&json!(15), &json!(true)), "{repeated}");
    assert_eq!(send(&mut ann, &channel, MESSAGES, "after the move")["seq"], json!(2 * MESSAGES + 1));
    assert_eq!(bob.push()["message"]["message"]["body"], json!("after the move"));
    let page = bob.ask("history", json!({"channel_id": channel, "after": 0, "limit": 200}));
    assert_eq!(page["history"]["messages"].as_array().map(Vec::len), Some(101), "{page}");
    assert!(node.terminate().success());
    let checked = Command::new(env!("CARGO_BIN_EXE_rookery")).args(["store", "check", "--data"]).arg(&new).output();
    assert!(told(&checked.expect("it starts")).starts_with("sound: "));
}
