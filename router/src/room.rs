//! Room for what the store has to do: how many operations a shard's home of channels takes on before it answers them.
//!
//! Owns how many there are, their bytes, since when the oldest waits, and when those come back who found no room. What is
//! bounded is the time that an operation waits, since neither a number nor bytes say how long that is: once the oldest has
//! waited for [`APPEND_WAIT_MS_MAX`], nothing more is taken on until it has its answer. Then what is taken on is answered in
//! about that time, whatever is asked beyond what the store takes; without it each would wait behind all before it. What
//! one batch takes always has room, since waiting for it is no queue.
//! Knows no operation and no asker. Upholds the inbound half of I11.

use std::collections::VecDeque;

use schema::limits::{
    APPEND_RETRY_MS_MAX, APPEND_RETRY_MS_MIN, APPEND_WAIT_MS_MAX, BATCH_MESSAGES_MAX, PENDING_APPEND_BYTES_MAX,
    PENDING_APPENDS_MAX,
};
use schema::{ErrorCode, Instant, Refusal};

const SECOND_NS: u64 = 1_000_000_000;
/// Operations that make a store busy: a batch of so many is bound by the processor, a smaller one by the disk.
const APPENDS_BUSY: u32 = 64;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pending: u32,
    pending_bytes: u32,
    /// How many wait of those that came at one time, the oldest first. Of the oldest at least one does.
    waiting: VecDeque<(Instant, u32)>,
    /// Answers in this second, and in the last.
    answers: u32,
    answers_per_s: u32,
    /// Until then there is a moment for each of those who are to come again.
    booked_until: Instant,
}

/// The room that one operation takes until it is answered.
#[derive(Debug)]
pub(crate) struct Place {
    since: Instant,
    bytes: u32,
}

impl Room {
    /// Whether there is room for one more.
    ///
    /// # Errors
    /// 114, with a moment of its own to come again.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), Refusal> {
        let waits_ms = self.waits_ms(now);
        let is_full = self.pending >= PENDING_APPENDS_MAX || self.pending_bytes >= PENDING_APPEND_BYTES_MAX;
        let is_late = self.pending >= BATCH_MESSAGES_MAX && waits_ms >= APPEND_WAIT_MS_MAX;
        if !is_full && !is_late {
            return Ok(());
        }
        let (pending, bytes) = (self.pending, self.pending_bytes);
        let message = format!(
            "{pending} operations of {bytes} bytes wait for the store, the first for {waits_ms} ms, send it again later"
        );
        Err(Refusal::new(ErrorCode::Overloaded, message).after_ms(self.book(now)))
    }

    /// One more waits, of so many bytes.
    pub(crate) fn enter(&mut self, now: Instant, bytes: u32) -> Place {
        self.pending += 1;
        self.pending_bytes += bytes;
        match self.waiting.back_mut().filter(|(since, _)| *since == now) {
            Some((_, count)) => *count += 1,
            None => self.waiting.push_back((now, 1)),
        }
        Place { since: now, bytes }
    }

    /// One has its answer.
    pub(crate) fn leave(&mut self, Place { since, bytes }: Place) {
        self.pending -= 1;
        self.pending_bytes -= bytes;
        self.answers += 1;
        let at = self.waiting.binary_search_by_key(&since, |&(since, _)| since);
        self.waiting[at.expect("I12: what is answered was asked")].1 -= 1;
        while self.waiting.front().is_some_and(|&(_, count)| count == 0) {
            self.waiting.pop_front();
        }
    }

    /// A second has passed.
    pub(crate) fn tick(&mut self) {
        self.answers_per_s = std::mem::take(&mut self.answers);
    }

    /// How many wait.
    pub(crate) fn pending(&self) -> u32 {
        self.pending
    }

    /// Whether the store has so much to do that what can wait should.
    pub(crate) fn is_busy(&self) -> bool {
        self.pending >= APPENDS_BUSY
    }

    /// For how long the oldest waits.
    pub(crate) fn waits_ms(&self, now: Instant) -> u64 {
        let oldest = self.waiting.front().map(|&(since, _)| now.since(since).as_millis());
        oldest.map_or(0, |ms| u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// When the next is to come who found no room: as many a second as are answered, so that the store has something to
    /// do and they do not come together again.
    fn book(&mut self, now: Instant) -> u32 {
        let first = now.plus_ms(APPEND_RETRY_MS_MIN);
        let each_ns = SECOND_NS / u64::from(self.answers_per_s.max(1));
        let at = first.max(self.booked_until).min(now.plus_ms(APPEND_RETRY_MS_MAX));
        self.booked_until = Instant(at.0.saturating_add(each_ns));
        u32::try_from(at.since(now).as_millis()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps at times in milliseconds: `N enter` are taken on, `N answer` of the oldest are answered, `tick` is a second's
    /// end, and `N ask` whether there is room, which the expectation tells: `+`, or after how many milliseconds to come.
    fn check(steps: &str, expected: &str) {
        let mut room = Room::default();
        let mut places = VecDeque::new();
        let mut told = Vec::new();
        for step in steps.split(", ") {
            let words: Vec<&str> = step.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().expect("a number");
            let now = Instant(0).plus_ms(number(0));
            match words[1] {
                "tick" => room.tick(),
                "enter" => (0..number(2)).for_each(|_| places.push_back(room.enter(now, 300))),
                "answer" => (0..number(2)).for_each(|_| room.leave(places.pop_front().expect("one waits"))),
                "ask" => {
                    for _ in 0..number(2) {
                        told.push(match room.check(now) {
                            Ok(()) => "+".to_owned(),
                            Err(refusal) => refusal.retry_after_ms.to_string(),
                        });
                    }
                }
                other => panic!("no step {other}"),
            }
        }
        assert_eq!(told.join(" "), expected, "{steps}");
    }

    #[test]
    fn nothing_is_taken_on_behind_what_has_waited_for_too_long() {
        check("0 enter 500, 0 ask 1, 499 ask 1, 500 ask 1", "+ + 100");
        check("0 enter 250, 100 enter 250, 550 ask 1, 550 answer 250, 550 ask 1", "100 +");
        check("0 enter 300, 400 enter 900, 600 ask 1, 600 answer 300, 600 ask 1", "100 +");
        check("0 enter 500, 0 enter 500, 500 answer 500, 500 ask 1, 510 answer 500, 510 ask 1", "100 +");
    }

    #[test]
    fn what_one_batch_takes_always_has_room() {
        check("0 enter 499, 60000 ask 1", "+");
    }

    #[test]
    fn there_is_a_bound_whatever_the_time() {
        check("0 enter 99999, 0 ask 1, 0 enter 1, 0 ask 1", "+ 100");
    }

    #[test]
    fn as_many_are_told_to_come_in_a_second_as_were_answered_in_the_last() {
        let slow = "0 enter 2000, 900 answer 100, 1000 tick";
        check(&format!("{slow}, 1000 ask 4"), "100 110 120 130");
        check(&format!("{slow}, 1000 ask 2, 1110 ask 3"), "100 110 100 110 120");
        check("0 enter 2000, 1000 tick, 1000 ask 8", "100 1100 2100 3100 4100 5000 5000 5000");
    }
}
