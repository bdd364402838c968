//! Rest of a hook that fails: whether it is asked at all.
//!
//! Owns that several failures in a row leave it alone for a while, twice as long each time, and that one question then decides.
//! Shorter than what providers are left alone for ([`crate::breaker`]): people wait for the answer. Pure: the time is given.

use std::time::{Duration, Instant};

/// Failures in a row, whereupon it is left alone.
const FAILURES: u32 = 5;
/// For how long then. Doubles each time that the question after it fails too, up to [`REST_MAX`].
const REST: Duration = Duration::from_secs(1);
/// See [`REST`].
const REST_MAX: Duration = Duration::from_secs(15);
/// A question that decides and has no outcome by then is followed by another: more than a hook has to answer.
const PROBE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) enum Rest {
    /// It is asked.
    Asked {
        /// Failures in a row.
        failures: u32,
    },
    /// It is left alone.
    LeftAlone {
        until: Instant,
        /// How long that is.
        lasts: Duration,
    },
    /// One question decides.
    Probed {
        /// Another may be made then.
        until: Instant,
        /// How long it was left alone before.
        lasted: Duration,
    },
}

impl Default for Rest {
    fn default() -> Self {
        Self::Asked { failures: 0 }
    }
}

impl Rest {
    /// Whether it may be asked. Whoever hears so asks, and notes what came of it.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        match *self {
            Self::Asked { .. } => true,
            Self::LeftAlone { until, .. } | Self::Probed { until, .. } if now < until => false,
            Self::LeftAlone { lasts: lasted, .. } | Self::Probed { lasted, .. } => {
                *self = Self::Probed { until: now + PROBE, lasted };
                true
            }
        }
    }

    /// Nobody waits for a question any more, which was not answered: another decides, if it was to.
    pub(super) fn withdraw(&mut self, now: Instant) {
        if let Self::Probed { lasted, .. } = *self {
            *self = Self::LeftAlone { until: now, lasts: lasted };
        }
    }

    /// What came of a question.
    pub(super) fn note(&mut self, now: Instant, answered: bool) {
        let leave_alone = |lasts| Self::LeftAlone { until: now + lasts, lasts };
        *self = match *self {
            _ if answered => Self::default(),
            Self::Asked { failures } if failures + 1 < FAILURES => Self::Asked { failures: failures + 1 },
            Self::Asked { .. } => leave_alone(REST),
            // Of a question that was under way by then.
            Self::LeftAlone { until, lasts } => Self::LeftAlone { until, lasts },
            Self::Probed { lasted, .. } => leave_alone((2 * lasted).min(REST_MAX)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `?` asks, `+` notes an answer, `-` a failure and `w` that nobody waits any more, each after so many seconds more; behind the arrow what was asked.
    fn check(row: &str) {
        let (steps, expected) = row.split_once(" => ").expect("a row says what comes of it");
        let (mut rest, mut now, mut seen) = (Rest::default(), Instant::now(), String::new());
        for step in steps.split(' ') {
            let (kind, seconds) = step.split_at(1);
            now += Duration::from_secs_f64(if seconds.is_empty() { 0.0 } else { seconds.parse().expect("seconds") });
            match kind {
                "?" => seen.push(if rest.may_ask(now) { 'y' } else { 'n' }),
                "+" => rest.note(now, true),
                "-" => rest.note(now, false),
                "w" => rest.withdraw(now),
                _ => panic!("{step:?} is no step"),
            }
        }
        assert_eq!(seen, expected, "{row}");
    }

    #[test]
    fn a_hook_that_fails_five_times_in_a_row_is_left_alone_and_then_asked_once() {
        check("- - - - ? => y");
        check("- - - - - ? ?0.9 ?0.2 ? => nnyn");
        check("- - - - + - - - - ? => y");
        check("- - - - - - - ?1 ? => yn");
        check("- - - - - ?1 + ? ? => yyy");
    }

    #[test]
    fn it_is_left_alone_for_twice_as_long_each_time_up_to_a_quarter_of_a_minute() {
        check("- - - - - ?1 - ?1.9 ?0.1 - ?3.9 ?0.1 - ?8 - ?14.9 ?0.1 - ?15 => ynynyynyy");
        check("- - - - - ?1 ?9.9 ?0.1 => yny");
    }

    #[test]
    fn a_question_that_nobody_waits_for_decides_nothing() {
        check("- - - - w - ? ?1 => ny");
        check("- - - - - ?1 w ? ? - ?1.9 ?0.1 => yynny");
    }
}
