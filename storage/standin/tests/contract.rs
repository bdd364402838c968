//! The contract of engines on the foundationdb engine, through the real `foundationdb` crate, over the stand-in.
//!
//! Every test works in a store of its own under a prefix of its own, on a server that they share.

use std::path::PathBuf;
use std::sync::LazyLock;

use contract::{Subject, cluster};
use fdb_c::{Server, ServerOptions, Store};
use kv::foundationdb::{FoundationDbEngine, Options};
use tempfile::TempDir;

/// How to reach a server, written once since tests run side by side, and the server and its directory.
type Served = (Options, Server, TempDir);

fn serve(store: impl Fn(PathBuf) -> Store) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path().join("data"));
    let server = Server::start(ServerOptions { store, ..ServerOptions::default() }).expect("a free port");
    (server.options(directory.path(), "test", 0), server, directory)
}

fn subject((options, ..): &Served) -> Subject<FoundationDbEngine> {
    cluster::subject(options)
}

mod foundationdb_over_memory {
    use super::{LazyLock, Served, Store};

    static SERVED: LazyLock<Served> = LazyLock::new(|| super::serve(|_| Store::Memory));

    contract::contract_tests!(|| super::subject(&SERVED), cases: 60);
}

mod foundationdb_over_embedded {
    use super::{LazyLock, Served, Store};

    static SERVED: LazyLock<Served> = LazyLock::new(|| super::serve(Store::Directory));

    contract::contract_tests!(|| super::subject(&SERVED), cases: 10);
}
