//! I6: what a device was pushed after its base is its account's inbox from there to the end, in order, each event once; of a run
//! of own read marks the last may stand for all.

use schema::{DeviceId, Event, EventBody, Position};

use crate::facts::{Facts, Pushed};

use super::store::Log;
use super::{Check, violated};

pub(super) fn check(log: &Log, facts: &Facts) -> Check {
    for (device, pushed) in &facts.pushed {
        let (floor, inbox) = &log.inboxes[&pushed.user];
        follows(device, pushed, *floor, inbox)?;
    }
    Ok(())
}

/// What was trimmed since is known to the device alone: of that only the order is judged.
fn follows(device: &DeviceId, pushed: &Pushed, floor: Position, inbox: &[Event]) -> Check {
    let mut last = pushed.base;
    for event in &pushed.events {
        if event.position <= last {
            return violated("I6", format!("{device} was pushed {} after {last}", describe(event)));
        }
        last = event.position;
    }
    let from = pushed.base.max(floor);
    let after = |events: &[Event]| events.partition_point(|event| event.position <= from);
    let mut expected = inbox[after(inbox)..].iter().peekable();
    let mut got = pushed.events[after(&pushed.events)..].iter().peekable();
    loop {
        match (expected.next(), got.peek()) {
            (None, None) => return Ok(()),
            (Some(event), Some(came)) if *came == event => {
                got.next();
            }
            (Some(event), _) if stands_for(expected.peek().copied(), event) => {}
            (Some(event), came) => {
                let came = came.map_or_else(|| "nothing".to_owned(), |event| describe(event));
                return violated("I6", format!("{device} was pushed {came} where {} belongs", describe(event)));
            }
            (None, Some(came)) => {
                return violated("I6", format!("{device} was pushed {} beyond its inbox", describe(came)));
            }
        }
    }
}

/// Whether a mark is superseded by the event right behind it.
fn stands_for(next: Option<&Event>, event: &Event) -> bool {
    let is_mark = |event: &Event| matches!(event.body, EventBody::Read { .. });
    next.is_some_and(|next| next.channel == event.channel && is_mark(next)) && is_mark(event)
}

fn describe(event: &Event) -> String {
    let what = match &event.body {
        EventBody::Message(message) => format!("message {} {}", message.seq, message.client_msg_id),
        EventBody::Edited(message) => format!("edit of {} to revision {}", message.seq, message.revision),
        EventBody::Deleted { seq, .. } => format!("deletion of {seq}"),
        EventBody::Reaction { seq, emoji, user, .. } => format!("{emoji} of {user} at {seq}"),
        EventBody::Membership { user, change, .. } => format!("{change:?} of {user}"),
        EventBody::Read { read_seq, .. } => format!("mark {read_seq}"),
    };
    format!("{what} of channel {} at {}", event.channel, event.position)
}

#[cfg(test)]
mod tests {
    use schema::{ChannelId, Seq, Stamp, UserId};

    use super::*;

    /// Events as `r2@5`: a mark of seq 2 at version 5; `m@5`: a membership.
    fn events(text: &str) -> Vec<Event> {
        let event = |word: &str| {
            let (what, version) = word.split_once('@').expect("what@version");
            let position = Stamp { version: version.parse().expect("a number"), batch: 0 }.at(0);
            let user = UserId(1);
            let body = match what.strip_prefix('r') {
                Some(seq) => EventBody::Read { user, read_seq: Seq(seq.parse().expect("a number")) },
                None => EventBody::Membership {
                    user,
                    change: schema::event::MemberChange::Added,
                    role: schema::event::Role::Member,
                },
            };
            Event { position, channel: ChannelId(1), body }
        };
        text.split_whitespace().map(event).collect()
    }

    fn check(base: u64, inbox: &str, pushed: &str, holds: bool) {
        check_trimmed(base, 0, inbox, pushed, holds);
    }

    fn check_trimmed(base: u64, floor: u64, inbox: &str, pushed: &str, holds: bool) {
        let (base, floor) = (Position::end_of(base), Position::end_of(floor));
        let pushed = Pushed { user: UserId(1), base, events: events(pushed) };
        let found = follows(&"d".parse().expect("legal"), &pushed, floor, &events(inbox));
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
}
