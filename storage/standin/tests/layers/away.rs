//! A cluster that is full, away, or comes back as another process.

use chat::check;
use fdb_c::{Server, ServerOptions};
use futures_lite::future::block_on;

use crate::served::{Served, durable, open};
use crate::world::World;

#[test]
fn a_full_store_refuses_for_now_and_answers_reads() {
    let served = Served::start();
    let mut world = served.world(1);
    assert_eq!(world.run("1 sends a"), "#1");
    served.server.fill(true);
    let ticket = world.push("1 sends b");
    world.drain();
    assert!(world.outcome(ticket).is_some_and(crate::world::is_temporary), "{:?}", world.outcome(ticket));
    assert_eq!(world.inbox(2, 100), "g created 1, d created 1, g#1=a", "reads go on");
    served.server.fill(false);
    assert_eq!(world.run("1 sends b"), "#2");
    block_on(check::run(&world.engine, |_| {})).expect("the invariants hold");
}

#[test]
fn a_store_that_is_away_is_waited_for_five_seconds_and_found_again() {
    let served = Served::start();
    let mut world = served.world(1);
    assert_eq!(world.run("1 sends a"), "#1");
    served.server.pause();
    assert_eq!(world.run("1 sends b, d.1 sends c"), "115, 115");
    served.server.resume();
    assert_eq!(world.run("1 sends b, d.1 sends c; 1 sends a"), "#2, #1; #1 again");
    block_on(check::run(&world.engine, |_| {})).expect("the invariants hold");
}

#[test]
fn a_server_that_is_started_again_is_found_by_the_same_client() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start(durable(directory.path())).expect("a free port");
    let engine = open(&server, directory.path());
    let mut world = World::claim(engine, 3, 1);
    world.populate();
    assert_eq!(world.run("1 sends a"), "#1");
    let listen = server.address();
    drop(server);
    let server = Server::start(ServerOptions { listen, ..durable(directory.path()) }).expect("the same port");
    assert_eq!(world.run("1 sends a; 1 sends b"), "#1 again; #2");
    block_on(check::run(&world.engine, |_| {})).expect("the invariants hold");
    assert_eq!(server.calls().connections, 1);
}
