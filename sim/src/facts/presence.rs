//! Presence as devices were told it, and the times at which users left for good.

use std::collections::BTreeMap;

use schema::{DeviceId, PresenceEntry, UserId};

/// One entry of a reply or of a push.
#[derive(Debug, Clone)]
pub(crate) struct PresenceSeen {
    pub(crate) by: DeviceId,
    pub(crate) to: UserId,
    pub(crate) entry: PresenceEntry,
    pub(crate) at_ms: u64,
    /// Whether it is a change, and not the answer to a new list.
    pub(crate) is_change: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    pub(crate) seen: Vec<PresenceSeen>,
    /// When the last device of a user went for good.
    pub(crate) left_ms: BTreeMap<UserId, u64>,
    /// When users began to leave.
    pub(crate) leaving_ms: Option<u64>,
}
