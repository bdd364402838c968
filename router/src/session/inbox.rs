//! Questions of a session to its account's home, and the pushes of what it answers.
//!
//! Owns the way of an answer to the socket; the place in the inbox is [`cursor`](super::cursor)'s. Asks only while
//! there is room (I11).

use schema::command::SnapshotChannel;
use schema::event::MemberChange;
use schema::limits::{MORE_AGAIN_MS, MORE_QUIET_MS};
use schema::mesh::{MeshBody, Target};
use schema::{CloseCode, Event, EventBody, Position, Push};

use super::cursor::Taken;
use super::{Session, ShardContext};

impl Session {
    /// Asks the account's home for what comes next, if there is room for it and no question open. A home that does not
    /// know the session is told its question with its registration.
    pub(super) fn ask(&mut self, context: &mut ShardContext<'_>) {
        self.ask_for(MORE_AGAIN_MS, context);
    }

    /// The same where the last question has waited for its time: nobody may have written, so the next waits longer.
    pub(super) fn ask_again(&mut self, context: &mut ShardContext<'_>) {
        if let Some((_, inbox)) = self.stage.inbox_mut() {
            inbox.forget_question();
        }
        self.ask_for(MORE_QUIET_MS, context);
    }

    fn ask_for(&mut self, patience_ms: u64, context: &mut ShardContext<'_>) {
        if !self.stage.is_known() {
            return;
        }
        let again_at = context.effects.now.mono.plus_ms(patience_ms);
        let credit_bytes = self.outbound.credit_bytes(context.outbound);
        let (Some((user, inbox)), None) = (self.stage.inbox_mut(), self.closed) else { return };
        if let Some(more) = inbox.question(self.id, user, credit_bytes, again_at) {
            let home = context.effects.placement.home_of_user(user);
            context.effects.mesh(home, MeshBody::More(more));
        }
    }

    /// Events of the inbox. They count only if they begin where the session is.
    pub(crate) fn deliver(&mut self, target: &Target, events: &[Event], context: &mut ShardContext<'_>) {
        let Some((user, inbox)) = self.stage.inbox_mut() else { return };
        match inbox.take_events(target, events) {
            Taken::Stale => return,
            // The client comes back to its cursor.
            Taken::Broken => return self.close(CloseCode::Internal),
            Taken::Advanced(()) => {}
        }
        let generation = inbox.at().generation;
        for &index in &target.events {
            let frame = context.delivery.frame(&events[usize::from(index)], self.encoding(), generation);
            self.send(frame, context);
        }
        for &index in &target.events {
            let Event { channel, ref body, .. } = events[usize::from(index)];
            let &EventBody::Membership { user: whose, change, .. } = body else { continue };
            match change {
                MemberChange::Created | MemberChange::Added => self.doubt_visibility(),
                MemberChange::Removed | MemberChange::Left => {
                    self.doubt_visibility();
                    if whose == user {
                        self.doubt_feed(channel, context);
                    }
                }
                MemberChange::Role | MemberChange::Title => {}
            }
        }
        self.ask(context);
    }

    /// A page of what the channels are now, in place of events.
    pub(crate) fn snapshot(
        &mut self,
        after: Position,
        channels: Vec<SnapshotChannel>,
        more: bool,
        through: Position,
        context: &mut ShardContext<'_>,
    ) {
        let Some((_, inbox)) = self.stage.inbox_mut() else { return };
        match inbox.take_page(after, &channels, more, through) {
            Taken::Stale => {}
            Taken::Broken => self.close(CloseCode::Internal),
            Taken::Advanced(cursor) => {
                let cursor = cursor.map(|cursor| cursor.to_string());
                self.push(Push::Snapshot { channels, more, cursor }, context);
                // What it stands for may have been changes of members.
                self.doubt_visibility();
                self.ask(context);
            }
        }
    }
}
