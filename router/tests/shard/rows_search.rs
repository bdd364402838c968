//! Searching: bounded at the session, indexed behind the appends by the channels' homes.

use crate::script::{check, rules};
use crate::world::World;

rules! {
    what_was_said_a_second_ago_is_found {
        "a1 joins, b1 joins, a1 sends ab m1, a1 searches m1, wait 1s, a1 searches m1, b1 searches m1
        => a1: connected, #1, ab#1=m1, found 0, found 1 | b1: connected, ab#1=m1, found 1",
        "a1 joins, watch Index, a1 sends ab m1, a1 sends ab m2, a1 sends ab m3, wait 1s
        => a1: connected, #1, ab#1=m1, #2, ab#2=m2, #3, ab#3=m3 | seen: Index ×3",
    }

    what_no_home_knows_to_be_behind_is_found_out_by_searching {
        "earlier ab m1, a1 joins, wait 9s, a1 searches m1, wait 1s, a1 searches m1 => a1: connected, found 0, found 1",
    }

    an_index_that_could_not_be_written_is_tried_again {
        "store refuses Index 115, a1 joins, a1 sends ab m1, wait 2s, a1 searches m1, store accepts Index, wait 1s,
        a1 searches m1 => a1: connected, #1, ab#1=m1, found 0, found 1",
        "store holds Index, a1 joins, a1 sends ab m1, wait 1s, a1 sends ab m2, wait 1s, store releases, wait 1s,
        a1 searches m2 => a1: connected, #1, ab#1=m1, #2, ab#2=m2, found 1",
        // Written to while it waited for its turn, which comes before the next second.
        "store holds Index, a1 joins, <b..f: a1 sends a$ m1>, wait 1s, a1 sends af m2, store answers Index last, wait 1s,
        store releases, wait 1s, a1 searches m2
        => a1: connected, #1, ab#1=m1, #1, ac#1=m1, #1, ad#1=m1, #1, ae#1=m1, #1, af#1=m1, #2, af#2=m2, found 1",
    }

    a_query_is_bounded_and_has_a_word {
        "a1 joins, watch Search, a1 searches for 201, a1 searches ?! => a1: connected, !106, !107 | seen:",
        "a1 joins, a1 searches for 200 => a1: connected, found 0",
        "a1 joins, a1 dances 1980 times, a1 searches x => a1: connected, !104 ×1980, !111",
        "a1 joins, a1 dances 1979 times, a1 searches x, a1 dances => a1: connected, !104 ×1979, found 0, !111",
    }

    a_session_searches_one_at_a_time {
        "store holds Search, watch Search, a1 joins, a1 searches m1, a1 searches m2, a1 echoes x
        => a1: connected, echo x | seen: Search",
        "store holds Search, a1 joins, a1 searches m1, a1 searches m2, store releases => a1: connected, found 0 ×2",
        "a1 joins, store holds Search, a1 searches m1, a1 reads-back ab, a1 leaves, store releases => a1: connected",
    }
}

#[test]
fn four_channels_of_a_shard_are_indexed_at_once() {
    let steps = "wait 0s, a1 joins, store holds Index, watch Index, <b..g: a1 sends a$ m1>, wait 3s";
    let mut world = World::after(1, steps);
    assert_eq!(world.seen("Index"), 4);
    let stats = world.shards[0].stats();
    assert_eq!(stats.index_behind, 6);
    assert!((2_000..=3_000).contains(&stats.index_lag_ms), "{} ms", stats.index_lag_ms);
    world.everybody_leaves();
}
