//! Clients without WebSockets: a real node, and HTTP as it is written on the wire.

mod support;

use std::io::Read as _;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::plain::{Events, answer, call, get, lines, request};
use support::{Client, Node, client_msg_id, message, text};

#[test]
fn a_thousand_messages_each_way_over_event_streams_that_are_cut() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (channel, [ann, bob]) = node.two();
    let ws = node.ws.clone();
    let each = 1_000_u64;
    let speaks = |who: u64, token: String| {
        let (ws, channel) = (ws.clone(), channel.clone());
        thread::spawn(move || {
            for first in (0..each).step_by(10) {
                let sends = (first..first + 10).map(|number| {
                    let id = client_msg_id(number * 2 + who);
                    json!({"id": number + 1, "send": message(&channel, &id, &format!("{who} {number}"))})
                });
                let (status, replies) = call(&ws, &token, &sends.collect::<Vec<_>>());
                assert_eq!((status, replies.len()), (200, 10), "{replies:?}");
                assert!(replies.iter().all(|reply| reply["send"]["seq"].is_u64()), "{replies:?}");
            }
        })
    };
    let hears = |token: String| {
        let ws = ws.clone();
        thread::spawn(move || {
            let query = format!("device_id=web&token={token}");
            let mut stream = Events::open(&ws, &query, None);
            assert!(stream.value()["connect"].is_object());
            let mut seen = 0;
            for cut in 1..=20_u64 {
                while seen < cut * each * 2 / 20 {
                    let said = stream.value();
                    if said["connect"].is_object() {
                        continue;
                    }
                    seen += 1;
                    assert_eq!(said["push"]["message"]["message"]["seq"], json!(seen), "{said}");
                }
                let cursor = stream.cut();
                stream = Events::open(&ws, &query, cursor.as_deref());
            }
        })
    };
    let hearers = [hears(ann.clone()), hears(bob.clone())];
    // Whoever connects without a cursor begins at the newest.
    thread::sleep(Duration::from_secs(1));
    let speakers = [speaks(0, ann), speaks(1, bob)];
    for thread in hearers.into_iter().chain(speakers) {
        thread.join().expect("it went well");
    }
}

#[test]
fn a_poll_waits_until_something_happens_and_says_where_to_go_on() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (channel, [ann, bob]) = node.two();
    let poll = |cursor: Option<&str>, wait_s: u32| {
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let target = format!("/connection/poll?device_id=old&wait={wait_s}{cursor}");
        let stream = request(&node.ws, &get(&target, &format!("Authorization: Bearer {bob}\r\n")), "");
        let (status, head, body) = answer(stream);
        assert_eq!(status, 200, "{head} {body}");
        lines(&body)
    };
    let began = Instant::now();
    let first = poll(None, 1);
    assert!((900..10_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(first.len(), 1, "{first:?}");
    let mut cursor = text(&first[0]["connect"]["cursor"]);
    for number in 0..20_u64 {
        let (said, which) = (json!({"id": 1, "send": message(&channel, &client_msg_id(number), "x")}), number % 2);
        if which == 0 {
            assert_eq!(call(&node.ws, &ann, std::slice::from_ref(&said)).0, 200);
        }
        let (ws, ann) = (node.ws.clone(), ann.clone());
        let later = (which == 1).then(|| {
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(50));
                assert_eq!(call(&ws, &ann, &[said]).0, 200);
            })
        });
        let began = Instant::now();
        let heard = poll(Some(&cursor), 50);
        assert!(began.elapsed() < Duration::from_secs(30), "it does not wait once something came");
        let pushes: Vec<&Value> = heard.iter().filter(|line| line["push"].is_object()).collect();
        assert_eq!(pushes.len(), 1, "{heard:?}");
        assert_eq!(pushes[0]["push"]["message"]["message"]["seq"], json!(number + 1));
        cursor = text(&pushes[0]["push"]["message"]["cursor"]);
        if let Some(thread) = later {
            thread.join().expect("it was sent");
        }
    }
}

#[test]
fn a_poll_may_wait_for_longer_than_a_reader_may_take() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (_, [ann, _]) = node.two();
    let head = get("/connection/poll?device_id=old&wait=35", &format!("Authorization: Bearer {ann}\r\n"));
    let (status, _, body) = answer(request(&node.ws, &head, ""));
    assert_eq!((status, lines(&body).len()), (200, 1), "{body}");
}

#[test]
fn a_call_of_several_pages_is_answered_whole() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (channel, [ann, _]) = node.two();
    let sends: Vec<Value> = (1..=20_u64)
        .map(|number| json!({"id": number, "send": message(&channel, &client_msg_id(number), &"x".repeat(20_000))}))
        .collect();
    assert_eq!(call(&node.ws, &ann, &sends).1.len(), 20);
    let page = |id: u32| json!({"id": id, "history": {"channel_id": channel, "limit": 20}});
    let began = Instant::now();
    let (status, replies) = call(&node.ws, &ann, &[page(1), page(2), page(3), page(4)]);
    let mut ids: Vec<u64> = replies.iter().filter_map(|reply| reply["id"].as_u64()).collect();
    ids.sort_unstable();
    assert_eq!((status, ids), (200, vec![1, 2, 3, 4]));
    let has_some = |reply: &Value| reply["history"]["messages"].as_array().is_some_and(|page| !page.is_empty());
    assert!(replies.iter().all(has_some), "a page without messages");
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
}

#[test]
fn whoever_goes_is_gone() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (_, [ann, bob]) = node.two();
    // More than the devices of an account, and of each kind one that goes before it is answered.
    for number in 0..40 {
        let mut stream = Events::open(&node.ws, &format!("device_id=d{number}&token={ann}"), None);
        assert!(stream.value()["connect"].is_object());
        stream.cut();
        let head = get(&format!("/connection/poll?device_id=p{number}&wait=50&token={bob}"), "");
        let poll = request(&node.ws, &head, "");
        thread::sleep(Duration::from_millis(20));
        drop(poll);
        let head = format!("POST /connection/command?token={bob} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n");
        drop(request(&node.ws, &head, "{"));
    }
    node.until_metric("rookery_sessions{shard=\"0\"}", 0);
}

/// As `nc -N` does, and some clients of HTTP/1.0: nothing more is said, and the answer is waited for.
#[test]
fn who_has_shut_its_direction_is_answered_but_by_streams() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (channel, [ann, bob]) = node.two();
    let shut = |head: &str, body: &str, after: Duration| {
        let stream = request(&node.ws, head, body);
        thread::sleep(after);
        stream.shutdown(Shutdown::Write).expect("it is open");
        stream
    };
    let post = |body: &str, bytes: usize| {
        let head = "POST /connection/command HTTP/1.0\r\nHost: a\r\n";
        let head = format!("{head}Authorization: Bearer {ann}\r\nContent-Length: {bytes}\r\n");
        shut(&head, body, Duration::ZERO)
    };
    for number in 0..20_u64 {
        let said = json!({"id": 1, "send": message(&channel, &client_msg_id(number), &"x".repeat(20_000))}).to_string();
        let (status, _, body) = answer(post(&said, said.len()));
        assert_eq!((status, &lines(&body)[0]["send"]["seq"]), (200, &json!(number + 1)), "{body}");
    }
    let poll = |cursor: &str, after_ms: u64| {
        let head = get(&format!("/connection/poll?device_id=old&wait=50{cursor}&token={bob}"), "");
        let began = Instant::now();
        let (status, _, body) = answer(shut(&head, "", Duration::from_millis(after_ms)));
        assert_eq!(status, 200, "{body}");
        (lines(&body), began.elapsed())
    };
    let (said, took) = poll("", 0);
    assert!(said.len() == 1 && took < Duration::from_secs(20), "{said:?} after {took:?}");
    let cursor = text(&said[0]["connect"]["cursor"]);
    let later = json!({"id": 1, "send": message(&channel, &client_msg_id(20), "later")}).to_string();
    assert_eq!(answer(post(&later, later.len())).0, 200);
    let (said, _) = poll(&format!("&cursor={cursor}"), 0);
    assert_eq!(said.last().expect("a line")["push"]["message"]["message"]["seq"], json!(21), "{said:?}");
    let (said, took) = poll("", 1_000);
    assert!(said.len() == 1 && took < Duration::from_secs(20), "{said:?} after {took:?}");
    node.until_metric("rookery_sessions{shard=\"0\"}", 0);
    node.until_metric("rookery_sessions{shard=\"1\"}", 0);

    // What can never be answered, or is never at an end, is over.
    let upgrade = "GET /connection/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let stream = get(&format!("/connection/sse?device_id=web&token={bob}"), "");
    for mut open in [post("{", 9), shut(upgrade, "", Duration::from_secs(1)), shut(&stream, "", Duration::from_secs(1))]
    {
        let began = Instant::now();
        let _ended = open.read_to_end(&mut Vec::new());
        assert!(began.elapsed() < Duration::from_secs(20), "it goes on for {:?}", began.elapsed());
    }
    node.until_metric("rookery_sessions{shard=\"0\"}", 0);
    node.until_metric("rookery_sessions{shard=\"1\"}", 0);
}

#[test]
fn a_stream_opens_large_channels_and_watches_users() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (_, [ann, bob]) = node.two();
    let (_, me) = node.http("GET", "/v1/me", Some(&ann), None);
    let wanted = json!({"kind": "large", "title": "All"});
    let (_, made) = node.http("POST", "/v1/channels", Some(&ann), Some(&wanted));
    let large = text(&made["channel_id"]);
    let (_, bobs) = node.http("GET", "/v1/me", Some(&bob), None);
    let member = format!("/v1/channels/{large}/members/{}", text(&bobs["user_id"]));
    assert_eq!(node.http("PUT", &member, Some(&ann), Some(&json!({"role": "member"}))).0, 200);
    let send = |number: u64| {
        let said = json!({"id": 1, "send": message(&large, &client_msg_id(number), &number.to_string())});
        call(&node.ws, &ann, &[said])
    };
    for number in 1..=5 {
        assert!(send(number).1[0]["send"]["seq"].is_u64());
    }
    let query = format!("device_id=web&token={bob}&open={large}:2&watch={}", text(&me["user_id"]));
    let mut stream = Events::open(&node.ws, &query, None);
    let (mut seqs, mut watched, mut next) = (Vec::new(), false, 6);
    while seqs.len() < 6 || !watched {
        let said = stream.value();
        seqs.extend(said["push"]["message"]["message"]["seq"].as_u64());
        watched |= said["presence_watch"].is_object();
        if seqs.len() == 3 && next == 6 {
            send(next);
            next += 1;
        }
        if seqs.len() == 4 && watched {
            break;
        }
    }
    assert_eq!(seqs, [3, 4, 5, 6]);
}

/// What a request is answered: its status and a part of what it says.
fn check(node: &Node, head: &str, body: &str, status: u16, says: &str) {
    let (found, heads, said) = answer(request(&node.ws, head, body));
    assert_eq!(found, status, "{head}: {said}");
    assert!(said.contains(says) || heads.contains(says), "{head}: {heads}\n{said}");
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (channel, [ann, _]) = node.two();
    let check = |head: &str, body: &str, status, says: &str| check(&node, head, body, status, says);
    let bearer = format!("Authorization: Bearer {ann}\r\n");
    let sse = |query: &str| get(&format!("/connection/sse?{query}"), &bearer);
    check(&get("/connection/sse?device_id=a", ""), "", 401, "send the token as");
    check(&get("/connection/sse?device_id=a&token=x", ""), "", 401, "not valid here");
    check(&get("/connection/sse?device_id=a&token=x", ""), "", 401, "www-authenticate: Bearer");
    check(&sse(""), "", 400, "device_id is missing");
    check(&sse("device_id=a%20b"), "", 400, "device_id");
    check(&sse("device_id=a&device_id=b"), "", 400, "device_id is there twice");
    check(&sse("device_id=a&cursor=nonsense"), "", 409, "\"code\":112");
    check(&sse("device_id=a&open=x"), "", 400, "open is CHANNEL_ID");
    check(&sse(&format!("device_id=a&open={channel}:x")), "", 400, "open is CHANNEL_ID");
    check(&sse(&format!("device_id=a{}", "&open=1".repeat(101))), "", 400, "at most 100 channels");
    check(&sse("device_id=a&watch=1,,2"), "", 400, "watch is a list");
    for wait in ["0", "56", "-1", "x", "1.5"] {
        let head = get(&format!("/connection/poll?device_id=a&wait={wait}"), &bearer);
        check(&head, "", 400, "wait is a number of seconds");
    }
    check(&get("/connection/nowhere", &bearer), "", 404, "WebSocket clients connect to");
    check(&get("/connection/websocket", &bearer), "", 426, "This is a WebSocket endpoint");
    check(&get("/connection/command", &bearer), "", 405, "allow: POST");
    let post = |headers: &str| format!("POST /connection/command HTTP/1.1\r\nHost: a\r\n{bearer}{headers}");
    check(&post(""), "", 400, "the body is empty");
    check(&post("Content-Length: 1\r\n"), "\n", 200, "application/x-ndjson");
    check(&post("Content-Length: 3\r\n"), "{}\nwhat is behind it is nobody's", 200, "no command in the envelope");
    check(&post("Content-Length: 8\r\n"), "\u{0}\u{1}nothing", 200, "\"code\":107");
    check(&post("Content-Length: 2097153\r\n"), "", 413, "at most 2097152 bytes");
    check(&post("Content-Length: 18446744073709551615\r\n"), "", 413, "at most 2097152 bytes");
    check(&post("Content-Length: x\r\n"), "", 400, "one number");
    check(&post("Transfer-Encoding: chunked\r\n"), "0\r\n\r\n", 411, "Content-Length");
    check(&post(&format!("X: {}\r\n", "y".repeat(9_000))), "", 431, "longer than");
    check("POST /connection/command HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n", "{}", 401, "send the token as");
    check("DELETE /connection/sse HTTP/1.1\r\nHost: a\r\n", "", 405, "allow: GET");
    // Twenty lines that are none in a row end it, as they end a session.
    let body = "x\n".repeat(30);
    check(&post(&format!("Content-Length: {}\r\n", body.len())), &body, 200, "not an envelope");
    let head = format!("POST /connection/command HTTP/1.1\r\nHost: a\r\n{bearer}Content-Length: 35\r\n");
    check(&head, r#"{"id":1,"echo":{"data":"over 1.1"}}"#, 200, "over 1.1");
    check(&post("Content-Length: 2\r\n"), "{", 408, "within 10 s");
    // Who offers another protocol is answered by this one, and who waits to be let is let.
    check(&post("Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n"), "{}", 200, "no command");
    let (_, heads, _) = answer(request(&node.ws, &post("Expect: 100-continue\r\nContent-Length: 2\r\n"), "{}"));
    assert_eq!(heads, "HTTP/1.1 100 Continue");
}

#[test]
fn pages_of_other_origins_ask_first() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--listen.allowed_origins", "https://app.example"]);
    let (_, [ann, _]) = node.two();
    let check = |method: &str, origin: &str, status, says: &str| {
        let head = format!(
            "{method} /connection/command HTTP/1.1\r\nHost: chat.example\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAuthorization: Bearer {ann}\r\nContent-Length: 1\r\n"
        );
        check(&node, &head, "\n", status, says);
    };
    check("OPTIONS", "https://app.example", 204, "access-control-allow-origin: https://app.example");
    check("OPTIONS", "https://app.example", 204, "access-control-allow-headers: authorization");
    check("POST", "https://app.example", 200, "access-control-allow-origin: https://app.example");
    check("OPTIONS", "https://elsewhere.example", 403, "may not connect here");
    check("POST", "https://elsewhere.example", 403, "may not connect here");
    check("POST", "null", 403, "may not connect here");
}

#[test]
fn a_stream_is_told_why_it_ends_and_one_that_is_not_read_costs_nobody() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (channel, [ann, bob]) = node.two();
    let query = format!("device_id=web&token={bob}");
    // Of the same device the newest counts.
    let mut earlier = Events::open(&node.ws, &query, None);
    assert!(earlier.value()["connect"].is_object());
    let mut stream = Events::open(&node.ws, &query, None);
    assert!(stream.value()["connect"].is_object());
    let told = earlier.next().expect("it is told");
    assert_eq!((told.name.as_str(), told.data.as_str()), ("close", r#"{"code":3505}"#));
    assert!(earlier.next().is_none(), "and ends");
    // One that never reads: 4 MB are more than sockets and budget hold, and others go on.
    let unread = request(&node.ws, &get(&format!("/connection/sse?device_id=deaf&token={bob}"), ""), "");
    let mut talker = Client::connect(&node.ws, &ann, "phone", None).0;
    let body = "x".repeat(40_000);
    for number in 0..100_u64 {
        let reply = talker.send(&channel, &client_msg_id(number), &body);
        assert!(reply["send"]["seq"].is_u64(), "{reply}");
        assert_eq!(stream.value()["push"]["message"]["message"]["seq"], json!(number + 1));
    }
    drop(unread);
    let status = node.terminate();
    assert!(status.success(), "{status}");
    loop {
        let event = stream.next().expect("it is told before it ends");
        if event.name == "close" {
            assert_eq!(event.data, r#"{"code":3001}"#);
            break;
        }
    }
}
