//! Order of sends after a refusal (rule 7).
//!
//! Once a send was refused for now, the sends behind it are refused too, until it comes again. Owns the memory of such
//! refusals. The sends behind the refused one are on their way already, so nobody can say which they are: instead a
//! line stays closed until the refused send itself is repeated. A sender that gives it up waits for [`CLOSED_MS`].
//! Refusals may come in another order than the sends did, one that found no room before one that the store could not take:
//! of several the line keeps the one that came first, which a client repeats first.

use std::collections::BTreeMap;

use schema::{ClientMsgId, ErrorCode, Instant, Refusal};

/// Time that a line stays closed for a send that does not come again: a client's round trip, queues included.
const CLOSED_MS: u64 = 1_000;
/// When a client should repeat what was refused for what went before it.
const RETRY_MS: u32 = 100;

/// When something came to this shard: what came later has a higher number. A send that is repeated keeps its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Arrival(pub(crate) u64);

/// A send that closes its line.
#[derive(Debug, Clone, Copy)]
struct Closed {
    id: ClientMsgId,
    arrival: Arrival,
    until: Instant,
}

/// The lines that a refusal has closed. `K` names a line: whose sends, and where.
#[derive(Debug)]
pub(crate) struct SendOrder<K> {
    closed: BTreeMap<K, Closed>,
    /// More were refused than can be remembered: until then every line is closed.
    all_until: Instant,
    max: usize,
}

impl<K: Ord> SendOrder<K> {
    /// Remembers at most `max` lines. Beyond it all are closed rather than one forgotten.
    pub(crate) fn new(max: usize) -> Self {
        Self { closed: BTreeMap::new(), all_until: Instant::default(), max }
    }

    /// Whether a send may pass. The one that was refused opens its line again. Returns its arrival from here on: that of
    /// its first time, if this is the second.
    ///
    /// # Errors
    /// 114: one before it is to come first.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        line: &K,
        id: ClientMsgId,
        arrival: Arrival,
    ) -> Result<Arrival, Refusal> {
        let passes = match self.closed.get(line) {
            Some(closed) if closed.id == id => Some(closed.arrival),
            Some(closed) if closed.until <= now => Some(arrival),
            Some(_) => None,
            None => (self.all_until <= now).then_some(arrival),
        };
        let Some(arrival) = passes else {
            let message = "an earlier message to this channel was refused, send both again in their order";
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
        };
        self.closed.remove(line);
        Ok(arrival)
    }

    /// A send was refused and may be repeated.
    pub(crate) fn refused(&mut self, now: Instant, line: K, id: ClientMsgId, arrival: Arrival) {
        let until = now.plus_ms(CLOSED_MS);
        if self.closed.len() < self.max || self.closed.contains_key(&line) {
            let kept = self.closed.entry(line).or_insert(Closed { id, arrival, until });
            if kept.until <= now || arrival < kept.arrival {
                *kept = Closed { id, arrival, until };
            } else if kept.id == id {
                kept.until = until;
            }
        } else {
            self.all_until = until;
        }
    }

    /// Whether every line is open.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.closed.is_empty() && self.all_until <= now
    }

    /// Forgets the lines of which this holds.
    pub(crate) fn forget(&mut self, is_over: impl Fn(&K) -> bool) {
        self.closed.retain(|line, _| !is_over(line));
    }

    /// Forgets lines that are open again.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.closed.retain(|_, closed| now < closed.until);
    }
}

#[cfg(test)]
mod tests {
    use schema::UnixMs;

    use super::*;

    /// `R` refuses and `P` asks to pass, each with a line's letter, a message's digit and the time in milliseconds. What is
    /// refused came in the order of the digits, unless it has passed: then as that says.
    fn check(script: &str) {
        let mut order = SendOrder::new(2);
        let (mut seen, mut passed) = (Vec::new(), BTreeMap::new());
        for (at_step, step) in (100..).zip(script.split(" => ").next().expect("split gives one").split(", ")) {
            let [kind, line, digit] = step.as_bytes()[..3] else { panic!("{step:?} is no step") };
            let id = ClientMsgId::new(UnixMs(0), u128::from(digit));
            let at = Instant(step[4..].parse::<u64>().expect("a time in ms") * 1_000_000);
            match kind {
                b'R' => {
                    let arrival = passed.get(&digit).copied().unwrap_or(Arrival(digit.into()));
                    order.refused(at, line, id, arrival);
                }
                b'P' => match order.pass(at, &line, id, Arrival(at_step)) {
                    Ok(arrival) => {
                        passed.insert(digit, arrival);
                        seen.push("ok");
                    }
                    Err(_) => seen.push("no"),
                },
                _ => panic!("{step:?} is no step"),
            }
        }
        assert_eq!(format!("{} => {}", script.split(" => ").next().unwrap_or(""), seen.join(" ")), script);
    }

    #[test]
    fn a_line_stays_closed_until_the_refused_send_comes_again() {
        check("Pa1@0 => ok");
        check("Ra1@0, Pa2@1, Pb1@1 => no ok");
        check("Ra1@0, Pa2@1, Pa1@2, Pa2@3 => no ok ok");
        check("Ra1@0, Ra2@1, Pa2@2, Pa1@3 => no ok");
        check("Ra1@0, Ra1@900, Pa2@1000, Pa2@1900 => no ok");
    }

    #[test]
    fn of_two_that_were_refused_the_one_that_came_first_opens_their_line() {
        check("Ra2@0, Ra1@1, Pa2@2, Pa1@3, Pa2@4 => no ok ok");
        check("Ra3@0, Ra1@1, Ra2@2, Pa3@3, Pa2@4, Pa1@5 => no no ok");
        check("Ra2@0, Ra1@999, Pa2@1000, Pa2@1999 => no ok");
    }

    #[test]
    fn what_comes_again_keeps_its_place() {
        check("Ra1@0, Pa1@1, Ra2@2, Ra1@3, Pa2@4, Pa1@5 => ok no ok");
    }

    #[test]
    fn a_send_that_was_given_up_closes_its_line_for_a_second_whatever_else_is_tried() {
        check("Ra1@0, Pa2@500, Pa3@999, Pa2@1000 => no no ok");
        check("Ra1@0, Ra2@999, Pa3@1000 => ok");
        check("Ra1@0, Ra2@1000, Pa3@1001 => no");
    }

    #[test]
    fn what_cannot_be_remembered_closes_every_line() {
        check("Ra1@0, Rb1@0, Rc1@0, Pa1@1, Pd1@1, Pd1@1000 => ok no ok");
    }
}
