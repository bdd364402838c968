//! What a webhook's call says: a body of JSON, and the name by which a repetition is known.
//!
//! Owns its form, by docs/webhooks.md. In which order events come, and what of them, is `chat::hooks`'.

use chat::hooks::{Told, ToldBody};
use schema::hook::HookKind;
use schema::op::ChannelKind;
use schema::record::{ChannelRecord, EventRecord, EventRecordBody, HookedBody};
use schema::{ChannelId, Cursor, EventBody, Position, UnixMs};
use serde::Serialize;
use serde_json::{Value, json};

/// One event.
#[derive(Debug, Serialize)]
struct HookEvent {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    at_ms: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<ChannelId>,
    data: Value,
}

/// A call: what it tells, and what it is called.
#[derive(Debug)]
pub(crate) struct HookCall {
    /// `webhook-id`: that of the first event and how many there are, so that the same call has the same.
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
}

/// The call that tells these, in their order; at least one. `cursor` names a place in the store.
pub(crate) fn call(told: &[Told], cursor: impl Fn(Position) -> Cursor) -> HookCall {
    let events: Vec<_> = told.iter().map(|told| event(told, &cursor)).collect();
    let first = events.first().expect("nobody is called with nothing");
    let id = format!("{}-{}", first.id, events.len());
    HookCall { id, body: serde_json::to_vec(&json!({ "events": events })).expect("events are JSON") }
}

fn event(told: &Told, cursor: impl Fn(Position) -> Cursor) -> HookEvent {
    let (kind, channel_id, data) = match &told.body {
        ToldBody::Channel { event, body, channel } => {
            let kind = HookKind::of_event(&event.body);
            (kind, Some(event.channel), channel_data(event, body.as_ref(), channel.as_ref()))
        }
        ToldBody::Other(body) => (HookKind::of_body(body), None, other_data(body)),
    };
    let id = format!("evt_{}", cursor(told.position));
    HookEvent { id, kind: kind.word(), at_ms: told.at_ms, channel_id, data }
}

fn channel_data(event: &EventRecord, body: Option<&EventBody>, channel: Option<&ChannelRecord>) -> Value {
    match body {
        Some(EventBody::Message(message) | EventBody::Edited(message)) => {
            serde_json::to_value(&**message).expect("a message is JSON")
        }
        Some(EventBody::Deleted { seq, revision }) => json!({"seq": seq, "revision": revision}),
        Some(EventBody::Reaction { seq, emoji, count, user, on }) => {
            json!({"seq": seq, "emoji": emoji, "count": count, "user_id": user, "on": on})
        }
        Some(EventBody::Membership { user, change, role }) => {
            let mut data = json!({"user_id": user, "change": change, "role": role});
            if let Some(ChannelRecord { kind, title, .. }) = channel {
                let kind = match kind {
                    ChannelKind::Direct => "direct",
                    ChannelKind::Group => "group",
                    ChannelKind::Large => "large",
                    ChannelKind::Feed => "feed",
                };
                (data["kind"], data["title"]) = (json!(kind), json!(title));
            }
            data
        }
        Some(EventBody::Read { user, read_seq }) => json!({"user_id": user, "read_seq": read_seq}),
        // The message cannot be read: that it was sent is told all the same.
        None => match &event.body {
            EventRecordBody::Message { seq, revision } | EventRecordBody::Edited { seq, revision } => {
                json!({"seq": seq, "revision": revision, "unreadable": true})
            }
            EventRecordBody::Deleted { .. }
            | EventRecordBody::Reaction { .. }
            | EventRecordBody::Membership { .. }
            | EventRecordBody::Read { .. } => unreachable!("only a message's content may be missing"),
        },
    }
}

fn other_data(body: &HookedBody) -> Value {
    match body {
        HookedBody::Presence { user, state, last_active_ms } => {
            json!({"user_id": user, "state": state, "last_active_ms": last_active_ms})
        }
        HookedBody::Connected { user, device } => json!({"user_id": user, "device_id": device}),
        HookedBody::Gap { from_ms, to_ms } => json!({"from_ms": from_ms, "to_ms": to_ms}),
        HookedBody::Channel(_) => unreachable!("it has a channel"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schema::event::{MemberChange, Role};
    use schema::{ClientMsgId, Message, MessageKind, PresenceState, Seq, Stamp, UserId, message};

    use super::*;

    /// What is told of one thing, behind its id and time.
    fn check(body: ToldBody, expected: &str) {
        let position = Stamp { version: 2, batch: 3 }.at(4);
        let told = Told { position, at_ms: UnixMs(9), body };
        let HookCall { id, body } = call(&[told], |position| Cursor { generation: 1, position });
        let cursor = Cursor { generation: 1, position };
        assert_eq!(id, format!("evt_{cursor}-1"));
        let body = String::from_utf8(body).expect("text");
        let found = body.strip_prefix("{\"events\":[").and_then(|rest| rest.strip_suffix("]}")).expect("one");
        let found: Value = serde_json::from_str(found).expect("JSON");
        let mut expected: Value = serde_json::from_str(expected).expect("JSON");
        (expected["id"], expected["at_ms"]) = (json!(format!("evt_{cursor}")), json!(9));
        assert_eq!(found, expected);
    }

    fn channel(event: EventRecordBody, body: Option<EventBody>, channel: Option<ChannelRecord>) -> ToldBody {
        ToldBody::Channel { event: EventRecord { channel: ChannelId(5), body: event }, body, channel }
    }

    #[test]
    fn each_kind_of_event_has_the_data_that_the_manual_says() {
        let message = Message {
            channel_id: ChannelId(5),
            seq: Seq(2),
            revision: 0,
            from: UserId(7),
            sent_ms: UnixMs(8),
            client_msg_id: ClientMsgId([0; 16]),
            kind: MessageKind::Text,
            body: "hello".into(),
            reply_to: None,
            mentions: message::no_mentions(),
            edited_ms: None,
            deleted: false,
            reactions: message::no_reactions(),
            media: Vec::new(),
        };
        let event = EventRecordBody::Message { seq: Seq(2), revision: 0 };
        check(
            channel(event.clone(), Some(EventBody::Message(Arc::new(message))), None),
            r#"{"type":"message.sent","channel_id":"5","data":{"channel_id":"5","seq":2,"revision":0,"from":"7","sent_ms":8,
            "client_msg_id":"00000000-0000-0000-0000-000000000000","kind":"text","body":"hello"}}"#,
        );
        check(
            channel(event, None, None),
            r#"{"type":"message.sent","channel_id":"5","data":{"seq":2,"revision":0,"unreadable":true}}"#,
        );
        let (user, change, role) = (UserId(7), MemberChange::Title, Role::Owner);
        let record = ChannelRecord {
            kind: ChannelKind::Group,
            title: "crabs".into(),
            creator: user,
            created_ms: UnixMs(1),
            member_epoch: 1,
            member_count: 1,
            past: schema::op::PastAccess::Joined,
        };
        check(
            channel(
                EventRecordBody::Membership { user, change, role },
                Some(EventBody::Membership { user, change, role }),
                Some(record),
            ),
            r#"{"type":"channel.changed","channel_id":"5","data":{"user_id":"7","change":"title","role":"owner",
            "kind":"group","title":"crabs"}}"#,
        );
        check(
            ToldBody::Other(HookedBody::Presence { user, state: PresenceState::Away, last_active_ms: UnixMs(3) }),
            r#"{"type":"presence","data":{"user_id":"7","state":"away","last_active_ms":3}}"#,
        );
        check(
            ToldBody::Other(HookedBody::Gap { from_ms: UnixMs(1), to_ms: UnixMs(2) }),
            r#"{"type":"hook.gap","data":{"from_ms":1,"to_ms":2}}"#,
        );
    }
}
