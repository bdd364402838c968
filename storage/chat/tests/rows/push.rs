//! Push items: what homes and their heirs write, what a worker decides, what is listed and what goes.

use chat::keys;
use chat::push::{self, Adopted, Decision};
use chat::share::Share;
use chat::{arrivals, presence, view};
use futures_lite::future::block_on;
use kv::memory::CommitFault::{self, Conflict, UnknownCommitted, UnknownLost};
use kv::memory::{MemoryEngine, MemoryStore};
use schema::limits::{PRESENCE_ACTIVE_MS, PRESENCE_AWAY_MS, PUSH_GRACE_MS, PUSH_KEPT_MS};
use schema::record::{PresenceRecord, PushItem};
use schema::view::Partition;
use schema::{ChannelId, Incarnation, PresenceState, Seq, Stamp, UnixMs, UserId};

use crate::world::{WALL, World, channel, faulty, first_shard, give, rows, scripted, store, world};

fn item(user: u64, name: &str, seq: u64, from: u64) -> PushItem {
    PushItem::new(UserId(user), (channel(name), Seq(seq)), UserId(from), WALL)
}

/// What is listed, by user, channel and seq: `2 g#1 from 1`.
fn listed(engine: &MemoryEngine) -> String {
    let listed = block_on(push::list(engine, 1_000)).expect("readable");
    assert!(!listed.more && listed.items.is_sorted());
    let name = |channel: ChannelId| char::from(u8::try_from(channel.0).expect("a letter"));
    let mut items = listed.items;
    items.sort_by_key(|item| (item.user, item.channel, item.seq));
    let words = items.iter().map(|item| format!("{} {}{} from {}", item.user, name(item.channel), item.seq, item.from));
    words.collect::<Vec<_>>().join(", ")
}

/// Whoever is in the view is over.
fn end(store: &MemoryStore) {
    block_on(view::end(&faulty(store, &[]))).expect("ended");
}

/// Arrival rows of every home.
fn arrived(engine: &MemoryEngine) -> usize {
    rows(engine, &keys::arrivals()).len()
}

#[test]
fn arrivals_are_cleared_with_the_items_of_those_who_were_absent() {
    let check = |fates: &[CommitFault], items: u64| {
        let store = store();
        let mut world = World::claim(faulty(&store, &[]), 3, 1);
        let before = arrived(&world.engine);
        world.run("1 sends a");
        assert_eq!(arrived(&world.engine), before + 1);
        let home = first_shard(3);
        let pushes: Vec<PushItem> = (1..=items).map(|seq| item(2, "g", seq, 1)).collect();
        let through = Stamp { version: u64::MAX, batch: 0 };
        let engine = scripted(&store, fates);
        block_on(arrivals::clear(&engine, home, through, &pushes)).expect("cleared");
        assert_eq!(arrived(&engine), before, "those of earlier lives");
        let listed = block_on(push::list(&engine, 10_000)).expect("readable").items;
        assert_eq!(listed, pushes, "{items} items after {fates:?}");
    };
    for items in [0, 1, 999, 1_000, 1_001, 2_500] {
        check(&[], items);
    }
    check(&[UnknownCommitted], 3);
    check(&[UnknownLost, Conflict], 3);
    check(&[UnknownCommitted, UnknownLost, UnknownCommitted], 1_001);
}

/// What is decided of channel g's message #1 for user 2, `later_ms` after it is due.
fn check_decision(engine: &MemoryEngine, later_ms: u64, expected: Decision) {
    let item = item(2, "g", 1, 1);
    // Asked before it is due, what is decided is what will be then.
    let wall = if later_ms == 0 { UnixMs(0) } else { item.due_ms.plus_ms(later_ms) };
    let decided = block_on(push::decide(engine, &[item], wall)).expect("readable");
    assert_eq!(decided, [expected]);
}

#[test]
fn a_worker_tells_a_phone_what_its_user_has_not_seen() {
    let check = |script: &str, expected| check_decision(&world(script).engine, 0, expected);
    check("1 sends a, 1 sends b", Decision::Push);
    check("1 sends a, 1 sends b; 2 marks 1", Decision::Read);
    check("1 sends a, 1 sends b; 2 mutes on", Decision::Muted);
    check("1 sends a, 1 sends b; 1 deletes e of 1", Decision::Deleted);
    check("1 sends a, 1 sends b; 1 removes 2", Decision::Gone);
    check("1 sends a, 1 sends b; 1 removes 2; 1 sends c; 1 adds 2", Decision::Read);
}

#[test]
fn of_several_reasons_the_one_that_lasts_longest_is_given() {
    let mut world = world("1 sends a");
    let online = PresenceRecord { state: PresenceState::Online, last_active_ms: WALL, at_ms: WALL };
    block_on(presence::put(&world.engine, &world.view, first_shard(2), UserId(2), online)).expect("stored");
    check_decision(&world.engine, 0, Decision::Online);
    world.run("2 mutes on");
    check_decision(&world.engine, 0, Decision::Muted);
    world.run("2 marks 1");
    check_decision(&world.engine, 0, Decision::Read);
    world.run("1 removes 2");
    check_decision(&world.engine, 0, Decision::Gone);
}

#[test]
fn nobody_is_online_long_after_its_home_went() {
    let world = world("1 sends a");
    let check = |state, later_ms, expected| {
        let record = PresenceRecord { state, last_active_ms: WALL, at_ms: WALL };
        block_on(presence::put(&world.engine, &world.view, first_shard(2), UserId(2), record)).expect("stored");
        check_decision(&world.engine, later_ms, expected);
    };
    check(PresenceState::Online, 0, Decision::Online);
    check(PresenceState::Online, PRESENCE_ACTIVE_MS + PRESENCE_AWAY_MS, Decision::Online);
    check(PresenceState::Online, PRESENCE_ACTIVE_MS + PRESENCE_AWAY_MS + 10_000, Decision::Push);
    check(PresenceState::Away, 0, Decision::Push);
    check(PresenceState::Offline, 0, Decision::Push);
}

fn put(engine: &MemoryEngine, items: &[PushItem]) {
    let through = Stamp::default();
    block_on(arrivals::clear(engine, first_shard(1), through, items)).expect("written");
}

#[test]
fn items_are_listed_by_the_time_at_which_they_are_due() {
    let engine = MemoryEngine::ephemeral();
    // One item each for many users, so in many partitions; the later users' are due first.
    let due = |user: u64| UnixMs(1_000_000 - user * 10);
    let made = |user| PushItem::new(UserId(user), (ChannelId(1), Seq(user)), UserId(0), due(user));
    let items: Vec<PushItem> = (1..=3_000).map(made).collect();
    put(&engine, &items);
    let check = |limit: u32, count: usize, more| {
        let listed = block_on(push::list(&engine, limit)).expect("readable");
        let expected: Vec<PushItem> = items.iter().rev().take(count).copied().collect();
        assert_eq!((listed.items, listed.more), (expected, more), "at most {limit}");
    };
    check(1, 1, true);
    check(2_999, 2_999, true);
    check(3_000, 3_000, false);
    check(u32::MAX, 3_000, false);
    check(0, 0, true);
}

#[test]
fn what_nobody_fetched_goes_a_day_after_it_was_due() {
    let engine = faulty(&store(), &[]);
    let later = PushItem::new(UserId(3), (channel("g"), Seq(2)), UserId(1), WALL.plus_ms(1));
    put(&engine, &[item(2, "g", 1, 1), item(9, "g", 1, 1), later]);
    let check = |wall, swept, left: &str| {
        assert_eq!(block_on(push::sweep(&engine, wall, &Share::whole())).expect("swept"), swept);
        assert_eq!(listed(&engine), left);
    };
    let over = WALL.plus_ms(PUSH_GRACE_MS + PUSH_KEPT_MS);
    check(UnixMs(0), 0, "2 g#1 from 1, 3 g#2 from 1, 9 g#1 from 1");
    check(over, 0, "2 g#1 from 1, 3 g#2 from 1, 9 g#1 from 1");
    check(over.plus_ms(1), 2, "3 g#2 from 1");
    check(over.plus_ms(2), 1, "");
}

#[test]
fn what_a_life_left_unserved_becomes_items_for_all_but_the_sender() {
    let check = |fates: &[CommitFault]| {
        let store = store();
        let mut world = World::claim(faulty(&store, &[]), 3, 2);
        world.run("1 sends a; 2 marks 1, d.2 sends b; 3 removes 3");
        assert_eq!(listed(&world.engine), "");
        let before = arrived(&world.engine);
        end(&store);
        let engine = faulty(&store, fates);
        assert_eq!(arrived(&engine), before, "the end of a view leaves them");
        let adopted = block_on(push::adopt(&engine, WALL, &Share::whole())).expect("adopted");
        assert_eq!(listed(&engine), "1 d#1 from 2, 2 g#1 from 1, 3 g#1 from 1", "{fates:?}");
        assert_eq!(arrived(&engine), 0);
        if fates.is_empty() {
            assert_eq!(adopted, Adopted { arrivals: before as u64, items: 3 });
        }
        assert_eq!(block_on(push::adopt(&engine, WALL, &Share::whole())).expect("adopted"), Adopted::default());
    };
    check(&[]);
    check(&[UnknownCommitted]);
    check(&[Conflict, UnknownLost, UnknownCommitted]);
}

#[test]
fn what_a_life_left_is_adopted_by_the_node_whose_share_it_is() {
    let mut world = World::claim(faulty(&store(), &[]), 3, 1);
    world.run("1 sends a");
    let engine = &world.engine;
    block_on(push::adopt(engine, WALL, &Share::whole())).expect("adopted");
    // Two nodes, of which each has every other partition.
    block_on(view::claim(engine, Incarnation(4), 1)).expect("claimed");
    let others: Vec<Partition> = Partition::all().filter(|partition| partition.index() % 32 < 16).collect();
    give(engine, &others, 5);
    // Before them one that is in no view.
    let nothing = block_on(Share::current(engine, Incarnation(3))).expect("readable");
    assert_eq!(block_on(push::adopt(engine, WALL, &nothing)).expect("adopted"), Adopted::default());
    let adopted = [4, 5].map(|node| {
        let share = block_on(Share::current(engine, Incarnation(node))).expect("readable");
        block_on(push::adopt(engine, WALL, &share)).expect("adopted").arrivals
    });
    assert_eq!(adopted.iter().sum::<u64>(), 1, "one of them, and only it: {adopted:?}");
}

#[test]
fn a_life_that_lasts_keeps_its_arrivals() {
    let mut world = World::claim(faulty(&store(), &[]), 3, 1);
    world.run("1 sends a");
    block_on(push::adopt(&world.engine, WALL, &Share::whole())).expect("adopted");
    assert_eq!((arrived(&world.engine), listed(&world.engine).as_str()), (1, ""));
}

#[test]
fn what_was_left_too_long_ago_is_nobodys_news() {
    let check = |late_ms, left: &str| {
        let store = store();
        let mut world = World::claim(faulty(&store, &[]), 3, 1);
        world.run("d.1 sends a");
        end(&store);
        let engine = faulty(&store, &[]);
        let wall = WALL.plus_ms(PUSH_GRACE_MS + PUSH_KEPT_MS + late_ms);
        block_on(push::adopt(&engine, wall, &Share::whole())).expect("adopted");
        assert_eq!((listed(&engine).as_str(), arrived(&engine)), (left, 0), "{late_ms} ms late");
    };
    check(0, "2 d#1 from 1");
    check(1, "");
}

#[test]
fn a_great_deal_that_was_left_is_adopted_in_steps() {
    let store = store();
    let mut world = World::claim(faulty(&store, &[]), 3, 1);
    // 300 messages in one batch to three users, over and over: one row a batch.
    for batch in 0..4 {
        for at in 0..300 {
            world.push(&format!("1 sends b{batch}m{at}"));
        }
        world.drain();
    }
    end(&store);
    let engine = faulty(&store, &[]);
    let rows = arrived(&engine) as u64;
    let adopted = block_on(push::adopt(&engine, WALL, &Share::whole())).expect("adopted");
    assert_eq!(adopted, Adopted { arrivals: rows, items: 2 * 1_200 });
    assert_eq!(block_on(push::list(&engine, 10_000)).expect("readable").items.len(), 2_400);
}
