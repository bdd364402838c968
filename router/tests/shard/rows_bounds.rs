//! Rates, budgets and slow readers (I11): a bound holds, and nobody else feels it.

use router::Counter;
use schema::command::PresenceGet;
use schema::record::PresenceRecord;
use schema::{Command, PresenceState, UserId};

use crate::script::{check, rules};
use crate::world::World;

rules! {
    a_session_asks_a_hundred_times_a_second_after_a_burst {
        "a1 joins, a1 dances 1999 times, a1 dances => a1: connected, !104 ×1999, !111",
        "a1 joins, a1 dances 2009 times, wait 1s, a1 dances 101 times
        => a1: connected, !104 ×1999, !111 ×10, !104 ×100, !111",
        "a1 joins, a1 dances 2000 times, a1 echoes x => a1: connected, !104 ×1999, !111, echo x",
    }

    a_users_sessions_on_a_shard_share_its_rate {
        "1 shard, a1 joins, a2 joins, b1 joins, a1 dances 1500 times, a2 dances 700 times, b1 dances
        => a1: connected, !104 ×1500 | a2: connected, !104 ×500, !111 ×200 | b1: connected, !104",
    }

    who_disregards_the_rate_is_closed {
        "a1 joins, a1 dances 2998 times => a1: connected, !104 ×1999, !111 ×999",
        "a1 joins, a1 dances 2999 times => a1: connected, !104 ×1999, !111 ×999, closed 3013",
    }

    a_send_over_the_rate_keeps_its_place {
        "a1 joins, a1 dances 1999 times, a1 sends ab m1, wait 10ms, a1 sends ab m2, wait 10ms, a1 sends ab m1,
        wait 10ms, a1 sends ab m2
        => a1: connected, !104 ×1999, !111, !114, #1, ab#1=m1, #2, ab#2=m2",
    }

    at_256_unanswered_commands_a_socket_is_not_read_until_half_are_answered {
        "store holds Apply, a1 joins, a1 floods ab 255 => a1: connected",
        "store holds Apply, a1 joins, a1 floods ab 256 => a1: connected, reads off",
        "store holds Apply, a1 joins, a1 floods ab 300 => a1: connected, reads off",
        "store holds Apply, a1 joins, <1..256: a1 sends ab m$>, store releases
        => a1: connected, reads off, <1..129: #$>, reads on, <130..256: #$>, <1..256: ab#$=m$>",
    }
}

/// Two send 250 messages each that the store does not answer, and one more after a time: what comes of that one.
fn behind_half_a_second(wait: &str, told: &str) -> String {
    format!(
        "1 shard, store holds Apply, a1 joins, b1 joins, <1..250: a1 sends ab m$>, <1..250: b1 sends ab n$>, wait {wait},
        b1 sends ab x => a1: connected | b1: connected{told}"
    )
}

rules! {
    nothing_is_let_in_behind_what_waits_for_the_store_for_half_a_second {
        behind_half_a_second("499ms", ""),
        behind_half_a_second("500ms", ", !114"),
    }
}

/// A reader that stalls while nine messages of 20 KB come: what happens then, and how many it is pushed.
fn slow_reader(then: &str, pushed: u32) -> String {
    format!(
        "a1 joins, b1 joins, b1 stalls, <1..9: a1 sends ab m$ 20KB>{then}
        => a1: connected, <1..9: #$, ab#$=m$> | b1: connected, <1..{pushed}: ab#$=m$>"
    )
}

rules! {
    a_slow_reader_holds_64_kib_and_the_rest_waits_for_it {
        slow_reader("", 4),
        slow_reader(", wait 29s", 4),
        slow_reader(", b1 drains 10000", 4),
        slow_reader(", b1 drains 20000", 5),
        slow_reader(", b1 drains 50000", 6),
        slow_reader(", b1 reads", 9),
    }

    a_frame_that_meets_an_empty_queue_is_taken_whatever_its_size {
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1 97KB, a1 sends ab m2
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2 | b1: connected, ab#1=m1",
    }

    a_socket_that_takes_nothing_for_thirty_seconds_is_closed {
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1, wait 29s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1, wait 31s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1, closed 3008",
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1, wait 29s, b1 drains 10, wait 29s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
    }
}

#[test]
fn a_slow_reader_is_not_cut_off_and_misses_nothing() {
    for shards in [1, 2] {
        let mut world = World::after(shards, "wait 0s, a1 joins, b1 joins, wait 0s, b1 stalls");
        for number in 0..300 {
            world.steps(&format!("a1 sends ab m{number} 4KB"));
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

rules! {
    who_does_not_read_answers_is_not_read_either {
        "a1 joins, a1 stalls, a1 echoes x 4KB 31 times => a1: connected, echo x ×31",
        "a1 joins, a1 stalls, a1 echoes x 4KB 32 times => a1: connected, echo x ×32, reads off",
        "a1 joins, a1 stalls, a1 echoes x 4KB 32 times, a1 drains 66000 => a1: connected, echo x ×32, reads off",
        "a1 joins, a1 stalls, a1 echoes x 4KB 32 times, a1 drains 67000
        => a1: connected, echo x ×32, reads off, reads on",
        // What its driver had read before it heard of that is answered, up to the hard limit.
        "a1 joins, a1 stalls, a1 echoes x 4KB 520 times
        => a1: connected, echo x ×32, reads off, echo x ×476, closed 3008",
    }

    pages_of_history_are_read_one_at_a_time_and_only_while_there_is_room {
        "earlier ab m1, a1 joins, store holds History, watch History, a1 reads-back ab 5 times
        => a1: connected | seen: History",
        "earlier ab m1, a1 joins, store holds History, watch History, a1 reads-back ab 5 times, store releases
        => a1: connected, history m1 ×5 | seen: History ×5",
        "a1 joins, a1 sends ab m1 97KB, a1 stalls, a1 reads-back ab 5 times => a1: connected, #1, ab#1=m1, history m1",
        "a1 joins, a1 sends ab m1 97KB, a1 stalls, a1 reads-back ab 5 times, a1 reads
        => a1: connected, #1, ab#1=m1, history m1 ×5",
    }
}

#[test]
fn what_a_home_holds_from_hints_is_bounded_and_the_rest_comes_from_the_store() {
    let steps = "wait 0s, a1 joins, b1 joins, wait 0s, store holds ReadArrivals, <1..200: a1 sends ab m$ 97KB>";
    let mut world = World::after(1, steps);
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
    let mut world = World::after(1, "wait 0s");
    let users = world.everybody(false, 700);
    for user in &users {
        world.steps(&format!("{user}1 joins, {user}1 stalls"));
    }
    world.steps("<0..2: u01 sends everybody m$ 97KB>");
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
    let check = |steps: &str, counter: Counter, count: u64| {
        let world = World::after(1, &format!("wait 0s, {steps}"));
        assert_eq!(world.shards[0].stats().counters.of(counter), count, "{steps}");
    };
    check("a1 joins, a1 dances 2002 times", Counter::Rate, 3);
    check("store takes no writes, a1 joins, a1 sends ab m1", Counter::WritesOff, 1);
    check("store refuses Apply 115, a1 joins, a1 sends ab m1", Counter::StoreRefused, 1);
    check("store holds Apply, a1 joins, a1 sends ab m1, wait 21s", Counter::Overdue, 1);
    check("a1 joins, stray frame for a1", Counter::Strays, 1);
    check("a1 joins, a1 sends-binary", Counter::Closed, 1);
    check("a1 joins, <b..v: a1 types a$>", Counter::Typing, 21 - 16);
    check("a1 joins, a1 looks-around ab 49, a1 looks-around ab 50", Counter::MemberPages, 1);
    check("turned away", Counter::Connections, 1);
    check(
        "a1 joins, <a..z: a1 opens La$>, <A..Z: a1 opens La$>, <a..z: a1 opens L$za>",
        Counter::OpenChannels,
        78 - 64,
    );
}

#[test]
fn of_ten_thousand_who_are_gone_the_stored_state_is_corrected_at_once() {
    let mut world = World::after(1, "wait 36s, store holds PutPresence, a1 joins");
    for group in 0..2 {
        let of_group = (0..5_100).map(|at| UserId(1_000_000 * (1 + group) + at));
        let members: Vec<UserId> = [world.user("a")].into_iter().chain(of_group).collect();
        let online = PresenceRecord { state: PresenceState::Online, ..PresenceRecord::default() };
        world.store.presence.extend(members[1..].iter().map(|&user| (user, online)));
        let name = format!("group{group}");
        world.channel_of(&name, false, members);
        for page in 0..26 {
            let get = |channel_id| PresenceGet { user_ids: Vec::new(), channel_id: Some(channel_id), page };
            world.ask_of("a1", &name, |channel| Command::PresenceGet(get(channel)));
        }
    }
    // 64 are being stored when the first second is over.
    let left_out = world.shards[0].stats().counters.of(Counter::StalePresence);
    assert_eq!(left_out, 10_200 - 10_000);
    world.everybody_leaves();
}
