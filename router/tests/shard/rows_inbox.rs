//! A session follows its inbox: from where it stopped, in order, each event once (I6).

use crate::script::{check, rules};

rules! {
    a_session_goes_on_where_it_stopped {
        "a1 joins, b1 joins, b1 leaves, a1 sends ab m1, a1 sends ab m2, b1 joins from last, a1 sends ab m3
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2, #3, ab#3=m3
        | b1: connected ×2, ab#1=m1, ab#2=m2, ab#3=m3",
        "a1 joins, a1 sends ab m1, b1 joins, a1 sends ab m2
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2 | b1: connected, ab#2=m2",
        "a1 joins, b1 opens fb, b1 connects, a1 sends ab m1, b1 leaves, a1 sends ab m2, b1 joins from last
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2 | b1: connected, ab#1=m1, connected, ab#2=m2",
    }

    an_inbox_of_an_earlier_life_comes_though_nothing_of_it_arrives {
        "earlier ab m1, earlier ab m2, a1 joins from start => a1: connected, ab#1=m1, ab#2=m2",
        "cold, earlier ab m1, store holds ReadArrivals, a1 joins from start => a1: connected",
        "cold, earlier ab m1, store holds ReadArrivals, a1 joins from start, wait 3s, store releases
        => a1: connected, ab#1=m1",
        "cold, earlier ab m1, store refuses ReadArrivals 115, a1 joins from start, wait 3s, store accepts ReadArrivals,
        wait 1s, b1 joins, b1 sends ab m2 => a1: connected, ab#1=m1, ab#2=m2 | b1: connected, #2, ab#2=m2",
    }

    a_hint_may_be_lost_or_late {
        "hints are lost, a1 joins, b1 joins, a1 sends ab m1, wait 1s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
        "hints are lost, a1 joins, b1 joins, a1 sends ab m1, wait 1s, hints come, a1 sends ab m2, wait 1s, hints come
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2 | b1: connected, ab#1=m1, ab#2=m2",
        "store holds ReadArrivals, hints are lost, a1 joins, b1 joins, a1 sends ab m1, hints come, hints come,
        store releases, wait 1s => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
        "store holds ReadArrivals, a1 joins, b1 joins, a1 sends ab m1, a1 sends ab m2, wait 3s
        => a1: connected, #1, #2 | b1: connected",
        "store holds ReadArrivals, a1 joins, b1 joins, a1 sends ab m1, a1 sends ab m2, wait 3s, store releases
        => a1: connected, #1, #2, ab#1=m1, ab#2=m2 | b1: connected, ab#1=m1, ab#2=m2",
    }

    arrivals_are_read_one_page_at_a_time_and_looked_at_each_second {
        "1 shard, store holds ReadArrivals, watch ReadArrivals, a1 joins, a1 floods ab 5, wait 3s
        => a1: connected, #1, #2, #3, #4, #5 | seen: ReadArrivals",
        "1 shard, watch ReadArrivals, wait 10s => seen: ReadArrivals ×10",
    }

    a_read_that_fails_is_repeated_within_a_second {
        "earlier ab m1, store refuses ReadInbox 115, a1 joins from start, wait 5s, store accepts ReadInbox, wait 1s
        => a1: connected, ab#1=m1",
        "a1 joins, b1 joins, store refuses ReadArrivals 115, a1 sends ab m1, wait 3s, store accepts ReadArrivals,
        wait 1s
        => a1: connected, #1, ab#1=m1 | b1: connected, ab#1=m1",
        "store refuses ClearArrivals 115, a1 joins, a1 sends ab m1, wait 3s, store accepts ClearArrivals, wait 3s,
        a1 sends ab m2 => a1: connected, #1, ab#1=m1, #2, ab#2=m2",
    }

    a_question_that_was_repeated_is_answered_once {
        "earlier ab m1, earlier ab m2, store holds ReadInbox, a1 joins from start, wait 25s, store releases
        => a1: connected, ab#1=m1, ab#2=m2",
        "earlier ab m1, store holds ReadInbox, a1 joins from start, b1 joins, b1 sends ab m2, wait 25s,
        store releases, b1 sends ab m3
        => a1: connected, ab#1=m1, ab#2=m2, ab#3=m3 | b1: connected, #2, ab#2=m2, #3, ab#3=m3",
        "earlier ab m1, earlier ac m2, earlier ad m3, store forgets a, store holds Snapshot, a1 joins from start,
        wait 25s, store releases => a1: connected, snapshot ab#1 ac#1 …, snapshot ad#1",
    }

    who_is_behind_what_the_inbox_keeps_gets_a_snapshot_and_goes_on {
        "earlier ab m1, earlier ab m2, store forgets a, a1 joins from start => a1: connected, snapshot ab#2",
        "earlier ab m1, earlier ac m2, earlier ad m3, store forgets a, b1 joins, a1 joins from start, b1 sends ab m4
        => a1: connected, snapshot ab#1 ac#1 …, snapshot ad#1, ab#2=m4 | b1: connected, #2, ab#2=m4",
        "earlier ab m1, earlier ac m2, earlier ad m3, earlier ae m4, earlier af m5, store forgets a, a1 joins from start
        => a1: connected, snapshot ab#1 ac#1 …, snapshot ad#1 ae#1 …, snapshot af#1",
        // What comes between two pages comes after them.
        "earlier ab m1, earlier ac m2, earlier ad m3, store forgets a, store holds Snapshot, b1 joins,
        a1 joins from start, b1 sends ab m4, store answers Snapshot last, b1 sends ab m5, store releases
        => a1: connected, snapshot ab#2 ac#1 …, snapshot ad#1, ab#3=m5 | b1: connected, #2, ab#2=m4, #3, ab#3=m5",
        "earlier ab m1, store forgets a, store refuses Snapshot 115, a1 joins from start, wait 3s,
        store accepts Snapshot, wait 1s => a1: connected, snapshot ab#1",
    }

    a_slow_session_that_falls_behind_its_inbox_gets_a_snapshot_too {
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1 97KB, a1 sends ab m2, a1 sends ab m3, store forgets b, b1 reads
        => a1: connected, <1..3: #$, ab#$=m$> | b1: connected, <1..3: ab#$=m$>",
        // More than the home keeps of one user: the rest would come from the inbox, which has forgotten it.
        "a1 joins, b1 joins, b1 stalls, a1 sends ab m1 97KB, <2..70: a1 sends ab m$>, store forgets b, b1 reads,
        a1 sends ab m71
        => a1: connected, <1..71: #$, ab#$=m$> | b1: connected, ab#1=m1, snapshot ab#70, ab#71=m71",
    }

    who_is_a_little_behind_is_served_without_a_read_of_the_store {
        "a1 joins, b1 joins, b2 joins, b2 stalls, watch ReadInbox, a1 sends ab m1 97KB, a1 sends ab m2,
        a1 sends ab m3, b2 reads
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2, #3, ab#3=m3 | b1: connected, ab#1=m1, ab#2=m2, ab#3=m3
        | b2: connected, ab#1=m1, ab#2=m2, ab#3=m3 | seen:",
    }

    a_session_of_which_nothing_is_new_asks_soon_and_then_seldom {
        "2 nodes, a2 joins, watch far, wait 9s => a2: connected | seen:",
        "2 nodes, a2 joins, watch far, wait 11s => a2: connected | seen: far, far More",
        "2 nodes, a2 joins, watch far, wait 34s => a2: connected | seen: far, far More",
        "2 nodes, a2 joins, watch far, wait 61s => a2: connected | seen: far ×3, far More ×3",
        // What it was told makes it ask at once, and soon again.
        "2 nodes, a2 joins, b1 joins, wait 36s, b1 sends ab m1, watch far, wait 11s
        => a2: connected, ab#1=m1 | b1: connected, #1, ab#1=m1 | seen: far ×2, far More ×2",
    }

    a_home_that_does_not_know_a_session_is_told_again {
        "a1 joins, b1 joins, home forgets a1, b1 sends ab m1, wait 11s, b1 sends ab m2
        => a1: connected, ab#1=m1, ab#2=m2 | b1: connected, #1, ab#1=m1, #2, ab#2=m2",
        "a1 joins, home forgets a1, a1' joins => a1: connected | a1': connected",
        // It is known by its first connect, and comes back as the older one.
        "a1 joins, home forgets a1, a1' joins, wait 11s => a1: connected, closed 3505 | a1': connected",
        "a1 joins, b1 joins, home forgets a1, store refuses FamiliesLive 115, b1 sends ab m1, wait 11s,
        store accepts FamiliesLive, wait 2s => a1: connected, ab#1=m1 | b1: connected, #1, ab#1=m1",
    }

    a_session_that_registers_again_replaces_only_itself {
        "a1 joins, b1 joins, home denies a1, b1 sends ab m1, home denies a1, b1 sends ab m2
        => a1: connected, ab#1=m1, ab#2=m2 | b1: connected, #1, ab#1=m1, #2, ab#2=m2",
    }

    what_was_said_under_another_view_is_not_heard {
        "a1 joins, stray frame for a1, a1 echoes x => a1: connected, echo x",
    }
}
