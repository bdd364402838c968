//! Operations of a session that wait for applications' word, or behind one that does.
//!
//! Owns their order: of each channel they leave as they came, so that none overtakes one that waits. Knows no application, no
//! connection and no shard. How many there are is bounded by the commands that a session may have without an answer.

use std::collections::{BTreeMap, VecDeque};

use schema::{ChannelId, ChannelOp};

use crate::store::Word;

/// One that is held, under its client's number.
#[derive(Debug)]
struct Waiting {
    number: u64,
    id: u32,
    op: ChannelOp,
    /// None while it is waited for.
    word: Option<Word>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Held {
    lines: BTreeMap<ChannelId, VecDeque<Waiting>>,
    next: u64,
}

impl Held {
    /// Whether something of a channel is held.
    pub(super) fn has(&self, channel: ChannelId) -> bool {
        self.lines.contains_key(&channel)
    }

    /// Whether nothing is.
    pub(super) fn is_idle(&self) -> bool {
        self.lines.is_empty()
    }

    /// Holds an operation until its word is [`Self::told`]. Returns its number.
    pub(super) fn hold(&mut self, id: u32, channel: ChannelId, op: ChannelOp) -> u64 {
        self.push(channel, id, op, None)
    }

    /// Holds one of which nobody is asked, behind those that are held.
    pub(super) fn hold_behind(&mut self, id: u32, channel: ChannelId, op: ChannelOp) {
        self.push(channel, id, op, Some(Ok(None)));
    }

    fn push(&mut self, channel: ChannelId, id: u32, op: ChannelOp, word: Option<Word>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.lines.entry(channel).or_default().push_back(Waiting { number, id, op, word });
        number
    }

    /// The word on one has come. One that is not held any more has had its answer.
    pub(super) fn told(&mut self, channel: ChannelId, number: u64, word: Word) {
        let line = self.lines.get_mut(&channel).into_iter().flatten();
        if let Some(waiting) = line.into_iter().find(|waiting| waiting.number == number) {
            waiting.word = Some(word);
        }
    }

    /// The next of a channel that is to go on, if its word has come.
    pub(super) fn next_ready(&mut self, channel: ChannelId) -> Option<(u32, ChannelOp, Word)> {
        let line = self.lines.get_mut(&channel)?;
        let Waiting { id, op, word, .. } = line.pop_front_if(|first| first.word.is_some())?;
        if line.is_empty() {
            self.lines.remove(&channel);
        }
        Some((id, op, word.expect("just looked at")))
    }

    /// Takes all of a channel, since one before them is to be sent again.
    pub(super) fn take_all(&mut self, channel: ChannelId) -> impl Iterator<Item = (u32, ChannelOp)> + use<> {
        self.lines.remove(&channel).into_iter().flatten().map(|waiting| (waiting.id, waiting.op))
    }
}

#[cfg(test)]
mod tests {
    use schema::{ClientMsgId, Seq, UnixMs, UserId};

    use super::*;

    /// `aH1` holds 1 of channel a, `aB2` holds 2 behind, `aT0` has the word on the one that was held first; `=>` those that
    /// went on, in their order.
    fn check(row: &str) {
        let (steps, expected) = row.split_once(" => ").expect("a row says what comes of it");
        let (mut held, mut seen) = (Held::default(), Vec::new());
        for step in steps.split(", ") {
            let [channel, kind, digit] = step.as_bytes()[..] else { panic!("{step:?} is no step") };
            let (channel, id) = (ChannelId(channel.into()), u32::from(digit - b'0'));
            let op_id = ClientMsgId::new(UnixMs(1), 1);
            let op = ChannelOp::Delete { by: UserId(1), seq: Seq(1), op_id };
            match kind {
                b'H' => drop(held.hold(id, channel, op)),
                b'B' => held.hold_behind(id, channel, op),
                b'T' => held.told(channel, id.into(), Ok(None)),
                b'A' => seen.extend(held.take_all(channel).map(|(id, _)| format!("-{id}"))),
                _ => panic!("{step:?} is no step"),
            }
            seen.extend(std::iter::from_fn(|| held.next_ready(channel)).map(|(id, ..)| id.to_string()));
        }
        let left = if held.is_idle() { "" } else { " …" };
        assert_eq!(format!("{}{left}", seen.join(" ")), expected, "{row}");
    }

    #[test]
    fn what_is_held_goes_on_in_its_order() {
        check("aH1, aT0 => 1");
        check("aH1, aH2, aT1 =>  …");
        check("aH1, aH2, aT1, aT0 => 1 2");
        check("aH1, aB2, aB3, aT0 => 1 2 3");
        check("aH1, bH2, bT1 => 2 …");
        check("aH1, aH2, aA0, aT0, aT1 => -1 -2");
    }
}
