//! Silence, and the end of a node.

use crate::script::check;

#[test]
fn a_silent_client_is_pinged_and_then_given_up() {
    check("a1 joins, a1 falls silent, wait 24s => a1: connected");
    check("a1 joins, a1 falls silent, wait 26s => a1: connected, ping");
    check("a1 joins, a1 falls silent, wait 59s => a1: connected, ping");
    check("a1 joins, a1 falls silent, wait 61s => a1: connected, ping, closed 3012");
    check("a1 joins, a1 falls silent, wait 26s, a1 speaks, wait 24s => a1: connected, ping");
    check("a1 joins, a1 falls silent, wait 26s, a1 speaks, wait 26s => a1: connected, ping ×2");
    check("a1 joins, a1 falls silent, wait 59s, a1 echoes x, wait 24s => a1: connected, ping, echo x");
}

#[test]
fn who_answers_pings_stays() {
    check("a1 joins, wait 3000s => a1: connected");
    check("a1 joins, b1 joins, wait 3000s, a1 sends ab m1 => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1");
}

#[test]
fn when_the_node_stops_each_session_closes_once_its_commands_are_answered() {
    check("a1 joins, drain in 5s => a1: connected, drain, closed 3001");
    check("a1 opens, drain in 5s => a1: closed 3001");
    check(
        "a1 joins, b1 joins, store holds Apply, a1 sends ab m1, drain in 5s
        => a1: connected, drain, reads off | b1: connected, drain, closed 3001",
    );
    check(
        "a1 joins, store holds Apply, a1 sends ab m1, a1 sends ab m2, drain in 5s, store releases
        => a1: connected, drain, reads off, #1, #2, closed 3001",
    );
    check(
        "a1 joins, store holds History, a1 reads-back ab 3 times, drain in 5s, store releases
        => a1: connected, drain, reads off, history ×3, closed 3001",
    );
}

#[test]
fn at_the_deadline_what_is_left_closes_all_the_same() {
    check("a1 joins, store holds Apply, a1 sends ab m1, drain in 5s, wait 4s => a1: connected, drain, reads off");
    check(
        "a1 joins, store holds Apply, a1 sends ab m1, drain in 5s, wait 5s
        => a1: connected, drain, reads off, closed 3001",
    );
    check(
        "a1 joins, store holds Apply, a1 sends ab m1, drain in 5s, wait 5s, store releases, wait 3s
        => a1: connected, drain, reads off, closed 3001",
    );
}

#[test]
fn a_login_that_the_end_meets_is_finished_and_no_new_one_begins() {
    check("store holds OpenInbox, a1 joins, drain in 5s => a1: reads off");
    check("store holds OpenInbox, a1 joins, drain in 5s, store releases => a1: reads off, connected, closed 3001");
    check("store holds Authenticate, a1 joins, drain in 5s, store releases => a1: reads off, connected, closed 3001");
    check("store holds Authenticate, a1 joins, drain in 5s, wait 6s, store releases => a1: reads off, closed 3001");
    check("drain in 5s, a1 opens => a1: closed 3001");
    check("drain in 5s, wait 9s, a1 opens => a1: closed 3001");
}
