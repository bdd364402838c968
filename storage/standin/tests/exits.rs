//! Ends of a process whose network thread runs: the library's late destructors never find it running.
//!
//! Each end is that of a child process, which is this program again: no harness, so that `main` is the program's own.

use std::process::{Command, ExitCode, exit};
use std::{env, thread};

use fdb_c::{Server, ServerOptions};
use futures_lite::future::block_on;
use kv::foundationdb::FoundationDb;
use kv::{Begin, Engine, Transaction};

/// Names the end to a child.
const VARIABLE: &str = "EXITS_BY";

fn main() -> ExitCode {
    if let Ok(end) = env::var(VARIABLE) {
        return child(&end);
    }
    for (end, expected) in [("return", 3), ("exit", 4), ("close", 5)] {
        let child = Command::new(env::current_exe().expect("it has a path")).env(VARIABLE, end).status();
        assert_eq!(child.expect("it runs").code(), Some(expected), "{end}");
    }
    ExitCode::SUCCESS
}

/// Commits on another thread, as a test does, and ends.
fn child(end: &str) -> ExitCode {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(ServerOptions::default()).expect("a free port");
    let options = server.options(directory.path(), "exits", 1);
    let connected = thread::spawn(move || {
        let cluster = FoundationDb::connect(&options).expect("the stand-in's library is there");
        let mut tx = block_on(cluster.open()).expect("new").begin(Begin::Fresh);
        tx.set(b"k", b"");
        block_on(tx.commit()).expect("nothing conflicts");
        cluster
    });
    let cluster = connected.join().expect("no panic");
    match end {
        "return" => return ExitCode::from(3),
        "exit" => exit(4),
        "close" => cluster.close(),
        end => panic!("no end is called {end:?}"),
    }
    ExitCode::from(5)
}
