//! Additions to groups and removals from them, as the API knows them.
//!
//! Owns when each change was asked for and when its answer came, and no judgement.

use std::collections::BTreeSet;

use schema::{ChannelId, UserId};

use super::Facts;

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct MemberChange {
    pub(crate) channel: ChannelId,
    pub(crate) user: UserId,
    /// Whether it adds, or removes.
    pub(crate) adds: bool,
    pub(crate) asked: u64,
    /// Since when it cannot be carried out any more: it was answered, or nobody is left who may have it.
    pub(crate) over: Option<u64>,
    /// The life that was asked, while it goes on: it may ask another that only begins.
    asked_of: Option<u64>,
    /// Once it has ended, who may have been handed the change by then.
    may_have: BTreeSet<u64>,
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
    /// Somebody is asked to add a user to a channel, or to remove it. The change's number.
    pub(crate) fn change_asked(&mut self, channel: ChannelId, user: UserId, adds: bool) -> usize {
        let (asked, may_have) = (self.number(), BTreeSet::new());
        let change = MemberChange { channel, user, adds, asked, over: None, asked_of: None, may_have, answer: None };
        self.memberships.push(change);
        self.memberships.len() - 1
    }

    /// The same, of a node's life.
    pub(crate) fn change_asked_of(&mut self, life: u64, channel: ChannelId, user: UserId, adds: bool) -> usize {
        let change = self.change_asked(channel, user, adds);
        self.memberships[change].asked_of = Some(life);
        change
    }

    /// A change was carried out, `changed` something or not; none if it was refused.
    pub(crate) fn change_answered(&mut self, change: usize, changed: Option<bool>, at_ms: u64) {
        let at = self.number();
        let change = &mut self.memberships[change];
        change.over = Some(at);
        change.answer = changed.map(|changed| Answer { at, at_ms, changed });
    }

    /// A node's life has begun.
    pub(crate) fn life_began(&mut self, life: u64) {
        self.lives.insert(life);
    }

    /// A node's life has ended: what it was asked comes to nothing once that has ended too to which it was handed on.
    pub(crate) fn life_ended(&mut self, life: u64) {
        let now = self.number();
        self.lives.remove(&life);
        for change in self.memberships.iter_mut().filter(|change| change.over.is_none()) {
            if change.asked_of == Some(life) {
                change.asked_of = None;
                change.may_have = self.lives.clone();
            }
            change.may_have.remove(&life);
            if change.asked_of.is_none() && change.may_have.is_empty() {
                change.over = Some(now);
            }
        }
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
