//! Live notices, which are kept nowhere; ranks in a group; and blocks.

use chat::keys;
use chat::{channels, opened, people};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{Throttled, UnknownCommitted, UnknownLost};
use kv::memory::{CommitFault, MemoryEngine};
use kv::{Begin, Engine, Transaction};
use schema::UserId;
use schema::limits::SMALL_GROUP_MEMBERS_MAX;

use crate::append::{check, check_inbox};
use crate::world::{WALL, World, channel, faulty, store, world, world_after};

/// What a script tells live, where commits end so.
fn check_live(fates: &[CommitFault], script: &str, expected: &str) -> World<MemoryEngine> {
    let world = world_after(fates, script);
    assert_eq!(world.told_live(), expected, "{script} after {fates:?}");
    world.holds();
    world
}

#[test]
fn who_writes_is_told_and_kept_nowhere() {
    check("1 types on; 9 types on; 3 removes 3; 3 types on", "told; 102; changed; 103");
    let world = check_live(
        &[],
        "1 types on; 2 types off; d.1 types on",
        "g 1 types on to 2+3, g 2 types off to 1+3, d 1 types on to 2",
    );
    assert!(world.hints.is_empty() && world.inbox(1, 9) == "g created 1, d created 1");
    // Nothing is committed, so there is nothing to fail; the last of a batch stands.
    check_live(&[Throttled; 20], "1 types on, 2 types on, 1 types off", "g 2 types on to 1+3, g 1 types off to 2+3");
    check_live(&[], "9 types on", "");
}

#[test]
fn what_is_published_is_told_to_all_members_and_kept_nowhere() {
    let system = UserId::system(1);
    check("1 publishes x a; 9 publishes x a; l.1 founds 2; l.1 publishes x a", "told; 102; made l; 103");
    let world = check_live(
        &[],
        &format!("{system} publishes x a, {system} publishes x b, d.1 publishes y c"),
        "g x a to 1+2+3, g x b to 1+2+3, d y c to 1+2",
    );
    assert_eq!(world.inbox(1, 9), "g created 1, d created 1");
    check_live(&[], "d.1 blocks 2; d.1 publishes x a", "d 1 blocks 2 to 1+2");
}

#[test]
fn an_applications_own_account_does_in_every_channel_what_an_owner_may() {
    let system = UserId::system(1);
    let asked = format!(
        "{system} sends a; d.{system} sends a; {system} adds 4; {system} removes 2; {system} titles t; \
         d.{system} adds 3; d.{system} titles t; d.1 blocks 2; d.{system} sends b; {system} sends a"
    );
    check(&asked, "#1; #1; changed; changed; changed; 103; 103; changed; 117; #1 again");
    // It is no member, and nothing of it is kept but what it said.
    let mut world = world("");
    world.run(&format!("{system} sends a"));
    assert_eq!(world.inbox(1, 9), "g created 1, d created 1, g#1=a");
    world.holds();
    // Of ids that people have none is one.
    check("9 sends a; 9 adds 4; 9 titles t", "102; 102; 102");
}

#[test]
fn opening_a_channel_shows_how_far_others_have_read_but_not_across_a_block() {
    let mut world = world("");
    let reads = |world: &World<MemoryEngine>| {
        let opened = block_on(opened::opened(&world.engine, UserId(1), channel("d"))).expect("a member opens");
        (opened.read_seq.0, opened.reads.iter().map(|mark| mark.read_seq.0).collect::<Vec<_>>())
    };
    world.run("d.1 sends a; d.2 marks 1");
    assert_eq!(reads(&world), (1, vec![1, 1]));
    world.run("d.2 blocks 1");
    assert_eq!(reads(&world), (1, vec![]));
    world.run("d.2 unblocks 1");
    assert_eq!(reads(&world), (1, vec![1, 1]));
}

#[test]
fn in_a_larger_group_those_who_have_it_open_are_told() {
    let mut world = world("");
    world.make_users(100..140);
    let members = |count: u64| (100..100 + count).map(|user| user.to_string()).collect::<Vec<_>>().join("+");
    let small = u64::from(SMALL_GROUP_MEMBERS_MAX) - 1;
    world.run(&format!("s.1 makes {}; l.1 makes {}", members(small), members(small + 1)));
    world.run("s.1 sends a; s.100 types on; s.100 marks 1; l.1 sends a; l.100 types on; l.100 marks 1");
    let told = world.told_live();
    let events: Vec<&str> = told.split(", ").collect();
    assert_eq!(events.len(), 3, "no receipts in the larger: {told}");
    assert!(events[0].starts_with("s 100 types on") && !events[0].ends_with("if open"), "{told}");
    assert!(events[1].starts_with("s 100 read #1 to 1+101"), "{told}");
    assert!(events[2].starts_with("l 100 types on") && events[2].ends_with("if open"), "{told}");
}

#[test]
fn others_hear_who_has_read_once_it_is_durable() {
    check_live(&[], "1 sends a; 2 marks 1; 2 marks 1", "g 2 read #1 to 1+3");
    check_live(&[], "1 sends a, 1 sends b; 2 marks 1, 2 marks 2", "g 2 read #2 to 1+3");
    check_live(&[], "1 sends a; 2 sends b", "");
    check_live(&[UnknownLost, UnknownCommitted], "1 sends a, 2 marks 1", "g 2 read #1 to 1+3");
    check_live(&[Throttled; 10], "1 sends a, 2 marks 1", "");
    check_live(&[Throttled; 10], "1 sends a, 2 marks 0, 2 types on", "");
}

#[test]
fn each_home_is_told_of_its_own_users() {
    let mut world = World::claim(faulty(&store(), &[]), 3, 3);
    world.run("1 types on");
    let homes: std::collections::BTreeSet<_> = [2, 3].map(|user| world.view.home_of_user(UserId(user))).into();
    assert_eq!(world.live.len(), homes.len(), "{}", world.told_live());
}

#[test]
fn across_a_block_nothing_is_said() {
    check("d.2 sends a; d.1 blocks 2; d.2 sends b; d.1 sends c", "#1; changed; 117; 117");
    check("d.2 sends a; d.2 blocks 1, d.2 edits e=b of 1, d.1 puts e=👍 on 1", "#1; changed, 117, 117");
    check(
        "d.2 sends a; d.1 blocks 2; d.1 marks 1; d.2 deletes e of 1; d.2 mutes on",
        "#1; changed; read #1 unread 0; revision 1; changed",
    );
    check(
        "d.1 blocks 2; d.1 blocks 2; d.2 unblocks 1; d.1 unblocks 2; d.2 sends a",
        "changed; unchanged; unchanged; changed; #1",
    );
    check(
        "d.1 blocks 2; d.2 blocks 1; d.1 unblocks 2; d.1 sends a; d.2 unblocks 1; d.1 sends a",
        "changed; changed; changed; 117; changed; #1",
    );
    check("d.2 sends a; d.1 blocks 2; d.2 sends a", "#1; changed; #1 again");
    check("1 blocks 2; d.1 blocks 3; d.1 blocks 1; d.9 blocks 1; x.1 blocks 2", "107; 107; 107; 102; 102");
    check(
        "d.1 blocks 2; x.1 opens 2; x.2 opens 1; d.1 unblocks 2; x.2 opens 1",
        "changed; 117; 117; changed; existed d",
    );
    check("d.1 blocks 2; 1 sends a; 2 sends b", "changed; #1; #2");
    check_live(
        &[],
        "d.1 blocks 2; d.2 types on; d.1 types on; d.1 unblocks 2",
        "d 1 blocks 2 to 1+2, d 1 unblocks 2 to 1+2",
    );
    check_live(&[], "d.2 sends a; d.1 blocks 2; d.1 marks 1", "d 1 blocks 2 to 1+2");
}

#[test]
fn a_block_that_no_channel_told_keeps_one_from_being_made() {
    let mut world = world("");
    block_on(people::block(&world.engine, UserId(3), UserId(1), true, WALL)).expect("blocked");
    assert_eq!(world.run("x.1 opens 3; x.3 opens 1"), "117; 117");
    block_on(people::block(&world.engine, UserId(3), UserId(1), false, WALL)).expect("unblocked");
    assert_eq!(world.run("x.1 opens 3; x.1 sends a"), "made x; #1");
}

#[test]
fn a_block_is_known_to_the_next_life_and_ends_friendship() {
    let store = store();
    let mut world = World::current(faulty(&store, &[]));
    block_on(people::put_friend(&world.engine, UserId(1), UserId(2), WALL)).expect("asked");
    block_on(people::put_friend(&world.engine, UserId(2), UserId(1), WALL)).expect("accepted");
    assert_eq!(world.run("d.1 blocks 2"), "changed");
    let tx = world.engine.begin(Begin::Fresh);
    for friends in [keys::friend(UserId(1), UserId(2)), keys::friend(UserId(2), UserId(1))] {
        assert_eq!(block_on(tx.get(&friends)).expect("readable"), None);
    }
    let mut world = World::claim(world.engine, 3, 2);
    assert_eq!(world.run("d.2 sends a; d.2 unblocks 1; d.1 unblocks 2; d.2 sends a"), "117; unchanged; changed; #1");
}

#[test]
fn a_role_and_a_title_are_told_as_such() {
    check_inbox("1 adds 2 admin; 1 adds 2", 3, "g role 2, g role 2");
    check_inbox("1 titles crabs; 1 titles crabs", 3, "g title 1");
    check("1 titles crabs; 2 titles b; 9 titles b; d.1 titles b", "changed; 103; 102; 103");
    check("1 adds 2 admin, 2 titles b; 1 titles b", "changed, changed; unchanged");
    let (fits, long) = ("가".repeat(128), "가".repeat(129));
    check(&format!("1 titles {fits}; 1 titles {long}; 1 titles {fits}"), "changed; 107; unchanged");
    let world = world("1 sends a; 1 titles crabs");
    let group = block_on(channels::get(&world.engine, UserId(3), channel("g"))).expect("a member");
    assert_eq!((group.record.title.as_str(), group.record.member_count), ("crabs", 3));
}

#[test]
fn a_mute_is_ones_own() {
    check(
        "2 mutes on; 2 mutes on; 2 mutes off; 9 mutes on; 3 removes 3; 3 mutes on",
        "changed; unchanged; changed; 102; changed; 103",
    );
    let world = world("2 mutes on, d.2 mutes on; 1 adds 2 admin; 2 sends a");
    let list = block_on(channels::list(&world.engine, UserId(2), None, 50)).expect("readable");
    assert!(list.channels.iter().all(|summary| summary.muted), "in both channels, and through a change of role");
    assert_eq!(world.inbox(1, 9), "g created 1, d created 1, g role 2, g#1=a");
    let muted = block_on(channels::get(&world.engine, UserId(1), channel("g"))).expect("a member").muted;
    assert!(!muted);
}

#[test]
fn a_group_has_an_owner_while_it_has_a_member() {
    check_inbox("1 removes 1", 3, "g left 1, g role 2");
    check_inbox("1 adds 3 admin; 1 removes 1", 2, "g role 3, g left 1, g role 3");
    check_inbox("1 adds 3 owner; 1 removes 1", 2, "g role 3, g left 1");
    check_inbox("1 removes 1; 2 removes 2; 3 removes 3", 3, "g left 1, g role 2, g left 2, g role 3, g left 3");
    check("1 removes 1, 2 removes 2, 3 titles b, 3 removes 3", "changed, changed, changed, changed");
    check("1 removes 1; 2 adds 4; 3 adds 5; 2 removes 3", "changed; changed; 103; changed");
    check("1 adds 2 admin; 2 removes 1; 1 adds 2 owner; 2 removes 1", "changed; 103; changed; changed");
}

#[test]
fn a_channel_that_nobody_is_in_keeps_its_past() {
    check("1 removes 1, 2 removes 2, 3 removes 3; 1 sends a; 1 removes 1", "changed, changed, changed; 103; unchanged");
}
