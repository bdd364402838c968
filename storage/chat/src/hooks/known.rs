//! Hooks that count, as whoever writes what they are told knows them.
//!
//! Owns which of them want something. Read without conflicts, so that making a hook makes no append fail: one that reads
//! them again each second lets a new hook wait so long.

use schema::hook::{HookKind, channel_kind_bit};
use schema::limits::HOOKS_MAX;
use schema::op::ChannelKind;
use schema::record::{HookRecord, HookedBody, HookedRecord};
use schema::{ChannelId, Partition, UnixMs, UserId};

use crate::{LayerError, keys, packed, unreadable};
use kv::transaction::{Row, Transaction};

/// One hook, as far as it decides what is written.
#[derive(Debug)]
struct Known {
    id: u64,
    events: u64,
    kinds: u32,
    channels: Vec<ChannelId>,
}

impl Known {
    fn wants(&self, kind: HookKind, channel: Option<(ChannelId, ChannelKind)>) -> bool {
        self.events & kind.bit() != 0
            && channel.is_none_or(|(channel, of_kind)| {
                (self.kinds == 0 || self.kinds & channel_kind_bit(of_kind) != 0)
                    && (self.channels.is_empty() || self.channels.contains(&channel))
            })
    }
}

/// The hooks that are not paused.
#[derive(Debug, Default)]
pub(crate) struct Hooks(Vec<Known>);

impl Hooks {
    /// Reads them, without conflicts.
    pub(crate) async fn read<T: Transaction>(tx: &T) -> Result<Self, LayerError> {
        let page = tx.snapshot_get_range(&keys::hooks().rows(HOOKS_MAX)).await?;
        let known = |row: &Row| {
            let (id, record) = (keys::hook_of(&row.key)?, HookRecord::decode(&row.value)?);
            let HookRecord { events, kinds, channels, paused_ms, .. } = record;
            // One that wants no events is only asked before.
            Ok((paused_ms.is_none() && events != 0).then_some(Known { id, events, kinds, channels }))
        };
        Ok(Self(unreadable::readable(&page.rows, known).into_iter().flatten().collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that want something of a kind, of a channel or of none.
    pub(crate) fn wanting(
        &self,
        kind: HookKind,
        channel: Option<(ChannelId, ChannelKind)>,
    ) -> impl Iterator<Item = u64> {
        self.0.iter().filter(move |known| known.wants(kind, channel)).map(|known| known.id)
    }

    /// Writes something about a user for those that want it. At most one such thing a transaction, since it is the first of
    /// its stamp.
    pub(crate) fn tell_of_user<T: Transaction>(&self, tx: &mut T, user: UserId, at_ms: UnixMs, body: HookedBody) {
        let partition = partition_of_user(user);
        let (kind, value) = (HookKind::of_body(&body), HookedRecord { at_ms, body }.encode());
        for (ordinal, hook) in (0..).zip(self.wanting(kind, None)) {
            put(tx, (hook, partition), ordinal, &value);
            mark(tx, (hook, partition));
        }
    }
}

/// The lanes of what happens in a channel.
pub(crate) fn partition_of_channel(channel: ChannelId) -> u16 {
    number(Partition::of_channel(channel).index())
}

/// The lanes of what happens to a user.
pub(crate) fn partition_of_user(user: UserId) -> u16 {
    number(Partition::of_user(user).index())
}

fn number(index: usize) -> u16 {
    u16::try_from(index).expect("there are 4,096 partitions")
}

/// Writes what a lane is to tell, as one of several things of its transaction.
pub(crate) fn put<T: Transaction>(tx: &mut T, (hook, partition): (u64, u16), ordinal: u16, value: &[u8]) {
    tx.set_versionstamped_key(&keys::hooked_prefix(hook, partition), &ordinal.to_be_bytes(), value);
}

/// Has a lane looked at. Written blindly: no two appends quarrel over it, and whoever clears it has read it.
pub(crate) fn mark<T: Transaction>(tx: &mut T, (hook, partition): (u64, u16)) {
    tx.set(&keys::hook_due(hook, partition), packed::MARK);
}
