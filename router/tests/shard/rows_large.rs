//! Large channels: a log that is followed while it is open, and a head for who does not look at it.

use crate::script::{check, rules};
use crate::world::World;

rules! {
    who_has_it_open_is_pushed_each_message_once_and_in_order {
        "a1 joins, b1 joins, a1 opens Lab, b1 opens Lab, a1 sends Lab m1, b1 sends Lab m2
        => a1: connected, open #0 read #0 online 1, #1, Lab#1=m1, Lab#2=m2
        | b1: connected, open #0 read #0 online 2, Lab#1=m1, #2, Lab#2=m2",
        "a1 joins, b1 opens fb, b1 connects, b1 opens Lab, a1 sends Lab m1, b1 closes Lab, a1 sends Lab m2
        => a1: connected, #1, #2 | b1: connected, open #0 read #0 online 1, Lab#1=m1, closed",
    }

    it_goes_on_from_the_seq_that_the_client_has {
        "earlier Lab m1, earlier Lab m2, earlier Lab m3, a1 joins, a1 opens Lab after 1, a1 sends Lab m4
        => a1: connected, open #3 read #0 online 1, Lab#2=m2, Lab#3=m3, #4, Lab#4=m4",
        "earlier Lab m1, a1 joins, a1 opens Lab after 9, a1 sends Lab m2
        => a1: connected, open #1 read #0 online 1, #2, Lab#2=m2",
        "earlier Lab m1, a1 joins, a1 opens Lab, a1 opens Lab after 0
        => a1: connected, open #1 read #0 online 1 ×2, Lab#1=m1",
    }

    what_happens_to_messages_after_they_were_sent_is_pushed_live {
        "a1 joins, b1 joins, a1 sends Lab m1, b1 opens Lab, a1 edits Lab 1 m2, a1 reacts Lab 1 👍, a1 deletes Lab 1
        => a1: connected, #1, edited 1, reacted 1, deleted 2
        | b1: connected, open #1 read #0 online 1, edit Lab#1=m2, reaction Lab#1 👍1, delete Lab#1",
    }
}

/// An edit while the log is read for a session that opened it: where it opened it, what is edited, what it is pushed.
fn edited(after: u32, edit: &str, pushed: &str) -> String {
    format!(
        "earlier Lab m1, earlier Lab m2, a1 joins, b1 joins, store delays History, b1 opens Lab after {after},
        a1 edits Lab {edit}, store releases
        => a1: connected, edited 1 | b1: connected, open #2 read #0 online 1, {pushed}"
    )
}

rules! {
    what_happens_to_a_message_while_it_is_read_is_in_what_is_pushed {
        edited(0, "2 m3", "Lab#1=m1, Lab#2=m3"),
        edited(0, "1 m3", "Lab#1=m3, Lab#2=m2"),
        // The client has this one.
        edited(1, "1 m3", "edit Lab#1=m3, Lab#2=m2"),
    }

    what_was_lost_on_the_way_is_read_from_the_log {
        "2 shards, a1 joins, b2 joins, b2 opens Lab, feeds are lost, a1 sends Lab m1, a1 sends Lab m2, feeds come,
        a1 sends Lab m3
        => a1: connected, #1, #2, #3 | b2: connected, open #0 read #0 online 1, Lab#1=m1, Lab#2=m2, Lab#3=m3",
        "2 shards, a1 joins, b2 joins, b2 opens Lab, feeds are lost, a1 sends Lab m1, wait 11s
        => a1: connected, #1 | b2: connected, open #0 read #0 online 1, Lab#1=m1",
        "2 shards, a1 joins, b2 joins, b2 opens Lab, feeds are lost, a1 sends Lab m1, store refuses History 115,
        wait 12s, store accepts History, wait 2s
        => a1: connected, #1 | b2: connected, open #0 read #0 online 1, Lab#1=m1",
    }
}

/// A reader that stalls while nine messages of 20 KB come: what happens then, and how many it is pushed.
fn slow_reader(then: &str, pushed: u32) -> String {
    format!(
        "a1 joins, b1 joins, b1 opens Lab, b1 stalls, <1..9: a1 sends Lab m$ 20KB>{then}
        => a1: connected, <1..9: #$> | b1: connected, open #0 read #0 online 1, <1..{pushed}: Lab#$=m$>"
    )
}

rules! {
    a_slow_reader_reads_the_log_when_there_is_room_and_misses_nothing {
        slow_reader("", 4),
        slow_reader(", b1 drains 10000", 4),
        slow_reader(", b1 drains 30000", 5),
        slow_reader(", b1 reads", 9),
    }

    whoever_is_removed_is_told_nothing_that_was_sent_later {
        "a1 joins, b1 joins, b1 opens Lab, a1 sends Lab m1, api removes b from Lab, a1 sends Lab m2, wait 30s
        => a1: connected, #1, #2 | api: 0 ok | b1: connected, open #0 read #0 online 1, Lab#1=m1, member Lab",
        // What was read of the log before is late.
        "a1 joins, b1 joins, b1 opens Lab, b1 stalls, a1 sends Lab m1 97KB, a1 sends Lab m2, api removes b from Lab,
        a1 sends Lab m3, b1 reads, wait 30s
        => a1: connected, #1, #2, #3 | api: 0 ok | b1: connected, open #0 read #0 online 1, Lab#1=m1, member Lab",
        // The membership that was read when it opened is from before.
        "a1 joins, b1 joins, store delays Subscribe, b1 opens Lab, api removes b from Lab, store releases,
        a1 sends Lab m1, wait 30s
        => a1: connected, #1 | api: 0 ok | b1: connected, member Lab, !102",
        // What says so is lost on the way to the feed, and another on the same shard goes on to follow it.
        "2 shards, a2 joins, b2 joins, a2 opens Lab, b2 opens Lab, feeds are lost, api removes b from Lab, feeds come,
        a2 sends Lab m1
        => a2: connected, open #0 read #0 online 1, #1, Lab#1=m1 | api: 0 ok
        | b2: connected, open #0 read #0 online 2, member Lab",
        "2 shards, a2 joins, b2 joins, a2 opens Lab, b2 opens Lab, feeds are lost, store holds Subscribe,
        api removes b from Lab, feeds come, a2 sends Lab m1, store releases
        => a2: connected, open #0 read #0 online 1, #1, Lab#1=m1 | api: 0 ok
        | b2: connected, open #0 read #0 online 2, member Lab",
        "a1 joins, a1 opens Lbc => a1: connected, !102",
    }

    whoever_was_added_again_goes_on {
        // The inbox tells later of what was before the channel was opened.
        "a1 joins, b1 joins, b1 leaves, api removes b from Lab, api adds b to Lab, store holds ReadInbox,
        b1 joins from last, b1 opens Lab, store releases, a1 sends Lab m1
        => a1: connected, #1 | api: 0 ok ×2 | b1: connected ×2, open #0 read #0 online 1, member Lab ×2, Lab#1=m1",
    }

    what_becomes_of_ones_own_membership_is_told_by_the_inbox_alone {
        // The model takes it for another role.
        "a1 joins, b1 joins, a1 opens Lab, b1 opens Lab, api adds b to Lab
        => a1: connected, open #0 read #0 online 1, member Lab | api: 0 ok
        | b1: connected, open #0 read #0 online 2, member Lab",
    }

    who_does_not_look_is_told_now_and_then_how_far_it_has_come {
        "earlier Lab m1, a1 joins, b1 joins, wait 6s, a1 sends Lab m2, a1 sends Lab m3, wait 6s, wait 20s
        => a1: connected, #2, #3, head Lab#3 | b1: connected, head Lab#3",
        "earlier Lab m1, a1 joins, b1 joins, b1 opens Lab, wait 6s, a1 sends Lab m2, wait 6s
        => a1: connected, #2, head Lab#2 | b1: connected, open #1 read #0 online 1, Lab#2=m2",
        "earlier La m1, a1 joins, b1 joins, wait 6s, api adds b to La, wait 1s, a1 sends La m2, wait 6s,
        api removes b from La, wait 1s, a1 sends La m3, wait 6s
        => a1: connected, #2, head La#2, #3, head La#3 | api: 0 ok ×2 | b1: connected, member La, head La#2, member La",
    }

    sixty_four_are_open_at_once {
        "1 shard, a1 joins, <a..z: a1 opens La$>, <A..Z: a1 opens La$>, <0..9: a1 opens La$>, <b..d: a1 opens L$a>
        => a1: connected, open #0 read #0 online 1 ×64, !106",
    }
}

#[test]
fn a_message_is_encoded_once_per_encoding_and_shard() {
    for shards in [1, 2] {
        let mut world = World::after(shards, "wait 0s");
        for (number, user) in world.everybody(true, 40).iter().enumerate() {
            let name = format!("{user}1");
            let encoding = if number % 4 == 0 { schema::Encoding::Fb } else { schema::Encoding::Json };
            world.open(&name, number / 4 % usize::from(shards), encoding);
            world.steps(&format!("{name} connects"));
            world.open_by_name(&name, "everybody");
        }
        let before = world.encoded();
        world.steps("u01 sends everybody m1");
        assert_eq!(world.clients.values().filter(|client| client.pushed == ["m1"]).count(), 40);
        assert_eq!(world.encoded() - before, 2 * u64::from(shards));
        world.everybody_leaves();
    }
}
