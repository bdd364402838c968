//! When the fan-out looks for posts, and which author's step is next: one at a time, authors in turn.
//!
//! Owns the decisions, and neither a clock nor the store: times come as numbers, what happened comes as calls, so that a
//! test drives it through hours. Chat keeps its time because steps are short, follow each other only after a rest as
//! long as what they took of the store, and write no more rows a second than the operator allows.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use schema::{ChannelId, Instant};

/// How often new posts are looked for. A look at an empty queue is one read.
const EVERY_MS: u64 = 50;
/// How long a store that fails, or a view that is changing, is left alone.
const TROUBLE_MS: u64 = 1_000;
/// Authors whose posts wait in memory; the others are found once there is room.
pub(crate) const WAITING_MAX: usize = 1_024;
/// How far writing may be ahead of what is paid for: the rows of so long are written at once.
const AHEAD_MS: u64 = 100;

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Look for authors with posts that are not in all feeds.
    Look,
    /// Carry out a step of this author's feed.
    Step(ChannelId),
    /// Nothing before this.
    Wait(Instant),
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// It wrote so many rows, and there is more to do for this author.
    More { rows: u32 },
    /// The same, and all of this author's posts are where they belong.
    Done { rows: u32 },
    /// The store or the view failed it.
    Failed,
}

#[derive(Debug)]
pub(crate) struct Pacer {
    /// What a row costs of a second.
    row: Duration,
    /// Up to when the rows that were written have been paid for.
    paid_at: Instant,
    look_at: Instant,
    rest_until: Instant,
    waiting: VecDeque<ChannelId>,
    is_waiting: BTreeSet<ChannelId>,
}

impl Pacer {
    /// For at most so many rows a second.
    pub(crate) fn new(rows_per_s: u32) -> Self {
        Self {
            row: Duration::from_secs(1) / rows_per_s.max(1),
            paid_at: Instant::default(),
            look_at: Instant::default(),
            rest_until: Instant::default(),
            waiting: VecDeque::new(),
            is_waiting: BTreeSet::new(),
        }
    }

    /// Somebody has posted on this node: the next look is now.
    pub(crate) fn posted(&mut self, now: Instant) {
        self.look_at = self.look_at.min(now);
    }

    pub(crate) fn next(&self, now: Instant) -> Next {
        if self.look_at <= now && self.waiting.len() < WAITING_MAX {
            return Next::Look;
        }
        match self.waiting.front() {
            Some(&author) if self.rest_until <= now => Next::Step(author),
            Some(_) => Next::Wait(self.rest_until.min(self.look_at.max(now))),
            None => Next::Wait(self.look_at),
        }
    }

    /// A look found these; those that wait already keep their turns.
    pub(crate) fn found(&mut self, now: Instant, authors: impl IntoIterator<Item = ChannelId>) {
        self.look_at = now.plus_ms(EVERY_MS);
        for author in authors {
            if self.waiting.len() < WAITING_MAX && self.is_waiting.insert(author) {
                self.waiting.push_back(author);
            }
        }
    }

    /// A look failed.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.look_at = now.plus_ms(TROUBLE_MS);
    }

    /// The step of an author ended that took so long.
    pub(crate) fn stepped(&mut self, now: Instant, author: ChannelId, took: Duration, came: Came) {
        assert_eq!(self.waiting.pop_front(), Some(author), "I12: a step is of who has the turn");
        let rows = match came {
            Came::More { rows } => {
                self.waiting.push_back(author);
                rows
            }
            Came::Done { rows } => {
                self.is_waiting.remove(&author);
                rows
            }
            Came::Failed => {
                // The next look finds it again: until then others have their turns, unless the store fails them all.
                self.is_waiting.remove(&author);
                self.look_at = self.look_at.max(now.plus_ms(TROUBLE_MS));
                0
            }
        };
        // What was written is written: whoever wrote much rests the longer.
        self.paid_at = self.paid_at.max(now).plus(self.row * rows);
        let allowed_at = Instant(self.paid_at.0.saturating_sub(AHEAD_MS * 1_000_000));
        self.rest_until = now.plus(took).max(allowed_at);
    }

    /// Authors whose posts wait here.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ChannelId = ChannelId(1);
    const B: ChannelId = ChannelId(2);

    fn at_ms(ms: u64) -> Instant {
        Instant::default().plus_ms(ms)
    }

    /// What is next at a time, and where a wait ends.
    #[track_caller]
    fn check(pacer: &Pacer, ms: u64, expected: Next) {
        assert_eq!(pacer.next(at_ms(ms)), expected, "at {ms} ms: {pacer:?}");
    }

    #[track_caller]
    fn step(pacer: &mut Pacer, ms: u64, author: ChannelId, took_ms: u64, came: Came) {
        check(pacer, ms, Next::Step(author));
        pacer.stepped(at_ms(ms + took_ms), author, Duration::from_millis(took_ms), came);
    }

    #[test]
    fn it_looks_every_50_ms_and_at_once_when_somebody_posts_here() {
        let mut pacer = Pacer::new(50_000);
        check(&pacer, 0, Next::Look);
        pacer.found(at_ms(0), []);
        check(&pacer, 1, Next::Wait(at_ms(50)));
        pacer.posted(at_ms(10));
        check(&pacer, 10, Next::Look);
        pacer.found(at_ms(10), []);
        check(&pacer, 10, Next::Wait(at_ms(60)));
        pacer.failed(at_ms(60));
        check(&pacer, 61, Next::Wait(at_ms(1_060)));
    }

    #[test]
    fn authors_have_steps_in_turn_and_a_rest_as_long_as_each_took() {
        let mut pacer = Pacer::new(1_000_000);
        pacer.found(at_ms(0), [A, B, A]);
        step(&mut pacer, 1, A, 10, Came::More { rows: 1_000 });
        check(&pacer, 11, Next::Wait(at_ms(21)));
        step(&mut pacer, 21, B, 4, Came::Done { rows: 3 });
        step(&mut pacer, 29, A, 10, Came::Done { rows: 500 });
        check(&pacer, 49, Next::Wait(at_ms(50)));
        assert_eq!(pacer.waiting(), 0);
        // It is found again where it is marked again.
        pacer.found(at_ms(50), [A]);
        check(&pacer, 50, Next::Step(A));
    }

    #[test]
    fn no_more_rows_a_second_are_written_than_are_allowed() {
        let mut pacer = Pacer::new(10_000);
        let mut rows = 0;
        for ms in 0..10_000 {
            match pacer.next(at_ms(ms)) {
                Next::Look => pacer.found(at_ms(ms), [A]),
                Next::Step(author) => {
                    rows += 1_000;
                    pacer.stepped(at_ms(ms), author, Duration::from_millis(1), Came::More { rows: 1_000 });
                }
                Next::Wait(until) => assert!(until > at_ms(ms), "it waits for what is to come"),
            }
        }
        assert!((95_000..=102_000).contains(&rows), "{rows} rows in 10 s");
    }

    #[test]
    fn what_fails_is_left_alone_for_a_while() {
        let mut pacer = Pacer::new(50_000);
        pacer.found(at_ms(0), [A, B]);
        step(&mut pacer, 1, A, 2, Came::Failed);
        step(&mut pacer, 5, B, 2, Came::Done { rows: 1 });
        check(&pacer, 10, Next::Wait(at_ms(1_003)));
        check(&pacer, 1_003, Next::Look);
    }

    #[test]
    fn so_many_wait_in_memory_and_no_more() {
        let mut pacer = Pacer::new(50_000);
        pacer.found(at_ms(0), (0..2_000).map(ChannelId));
        assert_eq!(pacer.waiting(), WAITING_MAX);
        check(&pacer, 60, Next::Step(ChannelId(0)));
        pacer.stepped(at_ms(60), ChannelId(0), Duration::ZERO, Came::Done { rows: 1 });
        check(&pacer, 60, Next::Look);
    }
}
