//! Three nodes that share the work: one is killed and comes back, one stands still past its lease, one drains, and nothing
//! that any of them acknowledged is lost, doubled or out of order, wherever it was sent and read (I2, I3, I5, I6, I7).
//!
//! Real `rookery run` processes on a stand-in in this process. `cargo xtask chaos` does the same for longer and with
//! more.

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../room/mod.rs"]
mod room;
#[path = "../support/mod.rs"]
mod support;

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use schema::limits::PARTITIONS;

use cluster::Cluster;
use room::{Company, Room};
use support::{Node, Place, rookery, said};

/// Forty-two devices, which write some 30 messages a second.
const ROOMS: [&str; 3] = ["crab", "eel", "gull"];
const COMPANY: Company =
    Company { name: "", members: 2, devices: 7, pause: Duration::from_millis(1_250), reply: Duration::from_secs(3) };

/// Opens all rooms, one after the other: sign-ups at once would wait for each other's hashes.
fn open(places: &[&Place]) -> Vec<Room> {
    ROOMS.map(|name| Room::open(&Company { name, ..COMPANY }, places)).into()
}

/// Closes all at once, since their clients hear out their nodes. How many messages they have.
fn close(rooms: Vec<Room>, place: &Place) -> usize {
    thread::scope(|scope| {
        let closing: Vec<_> = rooms.into_iter().map(|room| scope.spawn(|| room.close(place))).collect();
        closing.into_iter().map(|room| room.join().expect("what was told is what is stored")).sum()
    })
}

/// Waits until something was acknowledged in every of these rooms, by any of these places.
fn served(rooms: &[Room], places: &[&Place], since: Instant) {
    rooms.iter().for_each(|room| _ = room.acknowledged(places, since));
}

/// Devices go to `next` from now on, and no longer to `place`.
fn moved(rooms: &[Room], place: &Place, next: &Place) {
    for room in rooms {
        room.places.add(next);
        room.places.remove(place);
    }
}

/// Sends a node's clients away, and waits until it has ended.
fn drain(node: Node) -> Duration {
    let asked = Instant::now();
    let internal = node.internal.strip_prefix("http://").expect("an address");
    let (code, told) = said(&mut rookery(&["drain", "--wait", "--internal", internal]));
    assert!(code == 0 && told.contains("it has ended"), "{told}");
    let (status, _, log) = node.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    asked.elapsed()
}

#[test]
fn one_node_is_killed_one_stands_still_one_drains_and_nothing_is_lost_doubled_or_out_of_order() {
    let cluster = Cluster::start();
    let [one, two, three] = ["one", "two", "three"].map(|name| cluster.linked(name)).map(Node::ready);
    let rooms = open(&[&one, &two, &three]);
    for node in [&one, &two, &three] {
        served(&rooms[..1], &[node], Instant::now());
    }

    // Two of three at once: all that they had is the third's, or that of the first's next life.
    let (killed, stopped) = (Place::clone(&one), Place::clone(&two));
    two.signal(Signal::STOP);
    one.kill();
    let went = Instant::now();
    let one = cluster.linked("one");
    served(&rooms, &[&three], went);
    let took = went.elapsed();
    // What is served may all have been the third's before: it and the first's next life are all that is left.
    three.until_metric("rookery_nodes", 2);
    two.signal(Signal::CONT);
    let (status, _, log) = two.ended();
    assert_eq!(status.code(), Some(1), "its life is over, and it says so: {log}");
    let (one, two) = (one.ready(), cluster.linked("two").ready());
    moved(&rooms, &killed, &one);
    moved(&rooms, &stopped, &two);

    let place = Place::clone(&three);
    let left = drain(three);
    rooms.iter().for_each(|room| room.places.remove(&place));
    served(&rooms, &[&one, &two], Instant::now());

    let messages = close(rooms, &one);
    let (code, told) = said(&mut cluster.rookery(&["store", "check", "--beside-nodes"]));
    assert_eq!(code, 0, "{told}");
    assert_eq!([one, two].map(|node| node.terminate().code()), [Some(0); 2]);
    let (code, summary) = said(&mut cluster.rookery(&["store", "check"]));
    assert_eq!(code, 0, "{summary}");
    eprintln!(
        "{messages} messages; every room was served {took:?} after two nodes went, and the third left within {left:?}; \
         {summary}"
    );
}

#[test]
fn a_node_that_is_killed_and_started_again_at_once_waits_for_no_lease() {
    let cluster = Cluster::start();
    let [one, two] = ["one", "two"].map(|name| cluster.linked(name)).map(Node::ready);
    let room = Room::open(&Company { name: "crab", ..COMPANY }, &[&one, &two]);
    let half = |node: &Node| node.until_metric("rookery_partitions", u64::from(PARTITIONS) / 2);
    half(&two);
    let (code, told) = said(&mut cluster.linked_command("one", &[]));
    assert!(code == 1 && told.contains("one.rkdata is in use by another process; stop it, or"), "{told}");

    let killed = Place::clone(&one);
    one.kill();
    let went = Instant::now();
    let one = cluster.linked("one");
    one.logged("earlier lives of this node are over and out of the view");
    let out = went.elapsed();
    let took = room.acknowledged(&[&two], went) - went;
    room.places.add(&one);
    room.places.remove(&killed);
    half(&one);
    half(&two);
    assert_eq!(
        [&one, &two].map(|node| node.metric("rookery_takeovers_total")),
        [0, 0],
        "nobody was silent for a lease"
    );
    assert_eq!(one.metric("rookery_nodes"), 2);
    let messages = room.close(&two);
    eprintln!(
        "{messages} messages; the killed life was out of the view after {out:?}, the other acknowledged after {took:?}"
    );
    assert_eq!([one, two].map(|node| node.terminate().code()), [Some(0); 2]);
    let (code, told) = said(&mut cluster.rookery(&["store", "check"]));
    assert_eq!(code, 0, "{told}");
}
