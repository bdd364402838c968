//! Providers against peers that are nobody's of this project: web push messages are decrypted by PyPI's `http-ece`, and
//! mail is taken by a mail server, PyPI's `aiosmtpd`.
//!
//! `ROOKERY_PYTHON` names a Python that has both; without it these tests say that they check nothing. The gate sets it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use notify::message::Target;
use notify::providers::Providers;
use notify::{Message, Outcome};
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use schema::{Medium, NoticeId, UnixMs};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A Python program of this folder; `None` where there is no Python for it.
fn python(program: &str, arguments: &[&str]) -> Option<Child> {
    let Some(python) = std::env::var_os("ROOKERY_PYTHON") else {
        eprintln!("NOT CHECKED: ROOKERY_PYTHON names no Python with http-ece and aiosmtpd");
        return None;
    };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(program);
    let mut command = Command::new(python);
    let command = command.arg(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command.spawn().expect("ROOKERY_PYTHON runs"))
}

fn message(address: String) -> Message {
    Message {
        notice: NoticeId([7; 16]),
        id: uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, b"foreign"),
        target: Target { address, app: String::new(), is_development: false, locale: String::new() },
        title: "Grüße, 世界".to_owned(),
        body: "Ada: hello \"you\" 🦀\n.\nsecond line".to_owned(),
        html: Some("<p>Ada: hello &quot;you&quot; 🦀</p>".to_owned()),
        collapse: "c-7".to_owned(),
        badge: Some(3),
        data: BTreeMap::from([("url".to_owned(), "/c/7".to_owned())]),
        media: None,
        is_urgent: true,
        expires_ms: UnixMs(4_102_444_800_000),
        unsubscribe: Some("https://chat.example/unsubscribe/abc".to_owned()),
        callback: None,
    }
}

fn providers(directory: &Path, text: &str, secrets: &[(&str, &str)]) -> Providers {
    for (name, secret) in secrets {
        let path = directory.join(name);
        fs::write(&path, secret).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
    }
    let path = directory.join("notify.toml");
    fs::write(&path, text).expect("written");
    Providers::load(&path).expect("legal")
}

/// Takes one request, and gives its body.
async fn body(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let mut taken = Vec::new();
    loop {
        let head = taken.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = head {
            let head = String::from_utf8_lossy(&taken[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("it has a length");
            if taken.len() - end - 4 == length.parse::<usize>().expect("a number") {
                stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await.expect("written");
                return taken.split_off(end + 4);
            }
        }
        assert!(stream.read_buf(&mut taken).await.expect("bytes") > 0, "it is whole");
    }
}

#[tokio::test]
async fn a_web_push_message_is_decrypted_by_another_library() {
    let (private, auth) = ([5; 32], [6; 16]);
    let Some(mut child) = python("decrypt.py", &[]) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let public = SecretKey::from_slice(&private).expect("a scalar").public_key().to_encoded_point(false);
    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let subscription = json!({
        "endpoint": format!("http://{}/push", listener.local_addr().expect("bound")),
        "keys": { "p256dh": base64(public.as_bytes()), "auth": base64(&auth) },
    });
    let directory = tempfile::tempdir().expect("a directory");
    let text = "allow_loopback = true\n[[provider]]\nname = \"webpush\"\nmedium = \"webpush\"\nkey_file = \"key.pem\"\n\
                subject = \"mailto:a@b.example\"\n";
    let providers = providers(directory.path(), text, &[("key.pem", fakes::webpush::KEY)]);
    let taken = tokio::spawn(body(listener));
    let sent = message(subscription.to_string());
    let outcome = providers.of(Medium::WebPush)[0].send(&sent).await;
    assert_eq!(outcome, Outcome::Sent { provider_id: None });
    let order =
        json!({ "private": base64(&private), "auth": base64(&auth), "body": base64(&taken.await.expect("no panic")) });
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(order.to_string().as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let plain: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let expected = json!({
        "id": sent.id.to_string(), "title": sent.title, "body": sent.body, "badge": 3, "tag": "c-7",
        "data": { "url": "/c/7" }, "url": "/c/7",
    });
    assert_eq!(plain, expected);
}

#[tokio::test]
async fn a_mail_server_takes_a_mail_over_starttls_and_reads_what_was_meant() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::NoCa;
    let key = rcgen::KeyPair::generate().expect("a key");
    fs::write(path("cert.pem"), params.self_signed(&key).expect("signed").pem()).expect("written");
    fs::write(path("key.pem"), key.serialize_pem()).expect("written");
    let Some(mut child) = python("mailserver.py", &[&path("cert.pem"), &path("key.pem")]) else { return };
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    let port: u16 = line().parse().expect("the first line is a port");
    let text = |password: &str| {
        format!(
            "ca_file = \"cert.pem\"\n[[provider]]\nname = \"mail\"\nmedium = \"mail\"\nhost = \"localhost\"\nport = {port}\n\
             from = \"Rookery <chat@rookery.example>\"\nusername = \"ada\"\npassword_file = \"{password}\"\n"
        )
    };
    let secrets = [("right", "hunter2"), ("wrong", "hunter3")];
    let sent = message("Ada.Lovelace@example.org".to_owned());
    let provider = providers(directory.path(), &text("right"), &secrets);
    let outcome = provider.of(Medium::Mail)[0].send(&sent).await;
    assert_eq!(outcome, Outcome::Sent { provider_id: None });
    let mail: Value = serde_json::from_str(&line()).expect("JSON");
    let expected = json!({
        "is_tls": true,
        "from": "chat@rookery.example",
        "to": ["Ada.Lovelace@example.org"],
        "subject": sent.title,
        "message_id": format!("<{}@rookery.example>", sent.id),
        "unsubscribe": "<https://chat.example/unsubscribe/abc>",
        "one_click": "List-Unsubscribe=One-Click",
        "parts": { "text/plain": sent.body, "text/html": sent.html },
    });
    assert_eq!(mail, expected);
    let provider = providers(directory.path(), &text("wrong"), &secrets);
    let outcome = provider.of(Medium::Mail)[0].send(&sent).await;
    assert_eq!(outcome, Outcome::failed(notify::Fault::Credential, "535 5.7.8"));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}
