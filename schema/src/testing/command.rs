//! What clients say and hear, any of it.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    channel_ids, client_msg_ids, device_ids, member_changes, mentions, messages, numbers, roles, seqs, session_ids,
    shared_texts, snapshot_channels, texts, user_ids, wall_times,
};
use crate::command::{
    ClientLimits, Command, Connect, Connected, ErrorReply, History, HistoryPage, HistoryWindow, Push, Reply, Request,
    Retry, Send, ServerFrame,
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
    ]
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
    ]
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
        (messages(), texts()).prop_map(|(message, cursor)| Push::Message { message, cursor }),
        (channel_ids(), user_ids(), member_changes(), roles(), texts()).prop_map(
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
    ]
}
