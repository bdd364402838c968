//! The document against the codec, in both directions, and its examples against both.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jsonschema::{Draft, Validator};
use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{REQUESTS, SERVER_FRAMES, document};
use crate::code::{CloseCode, ErrorCode};
use crate::codec::json::{put_request, put_server_frame, requests, server_frames};
use crate::command::{ErrorReply, Request, ServerFrame};
use crate::generated::rookery as fb;
use crate::testing::any_value;

/// Values drawn of requests, and as many of server frames: among 2,000 each optional field of each kind is there, and is not.
const DRAWS: u32 = 4_000;

/// A reader of the document that takes no field beside those described, so that one more in the codec is seen.
struct Strict {
    document: Value,
}

impl Strict {
    fn new() -> Self {
        let mut document = document("ws://127.0.0.1:8000");
        close(&mut document["channels"]);
        close(&mut document["components"]);
        Self { document }
    }

    fn messages(&self) -> BTreeSet<String> {
        let messages = self.document["channels"]["websocket"]["messages"].as_object().expect("messages");
        messages.keys().cloned().collect()
    }

    fn validator(&self, message: &str) -> Validator {
        let mut schema = self.document.clone();
        schema["allOf"] = json!([{"$ref": format!("#/channels/websocket/messages/{message}/payload")}]);
        jsonschema::options().with_draft(Draft::Draft7).build(&schema).expect("the document has JSON Schemas")
    }
}

/// Allows no further properties in any object's schema.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "object") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The key under which the document has a line: `send_request`, `send_reply`, `message_push`, `error`.
fn message_of(line: &Value, suffix: &str) -> String {
    let (holder, suffix) = line.get("push").map_or((line, suffix), |push| (push, "_push"));
    let mut keys = holder.as_object().expect("an object").keys().filter(|key| *key != "id");
    let key = keys.next().expect("what it is");
    assert_eq!(keys.next(), None, "{line} is one thing");
    if key == "error" { key.clone() } else { format!("{key}{suffix}") }
}

/// Fails unless the document allows a line as the message that it is.
fn check(strict: &Strict, line: &str, suffix: &str) {
    let line: Value = serde_json::from_str(line).expect("JSON");
    let message = message_of(&line, suffix);
    assert!(strict.messages().contains(&message), "the document has no {message}");
    let wrong: Vec<_> = strict.validator(&message).iter_errors(&line).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{message}: {wrong:?} in {line}");
}

/// As written by the codec, if it reads it.
fn again(line: &str, suffix: &str) -> Value {
    let mut bytes = Vec::new();
    if suffix == "_request" {
        put_request(&requests(line.as_bytes()).next().expect("a line").expect(line), &mut bytes);
    } else {
        put_server_frame(&server_frames(line.as_bytes()).expect(line)[0], &mut bytes);
    }
    let mut again: Value = serde_json::from_slice(&bytes).expect("JSON");
    // No number is 0.
    if again["id"] == 0 {
        again.as_object_mut().expect("an object").remove("id");
    }
    again
}

fn names(of: &'static [impl Copy], name: impl Fn(usize) -> Option<&'static str>) -> impl Iterator<Item = &'static str> {
    // The first of each union is NONE.
    (1..of.len()).map(move |at| name(at).expect("a member has a name"))
}

#[test]
fn every_command_reply_and_push_of_the_codec_is_in_the_document_and_no_other() {
    let commands = names(fb::Command::ENUM_VALUES, |at| fb::Command::ENUM_VALUES[at].variant_name());
    let replies = names(fb::Reply::ENUM_VALUES, |at| fb::Reply::ENUM_VALUES[at].variant_name());
    let pushes = names(fb::Push::ENUM_VALUES, |at| fb::Push::ENUM_VALUES[at].variant_name());
    let commands: Vec<_> = commands.collect();
    let requests = commands.iter().map(|name| format!("{name}_request"));
    let answers = replies.map(|name| format!("{name}_reply")).chain(["error".to_owned()]);
    let pushes: Vec<_> = pushes.map(|name| format!("{name}_push")).collect();
    let all: BTreeSet<_> = requests.chain(answers).chain(pushes.iter().cloned()).collect();
    let strict = Strict::new();
    assert_eq!(strict.messages(), all);
    let operations = strict.document["operations"].as_object().expect("operations");
    let operations: BTreeSet<_> = operations.keys().map(String::as_str).collect();
    assert_eq!(operations, commands.into_iter().chain(pushes.iter().map(String::as_str)).collect());
}

#[test]
fn every_code_of_the_protocol_is_in_the_document() {
    let document = document("");
    let numbers = |schema: &Value| -> Vec<u64> {
        let one = |code: &Value| {
            assert!(code["description"].as_str().is_some_and(|text| text.ends_with('.')), "{code}");
            code["enum"][0].as_u64().expect("a number")
        };
        schema["oneOf"].as_array().expect("codes").iter().map(one).collect()
    };
    let all: Vec<u64> = ErrorCode::ALL.iter().map(|&code| u16::from(code).into()).collect();
    assert_eq!(numbers(&document["components"]["schemas"]["ErrorCode"]), all);
    let closes = document["channels"]["websocket"]["x-close-codes"].as_array().expect("codes");
    let closes: Vec<_> = closes.iter().map(|code| code["code"].as_u64().expect("a number")).collect();
    assert_eq!(closes, CloseCode::ALL.iter().map(|&code| u64::from(u16::from(code))).collect::<Vec<_>>());
}

#[test]
fn every_message_has_an_example_that_the_codec_reads() {
    let strict = Strict::new();
    let mut seen = BTreeSet::new();
    for (lines, suffix) in [(REQUESTS, "_request"), (SERVER_FRAMES, "_reply")] {
        for line in lines.lines() {
            check(&strict, line, suffix);
            let value: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(again(line, suffix), value, "the codec reads each field of it");
            let message = message_of(&value, suffix);
            let shown = &strict.document["channels"]["websocket"]["messages"][&message]["examples"][0]["payload"];
            assert_eq!(*shown, value, "{message}");
            assert!(seen.insert(message), "one each: {line}");
        }
    }
    assert_eq!(seen, strict.messages());
}

#[test]
fn the_document_allows_what_clients_and_nodes_have_always_said() {
    let strict = Strict::new();
    let mut checked = 0;
    for (directory, suffix) in [("requests", "_request"), ("server-frames", "_reply")] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(directory);
        for entry in fs::read_dir(directory).expect("the directory is there") {
            let text = fs::read_to_string(entry.expect("it can be listed").path()).expect("it can be read");
            check(&strict, text.lines().next().expect("a line of JSON"), suffix);
            checked += 1;
        }
    }
    assert!(checked > 70, "{checked} cases");
}

/// Each property that a value has, as `Component.property` or `message.property`.
fn properties(document: &Value, schema: &Value, within: &str, value: Option<&Value>, found: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(&name[1..]).expect("what is referred to is there");
        let name = name.rsplit('/').next().expect("a name");
        // A schema is described once, wherever it is used; a value has its own fields in each place.
        if value.is_some() || found.insert(format!("{name}: described")) {
            properties(document, schema, name, value, found);
        }
        return;
    }
    for member in ["oneOf", "anyOf"].into_iter().flat_map(|key| schema[key].as_array().into_iter().flatten()) {
        properties(document, member, within, value, found);
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let inner = value.map(|value| value.get(key));
        if inner != Some(None) {
            found.insert(format!("{within}.{key}"));
            properties(document, property, &format!("{within}.{key}"), inner.flatten(), found);
        }
    }
    match value {
        None => properties_of_items(document, schema, within, None, found),
        Some(value) => {
            value.as_array().into_iter().flatten().for_each(|item| {
                properties_of_items(document, schema, within, Some(item), found);
            });
        }
    }
}

fn properties_of_items(
    document: &Value,
    schema: &Value,
    within: &str,
    item: Option<&Value>,
    found: &mut BTreeSet<String>,
) {
    if let Some(items) = schema.get("items") {
        properties(document, items, within, item, found);
    }
}

/// Lines that the codec writes of values drawn at random.
fn drawn<T: std::fmt::Debug>(values: impl Strategy<Value = T>, put: impl Fn(&T, &mut Vec<u8>)) -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    let mut line = || {
        let mut bytes = Vec::new();
        put(&values.new_tree(&mut runner).expect("a value is drawn").current(), &mut bytes);
        serde_json::from_slice(&bytes).expect("the codec writes JSON")
    };
    (0..DRAWS).map(|_| line()).collect()
}

#[test]
fn the_fields_of_the_document_are_those_that_the_codec_writes() {
    let strict = Strict::new();
    // A node's codes are those of this version.
    let known = any_value::<(ServerFrame, ErrorCode)>().prop_map(|(frame, code)| match frame {
        ServerFrame::Reply { id, reply: Err(error) } => {
            ServerFrame::Reply { id, reply: Err(ErrorReply { code: code.into(), ..error }) }
        }
        frame => frame,
    });
    let requests = drawn(any_value::<Request>(), put_request).into_iter().map(|line| (line, "_request"));
    let frames = drawn(known, put_server_frame).into_iter().map(|line| (line, "_reply"));
    let lines: Vec<_> = requests.chain(frames).map(|(line, suffix)| (message_of(&line, suffix), line)).collect();
    let (mut described, mut written) = (BTreeSet::new(), BTreeSet::new());
    for message in strict.messages() {
        let validator = strict.validator(&message);
        let payload = &strict.document["channels"]["websocket"]["messages"][&message]["payload"];
        properties(&strict.document, payload, &message, None, &mut described);
        for (_, line) in lines.iter().filter(|(of, _)| *of == message) {
            let wrong: Vec<_> = validator.iter_errors(line).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{message}: {wrong:?} in {line}");
            properties(&strict.document, payload, &message, Some(line), &mut written);
        }
    }
    described.retain(|name| !name.ends_with(": described"));
    assert_eq!(described, written, "in the document against what is written");
}

#[test]
fn a_document_names_the_node_that_answers_with_it() {
    let check = |origin: &str, expected: Value| {
        let mut servers = document(origin)["servers"].take();
        if let Some(node) = servers.get_mut("node") {
            node.as_object_mut().expect("an object").remove("description");
        }
        assert_eq!(servers, expected, "{origin}");
    };
    check("ws://127.0.0.1:8000", json!({"node": {"protocol": "ws", "host": "127.0.0.1:8000"}}));
    check("wss://chat.example.org", json!({"node": {"protocol": "wss", "host": "chat.example.org"}}));
    let below = json!({"node": {"protocol": "wss", "host": "example.org", "pathname": "/chat"}});
    check("wss://example.org/chat", below);
    check("", json!({}));
}
