//! SEND: messages to channels, and new tokens.
//!
//! Owns the messages that are not durable yet. STOMP has no answer that says "later": what is refused for now is sent again
//! here, under the same id and in the same order, for half a minute. Meanwhile the socket is not read beyond a bound, so a
//! client that sends more than it may is slowed down by TCP and not turned away (I11).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::command::ErrorReply;
use schema::limits::UNANSWERED_MAX;
use schema::message::{MessageKind, no_mentions};
use schema::{
    ClientMsgId, Command, DeviceId, ErrorCode, Instant, MediaId, Now, Refusal, Seq, SessionId, UnixMs, UserId,
};

use crate::destination::Destination;
use crate::frame::{Frame, FrameWriter, Verb};

use super::repeats::{Repeatable, Repeated};
use super::{Outputs, Pending, Send, Session, parsed, required};

/// Time for which a message that is refused for now is sent again.
const SENT_AGAIN_MS: u64 = 30_000;
/// Time until then, unless the server says another.
const AGAIN_MS: u64 = 1_000;
/// Messages that are sent again at once: as many as come into a second's rate.
const AGAIN_AT_ONCE: usize = 50;
/// Messages that wait to be sent again at which the socket is not read.
const WAITING_MAX: usize = 256;
/// Bytes of messages that are not durable at which it is not.
const BYTES_MAX: usize = 1024 * 1024;
/// Bytes that a message counts beside its text.
const MESSAGE_BYTES: usize = 256;

/// Messages that are not durable yet, by the order of their SENDs.
#[derive(Debug, Default)]
pub(super) struct Sends {
    /// The number of the next.
    next: u64,
    /// Those that the server was asked for and has not answered.
    in_flight: BTreeSet<u64>,
    /// Those that wait: refused for now, behind one that was, or behind as many as the server takes without an answer.
    waiting: BTreeMap<u64, Unsent>,
    /// `true` if one of these was refused.
    are_refused: bool,
    /// Time at which these are sent.
    again_at: Option<Instant>,
    bytes: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Unsent {
    send: Send,
    receipt: Option<String>,
    /// Time at which its refusal is told, once it was refused.
    until: Option<Instant>,
}

impl Unsent {
    fn bytes(&self) -> usize {
        MESSAGE_BYTES + self.send.body.len()
    }
}

impl Sends {
    pub(super) const NONE: Self = Self {
        next: 0,
        in_flight: BTreeSet::new(),
        waiting: BTreeMap::new(),
        are_refused: false,
        again_at: None,
        bytes: 0,
    };

    /// Whether one is not durable yet, or was refused.
    pub(super) fn are_any(&self) -> bool {
        !self.in_flight.is_empty() || !self.waiting.is_empty() || self.are_refused || self.again_at.is_some()
    }

    /// The number of the last SEND.
    pub(super) fn last(&self) -> u64 {
        self.next
    }

    /// `true` once all up to this number are durable.
    pub(super) fn are_done(&self, through: u64) -> bool {
        let first = [self.in_flight.first().copied(), self.waiting.first_key_value().map(|(&number, _)| number)];
        first.into_iter().flatten().all(|number| number > through)
    }

    /// Room for more; if the socket is not read, for a good deal.
    pub(super) fn has_room(&self, reads_on: bool) -> bool {
        let part = if reads_on { 1 } else { 2 };
        self.waiting.len() < WAITING_MAX / part && self.bytes < BYTES_MAX / part
    }

    fn answered(&mut self, number: u64) {
        self.in_flight.remove(&number);
        if self.in_flight.is_empty() {
            // It holds no memory then.
            self.in_flight = BTreeSet::new();
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.again_at.filter(|_| self.in_flight.is_empty())
    }
}

/// Ids for messages of clients that give none. Unique by time, device and session, so that a message is sent once for
/// each SEND; a client that wants that over connections too gives its own.
#[derive(Debug, Default)]
pub(super) struct MessageIds {
    /// Of the device and the session.
    origin: u64,
    count: u32,
}

impl MessageIds {
    /// By the device (FNV-1a).
    pub(super) fn name(&mut self, device: &DeviceId) {
        self.mix(device.as_str().as_bytes());
    }

    /// By the session.
    pub(super) fn number(&mut self, session: SessionId) {
        self.mix(&session.0.to_be_bytes());
    }

    fn mix(&mut self, bytes: &[u8]) {
        let start = if self.origin == 0 { 0xcbf2_9ce4_8422_2325 } else { self.origin };
        self.origin = bytes.iter().fold(start, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    }

    /// A number for an event, which has no id of its own.
    pub(super) fn event(&mut self) -> u32 {
        self.count = self.count.wrapping_add(1);
        self.count
    }

    fn next(&mut self, wall: UnixMs) -> ClientMsgId {
        self.count = self.count.wrapping_add(1);
        ClientMsgId::new(wall, (u128::from(self.origin) << 32) | u128::from(self.count))
    }
}

impl Session {
    pub(super) fn send(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        let destination = required(frame, "destination")?.parse();
        let destination = destination.map_err(|error: crate::destination::UnknownDestination| {
            Refusal::new(ErrorCode::BadRequest, error.to_string())
        })?;
        let body = str::from_utf8(&frame.body)
            .map_err(|_| Refusal::new(ErrorCode::BadRequest, "the body is not UTF-8: messages are texts"))?;
        let receipt = frame.header("receipt").map(str::to_owned);
        match destination {
            Destination::Channel(channel_id) | Destination::Send(channel_id) => {
                let media = media(frame)?;
                let send = Send {
                    channel_id,
                    client_msg_id: match parsed(frame, "x-client-msg-id")? {
                        Some(id) => id,
                        None => self.message_ids.next(now.wall),
                    },
                    body: Arc::from(body),
                    reply_to: parsed(frame, "x-reply-to")?.map(Seq),
                    mentions: mentions(frame)?,
                    kind: MessageKind::Text.with(&media),
                    media,
                };
                let unsent = Unsent { send, receipt, until: None };
                self.under_way.sends.next += 1;
                self.under_way.sends.bytes += unsent.bytes();
                let number = self.under_way.sends.next;
                if self.under_way.sends.waiting.is_empty()
                    && self.under_way.sends.in_flight.len() < UNANSWERED_MAX as usize
                {
                    self.ask_send(number, unsent, out);
                } else {
                    self.under_way.sends.waiting.insert(number, unsent);
                }
            }
            Destination::Refresh => {
                let token = body.trim().to_owned();
                self.ask_repeated(Repeated::new(Repeatable::Refresh(token), receipt), out);
            }
            Destination::Inbox | Destination::Presence(_) => {
                return Err(Refusal::new(ErrorCode::BadRequest, format!("nothing can be sent to {destination}")));
            }
        }
        Ok(())
    }

    fn ask_send(&mut self, number: u64, unsent: Unsent, out: &mut Outputs) {
        self.under_way.sends.in_flight.insert(number);
        let command = Command::Send(unsent.send.clone());
        self.ask(command, Pending::Send(Box::new((number, unsent))), out);
    }

    /// A message is durable.
    pub(super) fn sent(
        &mut self,
        now: Now,
        (number, unsent): (u64, &Unsent),
        (seq, sent_ms, duplicate): (Seq, UnixMs, bool),
        out: &mut Outputs,
    ) {
        self.under_way.sends.answered(number);
        self.under_way.sends.bytes -= unsent.bytes();
        if let Some(receipt) = &unsent.receipt {
            let writer = FrameWriter::new(self.version, Verb::Receipt)
                .header("receipt-id", receipt)
                .header("x-seq", seq.0)
                .header("x-sent-ms", sent_ms.0)
                .header("x-duplicate", duplicate);
            self.say(now, writer.end(), out);
        }
        self.send_again(now, out);
    }

    /// A message is refused; for now only, it waits, and so do those behind it: the server refuses what is pending behind
    /// it to the same channel.
    pub(super) fn send_refused(
        &mut self,
        now: Now,
        number: u64,
        mut unsent: Unsent,
        error: &ErrorReply,
        out: &mut Outputs,
    ) {
        self.under_way.sends.answered(number);
        let until = *unsent.until.get_or_insert(now.mono.plus_ms(SENT_AGAIN_MS));
        if !error.temporary || until <= now.mono {
            return self.fail(now, error, unsent.receipt.as_deref(), out);
        }
        let ms = if error.retry_after_ms == 0 { AGAIN_MS } else { error.retry_after_ms.into() };
        self.under_way.sends.again_at = self.under_way.sends.again_at.max(Some(now.mono.plus_ms(ms)));
        self.under_way.sends.waiting.insert(number, unsent);
        self.under_way.sends.are_refused = true;
        self.send_again(now, out);
    }

    /// Sends what waits. If some of it was refused, once all that is under way is answered: a message that is refused then
    /// goes before later ones.
    pub(super) fn send_again(&mut self, now: Now, out: &mut Outputs) {
        if !self.under_way.sends.are_any() {
            return;
        }
        let under_way = self.under_way.sends.in_flight.len();
        if self.under_way.sends.are_refused && under_way > 0
            || self.under_way.sends.again_at.is_some_and(|at| at > now.mono)
        {
            return;
        }
        self.under_way.sends.again_at = None;
        let room = if self.under_way.sends.are_refused { AGAIN_AT_ONCE } else { UNANSWERED_MAX as usize - under_way };
        for _ in 0..room {
            let Some((number, unsent)) = self.under_way.sends.waiting.pop_first() else {
                (self.under_way.sends.waiting, self.under_way.sends.are_refused) = (BTreeMap::new(), false);
                break;
            };
            self.ask_send(number, unsent, out);
        }
    }
}

fn mentions(frame: &Frame) -> Result<Arc<[UserId]>, Refusal> {
    let Some(list) = frame.header("x-mentions") else { return Ok(no_mentions()) };
    let bad = |error| Refusal::new(ErrorCode::BadRequest, format!("x-mentions: {error}"));
    list.split(',').map(|id| id.trim().parse().map_err(bad)).collect()
}

fn media(frame: &Frame) -> Result<Vec<MediaId>, Refusal> {
    let Some(list) = frame.header("x-media") else { return Ok(Vec::new()) };
    let bad = |error| Refusal::new(ErrorCode::BadRequest, format!("x-media: {error}"));
    list.split(',').map(|id| id.trim().parse().map_err(bad)).collect()
}
