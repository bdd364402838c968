//! What clients say and hear, any of it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    channel_ids, client_msg_ids, device_ids, emojis, member_changes, mentions, message_places, messages, numbers,
    presence_entries, roles, seqs, session_ids, shared_texts, snapshot_channels, texts, user_ids, wall_times,
};
use crate::command::{
    ClientLimits, Command, Connect, Connected, Delete, Edit, ErrorReply, History, HistoryPage, HistoryWindow, Open,
    Opened, PresenceGet, Push, React, ReadMark, Reply, Request, Retry, Search, SearchHit, SearchPage, Send,
    ServerFrame, Typing,
};
use crate::message::MessageKind;

/// Requests with any command.
pub fn requests() -> impl Strategy<Value = Request> {
    (any::<u32>(), commands()).prop_map(|(id, command)| Request { id, command })
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        (texts(), device_ids(), option::of(texts()), option::of(texts())).prop_map(
            |(token, device_id, cursor, client)| Command::Connect(Connect { token, device_id, cursor, client })
        ),
        texts().prop_map(|token| Command::Refresh { token }),
        (channel_ids(), client_msg_ids(), shared_texts(), option::of(seqs()), mentions()).prop_map(
            |(channel_id, client_msg_id, body, reply_to, mentions)| {
                Command::Send(Send { channel_id, client_msg_id, body, reply_to, mentions, kind: MessageKind::Text })
            }
        ),
        (channel_ids(), windows(), any::<u32>())
            .prop_map(|(channel_id, window, limit)| { Command::History(History { channel_id, window, limit }) }),
        (channel_ids(), seqs()).prop_map(|(channel_id, read_seq)| Command::Mark { channel_id, read_seq }),
        texts().prop_map(|data| Command::Echo { data }),
        (channel_ids(), seqs(), client_msg_ids(), any::<u32>(), shared_texts()).prop_map(
            |(channel_id, seq, op_id, base_revision, body)| {
                Command::Edit(Edit { channel_id, seq, op_id, base_revision, body })
            }
        ),
        (channel_ids(), seqs(), client_msg_ids()).prop_map(|(channel_id, seq, op_id)| Command::Delete(Delete {
            channel_id,
            seq,
            op_id
        })),
        (channel_ids(), seqs(), client_msg_ids(), said_emojis(), any::<bool>()).prop_map(
            |(channel_id, seq, op_id, emoji, on)| Command::React(React { channel_id, seq, op_id, emoji, on })
        ),
        (channel_ids(), any::<bool>()).prop_map(|(channel_id, on)| Command::Typing(Typing { channel_id, on })),
        (channel_ids(), option::of(seqs()))
            .prop_map(|(channel_id, after_seq)| Command::Open(Open { channel_id, after_seq })),
        channel_ids().prop_map(|channel_id| Command::Close { channel_id }),
        (vec(user_ids(), 0..4), option::of(channel_ids()), any::<u32>()).prop_map(|(user_ids, channel_id, page)| {
            Command::PresenceGet(PresenceGet { user_ids, channel_id, page })
        }),
        vec(user_ids(), 0..4).prop_map(|user_ids| Command::PresenceWatch { user_ids }),
        searches().prop_map(Command::Search),
    ]
}

/// What a client says is an emoji, which a session judges.
fn said_emojis() -> impl Strategy<Value = String> {
    prop_oneof![emojis().prop_map(String::from), texts()]
}

fn searches() -> impl Strategy<Value = Search> {
    let within = (option::of(channel_ids()), option::of(user_ids()), option::of(wall_times()));
    (texts(), within, any::<u32>(), option::of(message_places())).prop_map(
        |(query, (channel_id, from, before_ms), limit, cursor)| Search {
            query,
            channel_id,
            from,
            before_ms,
            limit,
            cursor,
        },
    )
}

fn windows() -> impl Strategy<Value = HistoryWindow> {
    prop_oneof![
        Just(HistoryWindow::Newest),
        seqs().prop_map(HistoryWindow::Before),
        seqs().prop_map(HistoryWindow::After),
        seqs().prop_map(HistoryWindow::Around),
    ]
}

/// Replies, errors and pushes.
pub fn server_frames() -> impl Strategy<Value = ServerFrame> {
    prop_oneof![
        (any::<u32>(), replies()).prop_map(|(id, reply)| ServerFrame::Reply { id, reply: Ok(reply) }),
        (any::<u32>(), errors()).prop_map(|(id, error)| ServerFrame::Reply { id, reply: Err(error) }),
        pushes().prop_map(ServerFrame::Push),
    ]
}

/// Answers to commands that were carried out.
pub fn replies() -> impl Strategy<Value = Reply> {
    prop_oneof![
        connected().prop_map(Reply::Connect),
        wall_times().prop_map(|expires_ms| Reply::Refresh { expires_ms }),
        (seqs(), wall_times(), any::<bool>()).prop_map(|(seq, sent_ms, duplicate)| Reply::Send {
            seq,
            sent_ms,
            duplicate
        }),
        (vec(messages(), 0..4), seqs(), seqs(), any::<bool>()).prop_map(|(messages, head_seq, first_seq, more)| {
            Reply::History(HistoryPage { messages, head_seq, first_seq, more })
        }),
        (seqs(), numbers()).prop_map(|(read_seq, unread)| Reply::Mark { read_seq, unread }),
        texts().prop_map(|data| Reply::Echo { data }),
        any::<u32>().prop_map(|revision| Reply::Edit { revision }),
        any::<u32>().prop_map(|revision| Reply::Delete { revision }),
        any::<u32>().prop_map(|count| Reply::React { count }),
        Just(Reply::Typing {}),
        (seqs(), seqs(), any::<u32>(), vec(read_marks(), 0..4)).prop_map(|(head_seq, read_seq, online, reads)| {
            Reply::Open(Opened { head_seq, read_seq, online, reads })
        }),
        Just(Reply::Close {}),
        vec(presence_entries(), 0..4).prop_map(|entries| Reply::PresenceGet { entries }),
        vec(presence_entries(), 0..4).prop_map(|entries| Reply::PresenceWatch { entries }),
        (vec(search_hits(), 0..4), any::<bool>(), option::of(message_places()))
            .prop_map(|(hits, more, cursor)| Reply::Search(SearchPage { hits, more, cursor })),
    ]
}

fn read_marks() -> impl Strategy<Value = ReadMark> {
    (user_ids(), seqs()).prop_map(|(user_id, read_seq)| ReadMark { user_id, read_seq })
}

fn search_hits() -> impl Strategy<Value = SearchHit> {
    (channel_ids(), seqs(), wall_times(), user_ids(), texts())
        .prop_map(|(channel_id, seq, sent_ms, from, snippet)| SearchHit { channel_id, seq, sent_ms, from, snippet })
}

fn connected() -> impl Strategy<Value = Connected> {
    let whose = (user_ids(), session_ids(), wall_times(), numbers(), texts());
    (whose, any::<[u32; 4]>()).prop_map(|(whose, numbers)| {
        let (user_id, session_id, server_time_ms, ping_ms, cursor) = whose;
        let [body_chars_max, frame_bytes_max, base_ms, cap_ms] = numbers;
        let limits = ClientLimits { body_chars_max, frame_bytes_max };
        Connected { user_id, session_id, server_time_ms, ping_ms, limits, cursor, retry: Retry { base_ms, cap_ms } }
    })
}

fn errors() -> impl Strategy<Value = ErrorReply> {
    (any::<u16>(), texts(), any::<bool>(), any::<u32>())
        .prop_map(|(code, message, temporary, retry_after_ms)| ErrorReply { code, message, temporary, retry_after_ms })
}

/// Pushes of every kind.
pub fn pushes() -> impl Strategy<Value = Push> {
    prop_oneof![
        (messages(), option::of(texts())).prop_map(|(message, cursor)| Push::Message { message, cursor }),
        (channel_ids(), user_ids(), member_changes(), roles(), option::of(texts())).prop_map(
            |(channel_id, user_id, change, role, cursor)| Push::Membership {
                channel_id,
                user_id,
                change,
                role,
                cursor
            }
        ),
        (channel_ids(), user_ids(), seqs(), option::of(texts()))
            .prop_map(|(channel_id, user_id, read_seq, cursor)| Push::Read { channel_id, user_id, read_seq, cursor }),
        (vec(snapshot_channels(), 0..4), any::<bool>(), option::of(texts()))
            .prop_map(|(channels, more, cursor)| Push::Snapshot { channels, more, cursor }),
        wall_times().prop_map(|expires_ms| Push::TokenExpiring { expires_ms }),
        (wall_times(), any::<u32>(), option::of(texts())).prop_map(|(deadline_ms, jitter_ms, url)| Push::Drain {
            deadline_ms,
            jitter_ms,
            url
        }),
        (messages(), option::of(texts())).prop_map(|(message, cursor)| Push::Edited { message, cursor }),
        (channel_ids(), seqs(), any::<u32>(), option::of(texts()))
            .prop_map(|(channel_id, seq, revision, cursor)| Push::Deleted { channel_id, seq, revision, cursor }),
        reaction_pushes(),
        (channel_ids(), seqs()).prop_map(|(channel_id, head_seq)| Push::Head { channel_id, head_seq }),
        vec(presence_entries(), 0..4).prop_map(|entries| Push::Presence { entries }),
        (channel_ids(), user_ids(), any::<bool>()).prop_map(|(channel_id, user_id, on)| Push::Typing {
            channel_id,
            user_id,
            on
        }),
    ]
}

fn reaction_pushes() -> impl Strategy<Value = Push> {
    let what = (channel_ids(), seqs(), emojis(), any::<u32>());
    (what, user_ids(), any::<bool>(), option::of(texts())).prop_map(|(what, user_id, on, cursor)| {
        let (channel_id, seq, emoji, count) = what;
        Push::Reaction { channel_id, seq, emoji, count, user_id, on, cursor }
    })
}
