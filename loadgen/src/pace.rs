//! Due times of messages: the arithmetic of open and closed loops.
//!
//! Owns no clock and no state. A message's due time is a function of its number alone, so a schedule that the
//! server cannot keep up with costs no memory, and a late message is still timed from when it was due:
//! what the server's stall did to the messages behind it is in the figures (no coordinated omission).

use std::num::{NonZeroU32, NonZeroU64};

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// How sends are paced. Times are nanoseconds on the engine's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// A connection sends whenever fewer than `pipeline` of its messages are unanswered.
    Closed { pipeline: NonZeroU32 },
    /// Message `i` of the whole run is due at `start_ns + i / rate`, on connection `i % connections`.
    Open { rate: NonZeroU64, connections: NonZeroU32, start_ns: u64 },
}

impl Pace {
    /// Every message of `connection` numbered below this may be sent at `now_ns`.
    /// `unanswered` is the number of its oldest message without an answer.
    pub(crate) fn allowance(&self, connection: usize, unanswered: u64, now_ns: u64) -> u64 {
        match *self {
            Self::Closed { pipeline } => unanswered + u64::from(pipeline.get()),
            Self::Open { connections, .. } => {
                let (due, connection) = (self.due(now_ns), connection as u64);
                due.saturating_sub(connection).div_ceil(u64::from(connections.get()))
            }
        }
    }

    /// When message `seq` of `connection`, sent at `now_ns`, was meant to be sent.
    pub(crate) fn intended_ns(&self, connection: usize, seq: u64, now_ns: u64) -> u64 {
        match *self {
            Self::Closed { .. } => now_ns,
            Self::Open { rate, connections, start_ns } => {
                let message = u128::from(seq) * u128::from(connections.get()) + connection as u128;
                let since_start = message * u128::from(SECOND_NS) / u128::from(rate.get());
                start_ns + since_start as u64
            }
        }
    }

    /// How many messages of the whole run are due by `now_ns`, in an open loop; none are in a closed one.
    pub(crate) fn due(&self, now_ns: u64) -> u64 {
        match *self {
            Self::Closed { .. } => 0,
            Self::Open { start_ns, .. } if now_ns < start_ns => 0,
            Self::Open { rate, start_ns, .. } => {
                // The inverse of `intended_ns`, which rounds down: the largest i with i * SECOND / rate < now + 1.
                let through = u128::from(now_ns - start_ns + 1) * u128::from(rate.get());
                ((through - 1) / u128::from(SECOND_NS)) as u64 + 1
            }
        }
    }

    /// When message `index` of the whole run is due, in an open loop.
    pub(crate) fn due_ns(&self, index: u64) -> Option<u64> {
        match *self {
            Self::Closed { .. } => None,
            Self::Open { connections, .. } => {
                let connections = u64::from(connections.get());
                Some(self.intended_ns((index % connections) as usize, index / connections, 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(rate: u64, connections: u32) -> Pace {
        Pace::Open {
            rate: NonZeroU64::new(rate).unwrap(),
            connections: NonZeroU32::new(connections).unwrap(),
            start_ns: 1_000,
        }
    }

    #[test]
    fn an_open_loop_sends_what_is_due_and_no_more() {
        let at = |ms: u64| 1_000 + ms * 1_000_000;
        check(open(1_000, 1), 999, &[0]);
        check(open(1_000, 1), at(0), &[1]);
        check(open(1_000, 1), at(1) - 1, &[1]);
        check(open(1_000, 1), at(1), &[2]);
        check(open(1_000, 3), at(0), &[1, 0, 0]);
        check(open(1_000, 3), at(4), &[2, 2, 1]);
        check(open(1_000, 3), at(1_000), &[334, 334, 333]);
    }

    #[test]
    fn a_closed_loop_depends_on_answers_alone() {
        let pace = Pace::Closed { pipeline: NonZeroU32::new(4).unwrap() };
        assert_eq!(pace.allowance(0, 0, 0), 4);
        assert_eq!(pace.allowance(7, 10, 99), 14);
        assert_eq!(pace.intended_ns(7, 3, 99), 99);
    }

    #[test]
    fn a_message_is_due_at_the_instant_that_is_its_due_time() {
        for rate in [1, 3, 7, 999, 20_000, 1_234_567, 50_000_000] {
            let pace = open(rate, 7);
            for index in (0..10_000).chain(rate * 3_600..rate * 3_600 + 10_000) {
                let due_ns = pace.due_ns(index).unwrap();
                assert!(pace.due(due_ns) > index, "rate {rate}: {index} is not due at {due_ns}");
                assert!(pace.due(due_ns - 1) <= index, "rate {rate}: {index} is due before {due_ns}");
            }
        }
    }

    fn check(pace: Pace, now_ns: u64, allowances: &[u64]) {
        let got: Vec<u64> = (0..allowances.len()).map(|connection| pace.allowance(connection, 0, now_ns)).collect();
        assert_eq!(got, allowances, "{pace:?} at {now_ns}");
    }
}
