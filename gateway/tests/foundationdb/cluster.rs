//! A cluster of one stand-in, which runs in this process, and what a node is told to use it.

use std::path::Path;

use fdb_c::{Server, ServerOptions};

use crate::support::{Node, Starting};

/// A cluster of one stand-in, and a place for a node's own files.
pub(crate) struct Cluster {
    pub(crate) server: Server,
    directory: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let server = Server::start(ServerOptions::default()).expect("a stand-in starts");
        let directory = tempfile::tempdir().expect("a directory");
        Self { server, directory }
    }

    pub(crate) fn data(&self) -> &Path {
        self.directory.path()
    }

    /// What a node is told to use it.
    pub(crate) fn flags(&self) -> Vec<String> {
        flags(&self.server.cluster_file(self.data()), &fdb_c::library())
    }

    pub(crate) fn node(&self) -> Node {
        self.starting().ready()
    }

    pub(crate) fn starting(&self) -> Starting {
        self.starting_with(&[])
    }

    /// A node that is told something more.
    pub(crate) fn starting_with(&self, more: &[&str]) -> Starting {
        let flags = [self.flags(), more.iter().map(|&flag| flag.to_owned()).collect()].concat();
        Starting::spawn("run", self.data(), &flags.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

pub(crate) fn flags(cluster_file: &Path, library: &Path) -> Vec<String> {
    vec![
        "--shards=2".to_owned(),
        "--store.engine=foundationdb".to_owned(),
        format!("--store.cluster_file={}", cluster_file.display()),
        format!("--store.client_library={}", library.display()),
    ]
}
