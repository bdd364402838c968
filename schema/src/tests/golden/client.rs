//! The client protocol's cases, in both encodings.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Golden, check_complete};
use crate::code::ErrorCode;
use crate::codec::{fb, json};
use crate::command::{
    ClientLimits, Command, Connect, Connected, ErrorReply, History, HistoryPage, HistoryWindow, Push, Reply, Request,
    Retry, Send, ServerFrame, SnapshotChannel,
};
use crate::event::{MemberChange, Role};
use crate::generated::rookery as table;
use crate::id::{ChannelId, ClientMsgId, Seq, SessionId, UserId};
use crate::message::{Message, MessageKind};
use crate::op::{ChannelKind, Refusal};
use crate::time::UnixMs;

/// 2026-01-01 and some.
const NOON: UnixMs = UnixMs(1_767_268_800_123);
const CURSOR: &str = "AAAAAAAAAAEAAAAAAAAAAgADAAQ";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.e30.signature";

pub(super) fn client_msg_id() -> ClientMsgId {
    ClientMsgId::new(NOON, 0x0123_4567_89ab_cdef_0123)
}

pub(super) fn message() -> Arc<Message> {
    Arc::new(Message {
        channel_id: ChannelId(180_143_985_094_819_840),
        seq: Seq(42),
        revision: 0,
        from: UserId(180_143_985_094_819_841),
        sent_ms: NOON,
        client_msg_id: client_msg_id(),
        kind: MessageKind::Text,
        body: "Grüße, \"crab\" 🦀\n".into(),
        reply_to: Some(Seq(41)),
        mentions: Arc::from([UserId(180_143_985_094_819_842), UserId(u64::MAX)]),
    })
}

fn plain_message() -> Arc<Message> {
    let mut message = Arc::unwrap_or_clone(message());
    (message.seq, message.body, message.reply_to, message.mentions) = (Seq(1), "".into(), None, Arc::from([]));
    Arc::new(message)
}

fn requests() -> Vec<(&'static str, Request)> {
    let message = message();
    let channel_id = message.channel_id;
    let history = |window, limit| Command::History(History { channel_id, window, limit });
    let send = Send {
        channel_id,
        client_msg_id: client_msg_id(),
        body: Arc::clone(&message.body),
        reply_to: message.reply_to,
        mentions: Arc::clone(&message.mentions),
        kind: MessageKind::Text,
    };
    let plain = Send { body: "hello".into(), reply_to: None, mentions: Arc::from([]), ..send.clone() };
    let connect =
        Connect { token: TOKEN.into(), device_id: "phone-1_A".parse().expect("legal"), cursor: None, client: None };
    let resume = Connect { cursor: Some(CURSOR.into()), client: Some("example 1.0".into()), ..connect.clone() };
    let commands = [
        ("connect", Command::Connect(connect)),
        ("connect-resume", Command::Connect(resume)),
        ("refresh", Command::Refresh { token: TOKEN.into() }),
        ("send", Command::Send(plain)),
        ("send-all-fields", Command::Send(send)),
        ("history-newest", history(HistoryWindow::Newest, 50)),
        ("history-before", history(HistoryWindow::Before(Seq(9)), 200)),
        ("history-after", history(HistoryWindow::After(Seq(0)), 1)),
        ("history-around", history(HistoryWindow::Around(Seq(1 << 40)), 10)),
        ("mark", Command::Mark { channel_id, read_seq: Seq(42) }),
        ("echo", Command::Echo { data: "ping".into() }),
    ];
    let ids = [1, 2, 7, u32::MAX];
    commands
        .into_iter()
        .zip(ids.into_iter().cycle())
        .map(|((name, command), id)| (name, Request { id, command }))
        .collect()
}

fn replies() -> Vec<(&'static str, Result<Reply, ErrorReply>)> {
    let connected = Connected {
        user_id: UserId(180_143_985_094_819_841),
        session_id: SessionId(0xdead_beef),
        server_time_ms: NOON,
        ping_ms: 25_000,
        limits: ClientLimits { body_chars_max: 100_000, frame_bytes_max: 2_097_152 },
        cursor: CURSOR.into(),
        retry: Retry { base_ms: 500, cap_ms: 20_000 },
    };
    let page =
        HistoryPage { messages: vec![plain_message(), message()], head_seq: Seq(42), first_seq: Seq(1), more: true };
    let empty = HistoryPage { messages: Vec::new(), head_seq: Seq::ZERO, first_seq: Seq(1), more: false };
    let limited = Refusal::new(ErrorCode::RateLimited, "more than 100 commands a second").after_ms(250);
    let denied = Refusal::new(ErrorCode::PermissionDenied, "only members may send");
    vec![
        ("connect", Ok(Reply::Connect(connected))),
        ("refresh", Ok(Reply::Refresh { expires_ms: NOON })),
        ("send", Ok(Reply::Send { seq: Seq(42), sent_ms: NOON, duplicate: false })),
        ("send-duplicate", Ok(Reply::Send { seq: Seq(42), sent_ms: NOON, duplicate: true })),
        ("history", Ok(Reply::History(page))),
        ("history-empty", Ok(Reply::History(empty))),
        ("mark", Ok(Reply::Mark { read_seq: Seq(42), unread: 3 })),
        ("echo", Ok(Reply::Echo { data: "ping".into() })),
        ("error", Err(denied.into())),
        ("error-temporary", Err(limited.into())),
    ]
}

pub(super) fn snapshot_channels() -> Vec<SnapshotChannel> {
    let channel = |channel_id, kind, head_seq, read_seq, unread| SnapshotChannel {
        channel_id: ChannelId(channel_id),
        kind,
        head_seq: Seq(head_seq),
        read_seq: Seq(read_seq),
        unread,
    };
    vec![channel(5, ChannelKind::Direct, 0, 0, 0), channel(u64::MAX, ChannelKind::Group, 42, 40, 2)]
}

fn pushes() -> Vec<(&'static str, Push)> {
    let (channel_id, user_id) = (message().channel_id, message().from);
    let cursor = || CURSOR.to_owned();
    let membership = |change, role| Push::Membership { channel_id, user_id, change, role, cursor: cursor() };
    let read = |cursor| Push::Read { channel_id, user_id, read_seq: Seq(42), cursor };
    let snapshot = |channels, more, cursor| Push::Snapshot { channels, more, cursor };
    let drain = |url: Option<&str>| Push::Drain { deadline_ms: NOON, jitter_ms: 5_000, url: url.map(str::to_owned) };
    vec![
        ("message", Push::Message { message: message(), cursor: cursor() }),
        ("message-plain", Push::Message { message: plain_message(), cursor: cursor() }),
        ("membership-created", membership(MemberChange::Created, Role::Owner)),
        ("membership-added", membership(MemberChange::Added, Role::Admin)),
        ("membership-removed", membership(MemberChange::Removed, Role::Member)),
        ("membership-left", membership(MemberChange::Left, Role::Member)),
        ("read-own", read(Some(cursor()))),
        ("read-other", read(None)),
        ("snapshot-first", snapshot(snapshot_channels(), true, None)),
        ("snapshot-last", snapshot(Vec::new(), false, Some(cursor()))),
        ("token-expiring", Push::TokenExpiring { expires_ms: NOON }),
        ("drain", drain(None)),
        ("drain-elsewhere", drain(Some("wss://b.example/connection/websocket"))),
    ]
}

#[test]
fn golden_requests() {
    let mut golden = Golden::new("requests");
    let mut seen = BTreeSet::new();
    for (name, request) in requests() {
        let mut line = Vec::new();
        json::put_request(&request, &mut line);
        assert_eq!(json::requests(&line).collect::<Vec<_>>(), [Ok(request.clone())], "{name}");
        let encode = |request: &Request| {
            let mut bytes = Vec::new();
            fb::put_request(request, &mut bytes);
            bytes
        };
        let decode = |bytes: &[u8]| fb::requests(bytes).next().expect("one request").expect("a legal one");
        golden.check(name, &request, std::str::from_utf8(&line).expect("JSON is UTF-8"), encode, decode);
        let bytes = encode(&request);
        seen.insert(flatbuffers::size_prefixed_root::<table::Request<'_>>(&bytes).expect("verified").command_type());
    }
    golden.finish();
    check_complete("commands", table::Command::ENUM_VALUES, &seen);
}

#[test]
fn golden_server_frames() {
    let mut golden = Golden::new("server-frames");
    let (mut replies_seen, mut pushes_seen) = (BTreeSet::new(), BTreeSet::new());
    let replies =
        replies().into_iter().map(|(name, reply)| (format!("reply-{name}"), ServerFrame::Reply { id: 7, reply }));
    let pushes = pushes().into_iter().map(|(name, push)| (format!("push-{name}"), ServerFrame::Push(push)));
    for (name, frame) in replies.chain(pushes) {
        let mut line = Vec::new();
        json::put_server_frame(&frame, &mut line);
        assert_eq!(json::server_frames(&line).as_deref(), Ok([frame.clone()].as_slice()), "{name}");
        let encode = |frame: &ServerFrame| {
            let mut bytes = Vec::new();
            fb::put_server_frame(frame, &mut bytes);
            bytes
        };
        let decode = |bytes: &[u8]| fb::server_frames(bytes).expect("legal").pop().expect("one frame");
        golden.check(&name, &frame, std::str::from_utf8(&line).expect("JSON is UTF-8"), encode, decode);
        let bytes = encode(&frame);
        let table = flatbuffers::size_prefixed_root::<table::ServerFrame<'_>>(&bytes).expect("verified");
        match frame {
            ServerFrame::Reply { reply: Ok(_), .. } => _ = replies_seen.insert(table.reply_type()),
            ServerFrame::Reply { reply: Err(_), .. } => assert!(table.error().is_some(), "{name}"),
            ServerFrame::Push(_) => _ = pushes_seen.insert(table.push_type()),
        }
    }
    golden.finish();
    check_complete("replies", table::Reply::ENUM_VALUES, &replies_seen);
    check_complete("pushes", table::Push::ENUM_VALUES, &pushes_seen);
}
