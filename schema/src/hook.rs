//! What webhooks tell: the kinds of what happens in chat, by the words and the bits that filters name them by.
//!
//! Owns the list of kinds. What a row of one holds is `record::HookedRecord`, how it is told `notify`'s.

use crate::event::MemberChange;
use crate::op::ChannelKind;
use crate::record::{EventRecordBody, HookedBody};

macro_rules! hook_kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $bit:literal $word:literal;)*) => {
        /// A kind of what happens, which a hook may want. Bits never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum HookKind {
            $($(#[doc = $doc])+ $kind,)*
        }

        impl HookKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its word in filters and in what is told.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }

            /// Its bit in a hook's record.
            #[must_use]
            pub fn bit(self) -> u64 {
                match self { $(Self::$kind => 1 << $bit,)* }
            }
        }
    };
}

hook_kinds! {
    /// A message was sent.
    MessageSent = 0 "message.sent";
    /// A message has another text.
    MessageEdited = 1 "message.edited";
    /// A message was deleted.
    MessageDeleted = 2 "message.deleted";
    /// An emoji was put to a message, or taken away.
    Reaction = 3 "reaction";
    /// A channel was made.
    ChannelCreated = 4 "channel.created";
    /// A channel has another title.
    ChannelChanged = 5 "channel.changed";
    /// Somebody became a member, is none any more, or has another role.
    MemberChanged = 6 "member.changed";
    /// A user has read a channel further.
    Read = 7 "read";
    /// A user is online, away or offline.
    Presence = 8 "presence";
    /// A device of a user connected.
    DeviceConnected = 9 "device.connected";
    /// Between two times events may be missing: a hook was paused. Told whatever the filter.
    Gap = 10 "hook.gap";
}

impl HookKind {
    /// The kind that filters call so: `hook.gap` is none of those.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word && *kind != Self::Gap)
    }

    /// The kind of what happened in a channel.
    #[must_use]
    pub fn of_event(event: &EventRecordBody) -> Self {
        match event {
            EventRecordBody::Message { .. } => Self::MessageSent,
            EventRecordBody::Edited { .. } => Self::MessageEdited,
            EventRecordBody::Deleted { .. } => Self::MessageDeleted,
            EventRecordBody::Reaction { .. } => Self::Reaction,
            EventRecordBody::Read { .. } => Self::Read,
            EventRecordBody::Membership { change, .. } => match change {
                MemberChange::Created => Self::ChannelCreated,
                MemberChange::Title => Self::ChannelChanged,
                MemberChange::Added | MemberChange::Removed | MemberChange::Left | MemberChange::Role => {
                    Self::MemberChanged
                }
            },
        }
    }

    /// The kind of what a row tells.
    #[must_use]
    pub fn of_body(body: &HookedBody) -> Self {
        match body {
            HookedBody::Channel(event) => Self::of_event(&event.body),
            HookedBody::Presence { .. } => Self::Presence,
            HookedBody::Connected { .. } => Self::DeviceConnected,
            HookedBody::Gap { .. } => Self::Gap,
        }
    }
}

/// The bit of a kind of channels in a hook's record.
#[must_use]
pub fn channel_kind_bit(kind: ChannelKind) -> u32 {
    match kind {
        ChannelKind::Direct => 1,
        ChannelKind::Group => 2,
        ChannelKind::Large => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_and_a_bit_of_its_own_and_a_gap_is_no_filter() {
        let bits = HookKind::ALL.iter().fold(0, |bits, kind| bits | kind.bit());
        assert_eq!(bits.count_ones() as usize, HookKind::ALL.len());
        for &kind in HookKind::ALL {
            assert_eq!(HookKind::of_word(kind.word()), (kind != HookKind::Gap).then_some(kind), "{kind:?}");
        }
        assert_eq!(HookKind::of_word("message.*"), None);
    }
}
