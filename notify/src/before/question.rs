//! What an application is asked, and what its answer says: JSON, by docs/webhooks.md.

use std::sync::Arc;

use schema::hook::BeforeKind;
use schema::limits::{BODY_CHARS_MAX, REASON_CHARS_MAX};
use schema::op::{ChannelKind, EditOp, SendOp};
use schema::{ChannelId, ChannelOp, UnixMs};
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::{Value, json};

/// Bytes of an answer: a text whose characters are all escaped as `\uXXXX\uXXXX`, 12 bytes each, and 16 KiB beside it. 1.2 MB of
/// each of 256 questions are 311 MB that one hook's application can make a node hold at most.
pub(super) const ANSWER_BYTES_MAX: usize = BODY_CHARS_MAX as usize * 12 + 16 * 1024;
/// What a sender is told where an application gives no reason.
const NO_REASON: &str = "an application refuses this message";

/// A question about an operation.
#[derive(Debug)]
pub(super) struct Asked {
    id: String,
    body: Value,
}

impl Asked {
    /// The question about an operation in a channel.
    ///
    /// # Panics
    /// If it is one that nobody is asked about.
    pub(super) fn new((channel, kind): (ChannelId, ChannelKind), op: &ChannelOp, wall: UnixMs) -> Self {
        let (user, name, data) = match op {
            ChannelOp::Send(SendOp {
                from,
                client_msg_id,
                kind,
                body,
                reply_to,
                mentions,
                ruling: _,
                audience,
                media,
            }) => {
                let kind = kind.with(media);
                let mut data = json!({"from": from, "client_msg_id": client_msg_id, "kind": kind, "body": &**body});
                if let Some(reply_to) = reply_to {
                    data["reply_to"] = json!(reply_to);
                }
                if !mentions.is_empty() {
                    data["mentions"] = json!(&**mentions);
                }
                if let Some(audience) = audience {
                    data["audience"] = json!(audience);
                }
                if !media.is_empty() {
                    data["media"] = json!(media);
                }
                (from, client_msg_id, data)
            }
            ChannelOp::Edit(EditOp { by, seq, op_id, base_revision, body, ruling: _ }) => {
                let data =
                    json!({"from": by, "op_id": op_id, "seq": seq, "base_revision": base_revision, "body": &**body});
                (by, op_id, data)
            }
            other => panic!("nobody is asked about {other:?}"),
        };
        let word = BeforeKind::of_op(op).expect("it is one of those").word();
        // A retry asks the same under the same name.
        let id = format!("ask_{channel}_{user}_{name}");
        let body = json!({
            "id": id, "type": word, "at_ms": wall, "channel_id": channel, "channel_kind": kind, "data": data
        });
        Self { id, body }
    }

    /// `webhook-id` and the body.
    pub(super) fn into_call(self) -> (String, Vec<u8>) {
        (self.id, serde_json::to_vec(&self.body).expect("it is JSON"))
    }
}

/// Gives an operation another text, for those who are asked next.
pub(super) fn set_body(op: &mut ChannelOp, text: Arc<str>) {
    if let ChannelOp::Send(SendOp { body, .. }) | ChannelOp::Edit(EditOp { body, .. }) = op {
        *body = text;
    }
}

/// What an application says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    Change(Arc<str>),
    Refuse(Arc<str>),
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Answer {
    Allow,
    Change {
        body: Arc<str>,
    },
    Refuse {
        #[serde(default)]
        reason: String,
    },
}

/// What an answer says.
///
/// # Errors
/// Why it says nothing that is understood.
pub(super) fn said(status: u16, body: &[u8]) -> Result<Verdict, String> {
    if status != 200 {
        return Err(format!("it answers {status}"));
    }
    match serde_json::from_slice(body).map_err(|error| not_understood(&error))? {
        Answer::Allow => Ok(Verdict::Allow),
        Answer::Change { body } => {
            let chars = body.chars().count();
            if !(1..=BODY_CHARS_MAX as usize).contains(&chars) {
                return Err(format!("its text has {chars} characters, it may have 1 to {BODY_CHARS_MAX}"));
            }
            Ok(Verdict::Change(body))
        }
        Answer::Refuse { reason } => Ok(Verdict::Refuse(told(&reason).into())),
    }
}

/// Why an answer says nothing, for the log: none of its words, in which there may be a user's text.
fn not_understood(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => "its answer is JSON that says none of the three".to_owned(),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("its answer is no JSON, line {} column {}", error.line(), error.column())
        }
    }
}

/// A reason as its sender is told it: one line, and cut.
fn told(reason: &str) -> String {
    let shown: String =
        reason.trim().chars().filter(|char| !char.is_control()).take(REASON_CHARS_MAX as usize).collect();
    if shown.is_empty() { NO_REASON.to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use schema::message::no_mentions;
    use schema::{ClientMsgId, MessageKind, Seq, UserId};

    use super::*;

    fn check(status: u16, body: &str, expected: &str) {
        let found = match said(status, body.as_bytes()) {
            Ok(Verdict::Allow) => "allow".to_owned(),
            Ok(Verdict::Change(text)) => format!("change {text}"),
            Ok(Verdict::Refuse(reason)) => format!("refuse {reason}"),
            Err(why) => format!("nothing: {why}"),
        };
        assert_eq!(found, expected, "{status} {body}");
    }

    #[test]
    fn an_application_allows_changes_or_refuses_or_says_nothing() {
        check(200, r#"{"action":"allow"}"#, "allow");
        check(200, r#"{"action":"allow","more":1}"#, "allow");
        check(200, r#"{"action":"change","body":"hello"}"#, "change hello");
        check(200, r#"{"action":"change","body":""}"#, "nothing: its text has 0 characters, it may have 1 to 100000");
        check(200, r#"{"action":"change"}"#, "nothing: its answer is JSON that says none of the three");
        check(200, r#"{"action":"refuse","reason":"be kind"}"#, "refuse be kind");
        check(200, r#"{"action":"refuse","reason":" a\nb\u0000 "}"#, "refuse ab");
        check(200, r#"{"action":"refuse"}"#, "refuse an application refuses this message");
        // No word of it is in the log.
        check(200, r#"{"action":"bob: hi"}"#, "nothing: its answer is JSON that says none of the three");
        check(200, r#"{"action":bob}"#, "nothing: its answer is no JSON, line 1 column 11");
        check(200, "", "nothing: its answer is no JSON, line 1 column 0");
        check(204, "", "nothing: it answers 204");
        check(302, r#"{"action":"allow"}"#, "nothing: it answers 302");
        check(500, r#"{"action":"allow"}"#, "nothing: it answers 500");
        let long = format!(r#"{{"action":"refuse","reason":"{}"}}"#, "é".repeat(300));
        check(200, &long, &format!("refuse {}", "é".repeat(200)));
    }

    #[test]
    fn the_longest_text_fits_into_an_answer_with_every_character_escaped() {
        let answer = |chars: usize| format!(r#"{{"action":"change","body":"{}"}}"#, r"\ud83d\ude00".repeat(chars));
        let longest = answer(BODY_CHARS_MAX as usize);
        assert!(longest.len() <= ANSWER_BYTES_MAX, "{} bytes", longest.len());
        check(200, &longest, &format!("change {}", "😀".repeat(BODY_CHARS_MAX as usize)));
        check(200, &answer(100_001), "nothing: its text has 100001 characters, it may have 1 to 100000");
    }

    #[test]
    fn a_retry_asks_the_same_under_the_same_name() {
        let id = ClientMsgId::new(UnixMs(1_767_268_830_123), 7);
        let (from, kind, reply_to, mentions) = (UserId(3), MessageKind::Text, Some(Seq(2)), no_mentions());
        let op = ChannelOp::Send(SendOp {
            from,
            client_msg_id: id,
            kind,
            body: "hi".into(),
            reply_to,
            mentions,
            ruling: None,
            audience: None,
            media: Vec::new(),
        });
        let (name, body) = Asked::new((ChannelId(7), ChannelKind::Group), &op, UnixMs(5)).into_call();
        assert_eq!(name, format!("ask_7_3_{id}"));
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let data = json!({"from": "3", "client_msg_id": id, "kind": "text", "body": "hi", "reply_to": 2});
        let expected = json!({
            "id": name, "type": "message.send", "at_ms": 5, "channel_id": "7", "channel_kind": "group", "data": data
        });
        assert_eq!(body, expected);
    }
}
