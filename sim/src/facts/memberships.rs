//! Who was added to a group and removed from it, as the API knows it.
//!
//! Owns when each change was asked for and when its answer came, and no judgement.

use schema::{ChannelId, UserId};

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

/// All of them, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Memberships(Vec<MemberChange>);

impl Memberships {
    /// The change's number.
    pub(super) fn asked(&mut self, channel: ChannelId, user: UserId, adds: bool, now: u64) -> usize {
        self.0.push(MemberChange { channel, user, adds, asked: now, over: None, answer: None });
        self.0.len() - 1
    }

    /// It was carried out, `changed` something or not; none if it was refused.
    pub(super) fn answered(&mut self, change: usize, changed: Option<bool>, now: u64, now_ms: u64) {
        let change = &mut self.0[change];
        change.over = Some(now);
        change.answer = changed.map(|changed| Answer { at: now, at_ms: now_ms, changed });
    }

    /// What an earlier life of the node was asked comes to nothing any more.
    pub(super) fn life_ended(&mut self, now: u64) {
        self.0.iter_mut().filter(|change| change.over.is_none()).for_each(|change| change.over = Some(now));
    }

    /// Whether a user was certainly in a channel at `since` and ever after: it was there at the start, or added, and no removal
    /// can have come later.
    pub(crate) fn is_member_since(&self, channel: ChannelId, user: UserId, was_there: bool, since: u64) -> bool {
        let concerning = || self.0.iter().filter(|change| (change.channel, change.user) == (channel, user));
        let joined = if was_there { Some(0) } else { None };
        let added = concerning().filter(|change| change.adds && change.answer.is_some_and(|answer| answer.at < since));
        let joined = added.map(|change| change.asked).max().or(joined);
        let removals = || concerning().filter(|change| !change.adds);
        joined.is_some_and(|joined| removals().all(|removal| removal.over.is_some_and(|over| over < joined)))
    }

    pub(crate) fn all(&self) -> &[MemberChange] {
        &self.0
    }
}
