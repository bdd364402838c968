//! Operations of a session that wait for applications' word, or behind one that does.
//!
//! Owns their order: of each channel they leave as they came, so that none overtakes one that waits. Knows no application, no
//! connection and no shard but its room for such operations ([`Before`]), in which they count (I11).

use std::collections::{BTreeMap, VecDeque};

use schema::{ChannelId, ChannelOp, Refusal};

use crate::before::Before;
use crate::order::Arrival;
use crate::store::Judgement;
use crate::tickets::Sent;

/// One that is held.
#[derive(Debug)]
struct Waiting {
    /// Of the question; none if nobody is asked.
    number: Option<Arrival>,
    ready: Ready,
    /// Its bytes in [`Before`]; none while its word is waited for, as its question counts then.
    bytes: Option<u32>,
}

/// What is to be carried out, or refused for now.
#[derive(Debug)]
pub(super) struct Ready {
    /// The client's number for it, and when it came.
    pub(super) asked: (u32, Arrival),
    /// The send that it is.
    pub(super) sends: Option<Sent>,
    /// With the ruling, if there is one.
    pub(super) op: Result<ChannelOp, Refusal>,
}

/// What came of a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is kept until its operation's turn.
    Kept,
    /// There was no room for it.
    NoRoom,
    /// Its operation has had its answer.
    Gone,
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
        self.push(channel, Some(number), asked, op, None);
    }

    /// Holds one of which nobody is asked, behind those that are held.
    pub(super) fn hold_behind(
        &mut self,
        asked: (u32, Arrival),
        channel: ChannelId,
        op: ChannelOp,
        before: &mut Before,
    ) {
        let bytes = before.enter(Some(&op));
        self.push(channel, None, asked, op, Some(bytes));
    }

    fn push(
        &mut self,
        channel: ChannelId,
        number: Option<Arrival>,
        asked: (u32, Arrival),
        op: ChannelOp,
        bytes: Option<u32>,
    ) {
        let ready = Ready { asked, sends: Sent::of(channel, &op, asked.1), op: Ok(op) };
        self.lines.entry(channel).or_default().push_back(Waiting { number, ready, bytes });
    }

    /// The word on one has come: from here on it counts as what is held, rather than as its question. One that is not held
    /// any more has had its answer. One that is held on behind others, and for whose ruling there is no room, is to be refused.
    pub(super) fn told(
        &mut self,
        channel: ChannelId,
        number: Arrival,
        judgement: Judgement,
        before: &mut Before,
    ) -> Told {
        let Some(line) = self.lines.get_mut(&channel) else { return Told::Gone };
        let Some(at) = line.iter().position(|waiting| waiting.number == Some(number)) else { return Told::Gone };
        let Waiting { ready, bytes, .. } = &mut line[at];
        let room = if at > 0 && matches!(judgement, Ok(Some(_))) { before.check() } else { Ok(()) };
        let told = if room.is_ok() { Told::Kept } else { Told::NoRoom };
        match room.and(judgement) {
            Ok(ruling) => {
                if let Ok(op) = &mut ready.op {
                    op.set_ruling(ruling);
                }
            }
            Err(refusal) => ready.op = Err(refusal),
        }
        *bytes = Some(before.enter(ready.op.as_ref().ok()));
        told
    }

    /// The next of a channel that is to go on, if its word has come.
    pub(super) fn next_ready(&mut self, channel: ChannelId, before: &mut Before) -> Option<Ready> {
        let line = self.lines.get_mut(&channel)?;
        let Waiting { ready, bytes, .. } = line.pop_front_if(|first| first.bytes.is_some())?;
        if line.is_empty() {
            self.lines.remove(&channel);
        }
        before.leave(bytes.expect("just looked at"));
        Some(ready)
    }

    /// Takes all of a channel, since one before them is to be sent again. Returns their clients' numbers.
    pub(super) fn take_all(&mut self, channel: ChannelId, before: &mut Before) -> Vec<u32> {
        let line = self.lines.remove(&channel).unwrap_or_default();
        line.iter().filter_map(|waiting| waiting.bytes).for_each(|bytes| before.leave(bytes));
        line.into_iter().map(|waiting| waiting.ready.asked.0).collect()
    }

    /// Takes all, since their session is over.
    pub(super) fn clear(&mut self, before: &mut Before) {
        let all = std::mem::take(&mut self.lines).into_values().flatten();
        all.filter_map(|waiting| waiting.bytes).for_each(|bytes| before.leave(bytes));
    }
}

#[cfg(test)]
mod tests {
    use schema::{ClientMsgId, Seq, UnixMs, UserId};

    use super::*;

    /// `aH1` holds 1 of channel a, `aB2` holds 2 behind, `aT1` has the word on 1; `=>` those that went on, in their order.
    fn check(row: &str) {
        let (steps, expected) = row.split_once(" => ").expect("a row says what comes of it");
        let (mut held, mut before, mut seen) = (Held::default(), Before::default(), Vec::new());
        for step in steps.split(", ") {
            let [channel, kind, digit] = step.as_bytes()[..] else { panic!("{step:?} is no step") };
            let (channel, id) = (ChannelId(channel.into()), u32::from(digit - b'0'));
            let op_id = ClientMsgId::new(UnixMs(1), 1);
            let op = ChannelOp::Delete { by: UserId(1), seq: Seq(1), op_id };
            match kind {
                b'H' => held.hold(Arrival(id.into()), (id, Arrival::default()), channel, op),
                b'B' => held.hold_behind((id, Arrival::default()), channel, op, &mut before),
                b'T' => assert_ne!(held.told(channel, Arrival(id.into()), Ok(None), &mut before), Told::NoRoom),
                b'A' => seen.extend(held.take_all(channel, &mut before).iter().map(|id| format!("-{id}"))),
                _ => panic!("{step:?} is no step"),
            }
            seen.extend(
                std::iter::from_fn(|| held.next_ready(channel, &mut before)).map(|ready| ready.asked.0.to_string()),
            );
        }
        let left = if held.is_idle() { "" } else { " …" };
        assert_eq!(format!("{}{left}", seen.join(" ")), expected, "{row}");
        held.clear(&mut before);
        assert_eq!(before.waiting(), 0, "I11: {row}");
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
