//! What a server says, to and from a buffer.
//!
//! Owns the mapping of [`ServerFrame`]: replies, errors, pushes.

use std::sync::Arc;

use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::{SERVER_VERIFIER, bad, verified};
use crate::codec::Unparsed;
use crate::command::{
    ClientLimits, Connected, ErrorReply, HistoryPage, Opened, Push, ReadMark, Reply, Retry, SearchHit, SearchPage,
    ServerFrame,
};
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
        Reply::Edit { revision } => {
            let fields = fb::EditedArgs { revision: *revision };
            (fb::Reply::edit, fb::Edited::create(builder, &fields).as_union_value())
        }
        Reply::Delete { revision } => {
            let fields = fb::DeletedArgs { revision: *revision };
            (fb::Reply::delete, fb::Deleted::create(builder, &fields).as_union_value())
        }
        Reply::React { count } => {
            let fields = fb::ReactedArgs { count: *count };
            (fb::Reply::react, fb::Reacted::create(builder, &fields).as_union_value())
        }
        Reply::Typing {} => (fb::Reply::typing, fb::Told::create(builder, &fb::ToldArgs {}).as_union_value()),
        Reply::Open(opened) => (fb::Reply::open, build_opened(builder, opened).as_union_value()),
        Reply::Close {} => (fb::Reply::close, fb::Closed::create(builder, &fb::ClosedArgs {}).as_union_value()),
        Reply::PresenceGet { entries } => {
            let fields = fb::PresencePageArgs { entries: Some(flat::put_presence(builder, entries)) };
            (fb::Reply::presence_get, fb::PresencePage::create(builder, &fields).as_union_value())
        }
        Reply::PresenceWatch { entries } => {
            let fields = fb::PresencePageArgs { entries: Some(flat::put_presence(builder, entries)) };
            (fb::Reply::presence_watch, fb::PresencePage::create(builder, &fields).as_union_value())
        }
        Reply::Search(page) => (fb::Reply::search, build_search(builder, page).as_union_value()),
    }
}

fn build_opened<'b>(builder: &mut Builder, opened: &Opened) -> WIPOffset<fb::Opened<'b>> {
    let reads = (!opened.reads.is_empty()).then(|| {
        let mut reads = Vec::with_capacity(opened.reads.len());
        for mark in &opened.reads {
            let fields = fb::ReadMarkArgs { user_id: mark.user_id.0, read_seq: mark.read_seq.0 };
            reads.push(fb::ReadMark::create(builder, &fields));
        }
        builder.create_vector(&reads)
    });
    let (head_seq, read_seq) = (opened.head_seq.0, opened.read_seq.0);
    fb::Opened::create(builder, &fb::OpenedArgs { head_seq, read_seq, online: opened.online, reads })
}

fn build_search<'b>(builder: &mut Builder, page: &SearchPage) -> WIPOffset<fb::SearchPage<'b>> {
    let mut hits = Vec::with_capacity(page.hits.len());
    for hit in &page.hits {
        let fields = fb::SearchHitArgs {
            channel_id: hit.channel_id.0,
            seq: hit.seq.0,
            sent_ms: hit.sent_ms.0,
            from: hit.from.0,
            snippet: Some(builder.create_string(&hit.snippet)),
        };
        hits.push(fb::SearchHit::create(builder, &fields));
    }
    let hits = Some(builder.create_vector(&hits));
    fb::SearchPage::create(builder, &fb::SearchPageArgs { hits, more: page.more })
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
                cursor: cursor.as_ref().map(|cursor| builder.create_string(cursor)),
            };
            (fb::Push::message, fb::MessagePush::create(builder, &fields).as_union_value())
        }
        Push::Membership { channel_id, user_id, change, role, cursor } => {
            let fields = fb::MembershipPushArgs {
                channel_id: channel_id.0,
                user_id: user_id.0,
                change: change.number(),
                role: role.number(),
                cursor: cursor.as_ref().map(|cursor| builder.create_string(cursor)),
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
        Push::Edited { message, cursor } => {
            let fields = fb::EditedPushArgs {
                message: Some(flat::put_message(builder, message)),
                cursor: cursor.as_ref().map(|cursor| builder.create_string(cursor)),
            };
            (fb::Push::edited, fb::EditedPush::create(builder, &fields).as_union_value())
        }
        Push::Deleted { channel_id, seq, revision, cursor } => {
            let fields = fb::DeletedPushArgs {
                channel_id: channel_id.0,
                seq: seq.0,
                revision: *revision,
                cursor: cursor.as_ref().map(|cursor| builder.create_string(cursor)),
            };
            (fb::Push::deleted, fb::DeletedPush::create(builder, &fields).as_union_value())
        }
        Push::Reaction { channel_id, seq, emoji, count, user_id, on, cursor } => {
            let fields = fb::ReactionPushArgs {
                channel_id: channel_id.0,
                seq: seq.0,
                emoji: Some(builder.create_string(emoji.as_str())),
                count: *count,
                user_id: user_id.0,
                on: *on,
                cursor: cursor.as_ref().map(|cursor| builder.create_string(cursor)),
            };
            (fb::Push::reaction, fb::ReactionPush::create(builder, &fields).as_union_value())
        }
        Push::Head { channel_id, head_seq } => {
            let fields = fb::HeadPushArgs { channel_id: channel_id.0, head_seq: head_seq.0 };
            (fb::Push::head, fb::HeadPush::create(builder, &fields).as_union_value())
        }
        Push::Presence { entries } => {
            let fields = fb::PresencePushArgs { entries: Some(flat::put_presence(builder, entries)) };
            (fb::Push::presence, fb::PresencePush::create(builder, &fields).as_union_value())
        }
        Push::Typing { channel_id, user_id, on } => {
            let fields = fb::TypingPushArgs { channel_id: channel_id.0, user_id: user_id.0, on: *on };
            (fb::Push::typing, fb::TypingPush::create(builder, &fields).as_union_value())
        }
    }
}

pub(super) fn read(buffer: &[u8]) -> Result<ServerFrame, Unparsed> {
    let table = verified::<fb::ServerFrame<'_>>(&SERVER_VERIFIER, buffer)
        .map_err(|why| bad(0, format!("not a server frame: {why}")))?;
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
    } else if let Some(fields) = table.reply_as_edit() {
        Ok(Reply::Edit { revision: fields.revision() })
    } else if let Some(fields) = table.reply_as_delete() {
        Ok(Reply::Delete { revision: fields.revision() })
    } else if let Some(fields) = table.reply_as_react() {
        Ok(Reply::React { count: fields.count() })
    } else if table.reply_as_typing().is_some() {
        Ok(Reply::Typing {})
    } else if let Some(fields) = table.reply_as_open() {
        let mark =
            |mark: fb::ReadMark<'_>| ReadMark { user_id: UserId(mark.user_id()), read_seq: Seq(mark.read_seq()) };
        Ok(Reply::Open(Opened {
            head_seq: Seq(fields.head_seq()),
            read_seq: Seq(fields.read_seq()),
            online: fields.online(),
            reads: fields.reads().into_iter().flatten().map(mark).collect(),
        }))
    } else if table.reply_as_close().is_some() {
        Ok(Reply::Close {})
    } else if let Some(fields) = table.reply_as_presence_get() {
        Ok(Reply::PresenceGet { entries: flat::presence(fields.entries())? })
    } else if let Some(fields) = table.reply_as_presence_watch() {
        Ok(Reply::PresenceWatch { entries: flat::presence(fields.entries())? })
    } else if let Some(fields) = table.reply_as_search() {
        let hit = |hit: fb::SearchHit<'_>| SearchHit {
            channel_id: ChannelId(hit.channel_id()),
            seq: Seq(hit.seq()),
            sent_ms: UnixMs(hit.sent_ms()),
            from: UserId(hit.from()),
            snippet: hit.snippet().to_owned(),
        };
        Ok(Reply::Search(SearchPage { hits: fields.hits().iter().map(hit).collect(), more: fields.more() }))
    } else {
        Err(Illegal::new("reply", format!("unknown number {}", table.reply_type().0)))
    }
}

fn push(table: fb::ServerFrame<'_>) -> Result<Push, Illegal> {
    if let Some(fields) = table.push__as_message() {
        Ok(Push::Message { message: message(fields.message())?, cursor: fields.cursor().map(str::to_owned) })
    } else if let Some(fields) = table.push__as_membership() {
        Ok(Push::Membership {
            channel_id: ChannelId(fields.channel_id()),
            user_id: UserId(fields.user_id()),
            change: MemberChange::known(fields.change(), "change")?,
            role: Role::known(fields.role(), "role")?,
            cursor: fields.cursor().map(str::to_owned),
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
    } else if let Some(fields) = table.push__as_edited() {
        Ok(Push::Edited { message: message(fields.message())?, cursor: fields.cursor().map(str::to_owned) })
    } else if let Some(fields) = table.push__as_deleted() {
        Ok(Push::Deleted {
            channel_id: ChannelId(fields.channel_id()),
            seq: Seq(fields.seq()),
            revision: fields.revision(),
            cursor: fields.cursor().map(str::to_owned),
        })
    } else if let Some(fields) = table.push__as_reaction() {
        Ok(Push::Reaction {
            channel_id: ChannelId(fields.channel_id()),
            seq: Seq(fields.seq()),
            emoji: flat::emoji(fields.emoji())?,
            count: fields.count(),
            user_id: UserId(fields.user_id()),
            on: fields.on(),
            cursor: fields.cursor().map(str::to_owned),
        })
    } else if let Some(fields) = table.push__as_head() {
        Ok(Push::Head { channel_id: ChannelId(fields.channel_id()), head_seq: Seq(fields.head_seq()) })
    } else if let Some(fields) = table.push__as_presence() {
        Ok(Push::Presence { entries: flat::presence(fields.entries())? })
    } else if let Some(fields) = table.push__as_typing() {
        let (channel_id, user_id) = (ChannelId(fields.channel_id()), UserId(fields.user_id()));
        Ok(Push::Typing { channel_id, user_id, on: fields.on() })
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
