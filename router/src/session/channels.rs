//! Opening and closing of channels by a session.
//!
//! Owns what opening one takes: its state from the store, its members' presence from their homes, and, of a large one,
//! a subscription, which is `feed`'s from there on. Which are open is [`open`](super::open)'s.

use schema::command::{Open, Opened};
use schema::mesh::MeshBody;
use schema::op::ChannelKind;
use schema::page::{MembersPage, OpenedChannel};
use schema::{ChannelId, ErrorCode, Refusal, Reply, Seq, UserId};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::gather::Purpose;
use crate::io::ConnId;
use crate::store::{Answer, Members, OpenChannel};

use super::log::{ANSWER_MS, Opening};
use super::{CommandWaiter, Session, ShardContext};

/// Pages of a channel's members that can be asked for: each is read through those before it, so 10,000 members.
const MEMBER_PAGES_MAX: u32 = 50;

/// A session that waits for a channel to be opened.
#[derive(Debug)]
pub struct OpenWaiter {
    pub(crate) conn: ConnId,
    /// The client's number for the command.
    id: u32,
    channel: ChannelId,
    after_seq: Option<Seq>,
}

impl Session {
    pub(super) fn open(&mut self, id: u32, user: UserId, open: &Open, context: &mut ShardContext<'_>) {
        let &Open { channel_id: channel, after_seq } = open;
        self.cold().open.ask(id, channel);
        context.effects.ask(OpenChannel { user, channel }, OpenWaiter { conn: self.conn, id, channel, after_seq });
    }

    /// Whether the user looks at this channel.
    pub(super) fn has_open(&self, channel: ChannelId) -> bool {
        self.cold.as_deref().is_some_and(|cold| cold.open.contains(channel))
    }

    /// Whether the user follows this channel's log.
    pub(super) fn follows(&self, channel: ChannelId) -> bool {
        self.cold.as_deref().is_some_and(|cold| cold.open.follows(channel))
    }

    /// The store has said what the channel is.
    pub(crate) fn channel_opened(&mut self, answer: Answer<OpenChannel>, context: &mut ShardContext<'_>) {
        let Answer { waiter: OpenWaiter { id, channel, after_seq, .. }, reply } = answer;
        if !self.cold().open.answered(id, channel) {
            return self.answer(id, Err(closed_again()), context);
        }
        let OpenedChannel { kind, head_seq, read_seq, ranges, members, reads } = match reply {
            Ok(opened) => opened,
            Err(refusal) => return self.answer(id, Err(refusal), context),
        };
        match kind {
            ChannelKind::Large => match self.cold().open.has_room_for(channel) {
                Ok(()) => {
                    let by = context.effects.now.mono.plus_ms(ANSWER_MS);
                    self.follow(channel, Opening { id, by, after_seq, read_seq }, ranges, context);
                }
                Err(refusal) => {
                    context.effects.count(Counter::OpenChannels);
                    self.answer(id, Err(refusal), context);
                }
            },
            // A feed has no members, and the store opens it for nobody.
            ChannelKind::Feed => {
                let refusal = Refusal::new(ErrorCode::UnknownChannel, format!("no channel {channel}"));
                self.answer(id, Err(refusal), context);
            }
            ChannelKind::Direct | ChannelKind::Group => {
                if self.cold().open.open_small(channel) {
                    context.effects.count(Counter::SmallOpen);
                }
                let opened = Opened { head_seq, read_seq, online: 0, reads };
                self.gather(id, Purpose::Open(Box::new(opened)), members, true, context);
            }
        }
    }

    pub(super) fn close_channel(&mut self, id: u32, channel: ChannelId, context: &mut ShardContext<'_>) {
        if let Some(log) = self.cold.as_deref_mut().and_then(|cold| cold.open.close(channel)) {
            self.unsubscribe(channel, context.effects);
            if let Some(Opening { id, .. }) = log.opening() {
                self.answer(id, Err(closed_again()), context);
            }
        }
        self.answer(id, Ok(Reply::Close {}), context);
    }

    /// Tells a large channel's home that this session does not follow it any more.
    pub(super) fn unsubscribe(&self, channel: ChannelId, effects: &mut Effects) {
        let home = effects.placement.home_of_channel(channel);
        effects.mesh(home, MeshBody::Unsubscribe { session: self.id, channel });
    }

    /// A question for the presence of a page of a channel's members.
    pub(super) fn members_present(
        &mut self,
        id: u32,
        user: UserId,
        (channel, page): (ChannelId, u32),
        context: &mut ShardContext<'_>,
    ) {
        if page >= MEMBER_PAGES_MAX {
            context.effects.count(Counter::MemberPages);
            let message = format!("page is {page}, the limit is {}", MEMBER_PAGES_MAX - 1);
            return self.answer(id, Err(Refusal::new(ErrorCode::LimitExceeded, message)), context);
        }
        context.effects.ask(Members { user, channel, page }, CommandWaiter { conn: self.conn, id });
    }

    /// The store has listed a channel's members.
    pub(crate) fn members_listed(&mut self, answer: Answer<Members>, context: &mut ShardContext<'_>) {
        let CommandWaiter { id, .. } = answer.waiter;
        match answer.reply {
            Ok(MembersPage { users, fellows }) => self.gather(id, Purpose::Entries, users, fellows, context),
            Err(refusal) => self.answer(id, Err(refusal), context),
        }
    }
}

fn closed_again() -> Refusal {
    Refusal::new(ErrorCode::BadRequest, "the channel was closed again")
}
