//! Large channels: a log that is followed while it is open, and a head for who does not look at it.

use crate::script::{check, check_on};
use crate::world::World;

#[test]
fn who_has_it_open_is_pushed_each_message_once_and_in_order() {
    check(
        "a1 joins, b1 joins, a1 opens Lab, b1 opens Lab, a1 sends Lab m1, b1 sends Lab m2
        => a1: connected, open #0 read #0 online 1, #1, Lab#1=m1, Lab#2=m2
        | b1: connected, open #0 read #0 online 2, Lab#1=m1, #2, Lab#2=m2",
    );
    check(
        "a1 joins, b1 opens fb, b1 connects, b1 opens Lab, a1 sends Lab m1, b1 closes Lab, a1 sends Lab m2
        => a1: connected, #1, #2 | b1: connected, open #0 read #0 online 1, Lab#1=m1, closed",
    );
}

#[test]
fn it_goes_on_from_the_seq_that_the_client_has() {
    check(
        "earlier Lab m1, earlier Lab m2, earlier Lab m3, a1 joins, a1 opens Lab after 1, a1 sends Lab m4
        => a1: connected, open #3 read #0 online 1, Lab#2=m2, Lab#3=m3, #4, Lab#4=m4",
    );
    check(
        "earlier Lab m1, a1 joins, a1 opens Lab after 9, a1 sends Lab m2
        => a1: connected, open #1 read #0 online 1, #2, Lab#2=m2",
    );
    check(
        "earlier Lab m1, a1 joins, a1 opens Lab, a1 opens Lab after 0
        => a1: connected, open #1 read #0 online 1 ×2, Lab#1=m1",
    );
}

#[test]
fn what_happens_to_messages_after_they_were_sent_is_pushed_live() {
    check(
        "a1 joins, b1 joins, a1 sends Lab m1, b1 opens Lab, a1 edits Lab 1 m2, a1 reacts Lab 1 👍, a1 deletes Lab 1
        => a1: connected, #1, edited 1, reacted 1, deleted 2
        | b1: connected, open #1 read #0 online 1, edit Lab#1=m2, reaction Lab#1 👍1, delete Lab#1",
    );
}

#[test]
fn what_happens_to_a_message_while_it_is_read_is_in_what_is_pushed() {
    let check = |after: u32, happens: &str, pushed: &str| {
        check(&format!(
            "earlier Lab m1, earlier Lab m2, a1 joins, b1 joins, store delays History, b1 opens Lab after {after},
            a1 edits Lab {happens}, store releases
            => a1: connected, edited 1 | b1: connected, open #2 read #0 online 1, {pushed}"
        ));
    };
    check(0, "2 m3", "Lab#1=m1, Lab#2=m3");
    check(0, "1 m3", "Lab#1=m3, Lab#2=m2");
    // The client has this one.
    check(1, "1 m3", "edit Lab#1=m3, Lab#2=m2");
}

#[test]
fn what_was_lost_on_the_way_is_read_from_the_log() {
    check_on(
        2,
        "a1 joins, b2 joins, b2 opens Lab, feeds are lost, a1 sends Lab m1, a1 sends Lab m2, feeds come, a1 sends Lab m3
        => a1: connected, #1, #2, #3 | b2: connected, open #0 read #0 online 1, Lab#1=m1, Lab#2=m2, Lab#3=m3",
    );
    check_on(
        2,
        "a1 joins, b2 joins, b2 opens Lab, feeds are lost, a1 sends Lab m1, wait 11s
        => a1: connected, #1 | b2: connected, open #0 read #0 online 1, Lab#1=m1",
    );
    check_on(
        2,
        "a1 joins, b2 joins, b2 opens Lab, feeds are lost, a1 sends Lab m1, store refuses History 115, wait 12s,
        store accepts History, wait 2s
        => a1: connected, #1 | b2: connected, open #0 read #0 online 1, Lab#1=m1",
    );
}

#[test]
fn a_slow_reader_reads_the_log_when_there_is_room_and_misses_nothing() {
    let sends: Vec<String> = (1..=9).map(|number| format!("a1 sends Lab m{number} 20KB")).collect();
    let acks: Vec<String> = (1..=9).map(|number| format!("#{number}")).collect();
    let pushes: Vec<String> = (1..=9).map(|number| format!("Lab#{number}=m{number}")).collect();
    let check = |steps: &str, pushed: usize| {
        check(&format!(
            "a1 joins, b1 joins, b1 opens Lab, b1 stalls, {}{steps}
            => a1: connected, {} | b1: connected, open #0 read #0 online 1, {}",
            sends.join(", "),
            acks.join(", "),
            pushes[..pushed].join(", ")
        ));
    };
    check("", 4);
    check(", b1 drains 10000", 4);
    check(", b1 drains 30000", 5);
    check(", b1 reads", 9);
}

#[test]
fn whoever_is_removed_is_told_nothing_that_was_sent_later() {
    check(
        "a1 joins, b1 joins, b1 opens Lab, a1 sends Lab m1, api removes b from Lab, a1 sends Lab m2, wait 30s
        => a1: connected, #1, #2 | api: 0 ok | b1: connected, open #0 read #0 online 1, Lab#1=m1, member Lab",
    );
    // What was read of the log before is late.
    check(
        "a1 joins, b1 joins, b1 opens Lab, b1 stalls, a1 sends Lab m1 97KB, a1 sends Lab m2, api removes b from Lab,
        a1 sends Lab m3, b1 reads, wait 30s
        => a1: connected, #1, #2, #3 | api: 0 ok | b1: connected, open #0 read #0 online 1, Lab#1=m1, member Lab",
    );
    // The membership that was read when it opened is from before.
    check(
        "a1 joins, b1 joins, store delays Subscribe, b1 opens Lab, api removes b from Lab, store releases,
        a1 sends Lab m1, wait 30s
        => a1: connected, #1 | api: 0 ok | b1: connected, member Lab, !102",
    );
    // What says so is lost on the way to the feed, and another on the same shard goes on to follow it.
    check_on(
        2,
        "a2 joins, b2 joins, a2 opens Lab, b2 opens Lab, feeds are lost, api removes b from Lab, feeds come, a2 sends Lab m1
        => a2: connected, open #0 read #0 online 1, #1, Lab#1=m1 | api: 0 ok
        | b2: connected, open #0 read #0 online 2, member Lab",
    );
    check_on(
        2,
        "a2 joins, b2 joins, a2 opens Lab, b2 opens Lab, feeds are lost, store holds Subscribe, api removes b from Lab,
        feeds come, a2 sends Lab m1, store releases
        => a2: connected, open #0 read #0 online 1, #1, Lab#1=m1 | api: 0 ok
        | b2: connected, open #0 read #0 online 2, member Lab",
    );
    check("a1 joins, a1 opens Lbc => a1: connected, !102");
}

#[test]
fn whoever_was_added_again_goes_on() {
    // The inbox tells later of what was before the channel was opened.
    check(
        "a1 joins, b1 joins, b1 leaves, api removes b from Lab, api adds b to Lab, store holds ReadInbox, b1 joins from last,
        b1 opens Lab, store releases, a1 sends Lab m1
        => a1: connected, #1 | api: 0 ok ×2 | b1: connected ×2, open #0 read #0 online 1, member Lab ×2, Lab#1=m1",
    );
}

#[test]
fn what_becomes_of_ones_own_membership_is_told_by_the_inbox_alone() {
    // The model takes it for another role.
    check(
        "a1 joins, b1 joins, a1 opens Lab, b1 opens Lab, api adds b to Lab
        => a1: connected, open #0 read #0 online 1, member Lab | api: 0 ok
        | b1: connected, open #0 read #0 online 2, member Lab",
    );
}

#[test]
fn who_does_not_look_is_told_now_and_then_how_far_it_has_come() {
    check(
        "earlier Lab m1, a1 joins, b1 joins, wait 6s, a1 sends Lab m2, a1 sends Lab m3, wait 6s, wait 20s
        => a1: connected, #2, #3, head Lab#3 | b1: connected, head Lab#3",
    );
    check(
        "earlier Lab m1, a1 joins, b1 joins, b1 opens Lab, wait 6s, a1 sends Lab m2, wait 6s
        => a1: connected, #2, head Lab#2 | b1: connected, open #1 read #0 online 1, Lab#2=m2",
    );
    check(
        "earlier La m1, a1 joins, b1 joins, wait 6s, api adds b to La, wait 1s, a1 sends La m2, wait 6s,
        api removes b from La, wait 1s, a1 sends La m3, wait 6s
        => a1: connected, #2, head La#2, #3, head La#3 | api: 0 ok ×2 | b1: connected, member La, head La#2, member La",
    );
}

#[test]
fn sixty_four_are_open_at_once() {
    let mut world = World::new(1);
    world.wait(0);
    world.step("a1 joins");
    world.settle();
    let user = world.user("a");
    for number in 0..65 {
        let name = format!("many{number}");
        world.channel_of(&name, true, vec![user]);
        world.open_by_name("a1", &name);
        world.settle();
    }
    let told = &world.client("a1").told;
    assert_eq!((told.len(), told.last().map(String::as_str)), (66, Some("!106")));
    world.everybody_leaves();
}

#[test]
fn a_message_is_encoded_once_per_encoding_and_shard() {
    for shards in [1, 2] {
        let mut world = World::new(shards);
        world.wait(0);
        let users: Vec<String> = (0..40).map(|number| format!("u{number}")).collect();
        let members = users.iter().map(|user| world.user(user)).collect();
        world.channel_of("everybody", true, members);
        for (number, user) in users.iter().enumerate() {
            let name = format!("{user}1");
            let encoding = if number % 4 == 0 { schema::Encoding::Fb } else { schema::Encoding::Json };
            world.open(&name, number / 4 % usize::from(shards), encoding);
            world.step(&format!("{name} connects"));
            world.settle();
            world.open_by_name(&name, "everybody");
            world.settle();
        }
        let encoded = |world: &World| world.shards.iter().map(|shard| shard.stats().events_encoded).sum::<u64>();
        let before = encoded(&world);
        world.step("u01 sends everybody m1");
        world.settle();
        assert_eq!(world.clients.values().filter(|client| client.pushed == ["m1"]).count(), 40);
        assert_eq!(encoded(&world) - before, 2 * u64::from(shards));
        world.everybody_leaves();
    }
}
