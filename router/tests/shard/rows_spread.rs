//! One message to many: what it costs.

use schema::Encoding;

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
