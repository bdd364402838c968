//! Friends, blocks and who sees whom, in scripts of steps, each with what comes of it: `1 asks 2 ? requested`.

use std::sync::Arc;

use chat::keys;
use chat::people::{self, BlockOutcome};
use chat::{LayerError, presence};
use futures_lite::future::block_on;
use kv::Transaction;
use kv::memory::CommitFault::{self, Conflict, Throttled, UnknownCommitted, UnknownLost};
use kv::memory::{MemoryEngine, MemoryStore};
use schema::limits::FRIENDS_MAX;
use schema::record::{BlockRecord, FriendRecord, FriendState, PresenceRecord};
use schema::view::Partition;
use schema::{ErrorCode, Incarnation, PresenceState, UnixMs, UserId};

use crate::world::{self, WALL, World, faulty, first_shard, give, store, world, write};

fn state(state: FriendState) -> String {
    format!("{state:?}").to_lowercase()
}

/// `2 accepted+3 asked`, or `nobody`.
fn friends(engine: &MemoryEngine, user: UserId) -> String {
    let page = block_on(people::friends(engine, user, None, 500)).expect("readable");
    assert!(!page.more);
    let words: Vec<String> = page.users.iter().map(|(other, it)| format!("{other} {}", state(it.state))).collect();
    if words.is_empty() { "nobody".to_owned() } else { words.join("+") }
}

/// `2+3`, or `nobody`.
fn users(users: impl IntoIterator<Item = UserId>) -> String {
    let words: Vec<String> = users.into_iter().map(|user| user.to_string()).collect();
    if words.is_empty() { "nobody".to_owned() } else { words.join("+") }
}

fn step(engine: &MemoryEngine, step: &str) -> String {
    let words: Vec<&str> = step.split(' ').collect();
    let user = |text: &str| UserId(text.parse().unwrap_or_else(|_| panic!("{text} is no user in {step}")));
    let block = |by: &str, whom: &str, on| {
        block_on(people::block(engine, user(by), user(whom), on, WALL)).map(|outcome| match outcome {
            BlockOutcome::Done { changed: true } => "changed".to_owned(),
            BlockOutcome::Done { changed: false } => "unchanged".to_owned(),
            BlockOutcome::ThroughChannel(channel) => format!("through {channel}"),
        })
    };
    world::words(match words[..] {
        [one, "asks", other] => {
            block_on(people::put_friend(engine, user(one), user(other), WALL)).map(|record| state(record.state))
        }
        ["befriends", ref pairs @ ..] => {
            let pair = |words: &&str| words.split_once(':').map(|(one, other)| (user(one), user(other)));
            let pairs: Vec<_> = pairs.iter().map(|words| pair(words).expect("two users")).collect();
            block_on(people::make_friends(engine, &pairs, WALL)).map(|()| "made".to_owned())
        }
        [one, "drops", other] => {
            block_on(people::remove_friend(engine, user(one), user(other))).map(|there| there.to_string())
        }
        [one, "lists"] => Ok(friends(engine, user(one))),
        [one, "blocks", other] => block(one, other, true),
        [one, "unblocks", other] => block(one, other, false),
        [one, "blocked"] => block_on(people::blocks(engine, user(one), None, 500))
            .map(|page| users(page.users.into_iter().map(|(user, _)| user))),
        [one, "sees"] => sees(engine, user(one), false),
        [one, "sees", "fellows"] => sees(engine, user(one), true),
        _ => panic!("no such step: {step}"),
    })
}

/// Which of users 1 to 9 and one who does not exist this one may see.
fn sees(engine: &MemoryEngine, watcher: UserId, fellows: bool) -> Result<String, LayerError> {
    let all: Vec<UserId> = (1..=10).map(UserId).collect();
    let sights = block_on(people::visible(engine, watcher, &all, fellows))?;
    assert_eq!(sights.len(), all.len());
    Ok(users(all.into_iter().zip(sights).filter_map(|(user, sight)| sight.map(|_| user))))
}

fn check_on(engine: &MemoryEngine, script: &str) {
    for line in script.split(", ") {
        let (words, expected) = line.split_once(" ? ").expect("a step and what comes of it");
        assert_eq!(step(engine, words), expected, "{words} in {script}");
    }
}

/// Users 1 to 9, of whom 1, 2 and 3 share a group, and 1 and 2 the direct channel 100.
fn check(script: &str) {
    check_on(&faulty(&store(), &[]), script);
}

#[test]
fn one_asks_and_the_other_accepts_by_asking() {
    check("1 asks 4 ? requested, 4 lists ? 1 asked, 4 asks 1 ? accepted, 1 lists ? 4 accepted, 4 lists ? 1 accepted");
    check("1 asks 4 ? requested, 1 asks 4 ? requested, 1 lists ? 4 requested");
    check("1 asks 4 ? requested, 4 asks 1 ? accepted, 4 asks 1 ? accepted, 1 asks 4 ? accepted");
    check("1 asks 4 ? requested, 5 asks 1 ? requested, 1 lists ? 4 requested+5 asked");
}

#[test]
fn friendships_are_made_in_bulk_all_or_none() {
    check("befriends 1:4 1:5 ? made, 1 lists ? 4 accepted+5 accepted, 4 lists ? 1 accepted, 5 lists ? 1 accepted");
    check("befriends 1:4 ? made, befriends 4:1 1:4 ? made, 1 lists ? 4 accepted, 4 lists ? 1 accepted");
    check("4 asks 1 ? requested, befriends 4:1 5:6 ? made, 1 lists ? 4 accepted, 5 lists ? 6 accepted");
    check("befriends 1:4 5:5 ? 107, befriends 1:4 5:77 ? 102, befriends 77:5 ? 102, 1 lists ? nobody");
    check("4 blocks 1 ? changed, befriends 5:6 1:4 ? 117, 5 lists ? nobody");
}

#[test]
fn either_side_ends_it() {
    check("1 asks 4 ? requested, 1 drops 4 ? true, 1 drops 4 ? false, 4 lists ? nobody");
    check("1 asks 4 ? requested, 4 drops 1 ? true, 1 lists ? nobody, 1 asks 4 ? requested");
    check("1 asks 4 ? requested, 4 asks 1 ? accepted, 4 drops 1 ? true, 1 lists ? nobody, 4 lists ? nobody");
    check("1 drops 1 ? false, 1 drops 77 ? false");
}

#[test]
fn nobody_befriends_itself_or_a_stranger_to_the_store() {
    check("1 asks 1 ? 107, 1 asks 77 ? 102, 1 lists ? nobody");
    check("1 blocks 1 ? 107, 1 unblocks 1 ? 107, 1 blocks 77 ? 102, 1 blocked ? nobody");
}

#[test]
fn a_block_ends_friendship_for_both_and_none_begins_across_it() {
    check("1 asks 4 ? requested, 4 asks 1 ? accepted, 4 blocks 1 ? changed, 1 lists ? nobody, 4 lists ? nobody");
    check("1 asks 4 ? requested, 1 blocks 4 ? changed, 4 lists ? nobody, 4 asks 1 ? 117, 1 asks 4 ? 117");
    check("4 blocks 1 ? changed, 4 blocks 1 ? unchanged, 4 blocked ? 1, 1 blocked ? nobody");
    check("4 blocks 1 ? changed, 1 unblocks 4 ? unchanged, 4 unblocks 1 ? changed, 1 asks 4 ? requested");
}

#[test]
fn a_block_of_two_with_a_direct_channel_is_its_homes() {
    check("1 blocks 2 ? through 100, 1 unblocks 2 ? through 100, 1 blocked ? nobody");
    check("2 blocks 1 ? through 100, 1 blocks 3 ? changed");
}

#[test]
fn friends_and_fellows_see_each_other_and_nobody_across_a_block() {
    check("1 sees ? 1+2+3, 2 sees ? 1+2+3, 3 sees ? 1+2+3, 4 sees ? 4");
    check("1 asks 4 ? requested, 1 sees ? 1+2+3, 4 sees ? 4");
    check("1 asks 4 ? requested, 4 asks 1 ? accepted, 1 sees ? 1+2+3+4, 4 sees ? 1+4");
    check("3 blocks 1 ? changed, 1 sees ? 1+2, 3 sees ? 2+3, 2 sees ? 1+2+3");
    check("3 blocks 1 ? changed, 1 sees fellows ? 1+2+4+5+6+7+8+9+10, 2 sees fellows ? 1+2+3+4+5+6+7+8+9+10");
}

#[test]
fn who_left_a_group_is_no_fellow() {
    let mut world = world("");
    check_on(&world.engine, "3 sees ? 1+2+3, 5 sees ? 5");
    world.run("3 removes 3; x.5 makes 3+6");
    check_on(&world.engine, "3 sees ? 3+5+6, 1 sees ? 1+2, 5 sees ? 3+5+6");
    world.run("1 adds 3");
    check_on(&world.engine, "3 sees ? 1+2+3+5+6, 6 sees ? 3+5+6");
}

#[test]
fn a_large_channel_makes_nobody_a_fellow() {
    let mut world = world("");
    assert_eq!(world.run("l.5 founds 1+6"), "made l");
    check_on(&world.engine, "5 sees ? 5, 6 sees ? 6, 1 sees ? 1+2+3");
    world.run("x.6 makes 5");
    check_on(&world.engine, "5 sees ? 5+6, 6 sees ? 5+6");
}

/// The cheaper side is asked: whoever has fewer channels.
#[test]
fn a_common_group_is_found_from_either_side() {
    let mut world = world("");
    for at in 0..30 {
        let (_, op) = crate::world::parse("x.4 makes 5");
        world.push_op(schema::ChannelId(1_000 + at), op);
    }
    world.drain();
    world.run("1 adds 4");
    check_on(&world.engine, "4 sees ? 1+2+3+4+5, 3 sees ? 1+2+3+4, 5 sees ? 4+5, 1 sees ? 1+2+3+4");
}

#[test]
fn what_is_stored_of_presence_is_shown_to_those_who_may_see_it() {
    let engine = faulty(&store(), &[]);
    let online = PresenceRecord { state: PresenceState::Online, last_active_ms: UnixMs(5), at_ms: UnixMs(7) };
    let view = World::current(engine.clone()).view;
    for user in [2, 4].map(UserId) {
        block_on(presence::put(&engine, &view, first_shard(2), user, online)).expect("stored");
    }
    let seen = block_on(people::visible(&engine, UserId(1), &[UserId(4), UserId(3), UserId(2)], false));
    assert_eq!(seen.expect("readable"), [None, Some(PresenceRecord::default()), Some(online)]);
    let stored = block_on(presence::get_all(&engine, &[UserId(3), UserId(4)])).expect("readable");
    assert_eq!(stored, [PresenceRecord::default(), online]);
}

#[test]
fn what_a_home_says_last_of_presence_stands_whatever_its_clock_until_another_is_home() {
    let engine = faulty(&store(), &[]);
    let check = |world: &World<MemoryEngine>, at, state, stands| {
        let record = PresenceRecord { state, last_active_ms: UnixMs(1), at_ms: UnixMs(at) };
        let life = world.life.0;
        let put = block_on(presence::put(&engine, &world.view, first_shard(life), UserId(2), record));
        let code = put.map_err(|error| u16::from(error.into_refusal().code));
        let stored = block_on(presence::get_all(&engine, &[UserId(2)])).expect("readable")[0];
        assert_eq!((code, stored.state), stands, "after one of {at} by {life}");
    };
    let mut old = World::current(engine.clone());
    check(&old, 6, PresenceState::Online, (Ok(()), PresenceState::Online));
    check(&old, 5, PresenceState::Offline, (Ok(()), PresenceState::Offline));
    give(&engine, &[Partition::of_user(UserId(2))], 3);
    let new = World { life: Incarnation(3), ..World::current(engine.clone()) };
    // Under its view that ended, and under the one in which the user is another's.
    check(&old, 9, PresenceState::Online, (Err(113), PresenceState::Offline));
    old.view = Arc::clone(&new.view);
    check(&old, 9, PresenceState::Online, (Err(113), PresenceState::Offline));
    check(&new, 1, PresenceState::Away, (Ok(()), PresenceState::Away));
}

fn fill(engine: &MemoryEngine, rows: u32, row: impl Fn(UserId) -> (Vec<u8>, Vec<u8>)) {
    for from in (0..rows).step_by(1_000) {
        write(engine, |tx| {
            for at in from..rows.min(from + 1_000) {
                let (key, value) = row(UserId(100 + u64::from(at)));
                tx.set(&key, &value);
            }
        });
    }
}

#[test]
fn lists_have_limits_on_both_sides_and_come_in_pages() {
    let engine = faulty(&store(), &[]);
    let asked = FriendRecord { state: FriendState::Asked, since_ms: WALL }.encode();
    fill(&engine, FRIENDS_MAX - 1, |other| (keys::friend(UserId(1), other), asked.clone()));
    check_on(&engine, "4 asks 1 ? requested, 5 asks 1 ? 106, 1 asks 5 ? 106, 5 lists ? nobody, 1 asks 4 ? accepted");
    check_on(&engine, "4 drops 1 ? true, 1 asks 5 ? requested");
    let mut last = None;
    let mut count = 0;
    loop {
        let page = block_on(people::friends(&engine, UserId(1), last, 10_000)).expect("readable");
        assert!(page.users.len() <= 500);
        count += page.users.len();
        last = page.users.last().map(|&(user, _)| user);
        if !page.more {
            break;
        }
    }
    assert_eq!(count, FRIENDS_MAX as usize);

    let block = BlockRecord { since_ms: WALL }.encode();
    fill(&engine, FRIENDS_MAX - 1, |user| (keys::block(UserId(1), user), block.clone()));
    check_on(&engine, "1 blocks 4 ? changed, 1 blocks 5 ? 106, 1 blocks 4 ? unchanged, 1 unblocks 4 ? changed");
    check_on(&engine, "1 blocks 5 ? changed");
    let page = block_on(people::blocks(&engine, UserId(1), Some(UserId(100)), 2)).expect("readable");
    assert_eq!(page.users.iter().map(|(user, _)| user.0).collect::<Vec<_>>(), [101, 102]);
    assert!(page.more);
}

/// A store in which 1 and 4 are friends.
fn befriended() -> MemoryStore {
    let store = store();
    check_on(&faulty(&store, &[]), "1 asks 4 ? requested, 4 asks 1 ? accepted");
    store
}

#[test]
fn an_unknown_outcome_is_found_out() {
    let check = |fates: &[CommitFault], script: &str| check_on(&faulty(&store(), fates), script);
    for fates in [
        &[UnknownCommitted][..],
        &[UnknownLost],
        &[Throttled, UnknownLost, Conflict],
        &[Conflict, UnknownCommitted, Conflict],
        &[UnknownLost, UnknownLost, UnknownCommitted],
    ] {
        check(fates, "1 asks 4 ? requested, 4 lists ? 1 asked, 1 lists ? 4 requested");
        let engine = faulty(&befriended(), fates);
        check_on(&engine, "1 drops 4 ? true, 1 drops 4 ? false, 4 lists ? nobody");
        check(fates, "1 blocks 4 ? changed, 1 blocks 4 ? unchanged, 4 asks 1 ? 117");
    }
    // An outcome that stays unknown is the store's trouble, and asking again says what came of it.
    let engine = faulty(&store(), &[UnknownLost, UnknownLost, UnknownLost, UnknownLost, UnknownCommitted]);
    let trouble = block_on(people::block(&engine, UserId(1), UserId(4), true, WALL)).expect_err("five attempts failed");
    assert_eq!(trouble.into_refusal().code, ErrorCode::StorageUnavailable);
    check_on(&engine, "1 blocks 4 ? unchanged, 1 unblocks 4 ? changed");
}

#[test]
fn of_two_who_ask_each_other_at_once_the_second_accepts() {
    let engine = faulty(&store(), &[]);
    let (one, other) = (people::put_friend(&engine, UserId(1), UserId(4), WALL), async {
        people::put_friend(&engine, UserId(4), UserId(1), WALL).await
    });
    let (one, other) = block_on(futures_lite::future::zip(one, other));
    let mut states = [one, other].map(|record| state(record.expect("stored").state));
    states.sort_unstable();
    assert_eq!(states, ["accepted", "requested"]);
    check_on(&engine, "1 lists ? 4 accepted, 4 lists ? 1 accepted");
}
