//! Rows of changes to sent messages, and of live notices, which are kept nowhere.

use crate::script::{check, rules};

rules! {
    an_edit_a_deletion_and_a_reaction_are_answered_and_come_to_every_member {
        "a1 joins, b1 joins, a1 sends ab m1, a1 edits ab 1 m2, b1 reacts ab 1 👍, a1 reacts ab 1 👍, a1 deletes ab 1
        => a1: connected, #1, ab#1=m1, edited 1, edit ab#1=m2, reaction ab#1 👍1, reacted 2, reaction ab#1 👍2,
        deleted 2, delete ab#1
        | b1: connected, ab#1=m1, edit ab#1=m2, reacted 1, reaction ab#1 👍1, reaction ab#1 👍2, delete ab#1",
        "a1 joins, b1 joins, a1 sends ab m1, b1 edits ab 1 m2, b1 deletes ab 2
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1, !103, !123",
        "a1 joins, a1 sends ab m1, a1 unreacts ab 1 👍 => a1: connected, #1, ab#1=m1, reacted 0",
    }

    what_no_store_need_judge_is_refused_before_it_goes_anywhere {
        "a1 joins, watch Apply, a1 reacts ab 1 x, a1 reacts ab 1 👍👍 => a1: connected, !107 ×2 | seen:",
        "a1 joins, a1 sends ab m1, watch Apply, a1 edits ab 1 m2 98KB => a1: connected, #1, ab#1=m1, !116 | seen:",
        r#"a1 joins, watch Apply, a1 says {"id":1000001,"send":
        {"channel_id":"1","client_msg_id":"019b76da-a800-7000-8000-000000000001","body":""}} => a1: connected, !107 | seen:"#,
        // Media may say all, and whether a message has some its home knows.
        r#"a1 joins, watch Apply, a1 says {"id":1000001,"send":
        {"channel_id":"1","client_msg_id":"019b76da-a800-7000-8000-000000000001","body":"","kind":"media","media":["7"]}}
        => a1: connected, !102 | seen: Apply"#,
        r#"a1 joins, watch Apply, a1 says {"id":1000001,"edit":
        {"channel_id":"1","seq":1,"op_id":"019b76da-a800-7000-8000-000000000001","base_revision":0,"body":""}}
        => a1: connected, !102 | seen: Apply"#,
    }

    others_are_told_who_writes_at_most_once_in_three_seconds {
        "a1 joins, a2 joins, b1 joins, a1 types ab => a1: connected, told | a2: connected | b1: connected, types ab",
        "a1 joins, b1 joins, watch Apply, a1 types ab, wait 2900ms, a1 types ab, wait 100ms, a1 types ab
        => a1: connected, told ×3 | b1: connected, types ab ×2 | seen: Apply ×2",
        "a1 joins, b1 joins, a1 types ab, a1 types ac, a1 stops ab => a1: connected, told ×3
        | b1: connected, types ab, stops ab",
        // That it is over is told once, to those who were told that it began.
        "a1 joins, b1 joins, watch Apply, a1 stops ab, a1 types ab, wait 5s, a1 stops ab, a1 stops ab, a1 types ab,
        a1 stops ab, a1 types ab, wait 31s, a1 stops ab => a1: connected, told ×8
        | b1: connected, types ab, stops ab, types ab, stops ab | seen: Apply ×4",
        r#"a1 joins, b1 joins, b1 reads-back ab, a1 says {"typing":{"channel_id":"3105","on":true}}
        => a1: connected | b1: connected, history, types ab"#,
        "a1 joins, a1 types bc => a1: connected, !102",
    }

    what_a_backend_publishes_is_told_to_all_who_are_there {
        "a1 joins, a2 joins, b1 joins, c1 joins, api publishes ab moved 52,13, api publishes ab moved 52,14
        => a1: connected, moved ab 52,13, moved ab 52,14 | a2: connected, moved ab 52,13, moved ab 52,14
        | api: 0 ok ×2 | b1: connected, moved ab 52,13, moved ab 52,14 | c1: connected",
        // It is nobody's state: who comes later hears nothing of it.
        "a1 joins, api publishes ab moved x, b1 joins => a1: connected, moved ab x | api: 0 ok | b1: connected",
    }

    who_has_new_posts_in_its_feed_is_told_at_most_once_in_five_seconds {
        "a1 joins, a2 joins, b1 joins, c1 joins, feeds of abd grow 1
        => a1: connected, feed +1 | a2: connected, feed +1 | b1: connected, feed +1 | c1: connected",
        "a1 joins, feeds of a grow 1, feeds of a grow 1, wait 3s, feeds of a grow 2 => a1: connected, feed +1",
        "a1 joins, feeds of a grow 1, feeds of a grow 1, wait 3s, feeds of a grow 2, wait 3s
        => a1: connected, feed +1, feed +3",
        // What comes while somebody is told waits as well.
        "a1 joins, feeds of a grow 1, feeds of a grow 1, wait 6s, feeds of a grow 5, wait 3s => a1: connected, feed +1 ×2",
        "a1 joins, feeds of a grow 1, wait 6s, feeds of a grow 4 => a1: connected, feed +1, feed +4",
        // It is nobody's state: who comes later reads its feed anyway.
        "feeds of a grow 1, a1 joins, wait 6s => a1: connected",
        "2 nodes, a1 joins, c3 joins, feeds of ac grow 2 => a1: connected, feed +2 | c3: connected, feed +2",
    }

    others_are_told_who_has_read {
        "a1 joins, b1 joins, b2 joins, a1 sends ab m1, b1 marks ab 1
        => a1: connected, #1, ab#1=m1, b read ab#1 | b1: connected, ab#1=m1, marked #1 0, read ab#1
        | b2: connected, ab#1=m1, read ab#1",
    }

    who_is_slow_to_take_its_events_goes_without_what_is_told_live {
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1 97KB, a1 types ab, b1 reads, wait 3s, a1 types ab
        => a1: connected, #1, ab#1=m1, told ×2 | b1: connected, ab#1=m1, types ab",
    }
}
