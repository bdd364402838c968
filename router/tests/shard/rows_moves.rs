//! Rows of views that move users and channels from home to home, of nodes that are lost, and of what is lost between
//! them. Shards 0 and 1 are one node, 2 and 3 the other; a client says on which it is by its digit.

use crate::script::{check, rules};

rules! {
    a_session_goes_on_wherever_its_home_is {
        "2 nodes, a1 joins, b2 joins, view moves a+b+ab to 3, b2 sends ab m1, a1 sends ab m2
        => a1: connected, ab#1=m1, #2, ab#2=m2 | b2: connected, #1, ab#1=m1, ab#2=m2",
        "2 nodes, a1 joins, b2 joins, view moves a to 3, view moves a to 0, view moves a to 3, b2 sends ab m1
        => a1: connected, ab#1=m1 | b2: connected, #1, ab#1=m1",
        "2 nodes, a1 joins, b1 joins, 2 dies, a1 sends ab m1
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
        // From one home to another and back, of which one shard hears the end alone.
        "2 nodes, a1 joins, b2 joins, 1 is unaware, view moves a to 3, b2 sends ab m1, view moves a to 1, 1 learns,
        b2 sends ab m2 => a1: connected, ab#1=m1, ab#2=m2 | b2: connected, #1, ab#1=m1, #2, ab#2=m2",
    }

    a_login_that_is_under_way_goes_to_the_new_home {
        "2 nodes, store holds OpenInbox, a1 joins, view moves a to 3, store releases => a1: connected",
        "2 nodes, 1 is unaware, view moves a to 3, a0 joins, a1 joins, 1 learns, wait 1s
        => a0: connected | a1: connected",
        "2 nodes, 0 is unaware, view moves a to 3, a0 joins, 0 learns, wait 1s => a0: connected",
    }

    what_arrived_at_the_old_home_is_read_from_the_inbox {
        "2 nodes, view moves ab to 0, a1 joins, b3 joins, store holds ReadArrivals, b3 sends ab m1, view moves a to 3,
        store releases => a1: connected, ab#1=m1 | b3: connected, #1, ab#1=m1",
        // The old home does not know yet, nor does the session: what went to the new one is not passed over.
        "2 nodes, view moves ab to 0, a2 joins, b3 joins, 1 is unaware, 2 is unaware, store holds ReadArrivals,
        b3 sends ab m1, view moves a to 3, b3 sends ab m2, store releases, wait 1s, 1 learns, 2 learns, wait 2s
        => a2: connected, ab#1=m1, ab#2=m2 | b3: connected, #1, #2, ab#1=m1, ab#2=m2",
    }

    what_was_asked_of_the_old_home_is_asked_of_the_new_one_in_its_order {
        "2 nodes, view moves ab to 0, a2 joins, frames 2 to 0 wait, a2 sends ab m1, a2 sends ab m2, view moves ab to 3,
        frames 2 to 0 go => a2: connected, #1, #2, ab#1=m1, ab#2=m2",
        "2 nodes, view moves ab to 0, a2 joins, 2 is unaware, view moves ab to 3, a2 sends ab m1, a2 sends ab m2,
        2 learns => a2: connected, #1, #2, ab#1=m1, ab#2=m2",
        // The home knows, the asker does not: it is asked again each second, and not at the speed of the network.
        "2 nodes, view moves ab to 0, a2 joins, 2 is unaware, view moves ab to 3, a2 sends ab m1, wait 3s,
        a2 sends ab m2, wait 3s, 2 learns => a2: connected, #1, #2, ab#1=m1, ab#2=m2",
        "2 nodes, view moves ab to 0, a2 joins, 2 is unaware, view moves ab to 3, a2 sends ab m1, wait 22s, 2 learns
        => a2: connected, !115",
        // An edit, a deletion, a reaction, a mark.
        "2 nodes, view moves ab to 0, a2 joins, a2 sends ab m1, frames 2 to 0 wait, a2 edits ab 1 m2,
        a2 reacts ab 1 👍, a2 marks ab 1, a2 deletes ab 1, view moves ab to 3, frames 2 to 0 go
        => a2: connected, #1, ab#1=m1, edited 1, reacted 1, marked #1 0, deleted 2, edit ab#1=m2, reaction ab#1 👍1,
        read ab#1, delete ab#1",
    }

    who_is_answered_knows_that_an_earlier_answer_of_that_home_is_lost {
        "2 nodes, view moves ab to 0, a2 joins, store holds Apply, a2 sends ab m1, far frames are lost, store releases,
        far frames come, a2 sends ab m2, 0 and 2 miss something => a2: connected, #2, !115, ab#1=m1, ab#2=m2",
    }

    a_refusal_counts_from_the_home_that_was_asked_last_alone {
        "2 nodes, view moves ab to 0, a2 joins, frames 0 to 2 wait, store refuses Apply 115, a2 sends ab m1,
        store accepts Apply, store holds Apply, view moves ab to 3, frames 0 to 2 go, store releases
        => a2: connected, #1, ab#1=m1",
        // Back at the first, whose old refusal is still on its way.
        "2 nodes, view moves ab to 0, a2 joins, frames 0 to 2 wait, store refuses Apply 115, a2 sends ab m1,
        store accepts Apply, store holds Apply, view moves ab to 3, view moves ab to 0, frames 0 to 2 go,
        store releases => a2: connected, #1, ab#1=m1",
        // Done is done, whoever says so.
        "2 nodes, view moves ab to 0, a2 joins, frames 0 to 2 wait, a2 sends ab m1, store holds Apply,
        view moves ab to 3, frames 0 to 2 go, store releases => a2: connected, ab#1=m1, #1",
    }

    what_has_no_first_reply_is_not_asked_again {
        "2 nodes, view moves Lab to 3, frames 0 to 3 wait, api removes b from Lab, view moves Lab to 2,
        frames 0 to 3 go => api: 0 !113",
        "2 nodes, view moves Lab to 3, 0 is unaware, view moves Lab to 2, api removes b from Lab => api: 0 !113",
        "2 nodes, view moves Lab to 3, frames 0 to 3 wait, api removes b from Lab, 0 and 3 lose each other
        => api: 0 !113",
        "2 nodes, view moves ab to 3, frames 0 to 3 wait, api sends ab m1 7, view moves ab to 2, frames 0 to 3 go
        => api: 7 ok",
    }

    what_is_lost_between_nodes_is_asked_again_in_its_order {
        "2 nodes, view moves ab to 0, a2 joins, frames 2 to 0 wait, a2 sends ab m1, a2 sends ab m2,
        0 and 2 lose each other, frames 2 to 0 go => a2: connected, #1, #2, ab#1=m1, ab#2=m2",
        "2 nodes, view moves ab to 0, a2 joins, far frames are lost, a2 sends ab m1, far frames come,
        0 and 2 miss something => a2: connected, #1, ab#1=m1",
        // The second did arrive, and waits for the first.
        "2 nodes, view moves ab to 0, a2 joins, far frames are lost, a2 sends ab m1, far frames come, a2 sends ab m2,
        0 and 2 miss something => a2: connected, #1, #2, ab#1=m1, ab#2=m2",
        "2 nodes, view moves ab to 0, a2 joins, far frames are lost, a2 sends ab m1, far frames come, a2 sends ab m2,
        a2 sends ab m3, wait 22s => a2: connected, !115 ×3",
        // The question for what comes next, and the answer to it.
        "2 nodes, view moves ab to 2, a2 joins, b3 joins, far frames are lost, b3 sends ab m1, far frames come,
        0 and 2 miss something, wait 1s => a2: connected, ab#1=m1 | b3: connected, #1, ab#1=m1",
        "2 nodes, view moves ab to 2, a2 joins, b3 joins, 0 and 2 lose each other, b3 sends ab m1
        => a2: connected, ab#1=m1 | b3: connected, #1, ab#1=m1",
    }

    a_send_that_its_home_refuses_for_now_closes_its_line_here_too {
        "2 nodes, view moves ab to 0, a2 joins, store refuses Apply 115, a2 sends ab m1, store accepts Apply,
        view moves ab to 3, a2 sends ab m2, a2 sends ab m1, a2 sends ab m2
        => a2: connected, !115, !114, #1, ab#1=m1, #2, ab#2=m2",
    }

    a_request_of_a_newer_view_waits_until_its_home_knows_it {
        "2 nodes, view moves ab to 1, a2 joins, 0 is unaware, watch Outdated3, view moves ab to 0, a2 sends ab m1,
        0 learns => a2: connected, #1, ab#1=m1 | seen: Outdated3",
        "2 nodes, view moves ab to 1, a2 joins, 0 is unaware, view moves ab to 0, a2 sends ab m1,
        wait 2s, 0 learns => a2: connected, #1, ab#1=m1",
        // For ten seconds; then the two begin anew.
        "2 nodes, view moves ab to 1, a2 joins, 0 is unaware, view moves ab to 0, a2 sends ab m1, wait 11s, 0 learns
        => a2: connected, #1, ab#1=m1",
    }

    what_comes_of_a_newer_view_beyond_its_bound_makes_both_begin_anew {
        "2 nodes, view moves ab to 1, a2 joins, 0 is unaware, view moves ab to 0, <1..11: a2 sends ab m$ 97KB>,
        0 learns => a2: connected, <1..11: #$>, <1..11: ab#$=m$>",
    }

    a_kick_is_told_once_the_home_of_now_has_told_its_sessions {
        "2 nodes, b3 joins, api kicks b3 device => api: kick ok | b3: connected, closed 3503",
        "2 nodes, b3 joins, far frames are lost, api kicks b3 device, far frames come, wait 1s
        => api: kick ok | b3: connected, closed 3503",
        // The old home and who asks it do not know that it is one no more.
        "2 nodes, b3 joins, 0 is unaware, 2 is unaware, view moves b to 1, api kicks b3 device, wait 3s, 0 learns,
        2 learns, wait 1s => api: kick ok | b3: connected, closed 3503",
        "2 nodes, b3 joins b///2, frames 0 to 2 wait, api kicks b family 2, view moves b to 1, frames 0 to 2 go
        => api: kick ok | b3: connected, closed 3503",
        // On its way from one home to the other it is known to neither.
        "2 nodes, b3 joins b///2, 3 is unaware, view moves b to 1, api kicks b family 2, 3 learns
        => api: kick ok | b3: connected, closed 3503",
        "2 nodes, b3 joins, 0 is unaware, view moves b to 1, api kicks b3 device, wait 11s
        => api: kick !115 | b3: connected",
    }

    a_move_is_nobodys_use_of_a_device {
        "2 nodes, earlier ab m1, a1 joins, b3 joins, a1 watches b, wait 302s, view moves b to 1, wait 1s
        => a1: connected, sees b-online, presence b-away | b3: connected",
        "2 nodes, earlier ab m1, a1 joins, b3 joins, a1 watches b, wait 200s, view moves b to 1, wait 90s
        => a1: connected, sees b-online | b3: connected",
        "2 nodes, earlier ab m1, a1 joins, b3 joins, a1 watches b, wait 200s, view moves b to 1, wait 103s
        => a1: connected, sees b-online, presence b-away | b3: connected",
        // Nothing is stored of it.
        "2 nodes, b3 joins, watch PutPresence, watch OpenInbox, view moves b to 1, wait 10s
        => b3: connected | seen:",
    }

    a_move_costs_the_store_three_reads_of_each_session_and_nothing_is_written {
        "2 nodes, view moves a to 3, view moves b to 3, a0 joins, b0 joins, watch FamiliesLive, watch OpenInbox,
        watch ReadInbox, watch Snapshot, watch LargeOf, watch Visible, watch PutPresence, 3 dies, wait 10s
        => a0: connected | b0: connected | seen: FamiliesLive, LargeOf ×2, ReadInbox ×2",
    }

    who_has_come_from_another_home_is_believed_for_a_lease_and_the_grace {
        "2 nodes, earlier ab m1, wait 40s, a1 joins, b3 joins, 3 is unaware, view moves b to 1, wait 34s, a1 looks-for b,
        3 learns, wait 10s, a1 looks-for b => a1: connected, sees b-online ×2 | b3: connected",
        "2 nodes, earlier ab m1, wait 40s, a1 joins, b3 joins, a1 watches b, 3 is unaware, view moves b to 1, wait 20s,
        a1 looks-for b, wait 16s => a1: connected, sees b-online ×2, presence b-offline | b3: connected",
        // Its session ends with its node.
        "2 nodes, earlier ab m1, a1 joins, b3 joins, a1 watches b, 3 dies, wait 140s
        => a1: connected, sees b-online, presence b-offline | b3: connected",
    }

    whoever_is_watched_is_watched_at_the_new_home {
        "2 nodes, earlier ab m1, a1 joins, a1 watches b, watch Visible, view moves b to 3, b2 joins
        => a1: connected, sees b-offline, presence b-online | b2: connected | seen: Visible",
        // Whom it was shown need not be judged anew.
        "2 nodes, earlier ab m1, b2 joins, a1 joins, a1 watches b, watch Visible, view moves b to 3, b2 leaves,
        wait 31s => a1: connected, sees b-online, presence b-offline | b2: connected | seen:",
        "2 nodes, earlier ab m1, b2 joins, a1 joins, a1 watches b, watch Visible, 1 and 2 lose each other, b2 leaves,
        wait 31s => a1: connected, sees b-online, presence b-offline | b2: connected | seen:",
        "2 nodes, earlier ab m1, a1 joins, frames 1 to 2 wait, a1 watches b, view moves b to 3, frames 1 to 2 go
        => a1: connected, sees b-offline",
        "2 nodes, earlier ab m1, a1 joins, frames 2 to 1 wait, a1 watches b, 1 and 2 lose each other, frames 2 to 1 go
        => a1: connected, sees b-offline",
        "2 nodes, earlier ab m1, b2 joins, a1 joins, frames 1 to 2 wait, a1 looks-for b, view moves b to 3,
        frames 1 to 2 go => a1: connected, sees b-online | b2: connected",
        "2 nodes, earlier ab m1, a1 joins, far frames are lost, a1 looks-for b, far frames come, 1 and 2 miss something
        => a1: connected, sees b-offline",
        "2 nodes, earlier ab m1, a1 joins, 1 is unaware, view moves b to 3, a1 looks-for b, 1 learns
        => a1: connected, sees b-offline",
        // A block goes on to who is the home of now.
        "2 nodes, earlier ab m1, a1 joins, b2 joins, a1 watches b, view moves ab to 0, frames 0 to 2 wait,
        api blocks ab on, view moves b to 3, frames 0 to 2 go
        => a1: connected, sees b-online, presence b-offline | api: 0 ok | b2: connected",
    }

    a_log_is_followed_at_the_new_home {
        "2 nodes, view moves Lab to 0, a1 joins, b3 joins, b3 opens Lab, view moves Lab to 2, a1 sends Lab m1
        => a1: connected, #1 | b3: connected, open #0 read #0 online 1, Lab#1=m1",
        "2 nodes, view moves Lab to 0, a1 joins, b3 joins, store holds Subscribe, b3 opens Lab, view moves Lab to 2,
        store releases, a1 sends Lab m1 => a1: connected, #1 | b3: connected, open #0 read #0 online 1, Lab#1=m1",
        "2 nodes, view moves Lab to 0, a1 joins, b3 joins, 3 is unaware, view moves Lab to 2, b3 opens Lab, 3 learns,
        a1 sends Lab m1 => a1: connected, #1 | b3: connected, open #0 read #0 online 1, Lab#1=m1",
        "2 nodes, view moves Lab to 0, a1 joins, b3 joins, b3 opens Lab, far frames are lost, a1 sends Lab m1,
        far frames come, 0 and 3 miss something
        => a1: connected, #1 | b3: connected, open #0 read #0 online 1, Lab#1=m1",
        "2 nodes, view moves Lab to 0, a1 joins, b3 joins, b3 opens Lab, 0 and 3 lose each other, a1 sends Lab m1
        => a1: connected, #1 | b3: connected, open #0 read #0 online 1, Lab#1=m1",
    }

    what_a_home_tells_neighbours_is_not_for_who_has_not_asked_it {
        "2 nodes, view moves Labc to 0, a1 joins, b3 joins, c3 joins, b3 opens Labc, c3 opens Labc, far frames are lost,
        view moves Labc to 1, api removes b from Labc, far frames come, c3 closes Labc, c3 opens Labc,
        a1 sends Labc m1, wait 30s
        => a1: connected, #1, head Labc#1 | api: 0 ok | b3: connected, open #0 read #0 online 1, member Labc
        | c3: connected, open #0 read #0 online 2, closed, open #0 read #0 online 1, Labc#1=m1",
    }

    a_frame_for_another_life_is_not_heard {
        "2 nodes, a1 joins, stray frame to a1, a1 echoes x => a1: connected, echo x",
    }

    whoever_is_absent_is_told_by_the_home_that_was_brought_it {
        "2 nodes, view moves ab to 0, a1 joins, store holds ReadArrivals, a1 sends ab m1, view moves b to 3,
        store releases, wait 2s => a1: connected, #1, ab#1=m1",
    }
}
