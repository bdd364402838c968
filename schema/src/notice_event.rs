//! Events of an application's notices as it reads them: a line of JSON each.
//!
//! Owns the fields' names and which are left out. In which order they come is `chat::notices::events`'.

use serde::Serialize;
use utoipa::ToSchema;

use crate::id::UserId;
use crate::notice::{Medium, NoticeId};
use crate::position::Cursor;
use crate::record::{DeliveryState, NoticeEventRecord};
use crate::time::UnixMs;

/// One change of what became of a notification.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeEvent<'a> {
    /// Its place: to ask for what came after it, and to know a repetition by.
    cursor: String,
    /// The notification, of one that recurs the same each time.
    notification_id: NoticeId,
    /// accepted, of the notification as a whole; withdrawn or expired, of a user for whom there was no target; planned,
    /// sent, delivered, opened, clicked, withdrawn, gone, dead or expired, of one target.
    state: &'static str,
    /// When it came into that state.
    at_ms: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    medium: Option<Medium>,
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    device_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    provider: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    why: &'a str,
}

impl<'a> NoticeEvent<'a> {
    /// The event of a row, at its place in the store.
    #[must_use]
    pub fn new(cursor: Cursor, record: &'a NoticeEventRecord) -> Self {
        let NoticeEventRecord { notice, user, medium, state, at_ms, device, provider, why } = record;
        let medium = Medium::of_number(*medium);
        Self {
            cursor: cursor.to_string(),
            notification_id: *notice,
            state: state.word(),
            at_ms: *at_ms,
            user_id: (*state != DeliveryState::Accepted).then_some(*user),
            medium,
            device_id: device,
            provider,
            why,
        }
    }

    /// Appends it to a text as a line.
    ///
    /// # Panics
    /// Never: an event is JSON.
    pub fn append_to(&self, text: &mut Vec<u8>) {
        serde_json::to_writer(&mut *text, self).expect("an event is JSON, and a text takes all");
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Stamp;

    #[test]
    fn a_line_has_what_there_is_to_say() {
        let check = |medium, state, words: [&str; 3], expected: &str| {
            let [device, provider, why] = words.map(str::to_owned);
            let notice = NoticeId::new(UnixMs(1_767_225_600_123), 1);
            let record =
                NoticeEventRecord { notice, user: UserId(7), medium, state, at_ms: UnixMs(9), device, provider, why };
            let cursor = Cursor { generation: 1, position: Stamp { version: 2, batch: 3 }.at(4) };
            let mut line = Vec::new();
            NoticeEvent::new(cursor, &record).append_to(&mut line);
            let begin = format!("{{\"cursor\":\"{cursor}\",\"notification_id\":\"{notice}\",\"state\":");
            let line = String::from_utf8(line).expect("text");
            assert_eq!(line.strip_prefix(&begin), Some(expected), "{line}");
        };
        check(0, DeliveryState::Accepted, [""; 3], "\"accepted\",\"at_ms\":9}\n");
        check(
            1,
            DeliveryState::Dead,
            ["phone", "apple", "it\nsays \"no\""],
            "\"dead\",\"at_ms\":9,\"user_id\":\"7\",\"medium\":\"apns\",\"device_id\":\"phone\",\"provider\":\"apple\",\
             \"why\":\"it\\nsays \\\"no\\\"\"}\n",
        );
        check(
            0,
            DeliveryState::Expired,
            ["", "", "late"],
            "\"expired\",\"at_ms\":9,\"user_id\":\"7\",\"why\":\"late\"}\n",
        );
        check(4, DeliveryState::Opened, [""; 3], "\"opened\",\"at_ms\":9,\"user_id\":\"7\",\"medium\":\"mail\"}\n");
    }
}
