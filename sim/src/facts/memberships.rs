//! Additions to groups and removals from them, as the API knows them.
//!
//! Owns when each change was asked for and when its answer came, and no judgement.

use schema::{ChannelId, UserId};

use super::Facts;

/// One change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberChange {
    pub(crate) channel: ChannelId,
    pub(crate) user: UserId,
    /// Whether it adds, or removes.
    pub(crate) adds: bool,
    pub(crate) asked: u64,
    /// Since when it cannot be carried out any more: it was answered, or the life of the node that was asked has ended.
    pub(crate) over: Option<u64>,
    /// What the answer said, if one came.
    pub(crate) answer: Option<Answer>,
}

/// That a change was carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) at: u64,
    pub(crate) at_ms: u64,
    /// Whether it was not so already.
    pub(crate) changed: bool,
}

impl Facts {
    /// The API is asked to add a user to a channel, or to remove it. The change's number.
    pub(crate) fn change_asked(&mut self, channel: ChannelId, user: UserId, adds: bool) -> usize {
        let asked = self.number();
        self.memberships.push(MemberChange { channel, user, adds, asked, over: None, answer: None });
        self.memberships.len() - 1
    }

    /// A change was carried out, `changed` something or not; none if it was refused.
    pub(crate) fn change_answered(&mut self, change: usize, changed: Option<bool>, at_ms: u64) {
        let at = self.number();
        let change = &mut self.memberships[change];
        change.over = Some(at);
        change.answer = changed.map(|changed| Answer { at, at_ms, changed });
    }

    /// The node's life has ended: what it was asked comes to nothing any more.
    pub(crate) fn life_ended(&mut self) {
        let now = self.number();
        self.memberships.iter_mut().for_each(|change| _ = change.over.get_or_insert(now));
    }

    /// Whether a user was certainly in a channel at `since` and ever after: it was there at the start, or added, and no
    /// removal can have come later.
    pub(crate) fn is_member_since(&self, channel: ChannelId, user: UserId, was_there: bool, since: u64) -> bool {
        let concerning = || self.memberships.iter().filter(|change| (change.channel, change.user) == (channel, user));
        let joined = was_there.then_some(0);
        let added = concerning().filter(|change| change.adds && change.answer.is_some_and(|answer| answer.at < since));
        let joined = added.map(|change| change.asked).max().or(joined);
        let removals = || concerning().filter(|change| !change.adds);
        joined.is_some_and(|joined| removals().all(|removal| removal.over.is_some_and(|over| over < joined)))
    }
}
