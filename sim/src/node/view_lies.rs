//! Planted bugs of a node that goes by a view: lies about the rows that a change of the view is about, told to its shards
//! and to nobody else of the node.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use chat::keys;
use kv::{Page, RangeRequest};
use schema::record::FenceRecord;
use schema::{ChannelId, Epoch, Incarnation, UserId};

use crate::options::Planted;

use super::Life;

/// See the module.
pub(super) struct ViewLies {
    me: Incarnation,
    planted: Option<Planted>,
    epoch: AtomicU64,
    version: AtomicU64,
    /// Lists of members as they were read first.
    lists: Mutex<BTreeMap<Vec<u8>, Page>>,
}

impl ViewLies {
    pub(super) fn new(life: &Life, planted: Option<Planted>) -> Self {
        Self {
            me: life.incarnation,
            planted,
            epoch: AtomicU64::default(),
            version: AtomicU64::default(),
            lists: Mutex::default(),
        }
    }

    /// The node goes by a view, which was read at this version.
    pub(super) fn go_by(&self, epoch: Epoch, version: u64) {
        self.epoch.store(epoch.0, Ordering::Relaxed);
        self.version.store(version, Ordering::Relaxed);
    }

    /// A row that was read.
    pub(super) fn row(&self, key: &[u8], row: Option<Bytes>) -> Option<Bytes> {
        match self.planted {
            Some(Planted::FenceWithoutEpoch) if row.is_some() && key == keys::fence(self.me) => {
                let epoch = Epoch(self.epoch.load(Ordering::Relaxed));
                Some(FenceRecord { incarnation: self.me, epoch }.encode().into())
            }
            _ => row,
        }
    }

    /// A page that was read.
    pub(super) fn page(&self, range: &RangeRequest, mut page: Page) -> Page {
        match self.planted {
            Some(Planted::ArrivalsOfTheOldEpochUnread) => {
                let version = self.version.load(Ordering::Relaxed);
                let is_old = |key: &[u8]| keys::arrival_place(key).is_ok_and(|(_, stamp)| stamp.version <= version);
                page.rows.retain(|row| !is_old(&row.key));
                page
            }
            Some(Planted::CachedMembership) if is_of(&keys::member(ChannelId(0), UserId(0)), &range.begin) => {
                let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
                lists.entry(range.begin.clone()).or_insert(page).clone()
            }
            _ => page,
        }
    }

    /// A row is written by this node.
    pub(super) fn written(&self, key: &[u8]) {
        if let Ok((channel, _)) = keys::member_of(key) {
            let of = keys::member(channel, UserId(0));
            let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            lists.retain(|begin, _| !begin.starts_with(&of[..of.len() - size_of::<UserId>()]));
        }
    }
}

fn is_of(like: &[u8], key: &[u8]) -> bool {
    like.first() == key.first()
}
