//! Tables of what clients say and hear.
//!
//! Owns the mapping between the values of `command` and `rookery.fbs`, in both directions.

use super::fb;
use crate::command::{
    ClientLimits, Command, Connect, Connected, Delete, Edit, ErrorReply, History, HistoryPage, HistoryWindow, Open,
    Opened, PresenceGet, Push, React, ReadMark, Reply, Retry, Search, SearchHit, SearchPage, Send, Typing,
};
use crate::flat::{self, Builder, Illegal, Take, flat_tables, flat_unions};
use crate::id::Seq;

flat_unions! {
    Command as Command in Request.command by command_type {
        Connect(connect),
        Refresh { token } as Refresh,
        Send(send),
        History(history),
        Mark { channel_id, read_seq } as Mark,
        Echo { data } as Echo,
        Edit(edit),
        Delete(delete),
        React(react),
        Typing(typing),
        Open(open),
        Close { channel_id } as Close,
        PresenceGet(get),
        PresenceWatch { user_ids } as PresenceWatch,
        Search(search),
    }
    Reply as Reply in ServerFrame.reply by reply_type {
        Connect(connected),
        Refresh { expires_ms } as Refreshed,
        Send { seq, sent_ms, duplicate } as Sent,
        History(page),
        Mark { read_seq, unread } as Marked,
        Echo { data } as Echoed,
        Edit { revision } as Edited,
        Delete { revision } as Deleted,
        React { count } as Reacted,
        Typing {} as Told,
        Open(opened),
        Close {} as Closed,
        PresenceGet { entries } as PresencePage,
        PresenceWatch { entries } as PresencePage,
        Search(page),
    }
    Push as Push in ServerFrame.push_ by push_type {
        Message { message, cursor } as MessagePush,
        Membership { channel_id, user_id, change, role, cursor } as MembershipPush,
        Read { channel_id, user_id, read_seq, cursor } as ReadPush,
        Snapshot { channels, more, cursor } as SnapshotPush,
        TokenExpiring { expires_ms } as TokenExpiringPush,
        Drain { deadline_ms, jitter_ms, url } as DrainPush,
        Edited { message, cursor } as EditedPush,
        Deleted { channel_id, seq, revision, cursor } as DeletedPush,
        Reaction { channel_id, seq, emoji, count, user_id, on, cursor } as ReactionPush,
        Head { channel_id, head_seq } as HeadPush,
        Presence { entries } as PresencePush,
        Typing { channel_id, user_id, on } as TypingPush,
        Published { channel_id, event, data } as PublishedPush,
        FeedHead { count } as FeedHeadPush,
    }
}

flat_tables! {
    Connect as Connect { token, device_id, cursor, client }
    Send as Send { channel_id, client_msg_id, body, reply_to, mentions, kind, media }
    History as History { channel_id, window as (before, after, around), limit }
    Edit as Edit { channel_id, seq, op_id, base_revision, body }
    Delete as Delete { channel_id, seq, op_id }
    React as React { channel_id, seq, op_id, emoji, on }
    Typing as Typing { channel_id, on }
    Open as Open { channel_id, after_seq }
    PresenceGet as PresenceGet { user_ids, channel_id, page }
    Search as Search { query, channel_id, from, before_ms, limit, cursor }
    Connected as Connected { user_id, session_id, server_time_ms, ping_ms, limits, cursor, retry }
    ClientLimits as ClientLimits { body_chars_max, frame_bytes_max }
    Retry as Retry { base_ms, cap_ms }
    HistoryPage as HistoryPage { messages, head_seq, first_seq, more }
    Opened as Opened { head_seq, read_seq, online, reads }
    ReadMark as ReadMark omitted if empty { user_id, read_seq }
    SearchPage as SearchPage { hits, more, cursor }
    SearchHit as SearchHit { channel_id, seq, sent_ms, from, snippet }
    ErrorReply as Error { code, message, temporary, retry_after_ms }
}

/// Three optional fields of which one at most is there.
type Window = (Option<u64>, Option<u64>, Option<u64>);

impl flat::Put for HistoryWindow {
    type Stored = Window;

    fn put(&self, _: &mut Builder) -> Window {
        let (before, after, around) = self.to_fields();
        (before.map(|seq| seq.0), after.map(|seq| seq.0), around.map(|seq| seq.0))
    }
}

impl Take<Window> for HistoryWindow {
    fn take((before, after, around): Window) -> Result<Self, Illegal> {
        let window = Self::from_fields(before.map(Seq), after.map(Seq), around.map(Seq));
        window.map_err(|error| Illegal::new(error.to_string()))
    }
}
