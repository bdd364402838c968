//! The histories at the end, compared with what was acknowledged and pushed: the last word on what a run came to.
//!
//! Owns the comparison of one channel, page by page. A sender's numbers have to be there once each and in order; what a
//! seq holds has to be what was told of it, as far as a channel remembers.

use std::collections::BTreeSet;

use schema::Seq;
use schema::command::HistoryPage;

use super::channel::{Channel, fingerprint};
use crate::report::{Findings, HistoryReport};
use crate::sequence::{Sequence, Verdict};
use crate::stamp::Stamp;

/// What one member of the channel knows of its own messages.
#[derive(Debug, Default)]
pub(super) struct Sender {
    /// Its connection, which its messages bear.
    pub(super) connection: usize,
    pub(super) acked: u64,
    /// Numbers of messages without an acknowledgement: they may be there or not.
    pub(super) open: BTreeSet<u64>,
}

/// A channel's history as it is read.
pub(super) struct Comparison<'a> {
    channel: &'a Channel,
    /// Each with its numbers that came, and how many of those were acknowledged.
    senders: Vec<(Sender, Sequence, u64)>,
    base: Seq,
    seqs: Sequence,
    /// Different seqs that came.
    rows: u64,
    last: Seq,
    report: HistoryReport,
    findings: Findings,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(channel: &'a Channel, senders: Vec<Sender>) -> Self {
        let base = channel.base.unwrap_or_default();
        let senders = senders.into_iter().map(|sender| (sender, Sequence::of_unknown_length(), 0)).collect();
        Self {
            channel,
            senders,
            base,
            seqs: Sequence::of_unknown_length(),
            rows: 0,
            last: base,
            report: HistoryReport::default(),
            findings: Findings::default(),
        }
    }

    /// After which seq the next page begins.
    pub(super) fn after(&self) -> Seq {
        self.last
    }

    /// Takes the page after that; whether another one follows.
    pub(super) fn page(&mut self, page: &HistoryPage) -> bool {
        let before = self.last;
        for message in &page.messages {
            let verdict = message.seq.0.checked_sub(self.base.0 + 1).map(|seq| self.seqs.receive(seq));
            let is = fingerprint(message.from, message.client_msg_id, &message.body);
            match verdict {
                Some(Verdict::New) => self.rows += 1,
                Some(Verdict::Late) => {
                    self.rows += 1;
                    self.report.out_of_order += 1;
                }
                Some(Verdict::Duplicate | Verdict::Unknown) | None => self.report.doubled += 1,
            }
            self.report.messages += 1;
            self.report.mismatched += u64::from(self.channel.content(message.seq).is_some_and(|told| told != is));
            self.last = self.last.max(message.seq);
            if let Some(fault) = self.number(&message.body) {
                let (id, seq) = (self.channel.id, message.seq.0);
                self.findings.note(|| format!("history of channel {id}: seq {seq} ({}) {fault}", message.body));
            }
        }
        page.more && self.last > before
    }

    /// Looks at the number of a message; what is wrong with it.
    fn number(&mut self, body: &str) -> Option<&'static str> {
        let stamp = Stamp::of(body);
        let sender = stamp.and_then(|stamp| {
            let of = |(sender, ..): &&mut (Sender, _, _)| sender.connection == stamp.connection;
            Some((self.senders.iter_mut().find(of)?, stamp.number))
        });
        let Some(((sender, numbers, found), number)) = sender else {
            self.report.mismatched += 1;
            return Some("is of nobody in it");
        };
        let verdict = numbers.receive(number);
        if matches!(verdict, Verdict::New | Verdict::Late) {
            *found += u64::from(!sender.open.contains(&number));
        }
        match verdict {
            Verdict::New => None,
            Verdict::Late => {
                self.report.out_of_order += 1;
                Some("comes after a later one of its sender")
            }
            Verdict::Duplicate | Verdict::Unknown => {
                self.report.doubled += 1;
                Some("is there twice")
            }
        }
    }

    /// What came of it.
    pub(super) fn end(mut self) -> (HistoryReport, Findings) {
        let missing = self.senders.iter().map(|(sender, _, found)| sender.acked.saturating_sub(*found)).sum::<u64>();
        let head = self.channel.head();
        // A seq that nobody had an acknowledgement of may be missing too, which none may.
        let gaps = (self.last.max(head).0 - self.base.0).saturating_sub(self.rows);
        let untold = self.last.0.saturating_sub(head.0);
        let report = HistoryReport { channels: 1, lost: missing.max(gaps), untold, ..self.report };
        if report.lost > 0 {
            let id = self.channel.id;
            for (Sender { connection, acked, .. }, numbers, found) in &self.senders {
                let first = numbers.missing(*acked).next();
                self.findings.note(|| {
                    format!("history of channel {id}: of {acked} acknowledged messages of account {connection} {found} are there, the first missing is {first:?}")
                });
            }
        }
        (report, self.findings)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use schema::{ChannelId, ClientMsgId, Message, MessageKind, UnixMs, UserId};

    #[test]
    fn what_was_acknowledged_is_in_the_history_once_and_in_order_or_the_difference_is_counted() {
        check("11=a0 12=b0 13=a1", "11=a0 12=b0 13=a1", "");
        check("11=a0 12=b0 13=a1", "11=a0 13=a1", "lost 1");
        check("11=a0 12=b0 13=a1", "11=a0 12=b0", "lost 1");
        check("11=a0 12=b0", "11=a0 12=b0 13=a0", "doubled 1, untold 1");
        check("11=a0 12=b0", "11=a0 12=b0 13=?7", "untold 1");
        check("11=a0 12=a1", "11=a1 12=a0", "mismatched 2, out of order 1");
        check("11=a0 12=b0", "11=a0 12=b5", "mismatched 1");
        check("11=a0 12=b0", "11=a0 12=hello", "lost 1, mismatched 2");
        check("11=a0 12=b0", "11=a0 12=b0 12=b0", "doubled 2");
        check("", "", "");
    }

    /// In a channel that stood at 10: `told` was acknowledged, and `history` is what there is. Sender `?` is `a`, whose
    /// number 7 was not acknowledged.
    fn check(told: &str, history: &str, expected: &str) {
        let mut channel = Channel::new(ChannelId(1));
        channel.stood_at(Seq(10));
        let sender = |connection: usize, name: char| Sender {
            connection,
            acked: told.matches(name).count() as u64,
            open: [7].into(),
        };
        let senders = vec![sender(4, 'a'), sender(5, 'b')];
        for message in messages(told) {
            channel.told(message.seq, fingerprint(message.from, message.client_msg_id, &message.body));
        }
        let mut comparison = Comparison::new(&channel, senders);
        let all = messages(history);
        let pages: Vec<_> = all.chunks(2).collect();
        for (at, page) in pages.iter().enumerate() {
            let more = at + 1 < pages.len();
            let page = HistoryPage { messages: page.to_vec(), head_seq: Seq(13), first_seq: Seq(1), more };
            comparison.page(&page);
        }
        let HistoryReport { messages: read, lost, doubled, out_of_order, mismatched, untold, .. } = comparison.end().0;
        assert_eq!(read, all.len() as u64, "{history}");
        let counts = [
            ("lost", lost),
            ("doubled", doubled),
            ("mismatched", mismatched),
            ("out of order", out_of_order),
            ("untold", untold),
        ];
        let said = counts.into_iter().filter(|&(_, count)| count > 0).map(|(name, count)| format!("{name} {count}"));
        assert_eq!(said.collect::<Vec<_>>().join(", "), expected, "{told} and {history}");
    }

    fn messages(text: &str) -> Vec<Arc<Message>> {
        let message = |word: &str| {
            let (seq, name) = word.split_once('=').unwrap();
            let connection = if name.starts_with('b') { 5 } else { 4 };
            let number = name[1..].parse();
            let stamped = number.map(|number| Stamp { intended_ns: 0, connection, number }.body(""));
            Arc::new(Message {
                channel_id: ChannelId(1),
                seq: Seq(seq.parse().unwrap()),
                revision: 0,
                from: UserId(connection as u64),
                sent_ms: UnixMs(1),
                client_msg_id: ClientMsgId([0; 16]),
                kind: MessageKind::Text,
                body: stamped.unwrap_or_else(|_| name.into()),
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
