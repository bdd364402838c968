//! Order of sends after a refusal (rule 7).
//!
//! Once a send was refused for now, the sends behind it are refused too, until it comes again. Owns the memory of such
//! refusals. The sends behind the refused one are on their way already, so nobody can say which they are: instead a
//! line stays closed until the refused send itself is repeated. A sender that gives it up waits for [`CLOSED_MS`].

use std::collections::BTreeMap;

use schema::{ClientMsgId, ErrorCode, Instant, Refusal};

/// Time that a line stays closed for a send that does not come again: a client's round trip, queues included.
const CLOSED_MS: u64 = 1_000;
/// When a client should repeat what was refused for what went before it.
const RETRY_MS: u32 = 100;

/// The lines that a refusal has closed. `K` names a line: whose sends, and where.
#[derive(Debug)]
pub(crate) struct SendOrder<K> {
    closed: BTreeMap<K, (ClientMsgId, Instant)>,
    /// More were refused than can be remembered: until then every line is closed.
    all_until: Instant,
    max: usize,
}

impl<K: Ord> SendOrder<K> {
    /// Remembers at most `max` lines. Beyond it all are closed rather than one forgotten.
    pub(crate) fn new(max: usize) -> Self {
        Self { closed: BTreeMap::new(), all_until: Instant::default(), max }
    }

    /// Whether a send may pass. The one that was refused opens its line again.
    pub(crate) fn pass(&mut self, now: Instant, line: &K, id: ClientMsgId) -> Result<(), Refusal> {
        let closed = match self.closed.get(line) {
            Some(&(first, until)) if first == id || until <= now => {
                self.closed.remove(line);
                false
            }
            Some(_) => true,
            None => now < self.all_until,
        };
        if closed {
            let message = "an earlier message to this channel was refused, send both again in their order";
            return Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(RETRY_MS));
        }
        Ok(())
    }

    /// A send was refused and may be repeated.
    pub(crate) fn refused(&mut self, now: Instant, line: K, id: ClientMsgId) {
        let until = now.plus_ms(CLOSED_MS);
        if self.closed.len() < self.max || self.closed.contains_key(&line) {
            let kept = self.closed.entry(line).or_insert((id, until));
            if kept.1 <= now || kept.0 == id {
                *kept = (id, until);
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
        self.closed.retain(|_, &mut (_, until)| now < until);
    }
}

#[cfg(test)]
mod tests {
    use schema::UnixMs;

    use super::*;

    /// `R` refuses and `P` asks to pass, each with a line's letter, a message's digit and the time in milliseconds.
    fn check(script: &str) {
        let mut order = SendOrder::new(2);
        let mut seen = Vec::new();
        for step in script.split(" => ").next().expect("split gives one").split(", ") {
            let [kind, line, id] = step.as_bytes()[..3] else { panic!("{step:?} is no step") };
            let id = ClientMsgId::new(UnixMs(0), u128::from(id));
            let at = Instant(step[4..].parse::<u64>().expect("a time in ms") * 1_000_000);
            match kind {
                b'R' => order.refused(at, line, id),
                b'P' => seen.push(if order.pass(at, &line, id).is_ok() { "ok" } else { "no" }),
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
