//! Inbox cursor of a session: it asks the account's home for the events after it, and pushes what it is given.
//!
//! Owns the session's half of I6: an answer counts only if it begins where the session is, and each event once. Asks
//! only while there is room (I11), and has one question open at a time, which it repeats after a while (I12).

use schema::command::SnapshotChannel;
use schema::event::MemberChange;
use schema::mesh::{MeshBody, More, SnapshotPlace, Target};
use schema::{CloseCode, Cursor, Event, EventBody, Position, Push};

use super::{Awaited, Session, ShardContext, Stage};

impl Session {
    /// Asks the account's home for what comes next, if there is room for it and no question open.
    pub(super) fn ask(&mut self, context: &mut ShardContext<'_>) {
        let credit_bytes = self.outbound.credit_bytes(context.outbound);
        let session = self.id;
        let Stage::Live(live) = &mut self.stage else { return };
        if live.asked.since().is_some() || credit_bytes == 0 || self.closed.is_some() {
            return;
        }
        live.asked = Awaited(context.now.mono);
        let snapshot = live.snapshot.as_deref().copied();
        let more = More { session, user: live.user, after: live.cursor, credit_bytes, snapshot };
        let home = context.effects.placement.home_of_user(live.user);
        context.effects.mesh(home, MeshBody::More(more));
    }

    /// Events of the inbox. They count only if they begin where the session is.
    pub(crate) fn deliver(&mut self, target: &Target, events: &[Event], context: &mut ShardContext<'_>) {
        let (conn, encoding) = (self.conn, self.encoding);
        let Stage::Live(live) = &mut self.stage else { return };
        if target.after != live.cursor || live.snapshot.is_some() {
            return;
        }
        if !is_whole(target, events) {
            // Whatever is wrong, this client must not be led past it: it comes back to its cursor.
            return self.close(CloseCode::Internal);
        }
        for &index in &target.events {
            let frame = context.delivery.frame(&events[usize::from(index)], encoding, live.generation);
            self.outbound.send(conn, frame, context.now.mono, context.effects, context.outbound);
        }
        live.cursor = target.through;
        live.asked = Awaited::NOTHING;
        let user = live.user;
        for &index in &target.events {
            let Event { channel, ref body, .. } = events[usize::from(index)];
            if let &EventBody::Membership { user: whose, change: MemberChange::Removed | MemberChange::Left, .. } = body
                && whose == user
            {
                self.doubt_feed(channel, context);
            }
        }
        self.check_outbound();
        self.ask(context);
    }

    /// A page of what the channels are now, in place of events. Pages ascend by channel, so that one which was answered
    /// twice is known.
    pub(crate) fn snapshot(
        &mut self,
        after: Position,
        channels: Vec<SnapshotChannel>,
        more: bool,
        through: Position,
        context: &mut ShardContext<'_>,
    ) {
        let Stage::Live(live) = &mut self.stage else { return };
        let earlier = live.snapshot.as_deref();
        let first = channels.first().map(|channel| channel.channel_id);
        let is_repeated = earlier.is_some_and(|place| first.is_some_and(|first| first <= place.last));
        if after != live.cursor || is_repeated {
            return;
        }
        // Later pages are read later; where to go on is what the first one saw.
        let through = earlier.map_or(through, |place| place.through);
        live.asked = Awaited::NOTHING;
        let cursor = if more {
            let Some(last) = channels.last() else { return self.close(CloseCode::Internal) };
            live.snapshot = Some(Box::new(SnapshotPlace { through, last: last.channel_id }));
            None
        } else {
            if through < live.cursor {
                return self.close(CloseCode::Internal);
            }
            live.snapshot = None;
            live.cursor = through;
            Some(Cursor { generation: live.generation, position: through }.to_string())
        };
        self.push(Push::Snapshot { channels, more, cursor }, context);
        self.ask(context);
    }
}

/// Whether a delivery has its events, in order, between the places that it names.
fn is_whole(target: &Target, events: &[Event]) -> bool {
    let mut before = target.after;
    for &index in &target.events {
        match events.get(usize::from(index)) {
            Some(event) if event.position > before => before = event.position,
            Some(_) | None => return false,
        }
    }
    target.through >= before
}
