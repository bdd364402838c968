//! What webhooks tell and are asked: the kinds of what happens in chat, by the words and the bits that filters name them by.
//!
//! Owns the lists of kinds. What a row of one holds is `record::HookedRecord`, how it is told `notify`'s.

use std::collections::BTreeMap;

use crate::event::MemberChange;
use crate::id::ChannelId;
use crate::op::{ChannelKind, ChannelOp};
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

/// What a hook may be asked before it is done. Bits never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeforeKind {
    /// A user sends a message.
    Send,
    /// A user gives a message another text.
    Edit,
}

impl BeforeKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Send, Self::Edit];

    /// Its word in a hook and in what is asked.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Send => "message.send",
            Self::Edit => "message.edit",
        }
    }

    /// Its bit in a hook's record.
    #[must_use]
    pub fn bit(self) -> u32 {
        match self {
            Self::Send => 1,
            Self::Edit => 2,
        }
    }

    /// The kind that is called so.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What an operation is asked about; `None` if it is not asked about.
    #[must_use]
    pub fn of_op(op: &ChannelOp) -> Option<Self> {
        match op {
            ChannelOp::Send(_) => Some(Self::Send),
            ChannelOp::Edit(_) => Some(Self::Edit),
            ChannelOp::Mark { .. }
            | ChannelOp::Create(_)
            | ChannelOp::AddMember { .. }
            | ChannelOp::RemoveMember { .. }
            | ChannelOp::Delete { .. }
            | ChannelOp::React(_)
            | ChannelOp::Typing { .. }
            | ChannelOp::Publish { .. }
            | ChannelOp::SetTitle { .. }
            | ChannelOp::SetMuted { .. }
            | ChannelOp::Block { .. } => None,
        }
    }
}

/// Which operations some hook may have to be asked about first, as far as that shows without a look at the channel. By default
/// none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Concerns {
    /// Kinds of operations, a bit each, of every channel.
    everywhere: u32,
    /// Further ones of some channels.
    channels: BTreeMap<ChannelId, u32>,
}

impl Concerns {
    /// Those of one more hook, of these channels, or of all if it names none.
    pub fn add(&mut self, before: u32, channels: &[ChannelId]) {
        if channels.is_empty() {
            self.everywhere |= before;
        }
        for &channel in channels.iter().filter(|_| before != 0) {
            *self.channels.entry(channel).or_default() |= before;
        }
    }

    /// Whether some hook may have to be asked first.
    #[must_use]
    pub fn has(&self, channel: ChannelId, op: &ChannelOp) -> bool {
        if self.everywhere == 0 && self.channels.is_empty() {
            return false;
        }
        let asked = self.everywhere | self.channels.get(&channel).copied().unwrap_or_default();
        BeforeKind::of_op(op).is_some_and(|kind| asked & kind.bit() != 0)
    }
}

/// The bit of a kind of channels in a hook's record.
#[must_use]
pub fn channel_kind_bit(kind: ChannelKind) -> u32 {
    match kind {
        ChannelKind::Direct => 1,
        ChannelKind::Group => 2,
        ChannelKind::Large => 4,
        ChannelKind::Feed => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClientMsgId, Seq, UserId};
    use crate::op::EditOp;
    use crate::time::UnixMs;

    #[test]
    fn every_kind_has_a_word_and_a_bit_of_its_own_and_a_gap_is_no_filter() {
        let bits = HookKind::ALL.iter().fold(0, |bits, kind| bits | kind.bit());
        assert_eq!(bits.count_ones() as usize, HookKind::ALL.len());
        for &kind in HookKind::ALL {
            assert_eq!(HookKind::of_word(kind.word()), (kind != HookKind::Gap).then_some(kind), "{kind:?}");
        }
        assert_eq!(HookKind::of_word("message.*"), None);
        for kind in BeforeKind::ALL {
            assert_eq!(BeforeKind::of_word(kind.word()), Some(kind));
        }
        assert_eq!(BeforeKind::of_word("message.sent"), None);
    }

    #[test]
    fn a_hook_concerns_its_channels_or_all_where_it_names_none() {
        let mut concerns = Concerns::default();
        let (edit, delete) = (edit(), ChannelOp::Delete { by: UserId(1), seq: Seq(1), op_id: id() });
        let has = |concerns: &Concerns, channel, op| concerns.has(ChannelId(channel), op);
        assert!(!has(&concerns, 1, &edit));
        concerns.add(BeforeKind::Edit.bit(), &[ChannelId(1)]);
        concerns.add(BeforeKind::Send.bit(), &[]);
        assert!(has(&concerns, 1, &edit) && !has(&concerns, 2, &edit) && !has(&concerns, 1, &delete));
        concerns.add(BeforeKind::Edit.bit(), &[]);
        assert!(has(&concerns, 2, &edit) && !has(&concerns, 2, &delete));
    }

    fn id() -> ClientMsgId {
        ClientMsgId::new(UnixMs(1), 1)
    }

    fn edit() -> ChannelOp {
        let (by, seq, op_id, body) = (UserId(1), Seq(1), id(), "hi".into());
        ChannelOp::Edit(EditOp { by, seq, op_id, base_revision: 0, body, ruling: None })
    }
}
