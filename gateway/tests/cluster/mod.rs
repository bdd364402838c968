//! A cluster of one stand-in, which runs in this process, and `rookery` processes that use it.

#![expect(dead_code, reason = "each test binary uses its part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;

use fdb_c::{Server, ServerOptions};

use crate::support::{Node, private_file, rookery};

/// The secret of nodes with links.
pub(crate) const CLUSTER_SECRET: [u8; 32] = [9; 32];

/// The stand-in, and a place for the files of its nodes.
pub(crate) struct Cluster {
    pub(crate) server: Server,
    directory: tempfile::TempDir,
    /// That every node signs with.
    key_file: PathBuf,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let server = Server::start(ServerOptions::default()).expect("a stand-in starts");
        let directory = tempfile::tempdir().expect("a directory");
        let key_file = directory.path().join("token.key");
        private_file(&key_file, &[7; 32]);
        Self { server, directory, key_file }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A command on its store.
    pub(crate) fn rookery(&self, words: &[&str]) -> Command {
        let mut command = rookery(words);
        command.args(flags(&self.server.cluster_file(self.path()), &fdb_c::library()));
        command
    }

    /// Starts a node of this name, which need not be ready soon.
    pub(crate) fn starting(&self, name: &str, more: &[&str]) -> Node {
        Node::spawn(self.command(name, more))
    }

    /// The command of a node of this name, whose data directory its earlier lives had.
    fn command(&self, name: &str, more: &[&str]) -> Command {
        let data = self.path().join(format!("{name}.rkdata"));
        std::fs::create_dir_all(&data).expect("a directory");
        let mut command = self.rookery(&["run", "--shards=2", "--log.format=json", "--node.name", name]);
        command.args(["--api=127.0.0.1:0", "--ws=127.0.0.1:0", "--internal=127.0.0.1:0"]).args(more);
        command.arg("--data").arg(data).arg("--auth.key_file").arg(&self.key_file);
        command
    }

    /// The same with links to others, beside which it works.
    pub(crate) fn linked(&self, name: &str) -> Node {
        self.linked_with(name, &[])
    }

    pub(crate) fn linked_with(&self, name: &str, more: &[&str]) -> Node {
        Node::spawn(self.linked_command(name, more))
    }

    pub(crate) fn linked_command(&self, name: &str, more: &[&str]) -> Command {
        let secret = self.path().join("cluster.secret");
        private_file(&secret, &CLUSTER_SECRET);
        let links = ["--links=127.0.0.1:0", "--cluster.secret_file", secret.to_str().expect("a plain path")];
        self.command(name, &[&links, more].concat())
    }

    /// A node that is ready.
    pub(crate) fn node(&self) -> Node {
        self.starting("one", &[]).ready()
    }
}

/// What a process is told to use a cluster.
pub(crate) fn flags(cluster_file: &Path, library: &Path) -> [String; 3] {
    [
        "--store.engine=foundationdb".to_owned(),
        format!("--store.cluster_file={}", cluster_file.display()),
        format!("--store.client_library={}", library.display()),
    ]
}
