//! The row `view`: an epoch, and its table, some 17 KB in one value, so that it is written and read whole.
//!
//! Owns its bytes. Nodes stand there with their shards, and an owner is a place among these shards, so that it takes two
//! bytes. Two more say for how many epochs it has had its partition, 65,535 at most: whoever sees one view and later
//! another can tell whose partitions were another's between them.

use schema::limits::{PARTITIONS, SHARDS_OF_VIEW_MAX};
use schema::{Epoch, Incarnation, Member, Owner, ShardIndex, Standing, View};

use crate::fields::{Field, of_fields};

/// What the row says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ViewRow {
    /// The epoch; 0 in a store that no node has claimed yet.
    pub(crate) epoch: Epoch,
    /// None before the first node, and where the last one has left.
    pub(crate) table: Option<Table>,
}

/// Nodes and the owners of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) members: Vec<Member>,
    pub(crate) owners: Vec<Owner>,
    /// The epoch that gave each partition to its owner.
    pub(crate) since: Vec<Epoch>,
}

impl ViewRow {
    pub(crate) fn members(&self) -> &[Member] {
        self.table.as_ref().map_or(&[], |table| &table.members)
    }

    pub(crate) fn has(&self, node: Incarnation) -> bool {
        self.members().iter().any(|member| member.incarnation == node)
    }

    pub(crate) fn into_view(self) -> Option<View> {
        self.table.map(|table| View::with_since(self.epoch, table.members, table.owners, table.since))
    }
}

impl From<&View> for ViewRow {
    fn from(view: &View) -> Self {
        let (members, owners, since) = (view.members().to_vec(), view.owners().to_vec(), view.sinces().to_vec());
        let table = Table { members, owners, since };
        Self { epoch: view.epoch, table: Some(table) }
    }
}

of_fields! {
    Member { incarnation: Incarnation, shards: u16, weight: u16, standing: Standing }
}

impl Field for Standing {
    type Owned = Self;
    const BYTES: usize = 1;

    fn put(self, bytes: &mut Vec<u8>) {
        let number: u8 = match self {
            Self::Home => 0,
            Self::Draining => 1,
            Self::Guest => 2,
        };
        number.put(bytes);
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        match u8::take(rest)? {
            0 => Some(Self::Home),
            1 => Some(Self::Draining),
            2 => Some(Self::Guest),
            _ => None,
        }
    }
}

/// Every shard of these nodes, in order. `None` if they are more than a row can name.
fn shards(members: &[Member]) -> Option<Vec<Owner>> {
    let total: u32 = members.iter().map(|member| u32::from(member.shards)).sum();
    let of = |&Member { incarnation, shards, .. }: &Member| {
        (0..shards).map(move |shard| Owner { incarnation, shard: ShardIndex(shard) })
    };
    (total <= SHARDS_OF_VIEW_MAX).then(|| members.iter().flat_map(of).collect())
}

impl Field for ViewRow {
    type Owned = Self;
    const BYTES: usize = 0;
    const VARIES: bool = true;

    /// # Panics
    /// If the nodes have more than 65,536 shards, or an owner is none of them.
    fn put(self, bytes: &mut Vec<u8>) {
        self.epoch.put(bytes);
        let members = self.members();
        u16::try_from(members.len()).expect("nodes are a few hundred").put(bytes);
        members.iter().for_each(|&member| member.put(bytes));
        let shards = shards(members).expect("nodes have no more shards than a view may");
        for owner in self.table.iter().flat_map(|table| &table.owners) {
            let place = shards.binary_search(owner).expect("an owner is a shard of a node, and these are in order");
            u16::try_from(place).expect("below 65,536").put(bytes);
        }
        for since in self.table.iter().flat_map(|table| &table.since) {
            u16::try_from(self.epoch.0 - since.0).unwrap_or(u16::MAX).put(bytes);
        }
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        let epoch = Epoch::take(rest)?;
        let count = u16::take(rest)?;
        let members: Vec<Member> = (0..count).map(|_| Member::take(rest)).collect::<Option<_>>()?;
        if !members.is_sorted_by(|one, other| one.incarnation < other.incarnation) {
            return None;
        }
        if members.is_empty() {
            return Some(Self { epoch, table: None });
        }
        let shards = shards(&members)?;
        let owner = |_| shards.get(usize::from(u16::take(rest)?)).copied();
        let owners = (0..PARTITIONS).map(owner).collect::<Option<_>>()?;
        let since = |_| epoch.0.checked_sub(u16::take(rest)?.into()).map(Epoch);
        let since = (0..PARTITIONS).map(since).collect::<Option<_>>()?;
        Some(Self { epoch, table: Some(Table { members, owners, since }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_every_shard_and_nothing_else_is_one() {
        let member = |incarnation, shards, standing| Member {
            incarnation: Incarnation(incarnation),
            shards,
            weight: 7,
            standing,
        };
        let members =
            vec![member(3, 2, Standing::Home), member(9, 1, Standing::Draining), member(u64::MAX, 16, Standing::Guest)];
        let all = shards(&members).expect("they are a few");
        let owners = (0..usize::from(PARTITIONS)).map(|at| all[at % all.len()]).collect();
        let since = (0..u64::from(PARTITIONS)).map(|at| Epoch(100_000 - at % 3 * 50_000)).collect();
        let row = ViewRow { epoch: Epoch(100_000), table: Some(Table { members, owners, since }) };
        let mut bytes = Vec::new();
        row.clone().put(&mut bytes);
        assert_eq!(bytes.len(), 8 + 2 + 3 * 13 + 4_096 * 4);
        let again = |mut bytes: &[u8]| ViewRow::take(&mut bytes).filter(|_| bytes.is_empty());
        let mut read = again(&bytes).expect("a row");
        // What is too long ago is later than it was: the partition counts as moved once too often.
        let since = &mut read.table.as_mut().expect("a table").since;
        assert_eq!(since[..3], [Epoch(100_000), Epoch(50_000), Epoch(100_000 - 65_535)]);
        since.iter_mut().filter(|since| since.0 == 100_000 - 65_535).for_each(|since| *since = Epoch(0));
        assert_eq!(read, row);
        assert_eq!(again(&bytes[..bytes.len() - 1]), None);
        // A standing, the order of nodes, and an owner that is none of them.
        for (at, value) in [(10 + 12, 3), (10, 255), (10 + 3 * 13 + 1, 19)] {
            let mut bad = bytes.clone();
            bad[at] = value;
            assert_eq!(again(&bad), None, "byte {at}");
        }
    }
}
