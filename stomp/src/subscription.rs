//! One subscription: what it names, how it acknowledges, and its place in a channel.
//!
//! Owns the place: each seq once and in order, live while nothing was left out, and from history otherwise. What is pushed
//! meanwhile is not kept: a page of history that is read after a push has what the push told, so it is enough to know the
//! newest seq. It knows no connection: what a push or a page comes to is a value.

use std::collections::VecDeque;

use schema::{Instant, Seq};

use crate::destination::Destination;
use crate::rare::{Idle, Rare};
use crate::unacked::Unacked;

/// Time after which a page that could not be read is asked for again, unless the server says another.
const AGAIN_MS: u64 = 1_000;
/// Time for which a channel that cannot be opened now is opened again.
const OPENED_AGAIN_MS: u64 = 30_000;

/// A subscription of a session.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The client's name for it; none in 1.0, where it may be left out.
    pub(crate) id: Option<Box<str>>,
    /// Its number in the session, which is in the ids of what it is to acknowledge.
    pub(crate) number: u32,
    pub(crate) destination: Destination,
    /// `true` if it wants events that are no messages.
    pub(crate) all_events: bool,
    pub(crate) unacked: Unacked,
    pub(crate) marks: Marks,
    place: Place,
    /// Until its channel is open.
    opening: Option<Box<Opening>>,
}

/// The way of a subscription to an open channel.
#[derive(Debug, Default)]
struct Opening {
    /// The receipt of its SUBSCRIBE.
    receipt: Option<String>,
    /// The subscription whose `open` is under way for it: of two of one channel the server would refuse the first.
    asked_by: Option<u32>,
    /// Until when a refusal for now is not told, once there was one.
    until: Option<Instant>,
}

/// The way of the read mark of one subscription: one `mark` is under way at a time.
#[derive(Debug, Default)]
pub(crate) struct Marks(Rare<MarksWay>);

/// What there is of it once something was acknowledged.
#[derive(Debug, Default)]
struct MarksWay {
    wanted: Seq,
    sent: Seq,
    is_under_way: bool,
    /// Time at which one that was refused for now is sent again.
    again_at: Option<Instant>,
    /// Receipts of ACKs, each due when the mark is where it was to move.
    receipts: VecDeque<(Seq, String)>,
    receipt_bytes: usize,
}

impl Idle for MarksWay {
    fn idle() -> &'static Self {
        static IDLE: MarksWay = MarksWay {
            wanted: Seq::ZERO,
            sent: Seq::ZERO,
            is_under_way: false,
            again_at: None,
            receipts: VecDeque::new(),
            receipt_bytes: 0,
        };
        &IDLE
    }

    fn is_idle(&self) -> bool {
        self.wanted == Seq::ZERO && self.receipts.is_empty()
    }
}

#[derive(Debug)]
struct Place {
    step: Step,
    /// The last message that was given, or that the client has. None: from whatever comes first.
    last: Option<Seq>,
    /// The newest message that is known of.
    head: Seq,
    /// The earliest message to which something happened while a page was under way that may be older.
    changed_from: Option<Seq>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The server is asked whether the channel may be read.
    Opening,
    /// It will be asked again then.
    OpenAgain(Instant),
    /// Nothing was left out: what is pushed is given.
    Live,
    /// A page of history is asked for.
    Reading,
    /// It will be asked for then.
    Waiting(Instant),
    /// As many messages wait for their ACK as may.
    Full,
}

/// The next thing to do for a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    /// The channel to be opened.
    Open,
    /// A page of history after this seq.
    Read(Seq),
}

impl Subscription {
    pub(crate) fn new(
        (id, number): (Option<&str>, u32),
        destination: Destination,
        unacked: Unacked,
        after: Option<Seq>,
        all_events: bool,
    ) -> Self {
        let place = Place { step: Step::Opening, last: after, head: Seq::ZERO, changed_from: None };
        let id = id.map(Box::from);
        Self { id, number, destination, all_events, unacked, marks: Marks::default(), place, opening: None }
    }

    /// Its channel is to be opened, and its SUBSCRIBE had this receipt.
    pub(crate) fn opens(&mut self, receipt: Option<String>) {
        self.opening = Some(Box::new(Opening { receipt, ..Opening::default() }));
    }

    /// The channel is open no more, or perhaps, since an `open` of another subscription was refused. What comes meanwhile is
    /// read from history.
    pub(crate) fn opens_again(&mut self, now: Instant) {
        self.opening = Some(Box::default());
        self.place.step = Step::OpenAgain(now.plus_ms(AGAIN_MS));
    }

    /// `true` while its channel is not open yet.
    pub(crate) fn is_opening(&self) -> bool {
        self.opening.is_some()
    }

    /// The subscription whose `open` is under way for it, if one is.
    pub(crate) fn open_asked_by(&self) -> Option<u32> {
        self.opening.as_ref()?.asked_by
    }

    /// The `open` of this subscription is under way for it.
    pub(crate) fn open_asked(&mut self, by: u32) {
        if let Some(opening) = &mut self.opening {
            opening.asked_by = Some(by);
        }
    }

    /// The channel cannot be opened; for now only, if `temporary`. Returns the receipt once it is over.
    pub(crate) fn open_failed(
        &mut self,
        now: Instant,
        temporary: bool,
        retry_after_ms: u32,
    ) -> Result<(), Option<String>> {
        let opening = self.opening.get_or_insert_default();
        opening.asked_by = None;
        let until = *opening.until.get_or_insert(now.plus_ms(OPENED_AGAIN_MS));
        if !temporary || until <= now {
            return Err(opening.receipt.take());
        }
        let ms = if retry_after_ms == 0 { AGAIN_MS } else { retry_after_ms.into() };
        self.place.step = Step::OpenAgain(now.plus_ms(ms));
        Ok(())
    }

    /// The channel may be read, and has this head. Returns the receipt that is due.
    pub(crate) fn opened(&mut self, head: Seq) -> (Option<String>, Next) {
        let receipt = self.opening.take().and_then(|opening| opening.receipt);
        self.place.head = self.place.head.max(head);
        (receipt, self.go_on())
    }

    /// A channel is known to have grown, without a push of what came.
    pub(crate) fn grown(&mut self, head: Seq) -> Next {
        self.place.head = self.place.head.max(head);
        if self.place.step == Step::Live { self.go_on() } else { Next::Nothing }
    }

    /// A message was pushed. Returns whether it is to be given to the client.
    pub(crate) fn pushed(&mut self, seq: Seq) -> bool {
        let place = &mut self.place;
        place.head = place.head.max(seq);
        let is_live = match place.step {
            Step::Live => true,
            Step::Opening | Step::OpenAgain(_) => place.last.is_none(),
            Step::Reading | Step::Waiting(_) | Step::Full => false,
        };
        is_live && self.give(seq)
    }

    /// A message of a page of history. Returns whether it is to be given to the client.
    pub(crate) fn read(&mut self, seq: Seq) -> bool {
        let is_fresh = self.place.changed_from.is_none_or(|changed| seq < changed);
        self.place.step == Step::Reading && is_fresh && self.give(seq)
    }

    /// Something happened to a message. Returns whether that is news: the client has the message. Where a page is under way
    /// that may be older, it is read again from there on.
    pub(crate) fn changed(&mut self, seq: Seq) -> bool {
        let place = &mut self.place;
        let is_given = place.last.is_none_or(|last| seq <= last);
        if !is_given && place.step == Step::Reading {
            place.changed_from = Some(place.changed_from.map_or(seq, |earlier| earlier.min(seq)));
        }
        is_given
    }

    fn give(&mut self, seq: Seq) -> bool {
        if self.place.last.is_some_and(|last| seq <= last) {
            return false;
        }
        self.place.last = Some(seq);
        self.unacked.given(seq);
        if self.unacked.is_full() {
            self.place.step = Step::Full;
        }
        true
    }

    /// A page that was asked for after this seq is through, read when the channel had that head.
    pub(crate) fn page_read(&mut self, now: Instant, after: Seq, (head, more): (Seq, bool)) -> Next {
        let place = &mut self.place;
        if place.step != Step::Reading {
            return Next::Nothing;
        }
        let changed_from = place.changed_from.take();
        place.head = place.head.max(head);
        if !more && changed_from.is_none_or(|changed| changed > head) {
            // Up to the head as it was read, and no further, what is left is nothing that this user may read.
            place.last = place.last.max(Some(head));
        }
        if place.last <= Some(after) && place.last < Some(place.head) && changed_from.is_none() {
            // A store that gets no further is left alone for a while.
            place.step = Step::Waiting(now.plus_ms(AGAIN_MS));
            return Next::Nothing;
        }
        self.go_on()
    }

    /// A page could not be read now.
    pub(crate) fn page_failed(&mut self, now: Instant, retry_after_ms: u32) {
        if self.place.step == Step::Reading {
            let ms = if retry_after_ms == 0 { AGAIN_MS } else { retry_after_ms.into() };
            self.place.step = Step::Waiting(now.plus_ms(ms));
        }
    }

    /// Messages were acknowledged: there may be room again.
    pub(crate) fn room(&mut self) -> Next {
        if self.place.step == Step::Full && self.unacked.has_room() { self.go_on() } else { Next::Nothing }
    }

    /// Next step that is due now.
    pub(crate) fn tick(&mut self, now: Instant) -> Next {
        match self.place.step {
            Step::Waiting(at) if at <= now => self.go_on(),
            Step::OpenAgain(at) if at <= now => {
                self.place.step = Step::Opening;
                Next::Open
            }
            Step::Waiting(_) | Step::OpenAgain(_) | Step::Opening | Step::Live | Step::Reading | Step::Full => {
                Next::Nothing
            }
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        let page = match self.place.step {
            Step::Waiting(at) | Step::OpenAgain(at) => Some(at),
            Step::Opening | Step::Live | Step::Reading | Step::Full => None,
        };
        page.into_iter().chain(self.marks.due()).min()
    }

    fn go_on(&mut self) -> Next {
        let place = &mut self.place;
        // Where nothing was given yet, what was there when the channel was opened is not wanted.
        let last = *place.last.get_or_insert(place.head);
        if self.unacked.is_full() {
            place.step = Step::Full;
            Next::Nothing
        } else if last < place.head {
            place.step = Step::Reading;
            Next::Read(last)
        } else {
            place.step = Step::Live;
            Next::Nothing
        }
    }
}

impl Marks {
    /// The mark is to move to there. Returns the receipt if it is due at once.
    pub(crate) fn want(&mut self, seq: Option<Seq>, receipt: Option<String>) -> Option<String> {
        let seq = seq.unwrap_or(Seq::ZERO);
        self.0.wanted = self.0.wanted.max(seq);
        let receipt = receipt?;
        if seq <= self.0.sent && !self.0.is_under_way {
            return Some(receipt);
        }
        self.0.receipt_bytes += receipt_bytes(&receipt);
        self.0.receipts.push_back((seq, receipt));
        None
    }

    /// Memory of the receipts that wait.
    pub(crate) fn receipt_bytes(&self) -> usize {
        self.0.receipt_bytes
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.again_at
    }

    /// The mark to be sent now, if one is.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Seq> {
        let waits = self.0.again_at.is_some_and(|at| at > now);
        if self.0.is_under_way || waits || self.0.wanted <= self.0.sent {
            return None;
        }
        self.0.again_at = None;
        self.0.is_under_way = true;
        self.0.sent = self.0.wanted;
        Some(self.0.sent)
    }

    /// The mark that was under way has moved. Returns the receipts that are due.
    pub(crate) fn moved(&mut self) -> Vec<String> {
        self.0.is_under_way = false;
        let due = self.0.receipts.iter().take_while(|(seq, _)| *seq <= self.0.sent).count();
        let due: Vec<String> = self.0.receipts.drain(..due).map(|(_, receipt)| receipt).collect();
        self.0.receipt_bytes -= due.iter().map(|receipt| receipt_bytes(receipt)).sum::<usize>();
        due
    }

    /// It could not be moved now.
    pub(crate) fn failed(&mut self, now: Instant, retry_after_ms: u32) {
        self.0.is_under_way = false;
        self.0.sent = Seq::ZERO;
        let ms = if retry_after_ms == 0 { AGAIN_MS } else { retry_after_ms.into() };
        self.0.again_at = Some(now.plus_ms(ms));
    }

    /// `true` if nothing is under way or wanted.
    pub(crate) fn is_idle(&self) -> bool {
        !self.0.is_under_way && self.0.wanted <= self.0.sent
    }
}

/// Memory of a receipt that waits.
pub(crate) fn receipt_bytes(receipt: &str) -> usize {
    size_of::<(Seq, String)>() + receipt.len()
}
