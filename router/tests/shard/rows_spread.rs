//! One message to many: what it costs.

use schema::Encoding;

use crate::world::World;

/// A group of 100, each with three devices, two of them on JSON: what one send makes the shards do.
fn check(shards: u16, encoded: u64, hints: usize, reads: usize) {
    let mut world = World::new(shards);
    world.wait(0);
    let users: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
    let members = users.iter().map(|user| world.user(user)).collect();
    let group = world.channel_of("everybody", false, members);
    for (number, user) in users.iter().enumerate() {
        for device in ["0", "1", "2"] {
            let name = format!("{user}{device}");
            let encoding = if device == "2" { Encoding::Fb } else { Encoding::Json };
            let shard = (number + usize::from(device == "1")) % usize::from(shards);
            world.open(&name, shard, encoding);
            world.step(&format!("{name} connects"));
            world.settle();
        }
    }
    world.step("watch Hint");
    world.step("watch ReadArrivals");
    world.step("watch ReadInbox");
    let encoded_before: u64 = world.shards.iter().map(|shard| shard.stats().events_encoded).sum();
    world.step("u00 sends everybody m1");
    world.settle();
    let pushed = world.clients.values().filter(|client| client.pushed == ["m1"]).count();
    assert_eq!(pushed, 300, "everybody has it");
    let encoded_after: u64 = world.shards.iter().map(|shard| shard.stats().events_encoded).sum();
    let count = |kind: &str| world.seen.iter().filter(|seen| *seen == kind).count();
    let did = (encoded_after - encoded_before, count("Hint"), count("ReadArrivals"), count("ReadInbox"));
    assert_eq!(did, (encoded, hints, reads, 0), "encoded, hints, reads of arrivals and of inboxes on {shards} shards");
    assert_eq!(world.store.bodies(group), ["m1"]);
    world.everybody_leaves();
}

#[test]
fn an_event_is_encoded_once_per_encoding_and_shard_and_read_once_per_shard() {
    // A hint to the shard itself is no frame.
    check(1, 2, 0, 1);
    check(2, 4, 1, 2);
}
