//! Large channels: a log that no inbox tells, members who are looked up, and feeds. And where one is named.

use chat::appender::Appender;
use chat::mentions;
use chat::{channels, inbox};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{UnknownCommitted, UnknownLost};
use kv::memory::MemoryEngine;
use schema::command::HistoryWindow;
use schema::limits::GROUP_MEMBERS_DEFAULT;
use schema::{ChannelId, MessagePlace, UserId};

use crate::append::{check, check_inbox};
use crate::world::{World, channel, first_shard, world, world_after};

#[test]
fn a_large_channel_has_a_log_as_any_other() {
    check("l.1 founds 2+3; l.1 sends a, l.2 sends b; l.3 sends c; l.1 sends a", "made l; #1, #2; #3; #1 again");
    check("l.1 founds 2; l.9 sends a, l.9 marks 1, l.9 types on; l.1 sends a", "made l; 102, 102, 102; #1");
    check("l.1 founds 2; l.1 sends a; l.2 marks 1; l.2 sends b re 1", "made l; #1; read #1 unread 0; #2");
    check("l.1 founds 2; l.2 removes 2; l.2 sends a; l.2 removes 2", "made l; changed; 103; unchanged");
    check("l.1 founds 2, l.1 sends a, l.2 removes 2, l.2 sends b", "made l, #1, changed, 103");
    check("l.1 founds 2; l.2 sends a; l.1 deletes e of 1; l.1 puts f=👍 on 1", "made l; #1; revision 1; 123");
    check("l.1 founds 2; l.1 sends a to 2; l.1 sends b to 3; l.1 sends c to 2+3", "made l; #1; 107; 107");
    check("l.1 founds 2; l.1 founds 2; x.1 founds 2 all", "made l; existed l; made x");
    check("l.1 founds 2; l.1 blocks 2; l.2 titles t; l.1 titles t; l.2 mutes on", "made l; 107; 103; changed; changed");
    check("l.1 founds 77", "102");
}

#[test]
fn members_of_a_large_channel_change_by_who_may() {
    check("l.1 founds 2; l.2 adds 4; l.1 adds 4; l.1 adds 4; l.4 sends a", "made l; 103; changed; unchanged; #1");
    check(
        "l.1 founds 2; l.1 adds 2 admin; l.2 adds 4, l.2 removes 1; l.2 removes 4",
        "made l; changed; changed, 103; changed",
    );
    check(
        "l.1 founds 2; l.1 adds 2 owner; l.1 removes 1; l.2 removes 2; l.1 adds 1",
        "made l; changed; changed; changed; 103",
    );
}

#[test]
fn a_large_channel_has_an_owner_while_it_has_a_member() {
    check("l.1 founds 2+3; l.1 removes 1; l.2 adds 4; l.3 adds 5; l.1 sends a", "made l; changed; changed; 103; 103");
    check(
        "l.1 founds 2+3; l.1 adds 3 admin; l.1 removes 1; l.2 titles t; l.3 adds 4 owner",
        "made l; changed; changed; 103; changed",
    );
    check(
        "l.1 founds 2+3; l.1 adds 3 owner; l.1 removes 1; l.3 titles t; l.2 titles t",
        "made l; changed; changed; changed; 103",
    );
    check(
        "l.1 founds 2+3, l.1 removes 1, l.2 removes 2, l.3 titles t, l.3 removes 3",
        "made l, changed, changed, changed, changed",
    );
    check(
        "l.1 founds 2+3; l.1 adds 3 admin, l.1 adds 2 admin, l.1 adds 2, l.1 removes 1, l.3 adds 2 owner",
        "made l; changed, changed, changed, changed, changed",
    );
    check(
        "l.1 founds 2; l.1 adds 2 admin; l.2 mutes on; l.2 removes 2; l.1 removes 1; l.2 sends a",
        "made l; changed; changed; changed; changed; 103",
    );
    check_inbox("l.1 founds 2+3; l.1 removes 1", 2, "l created 1, l role 2");
    check_inbox("l.1 founds 2+3; l.1 removes 1", 3, "l created 1");
    assert_eq!(world("l.1 founds 2+3; l.1 removes 1").fed("l"), "l left 1, l role 2");
}

#[test]
fn a_large_channel_has_more_members_than_a_group() {
    let mut world = world("");
    world.appenders = vec![Appender::new(first_shard(2)).with_group_members(3)];
    assert_eq!(
        world.run("l.1 founds 2+3; x.1 founds 2+3+4; l.1 adds 4; l.1 adds 5; l.5 sends a"),
        "made l; 119; changed; changed; #1"
    );
    world.holds();
    const { assert!(GROUP_MEMBERS_DEFAULT > 3) };
    let page =
        block_on(channels::members(&world.engine, UserId(5), channel("l"), Some(UserId(2)), 2)).expect("a member");
    let listed: Vec<u64> = page.users.iter().map(|(user, _)| user.0).collect();
    assert_eq!((listed, page.more), (vec![3, 4], true));
    assert_eq!(
        block_on(channels::get(&world.engine, UserId(1), channel("l"))).expect("a member").record.member_count,
        5
    );
}

#[test]
fn inboxes_tell_memberships_and_own_marks_of_a_large_channel_and_nothing_else() {
    let script = "l.1 founds 2; l.1 sends a; l.2 marks 1; l.1 edits e=b of 1; l.2 puts e=👍 on 1; l.1 deletes d of 1; l.1 titles t";
    check_inbox(script, 2, "l created 1, l read #1");
    check_inbox(script, 1, "l created 1");
    let members = "l.1 founds 2; l.1 adds 3; l.1 adds 3 admin; l.1 removes 3; l.2 removes 2";
    check_inbox(members, 3, "l added 3, l role 3, l removed 3");
    check_inbox(members, 2, "l created 1, l left 2");
    check_inbox(members, 1, "l created 1");
}

#[test]
fn the_feed_tells_all_of_it_in_the_order_of_the_log() {
    let script = "l.1 founds 2; l.1 sends a, l.2 sends b; l.1 edits e=c of 1; l.2 puts f=👍 on 1; l.1 deletes d of 2; l.1 adds 3; l.1 titles t";
    let fed = "l#1=a, l#2=b, l#1 edited=c, l#1 +👍1, l#2 deleted, l added 3, l title 1";
    assert_eq!(world(script).fed("l"), fed);
    for fates in [[UnknownCommitted; 3], [UnknownLost, UnknownCommitted, UnknownLost]] {
        assert_eq!(world_after(&fates, script).fed("l"), fed, "after {fates:?}");
    }
    let mut batch = world("l.1 founds 2");
    batch.run("l.1 sends a, 1 sends x, l.9 sends b, l.2 types on, l.2 puts f=👍 on 1, l.1 sends a");
    assert_eq!((batch.fed("l"), batch.feeds.len()), ("l#1=a, l#1 +👍1".into(), 1));
    assert_eq!((batch.told_live(), batch.fed("g")), (String::new(), String::new()));
}

/// What `user` reads of channel l's history: bodies, and what it has not read.
fn check_read(script: &str, user: u64, expected: &str) {
    let world = world(script);
    let page = world.history(user, "l", HistoryWindow::Newest, 200).expect("was a member");
    let bodies: Vec<&str> = page.messages.iter().map(|message| &*message.body).collect();
    let unread = block_on(channels::get(&world.engine, UserId(user), channel("l"))).map(|summary| summary.unread);
    let unread = unread.map_or("left".into(), |unread| unread.to_string());
    assert_eq!(format!("{} unread {unread}", bodies.join("+")), expected, "{script} for {user}");
}

#[test]
fn who_joins_reads_all_of_the_past_where_that_is_open() {
    check_read("l.1 founds 2 all; l.1 sends a; l.1 adds 3; l.1 sends b", 3, "a+b unread 1");
    check_read("l.1 founds 2 all; l.1 sends a; l.1 adds 3; l.1 removes 3; l.1 sends b", 3, "a unread left");
    check_read(
        "l.1 founds 2 all; l.1 sends a; l.1 adds 3; l.1 removes 3; l.1 sends b; l.1 adds 3; l.1 sends c",
        3,
        "a+b+c unread 1",
    );
    check_read("l.1 founds 2; l.1 sends a; l.1 adds 3; l.1 sends b", 3, "b unread 1");
    check_read("l.1 founds 2; l.1 sends a; l.2 removes 2; l.1 sends b; l.1 adds 2; l.1 sends c", 2, "a+c unread 1");
    check(
        "l.1 founds 2 all; l.1 sends a; l.1 adds 3; l.3 puts e=👍 on 1; l.3 sends b re 1",
        "made l; #1; changed; count 1; #2",
    );
    check(
        "l.1 founds 2; l.1 sends a; l.1 adds 3; l.3 puts e=👍 on 1; l.3 sends b re 1",
        "made l; #1; changed; 123; 123",
    );
}

#[test]
fn a_home_finds_the_large_channels_of_a_user() {
    let mut world = world("l.1 founds 2; m.2 founds 3 all; x.1 makes 2");
    let of = |world: &World<MemoryEngine>, user| -> Vec<ChannelId> {
        block_on(channels::large_of(&world.engine, UserId(user))).expect("readable")
    };
    assert_eq!(of(&world, 2), [channel("l"), channel("m")]);
    assert_eq!((of(&world, 3), of(&world, 9)), (vec![channel("m")], vec![]));
    world.run("l.2 removes 2; m.2 adds 9");
    assert_eq!((of(&world, 2), of(&world, 9)), (vec![channel("m")], vec![channel("m")]));
    let page = block_on(inbox::snapshot(&world.engine, UserId(9), None)).expect("readable");
    assert_eq!(page.channels.iter().map(|channel| channel.channel_id).collect::<Vec<_>>(), [channel("m")]);
    world.holds();
}

/// Where `user` is named after a script, newest first, in pages of any size.
fn check_mentions(script: &str, user: u64, expected: &str) {
    let world = world(script);
    for limit in [1, 2, 200] {
        let (mut words, mut before) = (Vec::new(), None::<MessagePlace>);
        loop {
            let page = block_on(mentions::list(&world.engine, UserId(user), before, limit)).expect("readable");
            words.extend(page.messages.iter().map(|message| format!("{}{}", message.channel_id, message.seq)));
            before = page.next.map(|next| next.to_string().parse().expect("its own text"));
            if before.is_none() {
                break;
            }
        }
        assert_eq!(words.join(" "), expected, "{script} for {user}, {limit} at a time");
    }
}

#[test]
fn an_account_finds_where_it_is_named() {
    let names = "1 sends a to 2+3; d.1 sends b to 2; l.1 founds 2; l.1 sends c to 2; 1 sends e";
    check_mentions(names, 2, "108#1 103#1 100#1");
    check_mentions(names, 3, "103#1");
    check_mentions(names, 1, "");
    check_mentions("1 sends a to 2+2+2", 2, "103#1");
    check_mentions("1 sends a to 2; 1 deletes e of 1", 2, "");
    check_mentions("1 sends a to 2; 1 edits e=b of 1", 2, "103#1");
    check_mentions("1 sends a to 3; 3 removes 3; 1 sends b", 3, "103#1");
    let oldest =
        (0..9).map(|turn| format!("1 sends i{turn}; 1 removes 3; 1 sends j{turn}; 1 adds 3")).collect::<Vec<_>>();
    check_mentions(&format!("1 sends a to 3; {}", oldest.join("; ")), 3, "");
}
