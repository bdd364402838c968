//! Cursor of a session over its account's inbox.
//!
//! Owns the place, the open question and the snapshot that stands in for events. Upholds the session's half of I6: an
//! answer counts only if it begins where the session is, and each event once. One question is open at a time, and
//! repeated after a while (I12). It knows no connection: what an answer came to is a value.

use schema::command::SnapshotChannel;
use schema::mesh::{More, SnapshotPlace, Target};
use schema::{Cursor, Event, Instant, Position, SessionId, UserId};

use crate::timers::NEVER;

/// The cursor's state, in 40 bytes.
#[derive(Debug)]
pub(super) struct InboxCursor {
    at: Cursor,
    /// Boxed because hardly any session is ever in one.
    snapshot: Option<Box<SnapshotPlace>>,
    /// When the open question is asked again; [`NEVER`] if none is open.
    again_at: Instant,
}

/// The outcome of an answer from the account's home.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    /// The answer is to a question of another place, and counts for nothing.
    Stale,
    /// The answer is not whole or goes back: the client must not be led past it.
    Broken,
    /// The cursor has advanced.
    Advanced(T),
}

impl InboxCursor {
    pub(super) fn new(at: Cursor) -> Self {
        Self { at, snapshot: None, again_at: NEVER }
    }

    /// The place that the session has been pushed up to.
    pub(super) fn at(&self) -> Cursor {
        self.at
    }

    /// The question for what comes next, unless one is open or there is no room for an answer. It is to be asked again
    /// at `again_at`.
    pub(super) fn question(
        &mut self,
        session: SessionId,
        user: UserId,
        credit_bytes: u32,
        again_at: Instant,
    ) -> Option<More> {
        if self.again_at != NEVER || credit_bytes == 0 {
            return None;
        }
        self.again_at = again_at;
        let snapshot = self.snapshot.as_deref().copied();
        Some(More { session, user, after: self.at.position, credit_bytes, snapshot })
    }

    /// Where it is in a snapshot, if it is in one.
    pub(super) fn snapshot(&self) -> Option<SnapshotPlace> {
        self.snapshot.as_deref().copied()
    }

    /// The open question is given up: the next may be asked.
    pub(super) fn forget_question(&mut self) {
        self.again_at = NEVER;
    }

    /// When the open question is to be asked again.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.again_at != NEVER).then_some(self.again_at)
    }

    /// Takes events.
    pub(super) fn take_events(&mut self, target: &Target, events: &[Event]) -> Taken<()> {
        if target.after != self.at.position || self.snapshot.is_some() {
            return Taken::Stale;
        }
        if !is_whole(target, events) {
            return Taken::Broken;
        }
        self.at.position = target.through;
        self.forget_question();
        Taken::Advanced(())
    }

    /// Takes a page of a snapshot. Pages ascend by channel, so that one which was answered twice is known. The last one
    /// comes to the cursor after it.
    pub(super) fn take_page(
        &mut self,
        after: Position,
        channels: &[SnapshotChannel],
        more: bool,
        through: Position,
    ) -> Taken<Option<Cursor>> {
        let earlier = self.snapshot.as_deref();
        let first = channels.first().map(|channel| channel.channel_id);
        let is_repeated = earlier.is_some_and(|place| first.is_some_and(|first| first <= place.last));
        if after != self.at.position || is_repeated {
            return Taken::Stale;
        }
        // Later pages are read later; where to go on is what the first one saw.
        let through = earlier.map_or(through, |place| place.through);
        self.forget_question();
        if more {
            let Some(last) = channels.last() else { return Taken::Broken };
            self.snapshot = Some(Box::new(SnapshotPlace { through, last: last.channel_id }));
            return Taken::Advanced(None);
        }
        if through < self.at.position {
            return Taken::Broken;
        }
        self.snapshot = None;
        self.at.position = through;
        Taken::Advanced(Some(self.at))
    }
}

/// Whether a delivery has its events, in order, between the places that it names.
fn is_whole(target: &Target, events: &[Event]) -> bool {
    let mut before = target.after;
    for &index in &target.events {
        match events.get(usize::from(index)) {
            Some(event) if event.position > before => before = event.position,
            Some(_) | None => return false,
        }
    }
    target.through >= before
}
