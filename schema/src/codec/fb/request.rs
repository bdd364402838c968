//! What clients ask, to and from a buffer.
//!
//! Owns the mapping of [`Request`]. A request whose command is not legal still says its id, if that can be read.

use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::{bad, verified};
use crate::code::ErrorCode;
use crate::codec::Unparsed;
use crate::command::{
    Command, Connect, Delete, Edit, History, HistoryWindow, Open, PresenceGet, React, Request, Search, Send, Typing,
};
use crate::enums::Numbered as _;
use crate::flat::{self, Builder, VERIFIER};
use crate::generated::rookery as fb;
use crate::id::{ChannelId, ClientMsgId, DeviceId, ParseIdError, Seq, UserId};
use crate::message::MessageKind;
use crate::time::UnixMs;

pub(super) fn read(buffer: &[u8]) -> Result<Request, Unparsed> {
    let table = verified::<fb::Request<'_>>(&VERIFIER, buffer).map_err(|why| {
        let id = verified::<fb::RequestId<'_>>(&VERIFIER, buffer).map_or(0, |head| head.id());
        bad(id, format!("not a request: {why}"))
    })?;
    let id = table.id();
    match command(table) {
        Some(Ok(command)) => Ok(Request { id, command }),
        Some(Err(why)) => Err(bad(id, why)),
        None if table.command_type() == fb::Command::NONE => Err(bad(id, "no command in the envelope")),
        None => {
            let number = table.command_type().0;
            Err(Unparsed::new(id, ErrorCode::UnknownCommand, format!("unknown command number {number}")))
        }
    }
}

/// The command, what is wrong with it, or none that this version knows.
fn command(table: fb::Request<'_>) -> Option<Result<Command, String>> {
    let command = if let Some(fields) = table.command_as_connect() {
        connect(fields)
    } else if let Some(fields) = table.command_as_refresh() {
        Ok(Command::Refresh { token: fields.token().to_owned() })
    } else if let Some(fields) = table.command_as_send() {
        send(fields)
    } else if let Some(fields) = table.command_as_history() {
        history(fields)
    } else if let Some(fields) = table.command_as_mark() {
        Ok(Command::Mark { channel_id: ChannelId(fields.channel_id()), read_seq: Seq(fields.read_seq()) })
    } else if let Some(fields) = table.command_as_echo() {
        Ok(Command::Echo { data: fields.data().to_owned() })
    } else if let Some(fields) = table.command_as_edit() {
        edit(fields)
    } else if let Some(fields) = table.command_as_delete() {
        delete(fields)
    } else if let Some(fields) = table.command_as_react() {
        react(fields)
    } else if let Some(fields) = table.command_as_typing() {
        Ok(Command::Typing(Typing { channel_id: ChannelId(fields.channel_id()), on: fields.on() }))
    } else if let Some(fields) = table.command_as_open() {
        let (channel_id, after_seq) = (ChannelId(fields.channel_id()), fields.after_seq().map(Seq));
        Ok(Command::Open(Open { channel_id, after_seq }))
    } else if let Some(fields) = table.command_as_close() {
        Ok(Command::Close { channel_id: ChannelId(fields.channel_id()) })
    } else if let Some(fields) = table.command_as_presence_get() {
        Ok(Command::PresenceGet(PresenceGet {
            user_ids: fields.user_ids().into_iter().flatten().map(UserId).collect(),
            channel_id: fields.channel_id().map(ChannelId),
            page: fields.page(),
        }))
    } else if let Some(fields) = table.command_as_presence_watch() {
        Ok(Command::PresenceWatch { user_ids: fields.user_ids().into_iter().flatten().map(UserId).collect() })
    } else if let Some(fields) = table.command_as_search() {
        Ok(Command::Search(Search {
            query: fields.query().to_owned(),
            channel_id: fields.channel_id().map(ChannelId),
            from: fields.from().map(UserId),
            before_ms: fields.before_ms().map(UnixMs),
            limit: fields.limit(),
        }))
    } else {
        return None;
    };
    Some(command)
}

fn connect(fields: fb::Connect<'_>) -> Result<Command, String> {
    Ok(Command::Connect(Connect {
        token: fields.token().to_owned(),
        device_id: fields.device_id().parse::<DeviceId>().map_err(|error: ParseIdError| format!("connect: {error}"))?,
        cursor: fields.cursor().map(str::to_owned),
        client: fields.client().map(str::to_owned),
    }))
}

fn send(fields: fb::Send<'_>) -> Result<Command, String> {
    Ok(Command::Send(Send {
        channel_id: ChannelId(fields.channel_id()),
        client_msg_id: name(fields.client_msg_id(), "send: client_msg_id")?,
        body: fields.body().into(),
        reply_to: fields.reply_to().map(Seq),
        mentions: flat::users(fields.mentions()),
        kind: MessageKind::known(fields.kind(), "send: kind").map_err(|illegal| illegal.to_string())?,
    }))
}

fn edit(fields: fb::Edit<'_>) -> Result<Command, String> {
    Ok(Command::Edit(Edit {
        channel_id: ChannelId(fields.channel_id()),
        seq: Seq(fields.seq()),
        op_id: name(fields.op_id(), "edit: op_id")?,
        base_revision: fields.base_revision(),
        body: fields.body().into(),
    }))
}

fn delete(fields: fb::Delete<'_>) -> Result<Command, String> {
    let (channel_id, seq) = (ChannelId(fields.channel_id()), Seq(fields.seq()));
    Ok(Command::Delete(Delete { channel_id, seq, op_id: name(fields.op_id(), "delete: op_id")? }))
}

fn react(fields: fb::React<'_>) -> Result<Command, String> {
    Ok(Command::React(React {
        channel_id: ChannelId(fields.channel_id()),
        seq: Seq(fields.seq()),
        op_id: name(fields.op_id(), "react: op_id")?,
        emoji: fields.emoji().to_owned(),
        on: fields.on(),
    }))
}

/// A client's name for what it asks, which must be what JSON would take too.
fn name(bytes: &fb::Uuid, field: &str) -> Result<ClientMsgId, String> {
    let name = flat::uuid(bytes);
    if name.is_v7() { Ok(name) } else { Err(format!("{field}: expected a UUID of version 7")) }
}

fn history(fields: fb::History<'_>) -> Result<Command, String> {
    let [before, after, around] = [fields.before(), fields.after(), fields.around()].map(|seq| seq.map(Seq));
    let window = HistoryWindow::from_fields(before, after, around).map_err(|error| format!("history: {error}"))?;
    Ok(Command::History(History { channel_id: ChannelId(fields.channel_id()), window, limit: fields.limit() }))
}

pub(super) fn build<'b>(builder: &mut Builder, request: &Request) -> WIPOffset<fb::Request<'b>> {
    let (command_type, command) = build_command(builder, &request.command);
    fb::Request::create(builder, &fb::RequestArgs { id: request.id, command_type, command: Some(command) })
}

fn build_command(builder: &mut Builder, command: &Command) -> (fb::Command, WIPOffset<UnionWIPOffset>) {
    match command {
        Command::Connect(connect) => {
            let fields = fb::ConnectArgs {
                token: Some(builder.create_string(&connect.token)),
                device_id: Some(builder.create_string(connect.device_id.as_str())),
                cursor: connect.cursor.as_ref().map(|cursor| builder.create_string(cursor)),
                client: connect.client.as_ref().map(|client| builder.create_string(client)),
            };
            (fb::Command::connect, fb::Connect::create(builder, &fields).as_union_value())
        }
        Command::Refresh { token } => {
            let fields = fb::RefreshArgs { token: Some(builder.create_string(token)) };
            (fb::Command::refresh, fb::Refresh::create(builder, &fields).as_union_value())
        }
        Command::Send(send) => {
            let fields = fb::SendArgs {
                channel_id: send.channel_id.0,
                client_msg_id: Some(&fb::Uuid::new(&send.client_msg_id.0)),
                body: Some(builder.create_string(&send.body)),
                reply_to: send.reply_to.map(|seq| seq.0),
                mentions: flat::put_users(builder, &send.mentions),
                kind: send.kind.number(),
            };
            (fb::Command::send, fb::Send::create(builder, &fields).as_union_value())
        }
        Command::History(history) => {
            let (before, after, around) = history.window.to_fields();
            let [before, after, around] = [before, after, around].map(|seq| seq.map(|seq| seq.0));
            let fields =
                fb::HistoryArgs { channel_id: history.channel_id.0, before, after, around, limit: history.limit };
            (fb::Command::history, fb::History::create(builder, &fields).as_union_value())
        }
        Command::Mark { channel_id, read_seq } => {
            let fields = fb::MarkArgs { channel_id: channel_id.0, read_seq: read_seq.0 };
            (fb::Command::mark, fb::Mark::create(builder, &fields).as_union_value())
        }
        Command::Echo { data } => {
            let fields = fb::EchoArgs { data: Some(builder.create_string(data)) };
            (fb::Command::echo, fb::Echo::create(builder, &fields).as_union_value())
        }
        Command::Edit(edit) => {
            let fields = fb::EditArgs {
                channel_id: edit.channel_id.0,
                seq: edit.seq.0,
                op_id: Some(&fb::Uuid::new(&edit.op_id.0)),
                base_revision: edit.base_revision,
                body: Some(builder.create_string(&edit.body)),
            };
            (fb::Command::edit, fb::Edit::create(builder, &fields).as_union_value())
        }
        Command::Delete(delete) => {
            let op_id = fb::Uuid::new(&delete.op_id.0);
            let fields = fb::DeleteArgs { channel_id: delete.channel_id.0, seq: delete.seq.0, op_id: Some(&op_id) };
            (fb::Command::delete, fb::Delete::create(builder, &fields).as_union_value())
        }
        Command::React(react) => {
            let fields = fb::ReactArgs {
                channel_id: react.channel_id.0,
                seq: react.seq.0,
                op_id: Some(&fb::Uuid::new(&react.op_id.0)),
                emoji: Some(builder.create_string(&react.emoji)),
                on: react.on,
            };
            (fb::Command::react, fb::React::create(builder, &fields).as_union_value())
        }
        Command::Typing(Typing { channel_id, on }) => {
            let fields = fb::TypingArgs { channel_id: channel_id.0, on: *on };
            (fb::Command::typing, fb::Typing::create(builder, &fields).as_union_value())
        }
        Command::Open(Open { channel_id, after_seq }) => {
            let fields = fb::OpenArgs { channel_id: channel_id.0, after_seq: after_seq.map(|seq| seq.0) };
            (fb::Command::open, fb::Open::create(builder, &fields).as_union_value())
        }
        Command::Close { channel_id } => {
            let fields = fb::CloseArgs { channel_id: channel_id.0 };
            (fb::Command::close, fb::Close::create(builder, &fields).as_union_value())
        }
        Command::PresenceGet(get) => {
            let fields = fb::PresenceGetArgs {
                user_ids: flat::put_users(builder, &get.user_ids),
                channel_id: get.channel_id.map(|channel| channel.0),
                page: get.page,
            };
            (fb::Command::presence_get, fb::PresenceGet::create(builder, &fields).as_union_value())
        }
        Command::PresenceWatch { user_ids } => {
            let fields = fb::PresenceWatchArgs { user_ids: flat::put_users(builder, user_ids) };
            (fb::Command::presence_watch, fb::PresenceWatch::create(builder, &fields).as_union_value())
        }
        Command::Search(search) => {
            let fields = fb::SearchArgs {
                query: Some(builder.create_string(&search.query)),
                channel_id: search.channel_id.map(|channel| channel.0),
                from: search.from.map(|user| user.0),
                before_ms: search.before_ms.map(|at| at.0),
                limit: search.limit,
            };
            (fb::Command::search, fb::Search::create(builder, &fields).as_union_value())
        }
    }
}
