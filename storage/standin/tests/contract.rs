//! The contract of engines on the foundationdb engine, through the real `foundationdb` crate, over the stand-in.
//!
//! Every test works in a store of its own under a prefix of its own, on a server that they share.

use std::path::PathBuf;
use std::sync::LazyLock;

use contract::{Subject, cluster};
use fdb_c::{Server, ServerOptions, Store};
use kv::foundationdb::{FoundationDbEngine, Options};
use tempfile::TempDir;

/// A server, and the directory with its cluster file and its rows.
struct Served {
    cluster_file: PathBuf,
    _server: Server,
    _directory: TempDir,
}

fn serve(store: impl Fn(PathBuf) -> Store) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let store = store(directory.path().join("data"));
    let server = Server::start(ServerOptions { store, ..ServerOptions::default() }).expect("a free port");
    Served { cluster_file: server.cluster_file(directory.path()), _server: server, _directory: directory }
}

fn subject(served: &Served) -> Subject<FoundationDbEngine> {
    cluster::subject(&Options {
        cluster_file: Some(served.cluster_file.clone()),
        client_library: Some(fdb_c::library()),
        prefix: "test".to_owned(),
        new_generation: 0,
    })
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
