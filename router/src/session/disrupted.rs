//! Homes of a session that are others now, that have forgotten it, or that may not have heard it.
//!
//! Owns what a session tells them: nothing is told to the client, whose session stays where it is connected. A `connect`
//! that is under way registers at once, a live session when its turn comes; what it has open it follows again, and whom
//! it watches it says again.

use schema::ChannelId;

use crate::disruption::Disruption;

use super::log::LogCursor;
use super::{Session, ShardContext};

impl Session {
    /// Some homes are concerned, perhaps its own.
    pub(crate) fn disrupted(&mut self, disruption: Disruption, context: &mut ShardContext<'_>) {
        self.home_disrupted(disruption, context);
        let placement = &context.effects.placement;
        let large = self.cold.as_deref().into_iter().flat_map(|cold| cold.open.large());
        let followed: Vec<ChannelId> =
            large.filter(|&channel| disruption.concerns_channel(placement, channel)).collect();
        for channel in followed {
            if disruption.forgets() {
                self.log_mut(channel).map(LogCursor::lose_source);
            }
            self.subscribe(channel, context.effects);
        }
        self.watch_disrupted(disruption, context.effects);
    }

    fn home_disrupted(&mut self, disruption: Disruption, context: &mut ShardContext<'_>) {
        let now = context.effects.now.mono;
        let user = self.stage.registered_user();
        let Some(user) = user.filter(|&user| disruption.concerns_user(&context.effects.placement, user)) else {
            return;
        };
        if !disruption.forgets() {
            // What it has registered with must arrive. Its question may not have, nor the answer.
            if let Some((_, inbox)) = self.stage.inbox_mut() {
                inbox.forget_question();
            }
            return self.ask(context);
        }
        if self.stage.connecting_user().is_some() {
            self.register(context.effects);
        } else if self.stage.forgotten().is_some() {
            context.rejoins.want(now, self.conn, user);
        }
    }
}
