//! What is served, how it is described, and the headers it bears.

use std::collections::BTreeSet;
use std::path::Path;

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

/// The operations in the source of the router: each `.route("PATH", METHOD(…).METHOD(…))`.
fn routed() -> BTreeSet<String> {
    let source = include_str!("../../src/routes/mod.rs");
    let public = source.split("pub(crate) fn internal").next().expect("the public routes come first");
    let mut routes = BTreeSet::new();
    for route in public.split(".route(").skip(1) {
        let path = route.split('"').nth(1).expect("a route has a path");
        let handlers = route.split(';').next().unwrap_or_default();
        let path = if path == "/openapi.json" { path.to_owned() } else { format!("/v1{path}") };
        for method in ["get", "post", "put", "patch", "delete"] {
            if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}(")) {
                routes.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    routes
}

#[test]
fn the_document_lists_exactly_the_routes() {
    let mut world = dev();
    let described = described(&mut world);
    assert_eq!(described, routed());
    assert!(described.len() >= 33, "{described:?}");

    // And the server agrees: of each path, the methods described and no other.
    let paths: BTreeSet<_> = described.iter().filter_map(|operation| operation.split(' ').nth(1)).collect();
    let mut client = Client::connect(world.public);
    for path in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let concrete = ["{channel_id}", "{user_id}", "{device_id}", "{seq}"]
                .iter()
                .fold(path.to_owned(), |path, variable| path.replace(variable, "1"));
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
    let mut world = World::new();
    assert!(!described(&mut world).contains("POST /v1/dev/login"), "outside development there is no such route");
}

#[test]
fn messages_are_described_as_they_are_written() {
    let mut world = dev();
    world.sign_up("bora");
    world.sign_up("minsu");
    world.check(r#"bora POST /v1/channels {"kind":"direct","user_id":"$minsu"} => 201 {"channel_id":"$c"}"#);
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m1","body":"x"} => 201"#);
    world.check(r#"bora POST /v1/channels/$c/messages {"client_msg_id":"$m2","body":"x","reply_to":1,"mentions":["$minsu"]} => 201"#);
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
    let found = world.check("bora GET /v1/search?q=y => 200");
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
    world.check(r#"GET /health/live => 404 {"code":104}"#);
    world.check(r#"GET /metrics => 404 {"code":104}"#);
}

#[test]
fn the_best_server_is_this_one() {
    let mut world = World::new();
    world.check(r#"GET /v1/servers/best => 200 [{"url":"ws://127.0.0.1:8001/connection/websocket","node":"node-1","region":"here","load":0.25,"ttl_ms":60000}]"#);
    world.check(r#"GET /v1/servers/best?region=there => 200 ["*"]"#);
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
        "style-src 'self'",
        "connect-src 'self' ws://127.0.0.1:8001;",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let kept = client.ask("GET", "/", &[("if-none-match", page.header("etag"))], "");
    assert_eq!((kept.status, kept.body.as_str()), (304, ""));
}

#[test]
fn every_file_of_the_page_is_served() {
    let world = World::new();
    let mut client = Client::connect(world.public);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    for entry in std::fs::read_dir(directory).expect("the page is there") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("an ASCII name");
        if name == "index.html" || path.is_dir() {
            continue;
        }
        let answer = client.ask("GET", &format!("/{name}"), &[], "");
        assert_eq!(answer.status, 200, "{name}");
        assert_eq!(answer.body.as_bytes(), std::fs::read(&path).expect("readable"), "{name}");
        if name.ends_with(".js") {
            assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8", "{name}");
        }
    }
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
fn operators_ask_on_a_listener_of_their_own() {
    let world = World::new();
    let mut client = Client::connect(world.internal);
    let mut get = |path: &str| client.ask("GET", path, &[], "");
    assert_eq!((get("/health/live").status, get("/health/ready").status), (200, 200));
    assert_eq!(get("/metrics").body, "rookery_connections 7\n");
    assert_eq!(get("/metrics").header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(get("/v1/servers/best").status, 404);

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
