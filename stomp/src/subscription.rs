//! One subscription: what it names, how it acknowledges, and its place in a channel.
//!
//! Owns the place: each seq once and in order, live while nothing was left out, and from history otherwise. What is pushed
//! meanwhile is not kept: a page of history that is read after a push has what the push told, so it is enough to know the
//! newest seq. It knows no connection: what a push or a page comes to is a value.

use std::collections::VecDeque;

use schema::{Instant, Seq};

use crate::destination::Destination;
use crate::unacked::Unacked;

/// Time after which a page that could not be read is asked for again, unless the server says another.
const AGAIN_MS: u64 = 1_000;
/// How long a channel that cannot be opened now is opened again.
const OPENED_AGAIN_MS: u64 = 30_000;

/// A subscription of a session.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The client's name for it; none in 1.0, where it may be left out.
    pub(crate) id: Option<Box<str>>,
    /// Its number in the session, which is in the ids of what it is to acknowledge.
    pub(crate) number: u32,
    pub(crate) destination: Destination,
    /// Whether it wants events that are no messages.
    pub(crate) all_events: bool,
    pub(crate) unacked: Unacked,
    pub(crate) marks: Marks,
    place: Place,
    /// The receipt of its SUBSCRIBE, and until when a refusal for now is not told, while it is refused.
    refused: Option<(Option<String>, Instant)>,
}

/// The way of the read mark of one subscription: one `mark` is under way at a time.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    wanted: Seq,
    sent: Seq,
    is_under_way: bool,
    /// When one that was refused for now is sent again.
    again_at: Option<Instant>,
    /// Receipts of ACKs, each due when the mark is where it was to move.
    receipts: VecDeque<(Seq, String)>,
}

#[derive(Debug)]
struct Place {
    step: Step,
    /// The last message that was given, or that the client has. None: from whatever comes first.
    last: Option<Seq>,
    /// The newest message that is known of.
    head: Seq,
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
    /// The channel to be opened again, with the receipt of its SUBSCRIBE.
    Open(Option<String>),
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
        let place = Place { step: Step::Opening, last: after, head: Seq::ZERO };
        let id = id.map(Box::from);
        Self { id, number, destination, all_events, unacked, marks: Marks::default(), place, refused: None }
    }

    /// The channel cannot be opened now. Returns the receipt once that has gone on for too long.
    pub(crate) fn open_failed(
        &mut self,
        now: Instant,
        receipt: Option<String>,
        retry_after_ms: u32,
    ) -> Result<(), Option<String>> {
        let (_, until) = self.refused.take().unwrap_or((None, now.plus_ms(OPENED_AGAIN_MS)));
        if until <= now {
            return Err(receipt);
        }
        self.refused = Some((receipt, until));
        let ms = if retry_after_ms == 0 { AGAIN_MS } else { retry_after_ms.into() };
        self.place.step = Step::OpenAgain(now.plus_ms(ms));
        Ok(())
    }

    /// The channel may be read, and has this head.
    pub(crate) fn opened(&mut self, head: Seq) -> Next {
        self.place.head = self.place.head.max(head);
        self.go_on()
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
        self.place.step == Step::Reading && self.give(seq)
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

    /// A page that was asked for after this seq is through.
    pub(crate) fn page_read(&mut self, after: Seq, more: bool) -> Next {
        if self.place.step != Step::Reading {
            return Next::Nothing;
        }
        if !more && self.place.last == Some(after) {
            // What is left is nothing that this user may read.
            self.place.last = Some(self.place.head.max(after));
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

    /// What is due now.
    pub(crate) fn tick(&mut self, now: Instant) -> Next {
        match self.place.step {
            Step::Waiting(at) if at <= now => self.go_on(),
            Step::OpenAgain(at) if at <= now => {
                self.place.step = Step::Opening;
                Next::Open(self.refused.as_mut().and_then(|(receipt, _)| receipt.take()))
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
        page.into_iter().chain(self.marks.again_at).min()
    }

    /// Whether a change of this message is news: the client has the message.
    pub(crate) fn has_given(&self, seq: Seq) -> bool {
        self.place.last.is_none_or(|last| seq <= last)
    }

    fn go_on(&mut self) -> Next {
        match self.place.last {
            Some(last) if last < self.place.head => {
                self.place.step = Step::Reading;
                Next::Read(last)
            }
            Some(_) | None => {
                self.place.step = Step::Live;
                Next::Nothing
            }
        }
    }
}

impl Marks {
    /// The mark is to move to there. Returns the receipt if it is due at once.
    pub(crate) fn want(&mut self, seq: Option<Seq>, receipt: Option<String>) -> Option<String> {
        let seq = seq.unwrap_or(Seq::ZERO);
        self.wanted = self.wanted.max(seq);
        let receipt = receipt?;
        if seq <= self.sent && !self.is_under_way {
            return Some(receipt);
        }
        self.receipts.push_back((seq, receipt));
        None
    }

    /// The mark to be sent now, if one is.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Seq> {
        let waits = self.again_at.is_some_and(|at| at > now);
        if self.is_under_way || waits || self.wanted <= self.sent {
            return None;
        }
        self.again_at = None;
        self.is_under_way = true;
        self.sent = self.wanted;
        Some(self.sent)
    }

    /// The mark that was under way has moved. Returns the receipts that are due.
    pub(crate) fn moved(&mut self) -> Vec<String> {
        self.is_under_way = false;
        let due = self.receipts.iter().take_while(|(seq, _)| *seq <= self.sent).count();
        self.receipts.drain(..due).map(|(_, receipt)| receipt).collect()
    }

    /// It could not be moved now.
    pub(crate) fn failed(&mut self, now: Instant, retry_after_ms: u32) {
        self.is_under_way = false;
        self.sent = Seq::ZERO;
        let ms = if retry_after_ms == 0 { AGAIN_MS } else { retry_after_ms.into() };
        self.again_at = Some(now.plus_ms(ms));
    }

    /// Whether nothing is under way or wanted.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_under_way && self.wanted <= self.sent
    }
}
