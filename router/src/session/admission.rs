//! Admission of a session's commands: their rate, and how many of them are not answered.
//!
//! Owns the inbound half of I11 for one session, and the count by which each command is answered once (I12). It knows
//! no command and no connection: a refusal, or that the session is over, comes back as a value.

use schema::limits::{RATE_REFUSALS_MAX, UNANSWERED_MAX, UNPARSED_MAX};
use schema::{Instant, SessionId, UserId};

use crate::rate::{Bucket, UserBuckets};

const _: () = assert!(RATE_REFUSALS_MAX <= u16::MAX as u32 && UNPARSED_MAX <= u8::MAX as u32, "the counts fit");

/// The counts of one session, in 16 bytes.
#[derive(Debug)]
pub(super) struct Admission {
    bucket: Bucket,
    unanswered: u32,
    /// Refusals as rate limited, without a command that was within its rate between them.
    rate_refusals: u16,
    /// Messages in a row that did not parse.
    unparsed: u8,
}

/// A command over its rate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RateLimited {
    pub(super) retry_after_ms: u32,
    /// Whether the session has disregarded this so often that it is closed.
    pub(super) is_over: bool,
}

impl Admission {
    pub(super) fn new(now: Instant) -> Self {
        Self { bucket: Bucket::new(now), unanswered: 0, rate_refusals: 0, unparsed: 0 }
    }

    /// A command waits for its answer from here on.
    pub(super) fn asked(&mut self) {
        self.unanswered += 1;
    }

    /// A command is answered.
    ///
    /// # Panics
    /// If none waits.
    pub(super) fn answered(&mut self, session: SessionId, id: u32) {
        let left = self.unanswered.checked_sub(1);
        self.unanswered = left.unwrap_or_else(|| panic!("I12: {session} answers {id} and nothing is asked"));
    }

    /// Whether every command is answered.
    pub(super) fn is_idle(&self) -> bool {
        self.unanswered == 0
    }

    /// Whether further commands may be read: below the bound, and once it was reached, below half of it.
    pub(super) fn has_room(&self, reads_on: bool) -> bool {
        self.unanswered < if reads_on { UNANSWERED_MAX } else { UNANSWERED_MAX / 2 }
    }

    /// A message parsed.
    pub(super) fn parsed(&mut self) {
        self.unparsed = 0;
    }

    /// A message did not parse. Returns whether the session is over for it.
    pub(super) fn unparsed(&mut self) -> bool {
        self.unparsed = self.unparsed.saturating_add(1);
        u32::from(self.unparsed) >= UNPARSED_MAX
    }

    /// Counts a command against the session and its user, if that is known, as so many.
    pub(super) fn take(
        &mut self,
        now: Instant,
        commands: u32,
        user: Option<UserId>,
        users: &mut UserBuckets,
    ) -> Result<(), RateLimited> {
        let taken = self.bucket.take(now, commands);
        let taken = taken.and_then(|()| user.map_or(Ok(()), |user| users.take(now, user, commands)));
        match taken {
            Ok(()) => {
                self.rate_refusals = 0;
                Ok(())
            }
            Err(retry_after_ms) => {
                self.rate_refusals = self.rate_refusals.saturating_add(1);
                Err(RateLimited { retry_after_ms, is_over: u32::from(self.rate_refusals) >= RATE_REFUSALS_MAX })
            }
        }
    }
}
