//! What a session does with what its client asks.
//!
//! Owns the checks that need no store: form, size, rate, login. What changes a channel goes to its home as a ticket,
//! what reads goes to the store.

use std::collections::VecDeque;

use schema::command::{Command, Connect, History, HistoryPage, Send};
use schema::limits::{
    BODY_CHARS_MAX, ECHO_DATA_BYTES_MAX, HISTORY_ROWS_MAX, MENTIONS_MAX, RATE_REFUSALS_MAX, TOKEN_BYTES_MAX,
    UNPARSED_MAX,
};
use schema::op::SendOp;
use schema::{
    ChannelId, ChannelOp, ClientMsgId, CloseCode, ErrorCode, Instant, OpReply, Refusal, Reply, Request, UserId,
};

use crate::effects::Waiting;
use crate::io::StoreOp;
use crate::order::Lines;
use crate::tickets::Asker;

use super::{Session, SessionOp, Stage, Surroundings};

/// Channels whose order a session keeps after a refusal, at some 50 bytes each.
const LINES_MAX: usize = 64;
/// Bytes of an error's text. A parser's may quote all that it was given.
const ERROR_TEXT_BYTES_MAX: usize = 256;

/// What few sessions have at any time, kept apart so that the others do not pay for it.
#[derive(Debug)]
pub(super) struct Rare {
    /// Requests for history that wait for room. Bounded by the rate limit's burst, and by reads that pause while answers
    /// are outstanding.
    histories: VecDeque<(u32, History)>,
    /// One page at a time is read. A page is up to 256 KiB of text, at most six times that in JSON, and it is only asked for
    /// below the outbound target, so replies alone do not reach the hard limit.
    is_reading: bool,
    lines: Lines<ChannelId>,
}

impl Rare {
    fn new() -> Self {
        Self { histories: VecDeque::new(), is_reading: false, lines: Lines::new(LINES_MAX) }
    }
}

impl Session {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_with(|| Box::new(Rare::new()))
    }

    /// Gives back what is not needed any more.
    pub(super) fn forget_rare(&mut self, now: Instant) {
        self.rare.take_if(|rare| {
            rare.lines.tick(now);
            rare.histories.is_empty() && !rare.is_reading && rare.lines.is_open(now)
        });
    }

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
                Err(unparsed) if unparsed.refusal.code == ErrorCode::UnknownCommand => {
                    self.unparsed = 0;
                    self.unknown(unparsed.id, unparsed.refusal, around);
                }
                Err(unparsed) => self.refuse_unparsed(unparsed.id, unparsed.refusal, around),
            }
            if self.closed.is_some() {
                return;
            }
        }
    }

    /// Unlike other errors this is told also under number 0, which is all that may be known of the request.
    fn refuse_unparsed(&mut self, id: u32, mut refusal: Refusal, around: &mut Surroundings<'_>) {
        self.unparsed += 1;
        refusal.message.truncate(refusal.message.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
        self.say(&schema::ServerFrame::Reply { id, reply: Err(refusal.into()) }, around);
        if self.unparsed >= UNPARSED_MAX {
            self.close(CloseCode::TooManyErrors);
        }
    }

    /// A command of a later version counts like one of this.
    fn unknown(&mut self, id: u32, refusal: Refusal, around: &mut Surroundings<'_>) {
        self.unanswered += 1;
        let refusal = self.take_rate(around).err().unwrap_or(refusal);
        self.answer(id, Err(refusal), around);
    }

    fn request(&mut self, Request { id, command }: Request, around: &mut Surroundings<'_>) {
        self.unanswered += 1;
        if let Err(refusal) = self.admit(&command, around) {
            return self.answer(id, Err(refusal), around);
        }
        let user = match (&self.stage, &command) {
            (_, Command::Connect(_)) => None,
            (Stage::Live(live), _) => Some(live.user),
            (Stage::Anonymous { .. } | Stage::Connecting(_), _) => {
                let refusal = Refusal::new(ErrorCode::Unauthenticated, "send connect first, and wait for its reply");
                return self.answer(id, Err(refusal), around);
            }
        };
        match (command, user) {
            (Command::Connect(connect), _) => self.connect(id, connect, around),
            (Command::Refresh { token }, _) => {
                let waiting = Waiting::Session(self.conn, SessionOp::Refresh(id));
                around.effects.store(StoreOp::Authenticate { token }, waiting);
            }
            (Command::Echo { data }, _) => self.answer(id, Ok(Reply::Echo { data }), around),
            (Command::History(history), _) => self.history(id, history, around),
            (Command::Send(send), Some(user)) => self.send_message(id, user, send, around),
            (Command::Mark { channel_id, read_seq }, Some(user)) => {
                self.apply(id, channel_id, ChannelOp::Mark { user, read_seq }, around);
            }
            (
                Command::Edit(_)
                | Command::Delete(_)
                | Command::React(_)
                | Command::Typing(_)
                | Command::Open(_)
                | Command::Close { .. }
                | Command::PresenceGet(_)
                | Command::PresenceWatch { .. }
                | Command::Search(_),
                Some(_),
            ) => {
                let refusal = Refusal::new(ErrorCode::UnknownCommand, "not in this version");
                self.answer(id, Err(refusal), around);
            }
            (command, None) => unreachable!("{command:?} without an account was refused above"),
        }
    }

    /// Rate and sizes.
    fn admit(&mut self, command: &Command, around: &mut Surroundings<'_>) -> Result<(), Refusal> {
        if let Command::Echo { data } = command {
            return within("data", data.len(), ECHO_DATA_BYTES_MAX, "bytes");
        }
        if let Err(refusal) = self.take_rate(around) {
            if let Command::Send(send) = command {
                self.rare().lines.refused(around.now.mono, send.channel_id, send.client_msg_id);
            }
            return Err(refusal);
        }
        match command {
            Command::Connect(Connect { token, .. }) | Command::Refresh { token } => {
                within("token", token.len(), TOKEN_BYTES_MAX, "bytes")
            }
            Command::Send(send) => within("mentions", send.mentions.len(), MENTIONS_MAX, "users"),
            Command::History(_)
            | Command::Mark { .. }
            | Command::Echo { .. }
            | Command::Edit(_)
            | Command::Delete(_)
            | Command::React(_)
            | Command::Typing(_)
            | Command::Open(_)
            | Command::Close { .. }
            | Command::PresenceGet(_)
            | Command::PresenceWatch { .. }
            | Command::Search(_) => Ok(()),
        }
    }

    /// Counts a command against the session and its user.
    fn take_rate(&mut self, around: &mut Surroundings<'_>) -> Result<(), Refusal> {
        let now = around.now.mono;
        let taken = self.bucket.take(now).and_then(|()| match &self.stage {
            Stage::Live(live) => around.users.take(now, live.user),
            Stage::Anonymous { .. } | Stage::Connecting(_) => Ok(()),
        });
        let Err(retry_after_ms) = taken else {
            self.rate_refusals = 0;
            return Ok(());
        };
        self.rate_refusals += 1;
        if self.rate_refusals >= RATE_REFUSALS_MAX {
            self.close(CloseCode::Rate);
        }
        Err(Refusal::new(ErrorCode::RateLimited, "too many commands").after_ms(retry_after_ms))
    }

    fn send_message(&mut self, id: u32, from: UserId, send: Send, around: &mut Surroundings<'_>) {
        let ordered = match self.rare.as_deref_mut() {
            Some(rare) => rare.lines.pass(around.now.mono, &send.channel_id, send.client_msg_id),
            None => Ok(()),
        };
        if let Err(refusal) = ordered.and_then(|()| body_is_legal(&send.body)) {
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
        let sends = op.sends().map(|(_, id)| (channel, id));
        if let Err(refusal) = around.tickets.ask(around.now.mono, asker, channel, op, around.effects) {
            self.refused(id, sends, refusal, around);
        }
    }

    /// An operation came to nothing here, and may be sent again: a send keeps its place before those behind it (rule 7).
    pub(crate) fn refused(
        &mut self,
        id: u32,
        sends: Option<(ChannelId, ClientMsgId)>,
        refusal: Refusal,
        around: &mut Surroundings<'_>,
    ) {
        if let Some((channel, client_msg_id)) = sends {
            self.rare().lines.refused(around.now.mono, channel, client_msg_id);
        }
        self.answer(id, Err(refusal), around);
    }

    fn history(&mut self, id: u32, mut history: History, around: &mut Surroundings<'_>) {
        if history.limit == 0 {
            let refusal = Refusal::new(ErrorCode::BadRequest, "limit is 0, ask for 1 to 200 messages");
            return self.answer(id, Err(refusal), around);
        }
        history.limit = history.limit.min(HISTORY_ROWS_MAX);
        self.rare().histories.push_back((id, history));
        self.pump(around);
    }

    /// Reads the next page of history that was asked for, if there is room.
    pub(super) fn pump(&mut self, around: &mut Surroundings<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        let Some(rare) = self.rare.as_deref_mut() else { return };
        if rare.is_reading || !self.outbound.is_below_target() {
            return;
        }
        if let Some((id, request)) = rare.histories.pop_front() {
            rare.is_reading = true;
            let waiting = Waiting::Session(self.conn, SessionOp::History(id));
            around.effects.store(StoreOp::History { user: live.user, request }, waiting);
        }
    }

    /// A page of history was read.
    pub(super) fn history_read(&mut self, id: u32, page: Result<HistoryPage, Refusal>, around: &mut Surroundings<'_>) {
        self.rare().is_reading = false;
        self.answer(id, page.map(Reply::History), around);
        self.pump(around);
    }
}

/// What a client is told of its operation.
pub(super) fn reply_of(reply: OpReply) -> Result<Reply, Refusal> {
    match reply {
        OpReply::Sent { seq, sent_ms, duplicate } => Ok(Reply::Send { seq, sent_ms, duplicate }),
        OpReply::Marked { read_seq, unread } => Ok(Reply::Mark { read_seq, unread }),
        OpReply::Created { .. }
        | OpReply::Changed { .. }
        | OpReply::Revised { .. }
        | OpReply::Reacted { .. }
        | OpReply::Told => Err(Refusal::new(ErrorCode::Internal, "the channel's home answered what was not asked")),
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
