//! The home of large channels: who follows their logs, and which homes want to know how far they have come.
//!
//! Owns the subscriptions of sessions, by channel and shard. Membership is read with each word of a session, which
//! renews it, and a member who is removed is one no more with the very event that says so: whatever the feed tells
//! later goes to the others alone (I10). What happened goes to each shard with followers once, in the order of the log;
//! whoever misses some of it reads the log. Nothing here is kept for a slow session. Of a channel that moves on nothing
//! stays.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use schema::event::MemberChange;
use schema::limits::{HEAD_MS, RENEW_MS};
use schema::mesh::{Feed, FeedStart, MeshBody};
use schema::{
    ChannelId, Epoch, ErrorCode, EventBody, Incarnation, Instant, Owner, Partition, Refusal, Seq, SessionId, UserId,
};

use crate::counters::Counter;
use crate::disruption::Disruption;
use crate::effects::Effects;
use crate::ownership::moving;
use crate::placement::by_owner;
use crate::store::{Answer, Subscribe, waiters};

/// Subscriptions, and homes that want to know of a channel, together. Some 150 bytes each: 150 MB.
const FOLLOWED_MAX: usize = 1_000_000;
/// Reads of membership at once.
const CHECKS_MAX: usize = 256;
/// Channels in one frame of heads.
const HEADS_OF_FRAME: usize = 4_096;

/// A session, wherever it is.
type Place = (Owner, SessionId);

#[derive(Debug, Default)]
struct Channel {
    head: Seq,
    followers: BTreeMap<Place, Follower>,
    /// Sessions whose membership is being read, or waits to be.
    asked: BTreeMap<Place, Asked>,
    /// Homes with members, and until when they want to know.
    interested: BTreeMap<Owner, Instant>,
}

#[derive(Debug)]
struct Follower {
    user: UserId,
    /// The session's number for its last word.
    number: u32,
    expires: Instant,
}

#[derive(Debug)]
struct Asked {
    user: UserId,
    /// The session's number for it.
    number: u32,
    /// The read that is under way.
    check: Option<u64>,
}

/// A read of one session's membership.
#[derive(Debug)]
pub struct Check {
    channel: ChannelId,
    place: Place,
    number: u64,
}

waiters! { Subscribe => Check; }

#[derive(Debug, Default)]
pub(crate) struct Feeds {
    channels: BTreeMap<ChannelId, Channel>,
    expiry: BTreeSet<(Instant, ChannelId, Place)>,
    interest_expiry: BTreeSet<(Instant, ChannelId, Owner)>,
    followers: usize,
    wanted: BTreeSet<(ChannelId, Place)>,
    served: Option<(ChannelId, Place)>,
    under_way: usize,
    checks: u64,
    /// Channels that have grown since heads were told.
    grown: BTreeSet<ChannelId>,
    heads_at: Instant,
}

impl Feeds {
    /// Sessions that follow a log, each once a channel.
    pub(crate) fn followers(&self) -> usize {
        self.followers
    }

    fn total(&self) -> usize {
        self.followers + self.interest_expiry.len() + self.wanted.len()
    }

    /// A session follows a channel's log, or goes on doing so.
    pub(crate) fn subscribe(
        &mut self,
        place: Place,
        user: UserId,
        (channel, number): (ChannelId, u32),
        effects: &mut Effects,
    ) {
        let (owner, session) = place;
        if self.total() >= FOLLOWED_MAX && !self.knows(place, channel) {
            effects.count(Counter::Followers);
            let message = format!("{FOLLOWED_MAX} sessions follow channels of this shard, the limit");
            let start = Err(Refusal::new(ErrorCode::Overloaded, message));
            return effects.mesh(owner, MeshBody::Subscribed { session, channel, number, start });
        }
        let state = self.channels.entry(channel).or_default();
        let asked = state.asked.entry(place).or_insert(Asked { user, number, check: None });
        asked.number = number;
        if asked.user != user {
            *asked = Asked { user, number, check: None };
        }
        if asked.check.is_none() {
            self.wanted.insert((channel, place));
        }
        self.start(effects);
    }

    /// Whether a session has its place: to keep it takes no room.
    fn knows(&self, place: Place, channel: ChannelId) -> bool {
        let is_here = |state: &Channel| state.followers.contains_key(&place) || state.asked.contains_key(&place);
        self.channels.get(&channel).is_some_and(is_here)
    }

    fn start(&mut self, effects: &mut Effects) {
        while self.under_way < CHECKS_MAX {
            let after = self.served.map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.wanted.range((after, Bound::Unbounded)).next().or_else(|| self.wanted.first()).copied();
            let Some((channel, place)) = next else { break };
            self.wanted.remove(&(channel, place));
            self.served = next;
            let state = self.channels.get_mut(&channel).expect("what is wanted is asked for");
            let asked = state.asked.get_mut(&place).expect("what is wanted is asked for");
            self.checks += 1;
            self.under_way += 1;
            asked.check = Some(self.checks);
            let check = Check { channel, place, number: self.checks };
            effects.ask(Subscribe { user: asked.user, channel }, check);
        }
    }

    /// The store has said whether a session's user is a member, and where the log stands.
    pub(crate) fn checked(&mut self, answer: Answer<Subscribe>, effects: &mut Effects) {
        self.under_way -= 1;
        let Answer { waiter: Check { channel, place, number }, reply: head } = answer;
        let asked = self.channels.get_mut(&channel).and_then(|state| {
            let is_this = state.asked.get(&place).is_some_and(|asked| asked.check == Some(number));
            is_this.then(|| state.asked.remove(&place)).flatten()
        });
        if let Some(Asked { user, number, .. }) = asked {
            let (owner, session) = place;
            let start = match head {
                Ok(head) => Ok(self.follow(effects.now.mono, (channel, place), (user, number), head)),
                // Who is a member as far as is known stays until its time is over.
                Err(refusal) if refusal.code.is_temporary() => Err(refusal),
                Err(refusal) => {
                    self.end(channel, place);
                    Err(refusal)
                }
            };
            effects.mesh(owner, MeshBody::Subscribed { session, channel, number, start });
            self.forget_idle(channel);
        }
        self.start(effects);
    }

    fn follow(
        &mut self,
        now: Instant,
        (channel, place): (ChannelId, Place),
        (user, number): (UserId, u32),
        head: Seq,
    ) -> FeedStart {
        let expires = now.plus_ms(3 * RENEW_MS);
        let state = self.channels.get_mut(&channel).expect("its caller has found it");
        // The log may have grown since that was read, and nobody was told who was not following yet.
        state.head = state.head.max(head);
        match state.followers.insert(place, Follower { user, number, expires }) {
            Some(earlier) => {
                self.expiry.remove(&(earlier.expires, channel, place));
            }
            None => self.followers += 1,
        }
        self.expiry.insert((expires, channel, place));
        let open = u32::try_from(state.followers.len()).expect("below the total of all");
        FeedStart { head_seq: state.head, open }
    }

    /// A session does not follow any more.
    pub(crate) fn unsubscribe(&mut self, place: Place, channel: ChannelId) {
        if let Some(state) = self.channels.get_mut(&channel) {
            state.asked.remove(&place);
            self.wanted.remove(&(channel, place));
        }
        self.end(channel, place);
        self.forget_idle(channel);
    }

    fn end(&mut self, channel: ChannelId, place: Place) {
        let follower = self.channels.get_mut(&channel).and_then(|state| state.followers.remove(&place));
        if let Some(follower) = follower {
            self.followers -= 1;
            self.expiry.remove(&(follower.expires, channel, place));
        }
    }

    fn forget_idle(&mut self, channel: ChannelId) {
        let is_idle =
            |state: &Channel| state.followers.is_empty() && state.asked.is_empty() && state.interested.is_empty();
        if self.channels.get(&channel).is_some_and(is_idle) {
            self.channels.remove(&channel);
            self.grown.remove(&channel);
        }
    }

    /// Something of a large channel is durable.
    pub(crate) fn happened(&mut self, channel: ChannelId, events: Vec<EventBody>, effects: &mut Effects) {
        let Some(state) = self.channels.get_mut(&channel) else { return };
        let mut gone = Vec::new();
        for event in &events {
            match *event {
                EventBody::Message(ref message) => state.head = state.head.max(message.seq),
                EventBody::Membership { user, change: MemberChange::Removed | MemberChange::Left, .. } => {
                    gone.push(user);
                }
                EventBody::Edited(_)
                | EventBody::Deleted { .. }
                | EventBody::Reaction { .. }
                | EventBody::Membership { .. }
                | EventBody::Read { .. } => {}
            }
        }
        if events.iter().any(|event| matches!(event, EventBody::Message(_))) && !state.interested.is_empty() {
            self.grown.insert(channel);
        }
        let shards: BTreeSet<Owner> = state.followers.keys().map(|&(owner, _)| owner).collect();
        for owner in shards {
            effects.mesh(owner, MeshBody::Feed(Feed { channel, events: events.clone() }));
        }
        for user in gone {
            self.remove_user(channel, user);
        }
        self.start(effects);
    }

    /// A user is a member no more. What is being read of it may be from before: it is read again.
    fn remove_user(&mut self, channel: ChannelId, user: UserId) {
        let Some(state) = self.channels.get_mut(&channel) else { return };
        for (&place, asked) in state.asked.iter_mut().filter(|(_, asked)| asked.user == user) {
            asked.check = None;
            self.wanted.insert((channel, place));
        }
        let places: Vec<Place> =
            state.followers.iter().filter(|(_, one)| one.user == user).map(|(&place, _)| place).collect();
        for place in places {
            self.end(channel, place);
        }
        self.forget_idle(channel);
    }

    /// Some channels have another home now, or had one meanwhile: of those nothing is left.
    pub(crate) fn moved(&mut self, disruption: Disruption, effects: &Effects) {
        let gone = self.channels.keys().copied();
        let gone: Vec<ChannelId> =
            gone.filter(|&channel| disruption.concerns_channel(&effects.placement, channel)).collect();
        for channel in gone {
            self.end_where(channel, |_| true);
        }
    }

    /// A node and this one know nothing of each other any more: who follows from there subscribes again, and is told to,
    /// since it may have heard of it before this home, and have done so too early.
    pub(crate) fn lost(&mut self, peer: Incarnation, effects: &mut Effects) {
        for channel in self.channels.keys().copied().collect::<Vec<_>>() {
            for (&(owner, session), follower) in &self.channels[&channel].followers {
                if owner.incarnation == peer {
                    let (number, start) = (follower.number, Err(moving("the channel")));
                    effects.mesh(owner, MeshBody::Subscribed { session, channel, number, start });
                }
            }
            self.end_where(channel, |owner| owner.incarnation == peer);
        }
    }

    /// Ends what shards have of a channel.
    fn end_where(&mut self, channel: ChannelId, is_over: impl Fn(Owner) -> bool) {
        let Some(state) = self.channels.get_mut(&channel) else { return };
        for (place, _) in state.asked.extract_if(.., |&(owner, _), _| is_over(owner)) {
            self.wanted.remove(&(channel, place));
        }
        for (owner, expires) in state.interested.extract_if(.., |&owner, _| is_over(owner)) {
            self.interest_expiry.remove(&(expires, channel, owner));
        }
        let places: Vec<Place> = state.followers.keys().copied().filter(|&(owner, _)| is_over(owner)).collect();
        for place in places {
            self.end(channel, place);
        }
        self.forget_idle(channel);
    }

    /// A home has members of these channels, as of a view.
    pub(crate) fn interest(&mut self, owner: Owner, epoch: Epoch, channels: Vec<ChannelId>, effects: &mut Effects) {
        let expires = effects.now.mono.plus_ms(3 * RENEW_MS);
        for channel in channels {
            let is_known = self.channels.get(&channel).is_some_and(|state| state.interested.contains_key(&owner));
            if !effects.placement.owns_since(Partition::of_channel(channel), epoch) {
                effects.count(Counter::NotOurs);
                continue;
            }
            if self.total() >= FOLLOWED_MAX && !is_known {
                effects.count(Counter::Followers);
                continue;
            }
            let state = self.channels.entry(channel).or_default();
            if let Some(earlier) = state.interested.insert(owner, expires) {
                self.interest_expiry.remove(&(earlier, channel, owner));
            }
            self.interest_expiry.insert((expires, channel, owner));
        }
    }

    /// A second has passed: what nobody renews ends, and who is interested hears now and then how far channels have
    /// come.
    pub(crate) fn tick(&mut self, effects: &mut Effects) {
        let now = effects.now.mono;
        while let Some(&(_, channel, place)) = self.expiry.first().filter(|(expires, ..)| *expires <= now) {
            self.end(channel, place);
            self.forget_idle(channel);
        }
        while let Some(&(at, channel, owner)) = self.interest_expiry.first().filter(|(expires, ..)| *expires <= now) {
            self.interest_expiry.remove(&(at, channel, owner));
            if let Some(state) = self.channels.get_mut(&channel) {
                state.interested.remove(&owner);
            }
            self.forget_idle(channel);
        }
        if now >= self.heads_at.plus_ms(HEAD_MS) {
            self.heads_at = now;
            self.announce_heads(effects);
        }
    }

    fn announce_heads(&mut self, effects: &mut Effects) {
        let grown = std::mem::take(&mut self.grown);
        let grown = grown.iter().filter_map(|channel| Some((*channel, self.channels.get(channel)?)));
        let heads =
            grown.flat_map(|(channel, state)| state.interested.keys().map(move |&to| (to, (channel, state.head))));
        for (owner, heads) in by_owner(heads) {
            for heads in heads.chunks(HEADS_OF_FRAME) {
                effects.mesh(owner, MeshBody::Heads { heads: heads.to_vec() });
            }
        }
    }
}
