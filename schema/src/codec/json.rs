//! JSON envelopes: one object a line, one or more lines in a text frame.
//!
//! Owns the envelope. Fields are those of `command`, by serde. An envelope's id is read even if its command is not
//! legal, so that the client learns which request was at fault.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Unparsed;
use crate::code::ErrorCode;
use crate::command::{Command, ErrorReply, Push, Reply, Request, ServerFrame};
use crate::generated::rookery as fb;

/// The requests of a text frame, in order. Empty lines say nothing.
pub fn requests(frame: &[u8]) -> impl Iterator<Item = Result<Request, Unparsed>> + '_ {
    lines(frame).map(request)
}

fn lines(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    frame.split(|&byte| byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace))
}

fn request(line: &[u8]) -> Result<Request, Unparsed> {
    let Envelope { id, content } = envelope(line)?;
    let Some((name, fields)) = content else {
        return Err(Unparsed::new(id, ErrorCode::BadRequest, "no command in the envelope"));
    };
    if !is_command(&name) {
        // Cut, so that an error is never as large as what caused it.
        let name: String = name.chars().take(32).collect();
        return Err(Unparsed::new(id, ErrorCode::UnknownCommand, format!("unknown command {name:?}")));
    }
    let bad = |error| Unparsed::new(id, ErrorCode::BadRequest, format!("{name}: {error}"));
    variant(&name, fields).map(|command| Request { id, command }).map_err(bad)
}

/// The variant of an enum that has this name and these fields.
fn variant<'de, T: Deserialize<'de>>(name: &str, fields: &'de RawValue) -> Result<T, serde_json::Error> {
    let only = MapDeserializer::new(std::iter::once((name, fields)));
    T::deserialize(MapAccessDeserializer::new(only))
}

/// `{"id": N, "<name>": {…}}`; further fields are ignored, but for a second command.
struct Envelope<'a> {
    id: u32,
    content: Option<(Cow<'a, str>, &'a RawValue)>,
}

fn envelope(line: &[u8]) -> Result<Envelope<'_>, Unparsed> {
    let bad = |error: &dyn fmt::Display| Unparsed::new(0, ErrorCode::BadRequest, format!("not an envelope: {error}"));
    let text = std::str::from_utf8(line).map_err(|error| bad(&error))?;
    serde_json::from_str(text).map_err(|error| bad(&error))
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"an object like {"id": 1, "echo": {…}}"#)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope { id: 0, content: None };
                while let Some(Name(name)) = map.next_key()? {
                    if name == "id" {
                        envelope.id = map.next_value()?;
                        continue;
                    }
                    // Unknown fields are ignored, but an object under an unknown name may be a command of a later
                    // version, which is worth a 104 rather than silence. A known one wins over it.
                    let fields: &RawValue = map.next_value()?;
                    match &envelope.content {
                        Some((earlier, _)) if is_known(earlier) && is_known(&name) => {
                            return Err(A::Error::custom("more than one command in an envelope"));
                        }
                        Some((earlier, _)) if is_known(earlier) => {}
                        _ if is_known(&name) || fields.get().starts_with('{') => {
                            envelope.content = Some((name, fields))
                        }
                        _ => {}
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Whether a command has this name, and so its reply: as in the other encoding.
fn is_command(name: &str) -> bool {
    fb::Command::ENUM_VALUES.iter().any(|&is| is != fb::Command::NONE && is.variant_name() == Some(name))
}

fn is_known(name: &str) -> bool {
    is_command(name) || matches!(name, "error" | "push")
}

/// A key, borrowed unless it was written with escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Appends a request as one object. Between two in a frame the caller writes a newline.
pub fn put_request(request: &Request, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Line<'a> {
        id: u32,
        #[serde(flatten)]
        command: &'a Command,
    }
    put_line(&Line { id: request.id, command: &request.command }, out);
}

/// Appends what a server says as one object. Between two in a frame the caller writes a newline.
pub fn put_server_frame(frame: &ServerFrame, out: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct ReplyLine<'a> {
        id: u32,
        #[serde(flatten)]
        reply: &'a Reply,
    }
    #[derive(Serialize)]
    struct ErrorLine<'a> {
        id: u32,
        error: &'a ErrorReply,
    }
    #[derive(Serialize)]
    struct PushLine<'a> {
        push: &'a Push,
    }
    match frame {
        &ServerFrame::Reply { id, reply: Ok(ref reply) } => put_line(&ReplyLine { id, reply }, out),
        &ServerFrame::Reply { id, reply: Err(ref error) } => put_line(&ErrorLine { id, error }, out),
        ServerFrame::Push(push) => put_line(&PushLine { push }, out),
    }
}

fn put_line(line: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, line).expect("writing to memory cannot fail, and every key is a string");
}

/// The server frames of one text frame, in order.
///
/// # Errors
/// At the first line that is not of this protocol.
pub fn server_frames(frame: &[u8]) -> Result<Vec<ServerFrame>, Unparsed> {
    lines(frame).map(server_frame).collect()
}

fn server_frame(line: &[u8]) -> Result<ServerFrame, Unparsed> {
    let envelope = envelope(line)?;
    let id = envelope.id;
    let frame = match envelope.content {
        Some((name, fields)) if name == "push" => serde_json::from_str(fields.get()).map(ServerFrame::Push),
        Some((name, fields)) if name == "error" => {
            serde_json::from_str(fields.get()).map(|error| ServerFrame::Reply { id, reply: Err(error) })
        }
        Some((name, fields)) => variant(&name, fields).map(|reply| ServerFrame::Reply { id, reply: Ok(reply) }),
        None => return Err(Unparsed::new(id, ErrorCode::BadRequest, "an envelope without content")),
    };
    frame.map_err(|error| Unparsed::new(id, ErrorCode::BadRequest, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line is taken for: `id command`, or `id !code`.
    fn check(line: &str, expected: &str) {
        let mut seen = Vec::new();
        for request in requests(line.as_bytes()) {
            seen.push(match request {
                Ok(Request { id, command }) => {
                    let value = serde_json::to_value(&command).expect("a command is JSON");
                    format!("{id} {value}")
                }
                Err(unparsed) => format!("{} !{}", unparsed.id, u16::from(unparsed.refusal.code)),
            });
        }
        assert_eq!(seen.join("; "), expected, "{line}");
    }

    #[test]
    fn a_frame_holds_one_or_more_lines() {
        check(r#"{"id":1,"echo":{"data":"a"}}"#, r#"1 {"echo":{"data":"a"}}"#);
        check(
            "{\"id\":1,\"echo\":{\"data\":\"a\"}}\n\n{\"id\":2,\"echo\":{\"data\":\"b\"}}\n",
            r#"1 {"echo":{"data":"a"}}; 2 {"echo":{"data":"b"}}"#,
        );
        check("", "");
    }

    #[test]
    fn unknown_fields_are_ignored_wherever_they_are() {
        check(r#"{"x":1,"id":1,"echo":{"data":"a","y":{}},"z":[]}"#, r#"1 {"echo":{"data":"a"}}"#);
        check(r#"{"later":{},"id":1,"echo":{"data":"a"}}"#, r#"1 {"echo":{"data":"a"}}"#);
    }

    #[test]
    fn what_does_not_parse_says_which_request_it_was_if_that_can_be_read() {
        check("nonsense", "0 !107");
        check("[]", "0 !107");
        check("{}", "0 !107");
        check(r#"{"id":4}"#, "4 !107");
        check(r#"{"id":4,"echo":{}}"#, "4 !107");
        check(r#"{"echo":{},"id":4}"#, "4 !107");
        check(r#"{"id":4,"dance":{}}"#, "4 !104");
        check(r#"{"id":-1,"echo":{"data":"a"}}"#, "0 !107");
        check(r#"{"id":4,"echo":{"data":"a"},"mark":{}}"#, "0 !107");
    }

    #[test]
    fn ids_are_strings_and_counts_are_numbers() {
        let send = r#""client_msg_id":"019b76da-a800-7000-8000-000000000000","body":"b""#;
        check(
            &format!(r#"{{"id":1,"send":{{"channel_id":"5",{send}}}}}"#),
            r#"1 {"send":{"body":"b","channel_id":"5","client_msg_id":"019b76da-a800-7000-8000-000000000000","kind":"text"}}"#,
        );
        check(&format!(r#"{{"id":1,"send":{{"channel_id":5,{send}}}}}"#), "1 !107");
        check(r#"{"id":1,"mark":{"channel_id":"5","read_seq":"3"}}"#, "1 !107");
    }

    #[test]
    fn history_asks_in_one_direction() {
        check(
            r#"{"id":1,"history":{"channel_id":"5","before":9,"limit":2}}"#,
            r#"1 {"history":{"before":9,"channel_id":"5","limit":2}}"#,
        );
        check(r#"{"id":1,"history":{"channel_id":"5"}}"#, r#"1 {"history":{"channel_id":"5","limit":50}}"#);
        check(r#"{"id":1,"history":{"channel_id":"5","before":9,"after":1}}"#, "1 !107");
    }

    #[test]
    fn names_of_operations_are_uuids_of_version_7() {
        let line = |id: &str| format!(r#"{{"id":1,"delete":{{"channel_id":"5","seq":9,"op_id":"{id}"}}}}"#);
        check(
            &line("019b76da-a800-7000-8000-000000000000"),
            r#"1 {"delete":{"channel_id":"5","op_id":"019b76da-a800-7000-8000-000000000000","seq":9}}"#,
        );
        check(&line("019b76da-a800-4000-8000-000000000000"), "1 !107");
    }

    #[test]
    fn what_may_be_left_out_may_be() {
        check(r#"{"id":1,"open":{"channel_id":"5"}}"#, r#"1 {"open":{"channel_id":"5"}}"#);
        check(r#"{"typing":{"channel_id":"5","on":true}}"#, r#"0 {"typing":{"channel_id":"5","on":true}}"#);
        check(r#"{"id":1,"search":{"query":"crab"}}"#, r#"1 {"search":{"limit":20,"query":"crab"}}"#);
        check(r#"{"id":1,"search":{"query":"crab","cursor":"9-1"}}"#, "1 !107");
        check(r#"{"id":1,"presence_get":{"channel_id":"5"}}"#, r#"1 {"presence_get":{"channel_id":"5"}}"#);
        check(r#"{"id":1,"presence_get":{"user_ids":["5"]}}"#, r#"1 {"presence_get":{"user_ids":["5"]}}"#);
        check(r#"{"id":1,"presence_watch":{}}"#, r#"1 {"presence_watch":{"user_ids":[]}}"#);
    }
}
