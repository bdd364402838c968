//! The state machine of a client: connects, asks, hears, and goes on from the last cursor.
//!
//! This file has what goes in and out, the state, and time; `connecting`, `asking`, `hearing` and `operations` have the rest of it.
//!
//! Owns which connection there is or will be, what was asked and not answered, the received cursor, the pulse of the node and the
//! pauses between attempts. Reads no clock and does no I/O: inputs come with the time, effects leave as [`Output`], and what
//! is drawn at random is drawn from a seed.
//! Upholds: the server is asked for an operation only once the store has it; an event's cursor leaves with the event.

mod asking;
mod connecting;
mod hearing;
mod operations;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Bounds, Endpoint, TokenError, TokenNeed};
use crate::error::{Code, Ended, Error, Refusal, StoreError};
use crate::events::{Event, Fill, Place, Told};
use crate::known::Known;
use crate::message::{ChannelId, OperationId, Seq, UserId};
use crate::outbox::{AGE_MS_MAX, Entry, Operation, Outbox, Outgoing};
use crate::store::Held;

/// Bound of a connection, from the first packet to the reply to `connect`: more than the node's own bounds, which
/// say why.
const OPEN_MS: u64 = 15_000;
/// Time after that in which a `connect` that was put off may still be sent on the same connection.
const JOIN_MS: u64 = 8_000;
/// Time that a question may stay unanswered before an echo is asked for: what waits for the store takes a while.
const SOON_MS: u64 = 3_000;
/// Time that an echo may take, on a bad network.
const ECHO_MS: u64 = 10_000;
/// The pause before something that was refused as temporary is asked again, at least.
const PAUSE_MS: u64 = 500;
/// A text's limit until the server has told its own.
const BODY_CHARS_MAX: usize = 100_000;
/// A frame's limit until the server has told its own.
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The code of a socket that broke without one.
pub(crate) const BROKEN: u16 = 1006;

/// The time of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Monotonic, from any beginning.
    pub(crate) ms: u64,
    /// The wall's, Unix milliseconds.
    pub(crate) wall_ms: u64,
}

/// Number of a caller that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(crate) u64);

/// A node that a client may connect to, as `/v1/servers/best` names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Node {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) api_url: Option<String>,
}

/// Part of a question beside its command, if it is to be asked again on the next connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lasting {
    No,
    Open(ChannelId, Option<Seq>),
    Close(ChannelId),
    Watch(Vec<UserId>),
}

/// Events that happen to a client.
#[derive(Debug)]
pub(crate) enum Input {
    /// Time has passed.
    Wake,
    /// The answer to [`Output::FindNodes`]: who answered, and what.
    Nodes(Result<(String, Vec<Node>), String>),
    /// The answer to [`Output::FetchToken`].
    Token(Result<String, TokenError>),
    /// The socket is open.
    Opened { socket: u64 },
    /// A frame of text. `room`: whether the application's queue takes another event.
    Heard { socket: u64, text: String, room: bool },
    /// A frame without text, a ping say.
    Alive { socket: u64 },
    /// The socket is gone, or could not be opened.
    Closed { socket: u64, code: u16, reason: String },
    /// An operation of the application. `stored` is answered once the store has it, `done` once it is over.
    Submit {
        channel_id: ChannelId,
        operation: Operation,
        random: [u8; 10],
        queue: Fill,
        stored: Option<Ticket>,
        done: Option<Ticket>,
    },
    /// The store has taken an operation, or not: one for each [`Output::Put`], in their order.
    Stored { order: u64, result: Result<(), StoreError> },
    /// The application wants a refused operation tried again.
    Retry { id: OperationId, ticket: Ticket },
    /// The application gives a refused operation up, or one that waits.
    Discard { id: OperationId, ticket: Option<Ticket> },
    /// Question for the operations in the outbox.
    List { ticket: Ticket },
    /// A question of the application.
    Ask { command: &'static str, fields: Value, lasting: Lasting, ticket: Ticket },
    /// The user writes in a channel, or has stopped.
    Typing { channel_id: ChannelId, on: bool },
    /// The application's queue has room again.
    Room,
    /// The network came back, or the application wants to know whether the node is still there.
    Hurry,
    /// The client is to end.
    Leave,
}

/// Effects that a client is to carry out.
#[derive(Debug)]
pub(crate) enum Output {
    /// Ask these addresses in turn for nodes.
    FindNodes(Vec<String>),
    /// Ask the application for a token.
    FetchToken(TokenNeed),
    /// Open a socket.
    Connect { socket: u64, url: String },
    /// Write a frame to it.
    Write(String),
    /// Close it, if it is open, and forget it.
    Disconnect,
    /// Tell the application.
    Tell(Told),
    /// Keep an operation, and say [`Input::Stored`].
    Put(Entry),
    /// Forget one.
    Remove { order: u64, id: OperationId },
    /// Answer a question.
    Answer { ticket: Ticket, result: Result<Answer, Error> },
    /// An operation is over: answers those who wait for that, or else tells the application.
    Finish { waiters: Vec<Ticket>, outgoing: Outgoing },
    /// All is done.
    Over,
}

/// Contents of an answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Value),
    Operation(OperationId),
    Outgoing(Vec<Outgoing>),
    Finished(Outgoing),
    Nothing,
}

/// Settings of a session.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) endpoint: Endpoint,
    pub(crate) device_id: String,
    pub(crate) client: String,
    pub(crate) bounds: Bounds,
    pub(crate) seed: u64,
}

#[derive(Debug)]
enum Stage {
    /// A pause before the next attempt.
    Paused { until_ms: u64 },
    /// A token is asked for.
    Fetching,
    /// Nodes are asked for.
    Finding,
    /// A socket is being opened.
    Opening { since_ms: u64 },
    /// `connect` was sent, or will be again.
    Joining { since_ms: u64, again_ms: Option<u64> },
    /// The session is live.
    Live,
    /// There is none any more.
    Over,
}

/// Question that was asked.
#[derive(Debug)]
enum Asked {
    Connect { resumed: bool },
    Refresh,
    Echo,
    Operation { order: u64 },
    Question { ticket: Ticket, lasting: Lasting },
    Reopen(ChannelId),
    Rewatch,
}

/// Pulse of the node: when it was heard, and what is waited for.
#[derive(Debug, Default)]
struct Pulse {
    heard_ms: u64,
    /// The first question since then.
    asked_ms: Option<u64>,
    /// An echo is awaited.
    probed_ms: Option<u64>,
}

#[derive(Debug)]
struct Drain {
    url: Option<String>,
    leave_ms: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
struct Limits {
    body_chars_max: usize,
    frame_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_chars_max: BODY_CHARS_MAX, frame_bytes_max: FRAME_BYTES_MAX }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
struct Retry {
    base_ms: u64,
    cap_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { base_ms: 500, cap_ms: 20_000 }
    }
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Session {
    settings: Settings,
    random: fastrand::Rng,
    stage: Stage,
    outputs: VecDeque<Output>,

    // Where.
    socket: u64,
    url: String,
    apis: Vec<String>,
    failed: BTreeSet<String>,
    drain: Option<Drain>,

    // Who.
    user_id: Option<UserId>,
    token: Option<String>,
    need: TokenNeed,
    /// A token is being asked for beside the stage.
    fetching: bool,
    /// Time at which the token in use was given, if that was because the one before was refused.
    renewed_ms: Option<u64>,

    // How long.
    failures: u32,
    /// Pause that the server wants, beside the usual one.
    pause_ms: u64,
    retry: Retry,
    limits: Limits,
    ping_ms: u64,
    pulse: Pulse,
    /// The server's wall clock less ours.
    clock_off_ms: i64,

    // What.
    cursor: Option<String>,
    next_id: u32,
    asked: BTreeMap<u32, Asked>,
    /// Questions that are asked again later on this connection.
    later: Vec<(u64, Asked)>,
    outbox: Outbox,
    /// Callers that wait until the store has an operation, or until it is over.
    stored: BTreeMap<u64, Vec<Ticket>>,
    done: BTreeMap<u64, Vec<Ticket>>,
    retried: BTreeSet<u64>,
    /// Operations whose refusal the store is keeping: its answer is none to whoever waits.
    refused: BTreeSet<u64>,
    /// Channels that are open, oldest first, with the last message of each that came without a cursor.
    open: Vec<(ChannelId, Option<Seq>)>,
    watched: Vec<UserId>,
    /// Events were left out because the application's queue was full: the rest is asked for by another connection.
    gap: bool,
    /// The queue has had room since something was left out.
    room: bool,
    /// A page of a snapshot was told, and further ones follow.
    in_snapshot: bool,
    known: Known,
    /// Messages of the node in a row that could not be understood.
    malformed: u32,
    /// Time at which it was last told that the user writes in a channel.
    typing: BTreeMap<ChannelId, u64>,
}

impl Session {
    /// One that begins with what a store held.
    pub(crate) fn new(settings: Settings, held: Held) -> Self {
        let apis = match &settings.endpoint {
            Endpoint::Discover(apis) => apis.clone(),
            Endpoint::Fixed(_) => Vec::new(),
        };
        let outbox = Outbox::new(held.entries);
        let told = |entry: &Entry| {
            Output::Tell(Told { event: Some(Event::Outgoing(entry.outgoing())), place: None, bytes: 0 })
        };
        let outputs = outbox.entries().map(told).collect();
        Self {
            random: fastrand::Rng::with_seed(settings.seed),
            settings,
            stage: Stage::Paused { until_ms: 0 },
            outputs,
            socket: 0,
            url: String::new(),
            apis,
            failed: BTreeSet::new(),
            drain: None,
            user_id: None,
            token: None,
            need: TokenNeed::Connect,
            fetching: false,
            renewed_ms: None,
            failures: 0,
            pause_ms: 0,
            retry: Retry::default(),
            limits: Limits::default(),
            ping_ms: 25_000,
            pulse: Pulse::default(),
            clock_off_ms: 0,
            cursor: held.cursor,
            next_id: 1,
            asked: BTreeMap::new(),
            later: Vec::new(),
            outbox,
            stored: BTreeMap::new(),
            done: BTreeMap::new(),
            retried: BTreeSet::new(),
            refused: BTreeSet::new(),
            open: Vec::new(),
            watched: Vec::new(),
            gap: false,
            room: true,
            in_snapshot: false,
            known: Known::default(),
            malformed: 0,
            typing: BTreeMap::new(),
        }
    }

    /// Applies one input. Never waits; a refusal is an output too.
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Wake => {}
            Input::Nodes(result) => self.nodes(now, result),
            Input::Token(result) => self.token(now, result),
            Input::Opened { socket } => self.opened(now, socket),
            Input::Heard { socket, text, room } => self.heard(now, socket, &text, room),
            Input::Alive { socket } => self.alive(now, socket),
            Input::Closed { socket, code, reason } => self.closed(now, socket, code, &reason),
            Input::Submit { channel_id, operation, random, queue, stored, done } => {
                self.submit(now, (channel_id, operation), random, queue, (stored, done));
            }
            Input::Stored { order, result } => self.was_stored(order, result),
            Input::Retry { id, ticket } => self.try_again(id, ticket),
            Input::Discard { id, ticket } => self.discard(id, ticket),
            Input::List { ticket } => {
                let all = self.outbox.entries().map(Entry::outgoing).collect();
                self.answer(ticket, Ok(Answer::Outgoing(all)));
            }
            Input::Ask { command, fields, lasting, ticket } => self.question(now, command, fields, lasting, ticket),
            Input::Typing { channel_id, on } => self.typing(now, channel_id, on),
            Input::Room => self.room = true,
            Input::Hurry => self.hurry(now),
            Input::Leave => self.end(Ended::Closed),
        }
        self.proceed(now);
    }

    /// The next effect, oldest first.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Time at which [`Input::Wake`] is next wanted.
    pub(crate) fn poll_timeout(&self, now: Now) -> Option<u64> {
        let stage = match self.stage {
            Stage::Paused { until_ms } => Some(until_ms),
            Stage::Opening { since_ms } => Some(since_ms + OPEN_MS),
            Stage::Joining { since_ms, again_ms } => Some(again_ms.unwrap_or(since_ms + OPEN_MS)),
            Stage::Live => Some(self.pulse_ms()),
            Stage::Fetching | Stage::Finding | Stage::Over => None,
        };
        let live = matches!(self.stage, Stage::Live);
        let drain = self.drain.as_ref().filter(|_| live).map(|drain| drain.leave_ms);
        let later = self.later.iter().map(|(at_ms, _)| *at_ms).min();
        let outbox = live.then(|| self.outbox.next_ms(now.ms)).flatten();
        [stage, drain, later, outbox].into_iter().flatten().min()
    }

    /// `true` if somebody waits for an answer that comes over the socket.
    pub(crate) fn awaits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The socket is not read for now, so that nobody can tell whether the node says anything.
    pub(crate) fn rest(&mut self, now: Now) {
        self.pulse = Pulse { heard_ms: now.ms, ..Pulse::default() };
    }

    /// `true` once there will be nothing any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    fn proceed(&mut self, now: Now) {
        match self.stage {
            Stage::Paused { until_ms } if until_ms <= now.ms => self.begin(now),
            Stage::Opening { since_ms } if since_ms + OPEN_MS <= now.ms => self.give_up(now, "the node did not answer"),
            Stage::Joining { since_ms, again_ms: None } if since_ms + OPEN_MS <= now.ms => {
                self.give_up(now, "the node did not answer");
            }
            Stage::Joining { since_ms, again_ms: Some(at_ms) } if at_ms <= now.ms => self.join(since_ms),
            Stage::Live => self.live(now),
            Stage::Paused { .. }
            | Stage::Fetching
            | Stage::Finding
            | Stage::Opening { .. }
            | Stage::Joining { .. }
            | Stage::Over => {}
        }
    }

    fn live(&mut self, now: Now) {
        if self.drain.as_ref().is_some_and(|drain| drain.leave_ms <= now.ms) {
            self.lost();
            return self.begin(now);
        }
        let asks = |asked: &Asked| matches!(asked, Asked::Question { .. });
        if self.gap && self.room && !self.asked.values().any(asks) {
            // What was left out comes again on a connection that goes on from the last event that was not.
            self.lost();
            return self.begin(now);
        }
        if self.pulse_ms() <= now.ms {
            if self.pulse.probed_ms.is_some() {
                return self.give_up(now, "the node says nothing");
            }
            self.probe(now);
        }
        let due = |later: &(u64, Asked)| later.0 <= now.ms;
        while let Some(at) = self.later.iter().position(due) {
            match self.later.swap_remove(at).1 {
                Asked::Reopen(channel_id) => self.reopen(now, channel_id),
                Asked::Rewatch => self.rewatch(now),
                other => panic!("{other:?} is asked once"),
            }
        }
        while let Some(entry) = self.outbox.next(now.ms) {
            if entry.made_ms().is_some_and(|made_ms| made_ms + AGE_MS_MAX < self.server_ms(now)) {
                let message = "it has waited for more than 30 days, and might be done twice".to_owned();
                self.answered(now, entry.order, Err(refused(Code::IdTooOld, message)));
                continue;
            }
            let (command, fields) = entry.command();
            self.ask(now, &command, fields, Asked::Operation { order: entry.order });
        }
    }

    /// Time at which the node has been silent for too long.
    fn pulse_ms(&self) -> u64 {
        let Pulse { heard_ms, asked_ms, probed_ms } = self.pulse;
        // The server pings when it has heard nothing for `ping_ms`, so that something is always said within that.
        let quiet = heard_ms + self.ping_ms + ECHO_MS;
        let soon = asked_ms.map_or(quiet, |asked_ms| quiet.min(asked_ms + SOON_MS));
        probed_ms.map_or(soon, |probed_ms| probed_ms + ECHO_MS)
    }

    fn probe(&mut self, now: Now) {
        if self.pulse.probed_ms.is_none() {
            self.ask(now, "echo", json!({"data": ""}), Asked::Echo);
            self.pulse.probed_ms = Some(now.ms);
        }
    }

    fn alive(&mut self, now: Now, socket: u64) {
        if socket == self.socket {
            self.pulse = Pulse { heard_ms: now.ms, asked_ms: None, probed_ms: None };
        }
    }

    fn hurry(&mut self, now: Now) {
        match &mut self.stage {
            Stage::Live => self.probe(now),
            Stage::Paused { until_ms } => *until_ms = now.ms,
            Stage::Fetching | Stage::Finding | Stage::Opening { .. } | Stage::Joining { .. } | Stage::Over => {}
        }
    }

    fn answer(&mut self, ticket: Ticket, result: Result<Answer, Error>) {
        self.outputs.push_back(Output::Answer { ticket, result });
    }

    fn tell(&mut self, event: Event) {
        self.tell_at(Some(event), None, 0);
    }

    fn tell_at(&mut self, event: Option<Event>, place: Option<Place>, bytes: usize) {
        self.outputs.push_back(Output::Tell(Told { event, place, bytes }));
    }
}

/// A refusal of this client's own.
fn refused(code: Code, message: String) -> Refusal {
    Refusal { code, message, temporary: false, retry_after_ms: 0 }
}
