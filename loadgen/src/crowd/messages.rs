//! Messages that a crowd has written: to which sessions each has to come, and to which it has.
//!
//! Owns the ledger. A message leaves it once it is acknowledged and has come to all, and one that comes again after that is
//! a duplicate. Reads no clock and sends nothing. Upholds that every session gets each message once (I6), or the
//! difference is counted.

use std::collections::VecDeque;

use schema::ClientMsgId;

/// Messages that may be unfinished at a time: some 100 bytes each, and a quarter of one for each session of their channel.
/// Beyond it the oldest counts as missing for good.
const UNFINISHED_MAX: usize = 1 << 18;

/// Sessions of a channel, a bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places(Box<[u64]>);

impl Places {
    fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into())
    }

    /// Whether it was not in it before.
    fn insert(&mut self, place: usize) -> bool {
        let (word, bit) = (&mut self.0[place / 64], 1 << (place % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn contains(&self, place: usize) -> bool {
        self.0[place / 64] & (1 << (place % 64)) != 0
    }
}

/// A message that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) room: usize,
    /// The session that writes it.
    pub(super) by: usize,
    pub(super) id: ClientMsgId,
    /// When it was due, on the engine's clock.
    pub(super) intended_ns: u64,
    acked: bool,
    /// Sessions to which it has to come, those of them that were away when it was written, and those to which it has come.
    wanted: Places,
    away: Places,
    came: Places,
    /// Sessions that it has not come to.
    left: u32,
}

/// Whose place in a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// A session's that is connected.
    Theirs,
    /// A session's that was connected and comes back, by its cursor.
    Returning,
    /// A session's that was never connected: nothing that is written now has to come to it.
    Nobodys,
}

/// What an arrival was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The first of this message there, which was due then.
    New {
        intended_ns: u64,
    },
    /// The same of a session that was away when it was written.
    CaughtUp,
    Again,
    /// Nothing of that number was written to it.
    Unknown,
}

/// The ledger.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The number of the oldest that is unfinished.
    base: u64,
    unfinished: VecDeque<Written>,
    /// Messages that have not come somewhere: those on their way, and those of messages that were given up.
    pub(super) missing: u64,
}

impl Messages {
    /// The number of the next.
    pub(super) fn next_number(&self) -> u64 {
        self.base + self.unfinished.len() as u64
    }

    /// One more, for those of a room's places that `whose` says; its number.
    pub(super) fn write(
        &mut self,
        (room, places): (usize, usize),
        by: usize,
        id: ClientMsgId,
        intended_ns: u64,
        whose: impl Fn(usize) -> Whose,
    ) -> u64 {
        if self.unfinished.len() == UNFINISHED_MAX {
            self.unfinished.pop_front();
            self.base += 1;
        }
        let [mut wanted, mut away, came] = [(); 3].map(|()| Places::none(places));
        let mut left = 0;
        for place in 0..places {
            let whose = whose(place);
            if whose != Whose::Nobodys {
                wanted.insert(place);
                left += 1;
            }
            if whose == Whose::Returning {
                away.insert(place);
            }
        }
        self.missing += u64::from(left);
        let number = self.next_number();
        self.unfinished.push_back(Written { room, by, id, intended_ns, acked: false, wanted, away, came, left });
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<&Written> {
        self.unfinished.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Written> {
        self.unfinished.get_mut(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// It was acknowledged; when it was due. `None` if it was before, or there is none.
    pub(super) fn acked(&mut self, number: u64) -> Option<u64> {
        let written = self.get_mut(number).filter(|written| !written.acked)?;
        written.acked = true;
        let intended_ns = written.intended_ns;
        self.settle();
        Some(intended_ns)
    }

    /// It came to the session of this place.
    pub(super) fn came(&mut self, number: u64, place: usize) -> Arrival {
        if number < self.base {
            return Arrival::Again;
        }
        let Some(written) = self.get_mut(number) else { return Arrival::Unknown };
        let (intended_ns, was_away) = (written.intended_ns, written.away.contains(place));
        if !written.wanted.contains(place) {
            return Arrival::Unknown;
        }
        if !written.came.insert(place) {
            return Arrival::Again;
        }
        written.left -= 1;
        self.missing -= 1;
        self.settle();
        if was_away { Arrival::CaughtUp } else { Arrival::New { intended_ns } }
    }

    /// Whether it has come to the session of this place. What has left the ledger has come to all for whom it was.
    pub(super) fn has_come(&self, number: u64, place: usize) -> bool {
        self.get(number).map_or(number < self.base, |written| written.came.contains(place))
    }

    fn settle(&mut self) {
        while self.unfinished.front().is_some_and(|oldest| oldest.acked && oldest.left == 0) {
            self.unfinished.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_due_at_each_session_once() {
        check(&[0, 70], "0:0 New, 0:70 New, 0:70 Again", 0);
        check(&[0, 70], "0:0 New, ack 0, 0:70 New, 0:0 Again", 0);
        check(&[0, 70], "ack 0, ack 0, 0:0 New", 1);
        check(&[0, 70], "1:0 New, 1:70 New, ack 1, 0:70 New, 0:0 New, ack 0, 1:0 Again, 0:0 Again", 0);
        check(&[0, 70], "2:0 Unknown, 0:2 Unknown", 2);
    }

    #[test]
    fn whoever_was_away_has_to_catch_up_once() {
        check(&[0, 3], "0:3 CaughtUp, 0:3 Again, 0:0 New", 0);
        check(&[0, 3], "0:0 New, ack 0, 1:0 New, ack 1", 1);
        check(&[0, 3], "0:0 New, ack 0, 0:3 CaughtUp, 0:3 Again, 1:3 CaughtUp, 1:3 Again", 0);
    }

    /// Two messages for these places of 71, of which 3 is away; what comes (`NUMBER:PLACE`) and is acknowledged, and what is
    /// missing of the first in the end.
    fn check(places: &[usize], steps: &str, missing: u64) {
        let mut messages = Messages::default();
        let whose = |place| match place {
            place if !places.contains(&place) => Whose::Nobodys,
            3 => Whose::Returning,
            _ => Whose::Theirs,
        };
        for _ in 0..2 {
            messages.write((0, 71), 0, ClientMsgId([0; 16]), 7, whose);
        }
        for step in steps.split(", ") {
            let (what, expected) = step.split_once(' ').unwrap();
            match what.split_once(':') {
                None => _ = messages.acked(expected.parse().unwrap()),
                Some((number, place)) => {
                    let said = format!("{:?}", messages.came(number.parse().unwrap(), place.parse().unwrap()));
                    assert!(said.starts_with(expected), "{step} of {steps}: {said}");
                }
            }
        }
        let of = |number: u64| places.iter().filter(|&&place| !messages.has_come(number, place)).count() as u64;
        assert_eq!(of(0), missing, "{steps}");
        assert_eq!(messages.missing, of(0) + of(1), "{steps}");
    }
}
