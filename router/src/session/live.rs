//! Live pushes to a session: typing, marks, heads, in no inbox and kept nowhere.
//!
//! Owns the choice of those that are pushed: nobody waits for one, so a session that is slow to take its events goes
//! without (I11). Of a user's presence only the user's home is believed, and the one before it.

use std::sync::Arc;

use schema::mesh::Telling;
use schema::{Owner, PresenceEntry, Push};

use crate::delivery::Shared;

use super::{Session, ShardContext};

/// A live notice, and its push if that is the same for every session.
pub(crate) struct LiveNotice {
    what: Telling,
    push: Option<Shared>,
}

impl LiveNotice {
    pub(crate) fn new(what: Telling) -> Self {
        let push = match &what {
            &Telling::Typing { channel, user, on, .. } => Some(Push::Typing { channel_id: channel, user_id: user, on }),
            &Telling::Read { channel, user, read_seq } => {
                Some(Push::Read { channel_id: channel, user_id: user, read_seq, cursor: None })
            }
            &Telling::Head { channel, head_seq } => Some(Push::Head { channel_id: channel, head_seq }),
            Telling::Published { channel, event, data, .. } => {
                let (event, data) = (Arc::clone(event), Arc::clone(data));
                Some(Push::Published { channel_id: *channel, event, data })
            }
            &Telling::FeedHead { count } => Some(Push::FeedHead { count }),
            Telling::Presence { .. } => None,
        };
        Self { what, push: push.map(Shared::new) }
    }
}

impl Session {
    /// A notice of the home, of something that has just happened.
    pub(crate) fn notify(&mut self, from: Owner, notice: &mut LiveNotice, context: &mut ShardContext<'_>) {
        let wanted = match &notice.what {
            &(Telling::Typing { channel, open_only, .. } | Telling::Published { channel, open_only, .. }) => {
                !open_only || self.has_open(channel)
            }
            Telling::Read { .. } | Telling::FeedHead { .. } => true,
            &Telling::Head { channel, .. } => !self.follows(channel),
            Telling::Presence { entries } => {
                let is_told = |entry: &&PresenceEntry| context.effects.placement.was_home_of_user(from, entry.user_id);
                let entries: Vec<PresenceEntry> = entries.iter().filter(is_told).copied().collect();
                return self.presence_changed(&entries, context);
            }
        };
        if let Some(push) = notice.push.as_mut().filter(|_| wanted && self.stage.user().is_some()) {
            self.push_live(push, context);
        }
    }

    /// Pushes if there is room, and does without otherwise.
    pub(super) fn push_live(&mut self, push: &mut Shared, context: &mut ShardContext<'_>) {
        if !self.outbound.is_below_target() {
            context.outbound.live_dropped += 1;
        } else if self.closed.is_none() {
            self.send(push.frame(self.encoding()), context);
        }
    }
}
