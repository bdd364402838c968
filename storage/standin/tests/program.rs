//! The program: what it says first and last, and that it ends when it is told to.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use fdb_c::ClusterFile;
use rustix::process::{Pid, Signal, kill_process};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fdb-standin"))
}

#[test]
fn it_says_what_it_is_for_writes_a_cluster_file_and_counts_at_the_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("fdb.cluster");
    let mut command = program();
    command.args(["--listen", "127.0.0.1:0", "--seed", "9", "--faults", "conflict=5"]).arg("--cluster-file").arg(&path);
    command.arg("--data").arg(directory.path().join("rows"));
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut out = BufReader::new(running.stdout.take().expect("piped"));
    let mut lines = (&mut out).lines().map(|line| line.expect("text"));
    let first = lines.next().expect("a line");
    assert!(first.contains("for tests and development, not for data that you want to keep"), "{first}");
    assert!(lines.any(|line| line.starts_with("listening on 127.0.0.1:")));
    let file = ClusterFile::read(&path).expect("written by now").expect("a stand-in's");
    assert_eq!((file.seed, file.address.ip().is_loopback()), (9, true), "{file:?}");
    kill_process(Pid::from_child(&running), Signal::TERM).expect("it runs");
    let mut last = String::new();
    out.read_to_string(&mut last).expect("text");
    assert!(running.wait().expect("it ends").success());
    assert!(last.contains("committed: 0"), "{last}");
}

#[test]
fn it_teaches_and_refuses() {
    let help = program().arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    for words in ["not for data that you want to keep", "[store]", "--faults", "unknown_lost", "SIGTERM"] {
        assert!(help.contains(words), "{words} in {help}");
    }
    let check = |arguments: &[&str], expected: &str| {
        let output = program().args(arguments).output().expect("it runs");
        let error = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && error.contains(expected), "{arguments:?}: {error}");
    };
    check(&[], "--cluster-file");
    check(&["--cluster-file", "/x", "--faults", "conflicts=1"], "expected one of `conflict`");
    check(&["--cluster-file", "/x", "--listen", "0.0.0.0:0"], "may be reached from other machines");
}
