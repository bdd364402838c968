//! The memory that a mesh frame holds while it waits for a mailbox.
//!
//! Owns the estimate by which such queues are bounded (I11). It reads lengths and touches no text. What a frame shares
//! with others counts in full, since it may be the last to hold it.

use std::mem::size_of;

use super::{Kicked, LiveEvent, MeshBody, MeshFrame, Returning, Target, Telling};
use crate::command::SnapshotChannel;
use crate::event::Event;
use crate::id::{ChannelId, Seq, SessionId, UserId};
use crate::op::Refusal;
use crate::presence::PresenceEntry;

impl MeshFrame {
    /// Bytes of memory that this frame holds, itself included: within 256 bytes of a third to four times its encoded
    /// form.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.body.heap_bytes()
    }
}

impl MeshBody {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Apply { op, .. } => op.text_bytes(),
            Self::Applied { reply, .. } => refusal_bytes(reply),
            Self::Hint { events, .. } => events_bytes(events),
            Self::Register { device, client, .. } => device.as_str().len() + client.as_ref().map_or(0, String::len),
            Self::RegisterMany { sessions } => {
                let session_bytes = |one: &Returning| size_of::<Returning>() + one.device.as_str().len();
                sessions.iter().map(session_bytes).sum()
            }
            Self::Registered { start, .. } => refusal_bytes(start),
            Self::KickDone { refused, .. } => refused.as_ref().map_or(0, |refusal| refusal.message.len()),
            Self::Deliver { events, targets } => {
                let target_bytes = |target: &Target| size_of::<Target>() + size_of_val(&*target.events);
                events_bytes(events) + targets.iter().map(target_bytes).sum::<usize>()
            }
            Self::Snapshot { channels, .. } => channels.len() * size_of::<SnapshotChannel>(),
            Self::Kick { whose: Kicked::Device(device), .. } => device.as_str().len(),
            Self::Live { events } => {
                let event_bytes = |event: &LiveEvent| size_of::<LiveEvent>() + size_of_val(&*event.users);
                events.iter().map(event_bytes).sum()
            }
            Self::Tell { sessions, what } => sessions.len() * size_of::<SessionId>() + telling_bytes(what),
            Self::Watch { users, visible, .. } => (users.len() + visible.len()) * size_of::<UserId>(),
            Self::PresenceAsk { users, .. } => users.len() * size_of::<UserId>(),
            Self::Watched { entries, .. } => entries.len() * size_of::<PresenceEntry>(),
            Self::PresenceAnswer { entries, .. } => {
                entries.as_ref().map_or(0, |entries| entries.len() * size_of::<PresenceEntry>())
                    + refusal_bytes(entries)
            }
            Self::Subscribed { start, .. } => refusal_bytes(start),
            Self::Feed(feed) => feed.events.iter().map(|event| event.weight_bytes() as usize).sum(),
            Self::Interest { channels } => channels.len() * size_of::<ChannelId>(),
            Self::Heads { heads } => heads.len() * size_of::<(ChannelId, Seq)>(),
            Self::Unregister { .. }
            | Self::More(_)
            | Self::Replaced { .. }
            | Self::Kick { whose: Kicked::Family(_) | Kicked::Account { .. }, .. }
            | Self::Kicked { .. }
            | Self::Active { .. }
            | Self::Subscribe { .. }
            | Self::Unsubscribe { .. }
            | Self::Index { .. } => 0,
        }
    }
}

fn events_bytes(events: &[Event]) -> usize {
    events.iter().map(|event| event.weight_bytes() as usize).sum()
}

fn telling_bytes(what: &Telling) -> usize {
    match what {
        Telling::Presence { entries } => entries.len() * size_of::<PresenceEntry>(),
        Telling::Published { event, data, .. } => event.len() + data.len(),
        Telling::Typing { .. } | Telling::Read { .. } | Telling::Head { .. } | Telling::FeedHead { .. } => 0,
    }
}

fn refusal_bytes<T>(result: &Result<T, Refusal>) -> usize {
    result.as_ref().err().map_or(0, |refusal| refusal.message.len())
}
