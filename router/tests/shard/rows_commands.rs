//! Commands of a live session: when they are answered, and in which order.

use crate::script::{check, rules};

rules! {
    a_send_is_acknowledged_only_after_it_is_stored {
        "store holds Apply, a1 joins, a1 sends ab m1 => a1: connected",
        "store holds Apply, a1 joins, a1 sends ab m1, store releases => a1: connected, #1, ab#1=m1",
        "store holds Apply, a1 joins, a1 sends ab m1, a1 sends ab m2 => a1: connected",
        "store holds Apply, a1 joins, a1 sends ab m1, a1 sends ab m2, store releases
        => a1: connected, #1, #2, ab#1=m1, ab#2=m2",
        "a1 joins, b1 joins, a1 sends ab m1, b1 sends ab m2
        => a1: connected, #1, ab#1=m1, ab#2=m2 | b1: connected, ab#1=m1, #2, ab#2=m2",
        "a1 opens fb, a1 connects, a1 sends ab m1 => a1: connected, #1, ab#1=m1",
    }

    answers_that_come_out_of_order_reach_who_asked {
        "store holds Apply, a1 joins, a1 sends ab m1, a1 sends ac m2, store answers Apply last
        => a1: connected, #1, ac#1=m2",
        "store holds Apply, store holds History, a1 joins, a1 sends ab m1, a1 reads-back ab, a1 echoes x,
        store releases History, store releases => a1: connected, echo x, history, #1, ab#1=m1",
    }

    a_retry_gets_the_first_answer {
        "a1 joins, a1 sends ab m1, a1 sends ab m1 => a1: connected, #1, ab#1=m1, #1 again",
        "store holds Apply, a1 joins, a1 sends ab m1, a1 sends ab m1, store releases
        => a1: connected, #1, #1 again, ab#1=m1",
        "a1 joins, a2 joins, a1 sends ab m1, a2 sends ab m1
        => a1: connected, #1, ab#1=m1 | a2: connected, ab#1=m1, #1 again",
        "store holds Apply, a1 joins, a1 sends ab m1, a1 leaves, store releases, a1 joins from last, a1 sends ab m1
        => a1: connected ×2, ab#1=m1, #1 again",
        // An id is made of what stands before the mark here.
        "a1 joins, a1 sends ab m1!a, a1 sends ab m1!b => a1: connected, #1, ab#1=m1!a, !121",
    }

    what_the_store_refuses_is_told_as_it_is {
        "a1 joins, a1 sends bc m1, a1 marks bc 1, a1 reads-back bc => a1: connected, !102 ×3",
        "store refuses Apply 115, a1 joins, a1 marks ab 1 => a1: connected, !115",
        "store refuses History 100, a1 joins, a1 reads-back ab, a1 echoes x => a1: connected, !100, echo x",
        "store takes no writes, a1 joins, a1 sends ab m1, a1 reads-back ab, store takes all writes, a1 sends ab m1
        => a1: connected, !115, history, #1, ab#1=m1",
    }

    what_is_over_a_limit_is_refused_before_it_goes_anywhere {
        "a1 joins, watch Apply, a1 sends ab m1 98KB => a1: connected, !116 | seen:",
        "a1 joins, a1 sends ab m1 97KB => a1: connected, #1, ab#1=m1",
        "a1 joins, a1 echoes x 4KB, a1 echoes x 5KB => a1: connected, echo x, !106",
        r#"a1 joins, watch Apply, a1 says
        {"send":{"channel_id":"1","client_msg_id":"019b76da-a800-7000-8000-000000000001","body":""}},

               a1 says {"id":1000001,"send":{"channel_id":"1","client_msg_id":"019b76da-a800-7000-8000-000000000001","body":""}}
        => a1: connected, !107 | seen:"#,
        r#"a1 joins, a1 says {"id":1000001,"history":{"channel_id":"1","limit":0}} => a1: connected, !107"#,
        "a1 joins, a1 dances => a1: connected, !104",
    }

    marks_move_on_every_device_of_the_account {
        "a1 joins, a2 joins, b1 joins, a1 sends ab m1, a2 marks ab 5
        => a1: connected, #1, ab#1=m1, read ab#1 | a2: connected, ab#1=m1, marked #1 0, read ab#1
        | b1: connected, ab#1=m1, a read ab#1",
        "a1 joins, a1 sends ab m1, a1 marks ab 1, a1 marks ab 1
        => a1: connected, #1, ab#1=m1, marked #1 0, read ab#1, marked #1 0",
    }

    sends_behind_one_that_was_refused_for_now_are_refused_until_it_comes_again {
        "store refuses Apply 115, a1 joins, a1 sends ab m1, store accepts Apply, a1 sends ab m2, a1 sends ab m1,
        a1 sends ab m2 => a1: connected, !115, !114, #1, ab#1=m1, #2, ab#2=m2",
        "store takes no writes, a1 joins, a1 sends ab m1, store takes all writes, a1 sends ab m2, a1 sends ab m1
        => a1: connected, !115, !114, #1, ab#1=m1",
        // What holds for all is said first: another device has sent nothing that it could send again in order.
        "store takes no writes, a1 joins, a2 joins, a1 sends ab m1, a2 sends ab m2
        => a1: connected, !115 | a2: connected, !115",
        // Another channel and another sender are other lines.
        "b1 joins, a1 joins, store refuses Apply 115, a1 sends ab m1, store accepts Apply, a1 sends ac m2,
        b1 sends ab m3
        => a1: connected, !115, #1, ac#1=m2, ab#1=m3 | b1: connected, #1, ab#1=m3",
        // What was given up is waited for a second.
        "store refuses Apply 115, a1 joins, a1 sends ab m1, store accepts Apply, wait 900ms, a1 sends ab m2,
        wait 100ms, a1 sends ab m2 => a1: connected, !115, !114, #1, ab#1=m2",
        // A refusal for good leaves those behind it alone.
        "store refuses Apply 123, a1 joins, a1 sends ab m1, store accepts Apply, a1 sends ab m2
        => a1: connected, !123, #1, ab#1=m2",
    }

    an_answer_is_waited_for_twenty_seconds_and_then_all_behind_it_is_to_be_sent_again {
        "store holds Apply, a1 joins, a1 sends ab m1, wait 19s, a1 sends ab m2, a1 sends ac m3 => a1: connected",
        "store holds Apply, a1 joins, a1 sends ab m1, wait 19s, a1 sends ab m2, a1 sends ac m3, wait 1500ms,
        a1 sends ab m4
        => a1: connected, !115 ×2, !114",
        "store holds Apply, a1 joins, a1 sends ab m1, wait 21s, store releases, a1 sends ab m1
        => a1: connected, !115, ab#1=m1, #1 again",
    }

    the_http_api_is_answered_under_its_own_number {
        "b1 joins, api sends ab m1 7, api sends ab m1 8, api sends ab m1!x 9
        => api: 7 ok, 8 ok, 9 !121 | b1: connected, ab#1=m1",
        "store holds Apply, api sends ab m1 7, wait 21s, store releases, wait 1s => api: 7 !115",
        "store takes no writes, api sends ab m1 7 => api: 7 !115",
    }
}
