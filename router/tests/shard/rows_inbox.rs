//! A session follows its inbox: from where it stopped, in order, each event once (I6).

use crate::script::{check, check_on};

#[test]
fn a_session_goes_on_where_it_stopped() {
    check(
        "a1 joins, b1 joins, b1 leaves, a1 sends ab m1, a1 sends ab m2, b1 joins from last, a1 sends ab m3
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2, #3, ab#3=m3
        | b1: connected ×2, ab#1=m1, ab#2=m2, ab#3=m3",
    );
    check(
        "a1 joins, a1 sends ab m1, b1 joins, a1 sends ab m2
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2 | b1: connected, ab#2=m2",
    );
    check(
        "a1 joins, b1 opens fb, b1 connects, a1 sends ab m1, b1 leaves, a1 sends ab m2, b1 joins from last
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2 | b1: connected, ab#1=m1, connected, ab#2=m2",
    );
}

#[test]
fn an_inbox_of_an_earlier_life_comes_though_nothing_of_it_arrives() {
    check("earlier ab m1, earlier ab m2, a1 joins from start => a1: connected, ab#1=m1, ab#2=m2");
    check("cold, earlier ab m1, store holds ReadArrivals, a1 joins from start => a1: connected");
    check(
        "cold, earlier ab m1, store holds ReadArrivals, a1 joins from start, wait 3s, store releases
        => a1: connected, ab#1=m1",
    );
    check(
        "cold, earlier ab m1, store refuses ReadArrivals 115, a1 joins from start, wait 3s, store accepts ReadArrivals,
        wait 1s, b1 joins, b1 sends ab m2 => a1: connected, ab#1=m1, ab#2=m2 | b1: connected, #2, ab#2=m2",
    );
}

#[test]
fn a_hint_may_be_lost_or_late() {
    check(
        "hints are lost, a1 joins, b1 joins, a1 sends ab m1, wait 1s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
    );
    check(
        "hints are lost, a1 joins, b1 joins, a1 sends ab m1, wait 1s, hints come, a1 sends ab m2, wait 1s, hints come
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2 | b1: connected, ab#1=m1, ab#2=m2",
    );
    check(
        "store holds ReadArrivals, hints are lost, a1 joins, b1 joins, a1 sends ab m1, hints come, hints come, store releases,
        wait 1s => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
    );
    check(
        "store holds ReadArrivals, a1 joins, b1 joins, a1 sends ab m1, a1 sends ab m2, wait 3s
        => a1: connected, #1, #2 | b1: connected",
    );
    check(
        "store holds ReadArrivals, a1 joins, b1 joins, a1 sends ab m1, a1 sends ab m2, wait 3s, store releases
        => a1: connected, #1, #2, ab#1=m1, ab#2=m2 | b1: connected, ab#1=m1, ab#2=m2",
    );
}

#[test]
fn arrivals_are_read_one_page_at_a_time_and_looked_at_each_second() {
    check_on(
        1,
        "store holds ReadArrivals, watch ReadArrivals, a1 joins, a1 floods ab 5, wait 3s
        => a1: connected, #1, #2, #3, #4, #5 | seen: ReadArrivals",
    );
    check_on(1, "watch ReadArrivals, wait 10s => seen: ReadArrivals ×10");
}

#[test]
fn a_read_that_fails_is_repeated_within_a_second() {
    check(
        "earlier ab m1, store refuses ReadInbox 115, a1 joins from start, wait 5s, store accepts ReadInbox, wait 1s
        => a1: connected, ab#1=m1",
    );
    check("a1 joins, b1 joins, store refuses ReadArrivals 115, a1 sends ab m1, wait 3s, store accepts ReadArrivals, wait 1s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1");
    check(
        "store refuses ClearArrivals 115, a1 joins, a1 sends ab m1, wait 3s, store accepts ClearArrivals, wait 3s,
        a1 sends ab m2 => a1: connected, #1, ab#1=m1, #2, ab#2=m2",
    );
}

#[test]
fn a_question_that_was_repeated_is_answered_once() {
    check(
        "earlier ab m1, earlier ab m2, store holds ReadInbox, a1 joins from start, wait 25s, store releases
        => a1: connected, ab#1=m1, ab#2=m2",
    );
    check(
        "earlier ab m1, store holds ReadInbox, a1 joins from start, b1 joins, b1 sends ab m2, wait 25s,
        store releases, b1 sends ab m3
        => a1: connected, ab#1=m1, ab#2=m2, ab#3=m3 | b1: connected, #2, ab#2=m2, #3, ab#3=m3",
    );
    check(
        "earlier ab m1, earlier ac m2, earlier ad m3, store forgets a, store holds Snapshot, a1 joins from start,
        wait 25s, store releases => a1: connected, snapshot ab#1 ac#1 …, snapshot ad#1",
    );
}

#[test]
fn who_is_behind_what_the_inbox_keeps_gets_a_snapshot_and_goes_on() {
    check("earlier ab m1, earlier ab m2, store forgets a, a1 joins from start => a1: connected, snapshot ab#2");
    check(
        "earlier ab m1, earlier ac m2, earlier ad m3, store forgets a, b1 joins, a1 joins from start, b1 sends ab m4
        => a1: connected, snapshot ab#1 ac#1 …, snapshot ad#1, ab#2=m4 | b1: connected, #2, ab#2=m4",
    );
    check("earlier ab m1, earlier ac m2, earlier ad m3, earlier ae m4, earlier af m5, store forgets a, a1 joins from start
        => a1: connected, snapshot ab#1 ac#1 …, snapshot ad#1 ae#1 …, snapshot af#1");
    // What comes between two pages comes after them.
    check("earlier ab m1, earlier ac m2, earlier ad m3, store forgets a, store holds Snapshot, b1 joins, a1 joins from start,
        b1 sends ab m4, store answers Snapshot last, b1 sends ab m5, store releases
        => a1: connected, snapshot ab#2 ac#1 …, snapshot ad#1, ab#3=m5 | b1: connected, #2, ab#2=m4, #3, ab#3=m5");
    check("earlier ab m1, store forgets a, store refuses Snapshot 115, a1 joins from start, wait 3s, store accepts Snapshot,
        wait 1s => a1: connected, snapshot ab#1");
}

#[test]
fn a_slow_session_that_falls_behind_its_inbox_gets_a_snapshot_too() {
    check(
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1 97KB, a1 sends ab m2, a1 sends ab m3, store forgets b, b1 reads
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2, #3, ab#3=m3 | b1: connected, ab#1=m1, ab#2=m2, ab#3=m3",
    );
    let sends: Vec<String> = (2..=70).map(|number| format!("a1 sends ab m{number}")).collect();
    let told: Vec<String> = (2..=70).map(|number| format!("#{number}, ab#{number}=m{number}")).collect();
    let (sends, told) = (sends.join(", "), told.join(", "));
    // More than the home keeps of one user: the rest would come from the inbox, which has forgotten it.
    check(&format!(
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1 97KB, {sends}, store forgets b, b1 reads, a1 sends ab m71
        => a1: connected, #1, ab#1=m1, {told}, #71, ab#71=m71 | b1: connected, ab#1=m1, snapshot ab#70, ab#71=m71"
    ));
}

#[test]
fn who_is_a_little_behind_is_served_without_a_read_of_the_store() {
    check(
        "a1 joins, b1 joins, b2 joins, b2 stalls, watch ReadInbox, a1 sends ab m1 97KB, a1 sends ab m2, a1 sends ab m3, b2 reads
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2, #3, ab#3=m3 | b1: connected, ab#1=m1, ab#2=m2, ab#3=m3
        | b2: connected, ab#1=m1, ab#2=m2, ab#3=m3 | seen:",
    );
}

#[test]
fn a_home_that_does_not_know_a_session_is_told_again() {
    check(
        "a1 joins, b1 joins, home forgets a1, b1 sends ab m1, wait 11s, b1 sends ab m2
        => a1: connected, ab#1=m1, ab#2=m2 | b1: connected, #1, ab#1=m1, #2, ab#2=m2",
    );
    check("a1 joins, home forgets a1, a1' joins => a1: connected | a1': connected");
    check("a1 joins, home forgets a1, a1' joins, wait 11s => a1: connected | a1': connected, closed 3505");
    check(
        "a1 joins, b1 joins, home forgets a1, store refuses OpenInbox 115, b1 sends ab m1, wait 11s,
        store accepts OpenInbox, wait 11s => a1: connected, ab#1=m1 | b1: connected, #1, ab#1=m1",
    );
}

#[test]
fn a_session_that_registers_again_replaces_only_itself() {
    check(
        "a1 joins, b1 joins, home denies a1, b1 sends ab m1, home denies a1, b1 sends ab m2
        => a1: connected, ab#1=m1, ab#2=m2 | b1: connected, #1, ab#1=m1, #2, ab#2=m2",
    );
}

#[test]
fn what_was_said_under_another_view_is_not_heard() {
    check("a1 joins, stray frame for a1, a1 echoes x => a1: connected, echo x");
}
