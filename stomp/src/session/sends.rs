//! SEND: messages to channels, and new tokens.

use std::sync::Arc;

use schema::message::{MessageKind, no_mentions};
use schema::{ClientMsgId, Command, DeviceId, ErrorCode, Now, Refusal, Seq, SessionId, UnixMs, UserId};

use crate::destination::Destination;
use crate::frame::{Frame, FrameWriter, Verb};

use super::{Outputs, Pending, Send, Session, parsed, required};

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
                let send = Send {
                    channel_id,
                    client_msg_id: match parsed(frame, "x-client-msg-id")? {
                        Some(id) => id,
                        None => self.message_ids.next(now.wall),
                    },
                    body: Arc::from(body),
                    reply_to: parsed(frame, "x-reply-to")?.map(Seq),
                    mentions: mentions(frame)?,
                    kind: MessageKind::default(),
                };
                self.ask(Command::Send(send), Pending::Send { receipt }, out);
            }
            Destination::Refresh => {
                let token = body.trim().to_owned();
                self.ask(Command::Refresh { token }, Pending::Refresh { receipt }, out);
            }
            Destination::Inbox | Destination::Presence(_) => {
                return Err(Refusal::new(ErrorCode::BadRequest, format!("nothing can be sent to {destination}")));
            }
        }
        Ok(())
    }

    /// The message is durable.
    pub(super) fn sent(
        &mut self,
        now: Now,
        receipt: Option<&str>,
        (seq, sent_ms, duplicate): (Seq, UnixMs, bool),
        out: &mut Outputs,
    ) {
        let Some(receipt) = receipt else { return };
        let writer = FrameWriter::new(self.version, Verb::Receipt)
            .header("receipt-id", receipt)
            .header("x-seq", seq.0)
            .header("x-sent-ms", sent_ms.0)
            .header("x-duplicate", duplicate);
        self.say(now, writer.end(), out);
    }
}

fn mentions(frame: &Frame) -> Result<Arc<[UserId]>, Refusal> {
    let Some(list) = frame.header("x-mentions") else { return Ok(no_mentions()) };
    let bad = |error| Refusal::new(ErrorCode::BadRequest, format!("x-mentions: {error}"));
    list.split(',').map(|id| id.trim().parse().map_err(bad)).collect()
}
