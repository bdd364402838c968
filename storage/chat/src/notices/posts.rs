//! Notices of what others do with a user's posts: likes, replies, mentions.
//!
//! Owns their categories, their words and their digest. What happens to one post within a window is one notice, which
//! each further like or reply writes again until the window ends; then it is planned like an application's. So a post
//! that many like is told once a minute at first and once an hour at last, each time in the place of the time before.

use schema::record::NoticeRecord;
use schema::{ChannelId, NoticeId, Seq, UnixMs, UserId};

use crate::{keys, packed};

/// Characters of a text that are told.
const TEXT_CHARS_MAX: usize = 140;
/// How long a notice is of use once it is due.
const KEPT_MS: u64 = 24 * 3600 * 1000;

/// What others do with a user's posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A like of a post or of a reply.
    Like,
    /// A reply to a post.
    Reply,
    /// A mention in a post or in a reply.
    Mention,
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Like, Self::Reply, Self::Mention];

    /// The category by which users choose whether they are told.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Reply => "reply",
            Self::Mention => "mention",
        }
    }
}

/// What one user is to be told of one post.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digest<'a> {
    pub(crate) user: UserId,
    /// The message that was liked or replied to, or that mentions.
    pub(crate) post: (ChannelId, Seq),
    pub(crate) act: Act,
    /// The name of who did it last.
    pub(crate) by: &'a str,
    /// How many have done it; 1 for a mention.
    pub(crate) count: u32,
    /// The text of the post, or of the reply.
    pub(crate) text: &'a str,
}

/// A row to be written, its key and its value.
type Written = (Vec<u8>, Vec<u8>);

impl Digest<'_> {
    /// A count of each length of window.
    pub(crate) const COUNTS: [u32; 3] = [1, 10, 100];

    /// The rows of the notice: what it says, and that it is due.
    pub(crate) fn rows(&self, now: UnixMs) -> [Written; 2] {
        let (id, due) = self.window(now);
        let record = self.record(now, due);
        [(keys::notice(id), record.encode()), (keys::notice_due(due, self.user, id), packed::MARK.to_vec())]
    }

    /// The key of what the notice says.
    pub(crate) fn key(&self, now: UnixMs) -> Vec<u8> {
        keys::notice(self.window(now).0)
    }

    /// The notice of the window that `now` is in, and the end of that window.
    fn window(&self, now: UnixMs) -> (NoticeId, UnixMs) {
        let window_ms = match self.count {
            0..10 => 60_000,
            10..100 => 600_000,
            _ => 3_600_000,
        };
        let (channel, seq) = self.post;
        // Windows of different posts end at different moments.
        let shift_ms = (self.user.0 ^ channel.0 ^ seq.0.rotate_left(32)) % window_ms;
        let due = UnixMs(((now.0 + shift_ms) / window_ms + 1) * window_ms - shift_ms);
        (NoticeId::of_post(self.user, channel, seq, self.act as u8, due), due)
    }

    fn record(&self, now: UnixMs, due: UnixMs) -> NoticeRecord {
        let (channel, seq) = self.post;
        let post_id = format!("{channel}-{}", seq.0);
        let by = match self.count {
            0 | 1 => self.by.to_owned(),
            2 => format!("{} and 1 other", self.by),
            count => format!("{} and {} others", self.by, count - 1),
        };
        let title = match (self.act, self.count) {
            (Act::Like, 0 | 1) => format!("{by} likes your post"),
            (Act::Like, _) => format!("{by} like your post"),
            (Act::Reply, _) => format!("{by} replied to your post"),
            (Act::Mention, _) => format!("{by} mentioned you"),
        };
        let kind = self.act.category();
        NoticeRecord {
            category: kind.to_owned(),
            title,
            body: excerpt(self.text),
            data: format!(r#"{{"kind":"{kind}","post_id":"{post_id}"}}"#),
            collapse: format!("{kind}:{post_id}"),
            created_ms: now,
            send_ms: due,
            expires_ms: KEPT_MS,
            recipients: 1,
            ..NoticeRecord::default()
        }
    }
}

/// The beginning of a text.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn digest(act: Act, count: u32, text: &str) -> Digest<'_> {
        Digest { user: UserId(7), post: (ChannelId(8), Seq(9)), act, by: "Ann", count, text }
    }

    #[test]
    fn a_notice_says_who_and_how_many() {
        let check = |act, count, title: &str| {
            let [(_, record), _] = digest(act, count, "Hello").rows(NOW);
            let record = NoticeRecord::decode(&record).expect("written just now");
            assert_eq!((record.title.as_str(), record.body.as_str()), (title, "Hello"), "{act:?} {count}");
            assert_eq!(record.category, act.category());
            assert!(record.data.contains("\"post_id\":\"8-9\""), "{}", record.data);
        };
        check(Act::Like, 1, "Ann likes your post");
        check(Act::Like, 2, "Ann and 1 other like your post");
        check(Act::Like, 3_000, "Ann and 2999 others like your post");
        check(Act::Reply, 1, "Ann replied to your post");
        check(Act::Reply, 4, "Ann and 3 others replied to your post");
        check(Act::Mention, 1, "Ann mentioned you");
        assert_eq!(excerpt(&"가".repeat(141)).chars().count(), 141, "140 and the sign that there is more");
    }

    #[test]
    fn what_happens_within_a_window_is_one_notice() {
        let id = |count, at: u64| digest(Act::Like, count, "").window(UnixMs(at));
        let (first, due) = id(1, NOW.0);
        let check = |count, at, same: bool| assert_eq!(id(count, at).0 == first, same, "{count} at {at}");
        check(9, due.0 - 1, true);
        check(9, due.0, false);
        check(10, due.0 - 1, false);
        for (count, window_ms) in [(1, 60_000), (10, 600_000), (1_000, 3_600_000)] {
            let (_, due) = id(count, NOW.0);
            assert!(due > NOW && due.0 <= NOW.0 + window_ms, "{count} ends at {due:?}");
        }
        let other = Digest { user: UserId(6), ..digest(Act::Like, 1, "") }.window(NOW);
        assert_ne!(other.0, first);
        assert_ne!(digest(Act::Reply, 1, "").window(NOW).0, first);
    }
}
