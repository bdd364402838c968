//! JSON envelopes: one object a line, one or more lines in a text frame.
//!
//! Owns the envelope. Fields are those of `command`, by serde. An envelope's id is read even if its command is not
//! legal, so that the client learns which request was at fault.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Unparsed;
use crate::code::ErrorCode;
use crate::command::{Command, ErrorReply, Push, Reply, Request, ServerFrame};

/// The requests of a text frame, in order. Empty lines say nothing.
pub fn requests(frame: &[u8]) -> impl Iterator<Item = Result<Request, Unparsed>> + '_ {
    lines(frame).map(request)
}

fn lines(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    frame.split(|&byte| byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace))
}

fn request(line: &[u8]) -> Result<Request, Unparsed> {
    let envelope = envelope(line)?;
    let id = envelope.id;
    let Some((name, fields)) = envelope.content else {
        return Err(Unparsed::new(id, ErrorCode::BadRequest, "no command in the envelope"));
    };
    let command = match &*name {
        "connect" => parse(fields).map(Command::Connect),
        "refresh" => parse(fields).map(|Token { token }| Command::Refresh { token }),
        "send" => parse(fields).map(Command::Send),
        "history" => parse(fields).map(Command::History),
        "mark" => parse(fields).map(|Mark { channel_id, read_seq }| Command::Mark { channel_id, read_seq }),
        "echo" => parse(fields).map(|Data { data }| Command::Echo { data }),
        "edit" => parse(fields).map(Command::Edit),
        "delete" => parse(fields).map(Command::Delete),
        "react" => parse(fields).map(Command::React),
        "typing" => parse(fields).map(Command::Typing),
        "open" => parse(fields).map(Command::Open),
        "close" => parse(fields).map(|Channel { channel_id }| Command::Close { channel_id }),
        "presence_get" => parse(fields).map(Command::PresenceGet),
        "presence_watch" => parse(fields).map(|Users { user_ids }| Command::PresenceWatch { user_ids }),
        "search" => parse(fields).map(Command::Search),
        _ => {
            // Cut, so that an error is never as large as what caused it.
            let name: String = name.chars().take(32).collect();
            return Err(Unparsed::new(id, ErrorCode::UnknownCommand, format!("unknown command {name:?}")));
        }
    };
    match command {
        Ok(command) => Ok(Request { id, command }),
        Err(error) => Err(Unparsed::new(id, ErrorCode::BadRequest, format!("{name}: {error}"))),
    }
}

fn parse<'de, T: Deserialize<'de>>(fields: &'de RawValue) -> Result<T, serde_json::Error> {
    serde_json::from_str(fields.get())
}

#[derive(Serialize, Deserialize)]
struct Token {
    token: String,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    channel_id: crate::id::ChannelId,
    read_seq: crate::id::Seq,
}

#[derive(Serialize, Deserialize)]
struct Channel {
    channel_id: crate::id::ChannelId,
}

#[derive(Serialize, Deserialize)]
struct Users {
    #[serde(default)]
    user_ids: Vec<crate::id::UserId>,
}

#[derive(Serialize, Deserialize)]
struct Data {
    data: String,
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
                    let known = |name: &str| is_known(name);
                    match &envelope.content {
                        Some((earlier, _)) if known(earlier) && known(&name) => {
                            return Err(A::Error::custom("more than one command in an envelope"));
                        }
                        Some((earlier, _)) if known(earlier) => {}
                        _ if known(&name) || fields.get().starts_with('{') => envelope.content = Some((name, fields)),
                        _ => {}
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The names of commands, and of their replies.
const COMMANDS: [&str; 15] = [
    "connect",
    "refresh",
    "send",
    "history",
    "mark",
    "echo",
    "edit",
    "delete",
    "react",
    "typing",
    "open",
    "close",
    "presence_get",
    "presence_watch",
    "search",
];

fn is_known(name: &str) -> bool {
    COMMANDS.contains(&name) || matches!(name, "error" | "push")
}

/// A key, borrowed unless it was written with escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

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

/// What a server said in one frame, in order.
///
/// # Errors
/// At the first line that is not of this protocol.
pub fn server_frames(frame: &[u8]) -> Result<Vec<ServerFrame>, Unparsed> {
    lines(frame).map(server_frame).collect()
}

fn server_frame(line: &[u8]) -> Result<ServerFrame, Unparsed> {
    let envelope = envelope(line)?;
    let id = envelope.id;
    let bad = |error: serde_json::Error| Unparsed::new(id, ErrorCode::BadRequest, error.to_string());
    match envelope.content {
        Some((name, fields)) if name == "push" => parse(fields).map(ServerFrame::Push).map_err(bad),
        Some((name, fields)) if name == "error" => {
            parse(fields).map(|error| ServerFrame::Reply { id, reply: Err(error) }).map_err(bad)
        }
        Some((name, fields)) => {
            let mut json = serde_json::Deserializer::from_str(fields.get());
            let reply = ReplyNamed(&name).deserialize(&mut json).map_err(bad)?;
            Ok(ServerFrame::Reply { id, reply: Ok(reply) })
        }
        None => Err(Unparsed::new(id, ErrorCode::BadRequest, "an envelope without content")),
    }
}

/// Reads the fields of the reply with this name.
struct ReplyNamed<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for ReplyNamed<'_> {
    type Value = Reply;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Reply, D::Error> {
        #[derive(Deserialize)]
        struct Expires {
            expires_ms: crate::time::UnixMs,
        }
        #[derive(Deserialize)]
        struct Sent {
            seq: crate::id::Seq,
            sent_ms: crate::time::UnixMs,
            duplicate: bool,
        }
        #[derive(Deserialize)]
        struct Marked {
            read_seq: crate::id::Seq,
            unread: u64,
        }
        #[derive(Deserialize)]
        struct Revised {
            revision: u32,
        }
        #[derive(Deserialize)]
        struct Reacted {
            count: u32,
        }
        #[derive(Deserialize)]
        struct Present {
            entries: Vec<crate::presence::PresenceEntry>,
        }
        #[derive(Deserialize)]
        struct Done {}
        match self.0 {
            "connect" => Deserialize::deserialize(deserializer).map(Reply::Connect),
            "refresh" => {
                Deserialize::deserialize(deserializer).map(|Expires { expires_ms }| Reply::Refresh { expires_ms })
            }
            "send" => Deserialize::deserialize(deserializer).map(|Sent { seq, sent_ms, duplicate }| Reply::Send {
                seq,
                sent_ms,
                duplicate,
            }),
            "history" => Deserialize::deserialize(deserializer).map(Reply::History),
            "mark" => Deserialize::deserialize(deserializer)
                .map(|Marked { read_seq, unread }| Reply::Mark { read_seq, unread }),
            "echo" => Deserialize::deserialize(deserializer).map(|Data { data }| Reply::Echo { data }),
            "edit" => Deserialize::deserialize(deserializer).map(|Revised { revision }| Reply::Edit { revision }),
            "delete" => Deserialize::deserialize(deserializer).map(|Revised { revision }| Reply::Delete { revision }),
            "react" => Deserialize::deserialize(deserializer).map(|Reacted { count }| Reply::React { count }),
            "typing" => Deserialize::deserialize(deserializer).map(|Done {}| Reply::Typing {}),
            "open" => Deserialize::deserialize(deserializer).map(Reply::Open),
            "close" => Deserialize::deserialize(deserializer).map(|Done {}| Reply::Close {}),
            "presence_get" => {
                Deserialize::deserialize(deserializer).map(|Present { entries }| Reply::PresenceGet { entries })
            }
            "presence_watch" => {
                Deserialize::deserialize(deserializer).map(|Present { entries }| Reply::PresenceWatch { entries })
            }
            "search" => Deserialize::deserialize(deserializer).map(Reply::Search),
            other => {
                IgnoredAny::deserialize(deserializer)?;
                Err(D::Error::custom(format!("unknown reply {other:?}")))
            }
        }
    }
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
