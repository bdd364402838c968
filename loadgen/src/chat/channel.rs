//! One channel as all its members see it: who said what at which seq, and whether they agree (I2).

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use schema::{ChannelId, ClientMsgId, Seq, UserId};

/// Seqs that are compared among readers, the newest of a channel: a reader further behind than that is compared with
/// nothing. 8 bytes each, 512 KB for a channel that is that busy.
const COMPARED_MAX: usize = 65_536;

/// What someone was told of a seq, beside what others were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Nobody was told of it before.
    First,
    /// The same, or it is no longer known.
    Agreed,
    Differs,
}

/// A channel of the run.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: ChannelId,
    /// The newest seq before the run sent anything; `None` until a member asked.
    pub(super) base: Option<Seq>,
    /// The newest seq that anyone was told of since.
    head: Seq,
    /// What the seqs from `compared_from` on hold; 0 is unknown.
    contents: VecDeque<u64>,
    compared_from: u64,
}

/// Stands for a message's sender, id and text. Never 0.
pub(super) fn fingerprint(from: UserId, id: ClientMsgId, body: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (from, id, body).hash(&mut hasher);
    hasher.finish() | 1
}

impl Channel {
    pub(super) fn new(id: ChannelId) -> Self {
        Self { id, base: None, head: Seq::ZERO, contents: VecDeque::new(), compared_from: 0 }
    }

    /// A member was told where the channel stood before the run. `false` if another was told otherwise.
    pub(super) fn stood_at(&mut self, head: Seq) -> bool {
        if self.base.is_none() {
            (self.base, self.head, self.compared_from) = (Some(head), head, head.0 + 1);
        }
        self.base == Some(head)
    }

    /// Someone was told that `seq` holds what `fingerprint` stands for. Gives by how much the head rose, and what that is
    /// to those who were told before.
    pub(super) fn told(&mut self, seq: Seq, fingerprint: u64) -> (u64, Told) {
        let risen = seq.0.saturating_sub(self.head.0);
        self.head = self.head.max(seq);
        let Some(at) = seq.0.checked_sub(self.compared_from) else { return (risen, Told::Agreed) };
        let at = at as usize;
        if at >= COMPARED_MAX {
            let dropped = at + 1 - COMPARED_MAX;
            self.contents.drain(..dropped.min(self.contents.len()));
            self.compared_from += dropped as u64;
            return (risen, self.compare(COMPARED_MAX - 1, fingerprint));
        }
        (risen, self.compare(at, fingerprint))
    }

    /// The newest seq that anyone was told of.
    pub(super) fn head(&self) -> Seq {
        self.head
    }

    /// What was told of `seq`, if that is still known.
    pub(super) fn content(&self, seq: Seq) -> Option<u64> {
        let at = seq.0.checked_sub(self.compared_from)?;
        self.contents.get(at as usize).copied().filter(|&known| known != 0)
    }

    fn compare(&mut self, at: usize, fingerprint: u64) -> Told {
        if at >= self.contents.len() {
            self.contents.resize(at + 1, 0);
        }
        let known = &mut self.contents[at];
        match std::mem::replace(known, fingerprint) {
            0 => Told::First,
            before if before == fingerprint => Told::Agreed,
            before => {
                *known = before;
                Told::Differs
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_agree_on_what_a_seq_holds_or_it_is_seen() {
        check("11=a 12=b 11=a 12=b", "agree", 2);
        check("12=b 11=a 11=a", "agree", 2);
        check("11=a 11=b", "11=b", 1);
        check("11=a 12=b 13=c 12=c", "12=c", 3);
        check("10=x 9=y 10=z", "agree", 0);
    }

    #[test]
    fn what_is_compared_has_a_bound() {
        let mut channel = Channel::new(ChannelId(1));
        assert!(channel.stood_at(Seq(10)));
        assert!(!channel.stood_at(Seq(11)));
        channel.told(Seq(11), 1);
        let far = Seq(10 + 3 * COMPARED_MAX as u64);
        channel.told(far, 3);
        assert_eq!(channel.contents.len(), COMPARED_MAX);
        assert_eq!(channel.told(far, 5).1, Told::Differs);
        assert_eq!(channel.told(Seq(11), 5).1, Told::Agreed, "too old to be compared");
        assert_eq!(channel.head, far);
    }

    /// In a channel that stood at 10: is told each `seq=content` in turn.
    fn check(told: &str, expected: &str, added: u64) {
        let mut channel = Channel::new(ChannelId(1));
        channel.stood_at(Seq(10));
        let mut got = "agree";
        for word in told.split(' ') {
            let (seq, content) = word.split_once('=').unwrap();
            let fingerprint = fingerprint(UserId(1), ClientMsgId([0; 16]), content);
            if channel.told(Seq(seq.parse().unwrap()), fingerprint).1 == Told::Differs {
                got = word;
            }
        }
        assert_eq!((got, channel.head.0 - 10), (expected, added), "{told}");
    }
}
