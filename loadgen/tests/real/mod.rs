//! The node that users run, as it was built beside this program: a build of the workspace has both.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that was built beside `loadgen`.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_loadgen")).with_file_name(name);
    assert!(path.exists(), "{} is missing: cargo build --workspace", path.display());
    path
}

fn rookery() -> Command {
    let mut command = Command::new(program("rookery"));
    let ours = std::env::vars_os().filter(|(variable, _)| variable.to_string_lossy().starts_with("ROOKERY_"));
    ours.for_each(|(variable, _)| _ = command.env_remove(variable));
    command
}

/// What a command of the node's program says, which ends well.
pub(crate) fn said(words: &[&str], last: &Path) -> String {
    let output = rookery().args(words).arg(last).output().expect("it starts");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it writes text")
}

/// A node on free ports of loopback. Killed when dropped.
pub(crate) struct Node {
    pub(crate) child: Child,
    pub(crate) api: String,
    pub(crate) ws: String,
}

impl Node {
    pub(crate) fn start(data: &Path) -> Self {
        let mut command = rookery();
        command.args(["run", "--shards", "1", "--api", "127.0.0.1:0", "--ws", "127.0.0.1:0"]);
        command.args(["--internal", "127.0.0.1:0", "--data.free_bytes_min", "0", "--data"]).arg(data);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.expect("the node starts");
        let mut ready = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut ready).expect("it writes text");
        let named = |what: &str| {
            let word = ready.split_whitespace().find_map(|word| word.strip_prefix(what));
            word.unwrap_or_else(|| panic!("{what} in {ready:?}")).to_owned()
        };
        Self { api: named("api="), ws: named("ws="), child }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
