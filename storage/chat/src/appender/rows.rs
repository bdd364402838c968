//! Rows that one attempt has read: values by key, and lists of members.
//!
//! Owns reading them, all that are known to be wanted at once, since a store across a network answers many reads in the
//! time of one. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use schema::limits::GROUP_MEMBERS_MAX;
use schema::op::ChannelKind;
use schema::record::{ChannelRecord, RecordError};
use schema::{ChannelId, UserId};

use super::members::{Member, Members};
use crate::hooks::Hooks;
use crate::{LayerError, keys, unreadable};
use kv::join;
use kv::transaction::{RangeRequest, Row, Transaction};

/// Rows that an attempt wants to read.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// What the decision stands on: if another writes them meanwhile, the attempt fails.
    pub(super) rows: BTreeSet<Vec<u8>>,
    /// What many shards write and nobody's order depends on: whether an account exists, how many channels it has.
    pub(super) loose: BTreeSet<Vec<u8>>,
    /// Whole lists of members.
    pub(super) lists: BTreeSet<ChannelId>,
    /// The hooks that count.
    pub(super) hooks: bool,
    /// Ranges, by their first and last keys, of at most [`RANGE_ROWS`] rows.
    pub(super) ranges: BTreeSet<(Vec<u8>, Vec<u8>)>,
}

/// Rows of one range: as many as a group has members.
pub(super) const RANGE_ROWS: u32 = GROUP_MEMBERS_MAX;

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        !self.hooks && self.rows.is_empty() && self.loose.is_empty() && self.lists.is_empty() && self.ranges.is_empty()
    }
}

/// Rows that were read in one transaction, and lists of members that came from the cache.
#[derive(Debug, Default)]
pub(super) struct Rows {
    values: BTreeMap<Vec<u8>, Option<Bytes>>,
    ranges: BTreeMap<Vec<u8>, Vec<Row>>,
    pub(super) cached: BTreeMap<ChannelId, Arc<Members>>,
    pub(super) read: BTreeMap<ChannelId, Arc<Members>>,
    /// The hooks that count: known from before, or read.
    pub(super) hooks: Option<Arc<Hooks>>,
    /// Channels whose list cannot be read.
    pub(super) unread: BTreeSet<ChannelId>,
}

impl Rows {
    pub(super) fn new(cached: BTreeMap<ChannelId, Arc<Members>>, hooks: Option<Arc<Hooks>>) -> Self {
        Self { cached, hooks, ..Self::default() }
    }

    /// The hooks that count.
    ///
    /// # Panics
    /// If they are not known and were not read.
    pub(super) fn hooks(&self) -> &Hooks {
        self.hooks.as_ref().expect("wanted by every batch that does not know them")
    }

    /// `None` if it was not read, else what was there.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&Bytes>> {
        self.values.get(key).map(Option::as_ref)
    }

    /// The rows of a range that was read, by its first key.
    pub(super) fn range(&self, begin: &[u8]) -> Option<&[Row]> {
        self.ranges.get(begin).map(Vec::as_slice)
    }

    /// Reads all of `wanted`, at once. Lists want their channel's row too.
    pub(super) async fn load<T: Transaction>(&mut self, tx: &T, wanted: Wanted) -> Result<(), LayerError> {
        let Wanted { mut rows, loose, lists, hooks, ranges: wanted_ranges } = wanted;
        rows.extend(lists.iter().map(|&channel| keys::channel(channel)));
        let rows: Vec<_> = rows.into_iter().filter(|key| !self.values.contains_key(key)).collect();
        let loose: Vec<_> = loose.into_iter().filter(|key| !self.values.contains_key(key)).collect();
        // The channel's row is read so that a change of members fails this attempt; the rows of members need not be.
        let ranges: Vec<_> =
            lists.iter().map(|&channel| keys::members_after(channel, None).rows(GROUP_MEMBERS_MAX + 1)).collect();
        let ((values, loose_values), pages) = join::both(
            join::both(tx.get_all(&rows), tx.snapshot_get_all(&loose)),
            join::try_all(ranges.iter().map(|range| tx.snapshot_get_range(range))),
        )
        .await?;
        if hooks {
            // Once a second.
            self.hooks = Some(Arc::new(Hooks::read(tx).await?));
        }
        for (begin, end) in wanted_ranges {
            // Who writes there raises the epoch of the channel's members.
            let range = RangeRequest::new(begin.clone(), end).rows(RANGE_ROWS);
            self.ranges.insert(begin, tx.snapshot_get_range(&range).await?.rows);
        }
        self.values.extend(rows.into_iter().zip(values));
        self.values.extend(loose.into_iter().zip(loose_values));
        let mut directs = Vec::new();
        for (channel, page) in lists.into_iter().zip(pages) {
            let Some(Some(row)) = self.get(&keys::channel(channel)) else { continue };
            let Some(record) = unreadable::skip(&keys::channel(channel), ChannelRecord::decode(row)) else {
                self.unread.insert(channel);
                continue;
            };
            if record.kind == ChannelKind::Large {
                self.read.insert(channel, Arc::new(Members::large()));
                continue;
            }
            if record.kind == ChannelKind::Feed {
                self.read.insert(channel, Arc::new(Members::feed(record.member_epoch, record.creator)));
                continue;
            }
            let members = unreadable::readable(&page.rows, Member::of_row);
            // Without one of them nobody knows whom an event of the channel is for.
            if members.len() != record.member_count as usize {
                let why = format!("{} members can be read, the channel counts {}", members.len(), record.member_count);
                let error = RecordError::Damaged { what: "member", bytes: page.rows.len(), why };
                unreadable::note(&keys::member(channel, UserId(0))[..9], &error);
                self.unread.insert(channel);
                continue;
            }
            let members = Members::new(record.member_epoch, members);
            match (record.kind, &*members.users) {
                (ChannelKind::Direct, &[one, other]) => directs.push((channel, members, [one, other])),
                (ChannelKind::Direct | ChannelKind::Group | ChannelKind::Large | ChannelKind::Feed, _) => {
                    self.read.insert(channel, Arc::new(members));
                }
            }
        }
        self.load_blocks(tx, directs).await
    }

    /// The lists of direct channels, with whether one of the two has blocked the other. Who blocks raises the epoch of
    /// the channel's members, so these rows need not be read for conflicts either.
    async fn load_blocks<T: Transaction>(
        &mut self,
        tx: &T,
        directs: Vec<(ChannelId, Members, [UserId; 2])>,
    ) -> Result<(), LayerError> {
        let blocks: Vec<_> = directs.iter().flat_map(|&(_, _, two)| both_blocks(two)).collect();
        let mut values = tx.snapshot_get_all(&blocks).await?.into_iter();
        for (channel, mut members, _) in directs {
            let mut next = || values.next().expect("two for each direct channel").is_some();
            members.blocked = next() | next();
            self.read.insert(channel, Arc::new(members));
        }
        Ok(())
    }
}

/// Where it stands that one of two has blocked the other.
pub(super) fn both_blocks([one, other]: [UserId; 2]) -> [Vec<u8>; 2] {
    [keys::block(one, other), keys::block(other, one)]
}
