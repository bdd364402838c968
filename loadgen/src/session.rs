//! Sessions over the engine's connections: each says `connect`, and then what a [`Talk`] says.
//!
//! Owns the encoding of requests and replies, the login of each connection and the cursor that it has come to, so
//! that a connection which is dropped and dialled again resumes. When one that was lost comes back is `reconnect`'s, what
//! requests mean the talk's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use schema::command::{Connect, Connected, Send};
use schema::message::no_mentions;
use schema::{
    ChannelId, ClientMsgId, Command, DeviceId, Encoding, ErrorReply, Message, MessageKind, PresenceEntry, Push, Reply,
    Request, ServerFrame,
};
use wire::{Opcode, encode_into};

use crate::accounts::Logins;
use crate::cli::Devices;
use crate::engine::error::EngineError;
use crate::engine::lost::Lost;
use crate::engine::{FILL_BYTES, Message as Received, Order, Workload};
use crate::reconnect::Reconnect;

/// The id under which every session says `connect`, and later asks whether its node lives.
const CONNECT_ID: u32 = 1;

/// What is said in sessions once they are connected. Connections are numbered from 0.
pub(crate) trait Talk {
    /// `connection` is connected, for the first time or again.
    fn connected(&mut self, _connection: usize, _connected: &Connected, _now_ns: u64) {}

    /// The session of `connection` is gone: what had no answer will have none. It may be connected again.
    fn disconnected(&mut self, _connection: usize, _now_ns: u64) {}

    /// Whether a request of `connection` is without its answer.
    fn waits(&self, _connection: usize) -> bool {
        false
    }

    /// A connection that has something to send by now, though nothing came for it.
    fn woken(&mut self, _now_ns: u64) -> Option<usize> {
        None
    }

    /// A request was answered.
    ///
    /// # Errors
    /// What is wrong with it; the connection is closed for that.
    fn answered(&mut self, connection: usize, id: u32, reply: Reply, now_ns: u64) -> Result<(), String>;

    /// A request was refused, which closes the connection unless the talk says otherwise.
    ///
    /// # Errors
    /// As for answers.
    fn refused(&mut self, _connection: usize, id: u32, error: &ErrorReply, _now_ns: u64) -> Result<(), String> {
        Err(format!("request {id} was refused with {}: {}", error.code, error.message))
    }

    /// A message was pushed.
    ///
    /// # Errors
    /// As for answers.
    fn delivered(&mut self, _connection: usize, _message: &Message, _now_ns: u64) -> Result<(), String> {
        Ok(())
    }

    /// Users' presence was pushed.
    fn told_presence(&mut self, _connection: usize, _entries: &[PresenceEntry], _now_ns: u64) {}

    /// The next request of `connection`, if it has one to send now.
    fn next(&mut self, _connection: usize, _now_ns: u64) -> Option<Request> {
        None
    }
}

/// The command that sends a text.
pub(crate) fn send(channel_id: ChannelId, client_msg_id: ClientMsgId, body: Arc<str>) -> Command {
    let (reply_to, mentions, kind) = (None, no_mentions(), MessageKind::Text);
    Command::Send(Send { channel_id, client_msg_id, body, reply_to, mentions, kind, media: Vec::new() })
}

/// What is wrong with an answer that is not what was asked for.
///
/// # Errors
/// Always.
pub(crate) fn not_asked_for(id: u32, reply: &Reply) -> Result<(), String> {
    Err(format!("request {id} was answered with {reply:?}"))
}

/// Whose sessions these are: the first so many devices of the first account, and so on.
#[derive(Debug)]
pub(crate) struct Who {
    logins: Logins,
    devices: u32,
    /// The number of the first session in the names of devices.
    first: usize,
}

impl Who {
    pub(crate) fn new(logins: Logins, devices: Devices, first: usize) -> Self {
        Self { logins, devices: devices.each, first }
    }

    fn token(&self, session: usize) -> String {
        self.logins.token(session / self.devices as usize)
    }

    fn device(&self, session: usize) -> DeviceId {
        format!("loadgen-{}", self.first + session).parse().expect("a few characters of those allowed")
    }
}

/// What a node that lives echoes.
const PROBE: &str = "are you there?";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Connecting,
    /// Its `connect` was refused for a time, and is said again.
    Refused,
    Connected,
}

struct Session {
    phase: Phase,
    /// The last cursor that was received.
    cursor: Option<Box<str>>,
    /// Its node is to be asked whether it lives.
    probe: bool,
}

/// The workload of all sessions.
pub(crate) struct Sessions<T> {
    pub(crate) talk: T,
    /// How those that are lost come back, if they do.
    pub(crate) reconnect: Option<Reconnect>,
    /// When those say `connect` again who were refused and are not seen to by `reconnect`.
    refused: BinaryHeap<Reverse<(u64, usize)>>,
    encoding: Encoding,
    mask: [u8; 4],
    who: Who,
    sessions: Vec<Session>,
    connected: usize,
    payload: Vec<u8>,
}

impl<T: Talk> Sessions<T> {
    /// So many sessions that log in as `who`, with frames masked by `mask`.
    pub(crate) fn new(
        count: usize,
        mask: [u8; 4],
        encoding: Encoding,
        who: Who,
        talk: T,
        reconnect: Option<Reconnect>,
    ) -> Self {
        let session = |_| Session { phase: Phase::New, cursor: None, probe: false };
        Self {
            talk,
            reconnect,
            refused: BinaryHeap::new(),
            encoding,
            mask,
            who,
            sessions: (0..count).map(session).collect(),
            connected: 0,
            payload: Vec::new(),
        }
    }

    /// Sessions that are connected.
    pub(crate) fn connected(&self) -> usize {
        self.connected
    }

    /// Whether `connection` is.
    pub(crate) fn is_connected(&self, connection: usize) -> bool {
        self.sessions[connection].phase == Phase::Connected
    }

    /// The token of `connection`'s account.
    pub(crate) fn token(&self, connection: usize) -> String {
        self.who.token(connection)
    }

    /// The connection was cut or lost and will be dialled again: it resumes from its cursor.
    pub(crate) fn disconnected(&mut self, connection: usize, now_ns: u64) {
        let session = &mut self.sessions[connection];
        if session.phase == Phase::Connected {
            self.connected -= 1;
        }
        (session.phase, session.probe) = (Phase::New, false);
        self.talk.disconnected(connection, now_ns);
    }

    /// The connection was cut on purpose: its session comes back at once.
    pub(crate) fn leave(&mut self, connection: usize, now_ns: u64) {
        self.disconnected(connection, now_ns);
        if let Some(reconnect) = &mut self.reconnect {
            reconnect.left(connection, now_ns);
        }
    }

    fn understand(&mut self, connection: usize, frame: ServerFrame, now_ns: u64) -> Result<(), String> {
        let session = &mut self.sessions[connection];
        match (session.phase, frame) {
            (Phase::Connecting, ServerFrame::Reply { id: CONNECT_ID, reply: Ok(Reply::Connect(connected)) }) => {
                session.phase = Phase::Connected;
                session.cursor = Some(connected.cursor.as_str().into());
                self.connected += 1;
                if let Some(reconnect) = &mut self.reconnect {
                    reconnect.connected(connection, connected.retry, now_ns);
                }
                self.talk.connected(connection, &connected, now_ns);
                Ok(())
            }
            (Phase::Connecting, ServerFrame::Reply { reply: Err(error), .. }) => match &mut self.reconnect {
                Some(reconnect) if error.temporary => {
                    reconnect.refused(connection, &error, now_ns);
                    Ok(())
                }
                None if error.temporary && error.retry_after_ms > 0 => {
                    session.phase = Phase::Refused;
                    let due_ns = now_ns + u64::from(error.retry_after_ms) * 1_000_000;
                    self.refused.push(Reverse((due_ns, connection)));
                    Ok(())
                }
                Some(_) | None => Err(format!("connect was refused with {}: {}", error.code, error.message)),
            },
            (Phase::Connected, ServerFrame::Reply { id: CONNECT_ID, reply: Ok(Reply::Echo { .. }) }) => Ok(()),
            (Phase::Connected, ServerFrame::Reply { id, reply: Ok(reply) }) => {
                self.talk.answered(connection, id, reply, now_ns)
            }
            (Phase::Connected, ServerFrame::Reply { id, reply: Err(error) }) => {
                self.talk.refused(connection, id, &error, now_ns)
            }
            (Phase::Connected, ServerFrame::Push(push)) => {
                if let Some(cursor) = push.cursor() {
                    session.cursor = Some(cursor.into());
                }
                self.pushed(connection, &push, now_ns)
            }
            (phase @ (Phase::New | Phase::Connecting | Phase::Refused), frame) => {
                Err(format!("{frame:?} came while {phase:?}"))
            }
        }
    }

    fn pushed(&mut self, connection: usize, push: &Push, now_ns: u64) -> Result<(), String> {
        match push {
            Push::Message { message, .. } => return self.talk.delivered(connection, message, now_ns),
            Push::Presence { entries } => self.talk.told_presence(connection, entries, now_ns),
            Push::Drain { jitter_ms, url, .. } => {
                if let Some(reconnect) = &mut self.reconnect {
                    reconnect.drained(connection, *jitter_ms, url.as_deref(), now_ns);
                }
            }
            Push::Snapshot { .. } => return Err("a snapshot came, though no cursor was old".to_owned()),
            Push::Edited { .. }
            | Push::Deleted { .. }
            | Push::Reaction { .. }
            | Push::Membership { .. }
            | Push::Read { .. }
            | Push::TokenExpiring { .. }
            | Push::Head { .. }
            | Push::Typing { .. }
            | Push::Published { .. }
            | Push::FeedHead { .. } => {}
        }
        Ok(())
    }

    fn put(&mut self, request: &Request, out: &mut Vec<u8>) {
        self.payload.clear();
        self.encoding.put_request(request, &mut self.payload);
        let opcode = if self.encoding.is_text() { Opcode::Text } else { Opcode::Binary };
        encode_into(out, opcode, &self.payload, Some(self.mask));
    }
}

impl<T: Talk> Workload for Sessions<T> {
    fn ready(&self) -> Option<usize> {
        Some(self.connected)
    }

    fn message(&mut self, connection: usize, message: Received<'_>, now_ns: u64) -> Result<(), String> {
        let bytes = match (message, self.encoding.is_text()) {
            (Received::Text(bytes), true) | (Received::Binary(bytes), false) => bytes,
            (Received::Text(_), false) => return Err("a text frame came in a binary session".to_owned()),
            (Received::Binary(_), true) => return Err("a binary frame came in a text session".to_owned()),
        };
        if let Some(reconnect) = &mut self.reconnect {
            reconnect.heard(connection, now_ns);
        }
        let frames = self.encoding.server_frames(bytes).map_err(|error| format!("not of the protocol: {error}"))?;
        frames.into_iter().try_for_each(|frame| self.understand(connection, frame, now_ns))
    }

    fn fill(&mut self, connection: usize, now_ns: u64, out: &mut Vec<u8>) {
        let session = &mut self.sessions[connection];
        match session.phase {
            Phase::Connecting | Phase::Refused => {}
            Phase::New => {
                session.phase = Phase::Connecting;
                if let Some(reconnect) = &mut self.reconnect {
                    reconnect.connecting(connection, now_ns);
                }
                let cursor = session.cursor.as_deref().map(str::to_owned);
                let connect = Connect {
                    token: self.token(connection),
                    device_id: self.who.device(connection),
                    cursor,
                    client: Some(concat!("loadgen/", env!("CARGO_PKG_VERSION")).to_owned()),
                };
                self.put(&Request { id: CONNECT_ID, command: Command::Connect(connect) }, out);
            }
            Phase::Connected => {
                if std::mem::take(&mut session.probe) {
                    self.put(&Request { id: CONNECT_ID, command: Command::Echo { data: PROBE.to_owned() } }, out);
                }
                while out.len() < FILL_BYTES
                    && let Some(request) = self.talk.next(connection, now_ns)
                {
                    self.put(&request, out);
                }
                if let (Some(reconnect), false) = (&mut self.reconnect, out.is_empty()) {
                    reconnect.asked(connection, now_ns);
                }
            }
        }
    }

    fn lost(&mut self, connection: usize, lost: &Lost, now_ns: u64) -> bool {
        let Some(reconnect) = &mut self.reconnect else { return false };
        let comes_back = reconnect.lost(connection, lost, now_ns);
        self.disconnected(connection, now_ns);
        comes_back
    }

    fn unopened(&mut self, connection: usize, error: &EngineError, now_ns: u64) -> bool {
        self.reconnect.as_mut().is_some_and(|reconnect| reconnect.unopened(connection, error, now_ns))
    }

    fn order(&mut self, now_ns: u64) -> Option<Order> {
        if let Some(connection) = self.talk.woken(now_ns) {
            return Some(Order::Pump(connection));
        }
        while let Some(&Reverse((due_ns, connection))) = self.refused.peek()
            && due_ns <= now_ns
        {
            self.refused.pop();
            let session = &mut self.sessions[connection];
            if session.phase == Phase::Refused {
                session.phase = Phase::New;
                return Some(Order::Pump(connection));
            }
        }
        let order = self.reconnect.as_mut()?.order(now_ns, |connection| self.talk.waits(connection))?;
        match order {
            Order::Pump(connection) => self.sessions[connection].probe = true,
            Order::Cut(connection) => self.disconnected(connection, now_ns),
            Order::Dial { .. } => {}
        }
        Some(order)
    }
}
