//! Start and end of a node, and refusals to start, by the program that users run.

use std::io::{BufRead as _, BufReader, Lines};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Free ports of loopback, and no disk that a test machine may not have free.
const ANYWHERE: [&str; 8] = [
    "--api=127.0.0.1:0",
    "--ws=127.0.0.1:0",
    "--internal=127.0.0.1:0",
    "--data.free_bytes_min=0",
    "--shards=1",
    "--log.format=json",
    "--log=info",
    "--node.region=test",
];

fn rookery(directory: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookery"));
    command.args(words).current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("ROOKERY_") {
            command.env_remove(variable);
        }
    }
    command
}

/// A node that has said that it is ready. Killed when dropped.
struct Node {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: ChildStderr,
    ready: String,
}

impl Node {
    fn start(directory: &Path, words: &[&str]) -> Self {
        let mut child = rookery(directory, words).spawn().expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let err = child.stderr.take().expect("it is piped");
        let Some(Ok(ready)) = out.next() else {
            let told = child.wait_with_output().map(|output| output.status);
            panic!("{words:?}: it never was ready, and ended as {told:?}: {}", text_of(err));
        };
        Self { child, out, err, ready }
    }

    fn address(&self, name: &str) -> SocketAddr {
        let field = self.ready.split(' ').find_map(|word| word.strip_prefix(&format!("{name}=")));
        let address = field.and_then(|url| url.split_once("://")).and_then(|(_, address)| address.parse().ok());
        address.unwrap_or_else(|| panic!("{name} is an address in {:?}", self.ready))
    }

    /// Signals it and returns its exit code, the rest of its standard output, and its standard error.
    fn stop(mut self, signal: Signal) -> (Option<i32>, Vec<String>, String) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        let out = self.out.by_ref().map(|line| line.expect("it writes text")).collect();
        let err = text_of(&mut self.err);
        (self.child.wait().expect("it is our child").code(), out, err)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Where it has ended there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text_of(mut reader: impl std::io::Read) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("it writes text");
    text
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Runs what must not start: exit code 1, nothing on standard output, and as the last line of standard error this one.
fn check(directory: &Path, words: &[&str], line: &str) {
    let Output { status, stdout, stderr } = rookery(directory, words).output().expect("the program starts");
    let err = String::from_utf8(stderr).expect("it writes text");
    assert_eq!(status.code(), Some(1), "{words:?}: {err}");
    assert_eq!(err.lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>(), [line], "{words:?}");
    assert_eq!(String::from_utf8(stdout).as_deref(), Ok(""), "{words:?}");
}

fn words<'a>(mode: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[mode], &ANYWHERE[..], more].concat()
}

#[test]
fn a_node_says_where_it_is_and_nothing_else_and_ends_with_0() {
    let directory = directory();
    for signal in [Signal::TERM, Signal::INT] {
        let node = Node::start(directory.path(), &words("run", &[]));
        let (api, ws, internal) = (node.address("api"), node.address("ws"), node.address("internal"));
        assert_eq!(node.ready, format!("ready api=http://{api} ws=ws://{ws} internal=http://{internal}"));
        assert!([api, ws, internal].iter().all(|address| address.port() != 0));
        let (code, out, err) = node.stop(signal);
        assert_eq!((code, out), (Some(0), vec![]), "{err}");
        assert!(err.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "a JSON object a line: {err}");
    }
    assert!(directory.path().join("rookery.rkdata/token.key").exists(), "the default directory is made");
}

#[test]
fn dev_prints_links_under_the_ready_line() {
    let directory = directory();
    let node = Node::start(directory.path(), &words("dev", &[]));
    let api = node.address("api");
    let (code, out, err) = node.stop(Signal::TERM);
    assert_eq!(code, Some(0), "{err}");
    let links = out.iter().filter(|line| line.contains(&format!("http://{api}/"))).count();
    assert_eq!(links, 2, "{out:?}");
    assert!(directory.path().join("dev.rkdata").is_dir());
}

#[test]
fn a_port_in_use_is_one_line() {
    let directory = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("some port is free");
    let address = taken.local_addr().expect("it is bound");
    let port = address.port();
    for (flag, key) in [("api", "listen.api"), ("ws", "listen.ws"), ("internal", "listen.internal")] {
        let mut words = words("run", &[]);
        let named = format!("--{flag}={address}");
        words.retain(|word| !word.starts_with(&format!("--{flag}=")));
        words.push(&named);
        check(
            directory.path(),
            &words,
            &format!(
                "rookery: cannot listen on 127.0.0.1:{port} ({key}): Address already in use (os error 98); see who has it \
                 with `ss -ltnp 'sport = :{port}'`, or choose another with --{flag}"
            ),
        );
    }
}

#[test]
fn a_port_that_another_nodes_shards_share_is_in_use() {
    let (one, other) = (directory(), directory());
    let node = Node::start(one.path(), &words("run", &[]));
    let port = node.address("ws").port();
    let ws = format!("--ws=127.0.0.1:{port}");
    let mut words = words("run", &[&ws]);
    words.retain(|word| *word != "--ws=127.0.0.1:0");
    check(
        other.path(),
        &words,
        &format!(
            "rookery: cannot listen on 127.0.0.1:{port} (listen.ws): Address already in use (os error 98); see who has it \
             with `ss -ltnp 'sport = :{port}'`, or choose another with --ws"
        ),
    );
}

#[test]
fn a_data_directory_that_cannot_be_had_is_one_line() {
    let directory = directory();
    check(directory.path(), &words("run", &["--data=absent"]), {
        "rookery: the data directory absent (flag --data) does not exist; mount it, or make it: mkdir -p absent"
    });
    std::fs::write(directory.path().join("file"), "").expect("a file");
    check(directory.path(), &words("run", &["--data=file"]), {
        "rookery: file (flag --data) is no directory; name one with --data"
    });
    check(directory.path(), &words("run", &["--data=/proc/self/fd"]), {
        "rookery: the data directory /proc/self/fd is not writable: No such file or directory (os error 2); give it to the \
         user that runs rookery, or name another with --data"
    });

    let node = Node::start(directory.path(), &words("run", &[]));
    check(directory.path(), &words("run", &[]), {
        "rookery: rookery.rkdata is in use by another process; stop it, or name another data directory"
    });
    check(directory.path(), &["store", "check"], {
        "rookery: rookery.rkdata is in use by another process; stop it, or name another data directory"
    });
    drop(node);
}

#[test]
fn a_newer_format_is_refused_and_untouched() {
    let directory = directory();
    Node::start(directory.path(), &words("run", &[])).stop(Signal::TERM);
    let format = directory.path().join("rookery.rkdata/store/format");
    std::fs::write(&format, "rookery store 99\n").expect("it is ours");
    check(directory.path(), &words("run", &[]), {
        "rookery: rookery.rkdata has format 99, this program knows 1; use the newer program"
    });
    assert_eq!(std::fs::read_to_string(&format).expect("it is there"), "rookery store 99\n");
}

#[test]
fn dev_refuses_what_is_not_loopback() {
    let directory = directory();
    check(directory.path(), &["dev", "--ws=0.0.0.0:8001"], {
        "rookery: flag --ws: listen.ws is 0.0.0.0:8001, and dev listens on loopback only; use 127.0.0.1:8001, or \
         `rookery run`"
    });
    assert_eq!(std::fs::read_dir(directory.path()).expect("it is there").count(), 0, "nothing was made");
}

#[test]
fn run_off_loopback_warns_and_starts() {
    let directory = directory();
    let mut words = words("run", &["--ws=0.0.0.0:0"]);
    words.retain(|word| *word != "--ws=127.0.0.1:0");
    let (code, _, err) = Node::start(directory.path(), &words).stop(Signal::TERM);
    assert_eq!(code, Some(0), "{err}");
    let warnings: Vec<_> = err.lines().filter(|line| line.contains("\"level\":\"WARN\"")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("listen.ws is 0.0.0.0:0 without TLS"), "{err}");
}

#[test]
fn a_stopped_nodes_store_is_sound_and_none_is_no_store() {
    let directory = directory();
    check(directory.path(), &["store", "check"], {
        "rookery: there is no store in rookery.rkdata (name the node's directory with --data)"
    });
    Node::start(directory.path(), &words("run", &[])).stop(Signal::TERM);
    let output = rookery(directory.path(), &["store", "check"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"sound: 0 channels, 0 messages"), "{output:?}");
}

#[test]
fn a_token_is_made_beside_a_running_node_with_its_key() {
    let directory = directory();
    let node = Node::start(directory.path(), &words("run", &[]));
    let api = node.address("api");
    let account = serde_json::json!({"username": "ann", "password": "correct horse battery"});
    let signup = ureq::post(format!("http://{api}/v1/auth/signup")).send_json(&account).expect("the node answers");
    let account: serde_json::Value = signup.into_body().read_json().expect("it answers in JSON");
    let user = account["user_id"].as_str().expect("an id is a string");

    let output = rookery(directory.path(), &["gentoken", "--user", user]).output().expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).expect("a token is text");
    let status = |token: &str| {
        let request = ureq::get(format!("http://{api}/v1/me")).header("authorization", format!("Bearer {token}"));
        request.config().http_status_as_error(false).build().call().expect("the node answers").status().as_u16()
    };
    assert_eq!(status(token.trim()), 200);
    assert_eq!(status(&token.trim()[1..]), 401);
}
