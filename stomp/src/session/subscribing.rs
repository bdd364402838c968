//! SUBSCRIBE and UNSUBSCRIBE: what a session follows, and reading on where something was left out.

use schema::command::{ErrorReply, History, HistoryPage, HistoryWindow, Open};
use schema::limits::{HISTORY_ROWS_MAX, WATCHED_MAX};
use schema::{Command, ErrorCode, Now, PresenceEntry, Push, Refusal, Seq};

use crate::destination::{Destination, UnknownDestination};
use crate::frame::{Frame, Version};
use crate::subscription::{Next, Subscription};
use crate::unacked::{AckMode, Unacked, WINDOW_DEFAULT, WINDOW_MAX};

use super::{ChannelId, Outputs, Pending, Session, Stage, UserId, parsed, required};

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
        let window = parsed(frame, "x-prefetch")?.unwrap_or(WINDOW_DEFAULT);
        if !(1..=WINDOW_MAX).contains(&window) {
            return Err(bad(format!("x-prefetch is 1 to {WINDOW_MAX}")));
        }
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
            Destination::Channel(_) => self.go_on(number, Next::Open(receipt), out),
            Destination::Inbox => {
                self.receipt(now, receipt.as_deref(), out);
                self.let_held_go(now, out);
            }
            Destination::Presence(_) => self.watch(number, receipt, out),
            Destination::Send(_) | Destination::Refresh => unreachable!("there is no room for these"),
        }
        Ok(())
    }

    /// Whether one more subscription to this destination may be.
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
        let Subscription { destination, .. } = self.subscriptions.remove(at);
        let receipt = frame.header("receipt").map(str::to_owned);
        let is_last = self.subscriptions.iter().all(|left| left.destination != destination);
        match destination {
            Destination::Channel(channel_id) if is_last => {
                self.ask(Command::Close { channel_id }, Pending::Close { receipt }, out);
            }
            Destination::Presence(_) if is_last => self.watch(0, receipt, out),
            Destination::Channel(_)
            | Destination::Presence(_)
            | Destination::Inbox
            | Destination::Send(_)
            | Destination::Refresh => self.receipt(now, receipt.as_deref(), out),
        }
        Ok(())
    }

    /// Has the users of all subscriptions to presence watched.
    fn watch(&mut self, number: u32, receipt: Option<String>, out: &mut Outputs) {
        let mut user_ids: Vec<UserId> = self
            .subscriptions
            .iter()
            .filter_map(|subscription| match subscription.destination {
                Destination::Presence(user) => Some(user),
                Destination::Channel(_) | Destination::Inbox | Destination::Send(_) | Destination::Refresh => None,
            })
            .collect();
        user_ids.sort_unstable();
        user_ids.dedup();
        self.ask(Command::PresenceWatch { user_ids }, Pending::Watch { number, receipt }, out);
    }

    pub(super) fn watched(
        &mut self,
        now: Now,
        number: u32,
        entries: &[PresenceEntry],
        receipt: Option<&str>,
        out: &mut Outputs,
    ) {
        self.receipt(now, receipt, out);
        self.give_presence(now, entries, Some(number), out);
    }

    pub(super) fn opened(&mut self, now: Now, number: u32, head: Seq, receipt: Option<&str>, out: &mut Outputs) {
        self.receipt(now, receipt, out);
        let next = self.subscription_mut(number).map_or(Next::Nothing, |subscription| subscription.opened(head));
        self.go_on(number, next, out);
    }

    /// Does what a subscription wants next.
    pub(super) fn go_on(&mut self, number: u32, next: Next, out: &mut Outputs) {
        let Some(channel_id) = self.channel_of(number) else { return };
        match next {
            Next::Nothing => {}
            // Without a seq: of a large channel what is sent from now on, and the rest from history as of all.
            Next::Open(receipt) => {
                let open = Open { channel_id, after_seq: None };
                self.ask(Command::Open(open), Pending::Open { number, receipt }, out);
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
        number: u32,
        receipt: Option<String>,
        error: &ErrorReply,
        out: &mut Outputs,
    ) {
        let told = match self.subscription_mut(number) {
            Some(found) if error.temporary => found.open_failed(now.mono, receipt, error.retry_after_ms),
            Some(_) => Err(receipt),
            // Its UNSUBSCRIBE came meanwhile.
            None => Ok(()),
        };
        if let Err(receipt) = told {
            self.fail(now, error, receipt.as_deref(), out);
        }
    }

    pub(super) fn page_read(&mut self, now: Now, (number, after): (u32, Seq), page: &HistoryPage, out: &mut Outputs) {
        for message in &page.messages {
            if self.subscription_mut(number).is_some_and(|subscription| subscription.read(message.seq)) {
                self.give_message(now, number, message, None, out);
            }
        }
        let next = self.subscription_mut(number).map_or(Next::Nothing, |found| found.page_read(after, page.more));
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
