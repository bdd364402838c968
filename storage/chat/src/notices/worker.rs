//! The worker of some partitions: one node's life under one view.
//!
//! Owns the proof that it still is (I7): every transaction that takes something from a queue reads the fence, so that of
//! two nodes that both think a partition theirs one commits nothing.

use schema::record::FenceRecord;
use schema::{Epoch, Incarnation, Partition, UserId, View};

use crate::keys;
use crate::share::Share;
use crate::{LayerError, moving, unreadable, view};
use kv::transaction::{Engine, Transaction};

/// A node's life, and what it has to do under one view.
#[derive(Debug, Clone)]
pub struct Worker {
    life: Incarnation,
    epoch: Epoch,
    share: Share,
}

impl Worker {
    /// What a node has to do under the view as it stands: nothing, if it is in none.
    ///
    /// # Errors
    /// The store's, and damage in the view's row.
    pub async fn current<E: Engine>(engine: &E, life: Incarnation) -> Result<Option<Self>, LayerError> {
        let current = view::current(engine).await?;
        Ok(current.and_then(|current| Self::of(&current.view, life)))
    }

    /// What a node has to do under a view that it goes by: nothing, if it is not in it.
    #[must_use]
    pub fn of(view: &View, life: Incarnation) -> Option<Self> {
        view.member(life).map(|_| Self { life, epoch: view.epoch, share: Share::of(view, life) })
    }

    /// The view under which it works.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether an application is one of those that it calls.
    #[must_use]
    pub fn has_app(&self, app: u64) -> bool {
        // Ids of both are random, and one hash spreads them.
        self.share.has_partition(Partition::of_user(UserId(app)).index())
    }

    /// Whether a partition is one of its own.
    #[must_use]
    pub fn has_partition(&self, partition: u16) -> bool {
        self.share.has_partition(partition.into())
    }

    /// Its partitions.
    pub(super) fn share(&self) -> &Share {
        &self.share
    }

    /// Makes this transaction fail, or be refused with 113, once the view is another.
    pub(crate) async fn prove<T: Transaction>(&self, tx: &T) -> Result<(), LayerError> {
        let key = keys::fence(self.life);
        let row = tx.get(&key).await?;
        let fence = unreadable::refuse_some(&key, row.as_ref(), FenceRecord::decode)?;
        if fence == Some(FenceRecord { incarnation: self.life, epoch: self.epoch }) {
            Ok(())
        } else {
            Err(moving().into())
        }
    }
}
