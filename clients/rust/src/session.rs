//! The state machine of a client: connects, asks, hears, and goes on from the last cursor.
//!
//! Owns which connection there is or will be, what was asked and not answered, the received cursor, the pulse of the node and the
//! pauses between attempts. Reads no clock and does no I/O: inputs come with the time, effects leave as [`Output`], and what
//! is drawn at random is drawn from a seed.
//! Upholds: the server is asked for an operation only once the store has it; an event's cursor leaves with the event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::config::{Bounds, Endpoint, TokenError, TokenNeed};
use crate::error::{Code, Ended, Error, Refusal, StoreError};
use crate::events::{self, Connection, Event, Fill, Place, Told};
use crate::known::Known;
use crate::message::{ChannelId, Message, OperationId, PresenceEntry, Seq, UserId};
use crate::outbox::{AGE_MS_MAX, Entry, Operation, Outbox, Outcome, Outgoing, Progress, Sent};
use crate::store::Held;

/// How long a connection may take from the first packet to the reply to `connect`: more than the node's own bounds, which
/// say why.
const OPEN_MS: u64 = 15_000;
/// How long after that a `connect` that was put off may still be sent on the same connection.
const JOIN_MS: u64 = 8_000;
/// How long a question may stay unanswered before an echo is asked for: what waits for the store takes a while.
const SOON_MS: u64 = 3_000;
/// How long an echo may take, on a bad network.
const ECHO_MS: u64 = 10_000;
/// The pause before something that was refused as temporary is asked again, at least.
const PAUSE_MS: u64 = 500;
/// Addresses of the HTTP API that are remembered.
const APIS_MAX: usize = 16;
/// Channels that are opened again on the next connection. A server lets 64 large ones be open.
const OPEN_MAX: usize = 256;
/// A text's limit until the server has told its own.
const BODY_CHARS_MAX: usize = 100_000;
/// A frame's limit until the server has told its own.
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What is no envelope in a row, after which a node is given up.
const MALFORMED_MAX: u32 = 20;
/// How often it is told that the user writes in a channel.
const TYPING_MS: u64 = 3_000;
/// Channels for which that is remembered.
const TYPING_MAX: usize = 64;
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

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(crate) u64);

/// A node that a client may connect to, as `/v1/servers/best` names it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Node {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) api_url: Option<String>,
}

/// What a question is beside its command: something to be asked again on the next connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lasting {
    No,
    Open(ChannelId, Option<Seq>),
    Close(ChannelId),
    Watch(Vec<UserId>),
}

/// What happens to a client.
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
    /// The store has taken an operation, or not.
    Stored { order: u64, result: Result<(), StoreError> },
    /// The application wants a refused operation tried again.
    Retry { id: OperationId, ticket: Ticket },
    /// The application gives a refused operation up, or one that waits.
    Discard { id: OperationId, ticket: Option<Ticket> },
    /// What is in the outbox.
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

/// What a client is to do.
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

/// What an answer has.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Value),
    Operation(OperationId),
    Outgoing(Vec<Outgoing>),
    Finished(Outgoing),
    Nothing,
}

/// What a session is made of.
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

/// What was asked.
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

/// When the node was heard, and what is waited for.
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

/// The reply to `connect`, as far as it is used.
#[derive(Debug, Deserialize)]
struct Connected {
    user_id: UserId,
    server_time_ms: u64,
    ping_ms: u64,
    #[serde(default)]
    limits: Limits,
    cursor: String,
    #[serde(default)]
    retry: Retry,
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
    /// The token in use was asked for because the one before was refused.
    renewed: bool,

    // How long.
    failures: u32,
    /// How long the server wants to hear nothing, beside the usual pause.
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
    /// What is asked again later on this connection.
    later: Vec<(u64, Asked)>,
    outbox: Outbox,
    /// Who waits until the store has an operation, or until it is over.
    stored: BTreeMap<u64, Vec<Ticket>>,
    done: BTreeMap<u64, Vec<Ticket>>,
    retried: BTreeSet<u64>,
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
    /// What the node said last that could not be understood, in a row.
    malformed: u32,
    /// When it was last told that the user writes in a channel.
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
            renewed: false,
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

    /// When [`Input::Wake`] is next wanted.
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

    /// Whether somebody waits for an answer that comes over the socket.
    pub(crate) fn awaits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether there will be nothing any more.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    // Time.

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

    /// When the node has been silent for too long.
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

    // Connecting.

    fn begin(&mut self, now: Now) {
        if !matches!(self.stage, Stage::Fetching) {
            self.tell(Event::Connection(Connection::Connecting));
        }
        if self.token.is_none() {
            self.stage = Stage::Fetching;
            return self.fetch_token(self.need);
        }
        let drained = self.drain.take().and_then(|drain| drain.url);
        match (drained, &self.settings.endpoint) {
            (Some(url), _) => self.connect(now, url),
            (None, Endpoint::Fixed(url)) => self.connect(now, url.clone()),
            (None, Endpoint::Discover(_)) => {
                self.stage = Stage::Finding;
                self.outputs.push_back(Output::FindNodes(self.apis.clone()));
            }
        }
    }

    fn fetch_token(&mut self, need: TokenNeed) {
        if !std::mem::replace(&mut self.fetching, true) {
            self.need = need;
            self.outputs.push_back(Output::FetchToken(need));
        }
    }

    fn token(&mut self, now: Now, result: Result<String, TokenError>) {
        self.fetching = false;
        let waits = matches!(self.stage, Stage::Fetching);
        match result {
            Ok(token) => {
                self.renewed = self.need == TokenNeed::Refused;
                self.need = TokenNeed::Connect;
                self.token = Some(token.clone());
                match self.stage {
                    Stage::Fetching => self.begin(now),
                    Stage::Live => {
                        self.ask(now, "refresh", json!({"token": token}), Asked::Refresh);
                    }
                    // It will be used.
                    Stage::Paused { .. }
                    | Stage::Finding
                    | Stage::Opening { .. }
                    | Stage::Joining { .. }
                    | Stage::Over => {}
                }
            }
            Err(TokenError::SignedOut) => self.end(Ended::SignedOut { code: None }),
            Err(error @ TokenError::Unavailable(_)) if waits => self.pause(now, None, error.to_string()),
            // The server closes when the token's time is over, and then one is asked for again.
            Err(TokenError::Unavailable(_)) => {}
        }
    }

    fn nodes(&mut self, now: Now, result: Result<(String, Vec<Node>), String>) {
        if !matches!(self.stage, Stage::Finding) {
            return;
        }
        let (api, nodes) = match result {
            Ok(found) => found,
            Err(why) => return self.pause(now, None, why),
        };
        // Who answered is asked first from now on, then those that it names, then the others.
        let mut apis = vec![api];
        let named = nodes.iter().filter_map(|node| node.api_url.clone());
        for other in named.chain(std::mem::take(&mut self.apis)) {
            if apis.len() < APIS_MAX && !apis.contains(&other) {
                apis.push(other);
            }
        }
        self.apis = apis;
        let untried = nodes.iter().find(|node| !self.failed.contains(&node.url));
        if untried.is_none() {
            self.failed.clear();
        }
        match untried.or_else(|| nodes.first()) {
            Some(node) => self.connect(now, node.url.clone()),
            None => self.pause(now, None, "there are no nodes".to_owned()),
        }
    }

    fn connect(&mut self, now: Now, url: String) {
        self.socket += 1;
        self.url.clone_from(&url);
        self.stage = Stage::Opening { since_ms: now.ms };
        self.outputs.push_back(Output::Connect { socket: self.socket, url });
    }

    fn opened(&mut self, now: Now, socket: u64) {
        if socket == self.socket && matches!(self.stage, Stage::Opening { .. }) {
            self.join(now.ms);
        }
    }

    fn join(&mut self, since_ms: u64) {
        self.stage = Stage::Joining { since_ms, again_ms: None };
        let mut fields = json!({
            "token": self.token, "device_id": self.settings.device_id, "client": self.settings.client,
        });
        if let Some(cursor) = &self.cursor {
            fields["cursor"] = json!(cursor);
        }
        let asked = Asked::Connect { resumed: self.cursor.is_some() };
        self.say("connect", fields, asked);
    }

    fn joined(&mut self, now: Now, reply: Value, resumed: bool) {
        let connected: Connected = match serde_json::from_value(reply) {
            Ok(connected) => connected,
            Err(error) => return self.give_up(now, &format!("the node's welcome is none: {error}")),
        };
        self.stage = Stage::Live;
        (self.failures, self.renewed) = (0, false);
        self.failed.clear();
        self.retry = connected.retry;
        self.limits = connected.limits;
        self.ping_ms = connected.ping_ms;
        self.clock_off_ms = connected.server_time_ms.cast_signed().wrapping_sub(now.wall_ms.cast_signed());
        let begins_at = (!resumed).then(|| Place::After(connected.cursor.clone()));
        self.cursor = Some(connected.cursor);
        self.user_id = Some(connected.user_id);
        let online = Connection::Live { user_id: connected.user_id, resumed, url: self.url.clone() };
        self.tell_at(Some(Event::Connection(online)), begins_at, 0);
        let open: Vec<ChannelId> = self.open.iter().map(|(channel_id, _)| *channel_id).collect();
        for channel_id in open {
            self.reopen(now, channel_id);
        }
        self.rewatch(now);
    }

    fn not_joined(&mut self, now: Now, refusal: Refusal, resumed: bool) {
        let Stage::Joining { since_ms, .. } = self.stage else { return };
        match refusal.code {
            Code::BadCursor if resumed => {
                self.cursor = None;
                for (_, after_seq) in &mut self.open {
                    // Another store has other seqs.
                    *after_seq = None;
                }
                self.known.takes(&Event::Reset);
                self.tell_at(Some(Event::Reset), Some(Place::Nowhere), 0);
                self.join(since_ms);
            }
            Code::Unauthenticated | Code::TokenExpired if self.renewed => self.end(Ended::SignedOut { code: None }),
            Code::Unauthenticated | Code::TokenExpired => {
                self.token_refused();
                self.pause(now, None, refusal.to_string());
            }
            _ if !refusal.temporary => self.end(Ended::Refused(refusal)),
            _ => {
                let again_ms = now.ms + refusal.retry_after_ms.max(PAUSE_MS);
                if again_ms < since_ms + JOIN_MS {
                    self.stage = Stage::Joining { since_ms, again_ms: Some(again_ms) };
                } else {
                    self.pause_ms = refusal.retry_after_ms;
                    self.pause(now, None, refusal.to_string());
                }
            }
        }
    }

    fn token_refused(&mut self) {
        self.token = None;
        self.need = TokenNeed::Refused;
    }

    // Losing the connection.

    fn closed(&mut self, now: Now, socket: u64, code: u16, reason: &str) {
        if socket != self.socket || matches!(self.stage, Stage::Over) {
            return;
        }
        match code {
            3005 => self.token_refused(),
            3500 if !self.renewed => self.token_refused(),
            BROKEN => {
                self.failed.insert(self.url.clone());
            }
            _ => {
                if let Some(ended) = Ended::of_close(code, reason) {
                    return self.end(ended);
                }
            }
        }
        let why = if reason.is_empty() { format!("closed with {code}") } else { format!("{reason} ({code})") };
        self.pause(now, Some(code), why);
    }

    /// The node keeps its socket open and says nothing.
    fn give_up(&mut self, now: Now, why: &str) {
        self.failed.insert(self.url.clone());
        self.pause(now, None, why.to_owned());
    }

    /// There is no connection from here on. What the old one still says is not heard.
    fn lost(&mut self) {
        self.socket += 1;
        self.outputs.push_back(Output::Disconnect);
        self.pulse = Pulse::default();
        (self.gap, self.room, self.in_snapshot) = (false, true, false);
        self.later.clear();
        self.typing.clear();
        self.outbox.lost();
        for (_, asked) in std::mem::take(&mut self.asked) {
            if let Asked::Question { ticket, .. } = asked {
                self.answer(ticket, Err(Error::Offline));
            }
        }
    }

    fn pause(&mut self, now: Now, code: Option<u16>, why: String) {
        self.lost();
        let Retry { base_ms, cap_ms } = self.retry;
        let most = cap_ms.min(base_ms.saturating_mul(1 << self.failures.min(16)));
        // After a drain within its jitter, which was drawn when the node said so.
        let wait = match &self.drain {
            Some(drain) => drain.leave_ms.saturating_sub(now.ms),
            None => std::mem::take(&mut self.pause_ms) + self.random.u64(0..=most),
        };
        self.failures += 1;
        self.stage = Stage::Paused { until_ms: now.ms + wait };
        self.tell(Event::Connection(Connection::Waiting { code, why, retry_ms: wait }));
    }

    fn end(&mut self, ended: Ended) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        self.lost();
        self.stage = Stage::Over;
        let waiting =
            std::mem::take(&mut self.stored).into_values().chain(std::mem::take(&mut self.done).into_values());
        for ticket in waiting.flatten().collect::<Vec<_>>() {
            self.answer(ticket, Err(Error::Ended));
        }
        self.tell(Event::Ended(ended));
        self.outputs.push_back(Output::Over);
    }

    // Asking.

    fn ask(&mut self, now: Now, command: &str, fields: Value, asked: Asked) {
        self.say(command, fields, asked);
        self.pulse.asked_ms.get_or_insert(now.ms);
    }

    fn say(&mut self, command: &str, fields: Value, asked: Asked) {
        let id = self.next_id;
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.asked.insert(id, asked);
        self.write(&json!({"id": id, command: fields}));
    }

    fn write(&mut self, envelope: &Value) {
        self.outputs.push_back(Output::Write(envelope.to_string()));
    }

    fn question(&mut self, now: Now, command: &'static str, fields: Value, lasting: Lasting, ticket: Ticket) {
        if self.is_over() {
            return self.answer(ticket, Err(Error::Ended));
        }
        if let Lasting::Close(channel_id) = lasting {
            self.open.retain(|(open, _)| *open != channel_id);
        }
        if !matches!(self.stage, Stage::Live) {
            return self.answer(ticket, Err(Error::Offline));
        }
        // A frame over the limit would end the connection, and the client with it.
        let bytes = fields.to_string().len();
        if bytes + 256 > self.limits.frame_bytes_max {
            return self
                .answer(ticket, Err(refused(Code::LimitExceeded, format!("{bytes} bytes are too many")).into()));
        }
        self.ask(now, command, fields, Asked::Question { ticket, lasting });
    }

    fn typing(&mut self, now: Now, channel_id: ChannelId, on: bool) {
        if !matches!(self.stage, Stage::Live) {
            return;
        }
        let told = self.typing.remove(&channel_id);
        let says = if on { told.is_none_or(|told_ms| told_ms + TYPING_MS <= now.ms) } else { told.is_some() };
        if on {
            if self.typing.len() >= TYPING_MAX {
                self.typing.pop_first();
            }
            self.typing.insert(channel_id, told.filter(|_| !says).unwrap_or(now.ms));
        }
        if says {
            self.write(&json!({"typing": {"channel_id": channel_id, "on": on}}));
        }
    }

    fn reopen(&mut self, now: Now, channel_id: ChannelId) {
        let Some((_, after_seq)) = self.open.iter().find(|(open, _)| *open == channel_id) else { return };
        let mut fields = json!({"channel_id": channel_id});
        if let Some(after_seq) = after_seq {
            fields["after_seq"] = json!(after_seq);
        }
        self.ask(now, "open", fields, Asked::Reopen(channel_id));
    }

    fn rewatch(&mut self, now: Now) {
        if !self.watched.is_empty() {
            self.ask(now, "presence_watch", json!({"user_ids": self.watched}), Asked::Rewatch);
        }
    }

    // Hearing.

    fn heard(&mut self, now: Now, socket: u64, text: &str, room: bool) {
        if socket != self.socket {
            return;
        }
        self.alive(now, socket);
        for line in text.split('\n').filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(Line { id: Some(id), name, fields }) => {
                    self.malformed = 0;
                    self.reply(now, id, &name, fields);
                }
                Ok(Line { id: None, name, fields }) if name == "push" => self.push(now, &fields, line.len(), room),
                // Of a later server, or to nothing that was asked.
                Ok(Line { .. }) => {}
                Err(error) => return self.malformed(now, &error.to_string()),
            }
            if socket != self.socket {
                return;
            }
        }
    }

    fn push(&mut self, now: Now, push: &Value, bytes: usize, room: bool) {
        let Some((kind, fields)) = push.as_object().and_then(|push| push.iter().next()) else {
            return self.malformed(now, "a push is an object");
        };
        self.malformed = 0;
        match kind.as_str() {
            "token_expiring" => return self.fetch_token(TokenNeed::Expiring),
            "drain" => return self.drained(now, fields),
            _ => {}
        }
        if !room {
            (self.gap, self.room) = (true, false);
        }
        if self.gap {
            return;
        }
        let (mut event, cursor) = events::of_push(kind, fields);
        if let Event::Snapshot { first, more, .. } = &mut event {
            *first = !std::mem::replace(&mut self.in_snapshot, *more);
        }
        match (&cursor, &event) {
            (Some(cursor), _) => self.cursor = Some(cursor.clone()),
            (None, Event::Message(message)) => self.reached(message.channel_id, message.seq),
            (None, _) => {}
        }
        let arrived = match &event {
            Event::Message(message) => self.arrived(message),
            _ => None,
        };
        // What says nothing new has a place all the same.
        let event = self.known.takes(&event).then_some(event);
        if event.is_some() || cursor.is_some() {
            self.tell_at(event, cursor.map(Place::After), bytes);
        }
        self.outputs.extend(arrived.into_iter().flatten());
    }

    /// An own message that is pushed is durable, whether its answer comes later or was lost.
    fn arrived(&mut self, message: &Message) -> Option<[Output; 2]> {
        let order = self.outbox.order_of(message.client_msg_id)?;
        let entry = self.outbox.get(order)?;
        // Anybody may send a message under an id that was seen.
        let is_ours = Some(message.from) == self.user_id && message.channel_id == entry.channel_id;
        if !is_ours || !matches!(entry.operation, Operation::Send(_)) {
            return None;
        }
        let sent = Sent { seq: message.seq, sent_ms: message.sent_ms, duplicate: false };
        let outgoing = entry.with(Progress::Done(Outcome::Sent(sent)));
        if self.outbox.is_under_way(order) {
            self.outbox.answered(order, 0);
        }
        self.outbox.remove(order);
        let waiters = self.done.remove(&order).unwrap_or_default();
        Some([Output::Remove { order, id: outgoing.id }, Output::Finish { waiters, outgoing }])
    }

    /// The node said what is no envelope.
    fn malformed(&mut self, now: Now, why: &str) {
        self.malformed += 1;
        self.tell(Event::Malformed(why.to_owned()));
        if self.malformed >= MALFORMED_MAX {
            self.malformed = 0;
            self.give_up(now, "the node says nothing that can be understood");
        }
    }

    /// A message of a large channel that is open.
    fn reached(&mut self, channel_id: ChannelId, seq: Seq) {
        if let Some((_, after_seq)) = self.open.iter_mut().find(|(open, _)| *open == channel_id) {
            *after_seq = (*after_seq).max(Some(seq));
        }
    }

    /// The node will stop: it is left after a random part of the jitter, so that not everyone does at once.
    fn drained(&mut self, now: Now, fields: &Value) {
        let jitter_ms = fields.get("jitter_ms").and_then(Value::as_u64).unwrap_or(0);
        let url = fields.get("url").and_then(Value::as_str).map(str::to_owned);
        self.drain = Some(Drain { url, leave_ms: now.ms + self.random.u64(0..=jitter_ms) });
    }

    fn reply(&mut self, now: Now, id: u32, name: &str, fields: Value) {
        let Some(asked) = self.asked.remove(&id) else { return };
        let result = if name == "error" {
            Err(serde_json::from_value(fields).unwrap_or_else(|error| refused(Code::Other(0), error.to_string())))
        } else {
            Ok(fields)
        };
        match (asked, result) {
            (Asked::Connect { resumed }, Ok(reply)) => self.joined(now, reply, resumed),
            (Asked::Connect { resumed }, Err(refusal)) => self.not_joined(now, refusal, resumed),
            // What a refused refresh comes to is said when the token's time is over; an echo's answer has been heard.
            (Asked::Refresh | Asked::Echo, _) => {}
            (Asked::Operation { order }, result) => self.answered(now, order, result),
            (Asked::Question { ticket, lasting }, Ok(reply)) => {
                self.last(lasting, &reply);
                self.answer(ticket, Ok(Answer::Reply(reply)));
            }
            (Asked::Question { ticket, .. }, Err(refusal)) => {
                if matches!(refusal.code, Code::Unauthenticated | Code::TokenExpired) {
                    self.fetch_token(TokenNeed::Refused);
                }
                self.answer(ticket, Err(refusal.into()));
            }
            (Asked::Reopen(channel_id), Ok(reply)) => match serde_json::from_value(reply) {
                Ok(opened) => self.tell(Event::Opened { channel_id, opened }),
                Err(error) => self.give_up(now, &format!("the node opens a channel and does not say so: {error}")),
            },
            (Asked::Rewatch, Ok(reply)) => self.present(&reply),
            (asked @ (Asked::Reopen(_) | Asked::Rewatch), Err(refusal)) if refusal.temporary => {
                self.later.push((now.ms + refusal.retry_after_ms.max(PAUSE_MS), asked));
            }
            (Asked::Reopen(channel_id), Err(refusal)) => {
                self.open.retain(|(open, _)| *open != channel_id);
                self.tell(Event::NotOpened { channel_id, refusal });
            }
            (Asked::Rewatch, Err(_)) => self.watched.clear(),
        }
    }

    fn present(&mut self, reply: &Value) {
        let entries = reply.get("entries").cloned().unwrap_or_default();
        if let Ok(entries) = serde_json::from_value::<Vec<PresenceEntry>>(entries) {
            self.tell(Event::Presence(entries));
        }
    }

    /// Keeps what is to be asked again on the next connection.
    fn last(&mut self, lasting: Lasting, reply: &Value) {
        match lasting {
            Lasting::No | Lasting::Close(_) => {}
            Lasting::Open(channel_id, after_seq) => {
                // From the newest on, which the reply names: after a disconnection it may not be the newest any more.
                let head = reply.get("head_seq").and_then(Value::as_u64).map(Seq);
                let known = self.open.iter().find(|(open, _)| *open == channel_id).and_then(|(_, seq)| *seq);
                let after_seq = after_seq.or(head).max(known.filter(|_| after_seq.is_none()));
                self.open.retain(|(open, _)| *open != channel_id);
                if self.open.len() >= OPEN_MAX {
                    self.open.remove(0);
                }
                self.open.push((channel_id, after_seq));
            }
            Lasting::Watch(users) => {
                self.watched = users;
                self.present(reply);
            }
        }
    }

    // The outbox.

    fn submit(
        &mut self,
        now: Now,
        (channel_id, mut operation): (ChannelId, Operation),
        random: [u8; 10],
        queue: Fill,
        (stored, done): (Option<Ticket>, Option<Ticket>),
    ) {
        let entries = self.outbox.len() + queue.outgoing;
        let refuse = if self.is_over() {
            Some(Error::Ended)
        } else if let Some(refusal) = self.too_long(&operation) {
            Some(refusal.into())
        } else if entries >= self.settings.bounds.operations {
            Some(Error::OutboxFull { entries })
        } else {
            None
        };
        if let Some(error) = refuse {
            if let Some(ticket) = stored.or(done) {
                self.answer(ticket, Err(error));
            }
            return;
        }
        let mut waiting: Vec<Ticket> = done.into_iter().collect();
        if let Operation::Mark { read_seq } = &mut operation
            && let Some(earlier) = self.outbox.replaced_by_mark(channel_id)
            && let Some(entry) = self.outbox.remove(earlier)
        {
            if let Operation::Mark { read_seq: before } = entry.operation {
                *read_seq = (*read_seq).max(before);
            }
            self.outputs.push_back(Output::Remove { order: entry.order, id: entry.id });
            waiting.extend(self.done.remove(&earlier).into_iter().flatten());
            for ticket in self.stored.remove(&earlier).into_iter().flatten() {
                self.answer(ticket, Ok(Answer::Operation(entry.id)));
            }
        }
        let entry = self.outbox.add(OperationId::new(self.server_ms(now), random), channel_id, operation);
        if !waiting.is_empty() {
            self.done.insert(entry.order, waiting);
        }
        if let Some(ticket) = stored {
            self.stored.insert(entry.order, vec![ticket]);
        }
        self.outputs.push_back(Output::Put(entry));
    }

    /// The server's wall clock, as far as it is known.
    fn server_ms(&self, now: Now) -> u64 {
        now.wall_ms.cast_signed().saturating_add(self.clock_off_ms).max(0).cast_unsigned()
    }

    /// What no server takes is refused here, since the frame might end the connection.
    fn too_long(&self, operation: &Operation) -> Option<Refusal> {
        let (Operation::Send(crate::outbox::Draft { body, .. }) | Operation::Edit { body, .. }) = operation else {
            return None;
        };
        let (chars, most) = (body.chars().count(), self.limits.body_chars_max);
        let message = || format!("the text has {chars} characters, the limit is {most}");
        (chars > most).then(|| refused(Code::BodyTooLong, message()))
    }

    fn was_stored(&mut self, order: u64, result: Result<(), StoreError>) {
        let retried = self.retried.remove(&order);
        let stored = self.stored.remove(&order).unwrap_or_default();
        let Some(entry) = self.outbox.get(order).cloned() else { return };
        match result {
            Ok(()) => {
                self.outbox.stored(order);
                if !self.done.contains_key(&order) {
                    self.tell(Event::Outgoing(entry.outgoing()));
                }
                for ticket in stored {
                    self.answer(ticket, Ok(Answer::Operation(entry.id)));
                }
            }
            Err(error) => {
                let done = self.done.remove(&order).unwrap_or_default();
                if retried {
                    self.outbox.refuse(order, refused(Code::Other(0), error.to_string()));
                } else {
                    self.outbox.remove(order);
                }
                for ticket in stored.into_iter().chain(done) {
                    self.answer(ticket, Err(error.clone().into()));
                }
            }
        }
    }

    fn answered(&mut self, now: Now, order: u64, result: Result<Value, Refusal>) {
        let Some(entry) = self.outbox.get(order).cloned() else { return };
        let finished = match result {
            Err(refusal) if matches!(refusal.code, Code::Unauthenticated | Code::TokenExpired) => {
                self.fetch_token(TokenNeed::Refused);
                return self.outbox.answered(order, now.ms + PAUSE_MS);
            }
            Err(refusal) if refusal.temporary => {
                return self.outbox.answered(order, now.ms + refusal.retry_after_ms.max(PAUSE_MS));
            }
            Err(refusal) => Progress::Failed(refusal),
            Ok(reply) => match entry.operation.outcome(reply) {
                Ok(outcome) => Progress::Done(outcome),
                Err(error) => Progress::Failed(refused(Code::Other(0), format!("the reply is none: {error}"))),
            },
        };
        self.outbox.answered(order, 0);
        match &finished {
            Progress::Failed(refusal) => {
                let refused = self.outbox.refuse(order, refusal.clone());
                self.outputs.extend(refused.map(Output::Put));
            }
            Progress::Done(_) | Progress::Pending | Progress::Discarded => {
                self.outbox.remove(order);
                self.outputs.push_back(Output::Remove { order, id: entry.id });
            }
        }
        let waiters = self.done.remove(&order).unwrap_or_default();
        self.outputs.push_back(Output::Finish { waiters, outgoing: entry.with(finished) });
    }

    fn try_again(&mut self, id: OperationId, ticket: Ticket) {
        match self.outbox.order_of(id).and_then(|order| self.outbox.retry(order)) {
            Some(entry) => {
                self.retried.insert(entry.order);
                self.stored.entry(entry.order).or_default().push(ticket);
                self.outputs.push_back(Output::Put(entry));
            }
            None => self.answer(ticket, Err(Error::NoSuchOperation)),
        }
    }

    fn discard(&mut self, id: OperationId, ticket: Option<Ticket>) {
        // What is on its way may have happened: it cannot be taken back.
        let order = self.outbox.order_of(id).filter(|&order| !self.outbox.is_under_way(order));
        let result = match order.and_then(|order| self.outbox.remove(order)) {
            Some(entry) => {
                self.outputs.push_back(Output::Remove { order: entry.order, id });
                let waiting = [self.stored.remove(&entry.order), self.done.remove(&entry.order)];
                for waiting in waiting.into_iter().flatten().flatten() {
                    self.answer(waiting, Err(Error::NoSuchOperation));
                }
                if ticket.is_some() {
                    self.tell(Event::Outgoing(entry.with(Progress::Discarded)));
                }
                Ok(Answer::Nothing)
            }
            None => Err(Error::NoSuchOperation),
        };
        if let Some(ticket) = ticket {
            self.answer(ticket, result);
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

/// An envelope of the server's: `{"id": 7, "<command>": {…}}` or `{"push": {…}}`.
struct Line {
    id: Option<u32>,
    name: String,
    fields: Value,
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let id = fields.remove("id").and_then(|id| id.as_u64()).and_then(|id| u32::try_from(id).ok());
        let known = ["push", "error"].into_iter().find(|name| fields.contains_key(*name)).map(str::to_owned);
        let name = known.or_else(|| fields.keys().next().cloned()).unwrap_or_default();
        let content = fields.remove(&name).unwrap_or_default();
        Ok(Self { id: id.filter(|&id| id != 0), name, fields: content })
    }
}
