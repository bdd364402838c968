//! Anything in any order over two shards: each choice of a seed is one thing that happens.
//!
//! The store delays, answers out of order, reads at older versions and refuses for now; frames between shards are late
//! or lost, and over two nodes views change twice, each shard hears of that and of lost links at some time, and frames of
//! old views come late. Applications are asked before messages are stored, about these channels or those, and think this or that of
//! them. Nothing may panic, and once it is quiet every session has been pushed exactly its inbox after its start
//! (I6), every command was answered once (I12), and nothing is left (I11).

use proptest::prelude::*;
use router::Question;
use schema::{Command, Encoding, ErrorCode, Position, PresenceState, Seq};

use crate::client::{Client, Followed, Heard};
use crate::world::World;

const CLIENTS: [&str; 6] = ["a1", "a2", "b1", "b2", "c1", "c2"];
const CHANNELS: [&str; 4] = ["ab", "abc", "ac", "bc"];
const LARGE: [&str; 2] = ["Lab", "Labc"];

/// One choice, taken apart bit by bit.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(choice: u32) -> Self {
        Self(u64::from(choice).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(choice))
    }

    /// Below `sides`, of which there are few.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    pub(crate) fn pick<'a>(&mut self, names: &[&'a str]) -> &'a str {
        names[self.roll(names.len())]
    }
}

/// The client does something, if it can.
pub(crate) fn client_acts(world: &mut World, dice: &mut Dice, said: &mut u32) {
    let name = dice.pick(&CLIENTS);
    let is_open = world.clients.get(name).is_some_and(|client| client.closed.is_none());
    if !is_open {
        let encoding = if dice.roll(3) == 0 { Encoding::Fb } else { Encoding::Json };
        let knows = world.clients.get(name).is_some_and(|client| client.cursor.is_some());
        world.user(&name[..1]);
        world.open(name, dice.roll(world.shards.len()), encoding);
        let from = match dice.roll(4) {
            0 => "",
            1 => " from start",
            _ if knows => " from last",
            _ => "",
        };
        return world.step(&format!("{name} connects{from}"));
    }
    let channel = dice.pick(&CHANNELS);
    match dice.roll(28) {
        0..6 => {
            *said += 1;
            let size = if dice.roll(3) == 0 { " 30KB" } else { "" };
            world.step(&format!("{name} sends {channel} m{said}{size}"));
        }
        6 => world.step(&format!("{name} sends {channel} m{}", dice.roll(*said as usize + 1))),
        7 => world.step(&format!("{name} marks {channel} {}", dice.roll(20))),
        8 => world.step(&format!("{name} reads-back {channel}")),
        9 => world.ask(name, Command::Echo { data: "x".to_owned() }),
        10 => world.step(&format!("{name} refreshes {}", &name[..1])),
        11 => world.step(&format!("{name} connects")),
        12 => world.step(&format!("{name} leaves")),
        14 => world.step(&format!("{name} edits {channel} {} e{said}", 1 + dice.roll(5))),
        15 => world.step(&format!("{name} deletes {channel} {}", 1 + dice.roll(9))),
        16 => world.step(&format!("{name} reacts {channel} {} 👍", 1 + dice.roll(9))),
        20 => world.step(&format!("{name} opens {} after {}", dice.pick(&["Lab", "Labc", "abc"]), dice.roll(4))),
        21 => world.step(&format!("{name} opens {}", dice.pick(&["Lab", "Labc", "abc"]))),
        22 => world.step(&format!("{name} closes {}", dice.pick(&["Lab", "Labc", "abc"]))),
        23..25 => {
            *said += 1;
            let size = if dice.roll(3) == 0 { " 30KB" } else { "" };
            world.step(&format!("{name} sends {} m{said}{size}", dice.pick(&["Lab", "Labc"])));
        }
        25 => world.step(&format!("{name} searches m1")),
        26 => world.step(&format!("{name} looks-around Labc 0")),
        27 => world.step(&format!("{name} reacts Labc {} 👍", 1 + dice.roll(9))),
        18 => world.step(&format!("{name} watches {}", dice.pick(&["abc", "b", "ca", "-"]))),
        19 => world.step(&format!("{name} looks-for {}", dice.pick(&["abc", "b", "ca"]))),
        17 => world.step(&format!("{name} {} {channel}", dice.pick(&["types", "stops"]))),
        13 => world.client(name).reading ^= true,
        _ => world.drain(name, [100, 5_000, 1_000_000][dice.roll(3)]),
    }
}

/// The oldest frame between two shards arrives, or is lost if that may be.
fn frame_arrives(world: &mut World, dice: &mut Dice, is_lossy: bool) {
    let pairs: Vec<(usize, usize)> =
        world.mesh.iter().filter(|(_, frames)| !frames.is_empty()).map(|(&pair, _)| pair).collect();
    if pairs.is_empty() {
        return;
    }
    let pair = pairs[dice.roll(pairs.len())];
    if is_lossy && dice.roll(16) == 0 {
        let frames = world.mesh.get_mut(&pair).expect("found above");
        if !frames.front().expect("not empty").body.must_arrive() {
            frames.pop_front();
            return;
        }
    }
    world.carry(pair);
}

/// The store answers one operation: any, but appends in their order.
fn store_answers(world: &mut World, dice: &mut Dice) {
    if world.asked.is_empty() {
        return;
    }
    let mut at = dice.roll(world.asked.len());
    if world.is_fenced(&world.asked[at]) {
        return;
    }
    if let Question::Apply(_) = world.asked[at].question {
        let shard = world.asked[at].shard;
        at = world.asked.iter().position(|asked| asked.is_apply_of(shard)).expect("one was found");
    }
    let at_least = match &world.asked[at].question {
        Question::ReadInbox(q) => q.request.at_least,
        Question::ReadArrivals(q) => q.request.at_least,
        _ => world.asked[at].version,
    };
    let newer = usize::try_from(world.store.version.saturating_sub(at_least)).expect("small");
    let version = at_least.max(world.store.version - dice.roll(newer + 1) as u64);
    let refuse = match dice.roll(12) {
        0 => Some(ErrorCode::StorageUnavailable),
        1 => Some(ErrorCode::Internal),
        _ => None,
    };
    world.answer(at, version, refuse, 1 + dice.roll(4));
}

/// What is told follows the inbox from the start, event by event.
fn check_followed(world: &World, name: &str, followed: &Followed, is_complete: bool) {
    let user = world.store.users[&name[..1]];
    let none = Vec::new();
    let inbox = world.store.inboxes.get(&user).unwrap_or(&none);
    let after = |at: Position| inbox.iter().find(|event| event.position > at);
    let Some(start) = followed.start else {
        assert!(followed.told.is_empty(), "I6: {name} was told something before its start");
        return;
    };
    let mut at = start.position;
    let mut listed: Vec<schema::ChannelId> = Vec::new();
    for told in &followed.told {
        match told {
            Heard::Event(cursor, body) => {
                assert!(listed.is_empty(), "I6: {name} was pushed an event within a snapshot");
                let next = after(at).unwrap_or_else(|| panic!("I6: {name} was pushed {cursor:?} behind its inbox"));
                assert_eq!(next.position, cursor.position, "I6: {name} at {at}");
                if let schema::EventBody::Message(message) | schema::EventBody::Edited(message) = &next.body {
                    assert_eq!(body.as_deref(), Some(&*message.body), "I6: {name} at {at}");
                }
                at = cursor.position;
            }
            Heard::Snapshot(channels, cursor) => {
                listed.extend(channels);
                if let Some(cursor) = cursor {
                    let mine = CHANNELS.iter().chain(&LARGE).filter(|channel| channel.contains(&name[..1]));
                    let mut mine: Vec<_> = mine.map(|channel| world.names.id(channel)).collect();
                    mine.sort();
                    assert_eq!(listed, mine, "I6: {name}'s snapshot");
                    assert!(cursor.position >= at, "I6: {name} went back");
                    at = cursor.position;
                    listed.clear();
                }
            }
        }
    }
    if is_complete {
        assert_eq!(after(at).map(|event| event.position), None, "I6: {name} stopped at {at}");
        assert!(listed.is_empty(), "I6: {name}'s snapshot has no end");
    }
}

/// Sends of one connection to one channel are in the log in their order (rule 7), each as it was answered (I3), and no
/// message twice (I5).
fn check_sends(world: &World) {
    for (name, followed) in world
        .clients
        .iter()
        .map(|(name, client)| (name, &client.followed))
        .chain(world.earlier.iter().map(|(name, followed)| (name, followed)))
    {
        for (channel, sent) in &followed.sent {
            assert!(sent.is_sorted_by_key(|&(_, seq)| seq), "rule 7: {name} has {sent:?} in {channel}");
            let bodies = world.store.bodies(*channel);
            let is_there = |&(_, seq): &(u32, Seq)| usize::try_from(seq.0).is_ok_and(|seq| seq <= bodies.len());
            assert!(sent.iter().all(is_there), "I3: {name} has {sent:?} of {} in {channel}", bodies.len());
        }
    }
}

/// Once nothing has happened for long enough, each watcher knows who has a session (I8). Nobody here may not be seen.
fn check_presence(world: &World) {
    let is_live = |client: &Client| client.closed.is_none() && client.session.is_some();
    for (name, client) in world.clients.iter().filter(|(_, client)| is_live(client)) {
        for (&user, &seen) in &client.followed.seen {
            let letter = world.names.user(user);
            let is_there = world.clients.iter().any(|(name, client)| name.starts_with(letter) && is_live(client));
            assert_eq!(seen != PresenceState::Offline, is_there, "I8: {name} sees {letter} as {seen:?}");
        }
    }
}

/// Something becomes of the view, of the links between nodes, or of who knows of either.
fn cluster_acts(world: &mut World, dice: &mut Dice, changes_left: &mut u32) {
    let shards = world.shards.len();
    match dice.roll(8) {
        0 if *changes_left > 0 => {
            *changes_left -= 1;
            let all = ["a", "b", "c"].into_iter().chain(CHANNELS).chain(LARGE);
            let mut moved = Vec::new();
            for name in all {
                if dice.roll(2) == 0 {
                    moved.push((world.partition(name), dice.roll(shards)));
                }
            }
            world.change(moved);
        }
        1 => world.lose_peers(0, 2),
        2 => {
            // Whatever is under way between two nodes and need not arrive.
            let far: Vec<(usize, usize)> = world.mesh.keys().copied().filter(|&pair| world.is_far(pair)).collect();
            if far.is_empty() {
                return;
            }
            let pair = far[dice.roll(far.len())];
            world.mesh.get_mut(&pair).expect("found above").retain(|frame| frame.body.must_arrive());
            world.tell_gap(pair.0, pair.1);
        }
        3 if !world.news.is_empty() => world.hear(dice.roll(world.news.len())),
        4 => world.kicks(["a", "b", "c"][dice.roll(3)], dice.roll(shards)),
        _ => world.learn(dice.roll(shards)),
    }
}

/// Applications want to be asked before messages are stored, or no more, or think otherwise of them from here on.
fn applications_act(world: &mut World, dice: &mut Dice) {
    let step = match dice.roll(8) {
        0 => "apps are asked".to_owned(),
        1 | 2 => format!("apps are asked of {}", dice.pick(&CHANNELS)),
        3 => "apps are gone".to_owned(),
        _ => format!("apps {}", dice.pick(&["allow", "allow", "change", "refuse", "wait"])),
    };
    world.step(&step);
}

/// Over two shards of one node, or over two nodes whose views change.
fn run(choices: &[u32], is_cluster: bool) {
    let mut world = if is_cluster { World::cluster(2, 2) } else { World::new(2) };
    let mut changes_left = 2;
    if is_cluster {
        world.unaware = (0..4).collect();
    }
    for channel in CHANNELS.into_iter().chain(LARGE) {
        world.channel(channel);
    }
    let is_lossy = choices[0].is_multiple_of(2);
    let mut said = 0;
    for &choice in choices {
        let mut dice = Dice::new(choice);
        match dice.roll(16) {
            0..5 => client_acts(&mut world, &mut dice, &mut said),
            5..10 => frame_arrives(&mut world, &mut dice, is_lossy),
            10..14 => store_answers(&mut world, &mut dice),
            14 if is_cluster && dice.roll(2) == 0 => cluster_acts(&mut world, &mut dice, &mut changes_left),
            14 => {
                let ms = [1, 50, 500, 1_000, 4_000, 11_000][dice.roll(6)];
                world.pass(ms);
            }
            _ => match dice.roll(4) {
                0 => world.step(&format!("store forgets {}", dice.pick(&["a", "b", "c"]))),
                1 => applications_act(&mut world, &mut dice),
                _ => world.pass(0),
            },
        }
    }
    world.unaware.clear();
    heal(&mut world, is_lossy || is_cluster);
    check_sends(&world);
    assert_eq!(world.replies.len() as u64, world.kicks, "I12: each kick is answered once");
    for (name, followed) in &world.earlier {
        check_followed(&world, name, followed, false);
    }
    for (name, client) in &world.clients {
        let is_live = client.closed.is_none() && client.session.is_some();
        check_followed(&world, name, &client.followed, is_live);
        for (&channel, &last) in client.followed.logs.iter().filter(|_| is_live) {
            let head = world.store.bodies(channel).len() as u64;
            assert_eq!(last.0, head, "{name} stopped in {channel}");
        }
        assert!(client.closed.is_some() || client.asked.is_empty(), "I12: {name} waits for {:?}", client.asked);
    }
    if choices.len().is_multiple_of(3) {
        // The grace, and the minute in which everything watched is asked for anew.
        world.wait(105_000);
        check_presence(&world);
    }
    if choices.len().is_multiple_of(2) {
        world.step("drain in 5s");
        world.wait(5_000);
        assert!(world.clients.values().all(|client| client.closed.is_some()), "who is left at the deadline is closed");
    }
    world.everybody_leaves();
}

/// Everybody reads, the store answers, and time enough for every question to be repeated: where no frame was lost within a
/// second, and one may wait for another.
fn heal(world: &mut World, is_lossy: bool) {
    for client in world.clients.values_mut() {
        client.reading = true;
    }
    // Each thing that was lost is asked for again within 10 s (I13), and one may wait for another.
    world.wait(if is_lossy { 45_000 } else { 5_000 });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_in_whatever_order_each_session_follows_its_inbox(
        choices in proptest::collection::vec(any::<u32>(), 1..1_200)
    ) {
        run(&choices, false);
    }

    #[test]
    fn whatever_becomes_of_views_and_nodes_each_session_follows_its_inbox(
        choices in proptest::collection::vec(any::<u32>(), 1..1_200)
    ) {
        run(&choices, true);
    }
}
