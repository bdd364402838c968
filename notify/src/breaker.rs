//! Whether a provider is asked at all: a breaker for each.
//!
//! Owns what its last answers say of the provider as a whole. What becomes of a job is [`crate::retry`]'s. Pure: the time is given.
//!
//! ```text
//!            credential, or a run of trouble             its time is over
//! closed ──────────────────────────────────────► open ──────────────────► half-open: one probe
//!   ▲ ▲                                           ▲ │                         │  │
//!   │ └── its time is over, after a quota ────────│─┘     trouble again, for  │  │
//!   │                                             └────── twice as long ──────┘  │
//!   └────────────────────────────── the provider did its work ───────────────────┘
//! ```
//!
//! Limit: an outcome does not say which attempt it is of. One that was under way before the breaker opened can pass for
//! that of the probe, and closes or opens the breaker once too often.

use schema::Instant;

use crate::{Fault, Outcome};

/// Attempts in a row that ended in trouble, whereupon the provider is left alone.
pub const TROUBLE_RUN: u32 = 20;

/// For how long it is left alone then. Doubles with each probe that ends so, up to [`TROUBLE_MS_MAX`].
pub const TROUBLE_MS: u64 = 5_000;

/// See [`TROUBLE_MS`].
pub const TROUBLE_MS_MAX: u64 = 60_000;

/// For how long it is left alone when it does not accept our key. Doubles with each probe that ends so, up to
/// [`CREDENTIAL_MS_MAX`].
pub const CREDENTIAL_MS: u64 = 60_000;

/// See [`CREDENTIAL_MS`].
pub const CREDENTIAL_MS_MAX: u64 = 600_000;

/// For how long it is left alone at most because it said so.
pub const QUOTA_MS_MAX: u64 = 3_600_000;

/// A probe whose outcome is not noted by then is followed by another: the attempt was not made after all.
pub const PROBE_MS_MAX: u64 = 30_000;

/// After which whoever waits for a probe's outcome asks again.
pub const PROBE_WAIT_MS: u64 = 1_000;

/// Whether an attempt may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Send,
    /// It may, and none beside it: its outcome decides. If it is not made, nothing is sent for [`PROBE_MS_MAX`].
    Probe,
    /// It may not. Asking again sooner is of no use.
    Wait {
        /// For so long, at least 1.
        ms: u64,
    },
}

/// For metrics and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The provider is used.
    Closed,
    /// It is left alone.
    Open,
    /// One attempt decides.
    HalfOpen,
}

impl State {
    /// Its word in metrics and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// One provider's breaker.
#[derive(Debug, Clone, Default)]
pub struct Breaker(Inner);

#[derive(Debug, Clone, Copy)]
enum Inner {
    Closed {
        /// Attempts in a row that ended in trouble.
        run: u32,
    },
    Open {
        until: Instant,
        cause: Cause,
    },
    HalfOpen {
        /// Another probe may be made then.
        until: Instant,
        cause: Cause,
    },
}

impl Default for Inner {
    fn default() -> Self {
        Self::Closed { run: 0 }
    }
}

/// Why a provider is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// No answers, or answers that say it is in trouble.
    Trouble {
        /// For how long it was left alone.
        ms: u64,
    },
    /// It does not accept our key.
    Credential {
        /// For how long it was left alone.
        ms: u64,
    },
    /// It asked for that, and needs no probe.
    Quota {
        /// For how long.
        ms: u64,
    },
}

impl Cause {
    fn ms(self) -> u64 {
        match self {
            Self::Trouble { ms } | Self::Credential { ms } | Self::Quota { ms } => ms,
        }
    }
}

/// What an outcome says of the provider.
enum Said {
    /// It does its work, be it that it refuses a target or what is sent.
    Works,
    Trouble,
    Credential,
    Quota {
        ms: Option<u64>,
    },
}

impl Breaker {
    /// Whether an attempt may be made. Whoever is told [`Verdict::Send`] or [`Verdict::Probe`] makes it, and notes its outcome.
    pub fn may_send(&mut self, now: Instant) -> Verdict {
        match self.0 {
            Inner::Closed { .. } => Verdict::Send,
            Inner::Open { until, .. } if now < until => Verdict::Wait { ms: ms_between(now, until) },
            Inner::Open { cause: Cause::Quota { .. }, .. } => {
                self.0 = Inner::Closed { run: 0 };
                Verdict::Send
            }
            Inner::HalfOpen { until, .. } if now < until => {
                Verdict::Wait { ms: ms_between(now, until).min(PROBE_WAIT_MS) }
            }
            Inner::Open { cause, .. } | Inner::HalfOpen { cause, .. } => {
                self.0 = Inner::HalfOpen { until: now.plus_ms(PROBE_MS_MAX), cause };
                Verdict::Probe
            }
        }
    }

    /// What came of an attempt.
    pub fn note(&mut self, now: Instant, outcome: &Outcome) {
        match (self.0, said(outcome)) {
            (Inner::Closed { .. } | Inner::HalfOpen { .. }, Said::Works) => self.0 = Inner::Closed { run: 0 },
            (Inner::Closed { run }, Said::Trouble) if run + 1 < TROUBLE_RUN => self.0 = Inner::Closed { run: run + 1 },
            (Inner::Closed { .. }, Said::Trouble) => self.open(now, Cause::Trouble { ms: TROUBLE_MS }),
            (Inner::HalfOpen { cause, .. }, Said::Trouble) => {
                let ms = match cause {
                    Cause::Trouble { ms } => (2 * ms).min(TROUBLE_MS_MAX),
                    Cause::Credential { .. } | Cause::Quota { .. } => TROUBLE_MS,
                };
                self.open(now, Cause::Trouble { ms });
            }
            (Inner::HalfOpen { cause: Cause::Credential { ms }, .. }, Said::Credential) => {
                self.open(now, Cause::Credential { ms: (2 * ms).min(CREDENTIAL_MS_MAX) });
            }
            // Of an attempt that was under way when it opened for that.
            (Inner::Open { cause: Cause::Credential { .. }, .. }, Said::Credential) => {}
            (_, Said::Credential) => self.open(now, Cause::Credential { ms: CREDENTIAL_MS }),
            (Inner::Closed { .. } | Inner::HalfOpen { .. }, Said::Quota { ms: Some(ms) }) => {
                self.open(now, Cause::Quota { ms: ms.min(QUOTA_MS_MAX) });
            }
            // What it was left alone for is still so afterwards.
            (Inner::Open { until, cause }, Said::Quota { ms: Some(ms) }) => {
                self.0 = Inner::Open { until: until.max(now.plus_ms(ms.min(QUOTA_MS_MAX))), cause };
            }
            // It is there again, and says nothing of when.
            (Inner::HalfOpen { .. }, Said::Quota { ms: None }) => self.0 = Inner::Closed { run: 0 },
            // Neither that it does its work nor that it is in trouble.
            (Inner::Closed { .. }, Said::Quota { ms: None }) => {}
            // Of attempts that were under way when it opened; it is for the probe to find out.
            (Inner::Open { .. }, Said::Works | Said::Trouble | Said::Quota { ms: None }) => {}
        }
    }

    /// For as long as the cause says, and no shorter than it was left alone already.
    fn open(&mut self, now: Instant, cause: Cause) {
        let already = match self.0 {
            Inner::Open { until, .. } => until,
            Inner::Closed { .. } | Inner::HalfOpen { .. } => now,
        };
        self.0 = Inner::Open { until: now.plus_ms(cause.ms()).max(already), cause };
    }

    /// What it is now.
    #[must_use]
    pub fn state(&self) -> State {
        match self.0 {
            Inner::Closed { .. } => State::Closed,
            Inner::Open { .. } => State::Open,
            Inner::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

fn said(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Sent { .. } => Said::Works,
        Outcome::Failed { fault, retry_after_ms, .. } => match fault {
            Fault::Gone | Fault::Payload => Said::Works,
            Fault::Transient | Fault::Network => Said::Trouble,
            Fault::Credential => Said::Credential,
            Fault::Quota => Said::Quota { ms: *retry_after_ms },
        },
    }
}

/// Rounded up, so that the time has come after as long as that.
fn ms_between(now: Instant, until: Instant) -> u64 {
    u64::try_from(until.since(now).as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries out the words of a story. `network`, `ok`, … note an outcome, `quota:500` one with a `Retry-After`,
    /// `network*20` so many of them; `+500` lets as many ms pass; `?send`, `?probe`, `?wait:500` are what it says when asked.
    fn check(story: &str) {
        let (mut breaker, mut now) = (Breaker::default(), Instant(u64::MAX / 2));
        for (at, word) in story.split_whitespace().enumerate() {
            let told = format!("word {at} of {story:?}: {breaker:?}");
            if let Some(expected) = word.strip_prefix('?') {
                let got = match breaker.may_send(now) {
                    Verdict::Send => "send".to_owned(),
                    Verdict::Probe => "probe".to_owned(),
                    Verdict::Wait { ms } => format!("wait:{ms}"),
                };
                assert_eq!(got, expected, "{told}");
            } else if let Some(ms) = word.strip_prefix('+') {
                now = now.plus_ms(ms.parse().expect("ms"));
            } else {
                let (word, times) =
                    word.split_once('*').map_or((word, 1), |(word, times)| (word, times.parse().expect("a number")));
                let outcome = outcome(word);
                (0..times).for_each(|_| breaker.note(now, &outcome));
            }
        }
    }

    fn outcome(word: &str) -> Outcome {
        let (word, retry_after_ms) =
            word.split_once(':').map_or((word, None), |(word, ms)| (word, Some(ms.parse().expect("ms"))));
        let fault = Fault::ALL.iter().copied().find(|fault| fault.word() == word);
        match fault {
            Some(fault) => Outcome::Failed { fault, retry_after_ms, detail: String::new() },
            None if word == "ok" => Outcome::Sent { provider_id: None },
            None => panic!("{word:?} is no outcome"),
        }
    }

    #[test]
    fn a_run_of_trouble_opens_it_and_each_probe_that_fails_doubles_the_time() {
        check("?send network*19 ?send network ?wait:5000");
        check("network*10 transient*10 ?wait:5000 +4999 ?wait:1 +1 ?probe ?wait:1000");
        check("network*19 ok network*19 ?send");
        check("network*19 gone network*19 payload network*19 ?send");
        check("network*19 quota network ?wait:5000");
        check("network*20 +5000 ?probe ok ?send ?send network*19 ?send network ?wait:5000");
        check("network*20 +5000 ?probe gone ?send");
        check("network*20 +5000 ?probe network ?wait:10000 +10000 ?probe transient ?wait:20000");
        check(
            "network*20 +5000 ?probe network +10000 ?probe network +20000 ?probe network +40000 ?probe network ?wait:60000",
        );
        check("network*20 +5000 ?probe network +10000 ?probe ok network*20 ?wait:5000");
    }

    #[test]
    fn a_key_that_does_not_count_opens_it_at_once() {
        check("credential ?wait:60000 +60000 ?probe credential ?wait:120000 +120000 ?probe ok ?send");
        check(
            "credential +60000 ?probe credential +120000 ?probe credential +240000 ?probe credential +480000 ?probe credential ?wait:600000",
        );
        check("credential +60000 ?probe credential +120000 ?probe ok credential ?wait:60000");
        check("network*20 ?wait:5000 credential ?wait:60000");
        check("network*20 +5000 ?probe credential ?wait:60000");
        check("credential +60000 ?probe network ?wait:5000 +5000 ?probe credential ?wait:60000");
    }

    #[test]
    fn a_provider_that_says_when_is_left_alone_for_as_long_and_needs_no_probe() {
        check("quota ?send");
        check("quota:0 ?send");
        check("quota:7000 ?wait:7000 +7000 ?send ?send");
        check("quota:7000 +1000 quota:20000 ?wait:20000");
        check("quota:7000 +1000 quota:1000 ?wait:6000");
        check("quota:9999999999 ?wait:3600000");
        check("quota:18446744073709551615 ?wait:3600000");
        check("quota:3600000 credential ?wait:3600000 +3600000 ?probe");
        check("network*20 +5000 ?probe quota ?send");
        check("network*20 +5000 ?probe quota:7000 ?wait:7000 +7000 ?send");
        check("credential quota:90000 ?wait:90000 +90000 ?probe credential ?wait:120000");
    }

    #[test]
    fn what_was_under_way_when_it_opened_changes_nothing() {
        check("network*40 ?wait:5000");
        check("network*20 +1000 network*100 ?wait:4000");
        check("network*20 ok ?wait:5000");
        check("credential*40 +1000 credential ok ?wait:59000");
        check("quota:7000 ok network*40 ?wait:7000");
    }

    #[test]
    fn a_probe_whose_outcome_nobody_notes_is_followed_by_another() {
        check("network*20 +5000 ?probe +29500 ?wait:500 +500 ?probe ?wait:1000 network ?wait:10000");
        check("network*20 +900000 ?probe ?wait:1000");
    }

    #[test]
    fn a_clock_at_its_end_is_no_fault() {
        let mut breaker = Breaker::default();
        breaker.note(Instant(u64::MAX), &outcome("credential"));
        assert_eq!(breaker.may_send(Instant(u64::MAX)), Verdict::Probe);
        assert_eq!(breaker.may_send(Instant(0)), Verdict::Wait { ms: PROBE_WAIT_MS });
    }

    #[test]
    fn after_a_wait_the_time_has_come() {
        let mut breaker = Breaker::default();
        breaker.note(Instant(0), &outcome("credential"));
        let now = Instant(1);
        assert_eq!(breaker.may_send(now), Verdict::Wait { ms: CREDENTIAL_MS }, "rounded up");
        assert_eq!(breaker.may_send(now.plus_ms(CREDENTIAL_MS)), Verdict::Probe);
    }

    #[test]
    fn its_state_is_told() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.state(), State::Closed);
        breaker.note(Instant(0), &outcome("credential"));
        assert_eq!(breaker.state(), State::Open);
        assert_eq!(breaker.may_send(Instant(0).plus_ms(CREDENTIAL_MS)), Verdict::Probe);
        assert_eq!(breaker.state(), State::HalfOpen);
    }
}
