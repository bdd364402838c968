//! The device that is dropped and resumed: when it is, and whether what it was pushed is its channel's history.

use std::collections::BTreeMap;

use schema::Seq;
use schema::command::HistoryPage;

use super::channel::fingerprint;

/// The connection that is dropped.
pub(super) const CONNECTION: usize = 0;

/// How far the comparison with the history has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// There are drops and messages to come.
    NotYet,
    /// The page after this seq is to be asked for.
    Ask {
        after: Seq,
    },
    /// It is under way, as this request.
    Asked {
        request: u32,
    },
    Done,
}

/// The device of [`CONNECTION`].
#[derive(Debug)]
pub(super) struct Device {
    /// Drops that were asked for, made, and followed by a resumption.
    pub(super) resumes: u32,
    pub(super) dropped: u32,
    pub(super) resumed: u32,
    /// When the next drop is due, and how long after the one before.
    next_ns: u64,
    interval_ns: u64,
    pub(super) comparison: Comparison,
    /// What it was pushed and the history has not shown yet. A run's messages of one channel, 16 bytes each.
    pushed: BTreeMap<Seq, u64>,
    pub(super) compared: u64,
}

impl Device {
    /// Drops begin at `start_ns` and are spread over `length_ns`.
    pub(super) fn new(resumes: u32, start_ns: u64, length_ns: u64) -> Self {
        Self {
            resumes,
            dropped: 0,
            resumed: 0,
            next_ns: start_ns,
            interval_ns: length_ns / u64::from(resumes.max(1)),
            comparison: Comparison::NotYet,
            pushed: BTreeMap::new(),
            compared: 0,
        }
    }

    /// Whether it is to be dropped now; if so, takes note of it.
    pub(super) fn drop_now(&mut self, now_ns: u64) -> bool {
        let due = self.dropped < self.resumes && now_ns >= self.next_ns;
        if due {
            self.dropped += 1;
            self.next_ns = (self.next_ns + self.interval_ns).max(now_ns);
        }
        due
    }

    /// It was pushed a message that it had not been pushed before.
    pub(super) fn pushed(&mut self, seq: Seq, fingerprint: u64) {
        self.pushed.insert(seq, fingerprint);
    }

    /// Compares a page of the history; gives how many of its messages differ from what was pushed. At the end what was
    /// pushed and is not in the history differs too.
    pub(super) fn compare(&mut self, page: &HistoryPage) -> u64 {
        let mut differ = 0;
        for message in &page.messages {
            let told = self.pushed.remove(&message.seq);
            let is = fingerprint(message.from, message.client_msg_id, &message.body);
            differ += u64::from(told != Some(is));
            self.compared += 1;
        }
        match page.messages.last() {
            Some(last) if page.more => self.comparison = Comparison::Ask { after: last.seq },
            Some(_) | None => {
                self.comparison = Comparison::Done;
                differ += self.pushed.len() as u64;
            }
        }
        differ
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use schema::{ChannelId, ClientMsgId, Message, MessageKind, UnixMs, UserId};

    #[test]
    fn what_was_pushed_is_the_history_or_the_difference_is_counted() {
        check("1=a 2=b 3=c", &["1=a 2=b 3=c"], 0);
        check("1=a 2=b 3=c", &["1=a 2=b", "3=c"], 0);
        check("1=a 3=c", &["1=a 2=b", "3=c"], 1);
        check("1=a 2=x 3=c", &["1=a 2=b 3=c"], 1);
        check("1=a 2=b 3=c", &["1=a 2=b"], 1);
        check("", &[""], 0);
    }

    #[test]
    fn drops_are_spread_and_counted() {
        let mut device = Device::new(4, 1_000, 400);
        let at = |device: &mut Device, now_ns| device.drop_now(now_ns);
        assert!(!at(&mut device, 999));
        assert!(at(&mut device, 1_000));
        assert!(!at(&mut device, 1_099));
        assert!(at(&mut device, 1_100));
        assert!(at(&mut device, 5_000), "late, but not left out");
        assert!(at(&mut device, 5_000));
        assert!(!at(&mut device, 9_000));
    }

    fn check(pushed: &str, pages: &[&str], differ: u64) {
        let mut device = Device::new(1, 0, 1);
        for message in messages(pushed) {
            device.pushed(message.seq, fingerprint(message.from, message.client_msg_id, &message.body));
        }
        let mut got = 0;
        for (at, page) in pages.iter().enumerate() {
            let more = at + 1 < pages.len();
            let page = HistoryPage { messages: messages(page), head_seq: Seq(3), first_seq: Seq(1), more };
            got += device.compare(&page);
        }
        assert_eq!((got, device.comparison), (differ, Comparison::Done), "{pushed} and {pages:?}");
    }

    fn messages(text: &str) -> Vec<Arc<Message>> {
        let message = |word: &str| {
            let (seq, body) = word.split_once('=').unwrap();
            Arc::new(Message {
                channel_id: ChannelId(1),
                seq: Seq(seq.parse().unwrap()),
                revision: 0,
                from: UserId(1),
                sent_ms: UnixMs(1),
                client_msg_id: ClientMsgId([0; 16]),
                kind: MessageKind::Text,
                body: body.into(),
                reply_to: None,
                mentions: schema::message::no_mentions(),
                edited_ms: None,
                deleted: false,
                reactions: schema::message::no_reactions(),
                media: Vec::new(),
            })
        };
        text.split_whitespace().map(message).collect()
    }
}
