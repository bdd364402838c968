//! Pauses of those who did not take a call: twice as long each time, give or take a fifth.

use std::time::{Duration, Instant};

use schema::UnixMs;

/// The pause after the first call that was not taken, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Somebody who did not take a call, and is left alone for a while.
pub(super) struct Pause {
    /// How often in a row.
    pub(super) times: u32,
    /// When the oldest came of what waits.
    pub(super) waits: UnixMs,
    until: Instant,
}

impl Pause {
    /// The pause after one more, of somebody who may say how long it wants to be left alone.
    pub(super) fn after(before: Option<&Self>, waits: UnixMs, retry_after: Option<Duration>) -> Self {
        let times = before.map_or(0, |pause| pause.times).saturating_add(1);
        let wanted = retry_after.unwrap_or_default().min(PAUSE_MAX);
        Self { times, waits, until: Instant::now() + lasts(times).max(wanted) }
    }

    /// Whether the next call may be made.
    pub(super) fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }

    /// It is over, for tests of what follows.
    #[cfg(test)]
    pub(super) fn end(&mut self) {
        self.until = Instant::now();
    }
}

/// How long after so many in a row.
fn lasts(times: u32) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << times.saturating_sub(1).min(20)).min(PAUSE_MAX);
    doubled.mul_f64(0.8 + 0.4 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_five_minutes() {
        let check = |times, expected_ms: u64| {
            let (least, most) = (expected_ms * 8 / 10, expected_ms * 12 / 10);
            let found = u64::try_from(lasts(times).as_millis()).expect("minutes");
            assert!((least..=most).contains(&found), "{times}: {found}");
        };
        check(1, 1_000);
        check(2, 2_000);
        check(9, 256_000);
        check(10, 300_000);
        check(u32::MAX, 300_000);
    }

    #[test]
    fn who_asks_to_be_left_alone_is_up_to_five_minutes() {
        let check = |seconds, least: u64, most: u64| {
            let pause = Pause::after(None, UnixMs(0), Some(Duration::from_secs(seconds)));
            let found = pause.until.duration_since(Instant::now()).as_millis();
            assert!((u128::from(least)..=u128::from(most)).contains(&found), "{seconds}: {found}");
        };
        check(0, 700, 1_200);
        check(60, 59_000, 60_000);
        check(3_600, 299_000, 300_000);
    }
}
