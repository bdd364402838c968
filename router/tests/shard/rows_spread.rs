//! One message to many: what it costs.

use schema::{Encoding, Partition};

use crate::world::World;

/// A group of 100, each with three devices, two of them on JSON: what one send makes the shards do.
fn check(shards: u16, encoded: u64, hints: usize, reads: usize) {
    let mut world = World::after(shards, "wait 0s");
    for (number, user) in world.everybody(false, 100).iter().enumerate() {
        for device in ["0", "1", "2"] {
            let name = format!("{user}{device}");
            let encoding = if device == "2" { Encoding::Fb } else { Encoding::Json };
            let shard = (number + usize::from(device == "1")) % usize::from(shards);
            world.open(&name, shard, encoding);
            world.steps(&format!("{name} connects"));
        }
    }
    let encoded_before = world.encoded();
    world.steps("watch Hint, watch ReadArrivals, watch ReadInbox, u00 sends everybody m1");
    let pushed = world.clients.values().filter(|client| client.pushed == ["m1"]).count();
    assert_eq!(pushed, 300, "everybody has it");
    let seen = (world.seen("Hint"), world.seen("ReadArrivals"), world.seen("ReadInbox"));
    let did = (world.encoded() - encoded_before, seen.0, seen.1, seen.2);
    assert_eq!(did, (encoded, hints, reads, 0), "encoded, hints, reads of arrivals and of inboxes on {shards} shards");
    assert_eq!(world.store.bodies(world.names.id("everybody")), ["m1"]);
    world.everybody_leaves();
}

#[test]
fn an_event_is_encoded_once_per_encoding_and_shard_and_read_once_per_shard() {
    // A hint to the shard itself is no frame.
    check(1, 2, 0, 1);
    check(2, 4, 1, 2);
}

/// A group of 100 over three nodes of one shard, each member where its home is, as `/v1/servers/best` sends it: the
/// frames between nodes that one send takes, by the node of the sender and of the channel.
fn check_nodes(sender: usize, channel: usize, expected: &[(&str, usize)]) {
    let mut world = World::cluster(3, 1);
    world.steps("wait 0s");
    let everybody = world.everybody(false, 100);
    let partition = Partition::of_channel(world.names.id("everybody"));
    world.change([(partition, channel)]);
    world.steps("wait 1s");
    let mut sends = None;
    for user in &everybody {
        let node = world.home_of(user);
        let name = format!("{user}{node}");
        world.open(&name, node, Encoding::Fb);
        world.steps(&format!("{name} connects"));
        if node == sender {
            sends.get_or_insert(name);
        }
    }
    let sends = sends.expect("of a hundred some are there");
    world.steps(&format!("watch far, watch Apply, {sends} sends everybody m1"));
    assert_eq!(world.clients.values().filter(|client| client.pushed == ["m1"]).count(), 100, "everybody has it");
    let far = ["Apply", "Applied", "Hint", "Deliver"].map(|kind| (kind, world.seen(&format!("far {kind}"))));
    let far: Vec<_> = far.into_iter().filter(|&(_, frames)| frames > 0).collect();
    let all = world.seen("far");
    assert_eq!((&far[..], all), (expected, far.iter().map(|&(_, frames)| frames).sum()), "from {sender} to {channel}");
    assert_eq!(world.seen("Apply"), 1, "one append");
    world.everybody_leaves();
}

#[test]
fn a_message_to_a_group_over_three_nodes_takes_a_frame_to_each_other_node() {
    check_nodes(0, 0, &[("Hint", 2)]);
    // What is asked of a channel's home on another node, and answered by it, comes to that.
    check_nodes(0, 1, &[("Apply", 1), ("Applied", 1), ("Hint", 2)]);
}
