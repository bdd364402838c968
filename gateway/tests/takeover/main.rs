//! Two nodes on one store: one serves, one stands by, and whatever happens to the first, nothing that either
//! acknowledged is lost, doubled or out of order (I2, I3, I5, I6, I7).
//!
//! Real `rookery run` processes on a stand-in in this process, whose commits and reads fail at random while nodes go
//! and come. `ROOKERY_TAKEOVER_ROUNDS` is how often each way of going is tried, 2 unless set.

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../room/mod.rs"]
mod room;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use fdb_c::Faults;
use rustix::process::Signal;
use serde_json::Value;

use cluster::Cluster;
use room::client::{Acknowledged, connect, send};
use room::{Company, Room};
use support::{Client, Gone, Node, PATIENCE, Place, said, text};

const WRITERS: Company =
    Company { name: "crabs", members: 4, devices: 1, pause: Duration::from_millis(40), reply: Duration::from_secs(1) };
/// Messages that are under way when a node stops.
const IN_FLIGHT: usize = 20;
/// Messages that are sent to a node that has stopped.
const LATE: usize = 5;
/// What goes wrong in the store meanwhile: one commit in 14, a fifth of which happened all the same.
const WEATHER: Faults = Faults {
    conflict: 20,
    unknown_committed: 15,
    unknown_lost: 15,
    too_old: 10,
    future: 5,
    behind: 5,
    read_too_old: 3,
    read_future: 2,
    read_behind: 2,
    delay_ms: 0,
};

fn rounds() -> u32 {
    std::env::var("ROOKERY_TAKEOVER_ROUNDS").ok().map_or(2, |rounds| rounds.parse().expect("a number of rounds"))
}

/// One whose messages are under way when its node stops, and who holds on to that node.
struct Stubborn {
    client: Client,
    place: Place,
    /// Not acknowledged yet, by the number of their command.
    open: BTreeMap<u64, String>,
    late: Vec<String>,
}

impl Stubborn {
    fn connect(room: &Room, place: &Place) -> Self {
        let (client, _) = connect(place, WRITERS.reply, &room.reader, "stubborn", None).expect("the node serves");
        Self { client, place: place.clone(), open: BTreeMap::new(), late: Vec::new() }
    }

    fn send(&mut self, room: &Room, texts: impl Iterator<Item = String>) {
        for text in texts {
            let id = self.client.tell("send", send(&room.channel, &text));
            self.open.insert(id.into(), text);
        }
    }

    /// Reads until the node closes or is gone, and notes what it acknowledged.
    fn hear_out(&mut self, room: &Room) -> Gone {
        self.client.patience(PATIENCE);
        loop {
            let said = match self.client.next() {
                Ok(said) => said,
                Err(gone) => return gone,
            };
            let id = said["id"].as_u64().filter(|_| said["error"].is_null());
            if let Some(text) = id.and_then(|id| self.open.remove(&id)) {
                assert!(!self.late.contains(&text), "I7: {text} was sent to a node that had been taken over");
                note(room, text, &said, &self.place);
            }
        }
    }

    /// Sends what was not acknowledged again elsewhere, under the same ids.
    fn send_again(self, room: &Room, place: &Place) {
        let (mut client, _) = connect(place, WRITERS.reply, &room.reader, "stubborn", None).expect("the node serves");
        for text in self.open.into_values() {
            let reply = client.ask("send", send(&room.channel, &text));
            note(room, text, &reply, place);
        }
    }
}

/// Notes the reply to a send among those of the room.
fn note(room: &Room, text: String, reply: &Value, by: &Place) {
    let seq = reply["send"]["seq"].as_u64().unwrap_or_else(|| panic!("{text}: {reply}"));
    let acknowledged = Acknowledged { text, seq, by: by.clone(), at: Instant::now() };
    room.ledger.lock().expect("no client panics here").push(acknowledged);
}

/// How the first node goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// It stands still past its lease, and comes back.
    Stopped,
    /// kill -9.
    Killed,
}

/// The active node goes, the other takes over. How long that took until it acknowledged something.
fn round(number: u32, goes: Goes, room: &Room, active: Node, (standby, name): (&Node, &str)) -> Duration {
    let place = &Place::clone(&active);
    room.acknowledged(&[place], Instant::now());
    let mut stubborn = Stubborn::connect(room, place);
    stubborn.send(room, (0..IN_FLIGHT).map(|at| format!("in flight {number}-{at}")));
    let went = Instant::now();
    match goes {
        Goes::Stopped => active.signal(Signal::STOP),
        Goes::Killed => active.signal(Signal::KILL),
    }
    if goes == Goes::Stopped {
        let late: Vec<String> = (0..LATE).map(|at| format!("late {number}-{at}")).collect();
        stubborn.late.clone_from(&late);
        stubborn.send(room, late.into_iter());
    }
    let next: &Place = standby;
    room.places.add(next);
    let took = room.acknowledged(&[next], went) - went;
    match goes {
        Goes::Stopped => {
            active.signal(Signal::CONT);
            assert_eq!(stubborn.hear_out(room), Gone::Closed(3001), "its clients are sent away");
            let (status, _, errors) = active.ended();
            let told = errors.lines().last().unwrap_or_default();
            let expected = format!("taken over: node {name} is active (epoch ");
            assert!(status.code() == Some(1) && told.contains(&expected), "{status}: {errors}");
        }
        Goes::Killed => {
            assert_eq!(stubborn.hear_out(room), Gone::Ended);
            assert_eq!(active.ended().0.code(), None, "a signal ended it");
        }
    }
    room.places.remove(place);
    stubborn.send_again(room, next);
    took
}

/// Behind whom a node stands by.
fn stands_by(node: &Node) -> String {
    let health: Value = serde_json::from_str(&node.until_ready(Some("node: standing by, node "))).expect("JSON");
    let reasons = health["reasons"].as_array().expect("reasons").iter().map(text);
    let behind = reasons.into_iter().find_map(|reason| Some(reason.strip_prefix("node: standing by, ")?.to_owned()));
    behind.expect("it is among them")
}

fn check(goes: Goes) {
    let cluster = Cluster::start();
    let mut active = cluster.node();
    let room = Room::open(&WRITERS, &[&active]);
    cluster.server.set_faults(WEATHER);
    let mut took = Vec::new();
    let names = ["one", "two"];
    for number in 1..=rounds() {
        let (before, name) = (names[(number as usize + 1) % 2], names[number as usize % 2]);
        let standby = cluster.starting(name, &[]);
        assert_eq!(stands_by(&standby), format!("node {before} is active (epoch {number})"));
        took.push(round(number, goes, &room, active, (&standby, name)));
        assert_eq!(standby.metric("rookery_takeovers_total"), 1);
        active = standby;
    }
    cluster.server.set_faults(Faults::default());
    let check = |words: &[&str]| said(cluster.rookery(&["store", "check"]).args(words));
    let (code, told) = check(&[]);
    assert!(code == 1 && told.contains("is active"), "a store that is served is not at rest: {told}");
    let messages = room.close(&active);
    let (code, told) = check(&["--beside-nodes"]);
    assert_eq!(code, 0, "{told}");
    active.signal(Signal::TERM);
    let (status, _, errors) = active.ended();
    assert_eq!(status.code(), Some(0), "{errors}");
    let (code, summary) = check(&[]);
    assert_eq!(code, 0, "{goes:?}: {summary}");
    took.sort();
    eprintln!(
        "{goes:?}: {} rounds, {messages} messages; until the next node acknowledged: p50 {:?}, max {:?}; {summary}",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
}

#[test]
fn a_node_that_stands_still_past_its_lease_is_taken_over_and_acknowledges_nothing_more() {
    check(Goes::Stopped);
}

#[test]
fn a_node_that_is_killed_is_taken_over() {
    check(Goes::Killed);
}

#[test]
fn of_two_nodes_started_at_once_one_serves_and_the_other_is_active_within_2_s_of_its_clean_stop() {
    let cluster = Cluster::start();
    let mut nodes = [("one", cluster.starting("one", &[])), ("two", cluster.starting("two", &[]))];
    let until = Instant::now() + PATIENCE;
    while nodes[0].1.ready_within(Duration::from_millis(10)).is_none() {
        assert!(Instant::now() < until, "one of them is active");
        nodes.reverse();
    }
    let [(name, first), (_, second)] = nodes;
    assert_eq!(stands_by(&second), format!("node {name} is active (epoch 1)"));
    let figures = |node: &Node| ["rookery_node_active", "rookery_takeovers_total"].map(|name| node.metric(name));
    assert_eq!((figures(&first), figures(&second)), ([1, 0], [0, 0]));
    assert!(second.ready_within(Duration::from_secs(7)).is_none(), "beyond a lease the first is still the active one");
    assert_eq!(first.terminate().code(), Some(0));
    let stopped = Instant::now();
    let second = second.ready();
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(2), "it was free at once, and taken after {took:?}");
    assert_eq!(figures(&second), [1, 0], "nobody was dead");
}

#[test]
fn while_the_store_is_away_nobody_is_declared_dead() {
    let cluster = Cluster::start();
    let active = cluster.node();
    let room = Room::open(&WRITERS, &[&active]);
    let standby = cluster.starting("two", &[]);
    stands_by(&standby);
    cluster.server.pause();
    thread::sleep(Duration::from_secs(8));
    active.until_ready(Some("store: no answer for"));
    let back = Instant::now();
    cluster.server.resume();
    room.acknowledged(&[&*active], back);
    thread::sleep(Duration::from_secs(7));
    assert_eq!(stands_by(&standby), "node one is active (epoch 1)");
    assert_eq!([active.metric("rookery_node_active"), standby.metric("rookery_takeovers_total")], [1, 0]);
    room.close(&active);
}
