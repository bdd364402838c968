//! Tokens of another issuer: a real node, and an issuer on loopback whose keys rotate and whose key set is not always there.

mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fakes::issuer::{Conduct, Issuer, SigningKey};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use support::plain::ask;
use support::{Client, Gone, Node, PATIENCE, private_file, text};
use tempfile::TempDir;

/// The close code of a token that does not count, and of a session whose login was ended.
const BAD_TOKEN: u16 = 3500;
const KICKED: u16 = 3503;

/// A node that takes tokens of an issuer, by a file of these keys.
fn start(issuers: &str, mode: &str) -> (TempDir, Node) {
    let directory = tempfile::tempdir().expect("a directory");
    private_file(&directory.path().join("proxy.secret"), b"hunter2\n");
    let file = directory.path().join("auth.toml");
    fs::write(&file, issuers).expect("written");
    fs::create_dir(directory.path().join("data")).expect("made");
    let file = file.to_str().expect("a path in UTF-8");
    let node = Node::start("run", &directory.path().join("data"), &["--auth.issuers_file", file, "--auth.mode", mode]);
    (directory, node)
}

fn by_url(issuer: &Issuer) -> String {
    format!(
        "[[issuer]]\nissuer = \"https://login.example/\"\naudience = \"chat\"\nalgorithms = [\"ES256\", \"EdDSA\"]\n\
         jwks_url = \"{}\"\nrefresh_seconds = 10\n",
        issuer.url()
    )
}

/// Claims of a user, of a token that was issued so many seconds ago.
fn claims(user: &str, ago_s: u64) -> Value {
    let now_s = support::wall().0 / 1_000;
    json!({
        "iss": "https://login.example/", "aud": ["chat"], "sub": user, "name": format!("{user} of elsewhere"),
        "iat": now_s - ago_s, "exp": now_s + 3_600,
    })
}

/// Connects, as often as it is told to come again. The session, and how often it was.
fn connect(node: &Node, token: &str, device: &str) -> (Client, u32) {
    let until = Instant::now() + PATIENCE;
    let (mut client, mut again) = (Client::open(&node.ws), 0);
    loop {
        match client.try_connect(token, device, None) {
            Ok(reply) if reply["connect"].is_object() => return (client, again),
            Ok(reply) => {
                let error = &reply["error"];
                assert_eq!((&error["code"], &error["temporary"]), (&json!(115), &json!(true)), "{reply}");
                thread::sleep(Duration::from_millis(error["retry_after_ms"].as_u64().expect("a time")));
                again += 1;
            }
            // It took longer than a connection has for it, which is the server's fault: 3004, and to be repeated.
            Err(Gone::Closed(3004)) => client = Client::open(&node.ws),
            Err(gone) => panic!("{gone:?} after {again} times"),
        }
        assert!(Instant::now() < until, "it was told to come again {again} times");
    }
}

/// Connects once, and is told that this is to be repeated.
fn is_put_off(node: &Node, token: &str) {
    let (_, reply) = Client::connect(&node.ws, token, "later", None);
    assert_eq!((&reply["error"]["code"], &reply["error"]["temporary"]), (&json!(115), &json!(true)), "{reply}");
    let (status, problem) = node.http("GET", "/v1/me", Some(token), None);
    assert_eq!((status, &problem["temporary"]), (503, &json!(true)), "{problem}");
}

/// Connects once, and is refused for good.
fn is_refused(node: &Node, token: &str) {
    let mut client = Client::open(&node.ws);
    client.tell("connect", json!({"token": token, "device_id": "never"}));
    assert_eq!(client.closed(), BAD_TOKEN, "{token}");
    assert_eq!(node.http("GET", "/v1/me", Some(token), None).0, 401, "{token}");
}

/// Is put off until keys were fetched after the token came, and then refused for good.
fn is_refused_once_asked(node: &Node, token: &str) {
    let until = Instant::now() + PATIENCE;
    while node.http("GET", "/v1/me", Some(token), None).0 != 401 {
        assert!(Instant::now() < until, "it is refused once keys were fetched after it came");
        thread::sleep(Duration::from_millis(200));
    }
    is_refused(node, token);
}

#[test]
fn an_issuer_that_rotates_its_keys_and_is_not_always_there_loses_nobody() {
    let (old, new) = (SigningKey::ec("2026-11"), SigningKey::ed("2026-12"));
    let issuer = Issuer::start().expect("it starts");
    issuer.set_keys(&[&old]);
    let (_directory, node) = start(&by_url(&issuer), "both");
    assert_eq!(node.http("GET", "/v1/auth", None, None), (200, json!({"mode": "both"})));

    // First seen, a user is made: the same by the API and by a socket, beside one of our own.
    let ann = old.sign(&claims("ann", 60));
    let (mut first, _) = connect(&node, &ann, "phone");
    let (status, me) = node.http("GET", "/v1/me", Some(&ann), None);
    assert_eq!((status, &me["display_name"]), (200, &json!("ann of elsewhere")), "{me}");
    let (bob_id, bob) = node.sign_up("bob");
    let channel = node.direct(&ann, &bob_id);
    assert_eq!(node.direct(&bob, &text(&me["user_id"])), channel);
    assert_eq!(first.send(&channel, &support::client_msg_id(1), "hello")["send"]["seq"], json!(1));

    // What nobody has signed, and what the public key has "signed".
    let nobody = |header: Value| old.sign_with(&header, &claims("ann", 1));
    is_refused(&node, &nobody(json!({"alg": "none"})));
    is_refused(&node, &nobody(json!({"alg": "none", "kid": "2026-11"})));
    is_refused(&node, &SigningKey::secret("2026-11", old.public_pem().as_bytes()).sign(&claims("ann", 1)));
    // It might be a key that the issuer has given an earlier one's name.
    is_refused_once_asked(&node, &SigningKey::ec("2026-11").sign(&claims("ann", 1)));
    let mut of_others = claims("ann", 1);
    of_others["aud"] = json!("mail");
    is_refused(&node, &old.sign(&of_others));

    // While its key set cannot be had, whoever comes with a key that is known gets in, and nobody is sent away for good.
    let ann_later = new.sign(&claims("ann", 5));
    let conducts = [
        Conduct::Hang,
        Conduct::Status(500, String::new()),
        Conduct::Status(302, issuer.url()),
        Conduct::Say("<html>".to_owned()),
        Conduct::Say(json!({"keys": []}).to_string()),
        Conduct::Say("[".repeat(300 * 1024)),
    ];
    for (number, conduct) in conducts.into_iter().enumerate() {
        let before = issuer.requests();
        issuer.set_conduct(conduct);
        is_put_off(&node, &ann_later);
        let (_, again) = connect(&node, &old.sign(&claims("cho", number as u64)), "phone");
        assert_eq!(again, 0, "a key that is known counts");
        assert_eq!(first.ask("echo", json!({"data": "here"}))["echo"]["data"], json!("here"));
        // Until it has been asked once like this: an unknown key has it asked sooner than it would be.
        let until = Instant::now() + PATIENCE;
        while issuer.requests() == before {
            assert!(Instant::now() < until, "it is asked again");
            thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(node.metric(r#"rookery_issuer_fetches_failed_total{issuer="https://login.example/"}"#) >= 3);

    // It rotates: who was told to come again gets in, a live session goes on by a new token, and the old key counts still.
    issuer.set_keys(&[&new, &old]);
    issuer.set_conduct(Conduct::Serve);
    let (mut second, _) = connect(&node, &ann_later, "laptop");
    let refreshed = first.ask("refresh", json!({"token": new.sign(&claims("ann", 4))}));
    assert!(refreshed["refresh"]["expires_ms"].is_u64(), "{refreshed}");
    assert_eq!(second.send(&channel, &support::client_msg_id(2), "still here")["send"]["seq"], json!(2));
    let (_, again) = connect(&node, &ann, "tablet");
    assert_eq!(again, 0);
    assert_eq!(node.metric(r#"rookery_issuer_keys{issuer="https://login.example/"}"#), 2);
    node.logged("the issuer's keys are fetched again");

    // The old key goes: once that is known, which is within the time between two fetches, it counts no more.
    issuer.set_keys(&[&new]);
    node.until_metric(r#"rookery_issuer_keys{issuer="https://login.example/"}"#, 1);
    is_refused_once_asked(&node, &old.sign(&claims("ann", 3)));
    assert_eq!(first.ask("echo", json!({"data": "on"}))["echo"]["data"], json!("on"));
}

#[test]
fn a_device_that_is_ended_stays_so_until_the_issuer_gives_a_newer_token() {
    let key = SigningKey::ed("k");
    let issuer = Issuer::start().expect("it starts");
    issuer.set_keys(&[&key]);
    let (_directory, node) = start(&by_url(&issuer), "external");
    assert_eq!(node.http("GET", "/v1/auth", None, None), (200, json!({"mode": "external"})));
    let signup = json!({"username": "bob", "password": "correct horse battery"});
    for path in ["/v1/auth/signup", "/v1/auth/login"] {
        let (status, problem) = node.http("POST", path, None, Some(&signup));
        assert_eq!((status, &problem["code"]), (403, &json!(103)), "{problem}");
    }

    let with_session = |session: &str, ago_s| {
        let mut claims = claims("ann", ago_s);
        claims["sid"] = json!(session);
        key.sign(&claims)
    };
    let (phone, laptop) = (with_session("s1", 50), with_session("s2", 50));
    let ((on_phone, _), (mut on_laptop, _)) = (connect(&node, &phone, "phone"), connect(&node, &laptop, "laptop"));
    let (status, _) = node.http("DELETE", "/v1/me/devices/phone", Some(&laptop), None);
    assert_eq!(status, 204);
    assert_eq!(on_phone.closed(), KICKED);
    is_refused(&node, &phone);
    is_refused(&node, &with_session("s1", 51));
    assert_eq!(on_laptop.ask("echo", json!({"data": "on"}))["echo"]["data"], json!("on"));
    let (again, _) = connect(&node, &with_session("s1", 49), "phone");

    // A login that is logged out, likewise.
    assert_eq!(node.http("POST", "/v1/auth/logout", Some(&laptop), None).0, 200);
    assert_eq!(on_laptop.closed(), KICKED);
    is_refused(&node, &laptop);
    drop(again);
}

#[test]
fn a_connect_proxy_says_whose_a_token_is() {
    let service = Issuer::start().expect("it starts");
    let proxy = format!("[proxy]\nurl = \"{}\"\nsecret_file = \"proxy.secret\"\ntimeout_ms = 2000\n", service.url());
    let (_directory, node) = start(&proxy, "external");
    let ends_ms = support::wall().0 + 3_600_000;
    let known = |token: &str, user: Value| service.knows("hunter2", token, 200, user);
    known("opaque-ann", json!({"user": "ann", "name": "Ann", "expires_ms": ends_ms}));
    known("opaque-tab", json!({"user": "ann", "device_id": "tab", "expires_ms": ends_ms}));
    known("opaque-late", json!({"user": "ann", "expires_ms": 1}));
    known("opaque-odd", json!({"name": "nobody"}));

    let (mut ann, _) = connect(&node, "opaque-ann", "phone");
    let (status, me) = node.http("GET", "/v1/me", Some("opaque-ann"), None);
    assert_eq!((status, &me["display_name"]), (200, &json!("Ann")), "{me}");
    is_refused(&node, "opaque-bob");
    is_put_off(&node, "opaque-odd");
    let (status, problem) = node.http("GET", "/v1/me", Some("opaque-late"), None);
    assert_eq!((status, &problem["code"]), (401, &json!(109)), "{problem}");
    connect(&node, "opaque-tab", "tab");
    let refused = ann.ask("refresh", json!({"token": "opaque-tab"}));
    assert_eq!(refused["error"]["code"], json!(101), "it is another device's");

    // What it said is good for a while, and nobody is sent away for good while it says nothing.
    for conduct in [Conduct::Hang, Conduct::Status(503, String::new()), Conduct::Say("<html>".to_owned())] {
        service.set_conduct(conduct);
        is_put_off(&node, "opaque-new");
        let (_, again) = connect(&node, "opaque-ann", "laptop");
        assert_eq!(again, 0);
    }
    known("opaque-new", json!({"user": "new", "expires_ms": ends_ms}));
    service.set_conduct(Conduct::Serve);
    connect(&node, "opaque-new", "phone");
    assert_eq!(service.faults(), Vec::<String>::new(), "it is asked as the manual says");
}

/// A token that nobody knows, shown by a client of another address of loopback, over a WebSocket or to the API.
fn ask_from(node: &Node, address: [u8; 4], token: &str, by_api: bool) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("all of 127.0.0.0/8 is this machine");
    let to = if by_api { node.api.trim_start_matches("http://") } else { node.ws.trim_start_matches("ws://") };
    let to: SocketAddr = to.parse().expect("an address");
    socket.connect(&to.into()).expect("it listens");
    let target = if by_api { "/v1/me" } else { "/connection/poll?device_id=d" };
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
    ask(socket.into(), &head, "")
}

#[test]
fn one_client_does_not_take_all_questions_to_a_connect_proxy() {
    let service = Issuer::start().expect("it starts");
    let proxy = format!("[proxy]\nurl = \"{}\"\nsecret_file = \"proxy.secret\"\ntimeout_ms = 10000\n", service.url());
    let (_directory, node) = start(&proxy, "external");
    service.set_conduct(Conduct::Hang);
    let is_asked = |expected: u64| {
        let until = Instant::now() + PATIENCE;
        while service.requests() < expected {
            assert!(Instant::now() < until, "{} questions, not {expected}", service.requests());
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_millis(500));
        assert_eq!(service.requests(), expected);
    };
    let mut open = Vec::new();
    for number in 0..40 {
        open.push(ask_from(&node, [127, 0, 0, 2], &format!("one-{number}"), number % 2 == 0));
    }
    is_asked(32);
    open.push(ask_from(&node, [127, 0, 0, 3], "another-1", false));
    open.push(ask_from(&node, [127, 0, 0, 3], "another-2", true));
    is_asked(34);
}

#[test]
fn a_backend_and_an_issuer_speak_of_the_same_users() {
    let key = SigningKey::ed("k");
    let issuer = Issuer::start().expect("it starts");
    issuer.set_keys(&[&key]);
    let (_directory, node) = start(&format!("{}namespace = \"server\"\n", by_url(&issuer)), "external");
    let words = ["app", "create", "shop", "--server", "--internal", node.internal.trim_start_matches("http://")];
    let (code, said) = support::said(&mut support::rookery(&words));
    assert_eq!(code, 0, "{said}");
    let word =
        |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).expect("it is said").trim().to_owned();
    let given = STANDARD.encode(format!("{}:{}", word("key"), word("secret")));
    let ask = |method: &str, path: &str, body: Value| -> (u16, Value) {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", node.api));
        let request = request.header("authorization", format!("Basic {given}"));
        let request = request.header("content-type", "application/json").body(body.to_string()).expect("legal");
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.run(request).expect("it answers");
        let text = answer.body_mut().read_to_string().expect("text");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    };

    let (status, ann) = ask("PUT", "/v1/server/users/external:ann", json!({"display_name": "Ann"}));
    assert_eq!(status, 201, "{ann}");
    let (mut by_issuer, _) = connect(&node, &key.sign(&claims("ann", 1)), "phone");
    let (_, token) = ask("POST", "/v1/server/users/external:ann/tokens", json!({"device_id": "laptop"}));
    let (mut by_backend, reply) = Client::connect(&node.ws, &text(&token["token"]), "laptop", None);
    assert_eq!(reply["connect"]["user_id"], ann["user_id"], "{reply}");

    // A channel that the backend makes, and what it says there in its own name, live on both.
    ask("PUT", "/v1/server/users/external:bob", json!({}));
    let order = json!({"kind": "group", "title": "Order 17", "owner": "external:bob", "members": ["external:ann"]});
    let (status, channel) = ask("POST", "/v1/server/channels", order);
    assert_eq!(status, 201, "{channel}");
    let path = format!("/v1/server/channels/{}/messages", text(&channel["channel_id"]));
    let (status, sent) = ask("POST", &path, json!({"client_msg_id": support::client_msg_id(1), "body": "shipped"}));
    assert_eq!((status, &sent["seq"]), (201, &json!(1)), "{sent}");
    for client in [&mut by_issuer, &mut by_backend] {
        let message = std::iter::repeat_with(|| client.push()).find(|push| push["message"].is_object());
        let message = message.expect("it comes");
        assert_eq!(message["message"]["message"]["body"], json!("shipped"), "{message}");
        assert_eq!(message["message"]["message"]["from"], sent["from"]);
    }
    let said = json!({"event": "courier.moved", "data": "52.52,13.40"});
    let (status, _) = ask("POST", &path.replace("/messages", "/publish"), said);
    assert_eq!(status, 204);
    for client in [&mut by_issuer, &mut by_backend] {
        let published = std::iter::repeat_with(|| client.push()).find(|push| push["published"].is_object());
        let expected = json!({"channel_id": channel["channel_id"], "event": "courier.moved", "data": "52.52,13.40"});
        assert_eq!(published.expect("it comes")["published"], expected);
    }
    let (_, presence) = ask("POST", "/v1/server/presence", json!({"users": ["external:ann"]}));
    assert_eq!(presence["entries"][0]["user_id"], ann["user_id"], "{presence}");

    // Deactivated, it is let in by neither; erased, its sessions hear why, and its name is somebody new's.
    let (status, _) = ask("PATCH", "/v1/server/users/external:ann", json!({"deactivated": true}));
    assert_eq!(status, 200);
    assert_eq!((by_issuer.closed(), by_backend.closed()), (KICKED, KICKED));
    is_refused(&node, &key.sign(&claims("ann", 0)));
    is_refused(&node, &text(&token["token"]));
    ask("PATCH", "/v1/server/users/external:ann", json!({"deactivated": false}));
    thread::sleep(Duration::from_millis(1_100));
    let (back, _) = connect(&node, &key.sign(&claims("ann", 0)), "phone");
    let (status, _) = ask("DELETE", "/v1/server/users/external:ann", json!({}));
    assert_eq!(status, 204);
    assert_eq!(back.closed(), 3511);
    let (_, members) = ask("GET", &format!("/v1/server/channels/{}", text(&channel["channel_id"])), json!({}));
    assert_eq!(members["member_count"], json!(1), "{members}");
    thread::sleep(Duration::from_millis(1_100));
    let (_, again) = connect(&node, &key.sign(&claims("ann", 0)), "phone");
    assert!(again < 10);
    let (_, new) = ask("GET", "/v1/server/users/external:ann", json!({}));
    assert_ne!(new["user_id"], ann["user_id"], "{new}");
}
