//! From the first byte to a live session, and what it is told when that fails.

use crate::script::{check, rules};

rules! {
    connect_is_answered_when_the_token_and_the_place_in_the_inbox_are_known {
        "a1 joins => a1: connected",
        "a1 opens fb, a1 connects => a1: connected",
        "store holds Authenticate, a1 joins => a1:",
        "store holds OpenInbox, a1 joins => a1:",
        "store holds OpenInbox, a1 joins, store releases => a1: connected",
    }

    a_token_that_is_not_good_closes_with_its_reason {
        "a1 joins bad => a1: !101, closed 3500",
        "a1 joins expired => a1: !109, closed 3005",
        "a1 joins a/d1 => a1: connected",
        "a1 joins a/d2 => a1: !101, closed 3500",
    }
}

/// A connect of a client that calls itself this, and one that does not.
fn connects_as(client: &str) -> String {
    let says = format!(r#"{{"id":1000001,"connect":{{"token":"a","device_id":"d1","client":"{client}"}}}}"#);
    format!("a1 opens, a1 says {says}, a1 connects => a1: !107, connected")
}

/// Two commands in one frame: the first, and an echo.
fn says_twice(first: &str, told: &str) -> String {
    format!(
        r#"a1 joins, a1 says-twice {first} {{"id":1000002,"echo":{{"data":"2"}}}} => a1: connected, {told}, echo 2"#
    )
}

rules! {
    after_any_other_refusal_connect_may_be_sent_again {
        "a1 joins from elsewhere, a1 connects => a1: !112, connected",
        "a1 joins from ahead, a1 connects => a1: !112, connected",
        "a1 joins from nonsense, a1 connects => a1: !112, connected",
        connects_as(r"\u3164"),
        connects_as(r"\u200b"),
        connects_as(r"a\u202eb"),
        connects_as(r"a\nb"),
        "store refuses Authenticate 115, a1 joins, store accepts Authenticate, a1 connects => a1: !115, connected",
        "a1 joins unsure, a1 connects => a1: !115, connected",
        "store refuses OpenInbox 115, a1 joins, store accepts OpenInbox, a1 connects => a1: !115, connected",
        "a1 joins from elsewhere, b1 joins, a1 connects, b1 sends ab m1
        => a1: !112, connected, ab#1=m1 | b1: connected, #1, ab#1=m1",
    }

    beyond_what_the_store_is_asked_at_once_a_connect_is_to_come_later {
        "1 shard, store holds Authenticate, <100..227: u$ joins>, a1 joins, store releases, a1 connects
        => a1: !114, connected | <100..227| u$: connected>",
        "2 shards, store holds Authenticate, <100..227: u$ joins>, a1 joins, store releases
        => a1: connected | <100..227| u$: connected>",
    }

    whose_turn_to_log_in_would_come_too_late_is_closed {
        "1 shard, store refuses Authenticate 115, a1 joins, a1 connects 552 times, b1 opens
        => a1: !115 ×53, !114 ×500 | b1: closed 3015",
        "1 shard, store refuses Authenticate 115, a1 joins, a1 connects 553 times
        => a1: !115 ×53, !114 ×501, closed 3015",
        "1 shard, store refuses Authenticate 115, a1 joins, a1 connects 552 times, b1 opens,
        store accepts Authenticate, wait 1s, a1 connects, b1' joins
        => a1: !115 ×53, !114 ×500, connected | b1: closed 3015 | b1': connected",
    }

    commands_before_the_login_is_done_are_refused {
        "a1 opens, a1 echoes x, a1 connects => a1: !101, connected",
        "a1 opens, a1 sends ab m1, a1 marks ab 1, a1 reads-back ab, a1 refreshes a => a1: !101 ×4",
        "store holds Authenticate, a1 joins, a1 sends ab m1, a1 connects, store releases => a1: !101, !107, connected",
        "a1 joins, a1 connects, a1 echoes x => a1: connected, !107, echo x",
    }

    a_login_has_ten_seconds {
        "a1 opens, wait 9900ms => a1:",
        "a1 opens, wait 10300ms => a1: closed 3502",
        "a1 opens, a1 echoes x, wait 10300ms => a1: !101, closed 3502",
        "a1 joins a from nonsense, wait 10300ms => a1: !112, closed 3502",
    }

    a_login_that_is_late_for_the_store_may_be_tried_again_elsewhere {
        "store refuses Authenticate 115, a1 joins, wait 10300ms => a1: !115, closed 3004",
        "store refuses OpenInbox 115, a1 joins, wait 10300ms => a1: !115, closed 3004",
        "store refuses OpenInbox 115, a1 joins, a1 connects from nonsense, wait 10300ms => a1: !115, !112, closed 3502",
        "store holds Authenticate, a1 joins, wait 10300ms => a1: !115, closed 3004",
    }

    a_store_that_answers_too_late_meets_nobody {
        "store holds Authenticate, a1 joins, wait 10300ms, store releases => a1: !115, closed 3004",
        "store holds OpenInbox, a1 joins, wait 10300ms, store releases => a1: !115, closed 3004",
        "store holds OpenInbox, a1 joins, wait 10300ms, store releases, a1 joins => a1: !115, closed 3004, connected",
        "store holds Authenticate, a1 joins, a1 leaves, store releases => a1:",
        "store holds OpenInbox, a1 joins, a1 leaves, store releases => a1:",
        "store holds History, a1 joins, a1 reads-back ab, a1 leaves, store releases => a1: connected",
        "store holds Apply, a1 joins, a1 sends ab m1, a1 leaves, store releases => a1: connected",
    }

    a_device_has_one_session_and_the_newest_wins {
        "a1 joins, a1' joins => a1: connected, closed 3505 | a1': connected",
        "store holds OpenInbox, a1 joins, a1' joins, store releases => a1: connected, closed 3505 | a1': connected",
        "store holds OpenInbox, a1 joins, a1' joins, a1' leaves, store releases, a1 echoes x
        => a1: connected, echo x | a1':",
        "a1 joins, a1' joins, b1 joins, b1 sends ab m1
        => a1: connected, closed 3505 | a1': connected, ab#1=m1 | b1: connected, #1, ab#1=m1",
        "a1 joins, a2 joins => a1: connected | a2: connected",
    }

    of_two_sessions_of_a_device_that_lives_whose_connect_the_store_noted_later {
        // The second one's connect is noted first.
        "store holds OpenInbox, a1 joins, a1' joins, store answers OpenInbox last, store releases
        => a1: connected | a1': connected, closed 3505",
        // Both are noted in their order, and told in the other.
        "store delays OpenInbox, a1 joins, a1' joins, store tells OpenInbox last, store tells OpenInbox last
        => a1: connected, closed 3505 | a1': connected",
    }

    a_revoked_device_or_login_ends_its_sessions_also_one_that_is_being_opened {
        "a1 joins, a2 joins, b1 joins, api kicks a1 device
        => a1: connected, closed 3503 | a2: connected | api: kick ok | b1: connected",
        "a1 joins a///1, a2 joins a///2, a3 joins a///2, api kicks a family 2
        => a1: connected | a2: connected, closed 3503 | a3: connected, closed 3503 | api: kick ok",
        "store holds OpenInbox, a1 joins, api kicks a1 device, store releases => a1: closed 3503 | api: kick ok",
        "store holds OpenInbox, a1 joins, api kicks a family 1, store releases => a1: closed 3503 | api: kick ok",
        "a1 joins a///1, a2 joins a///2, b1 joins, api kicks a account
        => a1: connected, closed 3503 | a2: connected, closed 3503 | api: kick ok | b1: connected",
        "a1 joins, a2 joins, b1 joins, api erases a
        => a1: connected, closed 3511 | a2: connected, closed 3511 | api: kick ok | b1: connected",
        "store holds OpenInbox, a1 joins, api erases a, store releases => a1: closed 3511 | api: kick ok",
        // Its token was known before it was revoked, its device is noted after it.
        "store delays Authenticate, a1 joins, api kicks a family 1, store releases
        => a1: !101, closed 3500 | api: kick ok",
    }

    a_session_is_of_the_login_that_it_refreshed_to {
        "a1 joins, a1 refreshes a///2, api kicks a family 1 => a1: connected, refreshed | api: kick ok",
        "a1 joins, a1 refreshes a///2, api kicks a family 2 => a1: connected, refreshed, closed 3503 | api: kick ok",
        "a1 joins, b1 joins, a1 refreshes a///2, b1 sends ab m1
        => a1: connected, refreshed, ab#1=m1 | b1: connected, #1, ab#1=m1",
        "a1 joins, b1 joins, store refuses OpenInbox 115, a1 refreshes a///2, b1 sends ab m1, store accepts OpenInbox,
        wait 21s => a1: connected, refreshed, ab#1=m1 | b1: connected, #1, ab#1=m1",
    }

    a_seventeenth_device_is_turned_away {
        "<0..9: a$ joins>, <A..F: a$ joins>, aG joins
        => <0..9| a$: connected> | <A..F| a$: connected> | aG: !106, closed 3504",
        "<0..9: a$ joins>, <A..F: a$ joins>, aF leaves, aG joins => <0..9| a$: connected> | <A..G| a$: connected>",
        "<0..9: a$ joins>, <A..F: a$ joins>, bG joins
        => <0..9| a$: connected> | <A..F| a$: connected> | bG: connected",
        "<0..9: a$ joins>, <A..F: a$ joins>, aF' joins
        => <0..9| a$: connected> | <A..E| a$: connected> | aF: connected, closed 3505 | aF': connected",
    }

    a_frame_of_the_other_kind_ends_the_session {
        "a1 opens, a1 sends-binary => a1: closed 3501",
        "a1 opens fb, a1 sends-binary => a1: closed 3501",
        "a1 joins, b1 joins, a1 sends-binary, b1 echoes x => a1: connected, closed 3501 | b1: connected, echo x",
    }

    what_does_not_parse_is_told_and_the_twentieth_in_a_row_is_enough {
        "a1 opens, a1 says nonsense => a1: !107",
        "a1 opens, a1 says nonsense 19 times, a1 connects => a1: !107 ×19, connected",
        "a1 opens, a1 says nonsense 20 times => a1: !107 ×20, closed 3509",
        "a1 joins, a1 says nonsense 19 times, a1 echoes x, a1 says nonsense 19 times
        => a1: connected, !107 ×19, echo x, !107 ×19",
    }

    a_frame_may_hold_several_requests {
        says_twice(r#"{"id":1000001,"echo":{"data":"1"}}"#, "echo 1"),
        says_twice("nonsense", "!107"),
    }

    number_0_wants_no_answer_but_is_carried_out {
        r#"a1 joins, a1 says {"echo":{"data":"x"}}, a1 says {"id":0,"dance":{}} => a1: connected"#,
        // 3105 is `ab` here.
        r#"a1 joins, b1 joins, b1 reads-back ab, a1 says
        {"send":{"channel_id":"3105","client_msg_id":"019b76da-a800-7000-8000-000000000001","body":"m1"}}
        => a1: connected, ab#1=m1 | b1: connected, history, ab#1=m1"#,
        r#"a1 opens, a1 says {"connect":{"token":"a","device_id":"d1"}}, a1 echoes x => a1: echo x"#,
        r#"a1 opens, a1 says {"connect":{"token":"bad","device_id":"d1"}} => a1: closed 3500"#,
    }

    a_session_is_told_before_its_token_expires_and_closed_when_it_does {
        "a1 joins a//90, wait 29s => a1: connected",
        "a1 joins a//90, wait 31s => a1: connected, expiring",
        "a1 joins a//90, wait 89s => a1: connected, expiring",
        "a1 joins a//90, wait 91s => a1: connected, expiring, closed 3005",
        "a1 joins a//90, wait 31s, a1 refreshes a//600, wait 500s => a1: connected, expiring, refreshed",
        "a1 joins a//90, wait 31s, a1 refreshes a//600, wait 541s => a1: connected, expiring, refreshed, expiring",
        "a1 joins a//600, a1 refreshes a//90, wait 91s => a1: connected, refreshed, expiring, closed 3005",
        "a1 joins a//0, wait 1s => a1: connected, closed 3005",
    }

    a_new_token_must_be_of_the_same_user_and_device {
        "1 shard, b1 opens, a1 joins, a1 refreshes b, a1 echoes x => a1: connected, !101, echo x | b1:",
        "a1 joins, a1 refreshes unsure, a1 refreshes a => a1: connected, !115, refreshed",
        "a1 joins, a1 refreshes bad, a1 refreshes expired, a1 refreshes a/d2, a1 refreshes a/d1
        => a1: connected, !101, !109, !101, refreshed",
        "store refuses Authenticate 115, a1 opens, store accepts Authenticate, a1 connects,
        store refuses Authenticate 115, a1 refreshes a => a1: connected, !115",
    }
}

rules! {
    a_call_asks_as_its_bearer_and_is_over {
        "b1 joins, a1 calls, a1 sends ab m1 => a1: connected, #1, closed 1000 | b1: connected, ab#1=m1",
        "a1 calls, a1 reads-back ab => a1: connected, history, closed 1000",
        "a1 calls => a1: connected",
        "a1 calls bad => a1: !101, closed 3500",
        // Whatever device it names, the session of that goes on; and nobody is there by it.
        "a1 joins, a1' calls, a1' echoes x, a1 echoes y => a1: connected, echo y | a1': connected, echo x, closed 1000",
        "b1 joins, b1 watches a, a1 calls, wait 3s => a1: connected | b1: connected, sees a-offline",
        "a1 calls, a1 watches b => a1: connected, !107, closed 1000",
        "a1 calls, a1 opens ab => a1: connected, !107, closed 1000",
        "a1 calls, a1 refreshes a => a1: connected, !107, closed 1000",
        // It is over when the last is answered, and not before.
        "store holds Apply, a1 calls, a1 sends ab m1, wait 3s => a1: connected",
        "a1 calls, drain in 5s => a1: connected, closed 3001",
        // What was not asked was not done, and is not told as if it were.
        "store holds Authenticate, a1 calls, drain in 5s, store releases => a1: reads off, closed 3001",
        "store holds Apply, a1 calls, a1 sends ab m1, drain in 1s, wait 2s => a1: connected, reads off, closed 3001",
        "store holds Apply, a1 calls, a1 sends ab m1, drain in 5s, store releases => a1: connected, reads off, #1, closed 1000",
    }
}
