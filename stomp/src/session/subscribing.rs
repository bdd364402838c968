//! SUBSCRIBE and UNSUBSCRIBE: what a session follows, and reading on where something was left out.

use schema::command::{ErrorReply, History, HistoryPage, HistoryWindow, Open};
use schema::limits::{HISTORY_ROWS_MAX, WATCHED_MAX};
use schema::{Command, ErrorCode, Now, Push, Refusal, Seq};

use crate::destination::{Destination, UnknownDestination};
use crate::frame::{Frame, Version};
use crate::subscription::{Next, Subscription};
use crate::unacked::{AckMode, Unacked, WINDOW_DEFAULT, WINDOW_MAX};

use super::repeats::{Repeatable, Repeated};
use super::{ChannelId, Outputs, Pending, Session, Stage, parsed, required};

/// Subscriptions of a session to channels and its inbox; those to presence have the limit of watched users.
const SUBSCRIPTIONS_MAX: usize = 100;
/// Subscriptions to one destination: what is queued for a session is this much more at the most.
const OF_DESTINATION_MAX: usize = 4;

impl Session {
    pub(super) fn subscribe(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        let bad = |message: String| Refusal::new(ErrorCode::BadRequest, message);
        let destination: Destination =
            required(frame, "destination")?.parse().map_err(|error: UnknownDestination| bad(error.to_string()))?;
        let id = frame.header("id");
        if id.is_none() && self.version > Version::V10 {
            return Err(bad("SUBSCRIBE needs the header id".to_owned()));
        }
        if id.is_some() && self.subscriptions.iter().any(|subscription| subscription.id.as_deref() == id) {
            return Err(bad("there is a subscription of this id".to_owned()));
        }
        self.has_room_for(destination)?;
        if matches!(destination, Destination::Presence(_)) {
            self.has_room_for_receipt(frame.header("receipt"))?;
        }
        let mode = match frame.header("ack") {
            None | Some("auto") => AckMode::Auto,
            Some("client") => AckMode::Client,
            Some("client-individual") => AckMode::Individual,
            Some(_) => return Err(bad("ack is auto, client or client-individual".to_owned())),
        };
        let all_events = match frame.header("x-events") {
            None | Some("messages") => false,
            Some("all") => true,
            Some(_) => return Err(bad("x-events is messages or all".to_owned())),
        };
        let window = match parsed::<usize>(frame, "x-prefetch")?.map(u16::try_from) {
            None => WINDOW_DEFAULT,
            Some(Ok(window @ 1..=WINDOW_MAX)) => window,
            Some(_) => return Err(bad(format!("x-prefetch is 1 to {WINDOW_MAX}"))),
        };
        let after = parsed(frame, "x-after-seq")?.map(Seq);
        let of_channel = matches!(destination, Destination::Channel(_));
        if !of_channel && (mode != AckMode::Auto || after.is_some()) {
            return Err(bad(format!("{destination} has no ack but auto, and no x-after-seq")));
        }
        let number = self.next_subscription;
        self.next_subscription += 1;
        let unacked = Unacked::new(mode, window);
        // Most sessions have one or two, which are large.
        self.subscriptions.reserve_exact(1);
        self.subscriptions.push(Subscription::new((id, number), destination, unacked, after, all_events));
        let receipt = frame.header("receipt").map(str::to_owned);
        match destination {
            Destination::Channel(_) => {
                if let Some(subscription) = self.subscriptions.last_mut() {
                    subscription.opens(receipt);
                }
                self.go_on(number, Next::Open, out);
            }
            Destination::Inbox => {
                self.receipt(now, receipt.as_deref(), out);
                self.let_held_go(now, out);
            }
            Destination::Presence(_) => self.watch(Some(number), receipt, out),
            Destination::Send(_) | Destination::Refresh => unreachable!("there is no room for these"),
        }
        Ok(())
    }

    /// Refusal of one more subscription to this destination, if there is no room for it.
    fn has_room_for(&self, destination: Destination) -> Result<(), Refusal> {
        let limit = match destination {
            Destination::Channel(_) | Destination::Inbox => SUBSCRIPTIONS_MAX,
            Destination::Presence(_) => WATCHED_MAX as usize,
            Destination::Send(_) | Destination::Refresh => {
                let message = format!("nobody can subscribe to {destination}");
                return Err(Refusal::new(ErrorCode::BadRequest, message));
            }
        };
        let is_presence = |of: Destination| matches!(of, Destination::Presence(_));
        let count = |alike: &dyn Fn(Destination) -> bool| {
            self.subscriptions.iter().filter(|subscription| alike(subscription.destination)).count()
        };
        if count(&|of| is_presence(of) == is_presence(destination)) >= limit {
            return Err(Refusal::new(
                ErrorCode::LimitExceeded,
                format!("{limit} subscriptions of its kind, the limit"),
            ));
        }
        if count(&|of| of == destination) >= OF_DESTINATION_MAX {
            let message = format!("{OF_DESTINATION_MAX} subscriptions to {destination}, the limit");
            return Err(Refusal::new(ErrorCode::LimitExceeded, message));
        }
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        let at = match (frame.header("id"), frame.header("destination")) {
            (Some(id), _) => self.subscriptions.iter().position(|found| found.id.as_deref() == Some(id)),
            (None, Some(destination)) if self.version == Version::V10 => {
                let destination = destination.parse();
                self.subscriptions.iter().position(|found| Ok(found.destination) == destination)
            }
            (None, _) => return Err(Refusal::new(ErrorCode::BadRequest, "UNSUBSCRIBE needs the header id")),
        };
        let Some(at) = at else {
            return Err(Refusal::new(ErrorCode::BadRequest, "there is no subscription of this id"));
        };
        let receipt = frame.header("receipt").map(str::to_owned);
        if matches!(self.subscriptions[at].destination, Destination::Presence(_)) {
            self.has_room_for_receipt(receipt.as_deref())?;
        }
        let removed = self.subscriptions.remove(at);
        let (destination, number) = (removed.destination, removed.number);
        if let Destination::Channel(channel_id) = destination {
            if removed.is_opening() && removed.open_asked_by().is_none() {
                self.open_again(now, channel_id);
            }
            self.leave_marks(number, channel_id, removed.marks)?;
        }
        if self.under_way.watch.is_any() {
            self.under_way.watch.left(number);
        }
        let is_last = self.subscriptions.iter().all(|left| left.destination != destination);
        match destination {
            Destination::Channel(channel_id) if is_last => {
                self.ask_repeated(Repeated::new(Repeatable::Close(channel_id), receipt), out);
            }
            Destination::Presence(_) if is_last => self.watch(None, receipt, out),
            Destination::Channel(_)
            | Destination::Presence(_)
            | Destination::Inbox
            | Destination::Send(_)
            | Destination::Refresh => self.receipt(now, receipt.as_deref(), out),
        }
        Ok(())
    }

    pub(super) fn opened(&mut self, now: Now, (asked_by, channel_id): (u32, ChannelId), head: Seq, out: &mut Outputs) {
        let of_channel = self.of_channel(channel_id).map(|found| found.number);
        for number in of_channel.collect::<Vec<_>>() {
            let Some(subscription) = self.subscription_mut(number) else { continue };
            let next = if subscription.open_asked_by() == Some(asked_by) {
                let (receipt, next) = subscription.opened(head);
                self.receipt(now, receipt.as_deref(), out);
                next
            } else {
                // Of a large channel the server tells from this head on: what came before it may have been told to nobody.
                subscription.grown(head)
            };
            self.go_on(number, next, out);
        }
    }

    fn of_channel(&self, channel_id: ChannelId) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter().filter(move |found| found.destination == Destination::Channel(channel_id))
    }

    /// An `open` of this channel came to nothing, and nobody waits for it: where others were open before, the server may
    /// have ended what it told them.
    fn open_again(&mut self, now: Now, channel_id: ChannelId) {
        if self.of_channel(channel_id).any(Subscription::is_opening) {
            return;
        }
        let first = self.subscriptions.iter_mut().find(|found| found.destination == Destination::Channel(channel_id));
        if let Some(subscription) = first {
            subscription.opens_again(now.mono);
        }
    }

    /// Does what a subscription wants next.
    pub(super) fn go_on(&mut self, number: u32, next: Next, out: &mut Outputs) {
        let Some(channel_id) = self.channel_of(number) else { return };
        match next {
            Next::Nothing => {}
            Next::Open => {
                let under_way = self.of_channel(channel_id).find_map(Subscription::open_asked_by);
                if let Some(subscription) = self.subscription_mut(number) {
                    subscription.open_asked(under_way.unwrap_or(number));
                }
                if under_way.is_none() {
                    // Without a seq: of a large channel what is sent from now on, and the rest from history as of all.
                    let open = Open { channel_id, after_seq: None };
                    self.ask(Command::Open(open), Pending::Open { number, channel_id }, out);
                }
            }
            Next::Read(after) => {
                let history = History { channel_id, window: HistoryWindow::After(after), limit: HISTORY_ROWS_MAX };
                self.ask(Command::History(history), Pending::History { number, after }, out);
            }
        }
    }

    pub(super) fn open_refused(
        &mut self,
        now: Now,
        (asked_by, channel_id): (u32, ChannelId),
        error: &ErrorReply,
        out: &mut Outputs,
    ) {
        // None, if their UNSUBSCRIBEs came meanwhile.
        let waiting = self.subscriptions.iter_mut().filter(|found| found.open_asked_by() == Some(asked_by));
        let told = waiting.map(|found| found.open_failed(now.mono, error.temporary, error.retry_after_ms));
        let told: Vec<_> = told.collect();
        if told.is_empty() {
            self.open_again(now, channel_id);
        }
        if let Some(receipt) = told.into_iter().find_map(Result::err) {
            self.fail(now, error, receipt.as_deref(), out);
        }
    }

    pub(super) fn page_read(&mut self, now: Now, (number, after): (u32, Seq), page: &HistoryPage, out: &mut Outputs) {
        for message in &page.messages {
            if self.subscription_mut(number).is_some_and(|subscription| subscription.read(message.seq)) {
                self.give_message(now, number, message, None, out);
            }
        }
        let end = (page.head_seq, page.more);
        let next = self.subscription_mut(number).map_or(Next::Nothing, |found| found.page_read(now.mono, after, end));
        self.go_on(number, next, out);
    }

    pub(super) fn tick_subscriptions(&mut self, now: Now, out: &mut Outputs) {
        let due = |subscription: &&mut Subscription| subscription.due().is_some_and(|at| at <= now.mono);
        let due = self.subscriptions.iter_mut().filter(due).map(|found| (found.number, found.tick(now.mono)));
        for (number, next) in due.collect::<Vec<_>>() {
            self.go_on(number, next, out);
            self.mark(now, number, out);
        }
    }

    /// The subscription to the inbox that a CONNECT with a cursor promised is there.
    fn let_held_go(&mut self, now: Now, out: &mut Outputs) {
        if let Stage::Live { held } = &mut self.stage
            && let Some(held) = held.take()
        {
            let (pushes, _): (Vec<Push>, _) = *held;
            for push in pushes {
                self.pushed(now, push, out);
            }
        }
    }

    pub(super) fn subscription_mut(&mut self, number: u32) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.number == number)
    }

    pub(super) fn channel_of(&self, number: u32) -> Option<ChannelId> {
        let found = self.subscriptions.iter().find(|subscription| subscription.number == number)?;
        match found.destination {
            Destination::Channel(channel) => Some(channel),
            Destination::Inbox | Destination::Presence(_) | Destination::Send(_) | Destination::Refresh => None,
        }
    }
}
