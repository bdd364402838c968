//! Deadlines of a shard's sessions, in a timer wheel.
//!
//! Owns when each connection is next looked at, to a resolution of 128 ms. Never early; late by one slot at most. An
//! entry whose connection has been armed for another time since is stale, and its owner ignores it.

use pace::Wheel;
use schema::Instant;

use crate::io::ConnId;

/// Width of a slot: deadlines here are of seconds, so an eighth of one is exact enough.
const SLOT_NS: u64 = 128_000_000;
/// 512 slots of 128 ms are 65 s, beyond the longest session deadline of 60 s; a later one waits in the last slot and is
/// armed again.
const SLOTS: usize = 512;

/// An instant that does not come: half of what an `Option` of one takes.
pub(crate) const NEVER: Instant = Instant(u64::MAX);

/// One entry: which connection, and for when it was armed.
type Entry = (ConnId, Instant);

#[derive(Debug)]
pub(crate) struct Timers {
    wheel: Wheel<Entry, SLOTS>,
}

impl Timers {
    pub(crate) fn new(now: Instant) -> Self {
        Self { wheel: Wheel::new(now.0 / SLOT_NS) }
    }

    /// Wants `conn` back at `at`, or soon after.
    pub(crate) fn arm(&mut self, conn: ConnId, at: Instant) {
        self.wheel.arm((conn, at), at.0.div_ceil(SLOT_NS));
    }

    /// Takes what is due. What was only parked in its slot is armed again.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<Entry> {
        let mut due = Vec::new();
        let mut parked = Vec::new();
        while let Some((_, slot)) = self.wheel.pop_due(now.0 / SLOT_NS) {
            for entry in slot {
                if entry.1 <= now { due.push(entry) } else { parked.push(entry) }
            }
        }
        for (conn, at) in parked {
            self.arm(conn, at);
        }
        due
    }

    /// When [`expired`](Self::expired) next has something, at the earliest; `limit` if that is not before it.
    pub(crate) fn next_before(&self, limit: Instant) -> Instant {
        // Only slots that begin before the limit are looked at: with a limit of a second, eight.
        let slot = self.wheel.first_before(limit.0.div_ceil(SLOT_NS));
        slot.map_or(limit, |slot| Instant(slot * SLOT_NS))
    }
}

/// A session has one deadline that counts, and mostly no other.
#[cfg(test)]
pub(crate) const BYTES: [(&str, usize); 1] = [("its deadline in the wheel", size_of::<Entry>())];

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant(ms * 1_000_000)
    }

    #[test]
    fn a_deadline_fires_once_never_early_and_soon() {
        for at_ms in [0, 1, 127, 128, 129, 5_000, 65_000, 65_536, 70_000, 200_000] {
            let mut timers = Timers::new(ms(1_000));
            timers.arm(ConnId(1), ms(1_000 + at_ms));
            let mut fired = Vec::new();
            let mut now_ms = 1_000;
            while !timers.wheel.is_empty() {
                let next = timers.next_before(ms(now_ms + 1_000));
                now_ms = now_ms.max(next.0 / 1_000_000);
                fired.extend(timers.expired(ms(now_ms)).into_iter().map(|_| now_ms));
                assert!(now_ms < 400_000, "armed for {at_ms} ms and still waiting");
            }
            assert_eq!(fired.len(), 1, "{at_ms} ms");
            let late_ms = fired[0] as i64 - (1_000 + at_ms) as i64;
            assert!((0..=256).contains(&late_ms), "{at_ms} ms fired {late_ms} ms late");
        }
    }

    #[test]
    fn a_long_pause_of_the_driver_loses_nothing() {
        let mut timers = Timers::new(ms(0));
        for conn in 0..100 {
            timers.arm(ConnId(conn), ms(conn * 700));
        }
        assert_eq!(timers.expired(ms(10_000_000)).len(), 100);
        assert_eq!(timers.next_before(ms(20_000_000)), ms(20_000_000));
        timers.arm(ConnId(1), ms(10_000_001));
        let next = timers.next_before(ms(20_000_000));
        assert!((ms(10_000_001)..ms(10_000_300)).contains(&next), "{next:?}");
    }

    #[test]
    fn a_deadline_that_is_past_already_makes_progress_when_it_is_looked_at() {
        let mut timers = Timers::new(ms(1_000));
        assert_eq!(timers.expired(ms(1_000)), []);
        timers.arm(ConnId(1), ms(0));
        let next = timers.next_before(ms(2_000));
        assert!((ms(1_001)..ms(1_300)).contains(&next), "{next:?}: a driver that sleeps until then does not spin");
        assert_eq!(timers.expired(next), [(ConnId(1), ms(0))]);
    }

    #[test]
    fn the_end_of_time_is_only_parked() {
        let mut timers = Timers::new(ms(0));
        timers.arm(ConnId(1), Instant(u64::MAX));
        for now_s in 1..200 {
            assert_eq!(timers.expired(ms(now_s * 1_000)), []);
        }
        assert_eq!(timers.wheel.len(), 1);
    }
}
