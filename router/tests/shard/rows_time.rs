//! Silence, and the end of a node.

use crate::script::{check, rules};

rules! {
    a_silent_client_is_pinged_and_then_given_up {
        "a1 joins, a1 falls silent, wait 24s => a1: connected",
        "a1 joins, a1 falls silent, wait 26s => a1: connected, ping",
        "a1 joins, a1 falls silent, wait 59s => a1: connected, ping",
        "a1 joins, a1 falls silent, wait 61s => a1: connected, ping, closed 3012",
        "a1 joins, a1 falls silent, wait 26s, a1 speaks, wait 24s => a1: connected, ping",
        "a1 joins, a1 falls silent, wait 26s, a1 speaks, wait 26s => a1: connected, ping ×2",
        "a1 joins, a1 falls silent, wait 59s, a1 echoes x, wait 24s => a1: connected, ping, echo x",
        "pings after 5s, a1 joins, a1 falls silent, wait 4s => a1: connected",
        "pings after 5s, a1 joins, a1 falls silent, wait 39s => a1: connected, ping",
        "pings after 5s, a1 joins, a1 falls silent, wait 41s => a1: connected, ping, closed 3012",
        "pings after 100s, a1 joins, a1 falls silent, wait 99s => a1: connected",
        "pings after 100s, a1 joins, a1 falls silent, wait 134s => a1: connected, ping",
        "pings after 100s, a1 joins, a1 falls silent, wait 136s => a1: connected, ping, closed 3012",
    }

    who_answers_pings_stays {
        "a1 joins, wait 3000s => a1: connected",
        "a1 joins, b1 joins, wait 3000s, a1 sends ab m1 => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
    }

    when_the_node_stops_each_session_closes_once_its_commands_are_answered {
        "a1 joins, drain in 5s => a1: connected, drain, closed 3001",
        "a1 opens, drain in 5s => a1: closed 3001",
        "a1 joins, b1 joins, store holds Apply, a1 sends ab m1, drain in 5s
        => a1: connected, drain, reads off | b1: connected, drain, closed 3001",
        "a1 joins, store holds Apply, a1 sends ab m1, a1 sends ab m2, drain in 5s, store releases
        => a1: connected, drain, reads off, #1, #2, closed 3001",
        "a1 joins, store holds History, a1 reads-back ab 3 times, drain in 5s, store releases
        => a1: connected, drain, reads off, history ×3, closed 3001",
    }

    where_there_is_another_node_a_session_has_its_time_to_go_there {
        "a1 joins, drain to x over 2s in 9s, wait 1900ms, a1 echoes x => a1: connected, drain to x, echo x",
        "a1 joins, drain to x over 2s in 9s, wait 2s => a1: connected, drain to x, closed 3001",
        "a1 joins, store holds Apply, a1 sends ab m1, drain to x over 2s in 9s, wait 3s
        => a1: connected, drain to x, reads off",
        "a1 joins, store holds Apply, a1 sends ab m1, drain to x over 2s in 9s, wait 3s, store releases
        => a1: connected, drain to x, reads off, #1, closed 3001",
        "a1 opens, drain to x over 2s in 9s => a1: closed 3001",
        "drain to x over 2s in 9s, a1 opens => a1: closed 3001",
        "a1 joins, drain to x over 2s in 9s, drain in 1s => a1: connected, drain to x, closed 3001",
    }

    at_the_deadline_what_is_left_closes_all_the_same {
        "a1 joins, store holds Apply, a1 sends ab m1, drain in 5s, wait 4s => a1: connected, drain, reads off",
        "a1 joins, store holds Apply, a1 sends ab m1, drain in 5s, wait 5s
        => a1: connected, drain, reads off, closed 3001",
        "a1 joins, store holds Apply, a1 sends ab m1, drain in 5s, wait 5s, store releases, wait 3s
        => a1: connected, drain, reads off, closed 3001",
    }

    a_login_that_the_end_meets_is_finished_and_no_new_one_begins {
        "store holds OpenInbox, a1 joins, drain in 5s => a1: reads off",
        "store holds OpenInbox, a1 joins, drain in 5s, store releases => a1: reads off, connected, closed 3001",
        "store holds Authenticate, a1 joins, drain in 5s, store releases => a1: reads off, connected, closed 3001",
        "store holds Authenticate, a1 joins, drain in 5s, wait 6s, store releases => a1: reads off, closed 3001",
        "drain in 5s, a1 opens => a1: closed 3001",
        "drain in 5s, wait 9s, a1 opens => a1: closed 3001",
    }
}
