//! ACK and NACK: the read mark follows what is acknowledged.

use schema::{ChannelId, Command, ErrorCode, Now, Refusal, Seq};

use crate::destination::Destination;
use crate::frame::{Frame, Version};
use crate::subscription::{Marks, Subscription, receipt_bytes};
use crate::unacked::AckMode;

use super::{Outputs, Pending, Session, required};

/// Subscriptions that are over and whose last read mark is not where it is to be.
const LEFT_MAX: usize = 100;
/// Bytes of the receipts of ACKs and of subscriptions to presence that wait.
const RECEIPTS_BYTES_MAX: usize = 1024 * 1024;

impl Session {
    pub(super) fn ack(&mut self, now: Now, frame: &Frame, out: &mut Outputs) -> Result<(), Refusal> {
        let receipt = frame.header("receipt").map(str::to_owned);
        let (number, seq) = self.acked_by(frame)?;
        self.has_room_for_receipt(receipt.as_deref())?;
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
        let Some((channel_id, marks)) = self.marks_mut(number) else { return };
        if let Some(read_seq) = marks.next(now.mono) {
            self.ask(Command::Mark { channel_id, read_seq }, Pending::Mark { number }, out);
        }
    }

    pub(super) fn marked(&mut self, now: Now, number: u32, out: &mut Outputs) {
        let receipts = self.marks_mut(number).map(|(_, marks)| marks.moved()).unwrap_or_default();
        for receipt in receipts {
            self.receipt(now, Some(&receipt), out);
        }
        self.mark(now, number, out);
        if !self.under_way.left.is_empty() {
            self.under_way.left.retain(|(_, _, marks)| !marks.is_idle());
        }
    }

    pub(super) fn mark_failed(&mut self, now: Now, number: u32, retry_after_ms: u32) {
        if let Some((_, marks)) = self.marks_mut(number) {
            marks.failed(now.mono, retry_after_ms);
        }
    }

    pub(super) fn tick_left(&mut self, now: Now, out: &mut Outputs) {
        let due = self.under_way.left.iter().filter(|(_, _, marks)| marks.due().is_some_and(|at| at <= now.mono));
        for number in due.map(|&(number, ..)| number).collect::<Vec<_>>() {
            self.mark(now, number, out);
        }
    }

    /// Keeps the way of the read mark of a subscription that is over: what was acknowledged before its UNSUBSCRIBE counts.
    pub(super) fn leave_marks(&mut self, number: u32, channel_id: ChannelId, marks: Marks) -> Result<(), Refusal> {
        if marks.is_idle() {
            return Ok(());
        }
        if self.under_way.left.len() == LEFT_MAX {
            let message = format!("{LEFT_MAX} subscriptions that are over have read marks under way, the limit");
            return Err(Refusal::new(ErrorCode::LimitExceeded, message));
        }
        self.under_way.left.push((number, channel_id, marks));
        Ok(())
    }

    /// The way of the read mark of a subscription, which may be over.
    fn marks_mut(&mut self, number: u32) -> Option<(ChannelId, &mut Marks)> {
        match self.subscriptions.iter_mut().find(|found| found.number == number) {
            Some(Subscription { destination: Destination::Channel(channel), marks, .. }) => Some((*channel, marks)),
            Some(_) => None,
            None if self.under_way.left.is_empty() => None,
            None => {
                let left = self.under_way.left.iter_mut().find(|(of, ..)| *of == number);
                left.map(|(_, channel, marks)| (*channel, marks))
            }
        }
    }

    /// Refusal of one more receipt, if there is no room for it to wait for what it is the receipt of.
    pub(super) fn has_room_for_receipt(&self, receipt: Option<&str>) -> Result<(), Refusal> {
        let Some(receipt) = receipt else { return Ok(()) };
        let of_marks =
            self.subscriptions.iter().map(|found| &found.marks).chain(self.under_way.left.iter().map(|(_, _, of)| of));
        let bytes = of_marks.map(Marks::receipt_bytes).sum::<usize>() + self.under_way.watch.receipt_bytes();
        if bytes + receipt_bytes(receipt) > RECEIPTS_BYTES_MAX {
            let message = format!("receipts that wait have {RECEIPTS_BYTES_MAX} bytes, the limit");
            return Err(Refusal::new(ErrorCode::LimitExceeded, message));
        }
        Ok(())
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
