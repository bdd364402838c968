//! A server of its own for each test, and a store in it.

use std::path::Path;

use fdb_c::{Server, ServerOptions, Store};
use futures_lite::future::block_on;
use kv::foundationdb::{FoundationDb, FoundationDbEngine};
use tempfile::TempDir;

use crate::world::World;

pub(crate) struct Served {
    pub(crate) server: Server,
    directory: TempDir,
}

impl Served {
    /// In memory.
    pub(crate) fn start() -> Self {
        Self::with(ServerOptions::default())
    }

    pub(crate) fn with(options: ServerOptions) -> Self {
        let server = Server::start(options).expect("a free port");
        Self { server, directory: tempfile::tempdir().expect("a directory") }
    }

    /// The store, which is made by the first to open it.
    pub(crate) fn open(&self) -> FoundationDbEngine {
        open(&self.server, self.directory.path())
    }

    /// A world in which the users and the two channels exist, on a node of `shards`.
    pub(crate) fn world(&self, shards: u16) -> World<FoundationDbEngine> {
        let mut world = World::claim(self.open(), 3, shards);
        world.populate();
        world
    }
}

pub(crate) fn open(server: &Server, directory: &Path) -> FoundationDbEngine {
    let options = server.options(directory, "rookery", 7);
    let cluster = FoundationDb::connect(&options).unwrap_or_else(|error| panic!("no client: {error}"));
    block_on(cluster.open()).unwrap_or_else(|error| panic!("no store: {error}"))
}

/// A durable store in `directory`.
pub(crate) fn durable(directory: &Path) -> ServerOptions {
    ServerOptions { store: Store::Directory(directory.join("rows")), ..ServerOptions::default() }
}
