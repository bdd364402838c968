//! Looking at a channel: who is there, who has read, who writes.

use crate::script::{check, rules};
use crate::world::World;

rules! {
    opening_a_channel_tells_how_far_it_has_come_and_how_many_are_there {
        "earlier abc m1, a1 joins, c1 joins, a1 opens abc, c1 marks abc 1, c1 opens abc
        => a1: connected, open #1 read #0 online 2, c read abc#1
        | c1: connected, marked #1 0, read abc#1, open #1 read #1 online 2",
        "a1 joins, a1 opens bc, a1 looks-around bc 0 => a1: connected, !102 ×2",
        "a1 joins, a1 closes ab => a1: connected, closed",
    }

    who_blocks_counts_as_absent {
        "a1 joins, b1 joins, api blocks ba on, a1 opens ba => a1: connected, open #0 read #0 online 1 | api: 0 ok
        | b1: connected",
    }

    a_page_of_members_is_looked_around_in {
        "a1 joins, b1 joins, a1 looks-around abc 0, a1 looks-around abc 1
        => a1: connected, sees a-online b-online c-offline, sees | b1: connected",
        "a1 joins, watch Members, a1 looks-around ab 50 => a1: connected, !106 | seen:",
    }

    in_a_channel_of_many_only_those_who_look_at_it_are_told_who_writes {
        // The model takes four members for many.
        "a1 joins, b1 joins, c1 joins, b1 opens abcd, a1 types abcd, wait 3s, b1 closes abcd, a1 types abcd
        => a1: connected, told ×2 | b1: connected, open #0 read #0 online 3, types abcd, closed | c1: connected",
    }

    what_a_home_does_not_say_in_ten_seconds_is_to_be_asked_again {
        "store holds Visible, a1 joins, a1 opens ab, wait 9s => a1: connected",
        "store holds Visible, a1 joins, a1 opens ab, wait 12s, store releases => a1: connected, !115",
        "store refuses OpenChannel 115, a1 joins, a1 opens ab => a1: connected, !115",
    }

    a_close_takes_back_the_open_before_it {
        "store holds OpenChannel, a1 joins, a1 opens Lab, a1 closes Lab, store releases, b1 joins, b1 sends Lab m1
        => a1: connected, closed, !107 | b1: connected, #1",
        "store holds OpenChannel, a1 joins, b1 joins, b1 opens abcd, b1 closes abcd, store releases, a1 types abcd
        => a1: connected, told | b1: connected, closed, !107",
        "store holds OpenChannel, a1 joins, a1 opens Lab, a1 closes Lab, a1 opens Lab, store releases, b1 joins,
        b1 sends Lab m1 => a1: connected, closed, !107, open #0 read #0 online 1, Lab#1=m1 | b1: connected, #1",
    }
}

#[test]
fn of_small_channels_those_count_that_were_opened_last() {
    for (others, is_told) in [(255, true), (256, false)] {
        let mut world = World::after(1, "wait 0s, a1 joins, b1 joins, b1 opens abcd");
        let user = world.user("b");
        for number in 0..others {
            let name = format!("many{number}");
            world.channel_of(&name, false, vec![user]);
            world.open_by_name("b1", &name);
            world.wait(200);
        }
        // They take no large channel's place.
        world.steps("b1 opens Lab, a1 types abcd");
        let told = &world.client("b1").told;
        assert_eq!(told.iter().filter(|told| told.starts_with("open")).count(), others + 2);
        assert_eq!(told.contains(&"types abcd".to_owned()), is_told, "{others} others are open");
        world.everybody_leaves();
    }
}
