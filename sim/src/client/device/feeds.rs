//! A device and the large channels of its user: opened on each connection from the last message that it has, closed by
//! its removal, and opened again when it comes back.

use std::sync::Arc;

use schema::command::{ErrorReply, Open, Opened};
use schema::event::MemberChange;
use schema::{ChannelId, Command, ErrorCode, Push, Seq};

use crate::facts::Feed;
use crate::trace::note;

use super::{Asked, Device, Session};

/// How long a device waits before it asks again for a channel that could not be opened.
const AGAIN_MS: u64 = 500;

impl Device {
    /// Opens what is to be opened by now.
    pub(super) fn open_larges(&mut self, session: &mut Session) {
        let now_ms = self.world.trace.now_ms();
        let due: Vec<ChannelId> =
            session.unopened.extract_if(.., |_, due_ms| *due_ms <= now_ms).map(|due| due.0).collect();
        for channel_id in due {
            let after = {
                let facts = self.world.facts.borrow();
                facts.feeds.get(&(self.name.clone(), channel_id)).map_or(Seq::ZERO, Feed::last)
            };
            let open = Open { channel_id, after_seq: Some(after) };
            self.ask(session, Asked::Open(channel_id, after), Command::Open(open));
        }
    }

    pub(super) fn opened(
        &self,
        session: &mut Session,
        channel: ChannelId,
        after: Seq,
        reply: Result<Opened, ErrorReply>,
    ) {
        let mut facts = self.world.facts.borrow_mut();
        match reply {
            Ok(opened) => {
                note!(self.world.trace, "{}: has {channel} open from {after}, head {}", self.name, opened.head_seq);
                let feed = Feed { user: self.user, base: after, seqs: Vec::new(), is_open: true };
                let feed = facts.feeds.entry((self.name.clone(), channel)).or_insert(feed);
                feed.is_open = true;
                // What an earlier opening still brought while this one was asked for comes again.
                feed.seqs.retain(|seq| *seq <= after);
            }
            Err(error) if error.temporary => {
                session.unopened.insert(channel, self.world.trace.now_ms() + AGAIN_MS);
            }
            // Another `open` of the same channel has taken its place.
            Err(error) if error.code == u16::from(ErrorCode::BadRequest) => {}
            // The user was removed. When it is back its inbox says so.
            Err(error) if matches!(error.code, 102 | 103) => {
                drop(facts);
                self.close_feed(channel);
            }
            Err(error) => {
                facts.complain("I6", format!("{} could not open {channel}: {error:?}", self.name));
            }
        }
    }

    /// What a push says of large channels.
    pub(super) fn fed(&self, session: &mut Session, push: &Push) {
        match push {
            Push::Message { message, cursor: None } => {
                let mut facts = self.world.facts.borrow_mut();
                let (channel, seq) = (message.channel_id, message.seq);
                facts.saw(&self.name, self.user, Arc::clone(message));
                // Behind a removal may come what was sent before it.
                match facts.feeds.get_mut(&(self.name.clone(), channel)) {
                    Some(feed) => feed.seqs.push(seq),
                    None => {
                        let finding = format!("{} never had {channel} open and was pushed {seq}", self.name);
                        facts.complain("I6", finding);
                    }
                }
            }
            Push::Edited { message, cursor: None } => {
                self.world.facts.borrow_mut().saw(&self.name, self.user, Arc::clone(message));
            }
            &Push::Membership { channel_id, user_id, change, .. } if user_id == self.user => {
                if !self.world.larges_of(self.user).contains(&channel_id) {
                    return;
                }
                match change {
                    MemberChange::Removed | MemberChange::Left => {
                        session.unopened.remove(&channel_id);
                        self.close_feed(channel_id);
                    }
                    MemberChange::Added | MemberChange::Created => {
                        session.unopened.insert(channel_id, self.world.trace.now_ms());
                    }
                    MemberChange::Role | MemberChange::Title => {}
                }
            }
            _ => {}
        }
    }

    fn close_feed(&self, channel: ChannelId) {
        let mut facts = self.world.facts.borrow_mut();
        if let Some(feed) = facts.feeds.get_mut(&(self.name.clone(), channel)) {
            feed.is_open = false;
        }
    }

    /// With the connection all that was open is closed.
    pub(super) fn close_feeds(&self) {
        self.world.larges_of(self.user).into_iter().for_each(|large| self.close_feed(large));
    }
}
