//! Admission and dispatch of a client's commands.
//!
//! Owns the checks that all commands share: form, size, rate, login. What a command does is its own file's:
//! `operations` change channels, `pages` are read from the store.

use schema::command::{Command, Connect};
use schema::limits::{ECHO_DATA_BYTES_MAX, MENTIONS_MAX, PRESENCE_USERS_MAX, TOKEN_BYTES_MAX, WATCHED_MAX};
use schema::{ChannelOp, CloseCode, ErrorCode, Refusal, Reply, Request};

use crate::counters::Counter;
use crate::tickets::Sent;

use super::{Session, ShardContext};

/// Bytes of an error's text. A parser's may quote all that it was given.
const ERROR_TEXT_BYTES_MAX: usize = 256;
/// Users whose presence is asked for that count as one command.
const USERS_A_COMMAND: usize = 50;
/// Commands as which a search counts: it reads as much as 20 pages of history.
const SEARCH_WEIGHT: u32 = 20;

impl Session {
    /// A whole message of the client: one or more requests.
    pub(crate) fn message(&mut self, text: bool, payload: &[u8], context: &mut ShardContext<'_>) {
        self.heard(context.effects.now);
        if text != self.encoding().is_text() {
            return self.close(CloseCode::BadFrame);
        }
        for request in self.encoding().requests(payload) {
            match request {
                Ok(request) => {
                    self.admission.parsed();
                    self.request(request, context);
                }
                Err(unparsed) if unparsed.refusal.code == ErrorCode::UnknownCommand => {
                    self.admission.parsed();
                    self.unknown(unparsed.id, unparsed.refusal, context);
                }
                Err(unparsed) => self.refuse_unparsed(unparsed.id, unparsed.refusal, context),
            }
            if self.closed.is_some() {
                return;
            }
        }
        if self.is_call() {
            self.end_if_answered();
        }
    }

    /// Unlike other errors this is told also under number 0, which is all that may be known of the request.
    fn refuse_unparsed(&mut self, id: u32, mut refusal: Refusal, context: &mut ShardContext<'_>) {
        refusal.message.truncate(refusal.message.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
        self.say(&schema::ServerFrame::Reply { id, reply: Err(refusal.into()) }, context);
        if self.admission.unparsed() {
            self.close(CloseCode::TooManyErrors);
        }
    }

    /// A command of a later version counts like one of this.
    fn unknown(&mut self, id: u32, refusal: Refusal, context: &mut ShardContext<'_>) {
        self.admission.asked();
        let refusal = self.take_rate(1, context).err().unwrap_or(refusal);
        self.answer(id, Err(refusal), context);
    }

    fn request(&mut self, Request { id, command }: Request, context: &mut ShardContext<'_>) {
        self.admission.asked();
        if let Err(refusal) = self.admit(&command, context) {
            return self.answer(id, Err(refusal), context);
        }
        if self.is_call() && is_of_a_stream(&command) {
            let message = "a call follows nothing: say it where a stream is opened";
            return self.answer(id, Err(Refusal::new(ErrorCode::BadRequest, message)), context);
        }
        match (command, self.stage.user()) {
            (Command::Connect(connect), _) => self.connect(id, connect, context),
            (_, None) => {
                let refusal = Refusal::new(ErrorCode::Unauthenticated, "send connect first, and wait for its reply");
                self.answer(id, Err(refusal), context);
            }
            (Command::Refresh { token }, Some(_)) => self.refresh(id, token, context),
            (Command::Echo { data }, Some(_)) => self.answer(id, Ok(Reply::Echo { data }), context),
            (Command::History(history), Some(_)) => self.history(id, history, context),
            (Command::Send(send), Some(user)) => self.send_message(id, user, send, context),
            (Command::Mark { channel_id, read_seq }, Some(user)) => {
                self.apply(id, channel_id, ChannelOp::Mark { user, read_seq }, context);
            }
            (Command::Edit(edit), Some(user)) => self.edit(id, user, edit, context),
            (Command::Delete(delete), Some(user)) => self.delete(id, user, &delete, context),
            (Command::React(react), Some(user)) => self.react(id, user, &react, context),
            (Command::Typing(typing), Some(user)) => self.typing(id, user, &typing, context),
            (Command::PresenceGet(get), Some(user)) => self.presence_get(id, user, get, context),
            (Command::PresenceWatch { user_ids }, Some(_)) => self.watch(id, user_ids, context),
            (Command::Open(open), Some(user)) => self.open(id, user, &open, context),
            (Command::Close { channel_id }, Some(_)) => self.close_channel(id, channel_id, context),
            (Command::Search(search), Some(_)) => self.search(id, search, context),
        }
    }

    /// Rate and sizes.
    fn admit(&mut self, command: &Command, context: &mut ShardContext<'_>) -> Result<(), Refusal> {
        if let Command::Echo { data } = command {
            return within("data", data.len(), ECHO_DATA_BYTES_MAX, "bytes");
        }
        let (weight, size) = measure(command);
        if let Err(refusal) = self.take_rate(weight, context) {
            if let Command::Send(send) = command {
                let arrival = context.effects.arrival();
                self.note_refused(Sent { channel: send.channel_id, id: send.client_msg_id, arrival }, context);
            }
            return Err(refusal);
        }
        if !matches!(command, Command::Refresh { .. }) {
            self.used(context);
        }
        size
    }

    /// Counts a command against the session and its user, as so many.
    fn take_rate(&mut self, weight: u32, context: &mut ShardContext<'_>) -> Result<(), Refusal> {
        self.admission.take(context.effects.now.mono, weight, self.stage.user(), context.users).map_err(|limited| {
            context.effects.count(Counter::Rate);
            if limited.is_over {
                self.close(CloseCode::Rate);
            }
            Refusal::new(ErrorCode::RateLimited, "too many commands").after_ms(limited.retry_after_ms)
        })
    }
}

/// Whether a command means something to a session that goes on, and to no other.
fn is_of_a_stream(command: &Command) -> bool {
    match command {
        Command::Refresh { .. } | Command::PresenceWatch { .. } | Command::Open(_) | Command::Close { .. } => true,
        Command::Connect(_)
        | Command::Send(_)
        | Command::Edit(_)
        | Command::Delete(_)
        | Command::React(_)
        | Command::History(_)
        | Command::Mark { .. }
        | Command::Typing(_)
        | Command::PresenceGet(_)
        | Command::Search(_)
        | Command::Echo { .. } => false,
    }
}

/// As how many commands one counts, and whether its lists are within their limits as far as that is judged here.
fn measure(command: &Command) -> (u32, Result<(), Refusal>) {
    let by_users = |users: usize| {
        // Beyond its limit a list is refused for that.
        let users = users.min(WATCHED_MAX as usize);
        (u32::try_from(users.div_ceil(USERS_A_COMMAND)).expect("at most 10").max(1), Ok(()))
    };
    match command {
        Command::Connect(Connect { token, .. }) | Command::Refresh { token } => {
            (1, within("token", token.len(), TOKEN_BYTES_MAX, "bytes"))
        }
        Command::Send(send) => (1, within("mentions", send.mentions.len(), MENTIONS_MAX, "users")),
        Command::PresenceGet(get) if get.channel_id.is_some() => by_users(PRESENCE_USERS_MAX as usize),
        Command::PresenceGet(get) => by_users(get.user_ids.len()),
        Command::PresenceWatch { user_ids } => by_users(user_ids.len()),
        Command::Search(_) => (SEARCH_WEIGHT, Ok(())),
        Command::History(_)
        | Command::Mark { .. }
        | Command::Echo { .. }
        | Command::Edit(_)
        | Command::Delete(_)
        | Command::React(_)
        | Command::Typing(_)
        | Command::Open(_)
        | Command::Close { .. } => (1, Ok(())),
    }
}

pub(super) fn within(what: &str, found: usize, limit: u32, unit: &str) -> Result<(), Refusal> {
    if found <= limit as usize {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::LimitExceeded, format!("{what} is {found} {unit}, the limit is {limit}")))
}
