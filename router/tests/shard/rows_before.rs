//! Applications that are asked before a message is stored: what waits for them, in which order it goes on, and what they lead to.

use router::Counter;

use crate::script::{check, rules, run};
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

/// What waits in all shards, and its bytes: 256 for each operation, and its text's.
#[track_caller]
fn waits(row: &str) {
    run(row, |world| {
        let stats = world.shards.iter().map(|shard| shard.stats());
        let (waiting, bytes) =
            stats.fold((0, 0), |(waiting, bytes), stats| (waiting + stats.before_waiting, bytes + stats.before_bytes));
        format!("{waiting} of {bytes} bytes")
    });
}

#[test]
fn what_is_held_counts_until_it_goes_on() {
    waits("apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1 => 1 of 258 bytes");
    waits("apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, store releases => 0 of 0 bytes");
    // The word on the second has come, and a text with it, or that it cannot be asked about now.
    let two = "store holds AskBefore, a1 joins, a1 sends ab m1, a1 sends ab m2, store answers AskBefore last";
    waits(&format!("apps are asked, {two} => 2 of 516 bytes"));
    waits(&format!("apps are asked, apps change, {two} => 2 of 519 bytes"));
    waits(&format!("apps are asked, apps wait, {two} => 2 of 514 bytes"));
    waits(&format!("apps are asked, apps change, {two}, store releases => 0 of 0 bytes"));
    waits(&format!("apps are asked, apps wait, {two}, store releases => 0 of 0 bytes"));
    // Nobody is asked about the second.
    let behind = "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, apps are gone, a1 sends ab m2";
    waits(&format!("{behind} => 2 of 516 bytes"));
    waits(&format!("{behind}, store releases => 0 of 0 bytes"));
}

#[test]
fn a_question_counts_until_it_is_answered_whoever_has_left() {
    let left =
        "apps are asked, store holds AskBefore, a1 joins, a1 sends ab m1, a1 sends ab m2, store answers AskBefore last,
        a1 leaves";
    waits(&format!("{left} => 1 of 258 bytes"));
    waits(&format!("{left}, store releases => 0 of 0 bytes"));
    let refused = "apps are asked, store holds Apply, a1 joins, a1 sends ab m1, store delays AskBefore, a1 sends ab m2,
        store refuses Apply 115, store releases Apply";
    waits(&format!("{refused} => 1 of 258 bytes"));
    waits(&format!("{refused}, store releases => 0 of 0 bytes"));
}

/// Sends 84 messages of 97 KB behind one that has no word, and hears of each: there is room for one more.
fn filled(opinion: &str) -> World {
    let mut world =
        World::after(1, &format!("wait 0s, apps are asked, {opinion}, store holds AskBefore, a1 joins, b1 joins"));
    world.steps("a1 sends ad m");
    for at in 0..84 {
        world.steps(&format!("a1 sends ad m{at} 97KB"));
    }
    for _ in 0..84 {
        world.steps("store answers AskBefore last");
    }
    world
}

#[test]
fn a_shard_holds_so_many_bytes_and_refuses_what_is_beyond() {
    let mut world = filled("apps allow");
    world.steps("a1 sends ad m84 97KB, b1 sends bc m1, a1 deletes ad 1");
    let stats = world.shards[0].stats();
    assert_eq!((stats.before_waiting, stats.before_bytes), (86, 257 + 85 * (256 + 97 * 1_024)));
    assert_eq!(stats.counters.of(Counter::Before), 2);
    world.steps("store releases, b1 sends bc m1");
    let told = world.told();
    assert!(told.contains("b1: connected, !114, #1, bc#1=m1"), "{told}");
    world.everybody_leaves();
}

#[test]
fn a_text_that_an_application_gives_is_held_only_where_there_is_room() {
    let mut world = filled("apps change");
    let stats = world.shards[0].stats();
    let (bytes, refused) = (stats.before_bytes, stats.counters.of(Counter::Before));
    assert!(
        (8_388_608..8_388_608 + 2 * 97 * 1_024).contains(&bytes) && refused > 0,
        "{bytes} bytes, {refused} refused"
    );
    // The first is not held any more.
    world.steps("store releases");
    let told = world.told();
    assert!(told.contains("ad#1=m~"), "{told}");
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
