//! Reads of inboxes and snapshots for sessions that are behind their home.
//!
//! Owns how many are under way at once and which sessions wait for one (I11). A session has one read at a time, queued,
//! under way or failed: a failed one is repeated with the next second, so no question is left without an answer (I12).

use std::collections::BTreeMap;

use schema::mesh::MeshBody;
use schema::page::{InboxPage, SnapshotPage};
use schema::{ErrorCode, Event, Position, Refusal};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::store::{Answer, ReadInbox, Snapshot};

use super::Home;
use super::outbox::Outbox;
use super::user::{Ask, Name, Question, Reading};

/// Reads of inboxes that one home has under way. Each holds a page of at most the outbound target of 64 KiB, so 16 MiB.
const READS_MAX: usize = 256;

/// One read: for whom, which, and what it will answer.
#[derive(Debug)]
pub struct Read {
    pub(super) name: Name,
    number: u64,
    question: Question,
}

#[derive(Debug, Default)]
pub(super) struct Reads {
    under_way: usize,
    next: u64,
    /// Sessions that wait for a read to end, oldest first. Each waits once.
    queued: BTreeMap<u64, Name>,
    /// Sessions whose read failed since the last second.
    failed: BTreeMap<u64, Name>,
}

impl Reads {
    /// Puts a session at the end of the queue. Returns the number of its read.
    pub(super) fn enqueue(&mut self, name: Name) -> u64 {
        let number = self.next;
        self.next += 1;
        self.queued.insert(number, name);
        number
    }

    /// A session is gone. A read that is under way ends by itself.
    pub(super) fn forget(&mut self, reading: Option<Reading>) {
        if let Some(Reading::Waiting(number)) = reading {
            let waited = self.queued.remove(&number).or_else(|| self.failed.remove(&number));
            assert!(waited.is_some(), "I12: read {number} waits nowhere");
        }
    }

    /// The next session that waits, if there is room for its read.
    fn begin(&mut self) -> Option<(u64, Name)> {
        if self.under_way >= READS_MAX {
            return None;
        }
        let next = self.queued.pop_first()?;
        self.under_way += 1;
        Some(next)
    }

    /// A second has passed: what failed may be tried again.
    pub(super) fn retry(&mut self) {
        self.queued.append(&mut self.failed);
    }
}

impl Home {
    /// Starts what waits, as far as there is room.
    pub(super) fn start_reads(&mut self, effects: &mut Effects) {
        while let Some((number, name)) = self.reads.begin() {
            let (Ask { question, credit_bytes }, first) = self.users.begin_read(name, number);
            let (user, after, place) = (name.user, question.after, question.snapshot.as_deref().copied());
            let read = Read { name, number, question };
            if place.is_some() {
                effects.ask(Snapshot { user, place }, read);
            } else {
                let at_least = self.arrivals.place().unwrap_or_default().version.max(self.floor);
                let bytes = credit_bytes.get();
                effects.ask(ReadInbox { user, after, at_least, bytes, first }, read);
            }
        }
    }

    /// The store has read an inbox.
    pub(crate) fn inbox(&mut self, answer: Answer<ReadInbox>, effects: &mut Effects) {
        let Answer { waiter: read, reply } = answer;
        match reply {
            Ok(InboxPage::Events { events, through, .. }) if !is_whole(read.question.after, &events, through) => {
                // Whatever is wrong, the session must not be led past it: it ends, and its client comes back to its
                // cursor.
                let Name { owner, session, .. } = read.name;
                effects.count(Counter::OutOfOrder);
                let start = Err(Refusal::new(ErrorCode::Internal, "the inbox is not in order"));
                effects.mesh(owner, MeshBody::Registered { session, attempt: 0, start });
                self.read_done(&read, true, &mut Outbox::default(), effects);
            }
            Ok(InboxPage::Events { events, through, .. }) => {
                let mut outbox = Outbox::default();
                outbox.put(read.name, read.question.after, events, through, effects);
                self.read_done(&read, true, &mut outbox, effects);
                outbox.flush(effects);
            }
            Ok(InboxPage::Behind) => {
                // The same read goes on as a snapshot.
                effects.ask(Snapshot { user: read.name.user, place: None }, read);
            }
            Err(_) => self.read_done(&read, false, &mut Outbox::default(), effects),
        }
    }

    /// The store has read a page of an account's channels.
    pub(crate) fn snapshot(&mut self, answer: Answer<Snapshot>, effects: &mut Effects) {
        let Answer { waiter: read, reply } = answer;
        let answered = reply.is_ok();
        if let Ok(SnapshotPage { channels, more, through }) = reply {
            let Name { owner, session, .. } = read.name;
            let after = read.question.after;
            effects.mesh(owner, MeshBody::Snapshot { session, after, channels, more, through });
        }
        let mut outbox = Outbox::default();
        self.read_done(&read, answered, &mut outbox, effects);
        outbox.flush(effects);
    }

    /// A read ended: the next that waits may start, and the session's question is answered if it still is the same.
    fn read_done(&mut self, read: &Read, answered: bool, outbox: &mut Outbox, effects: &mut Effects) {
        self.reads.under_way -= 1;
        let &Read { name, number, ref question } = read;
        match self.users.end_read(name, number, question, answered) {
            true if answered => self.serve(name, outbox, effects),
            true => {
                self.reads.failed.insert(number, name);
            }
            false => {}
        }
        self.start_reads(effects);
    }

    /// The place in inboxes up to which arrivals are known.
    pub(super) fn place(&self) -> Option<Position> {
        self.arrivals.place().map(Position::end_of_stamp)
    }
}

/// Whether a page has its events in order between the places that it is about (I6).
fn is_whole(after: Position, events: &[Event], through: Position) -> bool {
    let first_is_after = events.first().is_none_or(|first| first.position > after);
    let is_ascending = events.is_sorted_by(|earlier, later| earlier.position < later.position);
    first_is_after && is_ascending && events.last().map_or(after, |last| last.position) <= through
}
