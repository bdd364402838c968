//! Push items for absent members, until they are stored in the transaction that clears the arrivals they came from.
//!
//! Owns the items by their transactions, in the order of arrivals: a clearing takes whole transactions, so what is
//! cleared has its items stored and what is not comes again with the home's next life (I9).

use std::collections::{BTreeMap, VecDeque};

use schema::page::Arrival;
use schema::record::{EventRecordBody, PushItem};
use schema::{Event, EventBody, Position, Stamp, UserId};

/// Items of one clearing, about: at 50 bytes a row and its key some 100 KB. One transaction's always fit.
const CLEARING_ITEMS: usize = 2_000;
/// Items that wait. At 56 bytes each 11 MB, and at some 10 ms for each clearing a second's work: beyond it no more
/// arrivals are read.
const WAITING_MAX: usize = 200_000;

#[derive(Debug, Default)]
pub(super) struct Pushes {
    waiting: VecDeque<(Stamp, Vec<PushItem>)>,
    items: usize,
    /// Items that are being stored, to be stored again if that fails.
    under_way: Option<(Stamp, Vec<PushItem>)>,
    written: u64,
}

impl Pushes {
    /// Items that were stored.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether more are waiting than may.
    pub(super) fn is_full(&self) -> bool {
        self.items >= WAITING_MAX
    }

    /// One transaction's messages, for those of their audiences who are absent and did not send them.
    pub(super) fn arrived(&mut self, row: &Arrival, is_absent: impl Fn(UserId) -> bool) {
        let contents = row.contents.as_deref().unwrap_or_default();
        let known: BTreeMap<Position, &Event> = contents.iter().map(|event| (event.position, event)).collect();
        let mut items = Vec::new();
        for arrival in &row.record.events {
            let EventRecordBody::Message { .. } = arrival.event.body else { continue };
            // A home has the content of whatever it takes from its arrivals.
            let content = known.get(&row.stamp.at(arrival.ordinal)).map(|event| &event.body);
            let Some(EventBody::Message(message)) = content else { continue };
            let audience = row.record.audiences.get(usize::from(arrival.audience)).into_iter().flatten();
            for &user in audience.filter(|&&user| user != message.from && is_absent(user)) {
                items.push(PushItem::new(user, (message.channel_id, message.seq), message.from, message.sent_ms));
            }
        }
        if !items.is_empty() {
            self.items += items.len();
            self.waiting.push_back((row.stamp, items));
        }
    }

    /// The next arrivals to clear, up to `last`, and what is to be stored with that.
    pub(super) fn begin(&mut self, last: Stamp) -> (Stamp, Vec<PushItem>) {
        if self.under_way.is_none() {
            let (mut through, mut items) = (Stamp::default(), Vec::new());
            while let Some((stamp, of_row)) = self.waiting.front() {
                if !items.is_empty() && items.len() + of_row.len() > CLEARING_ITEMS {
                    break;
                }
                through = *stamp;
                items.extend_from_slice(of_row);
                self.waiting.pop_front();
            }
            let through = if self.waiting.is_empty() { last } else { through };
            self.under_way = Some((through, items));
        }
        self.under_way.clone().expect("set above")
    }

    /// The clearing that was begun is stored. Returns whether more waits.
    pub(super) fn stored(&mut self) -> bool {
        if let Some((_, items)) = self.under_way.take() {
            self.items -= items.len();
            self.written += items.len() as u64;
        }
        !self.waiting.is_empty()
    }
}
