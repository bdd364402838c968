//! Operations of a session that wait for applications' word, or behind one that does.
//!
//! Owns their order: of each channel they leave as they came, so that none overtakes one that waits. Knows no application, no
//! connection and no shard. How many there are is bounded by the commands that a session may have without an answer.

use std::collections::{BTreeMap, VecDeque};

use schema::{ChannelId, ChannelOp};

use crate::order::Arrival;
use crate::store::Word;

/// One that is held.
#[derive(Debug)]
struct Waiting {
    /// Of the question; none if nobody is asked.
    number: Option<Arrival>,
    /// The client's number for it, and when it came.
    asked: (u32, Arrival),
    op: ChannelOp,
    /// None while it is waited for.
    word: Option<Word>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Held {
    lines: BTreeMap<ChannelId, VecDeque<Waiting>>,
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

    /// Holds an operation until the word on the question of this number is [`Self::told`].
    pub(super) fn hold(&mut self, number: Arrival, asked: (u32, Arrival), channel: ChannelId, op: ChannelOp) {
        self.push(channel, Waiting { number: Some(number), asked, op, word: None });
    }

    /// Holds one of which nobody is asked, behind those that are held.
    pub(super) fn hold_behind(&mut self, asked: (u32, Arrival), channel: ChannelId, op: ChannelOp) {
        self.push(channel, Waiting { number: None, asked, op, word: Some(Ok(None)) });
    }

    fn push(&mut self, channel: ChannelId, waiting: Waiting) {
        self.lines.entry(channel).or_default().push_back(waiting);
    }

    /// The word on one has come. One that is not held any more has had its answer.
    pub(super) fn told(&mut self, channel: ChannelId, number: Arrival, word: Word) {
        let line = self.lines.get_mut(&channel).into_iter().flatten();
        if let Some(waiting) = line.into_iter().find(|waiting| waiting.number == Some(number)) {
            waiting.word = Some(word);
        }
    }

    /// The next of a channel that is to go on, if its word has come.
    pub(super) fn next_ready(&mut self, channel: ChannelId) -> Option<((u32, Arrival), ChannelOp, Word)> {
        let line = self.lines.get_mut(&channel)?;
        let Waiting { asked, op, word, .. } = line.pop_front_if(|first| first.word.is_some())?;
        if line.is_empty() {
            self.lines.remove(&channel);
        }
        Some((asked, op, word.expect("just looked at")))
    }

    /// Takes all of a channel, by their clients' numbers, since one before them is to be sent again.
    pub(super) fn take_all(&mut self, channel: ChannelId) -> impl Iterator<Item = u32> + use<> {
        self.lines.remove(&channel).into_iter().flatten().map(|waiting| waiting.asked.0)
    }
}

#[cfg(test)]
mod tests {
    use schema::{ClientMsgId, Seq, UnixMs, UserId};

    use super::*;

    /// `aH1` holds 1 of channel a, `aB2` holds 2 behind, `aT1` has the word on 1; `=>` those that went on, in their order.
    fn check(row: &str) {
        let (steps, expected) = row.split_once(" => ").expect("a row says what comes of it");
        let (mut held, mut seen) = (Held::default(), Vec::new());
        for step in steps.split(", ") {
            let [channel, kind, digit] = step.as_bytes()[..] else { panic!("{step:?} is no step") };
            let (channel, id) = (ChannelId(channel.into()), u32::from(digit - b'0'));
            let op_id = ClientMsgId::new(UnixMs(1), 1);
            let op = ChannelOp::Delete { by: UserId(1), seq: Seq(1), op_id };
            match kind {
                b'H' => held.hold(Arrival(id.into()), (id, Arrival::default()), channel, op),
                b'B' => held.hold_behind((id, Arrival::default()), channel, op),
                b'T' => held.told(channel, Arrival(id.into()), Ok(None)),
                b'A' => seen.extend(held.take_all(channel).map(|id| format!("-{id}"))),
                _ => panic!("{step:?} is no step"),
            }
            seen.extend(std::iter::from_fn(|| held.next_ready(channel)).map(|((id, _), ..)| id.to_string()));
        }
        let left = if held.is_idle() { "" } else { " …" };
        assert_eq!(format!("{}{left}", seen.join(" ")), expected, "{row}");
    }

    #[test]
    fn what_is_held_goes_on_in_its_order() {
        check("aH1, aT1 => 1");
        check("aH1, aH2, aT2 =>  …");
        check("aH1, aH2, aT2, aT1 => 1 2");
        check("aH1, aB2, aB3, aT1 => 1 2 3");
        check("aH1, bH2, bT2 => 2 …");
        check("aH1, aH2, aA0, aT1, aT2 => -1 -2");
    }
}
