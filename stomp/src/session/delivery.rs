//! MESSAGE: what subscriptions are given.

use std::collections::BTreeSet;
use std::fmt::Display;

use schema::{Message, Now, PresenceEntry, Push, Seq};

use crate::destination::Destination;
use crate::frame::{FrameWriter, Verb, Version};
use crate::subscription::{Next, Subscription};
use crate::unacked::AckMode;

use super::{ChannelId, Outputs, Session, Stage};

const TEXT: &str = "text/plain;charset=utf-8";
const JSON: &str = "application/json;charset=utf-8";

impl Session {
    /// Gives a push to the subscriptions that want it.
    pub(super) fn pushed(&mut self, now: Now, push: Push, out: &mut Outputs) {
        if let Stage::Live { held: Some(held) } = &mut self.stage {
            return held.0.push(push);
        }
        if let Push::Presence { entries } = &push {
            return self.give_presence(now, entries, None, out);
        }
        let name = event_name(&push);
        let channel = channel_of(&push);
        let mut body = None;
        for at in 0..self.subscriptions.len() {
            let subscription = &mut self.subscriptions[at];
            let number = subscription.number;
            let is_wanted = match (subscription.destination, &push) {
                (Destination::Channel(of), Push::Message { message, .. }) => {
                    if of == message.channel_id && subscription.pushed(message.seq) {
                        self.give_message(now, number, message, push.cursor(), out);
                    }
                    false
                }
                (Destination::Channel(of), Push::Snapshot { channels, .. }) => {
                    let head = channels.iter().find(|channel| channel.channel_id == of).map(|found| found.head_seq);
                    let next = head.map_or(Next::Nothing, |head| subscription.grown(head));
                    self.go_on(number, next, out);
                    false
                }
                (Destination::Channel(of), _) => {
                    let is_news =
                        changed(&push).is_none_or(|seq| !subscription.all_events || subscription.changed(seq));
                    subscription.all_events && channel == Some(of) && is_news
                }
                (Destination::Inbox, _) => is_of_inbox(&push),
                (Destination::Presence(_) | Destination::Send(_) | Destination::Refresh, _) => false,
            };
            if is_wanted {
                let body = body.get_or_insert_with(|| serde_json::to_vec(&push).expect("a push is JSON"));
                self.give_event(now, number, (name, push.cursor()), body, out);
            }
        }
    }

    /// A message of a channel, as text.
    pub(super) fn give_message(
        &mut self,
        now: Now,
        number: u32,
        message: &Message,
        cursor: Option<&str>,
        out: &mut Outputs,
    ) {
        let version = self.version;
        let media = &message.media;
        let media = (!media.is_empty()).then(|| serde_json::to_string(media).expect("attachments are JSON"));
        let Some(subscription) = self.subscription_mut(number) else { return };
        let acks = subscription.unacked.mode() != AckMode::Auto && version == Version::V12;
        let id = (message.channel_id, message.seq.0);
        let writer = writer(version, subscription, format_args!("{}-{}", id.0, id.1))
            .header_if("ack", acks.then(|| format!("{number}-{}", id.1)))
            .header("x-seq", id.1)
            .header("x-from", message.from)
            .header("x-sent-ms", message.sent_ms.0)
            .header("x-client-msg-id", message.client_msg_id)
            .header("x-kind", if media.is_some() { "media" } else { "text" })
            .header("x-revision", message.revision)
            .header_if("x-reply-to", message.reply_to.map(|seq| seq.0))
            .header_if("x-edited-ms", message.edited_ms.map(|at| at.0))
            .header_if("x-deleted", message.deleted.then_some(true))
            .header_if("x-media", media)
            .header_if("x-cursor", cursor)
            .header("content-type", TEXT);
        self.say(now, writer.body(message.body.as_bytes()), out);
    }

    /// Presence, to all subscriptions of the users or to some.
    pub(super) fn give_presence(
        &mut self,
        now: Now,
        entries: &[PresenceEntry],
        only: Option<&BTreeSet<u32>>,
        out: &mut Outputs,
    ) {
        for entry in entries {
            let wants = |found: &&Subscription| {
                found.destination == Destination::Presence(entry.user_id)
                    && only.is_none_or(|numbers| numbers.contains(&found.number))
            };
            let numbers: Vec<u32> = self.subscriptions.iter().filter(wants).map(|found| found.number).collect();
            if numbers.is_empty() {
                continue;
            }
            let body = serde_json::to_vec(entry).expect("an entry is JSON");
            for number in numbers {
                self.give_event(now, number, ("presence", None), &body, out);
            }
        }
    }

    fn give_event(
        &mut self,
        now: Now,
        number: u32,
        (name, cursor): (&str, Option<&str>),
        body: &[u8],
        out: &mut Outputs,
    ) {
        let (version, id) = (self.version, self.message_ids.event());
        let Some(subscription) = self.subscription_mut(number) else { return };
        let writer = writer(version, subscription, format_args!("e{id}"))
            .header("x-event", name)
            .header_if("x-cursor", cursor)
            .header("content-type", JSON);
        self.say(now, writer.body(body), out);
    }
}

/// The headers that all have.
fn writer(version: Version, subscription: &Subscription, message_id: impl Display) -> FrameWriter {
    FrameWriter::new(version, Verb::Message)
        .header("destination", subscription.destination)
        .header_if("subscription", subscription.id.as_deref())
        .header("message-id", message_id)
}

/// Its name, as in the JSON protocol.
fn event_name(push: &Push) -> &'static str {
    match push {
        Push::Message { .. } => "message",
        Push::Edited { .. } => "edited",
        Push::Deleted { .. } => "deleted",
        Push::Reaction { .. } => "reaction",
        Push::Membership { .. } => "membership",
        Push::Read { .. } => "read",
        Push::Snapshot { .. } => "snapshot",
        Push::TokenExpiring { .. } => "token_expiring",
        Push::Drain { .. } => "drain",
        Push::Head { .. } => "head",
        Push::Presence { .. } => "presence",
        Push::Typing { .. } => "typing",
        Push::Published { .. } => "published",
        Push::FeedHead { .. } => "feed_head",
    }
}

/// The channel that it is about, if it is about one.
fn channel_of(push: &Push) -> Option<ChannelId> {
    match push {
        Push::Message { message, .. } | Push::Edited { message, .. } => Some(message.channel_id),
        Push::Deleted { channel_id, .. }
        | Push::Reaction { channel_id, .. }
        | Push::Membership { channel_id, .. }
        | Push::Read { channel_id, .. }
        | Push::Head { channel_id, .. }
        | Push::Typing { channel_id, .. }
        | Push::Published { channel_id, .. } => Some(*channel_id),
        Push::Snapshot { .. }
        | Push::TokenExpiring { .. }
        | Push::Drain { .. }
        | Push::Presence { .. }
        | Push::FeedHead { .. } => None,
    }
}

/// The earlier message that it changes, if it does.
fn changed(push: &Push) -> Option<Seq> {
    match push {
        Push::Edited { message, .. } => Some(message.seq),
        Push::Deleted { seq, .. } | Push::Reaction { seq, .. } => Some(*seq),
        Push::Message { .. }
        | Push::Membership { .. }
        | Push::Read { .. }
        | Push::Snapshot { .. }
        | Push::TokenExpiring { .. }
        | Push::Drain { .. }
        | Push::Head { .. }
        | Push::Presence { .. }
        | Push::Typing { .. }
        | Push::Published { .. }
        | Push::FeedHead { .. } => None,
    }
}

/// `true` of what is the account's: an event with a place in its inbox, or told live. What an open large channel tells has no
/// place there.
fn is_of_inbox(push: &Push) -> bool {
    match push {
        Push::Message { cursor, .. }
        | Push::Edited { cursor, .. }
        | Push::Deleted { cursor, .. }
        | Push::Reaction { cursor, .. }
        | Push::Membership { cursor, .. } => cursor.is_some(),
        Push::Read { .. }
        | Push::Snapshot { .. }
        | Push::TokenExpiring { .. }
        | Push::Drain { .. }
        | Push::Head { .. }
        | Push::Typing { .. }
        | Push::Published { .. }
        | Push::FeedHead { .. } => true,
        Push::Presence { .. } => false,
    }
}
