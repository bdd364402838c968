//! Two nodes on one store: one serves, one stands by, and whatever happens to the first, nothing that either
//! acknowledged is lost, doubled or out of order (I2, I3, I5, I6, I7).
//!
//! Real `rookery run` processes on a stand-in in this process, whose commits and reads fail at random while nodes go
//! and come. `ROOKERY_TAKEOVER_ROUNDS` is how often each way of going is tried, 2 unless set.

mod client;
mod cluster;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fdb_c::Faults;
use rustix::process::Signal;
use serde_json::{Value, json};

use client::{Account, Connection, End, Gone, Ledger, Places, Writer, http, send, sign_up};
use cluster::{Cluster, Node, PATIENCE, Place};

const WRITERS: usize = 4;
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
    delay: Duration::ZERO,
};

fn rounds() -> u32 {
    std::env::var("ROOKERY_TAKEOVER_ROUNDS").ok().map_or(2, |rounds| rounds.parse().expect("a number of rounds"))
}

/// A group whose members write all the time, and what they were told.
struct Room {
    channel: String,
    reader: Account,
    places: Places,
    ledger: Ledger,
    end: Arc<End>,
    writers: Vec<JoinHandle<Vec<(u64, String)>>>,
}

impl Room {
    fn open(place: &Place) -> Self {
        let accounts: Vec<Account> = (0..=WRITERS).map(|at| sign_up(place, &format!("writer{at}"))).collect();
        let (reader, members) = accounts.split_first().expect("one more than writers");
        let ids: Vec<&str> = members.iter().map(|account| account.id.as_str()).collect();
        let body = json!({"kind": "group", "title": "crabs", "member_ids": ids});
        let channel = http(place, "POST", "/v1/channels", Some(&reader.token), &body);
        let channel = channel["channel_id"].as_str().expect("an id").to_owned();
        let (places, ledger, end) = (Places::default(), Ledger::default(), Arc::<End>::default());
        places.add(place);
        let start = |account: &Account| {
            let writer = Writer {
                account: account.clone(),
                channel: channel.clone(),
                places: places.clone(),
                ledger: Arc::clone(&ledger),
                end: Arc::clone(&end),
            };
            thread::spawn(|| writer.run())
        };
        let writers = members.iter().map(start).collect();
        Self { channel, reader: reader.clone(), places, ledger, end, writers }
    }

    /// Waits until `by` has acknowledged something since `since`; when the first was.
    fn acknowledged_by(&self, by: &Place, since: Instant) -> Instant {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let ledger = self.ledger.lock().expect("no client panics here");
            if let Some(first) = ledger.iter().find(|message| message.by == *by && message.at > since) {
                return first.at;
            }
            drop(ledger);
            thread::sleep(Duration::from_millis(2));
        }
        panic!("nothing is acknowledged by {by:?}");
    }

    /// Stops the writers and compares what they were told with the whole log. How many messages it has.
    fn close(self, place: &Place) -> usize {
        self.end.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + PATIENCE;
        while self.end.written.load(Ordering::Relaxed) < WRITERS {
            assert!(Instant::now() < until, "every writer is acknowledged its last message");
            thread::sleep(Duration::from_millis(10));
        }
        let mut log: BTreeMap<u64, String> = BTreeMap::new();
        let mut texts: BTreeMap<String, u64> = BTreeMap::new();
        loop {
            let after = log.last_key_value().map_or(0, |(seq, _)| *seq);
            let path = format!("/v1/channels/{}/messages?after={after}&limit=200", self.channel);
            let page = http(place, "GET", &path, Some(&self.reader.token), &Value::Null);
            for message in page["messages"].as_array().expect("a page") {
                let (seq, text) = (message["seq"].as_u64().expect("a seq"), message["body"].as_str().expect("a text"));
                assert_eq!(seq, log.len() as u64 + 1, "I2: the seqs are dense");
                assert_eq!(texts.insert(text.to_owned(), seq), None, "I5: {text} is there once");
                log.insert(seq, text.to_owned());
            }
            if page["more"] != true {
                break;
            }
        }
        for message in &*self.ledger.lock().expect("no client panics here") {
            assert_eq!(texts.get(&message.text), Some(&message.seq), "I3: {message:?} was acknowledged");
        }
        self.end.last.store(log.len() as u64, Ordering::Relaxed);
        for writer in self.writers {
            let pushed = writer.join().expect("a writer ends");
            // Each is one message behind the one before, and it was pushed the last one.
            assert_eq!(pushed.last().map(|(seq, _)| *seq), Some(log.len() as u64), "I6: pushed to the end");
            for (seq, text) in pushed {
                assert_eq!(log.get(&seq), Some(&text), "I2: what was pushed is what is stored");
            }
        }
        log.len()
    }
}

/// One whose messages are under way when its node stops, and who holds on to that node.
struct Stubborn {
    connection: Connection,
    account: Account,
    /// Not acknowledged yet, by the number of their command.
    open: BTreeMap<u32, String>,
    late: Vec<String>,
}

impl Stubborn {
    fn connect(room: &Room, place: &Place) -> Self {
        let opened = Connection::open(place, &room.reader, "stubborn", None).expect("the node serves");
        Self { connection: opened.0, account: room.reader.clone(), open: BTreeMap::new(), late: Vec::new() }
    }

    fn send(&mut self, room: &Room, texts: impl Iterator<Item = String>) {
        for text in texts {
            let id = self.connection.tell("send", send(&room.channel, &text)).expect("the kernel takes it");
            self.open.insert(id, text);
        }
    }

    /// Reads until the node closes or is gone, and notes what it acknowledged.
    fn hear_out(&mut self, room: &Room) -> Gone {
        self.connection.wait_at_most(PATIENCE);
        loop {
            let said = match self.connection.next() {
                Ok(said) => said,
                Err(gone) => return gone,
            };
            let id = said["id"].as_u64().and_then(|id| u32::try_from(id).ok());
            if let Some(text) = id.and_then(|id| self.open.get(&id)).filter(|_| said["error"].is_null()) {
                assert!(!self.late.contains(text), "I7: {text} was sent to a node that had been taken over");
                let seq = said["send"]["seq"].as_u64().expect("a seq");
                let (text, by, at) = (text.clone(), self.connection.place.clone(), Instant::now());
                self.open.retain(|_, open| *open != text);
                room.ledger.lock().expect("no client panics here").push(client::Acknowledged { text, seq, by, at });
            }
        }
    }

    /// Sends what was not acknowledged again elsewhere, under the same ids.
    fn send_again(self, room: &Room, place: &Place) {
        let (mut connection, _) = Connection::open(place, &self.account, "stubborn", None).expect("the node serves");
        for text in self.open.into_values() {
            let id = connection.tell("send", send(&room.channel, &text)).expect("it is open");
            let reply = loop {
                let said = connection.next().expect("a reply in time");
                if said["id"] == id {
                    break said;
                }
            };
            let seq = reply["send"]["seq"].as_u64().unwrap_or_else(|| panic!("{text}: {reply}"));
            let (by, at) = (place.clone(), Instant::now());
            room.ledger.lock().expect("no client panics here").push(client::Acknowledged { text, seq, by, at });
        }
    }
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
fn round(number: u32, goes: Goes, room: &Room, (active, place): (Node, &Place), standby: &Node) -> (Place, Duration) {
    room.acknowledged_by(place, Instant::now());
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
    let next = standby.ready();
    room.places.add(&next);
    let took = room.acknowledged_by(&next, went) - went;
    match goes {
        Goes::Stopped => {
            active.signal(Signal::CONT);
            assert_eq!(stubborn.hear_out(room), Gone::Closed(3001), "its clients are sent away");
            let (status, errors) = active.ended();
            let told = errors.lines().last().unwrap_or_default();
            let expected = format!("taken over: node {} is active (epoch ", standby.name);
            assert!(status.code() == Some(1) && told.contains(&expected), "{status}: {errors}");
        }
        Goes::Killed => {
            assert_eq!(stubborn.hear_out(room), Gone::Silent);
            let (status, _) = active.ended();
            assert_eq!(status.code(), None, "a signal ended it");
        }
    }
    room.places.remove(place);
    stubborn.send_again(room, &next);
    (next, took)
}

fn check(goes: Goes) {
    let mut cluster = Cluster::start();
    let mut active = cluster.node("one");
    let mut place = active.ready();
    let room = Room::open(&place);
    cluster.server.set_faults(WEATHER);
    let mut took = Vec::new();
    for number in 1..=rounds() {
        let standby = cluster.node(if number % 2 == 0 { "one" } else { "two" });
        let behind = standby.stands_by();
        assert_eq!(behind, format!("node {} is active (epoch {number})", active.name));
        let (next, after) = round(number, goes, &room, (active, &place), &standby);
        assert_eq!(standby.metric("rookery_takeovers_total"), 1);
        took.push(after);
        (active, place) = (standby, next);
    }
    cluster.server.set_faults(Faults::default());
    let output = cluster.check(&[]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && told.contains("is active"),
        "a store that is served is not at rest: {told}"
    );
    let messages = room.close(&place);
    let beside = cluster.check(&["--beside-nodes"]);
    assert!(beside.status.success(), "{}", String::from_utf8_lossy(&beside.stderr));
    active.signal(Signal::TERM);
    let (status, errors) = active.ended();
    assert_eq!(status.code(), Some(0), "{errors}");
    let output = cluster.check(&[]);
    assert!(output.status.success(), "{goes:?}: {}", String::from_utf8_lossy(&output.stderr));
    took.sort();
    let summary = String::from_utf8_lossy(&output.stdout).into_owned();
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
    let mut cluster = Cluster::start();
    let nodes = [cluster.node("one"), cluster.node("two")];
    let until = Instant::now() + PATIENCE;
    let [first, second] = loop {
        assert!(Instant::now() < until, "one of them is active");
        let [one, two] = &nodes;
        if one.ready_within(Duration::from_millis(10)).is_some() {
            break nodes;
        }
        if two.ready_within(Duration::from_millis(10)).is_some() {
            let [one, two] = nodes;
            break [two, one];
        }
    };
    assert_eq!(second.stands_by(), format!("node {} is active (epoch 1)", first.name));
    let figures = |node: &Node| ["rookery_node_active", "rookery_takeovers_total"].map(|name| node.metric(name));
    assert_eq!((figures(&first), figures(&second)), ([1, 0], [0, 0]));
    assert!(second.ready_within(Duration::from_secs(7)).is_none(), "beyond a lease the first is still the active one");
    first.signal(Signal::TERM);
    let (status, errors) = first.ended();
    let stopped = Instant::now();
    assert_eq!(status.code(), Some(0), "{errors}");
    second.ready();
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(2), "it was free at once, and taken after {took:?}");
    assert_eq!(figures(&second), [1, 0], "nobody was dead");
}

#[test]
fn while_the_store_is_away_nobody_is_declared_dead() {
    let mut cluster = Cluster::start();
    let active = cluster.node("one");
    let place = active.ready();
    let room = Room::open(&place);
    let standby = cluster.node("two");
    standby.stands_by();
    cluster.server.pause();
    thread::sleep(Duration::from_secs(8));
    let health = active.health();
    assert!(health.iter().any(|reason| reason.starts_with("store: no answer for")), "{health:?}");
    let back = Instant::now();
    cluster.server.resume();
    room.acknowledged_by(&place, back);
    thread::sleep(Duration::from_secs(7));
    assert_eq!(standby.stands_by(), "node one is active (epoch 1)");
    assert_eq!([active.metric("rookery_node_active"), standby.metric("rookery_takeovers_total")], [1, 0]);
    room.close(&place);
}
