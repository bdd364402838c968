//! What a server says, to and from a buffer.
//!
//! Owns the mapping of [`ServerFrame`]: replies, errors, pushes.

use std::sync::Arc;

use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::{bad, verified};
use crate::codec::Unparsed;
use crate::command::{ClientLimits, Connected, ErrorReply, HistoryPage, Push, Reply, Retry, ServerFrame};
use crate::enums::Numbered as _;
use crate::event::{MemberChange, Role};
use crate::flat::{self, Builder, Illegal};
use crate::generated::rookery as fb;
use crate::id::{ChannelId, Seq, SessionId, UserId};
use crate::message::Message;
use crate::time::UnixMs;

type Union = WIPOffset<UnionWIPOffset>;

pub(super) fn build<'b>(builder: &mut Builder, frame: &ServerFrame) -> WIPOffset<fb::ServerFrame<'b>> {
    let mut fields = fb::ServerFrameArgs::default();
    match frame {
        ServerFrame::Reply { id, reply: Ok(reply) } => {
            let (reply_type, reply) = build_reply(builder, reply);
            (fields.id, fields.reply_type, fields.reply) = (*id, reply_type, Some(reply));
        }
        ServerFrame::Reply { id, reply: Err(error) } => {
            (fields.id, fields.error) = (*id, Some(build_error(builder, error)));
        }
        ServerFrame::Push(push) => {
            let (push_type, push) = build_push(builder, push);
            (fields.push_type, fields.push_) = (push_type, Some(push));
        }
    }
    fb::ServerFrame::create(builder, &fields)
}

fn build_reply(builder: &mut Builder, reply: &Reply) -> (fb::Reply, Union) {
    match reply {
        Reply::Connect(connected) => {
            let limits = fb::ClientLimitsArgs {
                body_chars_max: connected.limits.body_chars_max,
                frame_bytes_max: connected.limits.frame_bytes_max,
            };
            let retry = fb::RetryArgs { base_ms: connected.retry.base_ms, cap_ms: connected.retry.cap_ms };
            let fields = fb::ConnectedArgs {
                user_id: connected.user_id.0,
                session_id: connected.session_id.0,
                server_time_ms: connected.server_time_ms.0,
                ping_ms: connected.ping_ms,
                limits: Some(fb::ClientLimits::create(builder, &limits)),
                cursor: Some(builder.create_string(&connected.cursor)),
                retry: Some(fb::Retry::create(builder, &retry)),
            };
            (fb::Reply::connect, fb::Connected::create(builder, &fields).as_union_value())
        }
        Reply::Refresh { expires_ms } => {
            let fields = fb::RefreshedArgs { expires_ms: expires_ms.0 };
            (fb::Reply::refresh, fb::Refreshed::create(builder, &fields).as_union_value())
        }
        Reply::Send { seq, sent_ms, duplicate } => {
            let fields = fb::SentArgs { seq: seq.0, sent_ms: sent_ms.0, duplicate: *duplicate };
            (fb::Reply::send, fb::Sent::create(builder, &fields).as_union_value())
        }
        Reply::History(page) => {
            let messages: Vec<_> = page.messages.iter().map(|one| flat::put_message(builder, one)).collect();
            let fields = fb::HistoryPageArgs {
                messages: Some(builder.create_vector(&messages)),
                head_seq: page.head_seq.0,
                first_seq: page.first_seq.0,
                more: page.more,
            };
            (fb::Reply::history, fb::HistoryPage::create(builder, &fields).as_union_value())
        }
        Reply::Mark { read_seq, unread } => {
            let fields = fb::MarkedArgs { read_seq: read_seq.0, unread: *unread };
            (fb::Reply::mark, fb::Marked::create(builder, &fields).as_union_value())
        }
        Reply::Echo { data } => {
            let fields = fb::EchoedArgs { data: Some(builder.create_string(data)) };
            (fb::Reply::echo, fb::Echoed::create(builder, &fields).as_union_value())
        }
    }
}

fn build_error<'b>(builder: &mut Builder, error: &ErrorReply) -> WIPOffset<fb::Error<'b>> {
    let fields = fb::ErrorArgs {
        code: error.code,
        message: Some(builder.create_string(&error.message)),
        temporary: error.temporary,
        retry_after_ms: error.retry_after_ms,
    };
    fb::Error::create(builder, &fields)
}

fn build_push(builder: &mut Builder, push: &Push) -> (fb::Push, Union) {
    match push {
        Push::Message { message, cursor } => {
            let fields = fb::MessagePushArgs {
                message: Some(flat::put_message(builder, message)),
                cursor: Some(builder.create_string(cursor)),
            };
            (fb::Push::message, fb::MessagePush::create(builder, &fields).as_union_value())
        }
        Push::Membership { channel_id, user_id, change, role, cursor } => {
            let fields = fb::MembershipPushArgs {
                channel_id: channel_id.0,
                user_id: user_id.0,
                change: change.number(),
                role: role.number(),
                cursor: Some(builder.create_string(cursor)),
            };
            (fb::Push::membership, fb::MembershipPush::create(builder, &fields).as_union_value())
        }
        Push::Read { channel_id, user_id, read_seq, cursor } => {
            let fields = fb::ReadPushArgs {
                channel_id: channel_id.0,
                user_id: user_id.0,
                read_seq: read_seq.0,
                cursor: cursor.as_ref().map(|cursor| builder.create_string(cursor)),
            };
            (fb::Push::read, fb::ReadPush::create(builder, &fields).as_union_value())
        }
        Push::Snapshot { channels, more, cursor } => {
            let fields = fb::SnapshotPushArgs {
                channels: Some(flat::put_snapshot_channels(builder, channels)),
                more: *more,
                cursor: cursor.as_ref().map(|cursor| builder.create_string(cursor)),
            };
            (fb::Push::snapshot, fb::SnapshotPush::create(builder, &fields).as_union_value())
        }
        Push::TokenExpiring { expires_ms } => {
            let fields = fb::TokenExpiringPushArgs { expires_ms: expires_ms.0 };
            (fb::Push::token_expiring, fb::TokenExpiringPush::create(builder, &fields).as_union_value())
        }
        Push::Drain { deadline_ms, jitter_ms, url } => {
            let fields = fb::DrainPushArgs {
                deadline_ms: deadline_ms.0,
                jitter_ms: *jitter_ms,
                url: url.as_ref().map(|url| builder.create_string(url)),
            };
            (fb::Push::drain, fb::DrainPush::create(builder, &fields).as_union_value())
        }
    }
}

pub(super) fn read(buffer: &[u8]) -> Result<ServerFrame, Unparsed> {
    let table = verified::<fb::ServerFrame<'_>>(buffer).map_err(|why| bad(0, format!("not a server frame: {why}")))?;
    let id = table.id();
    let has_reply = table.reply_type() != fb::Reply::NONE;
    let has_push = table.push_type() != fb::Push::NONE;
    match (has_reply, table.error(), has_push) {
        (true, None, false) => reply(table)
            .map(|reply| ServerFrame::Reply { id, reply: Ok(reply) })
            .map_err(|why| bad(id, why.to_string())),
        (false, Some(error), false) => Ok(ServerFrame::Reply { id, reply: Err(error_reply(error)) }),
        (false, None, true) => push(table).map(ServerFrame::Push).map_err(|why| bad(id, why.to_string())),
        (false, None, false) => Err(bad(id, "an envelope without content")),
        (true, _, true) | (true, Some(_), false) | (false, Some(_), true) => {
            Err(bad(id, "an envelope with more than one of reply, error and push"))
        }
    }
}

fn error_reply(error: fb::Error<'_>) -> ErrorReply {
    ErrorReply {
        code: error.code(),
        message: error.message().to_owned(),
        temporary: error.temporary(),
        retry_after_ms: error.retry_after_ms(),
    }
}

fn reply(table: fb::ServerFrame<'_>) -> Result<Reply, Illegal> {
    if let Some(fields) = table.reply_as_connect() {
        let (limits, retry) = (fields.limits(), fields.retry());
        Ok(Reply::Connect(Connected {
            user_id: UserId(fields.user_id()),
            session_id: SessionId(fields.session_id()),
            server_time_ms: UnixMs(fields.server_time_ms()),
            ping_ms: fields.ping_ms(),
            limits: ClientLimits { body_chars_max: limits.body_chars_max(), frame_bytes_max: limits.frame_bytes_max() },
            cursor: fields.cursor().to_owned(),
            retry: Retry { base_ms: retry.base_ms(), cap_ms: retry.cap_ms() },
        }))
    } else if let Some(fields) = table.reply_as_refresh() {
        Ok(Reply::Refresh { expires_ms: UnixMs(fields.expires_ms()) })
    } else if let Some(fields) = table.reply_as_send() {
        let (seq, sent_ms) = (Seq(fields.seq()), UnixMs(fields.sent_ms()));
        Ok(Reply::Send { seq, sent_ms, duplicate: fields.duplicate() })
    } else if let Some(fields) = table.reply_as_history() {
        Ok(Reply::History(HistoryPage {
            messages: fields.messages().iter().map(message).collect::<Result<_, _>>()?,
            head_seq: Seq(fields.head_seq()),
            first_seq: Seq(fields.first_seq()),
            more: fields.more(),
        }))
    } else if let Some(fields) = table.reply_as_mark() {
        Ok(Reply::Mark { read_seq: Seq(fields.read_seq()), unread: fields.unread() })
    } else if let Some(fields) = table.reply_as_echo() {
        Ok(Reply::Echo { data: fields.data().to_owned() })
    } else {
        Err(Illegal::new("reply", format!("unknown number {}", table.reply_type().0)))
    }
}

fn push(table: fb::ServerFrame<'_>) -> Result<Push, Illegal> {
    if let Some(fields) = table.push__as_message() {
        Ok(Push::Message { message: message(fields.message())?, cursor: fields.cursor().to_owned() })
    } else if let Some(fields) = table.push__as_membership() {
        Ok(Push::Membership {
            channel_id: ChannelId(fields.channel_id()),
            user_id: UserId(fields.user_id()),
            change: MemberChange::known(fields.change(), "change")?,
            role: Role::known(fields.role(), "role")?,
            cursor: fields.cursor().to_owned(),
        })
    } else if let Some(fields) = table.push__as_read() {
        Ok(Push::Read {
            channel_id: ChannelId(fields.channel_id()),
            user_id: UserId(fields.user_id()),
            read_seq: Seq(fields.read_seq()),
            cursor: fields.cursor().map(str::to_owned),
        })
    } else if let Some(fields) = table.push__as_snapshot() {
        Ok(Push::Snapshot {
            channels: flat::snapshot_channels(fields.channels())?,
            more: fields.more(),
            cursor: fields.cursor().map(str::to_owned),
        })
    } else if let Some(fields) = table.push__as_token_expiring() {
        Ok(Push::TokenExpiring { expires_ms: UnixMs(fields.expires_ms()) })
    } else if let Some(fields) = table.push__as_drain() {
        Ok(Push::Drain {
            deadline_ms: UnixMs(fields.deadline_ms()),
            jitter_ms: fields.jitter_ms(),
            url: fields.url().map(str::to_owned),
        })
    } else {
        Err(Illegal::new("push", format!("unknown number {}", table.push_type().0)))
    }
}

/// A message as a client takes it: its name must be what JSON would take too.
fn message(table: fb::Message<'_>) -> Result<Arc<Message>, Illegal> {
    let message = flat::message(table)?;
    if message.client_msg_id.is_v7() {
        Ok(message)
    } else {
        Err(Illegal::new("client_msg_id", "expected a UUID of version 7"))
    }
}
