//! Open channels of a session.
//!
//! Owns what opening one takes: its state from the store, its members' presence from their homes, and, of a large one,
//! a subscription, which is `feed`'s from there on. Owns the bound on how many are open.

use std::collections::{BTreeMap, VecDeque};

use schema::command::{Open, Opened};
use schema::limits::OPEN_CHANNELS_MAX;
use schema::mesh::MeshBody;
use schema::op::ChannelKind;
use schema::page::{MembersPage, OpenedChannel};
use schema::{ChannelId, ErrorCode, Instant, Refusal, Reply, Seq};

use crate::counters::Counter;
use crate::effects::Effects;
use crate::gather::Purpose;
use crate::io::ConnId;
use crate::openers::Openers;
use crate::store::{Answer, Members, OpenChannel};

use super::feed::{Feed, Opening};
use super::{CommandWaiter, Session, ShardContext, Stage};

/// Pages of a channel's members that can be asked for: each is read through those before it, so 10,000 members.
const MEMBER_PAGES_MAX: u32 = 50;

/// Direct channels and groups that are open, at 8 bytes each. A client looks at one or a few; of those that were opened
/// longest ago it is told no more who writes in them.
const SMALL_OPEN_MAX: usize = 256;

/// A session that waits for a channel to be opened.
#[derive(Debug)]
pub struct OpenWaiter {
    pub(crate) conn: ConnId,
    /// The client's number for the command.
    id: u32,
    channel: ChannelId,
    after_seq: Option<Seq>,
}

/// The channels that are open.
#[derive(Debug, Default)]
pub(super) struct OpenChannels {
    /// The large ones.
    pub(super) feeds: BTreeMap<ChannelId, Box<Feed>>,
    /// The others, in the order in which they were opened.
    small: VecDeque<ChannelId>,
    /// What the store was asked, by the client's numbers. A `close` takes back the `open` before it. Bounded by the
    /// answers that may be outstanding.
    asked: Vec<(u32, ChannelId)>,
    /// The large one whose log was read last: the next one's turn comes after it.
    pub(super) read_last: Option<ChannelId>,
}

impl OpenChannels {
    /// When the feeds next have something to do, given whether there is room to push.
    pub(super) fn due(&self, has_room: bool) -> Option<Instant> {
        self.feeds.values().map(|feed| feed.due(has_room)).min()
    }

    /// Whether nothing is open or being opened.
    pub(super) fn is_idle(&self) -> bool {
        self.feeds.is_empty() && self.small.is_empty() && self.asked.is_empty()
    }

    /// The feed of a large channel that is open or being opened.
    pub(super) fn feed_mut(&mut self, channel: ChannelId) -> Option<&mut Feed> {
        self.feeds.get_mut(&channel).map(Box::as_mut)
    }

    /// The store has answered what was asked. Returns whether it is wanted still.
    fn answered(&mut self, id: u32, channel: ChannelId) -> bool {
        let at = self.asked.iter().position(|&asked| asked == (id, channel));
        at.map(|at| self.asked.swap_remove(at)).is_some()
    }

    /// Returns whether another was forgotten for it.
    fn open_small(&mut self, channel: ChannelId) -> bool {
        self.small.retain(|&open| open != channel);
        let forgotten = if self.small.len() >= SMALL_OPEN_MAX { self.small.pop_front() } else { None };
        self.small.push_back(channel);
        forgotten.is_some()
    }

    /// Whether one more large channel may be open.
    fn has_room_for(&self, channel: ChannelId) -> Result<(), Refusal> {
        if self.feeds.len() < OPEN_CHANNELS_MAX as usize || self.feeds.contains_key(&channel) {
            return Ok(());
        }
        let message = format!("{OPEN_CHANNELS_MAX} large channels are open, the limit: close one");
        Err(Refusal::new(ErrorCode::LimitExceeded, message))
    }
}

impl Session {
    pub(super) fn open(&mut self, id: u32, open: &Open, context: &mut ShardContext<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        let user = live.user;
        let &Open { channel_id: channel, after_seq } = open;
        self.cold().open.asked.push((id, channel));
        context.effects.ask(OpenChannel { user, channel }, OpenWaiter { conn: self.conn, id, channel, after_seq });
    }

    /// Whether the user looks at this channel.
    pub(super) fn has_open(&self, channel: ChannelId) -> bool {
        self.cold.as_deref().is_some_and(|cold| {
            let OpenChannels { feeds, small, .. } = &cold.open;
            feeds.contains_key(&channel) || small.contains(&channel)
        })
    }

    /// Whether the user follows this channel's log.
    pub(super) fn follows(&self, channel: ChannelId) -> bool {
        self.cold.as_deref().is_some_and(|cold| cold.open.feeds.contains_key(&channel))
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
                Ok(()) => self.follow(channel, Opening { id, after_seq, read_seq }, ranges, context),
                Err(refusal) => {
                    context.effects.count(Counter::OpenChannels);
                    self.answer(id, Err(refusal), context);
                }
            },
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
        let open = self.cold.as_deref_mut().map(|cold| &mut cold.open);
        let closed = open.and_then(|open| {
            open.asked.retain(|&(_, asked)| asked != channel);
            open.small.retain(|&small| small != channel);
            open.feeds.remove(&channel)
        });
        if let Some(feed) = closed {
            context.openers.close(channel, self.conn);
            self.unsubscribe(channel, context.effects);
            if let Some(Opening { id, .. }) = feed.opening() {
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

    /// The session is over.
    pub(crate) fn close_channels(&self, openers: &mut Openers, effects: &mut Effects) {
        for &channel in self.cold.as_deref().into_iter().flat_map(|cold| cold.open.feeds.keys()) {
            openers.close(channel, self.conn);
            self.unsubscribe(channel, effects);
        }
    }

    /// Who of a channel's members is there.
    pub(super) fn members_present(&mut self, id: u32, channel: ChannelId, page: u32, context: &mut ShardContext<'_>) {
        let Stage::Live(live) = &self.stage else { return };
        let user = live.user;
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
