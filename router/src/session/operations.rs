//! Commands of a client that change a channel, or are told to its members.
//!
//! Owns the checks that need no store: what a text, an emoji and a list may be, a send's place behind refused ones
//! (rule 7). The rest is the channel's home's, asked as a ticket.

use schema::command::{Delete, Edit, React, Send, Typing};
use schema::limits::BODY_CHARS_MAX;
use schema::op::{EditOp, ReactOp, SendOp};
use schema::{ChannelId, ChannelOp, Emoji, ErrorCode, OpReply, Refusal, Reply, UserId};

use crate::counters::Counter;
use crate::order::Arrival;
use crate::tickets::{Asker, Sent};

use super::{Session, ShardContext};

impl Session {
    pub(super) fn send_message(&mut self, id: u32, from: UserId, send: Send, context: &mut ShardContext<'_>) {
        let arrival = context.effects.arrival();
        let ordered = match self.cold.as_deref_mut() {
            Some(cold) => cold.order.pass(context.effects.now.mono, &send.channel_id, send.client_msg_id, arrival),
            None => Ok(arrival),
        };
        let arrival =
            match ordered.and_then(|arrival| body_is_legal(&send.body, !send.media.is_empty()).map(|()| arrival)) {
                Ok(arrival) => arrival,
                Err(refusal) => return self.answer(id, Err(refusal), context),
            };
        let op = SendOp {
            from,
            client_msg_id: send.client_msg_id,
            kind: send.kind,
            body: send.body,
            reply_to: send.reply_to,
            mentions: send.mentions,
            ruling: None,
            audience: None,
            media: send.media,
        };
        self.submit((id, arrival), send.channel_id, ChannelOp::Send(op), context);
    }

    pub(super) fn edit(&mut self, id: u32, by: UserId, edit: Edit, context: &mut ShardContext<'_>) {
        // One that has media may lose its text: its home knows.
        if let Err(refusal) = body_is_legal(&edit.body, true) {
            return self.answer(id, Err(refusal), context);
        }
        let Edit { channel_id, seq, op_id, base_revision, body } = edit;
        let op = EditOp { by, seq, op_id, base_revision, body, ruling: None };
        let arrival = context.effects.arrival();
        self.submit((id, arrival), channel_id, ChannelOp::Edit(op), context);
    }

    pub(super) fn delete(&mut self, id: u32, by: UserId, delete: &Delete, context: &mut ShardContext<'_>) {
        let &Delete { channel_id, seq, op_id } = delete;
        let arrival = context.effects.arrival();
        self.submit((id, arrival), channel_id, ChannelOp::Delete { by, seq, op_id }, context);
    }

    pub(super) fn react(&mut self, id: u32, by: UserId, react: &React, context: &mut ShardContext<'_>) {
        let &React { channel_id, seq, op_id, ref emoji, on } = react;
        match emoji.parse::<Emoji>() {
            Ok(emoji) => self.apply(id, channel_id, ChannelOp::React(ReactOp { by, seq, op_id, emoji, on }), context),
            Err(error) => self.answer(id, Err(Refusal::new(ErrorCode::BadRequest, error.to_string())), context),
        }
    }

    /// The others are told, unless they just were.
    pub(super) fn typing(&mut self, id: u32, user: UserId, typing: &Typing, context: &mut ShardContext<'_>) {
        let &Typing { channel_id, on } = typing;
        if self.cold().writing.notifies(context.effects.now.mono, channel_id, on) {
            self.apply(id, channel_id, ChannelOp::Typing { user, on }, context);
        } else {
            if on && self.cold().writing.is_full_for(channel_id) {
                context.effects.count(Counter::Typing);
            }
            self.answer(id, Ok(Reply::Typing {}), context);
        }
    }

    pub(super) fn apply(&mut self, id: u32, channel: ChannelId, op: ChannelOp, context: &mut ShardContext<'_>) {
        let arrival = context.effects.arrival();
        self.carry_out((id, arrival), channel, op, context);
    }

    /// Asks the channel's home for what came at `arrival`.
    pub(super) fn carry_out(
        &mut self,
        (id, arrival): (u32, Arrival),
        channel: ChannelId,
        op: ChannelOp,
        context: &mut ShardContext<'_>,
    ) {
        let deletes = matches!(op, ChannelOp::Delete { .. });
        let asker = Asker::Session { conn: self.conn, id, deletes, arrival };
        let sends = Sent::of(channel, &op, arrival);
        if let Err(refusal) = context.tickets.ask(asker, channel, op, context.effects) {
            self.refused(id, sends, refusal, context);
        }
    }

    /// An operation came to nothing here, and may be sent again: a send keeps its place before those behind it (rule
    /// 7).
    pub(crate) fn refused(&mut self, id: u32, sends: Option<Sent>, refusal: Refusal, context: &mut ShardContext<'_>) {
        if let Some(sent) = sends {
            self.note_refused(sent, context);
        }
        self.answer(id, Err(refusal), context);
        if let Some(sent) = sends {
            self.refuse_held(sent.channel, context);
        }
    }

    /// A send was refused for now: those behind it are to be, until it comes again.
    pub(super) fn note_refused(&mut self, Sent { channel, id, arrival }: Sent, context: &ShardContext<'_>) {
        self.cold().order.refused(context.effects.now.mono, channel, id, arrival);
    }

    /// A channel's home has answered. Where it refuses a send for now, it refuses those behind it too; and so does this
    /// session, since they may have another home by then (rule 7).
    pub(crate) fn applied(
        &mut self,
        (id, deletes): (u32, bool),
        sends: Option<Sent>,
        reply: Result<OpReply, Refusal>,
        context: &mut ShardContext<'_>,
    ) {
        let is_for_now = reply.as_ref().is_err_and(|refusal| refusal.code.is_temporary());
        let again = sends.filter(|_| is_for_now);
        if let Some(sent) = again {
            self.note_refused(sent, context);
        }
        self.answer(id, reply.and_then(|reply| reply_of(&reply, deletes)), context);
        if let Some(sent) = again {
            self.refuse_held(sent.channel, context);
        }
    }
}

/// The reply to a client, of what the channel's home answers.
fn reply_of(reply: &OpReply, deletes: bool) -> Result<Reply, Refusal> {
    match *reply {
        OpReply::Sent { seq, sent_ms, duplicate } => Ok(Reply::Send { seq, sent_ms, duplicate }),
        OpReply::Marked { read_seq, unread } => Ok(Reply::Mark { read_seq, unread }),
        OpReply::Reacted { count } => Ok(Reply::React { count }),
        OpReply::Told => Ok(Reply::Typing {}),
        OpReply::Revised { revision } if deletes => Ok(Reply::Delete { revision }),
        OpReply::Revised { revision } => Ok(Reply::Edit { revision }),
        OpReply::Created { .. } | OpReply::Changed { .. } => {
            Err(Refusal::new(ErrorCode::Internal, "the channel's home answered what was not asked"))
        }
    }
}

/// Whether a text may be a message's, which may be none beside media.
fn body_is_legal(body: &str, may_be_empty: bool) -> Result<(), Refusal> {
    if body.is_empty() && !may_be_empty {
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
