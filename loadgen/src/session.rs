//! Sessions over the engine's connections: each says `connect`, and then what a [`Talk`] says.
//!
//! Owns the encoding of requests and replies, the login of each connection and the cursor that it has come to, so
//! that a connection which is dropped and dialled again resumes. What requests mean is the talk's.

use std::sync::Arc;

use schema::command::{Connect, Connected, Send};
use schema::message::no_mentions;
use schema::{
    ChannelId, ClientMsgId, Command, DeviceId, Encoding, ErrorReply, Message, MessageKind, PresenceEntry, Push, Reply,
    Request, ServerFrame,
};
use wire::{Opcode, encode_into};

use crate::accounts::Book;
use crate::engine::{FILL_BYTES, Message as Received, Workload};
use crate::run::Run;

/// The id under which every session says `connect`.
const CONNECT_ID: u32 = 1;

/// What is said in sessions once they are connected. Connections are numbered from 0.
pub(crate) trait Talk {
    /// `connection` is connected, for the first time or again.
    fn connected(&mut self, _connection: usize, _connected: &Connected, _now_ns: u64) {}

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
    Command::Send(Send { channel_id, client_msg_id, body, reply_to, mentions, kind })
}

/// What is wrong with an answer that is not what was asked for.
///
/// # Errors
/// Always.
pub(crate) fn not_asked_for(id: u32, reply: &Reply) -> Result<(), String> {
    Err(format!("request {id} was answered with {reply:?}"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Connecting,
    Connected,
}

struct Session {
    phase: Phase,
    token: Box<str>,
    device: DeviceId,
    /// The last cursor that was received.
    cursor: Option<Box<str>>,
}

/// The workload of all sessions.
pub(crate) struct Sessions<T> {
    pub(crate) talk: T,
    encoding: Encoding,
    mask: [u8; 4],
    sessions: Vec<Session>,
    connected: usize,
    payload: Vec<u8>,
}

impl<T: Talk> Sessions<T> {
    /// One session for each connection of `run`, of the account of the same number.
    pub(crate) fn new(run: &Run, encoding: Encoding, book: &Book, talk: T) -> Self {
        let session = |at: usize| Session {
            phase: Phase::New,
            token: book.token(at).into(),
            device: format!("loadgen-{at}").parse().expect("a few characters of those allowed"),
            cursor: None,
        };
        let sessions = (0..run.engine.connections()).map(session).collect();
        Self { talk, encoding, mask: run.mask, sessions, connected: 0, payload: Vec::new() }
    }

    /// Sessions that are connected.
    pub(crate) fn connected(&self) -> usize {
        self.connected
    }

    /// Whether `connection` is.
    pub(crate) fn is_connected(&self, connection: usize) -> bool {
        self.sessions[connection].phase == Phase::Connected
    }

    /// The connection was cut and will be dialled again: it resumes from its cursor.
    pub(crate) fn disconnected(&mut self, connection: usize) {
        let session = &mut self.sessions[connection];
        if session.phase == Phase::Connected {
            self.connected -= 1;
        }
        session.phase = Phase::New;
    }

    fn understand(&mut self, connection: usize, frame: ServerFrame, now_ns: u64) -> Result<(), String> {
        let session = &mut self.sessions[connection];
        match (session.phase, frame) {
            (Phase::Connecting, ServerFrame::Reply { id: CONNECT_ID, reply: Ok(Reply::Connect(connected)) }) => {
                session.phase = Phase::Connected;
                session.cursor = Some(connected.cursor.as_str().into());
                self.connected += 1;
                self.talk.connected(connection, &connected, now_ns);
                Ok(())
            }
            (Phase::Connecting, ServerFrame::Reply { reply: Err(error), .. }) => {
                Err(format!("connect was refused with {}: {}", error.code, error.message))
            }
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
            (phase @ (Phase::New | Phase::Connecting), frame) => Err(format!("{frame:?} came while {phase:?}")),
        }
    }

    fn pushed(&mut self, connection: usize, push: &Push, now_ns: u64) -> Result<(), String> {
        match push {
            Push::Message { message, .. } => return self.talk.delivered(connection, message, now_ns),
            Push::Presence { entries } => self.talk.told_presence(connection, entries, now_ns),
            Push::Snapshot { .. } => return Err("a snapshot came, though no cursor was old".to_owned()),
            Push::Edited { .. }
            | Push::Deleted { .. }
            | Push::Reaction { .. }
            | Push::Membership { .. }
            | Push::Read { .. }
            | Push::TokenExpiring { .. }
            | Push::Drain { .. }
            | Push::Head { .. }
            | Push::Typing { .. } => {}
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
    fn message(&mut self, connection: usize, message: Received<'_>, now_ns: u64) -> Result<(), String> {
        let bytes = match (message, self.encoding.is_text()) {
            (Received::Text(bytes), true) | (Received::Binary(bytes), false) => bytes,
            (Received::Text(_), false) => return Err("a text frame came in a binary session".to_owned()),
            (Received::Binary(_), true) => return Err("a binary frame came in a text session".to_owned()),
        };
        let frames = self.encoding.server_frames(bytes).map_err(|error| format!("not of the protocol: {error}"))?;
        frames.into_iter().try_for_each(|frame| self.understand(connection, frame, now_ns))
    }

    fn fill(&mut self, connection: usize, now_ns: u64, out: &mut Vec<u8>) {
        let session = &mut self.sessions[connection];
        match session.phase {
            Phase::Connecting => {}
            Phase::New => {
                session.phase = Phase::Connecting;
                let connect = Connect {
                    token: session.token.as_ref().to_owned(),
                    device_id: session.device.clone(),
                    cursor: session.cursor.as_deref().map(str::to_owned),
                    client: Some(concat!("loadgen/", env!("CARGO_PKG_VERSION")).to_owned()),
                };
                self.put(&Request { id: CONNECT_ID, command: Command::Connect(connect) }, out);
            }
            Phase::Connected => {
                while out.len() < FILL_BYTES
                    && let Some(request) = self.talk.next(connection, now_ns)
                {
                    self.put(&request, out);
                }
            }
        }
    }
}
