//! Sessions over the engine's connections: each says `connect`, and then what a [`Talk`] says.
//!
//! Owns the encoding of requests and replies, the login of each connection and the cursor that it has come to, so
//! that a connection which is dropped and dialled again resumes. What requests mean is the talk's.

use schema::command::{Connect, Connected};
use schema::{Command, DeviceId, Encoding, ErrorReply, Push, Reply, Request, ServerFrame};
use wire::{Opcode, encode_into};

use crate::accounts::Book;
use crate::engine::{FILL_BYTES, Message, Workload};
use crate::run::Run;

/// The id under which every session says `connect`.
const CONNECT_ID: u32 = 1;

/// What is said in sessions once they are connected. Connections are numbered from 0.
pub(crate) trait Talk {
    /// `connection` is connected, for the first time or again.
    fn connected(&mut self, _connection: usize, _connected: &Connected, _now_ns: u64) {}

    /// An answer to a request.
    ///
    /// # Errors
    /// What is wrong with it; the connection is closed for that.
    fn reply(
        &mut self,
        connection: usize,
        id: u32,
        reply: Result<Reply, ErrorReply>,
        now_ns: u64,
    ) -> Result<(), String>;

    /// A push.
    ///
    /// # Errors
    /// As for replies.
    fn push(&mut self, connection: usize, push: Push, now_ns: u64) -> Result<(), String>;

    /// The next request of `connection`, if it has one to send now.
    fn next(&mut self, connection: usize, now_ns: u64) -> Option<Request>;
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
            (Phase::Connected, ServerFrame::Reply { id, reply }) => self.talk.reply(connection, id, reply, now_ns),
            (Phase::Connected, ServerFrame::Push(mut push)) => {
                if let Some(cursor) = take_cursor(&mut push) {
                    session.cursor = Some(cursor.into());
                }
                self.talk.push(connection, push, now_ns)
            }
            (phase @ (Phase::New | Phase::Connecting), frame) => Err(format!("{frame:?} came while {phase:?}")),
        }
    }

    fn put(&mut self, request: &Request, out: &mut Vec<u8>) {
        self.payload.clear();
        self.encoding.put_request(request, &mut self.payload);
        let opcode = if self.encoding.is_text() { Opcode::Text } else { Opcode::Binary };
        encode_into(out, opcode, &self.payload, Some(self.mask));
    }
}

impl<T: Talk> Workload for Sessions<T> {
    fn message(&mut self, connection: usize, message: Message<'_>, now_ns: u64) -> Result<(), String> {
        let bytes = match (message, self.encoding.is_text()) {
            (Message::Text(bytes), true) | (Message::Binary(bytes), false) => bytes,
            (Message::Text(_), false) => return Err("a text frame came in a binary session".to_owned()),
            (Message::Binary(_), true) => return Err("a binary frame came in a text session".to_owned()),
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

fn take_cursor(push: &mut Push) -> Option<String> {
    match push {
        Push::Message { cursor, .. }
        | Push::Edited { cursor, .. }
        | Push::Deleted { cursor, .. }
        | Push::Reaction { cursor, .. }
        | Push::Membership { cursor, .. }
        | Push::Read { cursor, .. }
        | Push::Snapshot { cursor, .. } => cursor.take(),
        Push::TokenExpiring { .. }
        | Push::Drain { .. }
        | Push::Head { .. }
        | Push::Presence { .. }
        | Push::Typing { .. } => None,
    }
}
