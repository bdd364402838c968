//! Applications that are asked before a message is stored: what waits for them, in which order it goes on, and what they lead to.

use router::Counter;

use crate::script::{check, rules};
use crate::world::World;

rules! {
    a_message_waits_for_the_application_and_is_stored_as_it_says {
        "apps are asked, watch AskBefore, a1 joins, a1 sends ab m1 => a1: connected, #1, ab#1=m1 | seen: AskBefore",
        "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, wait 4s => a1: connected",
        "apps are asked, apps change, a1 joins, b1 joins, a1 sends ab m1
        => a1: connected, #1, ab#1=m1~ | b1: connected, ab#1=m1~",
        "apps are asked, apps refuse, a1 joins, b1 joins, a1 sends ab m1, a1 sends ab m2
        => a1: connected, !125 ×2 | b1: connected",
        "a1 joins, a1 sends ab m1, apps are asked, apps change, a1 edits ab 1 m2
        => a1: connected, #1, ab#1=m1, edited 1, edit ab#1=m2~",
        "a1 joins, a1 sends ab m1, apps are asked, apps refuse, a1 edits ab 1 m2 => a1: connected, #1, ab#1=m1, !125",
    }

    nobody_is_asked_where_no_application_wants_to_be {
        "watch AskBefore, a1 joins, a1 sends ab m1 => a1: connected, #1, ab#1=m1 | seen:",
        "apps are asked of ab, watch AskBefore, a1 joins, a1 sends ac m1 => a1: connected, #1, ac#1=m1 | seen:",
        "apps are asked, watch AskBefore, a1 joins, a1 marks ab 1, a1 types ab, a1 echoes x
        => a1: connected, marked #0 0, told, echo x | seen:",
        "apps are asked, apps are gone, watch AskBefore, a1 joins, a1 sends ab m1 => a1: connected, #1, ab#1=m1 | seen:",
        "apps are asked, watch AskBefore, api sends ab m1 7 => api: 7 ok | seen:",
    }

    of_a_channel_nothing_overtakes_what_waits {
        "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, a1 sends ab m2, store answers AskBefore last
        => a1: connected",
        "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, a1 sends ab m2, store answers AskBefore last,
        store releases => a1: connected, #1, #2, ab#1=m1, ab#2=m2",
        // Nobody wants to be asked any more.
        "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, apps are gone, a1 sends ab m2
        => a1: connected",
        "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, apps are gone, a1 sends ab m2, store releases
        => a1: connected, #1, #2, ab#1=m1, ab#2=m2",
        "a1 joins, a1 sends ab m1, apps are asked, store holds AskBefore, a1 edits ab 1 m2, a1 deletes ab 1
        => a1: connected, #1, ab#1=m1",
        "a1 joins, a1 sends ab m1, apps are asked, store holds AskBefore, a1 edits ab 1 m2, a1 deletes ab 1, store releases
        => a1: connected, #1, ab#1=m1, edited 1, deleted 2, edit ab#1=m2, delete ab#1",
        // Other channels, and others in this one, go on.
        "apps are asked of ab, store holds AskBefore, a1 joins, a1 sends ab m1, a1 sends ac m2
        => a1: connected, #1, ac#1=m2",
        "apps are asked, store delays AskBefore, a1 joins, b1 joins, a1 sends ab m1, b1 sends ab m2, store tells AskBefore last
        => a1: connected, ab#1=m2 | b1: connected, #1, ab#1=m2",
    }

    a_retry_of_what_is_stored_gets_the_first_answer_whatever_the_application_says_then {
        "apps are asked, a1 joins, a1 sends ab m1, apps refuse, a1 sends ab m1 => a1: connected, #1, ab#1=m1, #1 again",
        "apps are asked, apps change, a1 joins, a1 sends ab m1, apps refuse, a1 sends ab m1
        => a1: connected, #1, ab#1=m1~, #1 again",
        "a1 joins, a1 sends ab m1, apps are asked, apps change, a1 sends ab m1 => a1: connected, #1, ab#1=m1, #1 again",
        // The first is not durable yet as the application refuses the second.
        "apps are asked, store holds Apply, a1 joins, a1 sends ab m1, apps refuse, a1 sends ab m1, store releases
        => a1: connected, #1, #1 again, ab#1=m1",
        // Both wait.
        "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, a1 sends ab m1, store releases
        => a1: connected, #1, #1 again, ab#1=m1",
        // What was refused is asked about anew.
        "apps are asked, apps refuse, a1 joins, a1 sends ab m1, apps allow, a1 sends ab m1 => a1: connected, !125, #1, ab#1=m1",
    }

    who_has_left_meanwhile_has_sent_nothing {
        "apps are asked, store holds AskBefore, a1 joins, b1 joins, a1 sends ab m1, a1 leaves, store releases
        => a1: connected | b1: connected",
        "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, a1 leaves, store releases, a1 joins, a1 sends ab m1
        => a1: connected ×2, #1, ab#1=m1",
    }

    what_waits_behind_a_send_that_is_to_come_again_is_refused_with_it {
        "apps are asked, apps wait, a1 joins, a1 sends ab m1, a1 sends ab m2, apps allow, a1 sends ab m1, a1 sends ab m2
        => a1: connected, !114 ×2, #1, ab#1=m1, #2, ab#2=m2",
        "apps are asked, store holds AskBefore, apps wait, a1 joins, a1 sends ab m1, a1 sends ab m2, store releases
        => a1: connected, !114 ×2",
        "apps are asked, store refuses AskBefore 115, a1 joins, a1 sends ab m1, a1 sends ab m2 => a1: connected, !115, !114",
        // Its home refuses the first while the second waits.
        "apps are asked, store holds Apply, a1 joins, a1 sends ab m1, store delays AskBefore, a1 sends ab m2,
        store refuses Apply 115, store releases Apply => a1: connected, !115, !114",
        "apps are asked, store holds Apply, a1 joins, a1 sends ab m1, store delays AskBefore, a1 sends ab m2,
        store refuses Apply 115, store releases Apply, store accepts Apply, a1 sends ab m1, store releases, a1 sends ab m2
        => a1: connected, !115, !114, #1, ab#1=m1, #2, ab#2=m2",
        // A refusal that lasts refuses itself alone.
        "apps are asked, apps refuse, store holds AskBefore, a1 joins, a1 sends ab m1, store answers AskBefore last, apps allow,
        a1 sends ab m2, store releases => a1: connected, !125, #1, ab#1=m2",
    }

    an_earlier_send_comes_again_first_though_a_later_one_was_refused_before_it {
        "apps are asked, store holds Apply, a1 joins, a1 sends ab m1, apps wait, a1 sends ab m2, store refuses Apply 115,
        store releases, store accepts Apply, apps allow, a1 sends ab m1, a1 sends ab m2
        => a1: connected, !114, !115, #1, ab#1=m1, #2, ab#2=m2",
        "store holds Apply, a1 joins, a1 sends ab m1, store takes no writes, a1 sends ab m2, store refuses Apply 115,
        store releases Apply, store accepts Apply, store takes more writes, a1 sends ab m1, a1 sends ab m2
        => a1: connected, !115 ×2, #1, ab#1=m1, #2, ab#2=m2",
    }

    what_is_said_of_a_send_that_was_refused_meanwhile_is_said_of_no_other {
        "pings after 1s, store holds Apply, a1 joins, a1 sends ab m1, apps are asked, store delays AskBefore, a1 sends ab m2,
        store refuses Apply 115, store releases Apply, store accepts Apply, wait 3s, store holds AskBefore,
        apps refuse, a1 sends ab m3, store tells AskBefore last => a1: connected, !115, !114",
    }
}

/// Beyond as many as a shard holds, a send is refused as it arrives, and then those that came before it are.
#[test]
fn an_earlier_send_comes_again_first_though_a_later_one_found_no_place() {
    let mut world =
        World::after(1, "wait 0s, apps are asked, store holds AskBefore, a1 joins, b1 joins, c1 joins, d1 joins");
    world.steps("a1 sends ad m1, b1 floods bd 200, c1 floods cd 200, d1 floods cd 200, a1 sends ad m2");
    assert_eq!(world.shards[0].stats().before_waiting, 512);
    world.steps("apps wait, store releases, apps allow, a1 sends ad m1, a1 sends ad m2");
    let told = world.told();
    assert!(told.starts_with("a1: connected, !114 ×2, #1, ad#1=m1, #2, ad#2=m2 |"), "{told}");
    world.everybody_leaves();
}

#[test]
fn a_shard_holds_so_many_and_refuses_what_is_beyond() {
    let mut world = World::after(1, "wait 0s, apps are asked, store holds AskBefore, a1 joins, b1 joins, c1 joins");
    for user in ["a", "b", "c"] {
        world.steps(&format!("{user}1 floods abc 200"));
    }
    let stats = world.shards[0].stats();
    // Those behind the first that is refused are to come again after it, and are not counted.
    assert_eq!((stats.before_waiting, stats.counters.of(Counter::Before)), (512, 1));
    world.steps("store releases");
    assert_eq!(world.shards[0].stats().before_waiting, 0);
    world.everybody_leaves();
}
