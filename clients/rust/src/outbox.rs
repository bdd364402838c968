//! The outbox: what the application has done and the server has not answered.
//!
//! Owns the order of operations, one lane a channel, and which of them may be asked now. One of a lane is on its way at a
//! time, so order holds without further thought (PROTOCOL rule 7). Knows neither sockets nor stores: an operation is asked once
//! the store has it, and is repeated under its id until it is answered (rules 1 and 6).
//! Limit: a channel gets one operation a round trip.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Refusal;
use crate::message::{ChannelId, MediaId, OperationId, Seq, UserId};

/// Age up to which an operation is still asked for: for so long a server knows what it has done (PROTOCOL rule 1).
pub(crate) const AGE_MS_MAX: u64 = 30 * 24 * 3600 * 1000;
/// Operations on their way at once, of all channels together: a server stops reading at 256.
const UNDER_WAY_MAX: usize = 64;

/// Something to be done once, however often it has to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// A message.
    Send(Draft),
    /// Another text for an own message.
    Edit {
        /// Message to be changed.
        seq: Seq,
        /// The revision that was seen; if it is not the newest any more, the edit is refused with 122.
        base_revision: u32,
        /// The new text.
        body: String,
    },
    /// A message's text goes.
    Delete {
        /// Message to be deleted.
        seq: Seq,
    },
    /// An emoji to a message, or away from it.
    React {
        /// Message that bears the emoji.
        seq: Seq,
        /// One emoji.
        emoji: String,
        /// `true` to put it there, `false` to take it away.
        on: bool,
    },
    /// The user has read up to here. A later mark of the channel takes the place of one that was not asked yet.
    Mark {
        /// The newest message that was read.
        read_seq: Seq,
    },
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Draft {
    /// Its text, up to `limits.body_chars_max` characters (100,000).
    pub body: String,
    /// The message of the same channel that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Members whom it names, 50 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// `media` where it has any: a server that knows of none refuses it rather than send it without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<MessageKind>,
    /// Own media that are whole (`POST /v1/media`), 10 at most, each once. Set by [`Draft::carrying`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    media: Vec<MediaId>,
}

/// A kind that a message says it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MessageKind {
    Media,
}

impl From<&str> for Draft {
    fn from(body: &str) -> Self {
        body.to_owned().into()
    }
}

impl From<String> for Draft {
    fn from(body: String) -> Self {
        Self { body, ..Self::default() }
    }
}

impl Draft {
    /// The same as an answer to a message of the channel.
    #[must_use]
    pub fn in_reply_to(self, seq: Seq) -> Self {
        Self { reply_to: Some(seq), ..self }
    }

    /// The same with members whom it names.
    #[must_use]
    pub fn mentioning(self, users: impl IntoIterator<Item = UserId>) -> Self {
        Self { mentions: users.into_iter().collect(), ..self }
    }

    /// The same with own media that are whole: its text may be empty then.
    #[must_use]
    pub fn carrying(self, media: impl IntoIterator<Item = MediaId>) -> Self {
        let media: Vec<_> = media.into_iter().collect();
        let kind = (!media.is_empty()).then_some(MessageKind::Media);
        Self { kind, media, ..self }
    }
}

impl Operation {
    /// The command and its fields, but for the channel.
    fn command(&self) -> (String, Map<String, Value>) {
        let value = serde_json::to_value(self).expect("an operation is JSON");
        match value {
            Value::Object(one) => match one.into_iter().next() {
                Some((name, Value::Object(fields))) => (name, fields),
                other => panic!("an operation is a name with fields, not {other:?}"),
            },
            other => panic!("an operation is a name with fields, not {other}"),
        }
    }

    /// The field that bears the operation's id.
    fn id_field(&self) -> Option<&'static str> {
        match self {
            Self::Send(_) => Some("client_msg_id"),
            Self::Edit { .. } | Self::Delete { .. } | Self::React { .. } => Some("op_id"),
            // A mark never goes back: said twice it is the same.
            Self::Mark { .. } => None,
        }
    }

    /// Outcome that the server's reply tells.
    pub(crate) fn outcome(&self, reply: Value) -> Result<Outcome, serde_json::Error> {
        Ok(match self {
            Self::Send(_) => Outcome::Sent(serde_json::from_value(reply)?),
            Self::Edit { .. } | Self::Delete { .. } => Outcome::Revised(serde_json::from_value(reply)?),
            Self::React { .. } => Outcome::Reacted(serde_json::from_value(reply)?),
            Self::Mark { .. } => Outcome::Marked(serde_json::from_value(reply)?),
        })
    }
}

/// Message that has become durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sent {
    /// Its place in the channel.
    pub seq: Seq,
    /// Time at which the server took it.
    pub sent_ms: u64,
    /// `true` if it had arrived before, by an attempt whose answer was lost.
    pub duplicate: bool,
}

/// Message that has been changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Revised {
    /// The message's revision after it.
    pub revision: u32,
}

/// Reaction that has become durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reacted {
    /// Users who have put the emoji there, after it.
    pub count: u32,
}

/// Mark that has become durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Marked {
    /// The mark.
    pub read_seq: Seq,
    /// Messages after it.
    pub unread: u64,
}

/// Outcome of an operation that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Of a send.
    Sent(Sent),
    /// Of an edit or a deletion.
    Revised(Revised),
    /// Of a reaction.
    Reacted(Reacted),
    /// Of a mark.
    Marked(Marked),
}

/// An operation of the outbox and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing {
    /// Its name, under which it is repeated.
    pub id: OperationId,
    /// Channel of the operation.
    pub channel_id: ChannelId,
    /// Operation with its fields.
    pub operation: Operation,
    /// Progress so far.
    pub progress: Progress,
}

/// Progress of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// It is stored here, and will be asked for until it is answered, over disconnections and crashes.
    Pending,
    /// It is done. It is in the outbox no more.
    Done(Outcome),
    /// The server refused it for good. It stays until [`Client::retry`](crate::Client::retry) or
    /// [`Client::discard`](crate::Client::discard); what comes after it in its channel goes on.
    Failed(Refusal),
    /// [`Client::discard`](crate::Client::discard) took it away.
    Discarded,
}

/// An operation as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Its place among the operations of this device, ascending: the order in which they were done.
    pub order: u64,
    /// Its name.
    pub id: OperationId,
    /// Channel of the operation.
    pub channel_id: ChannelId,
    /// Operation with its fields.
    pub operation: Operation,
    /// Refusal by the server for good, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

impl Entry {
    /// Form in which the application sees it.
    pub(crate) fn outgoing(&self) -> Outgoing {
        let progress = self.refusal.clone().map_or(Progress::Pending, Progress::Failed);
        self.with(progress)
    }

    pub(crate) fn with(&self, progress: Progress) -> Outgoing {
        Outgoing { id: self.id, channel_id: self.channel_id, operation: self.operation.clone(), progress }
    }

    /// Time at which it was done, by its name; `None` of what has no name on the wire.
    pub(crate) fn made_ms(&self) -> Option<u64> {
        self.operation.id_field()?;
        // The leading 48 of 128 bits.
        Some(u64::try_from(self.id.0.as_u128() >> 80).unwrap_or(u64::MAX))
    }

    /// The command that asks for it, and its fields.
    pub(crate) fn command(&self) -> (String, Value) {
        let (name, mut fields) = self.operation.command();
        let text = |value: &dyn std::fmt::Display| Value::String(value.to_string());
        fields.insert("channel_id".to_owned(), text(&self.channel_id));
        if let Some(field) = self.operation.id_field() {
            fields.insert(field.to_owned(), text(&self.id));
        }
        (name, Value::Object(fields))
    }
}

/// Operations in their order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    entries: BTreeMap<u64, Entry>,
    orders: BTreeMap<OperationId, u64>,
    /// Those of each channel that are to be asked, oldest first.
    lanes: BTreeMap<ChannelId, Lane>,
    /// Those that the store does not have yet.
    unstored: BTreeSet<u64>,
    under_way: usize,
    /// The last place that was given: none is given twice, as the store may still have the one that had it.
    last: u64,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<u64>,
    /// The first of them is on its way.
    busy: bool,
    /// None of them goes before this time.
    not_before_ms: u64,
}

impl Outbox {
    /// Outbox of what a store held.
    pub(crate) fn new(held: Vec<Entry>) -> Self {
        let mut outbox = Self::default();
        for entry in held {
            outbox.insert(entry);
        }
        outbox
    }

    fn insert(&mut self, entry: Entry) {
        self.last = self.last.max(entry.order);
        self.orders.insert(entry.id, entry.order);
        if entry.refusal.is_none() {
            self.enqueue(entry.channel_id, entry.order);
        }
        self.entries.insert(entry.order, entry);
    }

    fn enqueue(&mut self, channel_id: ChannelId, order: u64) {
        let lane = self.lanes.entry(channel_id).or_default();
        // The one on its way stays in front: it may have an earlier place, and is answered first.
        let free = usize::from(lane.busy);
        let place = lane.waiting.iter().skip(free).position(|&other| other > order);
        lane.waiting.insert(place.map_or(lane.waiting.len(), |place| place + free), order);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(crate) fn get(&self, order: u64) -> Option<&Entry> {
        self.entries.get(&order)
    }

    pub(crate) fn order_of(&self, id: OperationId) -> Option<u64> {
        self.orders.get(&id).copied()
    }

    /// Takes an operation on, which is asked once it is stored. The entry that it is.
    pub(crate) fn add(&mut self, id: OperationId, channel_id: ChannelId, operation: Operation) -> Entry {
        let order = self.last + 1;
        let entry = Entry { order, id, channel_id, operation, refusal: None };
        self.unstored.insert(order);
        self.insert(entry.clone());
        entry
    }

    /// A mark that was not asked yet, whose place a later one of that channel takes.
    pub(crate) fn replaced_by_mark(&self, channel_id: ChannelId) -> Option<u64> {
        let lane = self.lanes.get(&channel_id)?;
        let waiting = lane.waiting.iter().skip(usize::from(lane.busy));
        waiting.rev().copied().find(|order| matches!(self.entries[order].operation, Operation::Mark { .. }))
    }

    /// The store has it.
    pub(crate) fn stored(&mut self, order: u64) {
        self.unstored.remove(&order);
    }

    /// It is over, or given up. It must not be on its way, unless it was answered.
    pub(crate) fn remove(&mut self, order: u64) -> Option<Entry> {
        let entry = self.entries.remove(&order)?;
        self.orders.remove(&entry.id);
        self.unstored.remove(&order);
        self.leave_lane(&entry);
        Some(entry)
    }

    /// The server refused it for good.
    pub(crate) fn refuse(&mut self, order: u64, refusal: Refusal) -> Option<Entry> {
        let entry = self.entries.get_mut(&order)?;
        entry.refusal = Some(refusal);
        let entry = entry.clone();
        self.leave_lane(&entry);
        Some(entry)
    }

    /// Second attempt at what was refused, under the same id: if it had arrived after all, it does not happen twice.
    pub(crate) fn retry(&mut self, order: u64) -> Option<Entry> {
        let entry = self.entries.get_mut(&order)?;
        entry.refusal.take()?;
        let entry = entry.clone();
        self.unstored.insert(order);
        self.enqueue(entry.channel_id, order);
        Some(entry)
    }

    fn leave_lane(&mut self, entry: &Entry) {
        if let Some(lane) = self.lanes.get_mut(&entry.channel_id) {
            lane.waiting.retain(|&order| order != entry.order);
            if lane.waiting.is_empty() && !lane.busy {
                self.lanes.remove(&entry.channel_id);
            }
        }
    }

    /// `true` while it is on its way.
    pub(crate) fn is_under_way(&self, order: u64) -> bool {
        let lane = self.entries.get(&order).and_then(|entry| self.lanes.get(&entry.channel_id));
        lane.is_some_and(|lane| lane.busy && lane.waiting.front() == Some(&order))
    }

    /// The next operation that may be asked, which is on its way from then on.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<Entry> {
        if self.under_way >= UNDER_WAY_MAX {
            return None;
        }
        let ready = self.lanes.values_mut().filter(|lane| !lane.busy && lane.not_before_ms <= now_ms);
        // The oldest first, over all channels.
        let stored = ready.filter(|lane| lane.waiting.front().is_some_and(|order| !self.unstored.contains(order)));
        let lane = stored.min_by_key(|lane| lane.waiting[0])?;
        lane.busy = true;
        self.under_way += 1;
        Some(self.entries[&lane.waiting[0]].clone())
    }

    /// It was answered; whatever the answer, the next of its channel may go, not before that time.
    pub(crate) fn answered(&mut self, order: u64, not_before_ms: u64) {
        let Some(lane) = self.entries.get(&order).and_then(|entry| self.lanes.get_mut(&entry.channel_id)) else {
            return;
        };
        if std::mem::take(&mut lane.busy) {
            self.under_way -= 1;
        }
        lane.not_before_ms = not_before_ms;
    }

    /// The connection went: what was on its way goes out again with the next one.
    pub(crate) fn lost(&mut self) {
        self.under_way = 0;
        for lane in self.lanes.values_mut() {
            lane.busy = false;
        }
    }

    /// Time at which something may be asked that may not be yet.
    pub(crate) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let later = self.lanes.values().filter(|lane| !lane.busy && !lane.waiting.is_empty());
        later.map(|lane| lane.not_before_ms).filter(|&at_ms| at_ms > now_ms).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// Carries out steps on channels a and b: `a1` adds operation 1 to a, `!1` stores it, `?` asks for the next, `=1` answers it
    /// well, `x1` refuses it for good, `~1` puts it off by 10 ms, `+10` lets time pass, `r1` tries again, `lost` loses the
    /// connection. What was asked, in order.
    #[track_caller]
    fn check(steps: &str, expected: &str) {
        let mut outbox = Outbox::default();
        let mut orders = BTreeMap::new();
        let (mut now_ms, mut asked) = (0, Vec::new());
        let id = |number: u8| OperationId::new(number.into(), [0; 10]);
        let number = |entry: &Entry| entry.id.0.get_timestamp().map_or(0, |time| time.to_unix().1 / 1_000_000);
        for step in steps.split(' ') {
            let (kind, rest) = step.split_at(1);
            let order = |orders: &BTreeMap<u8, u64>| orders[&rest.parse::<u8>().expect("a number")];
            match kind {
                "a" | "b" => {
                    let channel = ChannelId(u64::from(kind.as_bytes()[0]));
                    let number = rest.parse().expect("a number");
                    let entry = outbox.add(id(number), channel, Operation::Send(rest.into()));
                    orders.insert(number, entry.order);
                }
                "!" => outbox.stored(order(&orders)),
                "?" => asked.push(outbox.next(now_ms).map_or("-".to_owned(), |entry| number(&entry).to_string())),
                "=" => {
                    outbox.answered(order(&orders), 0);
                    outbox.remove(order(&orders));
                }
                "x" => {
                    outbox.answered(order(&orders), 0);
                    let refusal =
                        Refusal { code: Code::Blocked, message: String::new(), temporary: false, retry_after_ms: 0 };
                    outbox.refuse(order(&orders), refusal);
                }
                "~" => outbox.answered(order(&orders), now_ms + 10),
                "+" => now_ms += rest.parse::<u64>().expect("a number"),
                "r" => assert!(outbox.retry(order(&orders)).is_some(), "{steps}"),
                "l" => outbox.lost(),
                other => panic!("no step {other}"),
            }
        }
        assert_eq!(asked.join(" "), expected, "{steps}");
    }

    #[test]
    fn an_operation_is_asked_once_it_is_stored() {
        check("a1 ?", "-");
        check("a1 !1 ?", "1");
        check("a1 a2 !2 ?", "-");
        check("a1 a2 !2 !1 ?", "1");
    }

    #[test]
    fn one_of_a_channel_is_on_its_way_at_a_time() {
        check("a1 !1 a2 !2 ? ?", "1 -");
        check("a1 !1 a2 !2 ? =1 ?", "1 2");
        check("a1 !1 b2 !2 a3 !3 ? ? ?", "1 2 -");
        check("a1 !1 b2 !2 a3 !3 ? ? =2 ? =1 ?", "1 2 - 3");
    }

    #[test]
    fn what_is_put_off_keeps_its_place_and_stops_its_channel_alone() {
        check("a1 !1 a2 !2 b3 !3 ? ~1 ? ? +9 ? +1 ?", "1 3 - - 1");
    }

    #[test]
    fn what_is_refused_for_good_lets_the_others_pass_and_may_be_tried_again() {
        check("a1 !1 a2 !2 ? x1 ?", "1 2");
        check("a1 !1 a2 !2 a3 !3 ? x1 ? r1 !1 =2 ?", "1 2 1");
        check("a1 !1 ? x1 r1 ? !1 ?", "1 - 1");
    }

    #[test]
    fn what_was_on_its_way_when_the_connection_went_goes_out_again() {
        check("a1 !1 a2 !2 b3 !3 ? ? lost ? ? ?", "1 3 1 3 -");
    }

    #[test]
    fn a_command_bears_its_id_where_the_protocol_has_it() {
        let check = |operation: Operation, expected: Value| {
            let id = OperationId::new(0, [0; 10]);
            let entry = Entry { order: 1, id, channel_id: ChannelId(5), operation, refusal: None };
            let (name, fields) = entry.command();
            assert_eq!(Value::Object(Map::from_iter([(name, fields)])), expected);
            let kept = serde_json::to_string(&entry).expect("JSON");
            assert_eq!(serde_json::from_str::<Entry>(&kept).expect("what was written"), entry);
        };
        let (id, channel_id) = ("00000000-0000-7000-8000-000000000000", "5");
        check(
            Operation::Send(Draft::from("b").in_reply_to(Seq(2)).mentioning([UserId(9)])),
            serde_json::json!({"send": {"channel_id": channel_id, "client_msg_id": id, "body": "b", "reply_to": 2, "mentions": ["9"]}}),
        );
        check(
            Operation::Send(Draft::from("").carrying([MediaId(7), MediaId(8)])),
            serde_json::json!({"send": {"channel_id": channel_id, "client_msg_id": id, "body": "", "kind": "media", "media": ["7", "8"]}}),
        );
        check(
            Operation::Edit { seq: Seq(1), base_revision: 0, body: "b".into() },
            serde_json::json!({"edit": {"channel_id": channel_id, "op_id": id, "seq": 1, "base_revision": 0, "body": "b"}}),
        );
        check(
            Operation::Delete { seq: Seq(1) },
            serde_json::json!({"delete": {"channel_id": channel_id, "op_id": id, "seq": 1}}),
        );
        check(
            Operation::React { seq: Seq(1), emoji: "👍".into(), on: true },
            serde_json::json!({"react": {"channel_id": channel_id, "op_id": id, "seq": 1, "emoji": "👍", "on": true}}),
        );
        check(
            Operation::Mark { read_seq: Seq(1) },
            serde_json::json!({"mark": {"channel_id": channel_id, "read_seq": 1}}),
        );
    }
}
