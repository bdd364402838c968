//! I6: what a device was pushed after its base is its account's inbox from there to the end, in order, each event once;
//! of a run of own read marks the last may stand for all. A message comes as it was when it was read: never older than
//! its event.

use schema::record::{EventRecord, EventRecordBody};
use schema::{ChannelId, DeviceId, Event, EventBody, Position};

use crate::facts::{Facts, Pushed};
use crate::outcome::violated;

use super::Check;
use super::store::{Log, Row};

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    for (device, pushed) in &facts.pushed {
        let (floor, inbox) = &log.inboxes[&pushed.user];
        follows(device, pushed, *floor, inbox)?;
    }
    Ok(())
}

/// What was trimmed since is known to the device alone: of that only the order is judged.
fn follows(device: &DeviceId, pushed: &Pushed, floor: Position, inbox: &[Row]) -> Check {
    let mut last = pushed.base;
    for event in &pushed.events {
        if event.position <= last {
            violated!("I6", "{device} was pushed {} after {last}", describe(event));
        }
        last = event.position;
    }
    let from = pushed.base.max(floor);
    let (kept, held) = (
        inbox.partition_point(|row| row.position <= from),
        pushed.events.partition_point(|event| event.position <= from),
    );
    let mut expected = inbox[kept..].iter().peekable();
    let mut got = pushed.events[held..].iter().peekable();
    loop {
        match (expected.next(), got.peek()) {
            (None, None) => return Ok(()),
            (Some(row), Some(came)) if came.position == row.position && tells(came, &row.event) => {
                got.next();
            }
            (Some(row), _) if stands_for(expected.peek().copied(), row) => {}
            (Some(row), came) => {
                let came = came.map_or_else(|| "nothing".to_owned(), |event| describe(event));
                let belongs = format!("{:?} at {}", row.event, row.position);
                violated!("I6", "{device} was pushed {came} where {belongs} belongs");
            }
            (None, Some(came)) => {
                violated!("I6", "{device} was pushed {} beyond its inbox", describe(came));
            }
        }
    }
}

/// Whether a push tells what a row says. What a message's content may be is for the checker of agreement.
fn tells(event: &Event, row: &EventRecord) -> bool {
    let is_same = match (&event.body, &row.body) {
        (EventBody::Message(message), &EventRecordBody::Message { seq, revision })
        | (EventBody::Edited(message), &EventRecordBody::Edited { seq, revision }) => {
            message.seq == seq && message.channel_id == row.channel && message.revision >= revision
        }
        (&EventBody::Deleted { seq, revision }, body) => *body == EventRecordBody::Deleted { seq, revision },
        (EventBody::Reaction { seq, emoji, count, user, on }, body) => {
            let (seq, emoji, count, user, on) = (*seq, emoji.clone(), *count, *user, *on);
            *body == EventRecordBody::Reaction { seq, emoji, count, user, on }
        }
        (&EventBody::Membership { user, change, role }, body) => {
            *body == EventRecordBody::Membership { user, change, role }
        }
        (&EventBody::Read { user, read_seq }, body) => *body == EventRecordBody::Read { user, read_seq },
        (EventBody::Message(_) | EventBody::Edited(_), _) => false,
    };
    is_same && event.channel == row.channel
}

/// The channel of an own mark's row.
fn marks(row: &Row) -> Option<ChannelId> {
    matches!(row.event.body, EventRecordBody::Read { .. }).then_some(row.event.channel)
}

/// Whether a mark is superseded by the row right behind it.
fn stands_for(next: Option<&Row>, row: &Row) -> bool {
    marks(row).is_some_and(|channel| next.and_then(marks) == Some(channel))
}

fn describe(event: &Event) -> String {
    let what = match &event.body {
        EventBody::Message(message) => {
            format!("message {} {} of revision {}", message.seq, message.client_msg_id, message.revision)
        }
        EventBody::Edited(message) => format!("edit of {} to revision {}", message.seq, message.revision),
        EventBody::Deleted { seq, revision } => format!("deletion of {seq} as revision {revision}"),
        EventBody::Reaction { seq, emoji, count, user, on } => {
            format!("{emoji} of {user} at {seq}, on: {on}, count: {count}")
        }
        EventBody::Membership { user, change, .. } => format!("{change:?} of {user}"),
        EventBody::Read { read_seq, .. } => format!("mark {read_seq}"),
    };
    format!("{what} of channel {} at {}", event.channel, event.position)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schema::event::{MemberChange, Role};
    use schema::{ClientMsgId, Message, MessageKind, Seq, Stamp, UnixMs, UserId, message};

    use super::*;

    const CHANNEL: ChannelId = ChannelId(1);

    /// What stands before the `@`, and the position.
    fn words(text: &str) -> impl Iterator<Item = (&str, Position)> {
        text.split_whitespace().map(|word| {
            let (what, version) = word.split_once('@').expect("what@version");
            (what, Stamp { version: version.parse().expect("a number"), batch: 0 }.at(0))
        })
    }

    fn number(text: &str) -> u32 {
        text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
    }

    /// Rows as `r2@5`: a mark of seq 2 at version 5; `m@5`: a membership; `e3@5`: an edit of message 1 to revision 3.
    fn rows(text: &str) -> Vec<Row> {
        let row = |(what, position): (&str, _)| {
            let body = match what.split_at(1) {
                ("r", seq) => EventRecordBody::Read { user: UserId(1), read_seq: Seq(number(seq).into()) },
                ("e", revision) => EventRecordBody::Edited { seq: Seq(1), revision: number(revision) },
                _ => EventRecordBody::Membership { user: UserId(1), change: MemberChange::Added, role: Role::Member },
            };
            Row { position, event: EventRecord { channel: CHANNEL, body } }
        };
        words(text).map(row).collect()
    }

    /// The same as pushes; `e3@5`: with the content of revision 3.
    fn events(text: &str) -> Vec<Event> {
        let event = |(what, position): (&str, _)| {
            let body = match what.split_at(1) {
                ("r", seq) => EventBody::Read { user: UserId(1), read_seq: Seq(number(seq).into()) },
                ("e", revision) => EventBody::Edited(edited(number(revision))),
                _ => EventBody::Membership { user: UserId(1), change: MemberChange::Added, role: Role::Member },
            };
            Event { position, channel: CHANNEL, body }
        };
        words(text).map(event).collect()
    }

    fn edited(revision: u32) -> Arc<Message> {
        Arc::new(Message {
            channel_id: CHANNEL,
            seq: Seq(1),
            revision,
            from: UserId(1),
            sent_ms: UnixMs(1),
            client_msg_id: ClientMsgId::new(UnixMs(1), 1),
            kind: MessageKind::Text,
            body: "text".into(),
            reply_to: None,
            mentions: message::no_mentions(),
            edited_ms: Some(UnixMs(2)),
            deleted: false,
            reactions: message::no_reactions(),
            media: Vec::new(),
        })
    }

    fn check(base: u64, inbox: &str, pushed: &str, holds: bool) {
        check_trimmed(base, 0, inbox, pushed, holds);
    }

    fn check_trimmed(base: u64, floor: u64, inbox: &str, pushed: &str, holds: bool) {
        let (base, floor) = (Position::end_of(base), Position::end_of(floor));
        let pushed = Pushed { user: UserId(1), base, events: events(pushed) };
        let found = follows(&"d".parse().expect("legal"), &pushed, floor, &rows(inbox));
        assert_eq!(found.is_ok(), holds, "{inbox} pushed as {:?}: {found:?}", pushed.events);
    }

    #[test]
    fn a_device_is_pushed_its_inbox_from_its_base_on() {
        check(0, "m@1 m@2 m@3", "m@1 m@2 m@3", true);
        check(1, "m@1 m@2 m@3", "m@2 m@3", true);
        check(0, "m@1 m@2 m@3", "m@1 m@3", false);
        check(0, "m@1 m@2", "m@1 m@2 m@2", false);
        check(0, "m@1 m@2", "m@2 m@1", false);
        check(0, "m@1 m@2", "m@1", false);
        check(1, "m@1 m@2", "m@1 m@2", false);
    }

    #[test]
    fn what_was_trimmed_since_is_not_asked_for_again() {
        check_trimmed(0, 2, "m@3", "m@1 m@2 m@3", true);
        check_trimmed(3, 2, "m@3 m@4", "m@4", true);
        check_trimmed(0, 2, "m@3 m@4", "m@1 m@2 m@4", false);
        check_trimmed(0, 2, "m@3 m@4", "m@1 m@2 m@3", false);
    }

    #[test]
    fn the_last_of_a_run_of_marks_may_stand_for_all() {
        check(0, "r1@1 r2@2 m@3", "r2@2 m@3", true);
        check(0, "r1@1 m@2 r2@3", "m@2 r2@3", false);
        check(0, "r1@1 r2@2 m@3", "r1@1 m@3", false);
    }

    #[test]
    fn a_message_comes_as_its_event_left_it_or_newer() {
        check(0, "e1@1 e2@2", "e1@1 e2@2", true);
        check(0, "e1@1 e2@2", "e2@1 e2@2", true);
        check(0, "e1@1 e2@2", "e1@1 e1@2", false);
        check(0, "e1@1", "m@1", false);
    }
}
