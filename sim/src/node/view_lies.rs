//! Planted bugs of a node that goes by a view: lies about the rows that a change of the view is about, told to its shards
//! and to nobody else of the node.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chat::keys;
use kv::Page;
use schema::record::FenceRecord;
use schema::{Epoch, Incarnation};

use crate::options::Planted;

use super::Life;

/// See the module.
pub(super) struct ViewLies {
    me: Incarnation,
    planted: Option<Planted>,
    epoch: AtomicU64,
    version: AtomicU64,
}

impl ViewLies {
    pub(super) fn new(life: &Life, planted: Option<Planted>) -> Self {
        Self { me: life.incarnation, planted, epoch: AtomicU64::default(), version: AtomicU64::default() }
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
    pub(super) fn page(&self, mut page: Page) -> Page {
        match self.planted {
            Some(Planted::ArrivalsOfTheOldEpochUnread) => {
                let version = self.version.load(Ordering::Relaxed);
                let is_old = |key: &[u8]| keys::arrival_place(key).is_ok_and(|(_, stamp)| stamp.version <= version);
                page.rows.retain(|row| !is_old(&row.key));
                page
            }
            _ => page,
        }
    }
}
