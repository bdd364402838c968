//! The client protocol's cases, in both encodings.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Golden, check_complete};
use crate::code::ErrorCode;
use crate::codec::{fb, json};
use crate::command::{
    ClientLimits, Command, Connect, Connected, Delete, Edit, ErrorReply, History, HistoryPage, HistoryWindow, Open,
    Opened, PresenceGet, Push, React, ReadMark, Reply, Request, Retry, Search, SearchHit, SearchPage, Send,
    ServerFrame, SnapshotChannel, Typing,
};
use crate::emoji::Emoji;
use crate::event::{MemberChange, Role};
use crate::generated::rookery as table;
use crate::id::{ChannelId, ClientMsgId, Seq, SessionId, UserId};
use crate::message::{Message, MessageKind, Tally, no_reactions};
use crate::op::{ChannelKind, Refusal};
use crate::place::MessagePlace;
use crate::presence::{PresenceEntry, PresenceState};
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
        edited_ms: None,
        deleted: false,
        reactions: no_reactions(),
    })
}

pub(super) fn heart() -> Emoji {
    "\u{2764}\u{fe0f}".parse().expect("an emoji")
}

/// The same after an edit and some reactions.
pub(super) fn edited_message() -> Arc<Message> {
    let tally = |emoji: &str, count, mine| Tally { emoji: emoji.parse().expect("an emoji"), count, mine };
    let mut message = Arc::unwrap_or_clone(message());
    message.revision = 1;
    message.edited_ms = Some(UnixMs(NOON.0 + 60_000));
    message.reactions = [tally(heart().as_str(), 3, true), tally("👍🏽", 1, false)].into();
    Arc::new(message)
}

pub(super) fn deleted_message() -> Arc<Message> {
    let mut message = Arc::unwrap_or_clone(plain_message());
    (message.revision, message.deleted) = (2, true);
    Arc::new(message)
}

pub(super) fn presence() -> Vec<PresenceEntry> {
    let entry = |user_id, state, last_active_ms| PresenceEntry { user_id: UserId(user_id), state, last_active_ms };
    vec![
        entry(2, PresenceState::Online, NOON),
        entry(u64::MAX, PresenceState::Away, NOON),
        PresenceEntry::unknown(UserId(3)),
    ]
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
    let commands = commands.into_iter().chain(later_commands(channel_id));
    let ids = [1, 2, 7, u32::MAX];
    commands.zip(ids.into_iter().cycle()).map(|((name, command), id)| (name, Request { id, command })).collect()
}

fn later_commands(channel_id: ChannelId) -> Vec<(&'static str, Command)> {
    let (seq, op_id) = (Seq(42), client_msg_id());
    let edit = Edit { channel_id, seq, op_id, base_revision: 1, body: "hello, 🦀".into() };
    let react = |emoji: &str, on| Command::React(React { channel_id, seq, op_id, emoji: emoji.into(), on });
    let users = vec![UserId(2), UserId(u64::MAX)];
    let of_users = PresenceGet { user_ids: users.clone(), channel_id: None, page: 0 };
    let of_members = PresenceGet { user_ids: Vec::new(), channel_id: Some(channel_id), page: 3 };
    let search =
        Search { query: "crab".into(), channel_id: None, from: None, before_ms: None, limit: 20, cursor: None };
    let next = Search { cursor: Some(MessagePlace { sent_ms: NOON, channel_id, seq }), ..search.clone() };
    let narrow = Search {
        query: "grüße \"crab\"".into(),
        channel_id: Some(channel_id),
        from: Some(UserId(2)),
        before_ms: Some(NOON),
        limit: 50,
        cursor: None,
    };
    vec![
        ("edit", Command::Edit(edit)),
        ("delete", Command::Delete(Delete { channel_id, seq, op_id })),
        ("react", react("\u{2764}\u{fe0f}", true)),
        ("react-off", react("👍🏽", false)),
        ("typing", Command::Typing(Typing { channel_id, on: true })),
        ("typing-off", Command::Typing(Typing { channel_id, on: false })),
        ("open", Command::Open(Open { channel_id, after_seq: None })),
        ("open-after", Command::Open(Open { channel_id, after_seq: Some(Seq(0)) })),
        ("close", Command::Close { channel_id }),
        ("presence-get-users", Command::PresenceGet(of_users)),
        ("presence-get-members", Command::PresenceGet(of_members)),
        ("presence-watch", Command::PresenceWatch { user_ids: users }),
        ("presence-watch-none", Command::PresenceWatch { user_ids: Vec::new() }),
        ("search", Command::Search(search)),
        ("search-all-fields", Command::Search(narrow)),
        ("search-next", Command::Search(next)),
    ]
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
    let reacted = HistoryPage { messages: vec![deleted_message(), edited_message()], more: false, ..page.clone() };
    let limited = Refusal::new(ErrorCode::RateLimited, "more than 100 commands a second").after_ms(250);
    let denied = Refusal::new(ErrorCode::PermissionDenied, "only members may send");
    let mut replies = vec![
        ("connect", Ok(Reply::Connect(connected))),
        ("refresh", Ok(Reply::Refresh { expires_ms: NOON })),
        ("send", Ok(Reply::Send { seq: Seq(42), sent_ms: NOON, duplicate: false })),
        ("send-duplicate", Ok(Reply::Send { seq: Seq(42), sent_ms: NOON, duplicate: true })),
        ("history", Ok(Reply::History(page))),
        ("history-empty", Ok(Reply::History(empty))),
        ("history-since", Ok(Reply::History(reacted))),
        ("mark", Ok(Reply::Mark { read_seq: Seq(42), unread: 3 })),
        ("echo", Ok(Reply::Echo { data: "ping".into() })),
        ("error", Err(denied.into())),
        ("error-temporary", Err(limited.into())),
    ];
    replies.extend(later_replies().into_iter().map(|(name, reply)| (name, Ok(reply))));
    replies
}

fn later_replies() -> Vec<(&'static str, Reply)> {
    let mark = |user_id, read_seq| ReadMark { user_id: UserId(user_id), read_seq: Seq(read_seq) };
    let opened = Opened { head_seq: Seq(42), read_seq: Seq(40), online: 2, reads: vec![mark(2, 40), mark(3, 0)] };
    let large = Opened { head_seq: Seq(1 << 40), read_seq: Seq(0), online: 5_000, reads: Vec::new() };
    let hit = SearchHit {
        channel_id: message().channel_id,
        seq: Seq(42),
        sent_ms: NOON,
        from: UserId(2),
        snippet: message().body.to_string(),
    };
    let cursor = MessagePlace { sent_ms: hit.sent_ms, channel_id: hit.channel_id, seq: hit.seq };
    vec![
        ("edit", Reply::Edit { revision: 1 }),
        ("delete", Reply::Delete { revision: 2 }),
        ("react", Reply::React { count: 3 }),
        ("typing", Reply::Typing {}),
        ("open", Reply::Open(opened)),
        ("open-large", Reply::Open(large)),
        ("close", Reply::Close {}),
        ("presence-get", Reply::PresenceGet { entries: presence() }),
        ("presence-get-none", Reply::PresenceGet { entries: Vec::new() }),
        ("presence-watch", Reply::PresenceWatch { entries: presence() }),
        ("search", Reply::Search(SearchPage { hits: vec![hit.clone()], more: true, cursor: None })),
        ("search-more", Reply::Search(SearchPage { hits: vec![hit], more: true, cursor: Some(cursor) })),
        ("search-none", Reply::Search(SearchPage { hits: Vec::new(), more: false, cursor: None })),
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
    let cursor = || Some(CURSOR.to_owned());
    let membership = |change, role| Push::Membership { channel_id, user_id, change, role, cursor: cursor() };
    let reaction =
        |count, on, cursor| Push::Reaction { channel_id, seq: Seq(42), emoji: heart(), count, user_id, on, cursor };
    let deleted = |cursor| Push::Deleted { channel_id, seq: Seq(42), revision: 2, cursor };
    let read = |cursor| Push::Read { channel_id, user_id, read_seq: Seq(42), cursor };
    let snapshot = |channels, more, cursor| Push::Snapshot { channels, more, cursor };
    let large = SnapshotChannel { kind: ChannelKind::Large, ..snapshot_channels()[1] };
    let drain = |url: Option<&str>| Push::Drain { deadline_ms: NOON, jitter_ms: 5_000, url: url.map(str::to_owned) };
    vec![
        ("message", Push::Message { message: message(), cursor: cursor() }),
        ("message-plain", Push::Message { message: plain_message(), cursor: cursor() }),
        ("message-feed", Push::Message { message: plain_message(), cursor: None }),
        ("message-since", Push::Message { message: edited_message(), cursor: cursor() }),
        ("message-deleted", Push::Message { message: deleted_message(), cursor: cursor() }),
        ("edited", Push::Edited { message: edited_message(), cursor: cursor() }),
        ("edited-feed", Push::Edited { message: edited_message(), cursor: None }),
        ("deleted", deleted(cursor())),
        ("deleted-feed", deleted(None)),
        ("reaction", reaction(3, true, cursor())),
        ("reaction-off-feed", reaction(0, false, None)),
        ("membership-created", membership(MemberChange::Created, Role::Owner)),
        ("membership-added", membership(MemberChange::Added, Role::Admin)),
        ("membership-removed", membership(MemberChange::Removed, Role::Member)),
        ("membership-left", membership(MemberChange::Left, Role::Member)),
        ("membership-role", membership(MemberChange::Role, Role::Admin)),
        ("membership-title", membership(MemberChange::Title, Role::Owner)),
        ("read-own", read(cursor())),
        ("read-other", read(None)),
        ("snapshot-first", snapshot(snapshot_channels(), true, None)),
        ("snapshot-last", snapshot(Vec::new(), false, cursor())),
        ("snapshot-large", snapshot(vec![large], true, None)),
        ("head", Push::Head { channel_id, head_seq: Seq(1 << 40) }),
        ("presence", Push::Presence { entries: presence() }),
        ("typing", Push::Typing { channel_id, user_id, on: true }),
        ("typing-off", Push::Typing { channel_id, user_id, on: false }),
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
