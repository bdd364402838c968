//! What a session does with what its client asks.
//!
//! Owns the checks that need no store: form, size, rate, login. What changes a channel goes to its home as a ticket,
//! what reads goes to the store.

use std::collections::VecDeque;

use schema::command::{Command, Connect, History, Send};
use schema::limits::{
    BODY_CHARS_MAX, ECHO_DATA_BYTES_MAX, HISTORY_ROWS_MAX, MENTIONS_MAX, RATE_REFUSALS_MAX, TOKEN_BYTES_MAX,
    UNPARSED_MAX,
};
use schema::op::SendOp;
use schema::{ChannelId, ChannelOp, CloseCode, Cursor, ErrorCode, Refusal, Reply, Request, UserId};

use crate::effects::Waiting;
use crate::io::StoreOp;
use crate::tickets::Asker;

use super::{Connecting, Session, SessionOp, Stage, Surroundings};

/// Pages of history that one session has read at a time. A page is up to 256 KiB of text, so two stay below the hard
/// outbound limit whatever their encoding does to them.
const HISTORIES_MAX: u32 = 2;

/// Requests for history that wait for room.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// Bounded with the session's unanswered commands.
    waiting: VecDeque<(u32, History)>,
    reading: u32,
}

impl Deferred {
    /// A page was read.
    pub(super) fn done(&mut self) {
        self.reading -= 1;
    }
}

impl Session {
    /// A whole message of the client: one or more requests.
    pub(crate) fn message(&mut self, text: bool, payload: &[u8], around: &mut Surroundings<'_>) {
        self.heard(around.now);
        if text != self.encoding.is_text() {
            return self.close(CloseCode::BadFrame);
        }
        for request in self.encoding.requests(payload) {
            match request {
                Ok(request) => {
                    self.unparsed = 0;
                    self.request(request, around);
                }
                Err(unparsed) => {
                    self.unparsed += 1;
                    self.refuse_unparsed(unparsed.id, unparsed.refusal, around);
                }
            }
            if self.closed.is_some() {
                return;
            }
        }
        self.regulate_reads(around);
    }

    /// Unlike other errors this is told also under number 0, which is all that may be known of the request.
    fn refuse_unparsed(&mut self, id: u32, refusal: Refusal, around: &mut Surroundings<'_>) {
        self.say(&schema::ServerFrame::Reply { id, reply: Err(refusal.into()) }, around);
        if self.unparsed >= UNPARSED_MAX {
            self.close(CloseCode::TooManyErrors);
        }
    }

    fn request(&mut self, Request { id, command }: Request, around: &mut Surroundings<'_>) {
        self.unanswered += 1;
        if let Err(refusal) = self.admit(&command, around) {
            return self.answer(id, Err(refusal), around);
        }
        let Stage::Live(live) = &self.stage else {
            return match command {
                Command::Connect(connect) => self.connect(id, connect, around),
                _ => self.answer(id, Err(Refusal::new(ErrorCode::Unauthenticated, "send connect first")), around),
            };
        };
        let user = live.user;
        match command {
            Command::Connect(_) => {
                let refusal = Refusal::new(ErrorCode::BadRequest, "this session is connected already");
                self.answer(id, Err(refusal), around);
            }
            Command::Refresh { token } => {
                let waiting = Waiting::Session(self.conn, SessionOp::Refresh(id));
                around.effects.store(StoreOp::Authenticate { token }, waiting);
            }
            Command::Send(send) => self.send_message(id, user, send, around),
            Command::Mark { channel_id, read_seq } => {
                self.apply(id, channel_id, ChannelOp::Mark { user, read_seq }, around);
            }
            Command::History(history) => self.history(id, history, around),
            Command::Echo { data } => self.answer(id, Ok(Reply::Echo { data }), around),
        }
    }

    /// Rate and sizes.
    fn admit(&mut self, command: &Command, around: &Surroundings<'_>) -> Result<(), Refusal> {
        if let Command::Echo { data } = command {
            return within("data", data.len(), ECHO_DATA_BYTES_MAX, "bytes");
        }
        if let Err(retry_after_ms) = self.bucket.take(around.now.mono) {
            self.rate_refusals += 1;
            if self.rate_refusals >= RATE_REFUSALS_MAX {
                self.close(CloseCode::Rate);
            }
            return Err(Refusal::new(ErrorCode::RateLimited, "too many commands").after_ms(retry_after_ms));
        }
        self.rate_refusals = 0;
        match command {
            Command::Connect(Connect { token, .. }) | Command::Refresh { token } => {
                within("token", token.len(), TOKEN_BYTES_MAX, "bytes")
            }
            Command::Send(send) => within("mentions", send.mentions.len(), MENTIONS_MAX, "users"),
            Command::History(_) | Command::Mark { .. } | Command::Echo { .. } => Ok(()),
        }
    }

    fn connect(&mut self, id: u32, connect: Connect, around: &mut Surroundings<'_>) {
        if matches!(self.stage, Stage::Connecting(_)) {
            let refusal = Refusal::new(ErrorCode::BadRequest, "a connect is under way");
            return self.answer(id, Err(refusal), around);
        }
        let cursor = match connect.cursor.as_deref().map(str::parse::<Cursor>).transpose() {
            Ok(cursor) => cursor,
            Err(error) => {
                let message = format!("{error}: forget it and what is cached, and connect without one");
                return self.answer(id, Err(Refusal::new(ErrorCode::BadCursor, message)), around);
            }
        };
        let connecting = Connecting { request: id, device: connect.device_id, cursor, identity: None };
        self.stage = Stage::Connecting(Box::new(connecting));
        let waiting = Waiting::Session(self.conn, SessionOp::Connect);
        around.effects.store(StoreOp::Authenticate { token: connect.token }, waiting);
    }

    fn send_message(&mut self, id: u32, from: UserId, send: Send, around: &mut Surroundings<'_>) {
        if let Err(refusal) = body_is_legal(&send.body) {
            return self.answer(id, Err(refusal), around);
        }
        let op = SendOp {
            from,
            client_msg_id: send.client_msg_id,
            kind: send.kind,
            body: send.body,
            reply_to: send.reply_to,
            mentions: send.mentions,
        };
        self.apply(id, send.channel_id, ChannelOp::Send(op), around);
    }

    fn apply(&mut self, id: u32, channel: ChannelId, op: ChannelOp, around: &mut Surroundings<'_>) {
        let asker = Asker::Session { conn: self.conn, id };
        around.tickets.ask(around.now.mono, asker, channel, op, around.effects);
    }

    fn history(&mut self, id: u32, mut history: History, around: &mut Surroundings<'_>) {
        if history.limit == 0 {
            let refusal = Refusal::new(ErrorCode::BadRequest, "limit is 0, ask for 1 to 200 messages");
            return self.answer(id, Err(refusal), around);
        }
        history.limit = history.limit.min(HISTORY_ROWS_MAX);
        self.deferred.waiting.push_back((id, history));
        self.pump(around);
    }

    /// Reads history for as many requests as there is room for.
    pub(super) fn pump(&mut self, around: &mut Surroundings<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        while self.deferred.reading < HISTORIES_MAX && !self.outbound.is_full() {
            let Some((id, request)) = self.deferred.waiting.pop_front() else { break };
            self.deferred.reading += 1;
            let waiting = Waiting::Session(self.conn, SessionOp::History(id));
            around.effects.store(StoreOp::History { user: live.user, request }, waiting);
        }
    }
}

/// Whether a text may be a message's.
fn body_is_legal(body: &str) -> Result<(), Refusal> {
    if body.is_empty() {
        return Err(Refusal::new(ErrorCode::BadRequest, "the body is empty"));
    }
    // Characters are at least a quarter of the bytes and at most all of them: most bodies need not be counted.
    if body.len() > BODY_CHARS_MAX as usize {
        let chars = body.chars().count();
        if chars > BODY_CHARS_MAX as usize {
            let message = format!("the body is {chars} characters, the limit is {BODY_CHARS_MAX}");
            return Err(Refusal::new(ErrorCode::BodyTooLong, message));
        }
    }
    Ok(())
}

fn within(what: &str, found: usize, limit: u32, unit: &str) -> Result<(), Refusal> {
    if found <= limit as usize {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::LimitExceeded, format!("{what} is {found} {unit}, the limit is {limit}")))
}
