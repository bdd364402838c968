//! Memory of what was told already, so that nothing is told twice or backwards while a client runs.
//!
//! A snapshot, a second connection and an event may say the same; of two states of a message the one with the higher revision
//! stands, and marks and heads only grow (PROTOCOL section 3). The newest is remembered alone, so that it stays small: what is
//! told again after that is the same (channel, seq, revision).

use std::collections::BTreeMap;

use crate::events::Event;
use crate::message::{ChannelId, Seq, UserId};

/// Channels that are remembered, those that were touched last.
const CHANNELS_MAX: usize = 256;
/// Messages of each, those with the highest seqs.
const MESSAGES_MAX: usize = 256;
/// Members of each whose mark is remembered.
const READERS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Known {
    channels: BTreeMap<ChannelId, Channel>,
    touches: u64,
}

#[derive(Debug, Default)]
struct Channel {
    touched: u64,
    head_seq: Seq,
    revisions: BTreeMap<Seq, u32>,
    reads: BTreeMap<UserId, Seq>,
}

impl Known {
    /// Takes note of an event; whether it says anything new.
    pub(crate) fn takes(&mut self, event: &Event) -> bool {
        match event {
            Event::Message(message) | Event::Edited(message) => {
                self.message(message.channel_id, message.seq, message.revision)
            }
            Event::Deleted { channel_id, seq, revision } => self.message(*channel_id, *seq, *revision),
            Event::Read { channel_id, user_id, read_seq } => {
                let reads = &mut self.channel(*channel_id).reads;
                let is_new = reads.get(user_id).is_none_or(|before| before < read_seq);
                if is_new {
                    if reads.len() >= READERS_MAX {
                        reads.clear();
                    }
                    reads.insert(*user_id, *read_seq);
                }
                is_new
            }
            Event::Head { channel_id, head_seq } => {
                let channel = self.channel(*channel_id);
                let is_new = channel.head_seq < *head_seq;
                channel.head_seq = channel.head_seq.max(*head_seq);
                is_new
            }
            Event::Snapshot { first, .. } => {
                // Messages may have changed unseen, but heads and marks have not gone back.
                if *first {
                    self.channels.values_mut().for_each(|channel| channel.revisions.clear());
                }
                true
            }
            Event::Reset => {
                self.channels.clear();
                true
            }
            Event::Connection(_)
            | Event::Reaction { .. }
            | Event::Membership { .. }
            | Event::Presence(_)
            | Event::Typing { .. }
            | Event::Published { .. }
            | Event::FeedHead { .. }
            | Event::Opened { .. }
            | Event::NotOpened { .. }
            | Event::Outgoing(_)
            | Event::StoreFailed(_)
            | Event::Malformed(_)
            | Event::Unknown { .. }
            | Event::Ended(_) => true,
        }
    }

    fn message(&mut self, channel_id: ChannelId, seq: Seq, revision: u32) -> bool {
        let channel = self.channel(channel_id);
        channel.head_seq = channel.head_seq.max(seq);
        let is_new = channel.revisions.get(&seq).is_none_or(|&before| before < revision);
        if is_new {
            channel.revisions.insert(seq, revision);
            if channel.revisions.len() > MESSAGES_MAX {
                channel.revisions.pop_first();
            }
        }
        is_new
    }

    fn channel(&mut self, channel_id: ChannelId) -> &mut Channel {
        if self.channels.len() >= CHANNELS_MAX && !self.channels.contains_key(&channel_id) {
            let oldest = self.channels.iter().min_by_key(|(_, channel)| channel.touched).map(|(&oldest, _)| oldest);
            oldest.map(|oldest| self.channels.remove(&oldest));
        }
        self.touches += 1;
        let channel = self.channels.entry(channel_id).or_default();
        channel.touched = self.touches;
        channel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deletions `CHANNEL.SEQ.REVISION`, marks `rCHANNEL.USER.SEQ`, `snapshot`, `reset`: those that say nothing new are in
    /// brackets.
    #[track_caller]
    fn check(told: &str) {
        let mut known = Known::default();
        let said: Vec<String> = told
            .split(' ')
            .map(|word| {
                let plain = word.trim_matches(['[', ']']);
                let numbers = |text: &str| -> Vec<u32> { text.split('.').filter_map(|it| it.parse().ok()).collect() };
                let event = match (plain, plain.strip_prefix('r').map(numbers).as_deref(), &numbers(plain)[..]) {
                    ("snapshot", ..) => Event::Snapshot { channels: Vec::new(), first: true, more: false },
                    ("reset", ..) => Event::Reset,
                    (_, Some(&[channel, user, seq]), _) => Event::Read {
                        channel_id: ChannelId(channel.into()),
                        user_id: UserId(user.into()),
                        read_seq: Seq(seq.into()),
                    },
                    (_, _, &[channel, seq, revision]) => {
                        Event::Deleted { channel_id: ChannelId(channel.into()), seq: Seq(seq.into()), revision }
                    }
                    _ => panic!("no event {word}"),
                };
                if known.takes(&event) { plain.to_owned() } else { format!("[{plain}]") }
            })
            .collect();
        assert_eq!(said.join(" "), told);
    }

    #[test]
    fn the_later_state_of_a_message_stands() {
        check("1.1.0 [1.1.0] 1.1.2 [1.1.1] 1.1.3 1.2.0 2.1.0");
        check("1.1.1 snapshot 1.1.1 [1.1.1]");
        check("1.1.1 reset 1.1.0");
    }

    #[test]
    fn marks_only_grow() {
        check("r1.1.5 [r1.1.3] r1.2.4 r1.1.6 snapshot [r1.1.6] reset r1.1.1");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = Known::default();
        for number in 0..2_000 {
            assert!(known.message(ChannelId(number), Seq(1), 0));
            assert!(known.message(ChannelId(5_000), Seq(number), 0));
        }
        assert_eq!(known.channels.len(), CHANNELS_MAX);
        assert_eq!(known.channels[&ChannelId(5_000)].revisions.len(), MESSAGES_MAX);
        assert!(!known.message(ChannelId(5_000), Seq(1_999), 0), "the newest is remembered");
    }
}
