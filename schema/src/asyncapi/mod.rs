//! AsyncAPI document of the client protocol: every request, reply and push as JSON, with its schema and an example.
//!
//! Owns the frame of the document: server, channel, operations, messages. A message's fields are described where they are
//! declared, in `command`, by derives beside those of serde; examples are lines of JSON in two files. Tests compare the
//! document with what the codec reads and writes, in both directions, and have the codec read each example.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema as _, ToSchema};

use crate::code::CloseCode;
use crate::codec::Encoding;
use crate::command::{Command, ErrorReply, Push, Reply};

/// One request of each command, a line each.
const REQUESTS: &str = include_str!("requests.jsonl");

/// One reply to each command, an error, and one push of each kind, a line each.
const SERVER_FRAMES: &str = include_str!("server-frames.jsonl");

/// Path of the WebSocket, whichever node.
const ADDRESS: &str = "/connection/websocket";

const ABOUT: &str = "\
Chat over one WebSocket. The client sends commands and the node replies to each under its `id`; what happens in the account's channels \
comes as pushes. Accounts, channels and whatever else needs no open connection are in the HTTP API, which `/openapi.json` describes. \
PROTOCOL.md of the project has the rules: durability, cursors, order, limits.";

const CHANNEL: &str = "\
Text frames of the subprotocol `rookery.json.v1`: one JSON object a line, one or more lines in a frame. Fields that are not known are \
ignored, by either side. `connect` comes first, within 10 s. Ids of 64 bits are decimal strings; times are Unix milliseconds.

The same endpoint speaks two more: `rookery.fb.v1` has the same messages as FlatBuffers in binary frames (`schema/rookery.fbs`), and \
`v12.stomp`, `v11.stomp` and `v10.stomp` are STOMP, whose frames docs/stomp.md has.

Where nothing carries a WebSocket, plain HTTP does with the same lines: the events of `GET /connection/sse` have a line each as `data`, \
the reply to `connect` first, and, where it has a cursor, that as `id`; the event named `close` is the last, with `{\"code\": N}` of \
`x-close-codes` as `data`. `GET /connection/poll` answers lines, and `POST /connection/command` takes requests and answers with the replies.";

const ERROR: &str = "\
Any command may be refused so, under its `id`. Under 0 it is about a line that could not be read. The connection stays open.";

/// The document of a node that clients reach at this origin, `ws://HOST:PORT`; of one that serves none, without a server.
#[must_use]
pub fn document(ws_origin: &str) -> Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(without_server);
    let mut document = DOCUMENT.clone();
    document["servers"] = servers(ws_origin);
    document
}

fn servers(ws_origin: &str) -> Value {
    let Some((protocol, place)) = ws_origin.split_once("://") else { return json!({}) };
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let mut server =
        json!({"protocol": protocol, "host": host, "description": "The node that answered with this document"});
    if !path.is_empty() {
        server["pathname"] = format!("/{path}").into();
    }
    json!({"node": server})
}

fn without_server() -> Value {
    let (requests, replies, pushes) = (variants::<Command>(), variants::<Reply>(), variants::<Push>());
    let mut messages = Map::new();
    for request in &requests {
        let (key, payload) = (request.request(), enveloped(request));
        messages.insert(key, message(request, payload, example(REQUESTS, "/", &request.name)));
    }
    for reply in &replies {
        messages.insert(reply.reply(), message(reply, enveloped(reply), example(SERVER_FRAMES, "/", &reply.name)));
    }
    for push in &pushes {
        let kind = object(&push.name, json!({&push.name: push.fields}));
        let example = example(SERVER_FRAMES, "/push/", &push.name);
        messages.insert(push.push(), message(push, object("push", json!({"push": kind})), example));
    }
    let refused = Variant { name: "error".to_owned(), about: ERROR.into(), fields: reference::<ErrorReply>() };
    messages.insert("error".to_owned(), message(&refused, enveloped(&refused), example(SERVER_FRAMES, "/", "error")));

    let received = requests.iter().map(|request| (request.name.clone(), received(request)));
    let sent = pushes.iter().map(|push| (push.push(), operation("send", push, &push.push())));
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rookery",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "defaultContentType": "application/json",
        "channels": {"websocket": {
            "address": ADDRESS,
            "title": "The connection of a device",
            "description": CHANNEL,
            "messages": messages,
            "bindings": {"ws": {"method": "GET", "headers": handshake(), "bindingVersion": "0.1.0"}},
            "x-close-codes": CloseCode::ALL.iter().map(close_code).collect::<Value>(),
        }},
        "operations": received.chain(sent).collect::<Map<_, _>>(),
        "components": {"schemas": components()},
    })
}

/// One member of a union that is tagged by its key.
struct Variant {
    name: String,
    about: Value,
    /// The schema of its fields.
    fields: Value,
}

impl Variant {
    fn request(&self) -> String {
        format!("{}_request", self.name)
    }

    fn reply(&self) -> String {
        format!("{}_reply", self.name)
    }

    fn push(&self) -> String {
        format!("{}_push", self.name)
    }
}

/// The members of an enum that serde tags from outside, as its derived schema lists them.
fn variants<T: ToSchema>() -> Vec<Variant> {
    let schema = serde_json::to_value(T::schema()).expect("a schema is JSON");
    let members = schema["oneOf"].as_array().expect("a union is one of its members");
    let variant = |member: &Value| {
        let (name, fields) = member["properties"].as_object().and_then(|only| only.iter().next()).expect("a key");
        Variant { name: name.clone(), about: member["description"].clone(), fields: fields.clone() }
    };
    members.iter().map(variant).collect()
}

/// The envelope of a request or a reply.
fn enveloped(variant: &Variant) -> Value {
    let id = json!({
        "type": "integer", "minimum": 0, "maximum": u32::MAX,
        "description": "The client's number for the request, which its reply bears. Absent or 0, and nothing is replied",
    });
    object(&variant.name, json!({"id": id, &variant.name: variant.fields}))
}

fn object(required: &str, properties: Value) -> Value {
    json!({"type": "object", "required": [required], "properties": properties})
}

fn message(variant: &Variant, payload: Value, example: Option<Value>) -> Value {
    let has_id = payload.pointer("/properties/id").is_some();
    let mut message = json!({"name": variant.name, "summary": variant.about, "payload": payload});
    if has_id {
        message["correlationId"] = json!({"location": "$message.payload#/id"});
    }
    if let Some(example) = example {
        message["examples"] = json!([{"payload": example}]);
    }
    message
}

/// The line that has this key at this place.
fn example(lines: &str, place: &str, key: &str) -> Option<Value> {
    let mut all = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    all.find(|line| line.pointer(&format!("{place}{key}")).is_some())
}

/// Operation of a command: its reply is the one of the same name, or an error.
fn received(request: &Variant) -> Value {
    let mut received = operation("receive", request, &request.request());
    let replies = json!([in_channel(&request.reply()), in_channel("error")]);
    received["reply"] = json!({"channel": {"$ref": "#/channels/websocket"}, "messages": replies});
    received
}

fn operation(action: &str, variant: &Variant, message: &str) -> Value {
    let channel = json!({"$ref": "#/channels/websocket"});
    json!({"action": action, "summary": variant.about, "channel": channel, "messages": [in_channel(message)]})
}

fn in_channel(message: &str) -> Value {
    json!({"$ref": format!("#/channels/websocket/messages/{message}")})
}

/// The header that chooses what is spoken.
fn handshake() -> Value {
    let json = Encoding::Json.subprotocol();
    let stomp = ["v12.stomp", "v11.stomp", "v10.stomp"];
    let all = [json, Encoding::Fb.subprotocol()].into_iter().chain(stomp);
    let names = json!({
        "type": "string",
        "enum": all.collect::<Value>(),
        "default": json,
        "description": "The subprotocol. This document describes the messages of the default",
    });
    json!({"type": "object", "properties": {"Sec-WebSocket-Protocol": names}})
}

fn close_code(code: &CloseCode) -> Value {
    json!({"code": u16::from(*code), "meaning": code.meaning(), "connect_again": code.may_retry()})
}

fn reference<T: ToSchema>() -> Value {
    json!({"$ref": format!("#/components/schemas/{}", T::name())})
}

/// The schemas that the unions' members refer to, and those that these refer to.
fn components() -> Map<String, Value> {
    let mut schemas = vec![(ErrorReply::name().into_owned(), ErrorReply::schema())];
    ErrorReply::schemas(&mut schemas);
    Command::schemas(&mut schemas);
    Reply::schemas(&mut schemas);
    Push::schemas(&mut schemas);
    let schema = |(name, schema)| (name, serde_json::to_value(schema).expect("a schema is JSON"));
    schemas.into_iter().map(schema).collect()
}

#[cfg(test)]
mod tests;
