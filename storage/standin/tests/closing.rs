//! The end of the client: once per process, so a test binary of its own.

use fdb_c::{Server, ServerOptions};
use futures_lite::future::block_on;
use kv::foundationdb::{ConnectError, FoundationDb, LoadError, Options};
use kv::{Begin, Engine, Transaction};

#[test]
fn the_client_starts_once_serves_several_stores_and_is_over_when_it_is_closed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(ServerOptions::default()).expect("a free port");
    let options = |prefix: &str| server.options(directory.path(), prefix, 1);

    // What is wrong before the client starts does not use it up.
    let refused = FoundationDb::connect(&options("")).expect_err("a store has a prefix");
    assert!(matches!(refused, ConnectError::Prefix(_)), "{refused}");
    let missing = directory.path().join("none.cluster");
    let refused = FoundationDb::connect(&Options { cluster_file: Some(missing), ..options("a") });
    assert!(matches!(refused, Err(ConnectError::ClusterFile(_))), "{refused:?}");

    let first = FoundationDb::connect(&options("a")).expect("the stand-in's library is there");
    let other = FoundationDb::connect(&options("b")).expect("the same client");
    let (a, b) = (block_on(first.open()).expect("new"), block_on(other.open()).expect("new"));
    let mut tx = a.begin(Begin::Fresh);
    tx.set(b"k", b"a");
    block_on(tx.commit()).expect("nothing conflicts");
    assert_eq!(block_on(b.begin(Begin::Fresh).get(b"k")).expect("no fault"), None, "another store's row");

    let text = directory.path().join("libfdb_c.so");
    std::fs::write(&text, "another").expect("a fresh directory");
    let refused = FoundationDb::connect(&Options { client_library: Some(text), ..options("a") });
    assert!(matches!(refused, Err(ConnectError::Library(LoadError::AnotherLoaded { .. }))), "{refused:?}");

    drop((a, b, other));
    first.close();
    let refused = FoundationDb::connect(&options("a"));
    assert!(matches!(refused, Err(ConnectError::Stopped)), "{refused:?}");
}
