//! Webhooks: what is written for them and by whom it is told, in order, once noted, again where asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chat::devices::{self, Connecting};
use chat::hooks::{self, Hook, LanePage, ToldBody};
use chat::keys;
use chat::notices::{Worker, apps};
use chat::presence;
use chat::share::Share;
use chat::{LayerError, accounts};
use futures_lite::future::{self, block_on};
use kv::memory::CommitFault::{Conflict, UnknownCommitted, UnknownLost};
use kv::memory::{CommitFault, Faults, MemoryEngine};
use kv::{Engine, RangeRequest, Transaction};
use schema::hook::{HookKind, channel_kind_bit};
use schema::limits::{HOOKS_MAX, HOOKS_OF_APP_MAX};
use schema::op::ChannelKind;
use schema::record::{AppRecord, AppSecret, HookCallRecord, HookRecord, HookedBody, PresenceRecord};
use schema::{ChannelId, EventBody, Position, PresenceState, UnixMs, UserId};

use crate::world::{DAY_MS, WALL, World, channel, faulty, name, open, quiet, rows, store, words, write};

const APP: u64 = 7;
const HOOK: u64 = 9;

/// A hook that wants these kinds, all of them without any.
fn wanting(words: &str) -> HookRecord {
    let kinds = words.split_whitespace().map(|word| HookKind::of_word(word).expect("a kind"));
    let events = kinds.fold(0, |bits, kind| bits | kind.bit());
    let (url, secret) = ("https://shop.example/".to_owned(), "whsec_MfKQ".to_owned());
    let events = if events == 0 { u64::MAX } else { events };
    HookRecord { app: APP, url, secret, events, created_ms: WALL, ..HookRecord::default() }
}

/// Makes a hook, and its application, of whose secrets one counts.
fn make<E: Engine>(engine: &E, id: u64, record: &HookRecord) -> Hook {
    let secrets = vec![AppSecret { hash: String::new(), created_ms: WALL }];
    let app = AppRecord { name: "shop".into(), secrets, ..AppRecord::default() };
    write(engine, |tx| tx.set(&keys::app(record.app), &app.encode()));
    block_on(hooks::create(engine, id, record)).expect("made").expect("its id is free")
}

/// A world whose commits end so, with this hook.
fn world_with(fates: &[CommitFault], record: &HookRecord) -> World<MemoryEngine> {
    let store = store();
    make(&quiet(&store), HOOK, record);
    World::current(faulty(&store, fates))
}

fn worker<E: Engine>(world: &World<E>) -> Worker {
    Worker::of(&world.view, world.life).expect("in the view")
}

/// A call that was taken.
fn call(at_ms: UnixMs) -> HookCallRecord {
    let (channel, why) = (ChannelId(0), String::new());
    HookCallRecord { at_ms, partition: 0, events: 1, status: 200, took_ms: 3, channel, why }
}

/// Notes that a lane was told.
fn note<E: Engine>(
    engine: &E,
    worker: &Worker,
    lane: (u64, u16),
    moved: (Position, Position),
) -> Result<bool, LayerError> {
    block_on(hooks::note_told(engine, worker, lane, moved, (0, &call(WALL))))
}

/// What a page tells, in words: the channel, the kind, and the text or the seq.
fn said(page: &LanePage) -> Vec<String> {
    let one = |told: &hooks::Told| match &told.body {
        ToldBody::Channel { event, body, channel } => {
            let kind = HookKind::of_event(&event.body).word();
            let what = match body {
                Some(EventBody::Message(message) | EventBody::Edited(message)) => message.body.to_string(),
                Some(EventBody::Deleted { seq, .. } | EventBody::Reaction { seq, .. }) => seq.to_string(),
                Some(EventBody::Membership { user, .. }) => match channel {
                    Some(record) if !record.title.is_empty() => record.title.clone(),
                    Some(_) | None => user.to_string(),
                },
                Some(EventBody::Read { read_seq, .. }) => read_seq.to_string(),
                None => "unreadable".to_owned(),
            };
            format!("{} {kind} {what}", name(event.channel))
        }
        ToldBody::Other(body) => match body {
            HookedBody::Gap { from_ms, to_ms } => format!("gap {}..{}", from_ms.since_ms(WALL), to_ms.since_ms(WALL)),
            HookedBody::Presence { user, state, .. } => format!("presence {user} {state:?}"),
            HookedBody::Connected { user, device } => format!("connected {user} {device}"),
            HookedBody::Channel(_) => unreachable!("it has a channel"),
        },
    };
    page.told.iter().map(one).collect()
}

fn due<E: Engine>(world: &World<E>, hook: u64) -> Vec<u16> {
    block_on(hooks::due(&world.engine, &worker(world), hook, None, 4_096, |_| true)).expect("readable")
}

/// Tells a hook all there is, lane by lane, and lets the lanes rest.
fn tell<E: Engine>(world: &World<E>, hook: u64) -> String {
    let (mut all, worker) = (Vec::new(), worker(world));
    for partition in due(world, hook) {
        loop {
            let page = block_on(hooks::page(&world.engine, hook, partition)).expect("readable");
            if page.from == page.through {
                assert!(block_on(hooks::rest(&world.engine, &worker, hook, partition)).expect("committed"));
                break;
            }
            let moved = (page.from, page.through);
            assert!(note(&world.engine, &worker, (hook, partition), moved).expect("committed"));
            all.extend(said(&page));
        }
    }
    assert_eq!(due(world, hook), Vec::<u16>::new());
    all.join(", ")
}

#[test]
fn a_hook_is_told_what_it_wants_in_the_order_of_each_channel() {
    const SCRIPT: &str =
        "1 sends a, d.1 sends b, 2 sends c; 1 edits e=d of 1; 2 deletes f of 2, 3 sends g; 1 puts h=👍 on 3;
        1 titles crabs; 1 adds 4; 2 marks 3; l.1 founds 2; l.1 sends k; l.1 adds 3";
    let check = |record: &HookRecord, expected: &[&str]| {
        let mut world = world_with(&[], record);
        world.run(SCRIPT);
        let told = tell(&world, HOOK);
        // Of each channel its own, since lanes are told in no order of theirs.
        let of = |at: &str| -> Vec<String> {
            let own = told.split(", ").filter_map(|one| one.strip_prefix(&format!("{at} ")));
            own.map(str::to_owned).collect()
        };
        let found: Vec<_> = ["g", "d", "l"].iter().map(|at| of(at).join(", ")).collect();
        assert_eq!(found, expected);
        assert_eq!(tell(&world, HOOK), "", "once");
    };
    check(
        &wanting(""),
        &[
            "message.sent d, message.sent , message.edited d, message.deleted #2, message.sent g, reaction #3, \
             channel.changed crabs, member.changed 4, read #3",
            "message.sent b",
            "channel.created 1, message.sent k, member.changed 3",
        ],
    );
    check(
        &wanting("message.sent"),
        &["message.sent d, message.sent , message.sent g", "message.sent b", "message.sent k"],
    );
    check(&wanting("channel.created read"), &["read #3", "", "channel.created 1"]);
    check(&HookRecord { kinds: channel_kind_bit(ChannelKind::Direct), ..wanting("") }, &["", "message.sent b", ""]);
    check(&HookRecord { channels: vec![channel("l")], ..wanting("message.sent") }, &["", "", "message.sent k"]);
    check(&wanting("presence"), &["", "", ""]);
}

#[test]
fn nothing_is_written_where_no_hook_wants_it() {
    let check = |record: Option<HookRecord>, expected: usize| {
        let mut world = match record {
            Some(record) => world_with(&[], &record),
            None => World::current(faulty(&store(), &[])),
        };
        world.run("1 sends a; 1 edits e=d of 1, 1 sends b");
        let written: Vec<_> = keys::tables_of_hooks().iter().map(|range| rows(&world.engine, range).len()).collect();
        assert_eq!(written, [expected, expected.min(1), 0, 0]);
    };
    check(None, 0);
    check(Some(wanting("reaction")), 0);
    check(Some(wanting("message.sent")), 2);
    check(Some(HookRecord { paused_ms: Some(WALL), ..wanting("message.sent") }), 0);
}

#[test]
fn a_hook_counts_from_a_second_after_it_was_made_and_ends_as_late() {
    let mut world = World::current(faulty(&store(), &[]));
    world.run("1 sends a");
    make(&world.engine, HOOK, &wanting("message.sent"));
    world.wall = WALL.plus_ms(999);
    world.run("1 sends b");
    assert_eq!(tell(&world, HOOK), "");
    world.wall = WALL.plus_ms(1_000);
    world.run("1 sends c");
    assert_eq!(tell(&world, HOOK), "g message.sent c");
    assert!(block_on(hooks::remove(&world.engine, APP, HOOK)).expect("removed"));
    world.run("1 sends d");
    let left = |world: &World<MemoryEngine>| -> usize {
        keys::tables_of_hooks().iter().map(|range| rows(&world.engine, range).len()).sum()
    };
    assert_eq!(left(&world), 2, "an append that knew it for a second longer");
    world.wall = WALL.plus_ms(2_000);
    world.run("1 sends e");
    assert_eq!(left(&world), 2);
    assert_eq!(block_on(hooks::sweep(&world.engine, world.wall, &Share::whole())).expect("swept"), 2);
    assert_eq!(left(&world), 0);
}

#[test]
fn whatever_an_append_meets_a_hook_is_told_once() {
    for fates in [&[Conflict][..], &[UnknownCommitted], &[UnknownLost], &[Conflict, UnknownCommitted]] {
        let mut world = world_with(fates, &wanting("message.sent"));
        assert_eq!(world.run("1 sends a, 1 sends b"), "#1, #2", "{fates:?}");
        assert_eq!(tell(&world, HOOK), "g message.sent a, g message.sent b", "{fates:?}");
    }
}

#[test]
fn who_takes_over_a_partition_goes_on_where_it_was_told() {
    let store = store();
    make(&quiet(&store), HOOK, &wanting("message.sent"));
    let mut old = World::current(faulty(&store, &[]));
    old.run("1 sends a; 1 sends b");
    let (before, partition) = (worker(&old), due(&old, HOOK)[0]);
    let page = || block_on(hooks::page(&old.engine, HOOK, partition)).expect("readable");
    let first = page();
    let noted = |worker: &Worker, from: Position, through: Position| {
        words(note(&old.engine, worker, (HOOK, partition), (from, through)).map(|noted| noted.to_string()))
    };
    assert_eq!(said(&first), ["g message.sent a", "g message.sent b"]);
    assert_eq!(noted(&before, first.from, first.told[0].position), "true");
    assert_eq!(noted(&before, first.from, first.through), "false", "another was before");
    let mut new = World::claim(old.engine.clone(), 3, 1);
    new.wall = WALL.plus_ms(5);
    new.run("1 sends c");
    assert_eq!(noted(&before, first.told[0].position, first.through), "113");
    let rest = block_on(hooks::rest(&old.engine, &before, HOOK, partition));
    assert_eq!(words(rest.map(|rests| rests.to_string())), "113");
    assert_eq!(tell(&new, HOOK), "g message.sent b, g message.sent c");
}

/// An append between what a rest has read and its commit fails the rest.
#[test]
fn a_lane_does_not_rest_over_what_was_appended_meanwhile() {
    let mut world = world_with(&[], &wanting("message.sent"));
    world.run("1 sends a");
    let partition = due(&world, HOOK)[0];
    let (page, worker) = (block_on(hooks::page(&world.engine, HOOK, partition)).expect("readable"), worker(&world));
    let rest = |world: &World<MemoryEngine>| {
        block_on(hooks::rest(&world.engine, &worker, HOOK, partition)).expect("committed")
    };
    assert!(!rest(&world), "there is something");
    let moved = (page.from, page.through);
    assert!(note(&world.engine, &worker, (HOOK, partition), moved).expect("committed"));
    world.run("1 sends b");
    assert!(!rest(&world));
    assert_eq!(tell(&world, HOOK), "g message.sent b");
    assert_eq!((due(&world, HOOK).len(), rest(&world)), (0, true));
}

/// Lets others run before each operation on the store.
struct Yields;

impl Faults for Yields {
    fn yields(&mut self) -> u32 {
        1
    }
}

/// Wherever between a rest's reads and its commit an append comes, the lane has a marker after both.
#[test]
fn an_append_at_any_moment_of_a_rest_is_told() {
    let mut was_meanwhile = 0;
    for steps in 0..12 {
        let store = store();
        make(&quiet(&store), HOOK, &wanting("message.sent"));
        World::claim(quiet(&store), 2, 1);
        let mut world = World::current(open(&store, Yields));
        world.run("1 sends a");
        let (partition, worker) = (due(&world, HOOK)[0], worker(&world));
        let page = block_on(hooks::page(&world.engine, HOOK, partition)).expect("readable");
        assert!(note(&world.engine, &worker, (HOOK, partition), (page.from, page.through)).expect("committed"));
        let engine = world.engine.clone();
        let mut rest = Box::pin(hooks::rest(&engine, &worker, HOOK, partition));
        let has_ended = (0..steps).any(|_| block_on(future::poll_once(&mut rest)).is_some());
        world.run("1 sends b");
        if !has_ended {
            was_meanwhile += 1;
            block_on(rest).expect("committed");
        }
        assert_eq!(tell(&world, HOOK), "g message.sent b", "after {steps} steps");
    }
    assert!(was_meanwhile > 3, "{was_meanwhile}");
}

/// One thread appends while another tells and lets lanes rest: whatever comes between what, all of it is told, in order.
#[test]
fn no_marker_is_lost_while_lanes_rest() {
    const MESSAGES: usize = 300;
    let store = store();
    make(&quiet(&store), HOOK, &wanting("message.sent"));
    let mut world = World::current(faulty(&store, &[]));
    let (is_over, teller) = (AtomicBool::new(false), World::current(world.engine.clone()));
    let (told, rests) = thread::scope(|scope| {
        let telling = scope.spawn(|| {
            let (mut told, mut rests, worker) = (Vec::new(), 0, worker(&teller));
            loop {
                // Asked before it is looked: what was appended by then is seen.
                let was_over = is_over.load(Ordering::Acquire);
                let found = due(&teller, HOOK);
                if was_over && found.is_empty() {
                    return (told, rests);
                }
                for partition in found {
                    let page = block_on(hooks::page(&teller.engine, HOOK, partition)).expect("readable");
                    if page.from == page.through {
                        rests +=
                            u32::from(block_on(hooks::rest(&teller.engine, &worker, HOOK, partition)).unwrap_or(false));
                        continue;
                    }
                    let moved = (page.from, page.through);
                    if note(&teller.engine, &worker, (HOOK, partition), moved).expect("committed") {
                        told.extend(said(&page));
                    }
                }
            }
        });
        for number in 0..MESSAGES {
            world.run(&format!("1 sends m{number}"));
        }
        is_over.store(true, Ordering::Release);
        telling.join().expect("it tells")
    });
    let expected: Vec<_> = (0..MESSAGES).map(|number| format!("g message.sent m{number}")).collect();
    assert_eq!(told, expected);
    assert!(rests > 0);
}

#[test]
fn what_was_told_is_told_again_from_a_time_on() {
    let mut world = world_with(&[], &wanting("message.sent"));
    for (second, script) in [(0, "1 sends a, d.1 sends b"), (10, "1 sends c"), (20, "1 sends e, d.1 sends f")] {
        world.wall = WALL.plus_ms(second * 1_000);
        world.run(script);
    }
    let sorted = |told: String| {
        let mut told: Vec<_> = told.split(", ").map(|one| one.replace("message.sent ", "")).collect();
        told.sort();
        told.join(", ")
    };
    let replay = |from: u64| block_on(hooks::replay(&world.engine, HOOK, WALL.plus_ms(from))).expect("set back");
    assert_eq!(replay(0), 0, "nothing was told yet");
    assert_eq!(sorted(tell(&world, HOOK)), "d b, d f, g a, g c, g e");
    for (from, lanes, expected) in
        [(0, 2, "d b, d f, g a, g c, g e"), (1, 2, "d f, g c, g e"), (10_001, 2, "d f, g e"), (20_001, 0, "")]
    {
        assert_eq!(replay(from), lanes, "{from}");
        assert_eq!(sorted(tell(&world, HOOK)), expected, "{from}");
    }
}

#[test]
fn a_paused_hook_is_told_nothing_until_it_is_resumed_and_what_it_may_have_missed() {
    let mut world = world_with(&[], &wanting("message.sent"));
    world.run("1 sends a");
    let at = |ms: u64| WALL.plus_ms(ms);
    block_on(hooks::pause(&world.engine, &worker(&world), HOOK, WALL, at(5), "it answers 500")).expect("paused");
    let shown = block_on(hooks::list(&world.engine)).expect("readable").remove(0).record;
    assert_eq!((shown.paused_ms, shown.why.as_str()), (Some(at(5)), "it answers 500"));
    world.wall = at(2_000);
    world.run("1 sends b");
    let resume = |app: u64| block_on(hooks::resume(&world.engine, app, HOOK, at(3_000))).expect("asked");
    assert_eq!(resume(APP + 1), None);
    assert_eq!(resume(APP).map(|hook| hook.record), Some(wanting("message.sent")));
    assert_eq!(resume(APP).map(|hook| hook.record), Some(wanting("message.sent")), "again");
    world.wall = at(4_000);
    world.run("1 sends c");
    let mut told: Vec<_> = tell(&world, HOOK).split(", ").map(str::to_owned).collect();
    told.sort();
    assert_eq!(told, ["g message.sent a", "g message.sent c", "gap 0..3000"]);
}

#[test]
fn what_was_told_is_kept_for_three_days_and_what_was_not_until_it_is() {
    let mut world = world_with(&[], &wanting("message.sent"));
    world.run("1 sends a");
    tell(&world, HOOK);
    world.run("d.1 sends b");
    let kept = |world: &World<MemoryEngine>, days: u64| {
        write(&world.engine, |tx| tx.clear(&keys::clock()));
        block_on(hooks::sweep(&world.engine, WALL.plus_ms(days * DAY_MS + 1), &Share::whole())).expect("swept");
        rows(&world.engine, &keys::hooked_of_hook(HOOK)).len()
    };
    assert_eq!([kept(&world, 2), kept(&world, 3), kept(&world, 4)], [2, 1, 1]);
    block_on(hooks::pause(&world.engine, &worker(&world), HOOK, WALL, WALL, "x")).expect("paused");
    assert_eq!([kept(&world, 2), kept(&world, 3)], [1, 0]);
}

#[test]
fn what_waits_for_a_hook_is_counted_up_to_a_bound() {
    let mut world = world_with(&[], &wanting("message.sent"));
    let waits = |world: &World<MemoryEngine>, most| {
        let found = block_on(hooks::backlog(&world.engine, HOOK, most)).expect("readable");
        (found.events, found.oldest_ms.map(|oldest| oldest.since_ms(WALL)))
    };
    assert_eq!(waits(&world, 10), (0, None));
    world.run("1 sends a");
    world.wall = WALL.plus_ms(5);
    world.run("d.1 sends b, 1 sends c, 2 sends e");
    assert_eq!([waits(&world, 10), waits(&world, 2)].map(|(events, _)| events), [4, 2]);
    assert_eq!(waits(&world, 10).1, Some(0));
    tell(&world, HOOK);
    assert_eq!(waits(&world, 10), (0, None));
    world.run("1 sends f");
    assert_eq!(waits(&world, 10), (1, Some(5)));
}

#[test]
fn a_store_has_four_hooks_that_are_asked_before_and_they_cost_no_append() {
    let mut world = world_with(&[], &wanting("message.sent"));
    let create = |id: u64, before: u32| {
        let record = HookRecord { before, events: 0, ..wanting("message.sent") };
        words(block_on(hooks::create(&world.engine, id, &record)).map(|made| made.is_some().to_string()))
    };
    assert_eq!([1, 2, 3, 4].map(|id| create(id, 1)), ["true"; 4]);
    assert_eq!((create(5, 2), create(5, 0)), ("106".to_owned(), "true".to_owned()));
    world.wall = WALL.plus_ms(1_000);
    world.run("1 sends a");
    assert_eq!((due(&world, 1), due(&world, HOOK).len()), (vec![], 1), "they are told nothing");
}

#[test]
fn hooks_end_with_their_application() {
    let mut world = world_with(&[], &wanting("message.sent"));
    make(&world.engine, 11, &HookRecord { app: 12, ..wanting("message.sent") });
    world.wall = WALL.plus_ms(1_000);
    world.run("1 sends a");
    let ids = || block_on(hooks::list(&world.engine)).expect("readable").iter().map(|hook| hook.id).collect::<Vec<_>>();
    let sweep = || block_on(hooks::sweep(&world.engine, world.wall, &Share::whole())).expect("swept");
    assert_eq!((sweep(), ids()), (0, vec![HOOK, 11]));
    block_on(apps::revoke(&world.engine, APP)).expect("revoked");
    assert_eq!((sweep(), ids()), (1, vec![11]), "one that was made meanwhile");
    assert_eq!(rows(&world.engine, &keys::hooked_of_hook(HOOK)), []);
    assert_eq!(block_on(hooks::remove_all(&world.engine, 12)).expect("removed"), 1);
    assert_eq!(ids(), Vec::<u64>::new());
}

#[test]
fn a_hook_that_no_node_tells_anything_is_paused_after_four_days() {
    let mut world = world_with(&[], &wanting("message.sent"));
    world.run("1 sends a");
    let sweep = |days: u64| {
        write(&world.engine, |tx| tx.clear(&keys::clock()));
        let wall = WALL.plus_ms(days * DAY_MS + 1);
        block_on(hooks::sweep(&world.engine, wall, &Share::whole())).expect("swept");
        let hook = block_on(hooks::list(&world.engine)).expect("readable").remove(0).record;
        (hook.paused_ms.is_some(), hook.waits_ms, rows(&world.engine, &keys::hooked_of_hook(HOOK)).len())
    };
    assert_eq!(sweep(3), (false, None, 1));
    assert_eq!(sweep(4), (true, Some(WALL), 1));
    assert_eq!(sweep(4), (true, Some(WALL), 0), "what is older than three days goes from then on");
}

#[test]
fn an_application_has_twenty_hooks_and_a_store_64() {
    let engine = World::current(faulty(&store(), &[])).engine;
    let create = |app: u64, id: u64| {
        let record = HookRecord { app, ..wanting("message.sent") };
        words(block_on(hooks::create(&engine, id, &record)).map(|made| made.is_some().to_string()))
    };
    for id in 0..HOOKS_OF_APP_MAX as u64 {
        assert_eq!(create(APP, id), "true");
    }
    assert_eq!((create(APP, 99), create(8, 3)), ("106".to_owned(), "false".to_owned()), "the id is taken");
    for id in HOOKS_OF_APP_MAX as u64..HOOKS_MAX.into() {
        assert_eq!(create(8 + id / 20, id), "true");
    }
    assert_eq!(create(99, 99), "106");
    assert!(!block_on(hooks::remove(&engine, 8, 3)).expect("asked"), "another's");
    assert!(block_on(hooks::remove(&engine, APP, 3)).expect("asked"));
    assert_eq!(create(99, 99), "true");
}

#[test]
fn the_log_of_calls_has_the_last_ones() {
    let engine = World::current(faulty(&store(), &[])).engine;
    make(&engine, HOOK, &wanting("message.sent"));
    for number in 0..1_005_u16 {
        let call = call(WALL.plus_ms(number.into()));
        block_on(hooks::log(&engine, HOOK, number, &call)).expect("logged");
    }
    let logged = |limit| block_on(hooks::logged(&engine, HOOK, WALL.plus_ms(2_000), limit)).expect("readable");
    assert_eq!(rows(&engine, &RangeRequest::prefix(&keys::hook_call(HOOK, 0)[..9])).len(), 1_000);
    let times: Vec<_> = logged(3).iter().map(|call| call.at_ms.since_ms(WALL)).collect();
    assert_eq!((times, logged(2_000).len()), (vec![1_004, 1_003, 1_002], 1_000));
    let late = block_on(hooks::logged(&engine, HOOK, WALL.plus_ms(4 * DAY_MS), 9)).expect("readable");
    assert_eq!(late, []);
}

#[test]
fn a_transition_of_presence_and_a_connect_are_told_once_each() {
    use PresenceState::{Away, Offline, Online};
    for fates in [&[][..], &[UnknownCommitted], &[UnknownLost], &[Conflict]] {
        let world = world_with(fates, &wanting("presence device.connected"));
        let (user, home) = (UserId(2), crate::world::first_shard(2));
        let device = "phone".parse().expect("a device");
        let connecting =
            Connecting { user, device, family: accounts::FAMILY_OPERATOR, client: String::new(), cursor: None };
        block_on(devices::open(&world.engine, &connecting, WALL)).expect("connected");
        for state in [Online, Online, Away, Away, Offline] {
            let record = PresenceRecord { state, last_active_ms: WALL, at_ms: WALL };
            block_on(presence::put(&world.engine, &world.view, home, user, record)).expect("put");
        }
        let expected = "connected 2 phone, presence 2 Online, presence 2 Away, presence 2 Offline";
        assert_eq!(tell(&world, HOOK), expected, "{fates:?}");
    }
}

/// Two hundred events of a hook of a batch do not make its transaction too large: the batch ends where it is full.
#[test]
fn hooks_count_in_what_a_batch_may_hold() {
    let store = store();
    for id in 0..HOOKS_MAX.into() {
        make(&quiet(&store), id, &HookRecord { app: id / 20, ..wanting("") });
    }
    let mut world = World::current(faulty(&store, &[]));
    let script: Vec<_> = (0..200).map(|number| format!("1 sends m{number}")).collect();
    world.run(&script.join(", "));
    let expected: Vec<_> = (0..200).map(|number| format!("g message.sent m{number}")).collect();
    for id in [0, 17, 63] {
        assert_eq!(tell(&world, id), expected.join(", "), "{id}");
    }
}
