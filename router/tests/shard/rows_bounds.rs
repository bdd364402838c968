//! Rates, budgets and slow readers (I11): a bound holds, and nobody else feels it.

use router::Counter;

use crate::script::{check, check_on};
use crate::world::World;

#[test]
fn a_session_asks_a_hundred_times_a_second_after_a_burst() {
    check("a1 joins, a1 dances 1999 times, a1 dances => a1: connected, !104 ×1999, !111");
    check(
        "a1 joins, a1 dances 2009 times, wait 1s, a1 dances 101 times
        => a1: connected, !104 ×1999, !111 ×10, !104 ×100, !111",
    );
    check("a1 joins, a1 dances 2000 times, a1 echoes x => a1: connected, !104 ×1999, !111, echo x");
}

#[test]
fn a_users_sessions_on_a_shard_share_its_rate() {
    check_on(
        1,
        "a1 joins, a2 joins, b1 joins, a1 dances 1500 times, a2 dances 700 times, b1 dances
        => a1: connected, !104 ×1500 | a2: connected, !104 ×500, !111 ×200 | b1: connected, !104",
    );
}

#[test]
fn who_disregards_the_rate_is_closed() {
    check("a1 joins, a1 dances 2998 times => a1: connected, !104 ×1999, !111 ×999");
    check("a1 joins, a1 dances 2999 times => a1: connected, !104 ×1999, !111 ×999, closed 3013");
}

#[test]
fn a_send_over_the_rate_keeps_its_place() {
    check(
        "a1 joins, a1 dances 1999 times, a1 sends ab m1, wait 10ms, a1 sends ab m2, wait 10ms, a1 sends ab m1,
        wait 10ms, a1 sends ab m2
        => a1: connected, !104 ×1999, !111, !114, #1, ab#1=m1, #2, ab#2=m2",
    );
}

#[test]
fn at_256_unanswered_commands_a_socket_is_not_read_until_half_are_answered() {
    check("store holds Apply, a1 joins, a1 floods ab 255 => a1: connected");
    check("store holds Apply, a1 joins, a1 floods ab 256 => a1: connected, reads off");
    check("store holds Apply, a1 joins, a1 floods ab 300 => a1: connected, reads off");
    let acks: Vec<String> = (1..=256).map(|seq| format!("#{seq}")).collect();
    let pushes: Vec<String> = (0..256).map(|number| format!("ab#{}=f{number}", number + 1)).collect();
    check(&format!(
        "store holds Apply, a1 joins, a1 floods ab 256, store releases => a1: connected, reads off, {}, reads on, {}, {}",
        acks[..129].join(", "),
        acks[129..].join(", "),
        pushes.join(", ")
    ));
}

#[test]
fn a_slow_reader_holds_64_kib_and_the_rest_waits_for_it() {
    let sends: Vec<String> = (1..=9).map(|number| format!("a1 sends ab m{number} 20KB")).collect();
    let told: Vec<String> = (1..=9).map(|number| format!("#{number}, ab#{number}=m{number}")).collect();
    let pushes: Vec<String> = (1..=9).map(|number| format!("ab#{number}=m{number}")).collect();
    let (sends, told) = (sends.join(", "), told.join(", "));
    let check = |steps: &str, pushed: usize| {
        check(&format!(
            "a1 joins, b1 joins, b1 stalls, {sends}{steps}
            => a1: connected, {told} | b1: connected, {}",
            pushes[..pushed].join(", ")
        ));
    };
    check("", 4);
    check(", wait 29s", 4);
    check(", b1 drains 10000", 4);
    check(", b1 drains 20000", 5);
    check(", b1 drains 50000", 6);
    check(", b1 reads", 9);
}

#[test]
fn a_frame_that_meets_an_empty_queue_is_taken_whatever_its_size() {
    check(
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1 97KB, a1 sends ab m2
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2 | b1: connected, ab#1=m1",
    );
}

#[test]
fn a_socket_that_takes_nothing_for_thirty_seconds_is_closed() {
    check(
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1, wait 29s => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
    );
    check(
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1, wait 31s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1, closed 3008",
    );
    check(
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1, wait 29s, b1 drains 10, wait 29s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
    );
}

#[test]
fn a_slow_reader_is_not_cut_off_and_misses_nothing() {
    for shards in [1, 2] {
        let mut world = World::new(shards);
        for step in ["wait 0s", "a1 joins", "b1 joins", "wait 0s", "b1 stalls"] {
            world.step(step);
            world.settle();
        }
        for number in 0..300 {
            world.step(&format!("a1 sends ab m{number} 4KB"));
            world.settle();
            if number % 10 == 0 {
                world.wait(20_000);
                world.step("b1 drains 1000");
            }
            let queued = world.client("b1").undrained_bytes;
            assert!(queued < 64 * 1_024 + 8 * 1_024, "I11: {queued} bytes queued");
        }
        world.step("b1 reads");
        world.wait(1_000);
        let channel = world.channel("ab");
        let expected: Vec<String> = world.store.bodies(channel).into_iter().map(str::to_owned).collect();
        assert_eq!(expected.len(), 300);
        assert_eq!(world.client("b1").pushed, expected);
        assert_eq!(world.client("b1").closed, None);
        world.everybody_leaves();
    }
}

#[test]
fn who_does_not_read_answers_is_not_read_either() {
    check("a1 joins, a1 stalls, a1 echoes x 4KB 31 times => a1: connected, echo x ×31");
    check("a1 joins, a1 stalls, a1 echoes x 4KB 32 times => a1: connected, echo x ×32, reads off");
    check("a1 joins, a1 stalls, a1 echoes x 4KB 32 times, a1 drains 66000 => a1: connected, echo x ×32, reads off");
    check(
        "a1 joins, a1 stalls, a1 echoes x 4KB 32 times, a1 drains 67000
        => a1: connected, echo x ×32, reads off, reads on",
    );
    // What its driver had read before it heard of that is answered, up to the hard limit.
    check(
        "a1 joins, a1 stalls, a1 echoes x 4KB 520 times
        => a1: connected, echo x ×32, reads off, echo x ×476, closed 3008",
    );
}

#[test]
fn pages_of_history_are_read_one_at_a_time_and_only_while_there_is_room() {
    check(
        "earlier ab m1, a1 joins, store holds History, watch History, a1 reads-back ab 5 times
        => a1: connected | seen: History",
    );
    check(
        "earlier ab m1, a1 joins, store holds History, watch History, a1 reads-back ab 5 times, store releases
        => a1: connected, history m1 ×5 | seen: History ×5",
    );
    check(
        "a1 joins, a1 sends ab m1 97KB, a1 stalls, a1 reads-back ab 5 times
        => a1: connected, #1, ab#1=m1, history m1",
    );
    check(
        "a1 joins, a1 sends ab m1 97KB, a1 stalls, a1 reads-back ab 5 times, a1 reads
        => a1: connected, #1, ab#1=m1, history m1 ×5",
    );
}

#[test]
fn what_a_home_holds_from_hints_is_bounded_and_the_rest_comes_from_the_store() {
    let mut world = World::new(1);
    for step in ["wait 0s", "a1 joins", "b1 joins", "wait 0s", "store holds ReadArrivals"] {
        world.step(step);
        world.settle();
    }
    for number in 0..200 {
        world.step(&format!("a1 sends ab m{number} 97KB"));
        world.settle();
    }
    let held = world.shards[0].stats().held_bytes;
    assert!((15 << 20..=16 << 20).contains(&held), "I11: {held} bytes of 19 MB are held");
    assert!(world.shards[0].stats().counters.of(Counter::Hints) > 0, "what is not kept is counted");
    world.step("store releases");
    world.wait(1_000);
    assert_eq!(world.client("b1").pushed.len(), 200);
    world.everybody_leaves();
}

#[test]
fn what_a_home_holds_for_slow_sessions_is_bounded_and_the_rest_comes_from_the_store() {
    let mut world = World::new(1);
    world.wait(0);
    let users: Vec<String> = (0..700).map(|number| format!("u{number}")).collect();
    let members = users.iter().map(|user| world.user(user)).collect();
    world.channel_of("everybody", false, members);
    for user in &users {
        world.step(&format!("{user}1 joins"));
        world.settle();
        world.step(&format!("{user}1 stalls"));
    }
    for number in 0..3 {
        world.step(&format!("u01 sends everybody m{number} 97KB"));
        world.settle();
    }
    let held = world.shards[0].stats().held_bytes;
    assert!((60 << 20..=65 << 20).contains(&held), "I11: {held} bytes are held for 700 users");
    assert!(world.shards[0].stats().counters.of(Counter::Recent) > 0, "what is not kept is counted");
    for user in &users {
        world.step(&format!("{user}1 reads"));
    }
    world.wait(1_000);
    for user in &users {
        let pushed = &world.client(&format!("{user}1")).pushed;
        assert_eq!(pushed.iter().map(|body| &body[..2]).collect::<Vec<_>>(), ["m0", "m1", "m2"], "{user}");
    }
    world.everybody_leaves();
}

#[test]
fn what_is_refused_is_counted_by_its_kind() {
    let check = |steps: &[&str], counter: Counter, count: u64| {
        let mut world = World::new(1);
        world.wait(0);
        for step in steps {
            world.step(step);
            world.settle();
        }
        assert_eq!(world.shards[0].stats().counters.of(counter), count, "{steps:?}");
    };
    check(&["a1 joins", "a1 dances 2002 times"], Counter::Rate, 3);
    check(&["store takes no writes", "a1 joins", "a1 sends ab m1"], Counter::WritesOff, 1);
    check(&["store refuses Apply 115", "a1 joins", "a1 sends ab m1"], Counter::StoreRefused, 1);
    check(&["store holds Apply", "a1 joins", "a1 sends ab m1", "wait 21s"], Counter::Overdue, 1);
    check(&["a1 joins", "stray frame for a1"], Counter::OtherEpoch, 1);
    check(&["a1 joins", "a1 sends-binary"], Counter::Closed, 1);
    let channels: Vec<String> = (b'b'..b'w').map(|other| format!("a1 types a{}", char::from(other))).collect();
    let steps: Vec<&str> = ["a1 joins"].into_iter().chain(channels.iter().map(String::as_str)).collect();
    check(&steps, Counter::Typing, 21 - 16);
}
