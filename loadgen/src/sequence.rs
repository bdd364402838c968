//! Check of numbered messages: each came back exactly once and in order.
//!
//! Owns one connection's (or one receiver's channel's) numbers. Knows nothing of sockets or time.
//! The counts that the exit code rests on are made here.

use std::collections::BTreeSet;

/// Numbers that were overtaken and may still come, kept per sequence. Beyond it the oldest are taken for lost: if
/// they come after all they count as duplicates, which fails the run just the same. 4,096 numbers are 100 KB
/// for a sequence whose peer misbehaves, and nothing for all others.
const OVERTAKEN_MAX: usize = 4096;

/// What a number that came back means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one, or a later one: those skipped are missing until they come.
    New,
    /// Came after a later one had: out of order, but not lost.
    Late,
    /// Came before.
    Duplicate,
    /// Has never been sent.
    Unknown,
}

/// The numbers 0, 1, 2, … that went out, and which of them came back.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    sent: u64,
    /// One more than the greatest that came back.
    expected: u64,
    overtaken: BTreeSet<u64>,
}

impl Sequence {
    /// Numbers that others hand out, nobody here knows how many.
    pub(crate) fn of_unknown_length() -> Self {
        Self { sent: u64::MAX, ..Self::default() }
    }

    /// Numbers handed out so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Every number from here on is unanswered; those before it are answered or overtaken.
    pub(crate) fn unanswered(&self) -> u64 {
        self.expected
    }

    /// The next number to send.
    pub(crate) fn send(&mut self) -> u64 {
        self.sent += 1;
        self.sent - 1
    }

    /// Numbers below `end` that did not come, those that are still remembered.
    pub(crate) fn missing(&self, end: u64) -> impl Iterator<Item = u64> {
        self.overtaken.iter().copied().chain(self.expected..end)
    }

    /// Takes note that `seq` came back.
    pub(crate) fn receive(&mut self, seq: u64) -> Verdict {
        if seq == self.expected && seq < self.sent {
            self.expected += 1;
            return Verdict::New;
        }
        self.receive_rare(seq)
    }

    #[cold]
    fn receive_rare(&mut self, seq: u64) -> Verdict {
        if seq >= self.sent {
            return Verdict::Unknown;
        }
        if seq > self.expected {
            let kept_from = seq.saturating_sub(OVERTAKEN_MAX as u64).max(self.expected);
            self.overtaken.extend(kept_from..seq);
            while self.overtaken.len() > OVERTAKEN_MAX {
                self.overtaken.pop_first();
            }
            self.expected = seq + 1;
            return Verdict::New;
        }
        if self.overtaken.remove(&seq) { Verdict::Late } else { Verdict::Duplicate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_duplicates_and_disorder_are_told_apart() {
        check(4, "0 1 2 3", "New New New New");
        check(4, "0 2 3", "New New New");
        check(4, "0 2 1 3", "New New Late New");
        check(4, "0 1 1 2", "New New Duplicate New");
        check(4, "0 2 1 1", "New New Late Duplicate");
        check(4, "3 0 1 2 0", "New Late Late Late Duplicate");
        check(2, "0 1 2", "New New Unknown");
        check(0, "0", "Unknown");
    }

    #[test]
    fn an_overtaken_number_does_not_hold_the_window_back() {
        let mut sequence = Sequence::default();
        (0..10).for_each(|_| _ = sequence.send());
        sequence.receive(5);
        assert_eq!(sequence.unanswered(), 6);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut sequence = Sequence::default();
        (0..1_000_000).for_each(|_| _ = sequence.send());
        assert_eq!(sequence.receive(999_999), Verdict::New);
        assert_eq!(sequence.overtaken.len(), OVERTAKEN_MAX);
        assert_eq!(sequence.receive(999_998), Verdict::Late);
        assert_eq!(sequence.receive(0), Verdict::Duplicate);
    }

    fn check(sent: u64, received: &str, verdicts: &str) {
        let mut sequence = Sequence::default();
        for _ in 0..sent {
            sequence.send();
        }
        let got: Vec<String> =
            received.split(' ').map(|seq| format!("{:?}", sequence.receive(seq.parse().unwrap()))).collect();
        assert_eq!(got.join(" "), verdicts, "{sent} sent, received {received}");
    }
}
