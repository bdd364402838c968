//! What clients ask, to and from a buffer.
//!
//! Owns the mapping of [`Request`]. A request whose command is not legal still says its id, if that can be read.

use flatbuffers::{UnionWIPOffset, WIPOffset};

use super::{bad, verified};
use crate::code::ErrorCode;
use crate::codec::Unparsed;
use crate::command::{Command, Connect, History, HistoryWindow, Request, Send};
use crate::enums::Numbered as _;
use crate::flat::{self, Builder};
use crate::generated::rookery as fb;
use crate::id::{ChannelId, DeviceId, ParseIdError, Seq};
use crate::message::MessageKind;

pub(super) fn read(buffer: &[u8]) -> Result<Request, Unparsed> {
    let table = verified::<fb::Request<'_>>(buffer).map_err(|why| {
        let id = verified::<fb::RequestId<'_>>(buffer).map_or(0, |head| head.id());
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
    let client_msg_id = flat::uuid(fields.client_msg_id());
    if !client_msg_id.is_v7() {
        return Err("send: expected a UUID of version 7 as client_msg_id".to_owned());
    }
    Ok(Command::Send(Send {
        channel_id: ChannelId(fields.channel_id()),
        client_msg_id,
        body: fields.body().into(),
        reply_to: fields.reply_to().map(Seq),
        mentions: flat::users(fields.mentions()),
        kind: MessageKind::known(fields.kind(), "send: kind").map_err(|illegal| illegal.to_string())?,
    }))
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
    }
}
