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
use super::user::{Name, Question, Reading};

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
    /// Puts a session at the end of the queue.
    pub(super) fn enqueue(&mut self, name: Name) -> Reading {
        let number = self.next;
        self.next += 1;
        self.queued.insert(number, name);
        Reading::Waiting(number)
    }

    /// A session is gone. A read that is under way ends by itself.
    pub(super) fn forget(&mut self, reading: Reading) {
        match reading {
            Reading::Waiting(number) => {
                let waited = self.queued.remove(&number).or_else(|| self.failed.remove(&number));
                assert!(waited.is_some(), "I12: read {number} waits nowhere");
            }
            Reading::No | Reading::UnderWay(_) => {}
        }
    }

    /// A second has passed: what failed may be tried again.
    pub(super) fn retry(&mut self) {
        self.queued.append(&mut self.failed);
    }
}

impl Home {
    /// Starts what waits, as far as there is room.
    pub(super) fn start_reads(&mut self, effects: &mut Effects) {
        while self.reads.under_way < READS_MAX {
            let Some((number, name)) = self.reads.queued.pop_first() else { break };
            let follower = self.users.get_mut(&name.user).and_then(|user| user.follower_mut(name));
            let follower = follower.expect("I12: who leaves takes its place in the queue along");
            let ask = follower.ask.as_ref().expect("I12: who waits has a question open");
            follower.reading = Reading::UnderWay(number);
            let read = Read { name, number, question: ask.question.clone() };
            self.reads.under_way += 1;
            let (credit_bytes, first) = (ask.credit_bytes, follower.first);
            self.read(read, credit_bytes, first, effects);
        }
    }

    fn read(&self, read: Read, bytes: u32, first: bool, effects: &mut Effects) {
        let user = read.name.user;
        if let Some(place) = read.question.snapshot.as_deref().copied() {
            effects.ask(Snapshot { user, place: Some(place) }, read);
        } else {
            let at_least = self.arrivals.place().unwrap_or_default().version;
            let after = read.question.after;
            effects.ask(ReadInbox { user, after, at_least, bytes, first }, read);
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
                effects.mesh(owner, MeshBody::Registered { session, start });
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
        let name = read.name;
        let follower = self.users.get_mut(&name.user).and_then(|user| user.follower_mut(name));
        // Another of the same name may have come since; its reads have other numbers.
        if let Some(follower) = follower.filter(|follower| follower.reading == Reading::UnderWay(read.number)) {
            if answered {
                follower.reading = Reading::No;
                follower.first = false;
                follower.ask.take_if(|ask| ask.question == read.question);
                self.serve(name, outbox, effects);
            } else {
                follower.reading = Reading::Waiting(read.number);
                self.reads.failed.insert(read.number, name);
            }
        }
        self.start_reads(effects);
    }

    /// Where arrivals are known to, as a place in inboxes.
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
