//! Nodes that this one keeps links to: the other members of the view that have links of their own.
//!
//! Owns the choice. Who of two nodes dials the other is `peering`'s.

use chat::view::Roll;
use schema::Incarnation;
use schema::record::NodeRecord;

use crate::peering::{Neighbour, Neighbours};

use super::identity::Me;

/// The nodes with links, and a member that is registered at this node's own address: nobody else is there, so it is an
/// earlier life of this node that is not declared dead yet.
pub(super) fn of(roll: &Roll, me: &Me) -> (Neighbours, Option<Incarnation>) {
    let mut neighbours = Neighbours::new();
    let mut earlier = None;
    for node in roll.active().filter(|node| *node != me.incarnation) {
        let Some(NodeRecord { links, shards, .. }) = roll.nodes.get(&node).and_then(|node| node.record.as_ref()) else {
            continue;
        };
        if links.is_empty() {
            continue;
        }
        if *links == me.record.links {
            earlier = Some(node);
        } else {
            neighbours.insert(node, Neighbour { address: links.clone(), shards: *shards });
        }
    }
    (neighbours, earlier)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chat::view::Node;
    use schema::limits::PARTITIONS;
    use schema::{Epoch, Member, Owner, ShardIndex, Standing, UnixMs, View};

    use super::*;

    #[test]
    fn a_node_keeps_links_to_other_members_and_none_to_itself() {
        check("a:1, b:1, c:1", "b:1 c:1", None);
        check("a:1, -, c:1", "c:1", None);
        check("a:1, a:1, c:1", "c:1", Some(2));
        check("-, -, c:1", "c:1", None);
        check("a:1", "", None);
    }

    /// Members from 1 on, this node first, each with the address of its links, `-` for none. Who is linked to, and whose
    /// earlier life this node is.
    fn check(addresses: &str, expected: &str, earlier: Option<u64>) {
        let mut roll = Roll { epoch: Epoch(3), ..Roll::default() };
        let mut members = Vec::new();
        for (number, address) in (1..).zip(addresses.split(", ")) {
            let node = Node { registered: true, record: Some(record(address)), ..Node::default() };
            roll.nodes.insert(Incarnation(number), node);
            members.push(Member { incarnation: Incarnation(number), shards: 2, weight: 2, standing: Standing::Home });
        }
        let owner = Owner { incarnation: Incarnation(1), shard: ShardIndex(0) };
        roll.view = Some(View::new(Epoch(3), members, vec![owner; usize::from(PARTITIONS)]));
        let mine = addresses.split(", ").next().expect("this node");
        let me = Me { incarnation: Incarnation(1), earlier: BTreeSet::new(), record: record(mine) };
        let (found, here) = of(&roll, &me);
        let found: Vec<&str> = found.values().map(|neighbour| neighbour.address.as_str()).collect();
        assert_eq!((found.join(" ").as_str(), here), (expected, earlier.map(Incarnation)), "{addresses}");
    }

    fn record(links: &str) -> NodeRecord {
        NodeRecord {
            name: "node".to_owned(),
            shards: 2,
            weight: 2,
            region: "here".to_owned(),
            ws_url: String::new(),
            api_url: String::new(),
            links: links.trim_start_matches('-').to_owned(),
            links_oldest: 1,
            links_newest: 1,
            secret: 1,
            token_key: 1,
            since_ms: UnixMs(1),
        }
    }
}
