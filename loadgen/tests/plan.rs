//! `loadgen plan` and `calibrate` as a user runs them: a wrong profile is refused, and the constants of a plan are not far
//! from what a node takes here.

mod listener;
mod running;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PROFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plans/fifty-million.toml");

#[test]
fn a_plan_shows_its_arithmetic_and_every_constant() {
    let (code, plan, stderr) = running::run(&format!("plan --profile {PROFILE} --json"));
    assert_eq!(code, 0, "{stderr}");
    let lines = plan["lines"].as_array().expect("a list");
    let of = |what: &str| lines.iter().find(|line| line["what"] == what).expect("a line")["figure"].as_f64();
    assert_eq!(of("sessions at once"), Some(7_500_000.0), "{plan}");
    let nodes = lines.iter().position(|line| line["what"] == "nodes");
    assert!(nodes < lines.iter().position(|line| line["what"] == "sessions a node"), "each after what it is made of");
    assert!(of("nodes") > Some(2.0) && of("disk of all storage servers") > Some(100.0), "{plan}");
    assert!(lines.iter().all(|line| line["arithmetic"].as_str().is_some_and(|text| !text.is_empty())), "{plan}");
    let output = running::loadgen(&format!("plan --profile {PROFILE}")).output().expect("loadgen starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for name in plan["constants"].as_object().expect("a map").keys() {
        assert!(text.contains(name), "{name} is not in {text}");
    }
}

/// Between marks, written anew with `ROOKERY_GOLDEN=write`.
#[test]
fn the_document_walks_through_the_plan_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/capacity.md");
    let [begin, end] = ["<!-- loadgen plan: begin -->\n", "<!-- loadgen plan: end -->\n"];
    let output = running::loadgen(&format!("plan --profile {PROFILE}")).output().expect("loadgen starts");
    let plan = String::from_utf8(output.stdout).expect("UTF-8");
    let document = std::fs::read_to_string(path).expect("the document");
    let (before, rest) = document.split_once(begin).expect("where the plan begins");
    let (_, after) = rest.split_once(end).expect("where it ends");
    let made = format!("{before}{begin}\n```text\n{plan}```\n\n{end}{after}");
    if std::env::var("ROOKERY_GOLDEN").as_deref() == Ok("write") {
        std::fs::write(path, &made).expect("the document is written");
        return;
    }
    assert!(
        made == document,
        "docs/capacity.md has another plan: ROOKERY_GOLDEN=write cargo test -p loadgen --test plan"
    );
}

#[test]
fn a_wrong_profile_is_refused_with_the_line_and_the_nearest_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("profile.toml");
    let check = |text: &str, expected: &str| {
        std::fs::write(&path, text).expect("a file");
        let (code, plan, stderr) = running::run(&format!("plan --profile {}", path.display()));
        assert_eq!((code, &plan), (2, &Value::Null), "{text}");
        assert!(stderr.contains(expected), "{text}: {stderr}");
    };
    check("[users]\ndialy = 5", "line 2: there is no users.dialy; nearest is users.daily");
    check("[users]\ndaily = 5\nonline_percent = 101", "line 3: users.online_percent is 101, which is not between");
    check("[groups]\nmembers = 5", "there is no users.daily: users who come in a day");
}

/// Processor time is compared loosely, and that of connects not at all: those of so few sessions are less than the tick of
/// 10 ms in which the kernel tells it. A batch is small at a rate that any machine carries; and without the gate's
/// binary the node is one that no compiler has optimised.
#[test]
fn a_small_run_takes_what_the_constants_say() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start(directory.path());
    let accounts = directory.path().join("accounts.json");
    let output = running::loadgen(&format!(
        "calibrate --connections 20 --rate 200 --group 10 --seconds 3 --idle-seconds 3 --pid {} --url {} --api {} \
         --internal {} --accounts {}",
        node.child.id(),
        node.address("ws"),
        node.address("api"),
        node.address("internal").trim_start_matches("http://"),
        accounts.display()
    ))
    .output()
    .expect("loadgen starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let constants = directory.path().join("constants.toml");
    std::fs::write(&constants, &output.stdout).expect("a file");

    let again = format!("idle --connections 20 --seconds 0.2 --json --accounts {}", accounts.display());
    let (_, report, stderr) =
        running::run(&format!("{again} --url {} --api {}", node.address("ws"), node.address("api")));
    assert_eq!(running::count(&report, "connections"), 20, "the accounts that it made are used again: {stderr}");

    let plan = |more: &str| running::run(&format!("plan --profile {PROFILE} --json {more}")).1["constants"].clone();
    let (written, measured) = (plan(""), plan(&format!("--constants {}", constants.display())));
    let loosely = if std::env::var_os("ROOKERY_BINARY").is_some() { 10.0 } else { 100.0 };
    let check = |name: &str, factor: f64| {
        let [written, measured] = [&written, &measured].map(|of| of[name].as_f64().expect("a number"));
        let ratio = measured / written;
        assert!((1.0 / factor..=factor).contains(&ratio), "{name}: the plan takes {written}, here it is {measured}");
    };
    check("processor.direct_message_micros", loosely);
    check("network.delivery_bytes", 1.5);
    // A part of what each batch writes beside its messages is in it.
    check("store.member_bytes", 3.0);
}

#[test]
fn what_cannot_be_calibrated_is_said_with_the_remedy() {
    // Something listens there, but no node.
    let address = listener::serve(drop);
    let own = std::process::id();
    let (code, said, stderr) = running::run(&format!("calibrate --pid {own} --internal {address}"));
    assert_eq!((code, &said), (2, &Value::Null), "{stderr}");
    assert!(stderr.contains("is it the node's internal listener?"), "{stderr}");
    let (code, _, stderr) = running::run(&format!("calibrate --pid 4294967295 --internal {address}"));
    assert_eq!((code, stderr.contains("is the process running?")), (2, true), "{stderr}");
}

/// A node of its own, gone with the test.
struct Node {
    child: Child,
    ready: String,
}

impl Node {
    fn start(data: &Path) -> Self {
        // Built with these tests wherever the whole workspace is.
        let beside = Path::new(env!("CARGO_BIN_EXE_loadgen")).with_file_name("rookery");
        let binary = std::env::var_os("ROOKERY_BINARY").map_or(beside, PathBuf::from);
        let any = ["--api", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--internal", "127.0.0.1:0"];
        let mut child = Command::new(&binary)
            .args(["run", "--shards", "1", "--data"])
            .arg(data)
            .args(any)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build it, or test the workspace", binary.display()));
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let ready = stdout.lines().map_while(Result::ok).find(|line| line.starts_with("ready "));
        Self { child, ready: ready.expect("the node says that it is ready") }
    }

    /// Of `ready api=http://… ws=ws://… internal=http://…`.
    fn address(&self, name: &str) -> &str {
        let words = self.ready.split(' ').filter_map(|word| word.split_once('='));
        words.into_iter().find(|(of, _)| *of == name).map(|(_, address)| address).expect("the line has it")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It stops cleanly, and before its directory goes.
        _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        _ = self.child.wait();
    }
}
