//! Requests that are made again while they are refused for now: STOMP has no answer that says "later".
//!
//! Owns the ends of subscriptions to channels, new tokens, and the watch of presence. The server is told each time of all
//! users who are watched, so one such request is under way at a time, and the next has all that came meanwhile.

use schema::command::ErrorReply;
use schema::{ChannelId, Command, ErrorCode, Instant, Now, Refusal, Reply, UserId};

use crate::destination::Destination;
use crate::subscription::receipt_bytes;

use super::{Outputs, Pending, Session};

/// Time for which a request that is refused for now is made again.
const REPEATED_MS: u64 = 30_000;
/// Time until then, unless the server says another.
const AGAIN_MS: u64 = 1_000;
/// Requests that wait to be made again.
const REPEATS_MAX: usize = 100;

/// A request that can be made again.
#[derive(Debug)]
pub(super) struct Repeated {
    what: Repeatable,
    receipt: Option<String>,
    /// Time at which its refusal is told, once it was refused.
    until: Option<Instant>,
}

#[derive(Debug)]
pub(super) enum Repeatable {
    /// The last subscription to a channel is over.
    Close(ChannelId),
    /// A new token.
    Refresh(String),
    /// The users who are watched, for those that wait for it.
    Watch(Vec<Watcher>),
}

/// A SUBSCRIBE to presence with the subscription's number, or the UNSUBSCRIBE of one, and its receipt.
type Watcher = (Option<u32>, Option<String>);

/// The watch of presence.
#[derive(Debug, Default)]
pub(super) struct Watch {
    is_under_way: bool,
    /// `true` if the users are others than when it was asked for.
    is_wanted: bool,
    /// Watchers that the next is for.
    waiting: Vec<Watcher>,
}

impl Watch {
    pub(super) const NONE: Self = Self { is_under_way: false, is_wanted: false, waiting: Vec::new() };

    /// Whether one is under way, wanted or waited for.
    pub(super) fn is_any(&self) -> bool {
        self.is_under_way || self.is_wanted || !self.waiting.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.is_under_way
    }

    /// Memory of the receipts that wait.
    pub(super) fn receipt_bytes(&self) -> usize {
        self.waiting.iter().filter_map(|(_, receipt)| receipt.as_deref()).map(receipt_bytes).sum()
    }

    /// A subscription is over: it is owed its receipt, and nothing else.
    pub(super) fn left(&mut self, number: u32) {
        self.waiting.retain(|(of, receipt)| *of != Some(number) || receipt.is_some());
    }
}

/// Requests that were refused for now, and when each is made again.
#[derive(Debug, Default)]
pub(super) struct Repeats(Vec<(Instant, Box<Repeated>)>);

impl Repeats {
    pub(super) const NONE: Self = Self(Vec::new());

    pub(super) fn are_any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|&(at, _)| at).min()
    }

    /// `true` if what the client waits for is among them.
    pub(super) fn hold_barriers(&self) -> bool {
        self.0.iter().any(|(_, repeated)| repeated.holds_barriers())
    }
}

impl Repeated {
    pub(super) fn new(what: Repeatable, receipt: Option<String>) -> Box<Self> {
        Box::new(Self { what, receipt, until: None })
    }

    /// `true` if a receipt that waits for all before it waits for this: a token is no matter of what came before.
    pub(super) fn holds_barriers(&self) -> bool {
        !matches!(self.what, Repeatable::Refresh(_))
    }
}

impl Session {
    pub(super) fn ask_repeated(&mut self, repeated: Box<Repeated>, out: &mut Outputs) {
        let command = match &repeated.what {
            &Repeatable::Close(channel_id) => Command::Close { channel_id },
            Repeatable::Refresh(token) => Command::Refresh { token: token.clone() },
            Repeatable::Watch(_) => Command::PresenceWatch { user_ids: self.watched_users() },
        };
        self.ask(command, Pending::Repeated(repeated), out);
    }

    /// Has the users of all subscriptions to presence watched, and answers a SUBSCRIBE of this number or an UNSUBSCRIBE then.
    pub(super) fn watch(&mut self, number: Option<u32>, receipt: Option<String>, out: &mut Outputs) {
        if number.is_some() || receipt.is_some() {
            self.under_way.watch.waiting.push((number, receipt));
        }
        self.under_way.watch.is_wanted = true;
        self.watch_next(out);
    }

    fn watch_next(&mut self, out: &mut Outputs) {
        if !self.under_way.watch.is_under_way && self.under_way.watch.is_wanted {
            let waiting = std::mem::take(&mut self.under_way.watch.waiting);
            self.under_way.watch = Watch { is_under_way: true, ..Watch::default() };
            self.ask_repeated(Repeated::new(Repeatable::Watch(waiting), None), out);
        }
    }

    fn watched_users(&self) -> Vec<UserId> {
        let user = |of: Destination| match of {
            Destination::Presence(user) => Some(user),
            Destination::Channel(_) | Destination::Inbox | Destination::Send(_) | Destination::Refresh => None,
        };
        let mut users: Vec<UserId> = self.subscriptions.iter().filter_map(|found| user(found.destination)).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    pub(super) fn repeated_done(&mut self, now: Now, repeated: Repeated, reply: &Reply, out: &mut Outputs) {
        self.receipt(now, repeated.receipt.as_deref(), out);
        match (repeated.what, reply) {
            (Repeatable::Watch(watchers), Reply::PresenceWatch { entries }) => {
                self.under_way.watch.is_under_way = false;
                for (_, receipt) in &watchers {
                    self.receipt(now, receipt.as_deref(), out);
                }
                let numbers = watchers.into_iter().filter_map(|(number, _)| number).collect();
                self.give_presence(now, entries, Some(&numbers), out);
                self.watch_next(out);
            }
            (Repeatable::Close(_), Reply::Close {}) | (Repeatable::Refresh(_), Reply::Refresh { .. }) => {}
            (what, reply) => unreachable!("{what:?} was answered by {reply:?}"),
        }
    }

    /// It is refused; for now only, it waits.
    pub(super) fn repeated_refused(
        &mut self,
        now: Now,
        mut repeated: Box<Repeated>,
        error: &ErrorReply,
        out: &mut Outputs,
    ) {
        let until = *repeated.until.get_or_insert(now.mono.plus_ms(REPEATED_MS));
        if !error.temporary || until <= now.mono {
            let receipt = match repeated.what {
                Repeatable::Watch(watchers) => watchers.into_iter().find_map(|(_, receipt)| receipt),
                Repeatable::Close(_) | Repeatable::Refresh(_) => repeated.receipt,
            };
            return self.fail(now, error, receipt.as_deref(), out);
        }
        if self.under_way.repeats.0.len() == REPEATS_MAX {
            let message = format!("{REPEATS_MAX} requests are refused for now, the limit");
            let refusal = Refusal::new(ErrorCode::LimitExceeded, message);
            return self.fail(now, &refusal.into(), repeated.receipt.as_deref(), out);
        }
        let ms = if error.retry_after_ms == 0 { AGAIN_MS } else { error.retry_after_ms.into() };
        self.under_way.repeats.0.push((now.mono.plus_ms(ms), repeated));
    }

    /// Makes those again that are due.
    pub(super) fn repeat(&mut self, now: Now, out: &mut Outputs) {
        if !self.under_way.repeats.are_any() {
            return;
        }
        let due = self.under_way.repeats.0.extract_if(.., |(at, _)| *at <= now.mono).collect::<Vec<_>>();
        for (_, mut repeated) in due {
            match &mut repeated.what {
                // It was subscribed to again.
                &mut Repeatable::Close(channel_id) if self.subscribes_to(channel_id) => {
                    self.receipt(now, repeated.receipt.as_deref(), out);
                    self.settle(now, out);
                    continue;
                }
                Repeatable::Watch(watchers) => {
                    self.under_way.watch.is_wanted = false;
                    watchers.append(&mut self.under_way.watch.waiting);
                }
                Repeatable::Close(_) | Repeatable::Refresh(_) => {}
            }
            self.ask_repeated(repeated, out);
        }
    }

    fn subscribes_to(&self, channel_id: ChannelId) -> bool {
        self.subscriptions.iter().any(|found| found.destination == Destination::Channel(channel_id))
    }
}
