//! One account's messages that are not acknowledged yet, in the order in which it wrote them.
//!
//! Does what PROTOCOL asks of a client: after a temporary refusal, or when the connection was cut, the same
//! messages go out again under the same ids, oldest first, and nothing newer overtakes them.

use std::collections::VecDeque;

use schema::ClientMsgId;
use schema::limits::UNANSWERED_MAX;

use crate::stamp::Stamp;

/// Requests in flight of one session. A node stops reading from a session at 256; the rest is for other requests.
const IN_FLIGHT_MAX: usize = UNANSWERED_MAX as usize - 8;

/// A message that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Its number among the account's messages of this run, from 0.
    pub(super) number: u64,
    pub(super) id: ClientMsgId,
    /// When it was due, on the engine's clock.
    pub(super) intended_ns: u64,
    /// Times that it went out.
    pub(super) sendings: u32,
}

impl Written {
    /// What the message says of itself, if this connection wrote it.
    pub(super) fn stamp(&self, connection: usize) -> Stamp {
        Stamp { intended_ns: self.intended_ns, connection, number: self.number }
    }
}

/// The messages, each with the request under which it is in flight.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    unacknowledged: VecDeque<(Option<u32>, Written)>,
    in_flight: usize,
    /// No message goes out again before this.
    again_ns: u64,
    /// All that was in flight when one was refused has been answered, so that the rest can follow in order.
    going_again: bool,
}

impl Outbox {
    /// Messages without an acknowledgement.
    pub(super) fn len(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Messages that are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Numbers of the messages without an acknowledgement.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.unacknowledged.iter().map(|(_, written)| written.number)
    }

    /// Whether a new message may go out now: nothing older waits to go again.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight == self.unacknowledged.len() && self.in_flight < IN_FLIGHT_MAX
    }

    /// A new message goes out as `request`.
    pub(super) fn put(&mut self, request: u32, written: Written) {
        self.unacknowledged.push_back((Some(request), written));
        self.in_flight += 1;
    }

    /// The message that goes out again now as `request`, if one is to.
    pub(super) fn again(&mut self, request: u32, now_ns: u64) -> Option<Written> {
        if self.in_flight == self.unacknowledged.len() || self.in_flight >= IN_FLIGHT_MAX {
            return None;
        }
        if !self.going_again && (self.in_flight > 0 || now_ns < self.again_ns) {
            return None;
        }
        self.going_again = true;
        let (flight, written) = self.unacknowledged.iter_mut().find(|(flight, _)| flight.is_none())?;
        *flight = Some(request);
        written.sendings += 1;
        self.in_flight += 1;
        Some(written.clone())
    }

    /// The message that was in flight as `request` is done with, one way or the other.
    pub(super) fn take(&mut self, request: u32) -> Option<Written> {
        let at = self.unacknowledged.iter().position(|&(flight, _)| flight == Some(request))?;
        self.in_flight -= 1;
        self.unacknowledged.remove(at).map(|(_, written)| written)
    }

    /// The message in flight as `request` was refused for now, and goes out again from `again_ns` on. `false` if there
    /// is no such message.
    pub(super) fn refused(&mut self, request: u32, again_ns: u64) -> bool {
        let Some((flight, _)) = self.unacknowledged.iter_mut().find(|(flight, _)| *flight == Some(request)) else {
            return false;
        };
        *flight = None;
        self.in_flight -= 1;
        self.again_ns = self.again_ns.max(again_ns);
        self.going_again = false;
        true
    }

    /// The connection was cut: what was in flight goes out again on the next.
    pub(super) fn cut(&mut self) {
        self.unacknowledged.iter_mut().for_each(|(flight, _)| *flight = None);
        (self.in_flight, self.again_ns, self.going_again) = (0, 0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::UnixMs;

    #[test]
    fn refused_messages_go_again_in_order_and_nothing_overtakes_them() {
        check("put a1, put b2, take 1, take 2", "room");
        check("put a1, refuse 1, again 2", "a");
        check("put a1, put b2, refuse 1", "closed");
        check("put a1, put b2, refuse 1, again 3", "none");
        check("put a1, put b2, refuse 1, refuse 2, again 3, again 4", "a, b");
        check("put a1, put b2, refuse 1, take 2, again 3", "a");
        check("put a1, put b2, refuse 1, refuse 2, again 3, refuse 3, again 4, again 5", "a, a, b");
        check("put a1, put b2, cut, again 1, again 2", "a, b");
        check("put a1, put b2, take 1, cut, again 1", "b");
        check("put a1, refuse 1, again 2, take 2", "a, room");
        check("put a1, refuse 9", "none");
    }

    #[test]
    fn a_pause_is_kept_and_what_is_in_flight_has_a_bound() {
        let mut outbox = Outbox::default();
        outbox.put(1, written('a'));
        outbox.refused(1, 500);
        assert_eq!(outbox.again(2, 499), None);
        assert!(outbox.again(2, 500).is_some_and(|written| written.sendings == 2));
        let room = (0..1_000)
            .take_while(|&at| {
                outbox.has_room() && {
                    outbox.put(10 + at, written('b'));
                    true
                }
            })
            .count();
        assert_eq!(room + 1, IN_FLIGHT_MAX);
    }

    fn written(name: char) -> Written {
        let id = ClientMsgId::new(UnixMs(1), u128::from(u32::from(name)));
        Written { number: u64::from(u32::from(name)), id, intended_ns: 0, sendings: 1 }
    }

    /// Does each step; tells what went out again, and at the end whether a new message may go out.
    fn check(steps: &str, expected: &str) {
        let (mut outbox, mut told) = (Outbox::default(), Vec::new());
        for step in steps.split(", ") {
            match step.split_once(' ').unwrap_or((step, "")) {
                ("put", what) => outbox.put(what[1..].parse().unwrap(), written(what.chars().next().unwrap())),
                ("take", request) => assert!(outbox.take(request.parse().unwrap()).is_some(), "{steps}"),
                ("refuse", request) => {
                    if !outbox.refused(request.parse().unwrap(), 0) {
                        told.push("none".to_owned());
                    }
                }
                ("again", request) => told.push(match outbox.again(request.parse().unwrap(), 0) {
                    Some(written) => char::from_u32(written.number as u32).unwrap().to_string(),
                    None => "none".to_owned(),
                }),
                ("cut", _) => outbox.cut(),
                other => panic!("{other:?}"),
            }
        }
        if told.is_empty() || outbox.len() == 0 {
            told.push(if outbox.has_room() { "room" } else { "closed" }.to_owned());
        }
        assert_eq!(told.join(", "), expected, "{steps}");
    }
}
