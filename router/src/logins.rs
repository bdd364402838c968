//! Logins that a shard begins: as many as the store takes without being slow for everybody else.
//!
//! Owns the rate, a token bucket, how many of a login's questions are under way, and when those come back who found no
//! place. After a node's death, or a network's, all of its sessions come at once: each is a look at a token, a read of
//! an inbox and a commit, and the store that answers them is the one that sends wait for. What is under way bounds what a
//! send can find before it, from the first moment on, when nothing is known yet of how long the store takes; the rate is
//! halved when that is long, and grows by a step each second in which it is not. Knows no session and no store: what is
//! begun, and how long it took, comes in.
//! Upholds the inbound half of I11.

use pace::Rate;
use schema::limits::{
    HOME_TICK_MS, LOGIN_MS, LOGIN_SLOW_MS, LOGINS_PER_S_FIRST, LOGINS_PER_S_MAX, LOGINS_PER_S_MIN, LOGINS_PER_S_STEP,
    LOGINS_UNDER_WAY_MAX,
};
use schema::{ErrorCode, Instant, Refusal};

const SECOND_NS: u64 = 1_000_000_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Logins {
    per_s: u32,
    /// When the bucket is full again. It holds the logins of a second.
    full_at: Instant,
    /// Until then there is a moment for each of those who are to come again.
    booked_until: Instant,
    /// Tokens that the store is looking at, and inboxes that it opens for sessions of whatever shard.
    under_way: u32,
    /// When the rate was halved last: what was asked before says nothing of the new one.
    halved_at: Instant,
    begun: u64,
}

/// A login that is not begun now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Later {
    /// When to come again. Everyone is told a moment of their own.
    pub(crate) retry_after_ms: u32,
    /// Whether that is beyond the time that its connection has for a login.
    pub(crate) is_too_late: bool,
}

impl Default for Logins {
    fn default() -> Self {
        let (full_at, booked_until, halved_at) = (Instant(0), Instant(0), Instant(0));
        Self { per_s: LOGINS_PER_S_FIRST, full_at, booked_until, under_way: 0, halved_at, begun: 0 }
    }
}

impl Logins {
    /// A connection that has this long for it wants to log in.
    pub(crate) fn begin(&mut self, now: Instant, until: Instant) -> Result<(), Later> {
        let has_room = self.under_way < LOGINS_UNDER_WAY_MAX;
        let wait_ns = match self.rate().take(self.full_at.0, now.0, 1) {
            Ok(full_at) if has_room => {
                self.full_at = Instant(full_at);
                self.begun += 1;
                self.asked();
                return Ok(());
            }
            Ok(_) => LOGIN_SLOW_MS * 1_000_000,
            Err(wait_ns) => wait_ns,
        };
        let at = Instant(now.0 + wait_ns).max(self.booked_until);
        let is_too_late = at >= until;
        if !is_too_late {
            self.booked_until = Instant(at.0 + self.rate().refill);
        }
        let wait_ms = at.since(now).as_nanos().div_ceil(1_000_000);
        Err(Later { retry_after_ms: u32::try_from(wait_ms).unwrap_or(u32::MAX), is_too_late })
    }

    /// Whether a connection that opened now would have no time left to log in.
    pub(crate) fn is_booked(&self, now: Instant) -> bool {
        self.booked_until >= now.plus_ms(LOGIN_MS)
    }

    /// The store is asked what a login leads to, that of a session of this shard or of another.
    pub(crate) fn asked(&mut self) {
        self.under_way += 1;
    }

    /// The store has answered that, or said that it cannot.
    pub(crate) fn answered(&mut self, now: Instant, asked_at: Instant, refusal: Option<&Refusal>) {
        self.under_way = self.under_way.checked_sub(1).expect("I12: what is answered was asked");
        let is_away = refusal
            .is_some_and(|refusal| matches!(refusal.code, ErrorCode::StorageUnavailable | ErrorCode::Overloaded));
        if (is_away || now >= asked_at.plus_ms(LOGIN_SLOW_MS)) && asked_at >= self.halved_at {
            self.per_s = (self.per_s / 2).max(LOGINS_PER_S_MIN);
            self.halved_at = now;
            tracing::debug!(per_s = self.per_s, "logins are slow: fewer are begun");
        }
    }

    /// A second has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.halved_at == Instant(0) || now >= self.halved_at.plus_ms(HOME_TICK_MS) {
            self.per_s = (self.per_s + LOGINS_PER_S_STEP).min(LOGINS_PER_S_MAX);
        }
    }

    /// Logins that are begun in a second at most.
    pub(crate) fn per_s(&self) -> u32 {
        self.per_s
    }

    /// Logins that were begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    fn rate(&self) -> Rate {
        Rate { burst: self.per_s, refill: SECOND_NS / u64::from(self.per_s) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps at times in milliseconds, and what comes of each: `logins N` begins some, `opens N` asks for inboxes,
    /// `answers N ASKED` are the store's answers to what was asked then, `away ASKED` is its refusal of one, `seconds N`
    /// are ticks, and `rate` says what the rate is.
    fn check(steps: &str, expected: &str) {
        let mut logins = Logins::default();
        let mut told = Vec::new();
        for step in steps.split(", ") {
            let words: Vec<&str> = step.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().expect("a number");
            let now = Instant(0).plus_ms(number(0));
            match words[1] {
                "logins" => {
                    for _ in 0..number(2) {
                        told.push(match logins.begin(now, now.plus_ms(LOGIN_MS)) {
                            Ok(()) => "+".to_owned(),
                            Err(Later { is_too_late: true, .. }) => "closed".to_owned(),
                            Err(Later { retry_after_ms, .. }) => format!("{retry_after_ms}"),
                        });
                    }
                }
                "opens" => (0..number(2)).for_each(|_| logins.asked()),
                "answers" => {
                    for _ in 0..number(2) {
                        logins.answered(now, Instant(0).plus_ms(number(3)), None);
                    }
                }
                "away" => {
                    let refusal = Refusal::new(ErrorCode::StorageUnavailable, "away");
                    logins.answered(now, Instant(0).plus_ms(number(2)), Some(&refusal));
                }
                "seconds" => (0..number(2)).for_each(|_| logins.tick(now)),
                "rate" => told.push(format!("rate {}", logins.per_s())),
                "booked" => told.push(if logins.is_booked(now) { "booked" } else { "room" }.to_owned()),
                other => panic!("no step {other}"),
            }
        }
        let runs = told.chunk_by(|one, other| one == other);
        let counted =
            runs.map(|run| if run.len() == 1 { run[0].clone() } else { format!("{} ×{}", run[0], run.len()) });
        assert_eq!(counted.collect::<Vec<_>>().join(", "), expected, "{steps}");
    }

    #[test]
    fn so_many_at_once_and_everyone_else_is_told_a_moment_of_their_own() {
        check("1000 logins 128, 1000 logins 3", "+ ×128, 100, 101, 102");
        check("1000 logins 128, 1001 answers 128 1000, 1001 logins 129", "+ ×256, 100");
        let all = "1000 logins 60, 1000 answers 60 1000, ".repeat(16);
        check(&format!("{all}1000 logins 43"), "+ ×1000, 1, 2, 3");
        check(&format!("{all}1000 logins 43, 1003 logins 4"), "+ ×1000, 1, 2, 3, + ×3, 1");
    }

    #[test]
    fn inboxes_that_are_opened_count_as_tokens_do_whosever_sessions_they_are_for() {
        check("1000 opens 124, 1000 logins 6", "+ ×4, 100, 101");
        check("1000 opens 134, 1000 logins 1, 1010 answers 7 1000, 1200 logins 2", "100, +, 100");
        check("1000 logins 40, 1001 answers 40 1000, 1001 opens 40, 1001 logins 89", "+ ×128, 100");
    }

    #[test]
    fn whose_moment_would_come_too_late_is_closed_and_so_is_who_opens_a_connection_then() {
        let slow = "1000 logins 9, 1200 answers 5 1000, 1200 away 1200, 1201 away 1201, 1202 away 1202, 1203 away 1203";
        check(&format!("{slow}, 1203 rate"), "+ ×9, rate 50");
        check("1000 logins 128, 1000 booked", "+ ×128, room");
        let mut logins = Logins { per_s: LOGINS_PER_S_MIN, under_way: LOGINS_UNDER_WAY_MAX, ..Logins::default() };
        let now = Instant(0).plus_ms(1_000);
        let told = (0..600).map(|_| logins.begin(now, now.plus_ms(LOGIN_MS)).expect_err("there is no room"));
        let closed = told.filter(|later| later.is_too_late).count();
        assert_eq!(closed, 600 - 495, "one each 20 ms from 100 ms on has its moment within 10 s");
        assert!(logins.is_booked(now) && !logins.is_booked(now.plus_ms(20)));
    }

    #[test]
    fn the_rate_is_halved_by_what_is_slow_once_for_what_was_asked_at_it_and_grows_by_steps() {
        check("1000 logins 3, 1099 answers 3 1000, 1100 rate", "+ ×3, rate 1000");
        check("1000 logins 3, 1100 answers 3 1000, 1100 rate", "+ ×3, rate 500");
        check(
            "1000 logins 3, 1100 answers 1 1000, 1100 logins 1, 1150 answers 2 1000, 1200 answers 1 1100, 1200 rate",
            "+ ×4, rate 250",
        );
        check(
            "1000 logins 1, 1000 away 1000, 1000 rate, 1100 seconds 1, 1100 rate, 2000 seconds 1, 2000 rate, 3000 seconds 20, 3000 rate",
            "+, rate 500 ×2, rate 750, rate 5000",
        );
    }
}
