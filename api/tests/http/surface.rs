//! Routes, the document that describes them, and the headers of every answer.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use api::{Origins, Peer, Peers};
use schema::{Epoch, Incarnation, View};
use serde_json::Value;

use crate::client::Client;
use crate::world::{Options, World};

/// A world in development, where every route is.
fn dev() -> World {
    World::with(Options { dev_users: Some(vec![]), ..Options::default() })
}

/// The operations of the document, as `GET /v1/me`.
fn described(world: &mut World) -> BTreeSet<String> {
    let answer = world.check("GET /openapi.json => 200");
    let document: Value = serde_json::from_str(&answer.body).expect("a document is JSON");
    let paths = document["paths"].as_object().expect("paths");
    let methods = |item: &Value| item.as_object().expect("operations").keys().cloned().collect::<Vec<_>>();
    paths
        .iter()
        .flat_map(|(path, item)| {
            methods(item).into_iter().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn what_is_described_is_what_is_served() {
    let mut world = dev();
    let described = described(&mut world);
    assert!(described.len() >= 33, "{described:?}");
    // Of each path, the methods described and no other.
    let paths: BTreeSet<_> = described.iter().filter_map(|operation| operation.split(' ').nth(1)).collect();
    // Beside the list of operations: the login for development, the two documents, links, what is spoken of tus, and nineteen of the internal router.
    let by_hand = include_str!("../../src/routes/mod.rs").matches(".route(\"").count();
    assert_eq!(by_hand, 24, "a route beside the list of operations is in no document");
    let mut client = Client::connect(world.public);
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let concrete = [
                "{channel_id}",
                "{user_id}",
                "{device_id}",
                "{notice_id}",
                "{seq}",
                "{heard}",
                "{media_id}",
                "{variant}",
            ]
            .iter()
            .fold(path.to_owned(), |path, variable| path.replace(variable, "1"));
            let concrete = concrete.replace("{post_id}", "1-1");
            let status = client.ask(method, &concrete, &[], "").status;
            let served = described.contains(&format!("{method} {path}"));
            assert_eq!(status != 404 && status != 405, served, "{method} {path} => {status}");
        }
    }
}

#[test]
fn the_document_is_complete_in_itself() {
    let mut world = dev();
    let answer = world.check(r#"GET /openapi.json => 200 {"openapi":"3.1.0","components":{"securitySchemes":{"bearer":{"type":"http","scheme":"bearer"}}}}"#);
    let document: Value = serde_json::from_str(&answer.body).expect("a document is JSON");
    let known = document["components"]["schemas"].as_object().expect("schemas");
    for reference in answer.body.split(r##""$ref":"#/components/schemas/"##).skip(1) {
        let name = reference.split('"').next().expect("a name");
        assert!(known.contains_key(name), "{name} is referred to and not there");
    }
    let mut names = BTreeSet::new();
    for name in answer.body.split(r#""operationId":""#).skip(1) {
        assert!(names.insert(name.split('"').next()), "two operations have one name: {name}");
    }
    let mut world = World::new();
    assert!(!described(&mut world).contains("POST /v1/dev/login"), "outside development there is no such route");
}

#[test]
fn the_protocol_of_the_websocket_is_described_too_with_the_address_of_the_node() {
    let mut world = World::new();
    let answer =
        world.check(r#"GET /asyncapi.json => 200 {"asyncapi":"3.0.0","operations":{"send":{"action":"receive"}}}"#);
    assert_eq!(answer.header("content-type"), "application/json");
    let document: Value = serde_json::from_str(&answer.body).expect("a document is JSON");
    let best = world.check("GET /v1/servers/best => 200");
    let best: Value = serde_json::from_str(&best.body).expect("JSON");
    let server = &document["servers"]["node"];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let address = format!(
        "{}://{}{}",
        text(&server["protocol"]),
        text(&server["host"]),
        text(&document["channels"]["websocket"]["address"])
    );
    assert_eq!(address, text(&best[0]["url"]));
}

#[test]
fn messages_are_described_as_they_are_written() {
    let mut world = dev();
    world.sign_up("bora");
    world.sign_up("minsu");
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","body":"x"} => 201"#);
    world.picture("bora", "p", "pier.jpg");
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m2","body":"x","reply_to":1,"mentions":["$minsu"],"media":["$p"]} => 201"#);
    world.check(
        r#"bora PATCH /v1/channels/$c/messages/2 {"op_id":"$m3","base_revision":0,"body":"y"} => 200 {"revision":1}"#,
    );
    world.react("bora", "c", 2, "👍");
    world.check(r#"bora DELETE /v1/channels/$c/messages/1?op_id=$m4 => 200 {"revision":1}"#);
    let answer = world.check("GET /openapi.json => 200");
    let document: Value = serde_json::from_str(&answer.body).expect("a document is JSON");
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let of = |schema: &str| fields(&document["components"]["schemas"][schema]["properties"]);

    let page = world.check("bora GET /v1/channels/$c/messages => 200");
    let page: Value = serde_json::from_str(&page.body).expect("JSON");
    assert_eq!(fields(&page), of("HistoryPage"));
    let both = fields(&page["messages"][0]).union(&fields(&page["messages"][1])).cloned().collect();
    assert_eq!(of("Message"), both, "a deleted one, and one with everything else");
    assert_eq!(fields(&page["messages"][1]["reactions"][0]), of("Tally"));
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m5","body":"y"} => 201"#);
    let found = world.check("bora GET /v1/search?q=y&limit=1 => 200");
    let found: Value = serde_json::from_str(&found.body).expect("JSON");
    assert_eq!(fields(&found), of("SearchPage"));
    assert_eq!(fields(&found["hits"][0]), of("SearchHit"));
    let channel = world.check("bora GET /v1/channels/$c => 200");
    assert_eq!(fields(&serde_json::from_str(&channel.body).expect("JSON")), of("Channel"));
}

#[test]
fn what_is_not_there_is_a_problem_too() {
    let mut world = World::new();
    world.check(r#"GET /v1/nothing => 404 {"code":104,"type":"about:blank"}"#);
    world.check(r#"GET /nothing => 404 {"code":104}"#);
    world.check(r#"DELETE /v1/me => 405 {"code":104}"#);
    world.check(r#"POST / => 405 {"code":104}"#);
    assert_eq!(world.check("PUT /v1/me => 405").header("allow"), "GET,HEAD,PATCH");
    // A path is written in one way.
    for path in ["/v1/me/", "/v1", "/v1/", "/v1//me", "/V1/me", "/v1/users/", "/v1/channels/", "/openapi.json/"] {
        world.check(&format!(r#"GET {path} => 404 {{"code":104}}"#));
    }
    world.check(r#"GET /health/live => 404 {"code":104}"#);
    world.check(r#"GET /metrics => 404 {"code":104}"#);
}

#[test]
fn what_is_no_request_is_a_problem_too() {
    let world = World::new();
    let check = |request: &str, expected: u16| {
        let mut client = Client::connect(world.public);
        // The server may close before it has read all: the answer tells.
        let _cut_off = client.write(request.as_bytes());
        let answer = client.read().expect("an answer");
        let shown = &request[..request.len().min(80)];
        assert_eq!(answer.status, expected, "{shown:?}");
        if expected >= 400 {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{shown:?}");
            let problem: Value = serde_json::from_str(&answer.body).expect("a problem is JSON");
            assert_eq!(problem["status"], expected, "{shown:?}");
        }
        answer
    };
    const BEST: &str = "/v1/servers/best";
    // More than a buffer that is nearly full and one read beyond it.
    const LONG: usize = 140_000;
    let get = |head: &str| format!("GET {BEST} HTTP/1.1\r\n{head}\r\n");
    check(&get("Host: a\r\n"), 200);
    check(&format!("GET http://a{BEST} HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    check(&format!("GET {BEST} HTTP/1.0\r\n\r\n"), 200);
    for host in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n", "Host:\r\n", "Host: a b\r\n", "Host: a@b\r\n"]
    {
        check(&get(host), 400);
    }
    let post = |head: &str, body: &str| {
        format!("POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{head}\r\n{body}")
    };
    const CHUNKS: &str = "2\r\n{}\r\n0\r\n\r\n";
    check(&post("Transfer-Encoding: chunked\r\n", CHUNKS), 400);
    check(&post("Transfer-Encoding: gzip, chunked\r\n", CHUNKS), 501);
    check(&post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", CHUNKS), 501);
    check(&post("Transfer-Encoding: gzip\r\n", ""), 400);
    check(&post("Content-Length: x\r\n", ""), 400);
    check(&post("Content-Length: 2\r\nContent-Encoding: identity\r\n", "{}"), 400);
    let gzip = check(&post("Content-Length: 2\r\nContent-Encoding: gzip\r\n", "{}"), 415);
    assert_eq!(gzip.header("accept-encoding"), "identity");
    check(&get(&format!("Host: a\r\n{}", "x: y\r\n".repeat(101))), 431);
    check(&get(&format!("Host: a\r\nx: {}\r\n", "y".repeat(LONG))), 431);
    check(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(LONG)), 414);
    check("hello\r\n\r\n", 400);
    world.check_counted("head_bytes", 3);
}

#[test]
fn pages_of_allowed_origins_and_no_others_are_shared_with() {
    let origins = |allowed: &[&str], dev| {
        let allowed = allowed.iter().map(|origin| origin.parse().expect("an origin")).collect();
        let mut world = World::with(Options { origins: Origins::new(allowed, dev), ..Options::default() });
        world.sign_up("bora");
        world
    };
    let check = |world: &mut World, origin: &str, expected: bool| {
        let preflight = "access-control-request-method=PATCH access-control-request-headers=authorization,content-type";
        let asked = world.ask(&format!("OPTIONS /v1/me origin={origin} {preflight}"));
        assert_eq!(asked.status, if expected { 204 } else { 405 }, "{origin}");
        for row in ["bora GET /v1/me", "GET /v1/me", "GET /nothing"] {
            let answer = world.ask(&format!("{row} origin={origin}"));
            for answer in [&asked, &answer] {
                assert_eq!(answer.header("access-control-allow-origin"), if expected { origin } else { "" }, "{row}");
                assert_eq!(answer.header("vary"), "Origin", "{row}");
                assert_eq!(answer.header("access-control-expose-headers").contains("Retry-After"), expected, "{row}");
                assert_eq!(answer.header("access-control-allow-credentials"), "", "{row}");
            }
        }
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert_eq!(asked.header("access-control-allow-methods").contains(method), expected, "{method}");
        }
        for header in ["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match"] {
            assert_eq!(asked.header("access-control-allow-headers").contains(header), expected, "{header}");
        }
    };
    let mut world = origins(&["https://app.example.com"], false);
    check(&mut world, "https://app.example.com", true);
    check(&mut world, "http://app.example.com", false);
    check(&mut world, "https://app.example.com.evil.com", false);
    check(&mut world, "http://localhost:3000", false);
    check(&mut world, "null", false);
    assert_eq!(world.ask("GET /v1/me").header("vary"), "Origin");
    world.check_counted("origin", 4);
    let mut world = origins(&[], true);
    check(&mut world, "http://localhost:3000", true);
    check(&mut world, "http://127.0.0.1:3000", true);
    check(&mut world, "https://app.example.com", false);
    check(&mut origins(&["*"], false), "null", true);
}

#[test]
fn the_best_server_is_this_one() {
    let mut world = World::new();
    world.check(r#"GET /v1/servers/best => 200 [{"url":"ws://127.0.0.1:8001/connection/websocket","node":"node-1","region":"here","load":0.25,"ttl_ms":60000}]"#);
    world.check(r#"GET /v1/servers/best => 200 [{"api_url":"http://127.0.0.1:8000"}]"#);
    world.check(r#"GET /v1/servers/best?region=there => 200 ["*"]"#);
}

#[test]
fn a_client_is_told_of_the_nodes_beside_this_one() {
    let mut world = World::new();
    world.sign_up("bora");
    let (me, other) = (Incarnation(1), Incarnation(2));
    let peer = |incarnation, name: &str, region: &str, load| Peer {
        incarnation,
        name: name.to_owned(),
        region: region.to_owned(),
        ws_url: format!("wss://{name}.example"),
        api_url: format!("https://{name}.example"),
        load,
        is_draining: false,
    };
    let set = |nodes: Vec<Peer>, owner| {
        let view = Some(Arc::new(View::alone(Epoch(1), owner, 1)));
        *world.node.peers.lock().expect("no panic") = Arc::new(Peers { me, view, nodes });
    };
    set(
        vec![
            peer(me, "node-1", "here", 0.5),
            peer(other, "node-2", "here", 0.1),
            peer(Incarnation(3), "node-3", "there", 0.0),
        ],
        me,
    );
    world.check(
        r#"GET /v1/servers/best => 200 [{"url":"wss://node-2.example/connection/websocket","api_url":"https://node-2.example","node":"node-2","ttl_ms":15000},{"url":"ws://127.0.0.1:8001/connection/websocket","node":"node-1"},{"node":"node-3"}]"#,
    );
    world.check(r#"GET /v1/servers/best?region=there => 200 [{"node":"node-3"},{"node":"node-2"},{"node":"node-1"}]"#);
    // The caller's home comes first, unless whoever calls is not believed.
    world.check(r#"bora GET /v1/servers/best => 200 [{"node":"node-1"},{"node":"node-2"},{"node":"node-3"}]"#);
    world.check(
        r#"GET /v1/servers/best authorization=Bearer-x => 200 [{"node":"node-2"},{"node":"node-1"},{"node":"node-3"}]"#,
    );
    let policy = Client::connect(world.public).ask("GET", "/", &[], "").header("content-security-policy").to_owned();
    assert!(policy.contains(" wss://node-2.example https://node-2.example "), "{policy}");
}

#[test]
fn the_page_is_served_under_a_strict_policy() {
    let world = World::new();
    let mut client = Client::connect(world.public);
    let page = client.ask("GET", "/", &[], "");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self'",
        "connect-src 'self' ws://127.0.0.1:8001;",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let tag = page.header("etag");
    for known in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let kept = client.ask("GET", "/", &[("if-none-match", &known)], "");
        assert_eq!((kept.status, kept.body.as_str(), kept.header("etag")), (304, "", tag), "{known}");
    }
    assert_eq!(client.ask("GET", "/", &[("if-none-match", "W/\"x\"")], "").status, 200);
}

#[test]
fn every_file_of_the_page_is_served() {
    let world = World::new();
    let mut client = Client::connect(world.public);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    for entry in std::fs::read_dir(directory).expect("the page is there") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("an ASCII name");
        if ["index.html", "package.json"].contains(&name) || path.is_dir() {
            continue;
        }
        let answer = client.ask("GET", &format!("/{name}"), &[], "");
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(answer.body.as_bytes(), std::fs::read(&path).expect("readable"), "{name}");
        if name.ends_with(".js") {
            assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8", "{name}");
        }
    }
    assert_eq!(
        client.ask("GET", "/rookery-client/index.js", &[], "").status,
        200,
        "the client that the page stands on"
    );
    assert_eq!(client.ask("GET", "/rookery-client/node/file-store.js", &[], "").status, 404, "what is for Node alone");
}

#[test]
fn answers_are_neither_stored_nor_framed_nor_guessed_at() {
    let mut world = World::new();
    for row in ["GET /v1/servers/best => 200", "GET /v1/me => 401", "GET /nothing => 404", "GET /openapi.json => 200"] {
        let answer = world.check(row);
        assert_eq!(answer.header("cache-control"), "no-store", "{row}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{row}");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{row}");
    }
}

#[test]
fn long_answers_are_compressed_for_who_takes_that() {
    let world = World::new();
    let check = |method: &str, path: &str, accepts: &str, encoding: &str| {
        let answer = Client::connect(world.public).ask(method, path, &[("accept-encoding", accepts)], "");
        assert_eq!(answer.header("content-encoding"), encoding, "{method} {path} {accepts}: {:?}", answer.headers);
        assert_eq!(answer.status, 200, "{method} {path}");
    };
    check("GET", "/openapi.json", "gzip, deflate, br", "gzip");
    check("HEAD", "/openapi.json", "gzip", "gzip");
    check("GET", "/main.js", "gzip", "gzip");
    check("GET", "/openapi.json", "identity", "");
    check("GET", "/openapi.json", "gzip;q=0", "");
    check("GET", "/icon.svg", "gzip", "");
    check("GET", "/v1/servers/best", "gzip", "");
}

#[test]
fn operators_ask_on_a_listener_of_their_own() {
    let world = World::new();
    let mut client = Client::connect(world.internal);
    let mut get = |path: &str| client.ask("GET", path, &[], "");
    assert_eq!((get("/health/live").status, get("/health/ready").status), (200, 200));
    assert!(get("/metrics").body.starts_with("rookery_connections 7\n# HELP rookery_http_refused "));
    assert_eq!(get("/metrics").header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(get("/v1/servers/best").status, 404);
    assert_eq!(get("/admin/nodes").body, r#"{"asked":null,"epoch":0,"nodes":[],"links":[]}"#);
    assert_eq!(get("/admin/drain").status, 405);
    let drain =
        |headers: &[(&str, &str)]| Client::connect(world.internal).ask("POST", "/admin/drain", headers, "").status;
    // A page that somebody has open on a machine that reaches this.
    assert_eq!(drain(&[("origin", "https://evil.example")]), 403);
    assert!(!world.node.drains.load(Relaxed));
    assert_eq!(drain(&[]), 202);
    assert!(world.node.drains.load(Relaxed));

    *world.node.trouble.lock().expect("no panic") = vec!["store: too little disk".to_owned()];
    let unready = get("/health/ready");
    assert_eq!(
        (unready.status, unready.body.as_str()),
        (503, r#"{"status":"not ready","reasons":["store: too little disk"]}"#)
    );
    assert_eq!(get("/health/live").status, 200);
}

#[test]
fn a_body_is_json_and_says_so() {
    let world = World::new();
    let ask = |kind: &str| {
        let body = r#"{"username":"nobody","password":"correct horse"}"#;
        let mut client = Client::connect(world.public);
        let request =
            format!("POST /v1/auth/login HTTP/1.1\r\nhost: x\r\n{kind}content-length: {}\r\n\r\n{body}", body.len());
        client.write(request.as_bytes()).expect("the server reads");
        client.read().expect("an answer").status
    };
    assert_eq!(ask("content-type: application/json\r\n"), 401);
    assert_eq!(ask("content-type: Application/JSON; charset=utf-8\r\n"), 401);
    assert_eq!(ask("content-type: text/plain\r\n"), 400);
    assert_eq!(ask("content-type: application/x-www-form-urlencoded\r\n"), 400);
    assert_eq!(ask(""), 400);
}
