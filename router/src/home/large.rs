//! The large channels of this home's users: in no inbox, so who does not have one open only hears how far it has come.
//!
//! Owns which users with a session are members of which large channels, as the store lists them and as changes of
//! membership in their inboxes say. The channels' homes are told which channels these are, again and again, and tell
//! their heads now and then.

use std::collections::{BTreeMap, BTreeSet};

use schema::event::MemberChange;
use schema::limits::RENEW_MS;
use schema::mesh::{MeshBody, Telling};
use schema::record::{EventRecord, EventRecordBody};
use schema::{ChannelId, Instant, Refusal, Seq, UserId};

use crate::counters::Counter;
use crate::disruption::Disruption;
use crate::effects::Effects;
use crate::placement::by_owner;
use crate::store::{Answer, LargeOf};

use super::Home;

/// Memberships that are known. Some 60 bytes each: 60 MB. Whoever comes beyond it sees no heads until it opens a
/// channel.
const MEMBERSHIPS_MAX: usize = 1_000_000;
/// Lists that are read from the store at once.
const READS_MAX: usize = 64;
/// Channels in one frame of interest.
const CHANNELS_OF_FRAME: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Large {
    members: BTreeMap<ChannelId, BTreeSet<UserId>>,
    of: BTreeMap<UserId, BTreeSet<ChannelId>>,
    total: usize,
    /// Users whose list is to be read.
    wanted: BTreeSet<UserId>,
    /// Users whose list is being read; whether it has changed since.
    reading: BTreeMap<UserId, bool>,
    renew_at: Instant,
}

impl Large {
    /// A user's list is to be read, again if it is being read.
    pub(super) fn want(&mut self, user: UserId) {
        match self.reading.get_mut(&user) {
            Some(changed) => *changed = true,
            None => {
                self.wanted.insert(user);
            }
        }
    }

    /// An event of a user's inbox, which may change its memberships. It does not say of what kind the channel is.
    pub(super) fn arrived(&mut self, id: UserId, event: &EventRecord) {
        if let EventRecordBody::Membership { user, change, .. } = event.body
            && user == id
        {
            match change {
                MemberChange::Created | MemberChange::Added => self.want(id),
                MemberChange::Removed | MemberChange::Left => self.left(id, event.channel),
                MemberChange::Role | MemberChange::Title => {}
            }
        }
    }

    pub(super) fn start(&mut self, effects: &mut Effects) {
        while self.reading.len() < READS_MAX {
            let Some(user) = self.wanted.pop_first() else { break };
            self.reading.insert(user, false);
            effects.ask(LargeOf { user }, user);
        }
    }

    /// A user's list is read; one that could not be is tried again with the next second.
    fn read(&mut self, user: UserId, is_here: bool, found: Result<Vec<ChannelId>, Refusal>, effects: &mut Effects) {
        let changed = self.reading.remove(&user).expect("it was being read");
        let is_to_be_read_again = changed || found.is_err();
        if let (true, Ok(found)) = (is_here, found) {
            self.forget(user);
            let mut fresh = Vec::new();
            for channel in found {
                if self.total >= MEMBERSHIPS_MAX {
                    effects.count(Counter::Memberships);
                    break;
                }
                self.total += 1;
                self.of.entry(user).or_default().insert(channel);
                let members = self.members.entry(channel).or_default();
                if members.is_empty() {
                    fresh.push(channel);
                }
                members.insert(user);
            }
            announce_interest(fresh, effects);
        }
        if is_here && is_to_be_read_again {
            self.wanted.insert(user);
        }
    }

    /// A user has left one, or has no session any more.
    pub(super) fn left(&mut self, user: UserId, channel: ChannelId) {
        if self.of.get_mut(&user).is_some_and(|channels| channels.remove(&channel)) {
            self.total -= 1;
            let members = self.members.get_mut(&channel).expect("both sides are kept");
            members.remove(&user);
            if members.is_empty() {
                self.members.remove(&channel);
            }
        }
    }

    /// A user has no session any more.
    pub(super) fn forget(&mut self, user: UserId) {
        self.wanted.remove(&user);
        for channel in self.of.get(&user).cloned().unwrap_or_default() {
            self.left(user, channel);
        }
        self.of.remove(&user);
    }

    /// Tells the homes of the channels that are concerned again.
    pub(super) fn announce(&self, disruption: Disruption, effects: &mut Effects) {
        let concerned = |channel: &ChannelId| disruption.concerns_channel(&effects.placement, *channel);
        let channels = self.members.keys().copied().filter(concerned).collect();
        announce_interest(channels, effects);
    }

    /// A second has passed: channels' homes are told again now and then.
    pub(super) fn tick(&mut self, effects: &mut Effects) {
        let now = effects.now.mono;
        if now >= self.renew_at {
            self.renew_at = now.plus_ms(RENEW_MS);
            announce_interest(self.members.keys().copied().collect(), effects);
        }
        self.start(effects);
    }
}

fn announce_interest(channels: Vec<ChannelId>, effects: &mut Effects) {
    let homes = by_owner(channels.into_iter().map(|channel| (effects.placement.home_of_channel(channel), channel)));
    for (home, channels) in homes {
        for channels in channels.chunks(CHANNELS_OF_FRAME) {
            effects.mesh(home, MeshBody::Interest { channels: channels.to_vec() });
        }
    }
}

impl Home {
    /// The store has listed a user's large channels.
    pub(crate) fn large_of(&mut self, answer: Answer<LargeOf>, effects: &mut Effects) {
        let Answer { waiter: user, reply: found } = answer;
        let is_here = self.users.contains(user);
        let again = found.is_err();
        self.large.read(user, is_here, found, effects);
        if !again {
            self.large.start(effects);
        }
    }

    /// Large channels have grown: their members here are told.
    pub(crate) fn heads(&mut self, heads: Vec<(ChannelId, Seq)>, effects: &mut Effects) {
        for (channel, head_seq) in heads {
            let members: Vec<UserId> = self.large.members.get(&channel).into_iter().flatten().copied().collect();
            self.notify(&members, None, &Telling::Head { channel, head_seq }, effects);
        }
    }
}
