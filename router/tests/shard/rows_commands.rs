//! Commands of a live session: when they are answered, and in which order.

use crate::script::check;

#[test]
fn a_send_is_acknowledged_only_after_it_is_stored() {
    check("store holds Apply, a1 joins, a1 sends ab m1 => a1: connected");
    check("store holds Apply, a1 joins, a1 sends ab m1, store releases => a1: connected, #1, ab#1=m1");
    check("store holds Apply, a1 joins, a1 sends ab m1, a1 sends ab m2 => a1: connected");
    check(
        "store holds Apply, a1 joins, a1 sends ab m1, a1 sends ab m2, store releases
        => a1: connected, #1, #2, ab#1=m1, ab#2=m2",
    );
    check(
        "a1 joins, b1 joins, a1 sends ab m1, b1 sends ab m2
        => a1: connected, #1, ab#1=m1, ab#2=m2 | b1: connected, ab#1=m1, #2, ab#2=m2",
    );
    check("a1 opens fb, a1 connects, a1 sends ab m1 => a1: connected, #1, ab#1=m1");
}

#[test]
fn answers_that_come_out_of_order_reach_who_asked() {
    check(
        "store holds Apply, a1 joins, a1 sends ab m1, a1 sends ac m2, store answers Apply last
        => a1: connected, #1, ac#1=m2",
    );
    check(
        "store holds Apply, store holds History, a1 joins, a1 sends ab m1, a1 reads-back ab, a1 echoes x,
        store releases History, store releases => a1: connected, echo x, history, #1, ab#1=m1",
    );
}

#[test]
fn a_retry_gets_the_first_answer() {
    check("a1 joins, a1 sends ab m1, a1 sends ab m1 => a1: connected, #1, ab#1=m1, #1 again");
    check(
        "store holds Apply, a1 joins, a1 sends ab m1, a1 sends ab m1, store releases
        => a1: connected, #1, #1 again, ab#1=m1",
    );
    check(
        "a1 joins, a2 joins, a1 sends ab m1, a2 sends ab m1
        => a1: connected, #1, ab#1=m1 | a2: connected, ab#1=m1, #1 again",
    );
    check(
        "store holds Apply, a1 joins, a1 sends ab m1, a1 leaves, store releases, a1 joins from last, a1 sends ab m1
        => a1: connected ×2, ab#1=m1, #1 again",
    );
    // An id is made of what stands before the mark here.
    check("a1 joins, a1 sends ab m1!a, a1 sends ab m1!b => a1: connected, #1, ab#1=m1!a, !121");
}

#[test]
fn what_the_store_refuses_is_told_as_it_is() {
    check("a1 joins, a1 sends bc m1, a1 marks bc 1, a1 reads-back bc => a1: connected, !102 ×3");
    check("store refuses Apply 115, a1 joins, a1 marks ab 1 => a1: connected, !115");
    check("store refuses History 100, a1 joins, a1 reads-back ab, a1 echoes x => a1: connected, !100, echo x");
    check(
        "store takes no writes, a1 joins, a1 sends ab m1, a1 reads-back ab, store takes all writes, a1 sends ab m1
        => a1: connected, !115, history, #1, ab#1=m1",
    );
}

#[test]
fn what_is_over_a_limit_is_refused_before_it_goes_anywhere() {
    check("a1 joins, watch Apply, a1 sends ab m1 98KB => a1: connected, !116 | seen:");
    check("a1 joins, a1 sends ab m1 97KB => a1: connected, #1, ab#1=m1");
    check("a1 joins, a1 echoes x 4KB, a1 echoes x 5KB => a1: connected, echo x, !106");
    check(
        r#"a1 joins, watch Apply, a1 says
        {"send":{"channel_id":"1","client_msg_id":"019b76da-a800-7000-8000-000000000001","body":""}},
        a1 says {"id":1000001,"send":{"channel_id":"1","client_msg_id":"019b76da-a800-7000-8000-000000000001","body":""}}
        => a1: connected, !107 | seen:"#,
    );
    check(r#"a1 joins, a1 says {"id":1000001,"history":{"channel_id":"1","limit":0}} => a1: connected, !107"#);
    check("a1 joins, a1 dances => a1: connected, !104");
}

#[test]
fn marks_move_on_every_device_of_the_account() {
    check(
        "a1 joins, a2 joins, b1 joins, a1 sends ab m1, a2 marks ab 5
        => a1: connected, #1, ab#1=m1, read ab#1 | a2: connected, ab#1=m1, marked #1 0, read ab#1
        | b1: connected, ab#1=m1, a read ab#1",
    );
    check(
        "a1 joins, a1 sends ab m1, a1 marks ab 1, a1 marks ab 1
        => a1: connected, #1, ab#1=m1, marked #1 0, read ab#1, marked #1 0",
    );
}

#[test]
fn sends_behind_one_that_was_refused_for_now_are_refused_until_it_comes_again() {
    check(
        "store refuses Apply 115, a1 joins, a1 sends ab m1, store accepts Apply, a1 sends ab m2, a1 sends ab m1,
        a1 sends ab m2 => a1: connected, !115, !114, #1, ab#1=m1, #2, ab#2=m2",
    );
    check(
        "store takes no writes, a1 joins, a1 sends ab m1, store takes all writes, a1 sends ab m2, a1 sends ab m1
        => a1: connected, !115, !114, #1, ab#1=m1",
    );
    // What holds for all is said first: another device has sent nothing that it could send again in order.
    check(
        "store takes no writes, a1 joins, a2 joins, a1 sends ab m1, a2 sends ab m2
        => a1: connected, !115 | a2: connected, !115",
    );
    // Another channel and another sender are other lines.
    check("b1 joins, a1 joins, store refuses Apply 115, a1 sends ab m1, store accepts Apply, a1 sends ac m2, b1 sends ab m3
        => a1: connected, !115, #1, ac#1=m2, ab#1=m3 | b1: connected, #1, ab#1=m3");
    // What was given up is waited for a second.
    check(
        "store refuses Apply 115, a1 joins, a1 sends ab m1, store accepts Apply, wait 900ms, a1 sends ab m2,
        wait 100ms, a1 sends ab m2 => a1: connected, !115, !114, #1, ab#1=m2",
    );
    // A refusal for good leaves those behind it alone.
    check(
        "store refuses Apply 123, a1 joins, a1 sends ab m1, store accepts Apply, a1 sends ab m2
        => a1: connected, !123, #1, ab#1=m2",
    );
}

#[test]
fn an_answer_is_waited_for_twenty_seconds_and_then_all_behind_it_is_to_be_sent_again() {
    check("store holds Apply, a1 joins, a1 sends ab m1, wait 19s, a1 sends ab m2, a1 sends ac m3 => a1: connected");
    check("store holds Apply, a1 joins, a1 sends ab m1, wait 19s, a1 sends ab m2, a1 sends ac m3, wait 1500ms, a1 sends ab m4
        => a1: connected, !115 ×2, !114");
    check(
        "store holds Apply, a1 joins, a1 sends ab m1, wait 21s, store releases, a1 sends ab m1
        => a1: connected, !115, ab#1=m1, #1 again",
    );
}

#[test]
fn the_http_api_is_answered_under_its_own_number() {
    check(
        "b1 joins, api sends ab m1 7, api sends ab m1 8, api sends ab m1!x 9
        => api: 7 ok, 8 ok, 9 !121 | b1: connected, ab#1=m1",
    );
    check("store holds Apply, api sends ab m1 7, wait 21s, store releases, wait 1s => api: 7 !115");
    check("store takes no writes, api sends ab m1 7 => api: 7 !115");
}
