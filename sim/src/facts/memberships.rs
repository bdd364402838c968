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

    pub(crate) fn all(&self) -> &[MemberChange] {
        &self.0
    }
}
