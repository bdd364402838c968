//! Both sides of the handshake, whole and byte by byte.

use wire::{Answer, ClientHandshake, HandshakeError, HandshakeProgress, ServerHandshake};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const REST: &str = "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
const REQUEST_BYTES_MAX: usize = 1024;

/// Feeds a request, whole and byte by byte, and tells what came of it.
fn check(request: &str, expected: &str) {
    for piece_bytes in [request.len(), 1] {
        assert_eq!(feed(request, piece_bytes), expected, "{request:?} by {piece_bytes}");
    }
}

fn feed(request: &str, piece_bytes: usize) -> String {
    let mut handshake = ServerHandshake::new();
    for piece in request.as_bytes().chunks(piece_bytes) {
        match handshake.feed(piece, REQUEST_BYTES_MAX) {
            HandshakeProgress::More => {}
            HandshakeProgress::Request { request, .. } => {
                let protocols: Vec<&str> = request.protocols().collect();
                return format!("{} {:?} {protocols:?} {:?}", request.path(), request.query(), request.origin());
            }
            HandshakeProgress::Plain { request, .. } => {
                return format!("{} {} {}", request.method(), request.path(), request.body_bytes());
            }
            HandshakeProgress::Refused(refusal) => {
                let bytes = String::from_utf8(refusal.to_bytes()).expect("an answer is text");
                let (_, body) = bytes.split_once("\r\n\r\n").expect("an answer has a body");
                assert!(bytes.starts_with(&format!("HTTP/1.1 {}", refusal.status())), "{bytes}");
                assert!(bytes.contains(&format!("content-length: {}\r\n", body.len())), "{bytes}");
                return format!("{} {}", refusal.status(), body.trim_end());
            }
        }
    }
    "more".to_owned()
}

#[test]
fn a_request_says_what_it_wants() {
    check(&format!("GET /a/b?c=d&e HTTP/1.1\r\n{REST}{KEY}\r\n"), "/a/b Some(\"c=d&e\") [] None");
    check(
        &format!("GET / HTTP/1.1\r\n{REST}{KEY}Sec-WebSocket-Protocol: b, a\r\nSec-WebSocket-Protocol: c\r\n\r\n"),
        "/ None [\"b\", \"a\", \"c\"] None",
    );
    check(&format!("GET / HTTP/1.1\r\n{REST}{KEY}Origin: http://x\r\n\r\n"), "/ None [] Some(\"http://x\")");
    check(&format!("GET / HTTP/1.1\r\n{REST}{KEY}"), "more");
}

/// A request with these lines beside its key and what every request has.
fn with(lines: &str, expected: &str) {
    check(&format!("GET / HTTP/1.1\r\n{KEY}{lines}\r\n"), expected);
}

#[test]
fn several_lines_of_a_header_are_one_list() {
    const V: &str = "Sec-WebSocket-Version: 13\r\n";
    const ACCEPTED: &str = "/ None [] None";
    for lines in [
        "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n",
        "Connection: keep-alive,\tUpgrade\r\nUpgrade: websocket\r\n",
        "Connection:\tupgrade\t,keep-alive\r\nUpgrade: WebSocket\r\n",
        "Connection: ,, UPGRADE ,\r\nUpgrade: h2c, websocket\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade:\twebsocket\r\n",
        "Connection: \u{e9}\r\nConnection: Upgrade\r\nUpgrade: websocket,h2c\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
    ] {
        with(&format!("Host: a\r\n{lines}{V}"), ACCEPTED);
    }
    const UP: &str = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    with(&format!("{UP}Sec-WebSocket-Version: 8\r\nSec-WebSocket-Version:\t13\r\n"), ACCEPTED);
    with(&format!("{UP}Sec-WebSocket-Version: 8,13\r\n"), ACCEPTED);
    with(
        &format!(
            "{UP}{V}Sec-WebSocket-Protocol: b,\ta\t,,\r\nSec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: c\r\n"
        ),
        "/ None [\"b\", \"a\", \"c\"] None",
    );
    const NOT_ONE: &str = "426 This is a WebSocket endpoint. Connect with a ws:// or wss:// URL.";
    with(&format!("Host: a\r\nConnection: keep-alive Upgrade\r\nUpgrade: websocket\r\n{V}"), NOT_ONE);
    with(&format!("Host: a\r\nConnection: Upgraded\r\nUpgrade: websocket\r\n{V}"), NOT_ONE);
}

#[test]
fn a_target_may_name_its_host() {
    check(&format!("GET http://a:1/b?c HTTP/1.1\r\n{REST}{KEY}\r\n"), "/b Some(\"c\") [] None");
    check(&format!("GET http://a HTTP/1.1\r\n{REST}{KEY}\r\n"), "/ None [] None");
    for target in ["a:80", "*"] {
        let request = format!("GET {target} HTTP/1.1\r\n{REST}{KEY}\r\n");
        check(&request, "400 The target of the request has no path.");
    }
}

#[test]
fn what_may_be_said_once_is_said_once() {
    let rest = REST.strip_prefix("Host: a\r\n").expect("it begins with the host");
    const ONCE: &str = "400 Host has to be there once.";
    const NAME: &str = "400 Host has to be a name or an address, and a port.";
    with(rest, ONCE);
    with(&format!("Host: a\r\nHost: a\r\n{rest}"), ONCE);
    for host in ["", "a b", "a/b", "a@b", "a:b:c", "[::1", "a,b c"] {
        with(&format!("Host: {host}\r\n{rest}"), NAME);
    }
    for host in ["a", "a:80", "127.0.0.1:8001", "[::1]:8001", "xn--9n2bp8q.example"] {
        with(&format!("Host: {host}\r\n{rest}"), "/ None [] None");
    }
    with(&format!("{REST}{KEY}"), "400 Sec-WebSocket-Key has to be 16 random bytes in base64, once.");
    with(&format!("{REST}Origin: http://x\r\nOrigin: http://y\r\n"), "400 Origin has to be ASCII, and there once.");
    with(&format!("{REST}Origin: http://\u{e9}\r\n"), "400 Origin has to be ASCII, and there once.");
}

#[test]
fn a_handshake_has_no_body() {
    for line in ["Content-Length: 5", "Content-Length: 0\r\nContent-Length: 5", "Transfer-Encoding: chunked"] {
        with(&format!("{REST}{line}\r\n"), "400 A WebSocket handshake has no body.");
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    check(&format!("POST / HTTP/1.1\r\n{REST}{KEY}\r\n"), "405 A WebSocket handshake is a GET request.");
    check(&format!("GET / HTTP/1.0\r\n{REST}{KEY}\r\n"), "505 A WebSocket handshake needs HTTP/1.1.");
    check(
        &format!("GET / HTTP/1.1\r\n{}{KEY}\r\n", REST.replace("13", "8")),
        "426 Only version 13 of WebSocket is spoken here. Send Sec-WebSocket-Version: 13.",
    );
    check(
        &format!("GET / HTTP/1.1\r\n{REST}Sec-WebSocket-Key: short\r\n\r\n"),
        "400 Sec-WebSocket-Key has to be 16 random bytes in base64, once.",
    );
    check(
        &format!("GET / HTTP/1.1\r\n{REST}{KEY}{}\r\n", "X:y\r\n".repeat(125)),
        "431 The request has too many headers. Send fewer.",
    );
    check(
        &format!("GET / HTTP/1.1\r\n{REST}{KEY}X: {}\r\n\r\n", "y".repeat(2000)),
        "431 The request is longer than 1024 bytes. Send fewer or shorter headers.",
    );
    check(&"y".repeat(1025), "431 The request is longer than 1024 bytes. Send fewer or shorter headers.");
    assert!(feed("\u{16}\u{3}\u{1}\r\n\r\n", 100).starts_with("400 Not a valid HTTP request"), "TLS by mistake");
}

#[test]
fn a_request_without_an_upgrade_is_a_plain_one() {
    check("GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a 0");
    check("GET /a HTTP/1.0\r\n\r\n", "GET /a 0");
    check("GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET /a 0");
    check("POST /a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n", "POST /a 2");
    check("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n", "POST /a 12");
    check("OPTIONS /a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /a 0");
    check("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n", "more");
    for length in ["", "-1", "+1", "1 2", "0x1", "99999999999999999999"] {
        let request = format!("POST /a HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        check(&request, "400 Content-Length has to be one number.");
    }
    check(
        "POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "400 Content-Length has to be one number.",
    );
    check("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411 A body is sent with its Content-Length here.");
    check("POST * HTTP/1.1\r\n\r\n", "400 The target of the request has no path.");
}

#[test]
fn an_answer_ends_with_its_connection() {
    let head = Answer::new(200).with("content-type", "text/event-stream").head();
    assert_eq!(head, b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n");
    let whole = Answer::new(204).whole(b"");
    assert_eq!(whole, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    let whole = Answer::new(200).whole(b"a");
    assert_eq!(whole, b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na");
}

#[test]
fn what_follows_the_request_is_left_to_the_decoder() {
    let request = format!("GET / HTTP/1.1\r\n{REST}{KEY}\r\n");
    let mut handshake = ServerHandshake::new();
    let (first, second) = request.split_at(50);
    assert!(matches!(handshake.feed(first.as_bytes(), 1024), HandshakeProgress::More));
    let more = format!("{second}frames");
    match handshake.feed(more.as_bytes(), 1024) {
        HandshakeProgress::Request { consumed, .. } => assert_eq!(&more[consumed..], "frames"),
        other => panic!("no request but {other:?}"),
    }
}

/// Lets a client of ours meet a server of ours that chooses `chosen`, the answer edited on its way.
fn meet(
    offers: &[&str],
    chosen: Option<&str>,
    edit: impl Fn(String) -> String,
) -> Result<Option<String>, HandshakeError> {
    let (mut client, request) = ClientHandshake::new("localhost:8001", "/x?y", offers, [7; 16]);
    let HandshakeProgress::Request { request, .. } = ServerHandshake::new().feed(&request, 8192) else {
        panic!("our own request is refused")
    };
    let answer = edit(String::from_utf8(request.accept(chosen)).expect("an answer is text"));
    for byte in answer.as_bytes() {
        if let Some(agreed) = client.feed(&[*byte])? {
            return Ok(agreed.protocol);
        }
    }
    panic!("the answer has no end")
}

#[test]
fn client_and_server_agree() {
    let same = |answer: String| answer;
    assert_eq!(meet(&[], None, same), Ok(None));
    assert_eq!(meet(&["a", "b"], Some("b"), same), Ok(Some("b".to_owned())));
    assert_eq!(meet(&["a"], None, same), Err(HandshakeError::Header("Sec-WebSocket-Protocol")));
    let renamed = |answer: String| answer.replace("sec-websocket-protocol: a", "sec-websocket-protocol: z");
    assert_eq!(meet(&["a"], Some("a"), renamed), Err(HandshakeError::Header("Sec-WebSocket-Protocol")));
    let other_key = |answer: String| answer.replace("sec-websocket-accept: ", "sec-websocket-accept: x");
    assert_eq!(meet(&[], None, other_key), Err(HandshakeError::Header("Sec-WebSocket-Accept")));
    let refused = |_| "HTTP/1.1 404 Not Found\r\n\r\n".to_owned();
    assert_eq!(meet(&[], None, refused), Err(HandshakeError::Refused { status: 404, body: String::new() }));
    let endless = |_| format!("HTTP/1.1 101 x\r\nX: {}", "y".repeat(9000));
    assert_eq!(meet(&[], None, endless), Err(HandshakeError::TooLong));
}

#[test]
#[should_panic(expected = "z was not offered")]
fn a_subprotocol_that_was_not_offered_is_never_chosen() {
    meet(&["a"], Some("z"), |answer| answer).expect("not reached");
}
