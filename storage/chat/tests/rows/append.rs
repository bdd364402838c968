//! Outcomes of operations: replies, and what the inboxes tell of them. The words are those of `world`.

use kv::memory::CommitFault::{self, Conflict, Throttled, TooOld, UnknownCommitted, UnknownLost};
use schema::UnixMs;

use crate::world::{self, DAY_MS, World, faulty, quiet, store, world, world_after};

/// Runs a script on a fresh world: it is answered so, and what is stored holds the invariants.
pub(crate) fn check(script: &str, replies: &str) {
    check_after(&[], script, replies);
}

/// The same, where commits end so, the first of them first.
pub(crate) fn check_after(fates: &[CommitFault], script: &str, replies: &str) {
    let mut world = World::current(faulty(&store(), fates));
    assert_eq!(world.run(script), replies, "{script} after {fates:?}");
    world.holds();
}

/// What the inbox of `user` tells after a script, without the making of the two channels.
pub(crate) fn check_inbox(script: &str, user: u64, expected: &str) {
    let world = world(script);
    for rows in [1, 2, 100] {
        let inbox = world.inbox(user, rows);
        let told = inbox.replace("g created 1, d created 1", "").replace("g created 1", "");
        assert_eq!(told.trim_start_matches(", "), expected, "inbox of {user} after {script}, {rows} at a time");
    }
    world.holds();
}

#[test]
fn seqs_are_dense_whatever_the_batches() {
    check("1 sends a; 2 sends b; 1 sends c", "#1; #2; #3");
    check("1 sends a, 2 sends b, 1 sends c", "#1, #2, #3");
    check("1 sends a, d.1 sends b, 2 sends c, d.2 sends e", "#1, #1, #2, #2");
    check("1 sends a, 9 sends b, 1 sends c", "#1, 102, #2");
}

#[test]
fn an_id_has_one_seq() {
    check("1 sends a; 1 sends a", "#1; #1 again");
    check("1 sends a, 1 sends a, 1 sends b", "#1, #1 again, #2");
    check("1 sends a; 2 sends a", "#1; #2");
    check("1 sends a; d.1 sends a", "#1; #1");
    check("1 sends a; 1 sends a=other", "#1; 121");
    check("1 sends a, 1 sends a=other", "#1, 121");
    check("1 sends x; 1 sends a; 1 sends a re 1", "#1; #2; 121");
    check("1 sends a; 1 sends a to 2", "#1; 121");
}

#[test]
fn a_first_reply_comes_before_membership_and_age() {
    check("2 sends a; 2 removes 2; 2 sends a; 2 sends b", "#1; changed; #1 again; 103");
    check("1 sends a@-29; 1 sends b@-31; 1 sends c@2; 1 sends e@1", "#1; 124; 124; #2");
    check("9 sends a@-31; 9 sends b", "124; 102");
}

#[test]
fn who_is_not_a_member_does_nothing() {
    check("9 sends a, 9 marks 1, 9 adds 8, 9 removes 1", "102, 102, 102, 102");
    check(
        "3 removes 3; 3 sends a, 3 marks 1, 3 adds 8, 3 removes 1, 3 removes 3",
        "changed; 103, 103, 103, 103, unchanged",
    );
    check("x.1 sends a, x.1 marks 1, x.1 adds 2, x.1 removes 2", "102, 102, 102, 102");
    check("1 removes 2, 2 sends a", "changed, 103");
    check("1 adds 4, 4 sends a", "changed, #1");
}

#[test]
fn replies_and_mentions_name_what_is_there() {
    check("1 sends a; 1 sends b re 1; 1 sends c re 3; 1 sends e re 0", "#1; #2; 123; 123");
    check("1 sends a, 1 sends b re 1", "#1, #2");
    check("1 sends a; 1 adds 4; 4 sends b re 1; 1 sends c; 4 sends e re 2", "#1; changed; 123; #2; #3");
    check("1 sends a to 2+3; 1 sends b to 2+9", "#1; 107");
}

#[test]
fn a_mark_moves_forward_to_the_head_at_most() {
    check(
        "1 sends a, 1 sends b, 1 sends c; 2 marks 2; 2 marks 1; 2 marks 9",
        "#1, #2, #3; read #2 unread 1; read #2 unread 1; read #3 unread 0",
    );
    check("1 sends a; 1 marks 1", "#1; read #1 unread 0");
    check("1 sends a, 2 sends b, 2 marks 1", "#1, #2, read #2 unread 0");
    check("1 sends a, 1 sends b; 1 adds 4; 1 sends c; 4 marks 1", "#1, #2; changed; #3; read #1 unread 1");
    check("2 marks 1", "read #0 unread 0");
}

#[test]
fn of_several_marks_in_a_batch_the_last_is_told_behind_its_message() {
    check_inbox("1 sends a, 2 marks 1, 1 sends b, 2 marks 2", 2, "g#1=a, g#2=b, g read #2");
    check_inbox("1 sends a; 2 marks 1; 2 marks 1; 1 marks 1", 2, "g#1=a, g read #1");
    check_inbox("1 sends a; 2 marks 1", 3, "g#1=a");
    check_inbox("1 sends a; 2 marks 1", 1, "g#1=a");
}

#[test]
fn an_inbox_tells_what_happened_while_its_user_was_a_member() {
    check_inbox("1 sends a; d.2 sends b; 3 sends c", 1, "g#1=a, d#1=b, g#2=c");
    check_inbox("1 sends a; d.2 sends b; 3 sends c", 3, "g#1=a, g#2=c");
    check_inbox(
        "1 sends a; 1 adds 4; 1 sends b; 1 removes 4; 1 sends c; 1 adds 4; 1 sends e",
        4,
        "g added 4, g#2=b, g removed 4, g added 4, g#4=e",
    );
    check_inbox("3 removes 3; 1 sends a", 3, "g left 3");
    check_inbox("1 adds 4, 1 sends a, 1 removes 4, 1 sends b", 4, "g added 4, g#1=a, g removed 4");
    check_inbox("1 adds 2 admin", 2, "g role 2");
}

#[test]
fn two_have_one_direct_channel() {
    check("x.1 opens 3; y.3 opens 1", "made x; existed x");
    check("x.1 opens 3, y.3 opens 1", "made x, existed x");
    check("x.1 opens 3; x.1 opens 3", "made x; existed x");
    check("x.2 opens 1", "existed d");
    check("x.1 opens 1; x.1 opens 77; x.1 opens 2+3", "107; 102; 107");
    check("d.1 adds 3; d.1 removes 2; d.1 removes 1", "103; 103; 103");
}

#[test]
fn a_group_is_made_once() {
    check("x.1 makes 2+3 key k; y.1 makes 2+3 key k; z.1 makes 2+3 key l", "made x; existed x; made z");
    check("x.1 makes 2+3 key k, y.1 makes 3+2 key k", "made x, existed x");
    check("x.1 makes 2+3 key k; y.1 makes 2 key k; y.2 makes 2+3 key k", "made x; 121; made y");
    check("x.1 makes 2; x.1 makes 3; x.2 makes 3", "made x; existed x; 100");
    check("x.1 makes 77", "102");
}

#[test]
fn an_idempotency_key_counts_for_a_day() {
    let mut world = world("");
    assert_eq!(world.run("x.1 makes 2 key k"), "made x");
    world.wall = UnixMs(world.wall.0 + DAY_MS);
    assert_eq!(world.run("y.1 makes 2 key k"), "existed x");
    world.wall = UnixMs(world.wall.0 + 1);
    assert_eq!(world.run("z.1 makes 2 key k"), "made z");
}

#[test]
fn a_key_that_was_used_past_midnight_counts_where_it_is_not_midnight_yet() {
    let mut world = world("");
    world.wall = UnixMs((world.wall.0 / DAY_MS + 1) * DAY_MS);
    assert_eq!(world.run("x.1 makes 2 key k"), "made x");
    world.wall = UnixMs(world.wall.0 - 1);
    assert_eq!(world.run("y.1 makes 2 key k; z.1 makes 2 key l"), "existed x; made z");
}

#[test]
fn members_change_by_who_may() {
    check("2 adds 4; 1 adds 2 admin; 2 adds 4; 2 adds 4", "103; changed; changed; unchanged");
    check("1 adds 2 admin; 2 adds 3 owner; 2 adds 3 admin; 2 removes 1; 2 adds 1", "changed; 103; changed; 103; 103");
    check("1 adds 2 owner; 2 removes 1; 1 sends a", "changed; changed; 103");
    check("1 adds 1; 1 adds 2 owner; 1 adds 1; 1 adds 1 admin", "103; changed; changed; 103");
    check("1 removes 9; 2 removes 3; 1 adds 77", "unchanged; 103; 102");
    check("1 adds 4, 1 adds 5, 4 sends a, 1 removes 5, 5 sends b", "changed, changed, #1, changed, 103");
}

#[test]
fn a_group_is_full_at_its_limit() {
    let mut world = world("");
    let owner = world::first_shard(2);
    world.appenders = vec![chat::appender::Appender::new(owner).with_group_members(4)];
    assert_eq!(world.run("1 adds 4; 1 adds 5; 1 removes 4; 1 adds 5"), "changed; 119; changed; changed");
    assert_eq!(world.run("x.1 makes 2+3+4; y.1 makes 2+3+4+5; z.1 makes 1+2+3+4"), "made x; 119; made z");
    world.holds();
}

#[test]
fn a_commit_that_fails_is_tried_again_without_a_trace() {
    let script = "1 sends a, 2 sends b; 1 sends a; 3 sends c";
    let replies = "#1, #2; #1 again; #3";
    for fates in [
        &[Conflict][..],
        &[Throttled, Conflict],
        &[Conflict, Conflict, Conflict],
        &[TooOld; 5],
        &[UnknownLost],
        &[UnknownLost, UnknownLost, Conflict],
        &[Conflict, UnknownLost, Conflict, Conflict, Conflict],
    ] {
        check_after(fates, script, replies);
    }
}

#[test]
fn an_unknown_result_that_had_committed_is_answered_as_it_was() {
    check_after(
        &[UnknownCommitted],
        "1 sends a, 1 sends a, 9 sends b, 2 marks 1",
        "#1, #1 again, 102, read #1 unread 0",
    );
    check_after(&[UnknownLost, UnknownCommitted], "1 sends a; 1 sends b", "#1; #2");
    check_after(&[Conflict, UnknownCommitted, Conflict, UnknownLost], "1 sends a; 1 sends b", "#1; #2");
    check_after(&[UnknownCommitted], "x.1 makes 2", "made x");
    check_after(&[UnknownCommitted], "1 adds 4, 1 removes 2", "changed, changed");
}

#[test]
fn an_unknown_result_that_had_committed_is_hinted_where_it_lies() {
    for fates in [&[][..], &[UnknownCommitted], &[UnknownLost, UnknownCommitted]] {
        let world = world_after(fates, "1 sends a, 1 sends b");
        let [(_, stamp, events)] = world.hints.as_slice() else { panic!("one home, one hint: {:?}", world.hints) };
        assert!(events.iter().all(|event| event.position.stamp == *stamp));
        let hinted: Vec<String> = events.iter().map(world::event_words).collect();
        assert_eq!(hinted, ["g#1=a", "g#2=b"]);
        assert!(world.inbox(1, 10).ends_with("g#1=a, g#2=b"));
    }
}

#[test]
fn a_batch_that_cannot_commit_is_refused_for_now_and_what_follows_it_too() {
    let fates = [Throttled; 40];
    let mut world = World::current(faulty(&store(), &fates[..10]));
    let first = world.push("1 sends a");
    let batch = world.next_batch(0).expect("one is queued");
    let (later, other) = (world.push("1 sends b"), world.push("2 sends c"));
    world.run_one(0, batch);
    assert!(world::is_temporary(world.outcome(first).expect("answered")));
    assert!(world::is_temporary(world.outcome(later).expect("answered, since its order would not hold")));
    assert_eq!(world.outcome(other), None, "of another user, and so of another order");
    world.drain();
    assert!(world.outcome(other).expect("answered").is_ok());
    assert_eq!(world.run("1 sends a; 1 sends b"), "#2; #3");
    world.holds();
}

#[test]
fn a_crash_between_commit_and_reply_leaves_a_first_reply() {
    let store = store();
    let mut world = World::current(faulty(&store, &[]));
    world.run("1 sends a, 2 sends b");
    let mut world = World::claim(quiet(&store), 3, 2);
    assert_eq!(world.run("2 sends b; 1 sends a; 1 sends c"), "#2 again; #1 again; #3");
    world.holds();
}

#[test]
fn sent_ms_never_decreases_within_a_channel() {
    let mut world = world("1 sends a");
    world.wall = UnixMs(world.wall.0 - 5_000);
    world.run("1 sends b; d.1 sends c");
    world.holds();
}
