//! `rookery import`: what was said in another chat is read in this one, and nothing comes twice.

mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use support::{Client, Node, client_msg_id, rookery, said};

/// How an import ends, and what it says.
fn import(kind: &str, source: &Path, data: &Path) -> (i32, String) {
    said(rookery(&["import", kind]).arg(source).arg("--data").arg(data))
}

fn store_check(data: &Path) -> String {
    let (code, told) = said(rookery(&["store", "check"]).arg("--data").arg(data));
    assert_eq!(code, 0, "{told}");
    told
}

fn token(user: &str, data: &Path) -> String {
    let (code, token) = said(rookery(&["gentoken", "--user", user]).arg("--data").arg(data));
    assert_eq!(code, 0, "{token}");
    token.trim().to_owned()
}

fn write(root: &Path, name: &str, value: &Value) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
    fs::write(path, value.to_string()).expect("it can be written");
}

/// A small workspace: a channel with a thread, a conversation of two, a program that writes.
fn workspace(root: &Path) {
    let user = |id: &str, name: &str| json!({"id": id, "name": name.to_lowercase(), "profile": {"real_name": name}});
    write(root, "users.json", &json!([user("U1", "Ann"), user("U2", "Bob"), user("U3", "Carl")]));
    write(
        root,
        "channels.json",
        &json!([
            {"id": "C1", "name": "general", "created": 1_600_000_000, "creator": "U1", "members": ["U1", "U2", "U3"]},
            {"id": "C2", "name": "empty", "created": 1_600_000_000, "creator": "U9", "members": []},
        ]),
    );
    write(root, "dms.json", &json!([{"id": "D1", "created": 1_600_000_000, "members": ["U1", "U2"]}]));
    write(
        root,
        "general/2021-04-10.json",
        &json!([
            {"type": "message", "user": "U2", "text": "<@U1> see <https://a.example|this> &amp; that", "ts": "1618012800.000300"},
            {"type": "message", "user": "U1", "text": "first", "ts": "1618012800.000200", "thread_ts": "1618012800.000200"},
            {"type": "message", "subtype": "channel_join", "user": "U3", "text": "<@U3> has joined", "ts": "1618012801.000000"},
            {"type": "message", "user": "U3", "text": "an answer", "ts": "1618012802.000000", "thread_ts": "1618012800.000200"},
        ]),
    );
    write(
        root,
        "general/2021-04-11.json",
        &json!([{"type": "message", "subtype": "bot_message", "bot_id": "B1", "username": "Builds", "text": "green",
                 "ts": "1618099200.000000", "files": [{"name": "log.txt"}]}]),
    );
    write(
        root,
        "D1/2021-04-10.json",
        &json!([{"type": "message", "user": "U1", "text": "psst", "ts": "1618012900.000000"}]),
    );
}

/// The same as Slack sends it.
fn zip_of(directory: &Path, file: &Path) {
    let mut zip = zip::ZipWriter::new(fs::File::create(file).expect("a file"));
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(directory).expect("below it").to_str().expect("a text");
            zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("it is written");
            zip.write_all(&fs::read(&path).expect("it can be read")).expect("it is written");
        }
    }
    zip.finish().expect("it is written");
}

/// The channels of a user by their titles, with what the list says of each.
fn channels(node: &Node, token: &str) -> Vec<Value> {
    let (status, page) = node.http("GET", "/v1/channels", Some(token), None);
    assert_eq!(status, 200, "{page}");
    page["channels"].as_array().expect("a list").clone()
}

#[test]
fn nobody_is_imported_as_an_application() {
    let root = tempfile::tempdir().expect("a directory");
    for kind in ["slack", "lines"] {
        let mut import = rookery(&["import", kind, "--namespace", "system"]);
        let (code, told) = said(import.arg(root.path()).arg("--data").arg(root.path()));
        assert!(code == 2 && told.contains("the applications' own accounts"), "{kind}: {code} {told}");
    }
}

#[test]
fn slack_is_read_here_and_nothing_comes_twice() {
    let root = tempfile::tempdir().expect("a directory");
    let (export, data) = (root.path().join("export"), root.path().join("data"));
    fs::create_dir(&data).expect("a directory");
    workspace(&export);
    let (code, told) = import("slack", &export, &data);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("4 users, 2 channels; 5 messages imported, 0 were there already"), "{told}");
    assert!(told.contains("1 messages say only that somebody came or went"), "{told}");
    assert!(told.contains("not taken over: \"C2\" of channels.json"), "{told}");
    assert!(store_check(&data).contains("2 channels, 5 messages"));

    let who = root.path().join("who");
    let mut again = rookery(&["import", "slack"]);
    let (code, told) = said(again.arg(&export).arg("--users-to").arg(&who).arg("--data").arg(&data));
    assert!(code == 0 && told.contains("0 messages imported, 5 were there already"), "{told}");
    let who = fs::read_to_string(who).expect("it was written");
    let ann = who.lines().find_map(|line| line.strip_prefix("U1\t")).expect("Ann is somebody");

    let zipped = root.path().join("export.zip");
    zip_of(&export, &zipped);
    let (code, told) = import("slack", &zipped, &data);
    assert!(code == 0 && told.contains("0 messages imported, 5 were there already"), "{told}");

    let node = Node::start("run", &data, &["--shards", "1"]);
    let (ann_token, stranger) = (token(ann, &data), node.sign_up("dora"));
    let listed = channels(&node, &ann_token);
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.iter().all(|channel| channel["unread"] == json!(0)), "{listed:?}");
    let general = listed.iter().find(|channel| channel["title"] == json!("general")).expect("it is there");
    let general = support::text(&general["channel_id"]);
    let (_, page) = node.http("GET", &format!("/v1/channels/{general}/messages?limit=10"), Some(&ann_token), None);
    let said: Vec<(u64, &str, u64, Option<u64>)> = page["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| {
            let number = |name: &str| message[name].as_u64().expect("a number");
            (number("seq"), message["body"].as_str().expect("a text"), number("sent_ms"), message["reply_to"].as_u64())
        })
        .collect();
    assert_eq!(
        said,
        [
            (1, "first", 1_618_012_800_000, None),
            (2, "@Ann see this (https://a.example) & that", 1_618_012_800_000, None),
            (3, "an answer", 1_618_012_802_000, Some(1)),
            (4, "green\n[log.txt]", 1_618_099_200_000, None),
        ],
        "{page}"
    );
    let mut client = Client::connect(&node.ws, &ann_token, "phone", None).0;
    assert_eq!(client.send(&general, &client_msg_id(0), "here now")["send"]["seq"], json!(5));
    let (_, found) = node.http("GET", "/v1/search?q=green", Some(&ann_token), None);
    assert_eq!(found["hits"][0]["seq"], json!(4), "{found}");
    assert_eq!(node.http("GET", &format!("/v1/channels/{general}/messages"), Some(&stranger.1), None).0, 404);
    drop(client);
    assert!(node.terminate().success());
    assert!(store_check(&data).contains("2 channels, 6 messages"));

    // Behind what was said here nothing comes that was said there.
    write(&export, "general/2021-04-12.json", &json!([{"user": "U1", "text": "late", "ts": "1618185600.000000"}]));
    let (code, told) = import("slack", &export, &data);
    assert!(code == 1 && told.contains("left out"), "{told}");
    store_check(&data);
}

#[test]
fn lines_go_on_where_they_were_cut() {
    let root = tempfile::tempdir().expect("a directory");
    let (file, data) = (root.path().join("chat.jsonl"), root.path().join("data"));
    fs::create_dir(&data).expect("a directory");
    let head = [
        json!({"user": {"id": "u1", "display_name": "Ann"}}),
        json!({"user": {"id": "u2", "display_name": "Bob"}}),
        json!({"channel": {"id": "c1", "kind": "group", "title": "Team", "members": ["u1", "u2"], "created_ms": 1_618_000_000_000_u64}}),
        json!({"channel": {"id": "c2", "kind": "large", "title": "All", "members": ["u2"]}}),
    ];
    let message = |number: u64| {
        let channel = if number.is_multiple_of(3) { "c2" } else { "c1" };
        json!({"message": {"channel": channel, "id": format!("m{number}"), "from": "u1",
            "sent_ms": 1_618_000_000_000 + number, "body": format!("number {number}")}})
    };
    let lines = |upto: u64| {
        let mut out = fs::File::create(&file).expect("a file");
        for line in head.iter().cloned().chain((0..upto).map(message)) {
            writeln!(out, "{line}").expect("it can be written");
        }
        out
    };
    // It stops in the middle of a line, as a copy that was cut off does.
    write!(lines(900), "{{\"message\": {{\"chan").expect("it can be written");
    let (code, told) = import("lines", &file, &data);
    assert!(code == 1 && told.contains("line 905"), "{told}");
    drop(lines(3_000));
    let (code, told) = import("lines", &file, &data);
    assert_eq!(code, 0, "{told}");
    // Those of the cut file came in batches of 200 for each channel.
    assert!(told.contains("2 users, 2 channels; 2200 messages imported, 800 were there already"), "{told}");
    assert!(store_check(&data).contains("2 channels, 3000 messages"));
    let (code, told) = import("lines", &file, &data);
    assert!(code == 0 && told.contains("0 messages imported, 3000 were there already"), "{told}");

    // Somebody has come to the team since, there.
    let whole = fs::read_to_string(&file).expect("the file");
    let carl = json!({"user": {"id": "u3", "display_name": "Carl"}});
    let with_carl = whole.replace(r#"["u1","u2"]"#, r#"["u1","u2","u3"]"#);
    fs::write(&file, format!("{carl}\n{with_carl}")).expect("it can be written");
    let who = root.path().join("who");
    let mut again = rookery(&["import", "lines"]);
    let (code, told) = said(again.arg(&file).arg("--users-to").arg(&who).arg("--data").arg(&data));
    assert_eq!(code, 0, "{told}");
    store_check(&data);
    let who = fs::read_to_string(who).expect("it was written");
    let carl = who.lines().find_map(|line| line.strip_prefix("u3\t")).expect("Carl is somebody");
    let node = Node::start("run", &data, &["--shards", "1"]);
    let listed = channels(&node, &token(carl, &data));
    assert_eq!((listed.len(), &listed[0]["title"], &listed[0]["unread"]), (1, &json!("Team"), &json!(0)), "{listed:?}");
}

#[test]
fn what_cannot_be_taken_is_told_by_its_line() {
    let root = tempfile::tempdir().expect("a directory");
    let data = root.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let ann = r#"{"user": {"id": "u1"}}"#;
    let check = |lines: &[&str], expected: &str| {
        let file = root.path().join("chat.jsonl");
        fs::write(&file, lines.join("\n")).expect("it can be written");
        let (code, told) = import("lines", &file, &data);
        assert!(code == 1 && told.contains(expected) && !told.contains("panicked"), "{lines:?}: {told}");
    };
    check(&["nonsense"], "line 1");
    check(&["{}"], "line 1");
    check(&[ann, r#"{"user": {"id": "u2", "age": 3}}"#], "line 2");
    check(
        &[ann, r#"{"channel": {"id": "c", "kind": "group", "title": "T", "members": ["u9"]}}"#],
        "user \"u9\" was not named",
    );
    check(&[ann, r#"{"channel": {"id": "c", "kind": "group", "title": "T", "members": []}}"#], "nobody is in");
    check(
        &[ann, r#"{"channel": {"id": "c", "kind": "direct", "members": ["u1"]}}"#],
        "a direct channel is of two users",
    );
    check(&[ann, r#"{"channel": {"id": "c", "kind": "group", "title": " ", "members": ["u1"]}}"#], "is no title");
    check(
        &[ann, r#"{"message": {"channel": "c", "id": "m", "from": "u1", "sent_ms": 1, "body": "x"}}"#],
        "channel \"c\" was not named",
    );
    let team = r#"{"channel": {"id": "t", "kind": "group", "title": "T", "members": ["u1"]}}"#;
    let said = r#"{"message": {"channel": "t", "id": "m", "from": "u1", "sent_ms": 1, "body": "x"}}"#;
    check(&[ann, team, team], "was named before");
    check(&[ann, team, said, said], "came before");
    check(&[ann, team, &said.replace("\"x\"", "\"\"")], "without a text");
    check(&[&"x".repeat(3_000_000)], "line 1 is longer than");
    let (code, told) = import("slack", root.path(), &data);
    assert!(code == 1 && told.contains("there is no users.json"), "{told}");
    fs::write(root.path().join("no.zip"), "PK").expect("it can be written");
    let (code, told) = import("slack", &root.path().join("no.zip"), &data);
    assert!(code == 1 && told.contains("no ZIP file"), "{told}");
}
