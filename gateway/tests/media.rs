//! Media on a real node: what is acknowledged survives a kill, what a deleted message held goes, a full disk and a bad
//! configuration say so.

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Node, PATIENCE, client_msg_id, rookery, said};

/// A picture of 200 x 100 pixels, as PNG.
fn png() -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [kind.as_slice(), data].concat();
        let crc = !body.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
        });
        [u32::try_from(data.len()).expect("short").to_be_bytes().as_slice(), &body, &crc.to_be_bytes()].concat()
    };
    // Rows of one byte of filter and 200 of grey, stored without compression.
    let rows: Vec<u8> = (0..100_u8).flat_map(|row| [vec![0], vec![row; 200]].concat()).collect();
    let length = u16::try_from(rows.len()).expect("one block");
    let adler = rows.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let head = [[0x78, 0x01, 0x01].as_slice(), &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    let data = [head.as_slice(), &rows, &(adler.1 << 16 | adler.0).to_be_bytes()].concat();
    let header = [0, 0, 0, 200, 0, 0, 0, 100, 8, 0, 0, 0, 0];
    [b"\x89PNG\r\n\x1a\n".as_slice(), &chunk(b"IHDR", &header), &chunk(b"IDAT", &data), &chunk(b"IEND", &[])].concat()
}

/// One request on a connection of its own: the status and the body.
fn ask(node: &Node, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = connect(node);
    let request = format!("{head}\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(request.as_bytes()).expect("the node reads");
    // One that refuses may close before it has read all.
    let _cut_off = stream.write_all(body);
    let mut answer = Vec::new();
    let _cut_off = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer[end + 4..].to_vec())
}

fn connect(node: &Node) -> TcpStream {
    let stream = TcpStream::connect(node.api.trim_start_matches("http://")).expect("the node listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

fn upload(node: &Node, token: &str, body: &[u8]) -> (u16, Value) {
    let (status, answer) = ask(node, &format!("POST /v1/media HTTP/1.1\r\nauthorization: Bearer {token}"), body);
    (status, serde_json::from_slice(&answer).expect("JSON"))
}

fn fetch(node: &Node, url: &Value) -> (u16, Vec<u8>) {
    ask(node, &format!("GET {} HTTP/1.1", url.as_str().expect("a URL")), b"")
}

/// Files below a directory.
fn files(path: &Path) -> usize {
    let entries = fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[test]
fn what_is_acknowledged_outlives_a_kill_and_goes_with_its_message() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (_, ann_token) = node.sign_up("ann");
    let (bob_id, bob_token) = node.sign_up("bob");
    let channel = node.direct(&ann_token, &bob_id);
    let (status, made) = upload(&node, &ann_token, &png());
    assert_eq!((status, &made["width"], &made["height"]), (201, &json!(200), &json!(100)), "{made}");
    // Another is on its way when the node is killed.
    let mut stream = connect(&node);
    let head = format!(
        "POST /v1/media HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {ann_token}\r\ncontent-length: 9000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the node reads");
    stream.write_all(&vec![7; 5_000_000]).expect("the node reads");
    let objects = data.path().join("media");
    let whole = 2;
    let begun = Instant::now();
    while files(&objects) <= whole {
        assert!(begun.elapsed() < PATIENCE, "a part of it is stored");
        thread::sleep(Duration::from_millis(10));
    }
    node.kill();

    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (status, bytes) = fetch(&node, &made["urls"]["original"]);
    assert_eq!((status, bytes == png()), (200, true));
    let mut ann = node.connect(&ann_token, "a");
    let send =
        json!({"channel_id": channel, "client_msg_id": client_msg_id(1), "body": "", "media": [made["media_id"]]});
    let sent = ann.ask("send", send);
    assert_eq!(sent["send"]["seq"], json!(1), "{sent}");
    let wanted = json!({"channel_id": channel, "seqs": [1, 2]});
    let (status, urls) = node.http("POST", "/v1/media/urls", Some(&bob_token), Some(&wanted));
    assert_eq!(status, 200, "{urls}");
    let url = urls["media"][made["media_id"].as_str().expect("an id")]["small"].clone();
    assert_eq!(fetch(&node, &url).0, 200, "{urls}");
    let (_, cho_token) = node.sign_up("cho");
    assert_eq!(
        node.http("POST", "/v1/media/urls", Some(&cho_token), Some(&wanted)).0,
        404,
        "cho is not in the channel"
    );
    let delete = format!("/v1/channels/{channel}/messages/1?op_id={}", client_msg_id(2));
    assert_eq!(node.http("DELETE", &delete, Some(&ann_token), None).0, 200);
    let begun = Instant::now();
    while fetch(&node, &url).0 != 404 {
        assert!(begun.elapsed() < Duration::from_secs(90), "what a deleted message held is removed");
        thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_full_disk_and_a_place_that_cannot_be_used_say_so() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (_, token) = node.sign_up("ann");
    assert!(node.terminate().success());
    // A pebibyte: more than the disk of this test has.
    let node = Node::start("run", data.path(), &["--shards", "1", "--data.free_bytes_min", "1125899906842624"]);
    node.until_ready(Some("free disk"));
    let (status, problem) = upload(&node, &token, &png());
    assert_eq!((status, &problem["code"]), (507, &json!(115)), "{problem}");
    assert_eq!(files(&data.path().join("media")), 0);
    drop(node);

    let key = data.path().join("s3.key");
    fs::write(&key, "id\nhidden\n").expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("its mode");
    let flag = format!("--media.s3_key_file={}", key.display());
    let (code, told) = said(&mut rookery(&["checkconfig", "--media.s3_bucket=b", &flag]));
    assert!(code != 0 && told.contains("others may read it") && !told.contains("hidden"), "{code}: {told}");
    let (code, told) = said(&mut rookery(&["checkconfig", "--media.s3_bucket=b", "--media.dir=/srv/media"]));
    assert!(code != 0 && told.contains("both set; keep one"), "{code}: {told}");
}
