//! Shares of upkeep: which node does what of that which is done for a whole store, so that it is done once.
//!
//! Owns the assignment. What is of a partition is its owner's; what lies behind a hash byte is the owner's of the
//! partition that stands at that place of 256 in the table; and what is neither is the first partition's owner's. It is a
//! matter of cost alone: doing something twice is safe, and what nobody does in one view is done in another.

use kv::transaction::Engine;
use schema::limits::PARTITIONS;
use schema::{Incarnation, View};

use super::{LayerError, view};

/// Partitions to a hash byte.
const BYTE_PARTITIONS: usize = PARTITIONS as usize / 256;

/// What one node does of upkeep.
#[derive(Debug, Clone)]
pub struct Share {
    /// By partition.
    is_mine: Box<[bool]>,
}

impl Share {
    /// All there is: of a store that no node has.
    #[must_use]
    pub fn whole() -> Self {
        Self { is_mine: vec![true; usize::from(PARTITIONS)].into() }
    }

    /// The share of one node of a view; nothing of one that owns nothing.
    #[must_use]
    pub fn of(view: &View, node: Incarnation) -> Self {
        Self { is_mine: view.owners().iter().map(|owner| owner.incarnation == node).collect() }
    }

    /// The share of a node under the view as it stands. While a view changes, something may be two nodes' or nobody's.
    ///
    /// # Errors
    /// The store's, and damage in the view's row.
    pub async fn current<E: Engine>(engine: &E, node: Incarnation) -> Result<Self, LayerError> {
        let nothing = || Self { is_mine: vec![false; usize::from(PARTITIONS)].into() };
        Ok(view::current(engine).await?.map_or_else(nothing, |current| Self::of(&current.view, node)))
    }

    /// The partitions, ascending.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = usize> {
        self.is_mine.iter().enumerate().filter(|(_, is_mine)| **is_mine).map(|(partition, _)| partition)
    }

    pub(crate) fn has_partition(&self, partition: usize) -> bool {
        self.is_mine[partition]
    }

    pub(crate) fn has_hash(&self, byte: u8) -> bool {
        self.is_mine[usize::from(byte) * BYTE_PARTITIONS]
    }

    /// What is neither of a partition nor behind a hash byte.
    pub(crate) fn has_rest(&self) -> bool {
        self.has_hash(0)
    }
}

#[cfg(test)]
mod tests {
    use schema::{Epoch, Member, Owner, Standing};

    use super::*;

    #[test]
    fn every_part_is_one_nodes_and_the_whole_is_all_of_them() {
        let nodes = [3, 5, 8].map(Incarnation);
        let standing = |at| if at == 2 { Standing::Guest } else { Standing::Home };
        let members =
            (0..3).map(|at| Member { incarnation: nodes[at], shards: 1, weight: 1, standing: standing(at) }).collect();
        let owner = |at: u16| Owner { incarnation: nodes[usize::from(at % 7 / 4)], ..Owner::default() };
        let view = View::new(Epoch(1), members, (0..PARTITIONS).map(owner).collect());
        let shares = nodes.map(|node| Share::of(&view, node));
        let once = |has: &dyn Fn(&Share) -> bool| {
            assert!(has(&Share::whole()));
            assert_eq!(shares.iter().filter(|share| has(share)).count(), 1);
        };
        (0..usize::from(PARTITIONS)).for_each(|partition| once(&|share| share.partitions().any(|at| at == partition)));
        (0..=u8::MAX).for_each(|byte| once(&|share| share.has_hash(byte)));
        once(&Share::has_rest);
        assert_eq!(shares[2].partitions().count(), 0, "a guest owns nothing");
    }
}
