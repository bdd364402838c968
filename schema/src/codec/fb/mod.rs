//! FlatBuffers envelopes: buffers with a 4-byte little-endian size prefix, one or more in a binary frame.
//!
//! Owns the split of a frame into buffers and the envelopes' own fields. Every inbound buffer is verified before a
//! field of it is read. Text is copied once, to where it stays.

mod tables;

use flatbuffers::{Follow, Verifiable, VerifierOptions, WIPOffset};

use super::Unparsed;
use crate::code::ErrorCode;
use crate::command::{Command, ErrorReply, Push, Reply, Request, ServerFrame};
use crate::flat::{self, Builder, FlatTable as _, FlatUnion as _, Illegal, Take as _, VERIFIER};
use crate::generated::rookery as fb;
use crate::limits::{
    EMOJIS_OF_MESSAGE_MAX, HISTORY_ROWS_MAX, MEDIA_OF_MESSAGE_MAX, PRESENCE_USERS_MAX, SEARCH_HITS_MAX,
    SMALL_GROUP_MEMBERS_MAX, SNAPSHOT_CHANNELS_MAX, WATCHED_MAX,
};

/// Tables around the rows of a page: the envelope, the push or reply, and a few to grow.
const AROUND_TABLES: u32 = 8;
/// Tables of the largest page that a server says: one of history whose 200 messages have a tally of each of 32 emojis and
/// 10 media, 200 × (1 + 32 + 10) = 8,600.
const PAGE_TABLES_MAX: u32 = HISTORY_ROWS_MAX * (1 + EMOJIS_OF_MESSAGE_MAX + MEDIA_OF_MESSAGE_MAX);
const _: () = assert!(SNAPSHOT_CHANNELS_MAX <= PAGE_TABLES_MAX, "a snapshot verifies");
const _: () = assert!(WATCHED_MAX <= PAGE_TABLES_MAX, "everyone who is watched verifies");
const _: () = assert!(PRESENCE_USERS_MAX <= PAGE_TABLES_MAX, "a page of members' presence verifies");
const _: () = assert!(SMALL_GROUP_MEMBERS_MAX <= PAGE_TABLES_MAX, "the marks of an opened channel verify");
const _: () = assert!(SEARCH_HITS_MAX <= PAGE_TABLES_MAX, "a page of hits verifies");

/// What a server says, which clients alone read.
const SERVER_VERIFIER: VerifierOptions =
    VerifierOptions { max_tables: (PAGE_TABLES_MAX + AROUND_TABLES) as usize, ..VERIFIER };

/// The requests of a binary frame, in order.
///
/// Lazy: a frame of many tiny buffers costs what is taken of it. A buffer that goes beyond the end of the frame is the
/// last, since what follows it cannot be told.
pub fn requests(frame: &[u8]) -> impl Iterator<Item = Result<Request, Unparsed>> + '_ {
    Buffers { rest: frame }.map(|buffer| read_request(buffer?))
}

/// Appends a request as one buffer.
pub fn put_request(request: &Request, out: &mut Vec<u8>) {
    put(out, |builder| {
        let (command_type, command) = request.command.put_union(builder);
        let fields = fb::RequestArgs { id: request.id, command_type, command: Some(command) };
        fb::Request::create(builder, &fields)
    });
}

/// Appends what a server says as one buffer.
pub fn put_server_frame(frame: &ServerFrame, out: &mut Vec<u8>) {
    put(out, |builder| {
        let mut fields = fb::ServerFrameArgs::default();
        match frame {
            &ServerFrame::Reply { id, reply: Ok(ref reply) } => {
                let (reply_type, reply) = reply.put_union(builder);
                (fields.id, fields.reply_type, fields.reply) = (id, reply_type, Some(reply));
            }
            &ServerFrame::Reply { id, reply: Err(ref error) } => {
                (fields.id, fields.error) = (id, Some(error.put_table(builder)));
            }
            ServerFrame::Push(push) => {
                let (push_type, push) = push.put_union(builder);
                (fields.push_type, fields.push_) = (push_type, Some(push));
            }
        }
        fb::ServerFrame::create(builder, &fields)
    });
}

/// What a server said in one frame, in order.
///
/// # Errors
/// At the first buffer that is not of this protocol.
pub fn server_frames(frame: &[u8]) -> Result<Vec<ServerFrame>, Unparsed> {
    Buffers { rest: frame }.map(|buffer| read_server_frame(buffer?)).collect()
}

fn put<T>(out: &mut Vec<u8>, build: impl FnOnce(&mut Builder) -> WIPOffset<T>) {
    flat::with_builder(|builder| {
        let root = build(builder);
        builder.finish_size_prefixed(root, None);
        out.extend_from_slice(builder.finished_data());
    });
}

/// The buffers of a frame, each with its prefix.
struct Buffers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Buffers<'a> {
    type Item = Result<&'a [u8], Unparsed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let Some((prefix, content)) = rest.split_first_chunk() else {
            return Some(Err(bad(0, format!("a buffer's size takes 4 bytes, {} are left", rest.len()))));
        };
        let size = usize::try_from(u32::from_le_bytes(*prefix)).expect("at least 32 bits to a pointer");
        if size > content.len() {
            return Some(Err(bad(0, format!("a buffer of {size} bytes where {} are left", content.len()))));
        }
        let (buffer, after) = rest.split_at(prefix.len() + size);
        self.rest = after;
        Some(Ok(buffer))
    }
}

/// Reads a request. One whose command is not legal still says its id, if that can be read.
fn read_request(buffer: &[u8]) -> Result<Request, Unparsed> {
    let table = verified::<fb::Request<'_>>(&VERIFIER, buffer).map_err(|why| {
        let id = verified::<fb::RequestId<'_>>(&VERIFIER, buffer).map_or(0, |head| head.id());
        bad(id, format!("not a request: {why}"))
    })?;
    let id = table.id();
    match Command::take(table) {
        Ok(command) => Ok(Request { id, command }),
        Err(_) if table.command_type() == fb::Command::NONE => Err(bad(id, "no command in the envelope")),
        Err(unknown @ Illegal::Unknown { .. }) => {
            Err(Unparsed::new(id, ErrorCode::UnknownCommand, unknown.to_string()))
        }
        Err(illegal @ Illegal::Value { .. }) => Err(bad(id, illegal.to_string())),
    }
}

/// Reads what a server says.
fn read_server_frame(buffer: &[u8]) -> Result<ServerFrame, Unparsed> {
    let table = verified::<fb::ServerFrame<'_>>(&SERVER_VERIFIER, buffer)
        .map_err(|why| bad(0, format!("not a server frame: {why}")))?;
    let id = table.id();
    let has_reply = table.reply_type() != fb::Reply::NONE;
    let has_push = table.push_type() != fb::Push::NONE;
    let frame = match (has_reply, table.error(), has_push) {
        (true, None, false) => Reply::take(table).map(|reply| ServerFrame::Reply { id, reply: Ok(reply) }),
        (false, Some(error), false) => {
            ErrorReply::take(error).map(|error| ServerFrame::Reply { id, reply: Err(error) })
        }
        (false, None, true) => Push::take(table).map(ServerFrame::Push),
        (false, None, false) => return Err(bad(id, "an envelope without content")),
        (true, _, true) | (true, Some(_), false) | (false, Some(_), true) => {
            return Err(bad(id, "an envelope with more than one of reply, error and push"));
        }
    };
    frame.map_err(|illegal| bad(id, illegal.to_string()))
}

/// Verifies one buffer, prefix and all, as a table.
fn verified<'a, T: Follow<'a> + Verifiable + 'a>(
    limits: &VerifierOptions,
    buffer: &'a [u8],
) -> Result<T::Inner, String> {
    flatbuffers::size_prefixed_root_with_opts::<T>(limits, buffer).map_err(|error| flat::one_line(&error))
}

fn bad(id: u32, message: impl Into<String>) -> Unparsed {
    Unparsed::new(id, ErrorCode::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flatbuffers::UnionWIPOffset;

    use super::*;
    use crate::command::{
        Edit, HistoryPage, Opened, PresenceGet, ReadMark, SearchHit, SearchPage, Send, SnapshotChannel,
    };
    use crate::id::{ChannelId, ClientMsgId, MediaId, Seq, UserId};
    use crate::limits::{BODY_CHARS_MAX, HISTORY_BYTES_MAX, MENTIONS_MAX};
    use crate::media::{Attachment, MediaKind};
    use crate::message::{Message, MessageKind, Tally};
    use crate::op::ChannelKind;
    use crate::presence::{PresenceEntry, PresenceState};
    use crate::time::UnixMs;

    /// What a frame is taken for: `id command` or `id !code` for each buffer.
    fn check(frame: &[u8], expected: &str) {
        let seen: Vec<String> = requests(frame)
            .map(|request| match request {
                Ok(Request { id, command: Command::Echo { data } }) => format!("{id} echo {data}"),
                Ok(Request { id, command }) => format!("{id} {command:?}"),
                Err(unparsed) => format!("{} !{}", unparsed.id, u16::from(unparsed.refusal.code)),
            })
            .collect();
        assert_eq!(seen.join("; "), expected, "{frame:?}");
    }

    fn echo(id: u32, data: &str) -> Vec<u8> {
        let mut frame = Vec::new();
        put_request(&Request { id, command: Command::Echo { data: data.into() } }, &mut frame);
        frame
    }

    /// A request with id 4 whose command has this number and these fields.
    fn raw<T>(number: u8, fields: impl FnOnce(&mut Builder) -> WIPOffset<T>) -> Vec<u8> {
        let mut frame = Vec::new();
        put(&mut frame, |builder| {
            let command: WIPOffset<UnionWIPOffset> = fields(builder).as_union_value();
            let fields = fb::RequestArgs { id: 4, command_type: fb::Command(number), command: Some(command) };
            fb::Request::create(builder, &fields)
        });
        frame
    }

    fn send(client_msg_id: [u8; 16], kind: u8) -> Vec<u8> {
        raw(fb::Command::send.0, |builder| {
            let body = Some(builder.create_string("b"));
            let client_msg_id = fb::Uuid::new(&client_msg_id);
            let kind = fb::MessageKind(kind);
            fb::Send::create(
                builder,
                &fb::SendArgs { client_msg_id: Some(&client_msg_id), body, kind, ..Default::default() },
            )
        })
    }

    fn raw_delete(op_id: [u8; 16]) -> Vec<u8> {
        raw(fb::Command::delete.0, |builder| {
            let op_id = Some(&fb::Uuid::new(&op_id));
            fb::Delete::create(builder, &fb::DeleteArgs { op_id, ..Default::default() })
        })
    }

    #[test]
    fn a_frame_holds_one_or_more_buffers() {
        check(&[], "");
        check(&echo(1, "a"), "1 echo a");
        let mut empty = Vec::new();
        put(&mut empty, |builder| fb::Request::create(builder, &fb::RequestArgs { id: 4, ..Default::default() }));
        check(&empty, "4 !107");
        check(&[echo(1, "a"), echo(2, ""), echo(u32::MAX, "c")].concat(), "1 echo a; 2 echo ; 4294967295 echo c");
    }

    #[test]
    fn what_is_no_buffer_says_so_and_what_cannot_be_told_apart_ends_the_frame() {
        check(&[1, 0, 0], "0 !107");
        check(&[echo(1, "a"), vec![0]].concat(), "1 echo a; 0 !107");
        check(&[1, 0, 0, 0], "0 !107");
        check(&[[0xff; 4].as_slice(), &echo(1, "a")].concat(), "0 !107");
        check(&[vec![0; 4], echo(1, "a")].concat(), "0 !107; 1 echo a");
        check(&[vec![4, 0, 0, 0, 9, 9, 9, 9], echo(1, "a")].concat(), "0 !107; 1 echo a");
        let cut = echo(1, "a");
        check(&cut[..cut.len() - 1], "0 !107");
    }

    #[test]
    fn a_request_that_is_not_legal_says_its_id() {
        let mark = |builder: &mut Builder| fb::Mark::create(builder, &fb::MarkArgs { channel_id: 5, read_seq: 6 });
        check(&raw(fb::Command::mark.0, mark), "4 Mark { channel_id: ChannelId(5), read_seq: Seq(6) }");
        check(&raw(99, mark), "4 !104");
        check(&raw(0, mark), "4 !107");
        // Fields of another command: the token that a refresh must have is not there.
        check(&raw(fb::Command::refresh.0, mark), "4 !107");
        check(
            &raw(fb::Command::history.0, |builder| {
                let fields = fb::HistoryArgs { before: Some(1), after: Some(2), ..Default::default() };
                fb::History::create(builder, &fields)
            }),
            "4 !107",
        );
    }

    #[test]
    fn a_value_that_json_would_refuse_is_refused() {
        let v7 = *b"\x01\x9b\x76\xda\xa8\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x00";
        let mut v4 = v7;
        v4[6] = 0x40;
        let legal: Vec<_> = requests(&send(v7, 0)).collect();
        assert!(matches!(legal.as_slice(), [Ok(Request { id: 4, command: Command::Send(_) })]), "{legal:?}");
        check(&send(v4, 0), "4 !107");
        check(
            &raw_delete(v7),
            "4 Delete(Delete { channel_id: ChannelId(0), seq: Seq(0), op_id: 019b76da-a800-7000-8000-000000000000 })",
        );
        check(&raw_delete(v4), "4 !107");
        check(&send(v7, 2), "4 !107");
        check(
            &raw(fb::Command::connect.0, |builder| {
                let (token, device_id) = (Some(builder.create_string("t")), Some(builder.create_string("a b")));
                fb::Connect::create(builder, &fb::ConnectArgs { token, device_id, ..Default::default() })
            }),
            "4 !107",
        );
    }

    /// Whether clients take a frame.
    fn check_server_frame(frame: ServerFrame, legal: bool) {
        let mut bytes = Vec::new();
        put_server_frame(&frame, &mut bytes);
        let said = server_frames(&bytes);
        assert_eq!(said.as_ref().is_ok_and(|said| *said == [frame]), legal, "{:?}", said.err());
    }

    fn reply(reply: Reply) -> ServerFrame {
        ServerFrame::Reply { id: 1, reply: Ok(reply) }
    }

    /// A page of messages of `emojis` reactions each, all of the longest emoji, and of so many media.
    fn history(messages: u32, emojis: u32, media: u32) -> ServerFrame {
        let longest = "🧑🏻\u{200d}\u{2764}\u{fe0f}\u{200d}💋\u{200d}🧑🏼";
        let tally = Tally { emoji: longest.parse().expect("an emoji"), count: u32::MAX, mine: true };
        let attachment = Attachment {
            media_id: MediaId(1),
            kind: MediaKind::Image,
            content_type: "image/jpeg".into(),
            name: "a.jpg".into(),
            bytes: 1,
            width: 1,
            height: 1,
            blurhash: "LEHV6nWB2yk8pyo0adR*.7kCMdnj".into(),
            poster: Some(MediaId(2)),
        };
        let media = vec![attachment; media as usize];
        let message = Message {
            channel_id: ChannelId(1),
            seq: Seq(1),
            revision: 1,
            from: UserId(1),
            sent_ms: UnixMs(1),
            client_msg_id: ClientMsgId::new(UnixMs(1), 0),
            kind: MessageKind::Text.with(&media),
            body: "b".repeat((HISTORY_BYTES_MAX / HISTORY_ROWS_MAX) as usize).into(),
            reply_to: Some(Seq(1)),
            mentions: vec![UserId(1); MENTIONS_MAX as usize].into(),
            edited_ms: Some(UnixMs(1)),
            deleted: false,
            reactions: vec![tally; emojis as usize].into(),
            media,
        };
        let message = Arc::new(message);
        let messages = vec![message; messages as usize];
        reply(Reply::History(HistoryPage { messages, head_seq: Seq(1), first_seq: Seq(1), more: false }))
    }

    #[test]
    fn the_largest_page_of_history_verifies_and_no_larger_one() {
        check_server_frame(history(HISTORY_ROWS_MAX, 0, 0), true);
        check_server_frame(history(HISTORY_ROWS_MAX, EMOJIS_OF_MESSAGE_MAX, 0), true);
        check_server_frame(history(HISTORY_ROWS_MAX, EMOJIS_OF_MESSAGE_MAX, MEDIA_OF_MESSAGE_MAX), true);
        check_server_frame(history(HISTORY_ROWS_MAX + 1, EMOJIS_OF_MESSAGE_MAX, MEDIA_OF_MESSAGE_MAX), false);
    }

    #[test]
    fn the_largest_page_of_anything_else_verifies_and_no_number_of_rows_does() {
        type Rows = fn(usize) -> ServerFrame;
        let snapshot: Rows = |rows| {
            let (channel_id, zero) = (ChannelId(1), Seq::ZERO);
            let channel =
                SnapshotChannel { channel_id, kind: ChannelKind::Large, head_seq: zero, read_seq: zero, unread: 0 };
            ServerFrame::Push(Push::Snapshot { channels: vec![channel; rows], more: true, cursor: None })
        };
        const ONE: PresenceEntry =
            PresenceEntry { user_id: UserId(1), state: PresenceState::Online, last_active_ms: UnixMs(1) };
        let get: Rows = |rows| reply(Reply::PresenceGet { entries: vec![ONE; rows] });
        let watch: Rows = |rows| reply(Reply::PresenceWatch { entries: vec![ONE; rows] });
        let changes: Rows = |rows| ServerFrame::Push(Push::Presence { entries: vec![ONE; rows] });
        let opened: Rows = |rows| {
            let mark = ReadMark { user_id: UserId(1), read_seq: Seq(1) };
            reply(Reply::Open(Opened { head_seq: Seq(1), read_seq: Seq(1), online: 1, reads: vec![mark; rows] }))
        };
        let found: Rows = |rows| {
            let (channel_id, snippet) = (ChannelId(1), "b".repeat(200));
            let hit = SearchHit { channel_id, seq: Seq(1), sent_ms: UnixMs(1), from: UserId(1), snippet };
            reply(Reply::Search(SearchPage { hits: vec![hit; rows], more: true, cursor: None }))
        };
        let pages: [(Rows, u32); 6] = [
            (snapshot, SNAPSHOT_CHANNELS_MAX),
            (get, PRESENCE_USERS_MAX),
            (watch, WATCHED_MAX),
            (changes, WATCHED_MAX),
            (opened, SMALL_GROUP_MEMBERS_MAX),
            (found, SEARCH_HITS_MAX),
        ];
        for (page, rows_max) in pages {
            check_server_frame(page(rows_max as usize), true);
            check_server_frame(page(SERVER_VERIFIER.max_tables), false);
        }
    }

    #[test]
    fn the_largest_requests_verify() {
        let check = |command: Command| {
            let request = Request { id: 1, command };
            let mut frame = Vec::new();
            put_request(&request, &mut frame);
            assert_eq!(requests(&frame).collect::<Vec<_>>(), [Ok(request)]);
        };
        let (channel_id, id) = (ChannelId(1), ClientMsgId::new(UnixMs(1), 0));
        let body: Arc<str> = "🦀".repeat(BODY_CHARS_MAX as usize).into();
        let mentions: Arc<[UserId]> = vec![UserId(1); MENTIONS_MAX as usize].into();
        let send = Send {
            channel_id,
            client_msg_id: id,
            body: Arc::clone(&body),
            reply_to: None,
            mentions,
            kind: MessageKind::Media,
            media: vec![MediaId(1); MEDIA_OF_MESSAGE_MAX as usize],
        };
        check(Command::Send(send));
        check(Command::Edit(Edit { channel_id, seq: Seq(1), op_id: id, base_revision: 0, body }));
        check(Command::PresenceWatch { user_ids: vec![UserId(1); WATCHED_MAX as usize] });
        let user_ids = vec![UserId(1); PRESENCE_USERS_MAX as usize];
        check(Command::PresenceGet(PresenceGet { user_ids, channel_id: None, page: 0 }));
    }

    #[test]
    fn a_client_is_told_what_it_cannot_read() {
        fn echoed(builder: &mut Builder) -> WIPOffset<UnionWIPOffset> {
            let data = Some(builder.create_string("a"));
            fb::Echoed::create(builder, &fb::EchoedArgs { data }).as_union_value()
        }
        let check = |build: fn(&mut Builder) -> fb::ServerFrameArgs<'static>, expected: &str| {
            let mut bytes = Vec::new();
            put(&mut bytes, |builder| {
                let fields = build(builder);
                fb::ServerFrame::create(builder, &fields)
            });
            let unparsed = server_frames(&bytes).expect_err(expected);
            assert_eq!(format!("{} {}", unparsed.id, unparsed.refusal.message), expected);
        };
        check(|_| fb::ServerFrameArgs { id: 3, ..Default::default() }, "3 an envelope without content");
        check(
            |builder| fb::ServerFrameArgs {
                id: 3,
                reply_type: fb::Reply(99),
                reply: Some(echoed(builder)),
                ..Default::default()
            },
            "3 Reply number 99 is not known to this version",
        );
        check(
            |builder| fb::ServerFrameArgs {
                push_type: fb::Push(99),
                push_: Some(echoed(builder)),
                ..Default::default()
            },
            "0 Push number 99 is not known to this version",
        );
        check(
            |builder| fb::ServerFrameArgs {
                id: 3,
                reply_type: fb::Reply::echo,
                reply: Some(echoed(builder)),
                push_type: fb::Push(99),
                push_: Some(echoed(builder)),
                ..Default::default()
            },
            "3 an envelope with more than one of reply, error and push",
        );
    }
}
