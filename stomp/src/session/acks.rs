//! ACK and NACK: the read mark follows what is acknowledged.

use schema::{ChannelId, Command, ErrorCode, Now, Refusal, Seq};

use crate::destination::Destination;
use crate::frame::{Frame, Version};
use crate::subscription::Subscription;
use crate::unacked::AckMode;

use super::{Outputs, Pending, Session, required};

impl Session {
    pub(super) fn ack(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        let receipt = frame.header("receipt").map(str::to_owned);
        let (number, seq) = self.acked_by(frame)?;
        let Some(subscription) = self.subscription_mut(number) else { return Err(unknown()) };
        let all = subscription.unacked.acked(seq);
        let due = subscription.marks.want(all, receipt);
        let next = subscription.room();
        self.receipt(now, due.as_deref(), out);
        self.mark(now, number, out);
        self.go_on(number, next, out);
        Ok(())
    }

    /// Nothing moves: the message stays unread, and comes again to whoever subscribes after a seq before it.
    pub(super) fn nack(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        self.acked_by(frame)?;
        self.receipt(now, frame.header("receipt"), out);
        Ok(())
    }

    /// Moves the read mark to where it is wanted, unless one is under way.
    pub(super) fn mark(&mut self, now: Now, number: u32, out: &mut Outputs) {
        let Some(channel_id) = self.channel_of(number) else { return };
        let wanted = self.subscription_mut(number).and_then(|subscription| subscription.marks.next(now.mono));
        if let Some(read_seq) = wanted {
            self.ask(Command::Mark { channel_id, read_seq }, Pending::Mark { number }, out);
        }
    }

    pub(super) fn marked(&mut self, now: Now, number: u32, out: &mut Outputs) {
        let receipts = self.subscription_mut(number).map(|found| found.marks.moved()).unwrap_or_default();
        for receipt in receipts {
            self.receipt(now, Some(&receipt), out);
        }
        self.mark(now, number, out);
    }

    /// The subscription and the message that an ACK or a NACK names: in 1.2 by what MESSAGE bore as `ack`, before by its
    /// `message-id`, with the subscription in 1.1.
    fn acked_by(&self, frame: &Frame) -> Result<(u32, Seq), Refusal> {
        if self.version == Version::V12 {
            let (number, seq) = required(frame, "id")?.split_once('-').ok_or_else(unknown)?;
            let number: u32 = number.parse().map_err(|_| unknown())?;
            let seq = Seq(seq.parse().map_err(|_| unknown())?);
            return self.acking(|found| found.number == number).map(|found| (found, seq));
        }
        let (channel, seq) = required(frame, "message-id")?.split_once('-').ok_or_else(unknown)?;
        let channel: ChannelId = channel.parse().map_err(|_| unknown())?;
        let seq = Seq(seq.parse().map_err(|_| unknown())?);
        let id = match self.version {
            Version::V10 => frame.header("subscription"),
            Version::V11 | Version::V12 => Some(required(frame, "subscription")?),
        };
        let number = self.acking(|found| {
            found.destination == Destination::Channel(channel) && id.is_none_or(|id| found.id.as_deref() == Some(id))
        })?;
        Ok((number, seq))
    }

    /// The first subscription of this kind that acknowledges.
    fn acking(&self, is_meant: impl Fn(&Subscription) -> bool) -> Result<u32, Refusal> {
        let mut found = self.subscriptions.iter().filter(|found| found.unacked.mode() != AckMode::Auto);
        found.find(|found| is_meant(found)).map(|found| found.number).ok_or_else(unknown)
    }
}

fn unknown() -> Refusal {
    Refusal::new(ErrorCode::BadRequest, "no subscription that acknowledges was given such a message")
}
