//! The program, as users run it: commands, and nodes with what they say.

use std::cell::OnceCell;
use std::io::{BufRead as _, BufReader, Read};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Client, PATIENCE, text};

/// The program without anybody's configuration: the one that was built with these tests, or that the gate names.
pub(crate) fn rookery(words: &[&str]) -> Command {
    let binary = env::var_os("ROOKERY_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_rookery").into());
    let mut command = Command::new(binary);
    command.args(words);
    let ours = env::vars_os().filter(|(variable, _)| variable.to_string_lossy().starts_with("ROOKERY_"));
    for (variable, _) in ours {
        command.env_remove(variable);
    }
    command
}

/// How a command ends, and what it says on standard output if it ends well, or else on standard error.
pub(crate) fn said(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = String::from_utf8(if status.success() { stdout } else { stderr }).expect("it writes text");
    (status.code().expect("no signal ended it"), text)
}

/// Writes a file that is its owner's alone, as keys have to be.
pub(crate) fn private_file(path: &Path, bytes: &[u8]) {
    let file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.expect("it can be made"), bytes).expect("it can be written");
}

/// A `rookery` that has been started. Killed when dropped.
pub(crate) struct Node {
    child: Child,
    /// Lines of its log, which grow while it runs.
    log: Arc<Mutex<Vec<String>>>,
    logging: Option<JoinHandle<()>>,
    out: Receiver<String>,
    /// Where its health is.
    pub(crate) internal: String,
    place: OnceCell<Place>,
}

impl Node {
    /// Starts a node on free ports of loopback, and waits until it is ready.
    pub(crate) fn start(mode: &str, data: &Path, extra: &[&str]) -> Self {
        let mut command = rookery(&[mode, "--api", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--internal", "127.0.0.1:0"]);
        command.args(["--log.format", "json"]).arg("--data").arg(data).args(extra);
        Self::spawn(command).ready()
    }

    /// Starts a node that logs JSON, and waits until it serves its health.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (err, lines) = (child.stderr.take().expect("it is piped"), Arc::clone(&log));
        let logging = thread::spawn(move || {
            for line in BufReader::new(err).lines().map_while(Result::ok) {
                eprintln!("{line}");
                lines.lock().expect("no test panics there").push(line);
            }
        });
        let (line, out) = mpsc::channel();
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|text| line.send(text)));
        let mut node =
            Self { child, log, logging: Some(logging), out, internal: String::new(), place: OnceCell::new() };
        let line: Value = serde_json::from_str(&node.logged("health and metrics")).expect("a JSON object a line");
        node.internal = format!("http://{}", text(&line["internal"]));
        node
    }

    /// Waits until it is ready.
    pub(crate) fn ready(self) -> Self {
        let _: &Place = &self;
        self
    }

    /// Where its clients go, if it is ready in time.
    pub(crate) fn ready_within(&self, most: Duration) -> Option<&Place> {
        if self.place.get().is_none() {
            let line = self.out.recv_timeout(most).ok()?;
            let place = |name: &str| {
                let field = line.split(' ').find_map(|word| word.strip_prefix(&format!("{name}=")));
                field.unwrap_or_default().to_owned()
            };
            let place = Place { api: place("api"), ws: place("ws") };
            let said = [("api", &place.api), ("ws", &place.ws), ("internal", &self.internal)].map(|(name, url)| {
                // A node of one role has no place for the other.
                if url.is_empty() { String::new() } else { format!(" {name}={url}") }
            });
            assert_eq!(line, format!("ready{}", said.concat()));
            self.place.set(place).expect("it is ready once");
        }
        self.place.get()
    }

    /// Waits for a line of its log that has this in it.
    pub(crate) fn logged(&self, part: &str) -> String {
        let found = within(PATIENCE, || {
            let lines = self.log.lock().expect("no test panics there");
            lines.iter().find(|line| line.contains(part)).cloned()
        });
        found.unwrap_or_else(|| panic!("the node never logged {part:?}: {}", self.whole_log()))
    }

    fn whole_log(&self) -> String {
        self.log.lock().expect("no test panics there").join("\n")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end: how it ended, what else it said, its log.
    pub(crate) fn ended(mut self) -> (ExitStatus, Vec<String>, String) {
        let status = within(PATIENCE, || self.child.try_wait().expect("it is our child"));
        let status = status.unwrap_or_else(|| panic!("it does not end: {}", self.whole_log()));
        self.logging.take().expect("it ends once").join().expect("it reads to the end");
        (status, self.out.iter().collect(), self.whole_log())
    }

    /// kill -9.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        self.ended();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().0
    }

    /// What is at a path of the internal listener: the status and the text.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let request = ureq::get(format!("{}{path}", self.internal)).config().http_status_as_error(false).build();
        let mut answer = request.call().expect("it answers");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("the answer is text"))
    }

    /// One of its figures.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    /// Waits until a figure is this: shards publish theirs each second.
    pub(crate) fn until_metric(&self, name: &str, expected: u64) {
        let reached = within(PATIENCE, || (self.metric(name) == expected).then_some(()));
        assert!(reached.is_some(), "{name} is {}, not {expected}", self.metric(name));
    }

    /// Waits until it is ready, or is not and says this; what it says.
    pub(crate) fn until_ready(&self, reason: Option<&str>) -> String {
        let health = within(PATIENCE, || {
            let (status, body) = self.get("/health/ready");
            reason.map_or(status == 200, |reason| status == 503 && body.contains(reason)).then_some(body)
        });
        health.unwrap_or_else(|| panic!("not {reason:?}: {:?}, {}", self.get("/health/ready"), self.whole_log()))
    }
}

/// Waits until it is ready.
impl Deref for Node {
    type Target = Place;

    fn deref(&self) -> &Place {
        self.ready_within(PATIENCE).unwrap_or_else(|| panic!("it is not ready: {}", self.whole_log()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Where it has ended there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks every few milliseconds, until there is an answer or it takes too long.
fn within<T>(most: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + most;
    loop {
        match ask() {
            None if Instant::now() < until => thread::sleep(Duration::from_millis(20)),
            answer => return answer,
        }
    }
}

/// Where a node's clients go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) api: String,
    pub(crate) ws: String,
}

impl Place {
    /// A request with a JSON body; the status and the JSON answer.
    pub(crate) fn http(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.api));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.header("content-type", "application/json").body(body).expect("a legal request");
        let mut answer = agent.run(request).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = answer.body_mut().read_to_string().expect("the answer is text");
        let json =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        (answer.status().as_u16(), json)
    }

    /// Makes an account; its id and token.
    pub(crate) fn sign_up(&self, username: &str) -> (String, String) {
        let body = json!({"username": username, "password": "correct horse battery"});
        let (status, account) = self.http("POST", "/v1/auth/signup", None, Some(&body));
        assert_eq!(status, 201, "{account}");
        (text(&account["user_id"]), text(&account["token"]))
    }

    /// A channel of any kind, as the API has its fields.
    pub(crate) fn channel(&self, token: &str, body: &Value) -> String {
        let (status, channel) = self.http("POST", "/v1/channels", Some(token), Some(body));
        assert!(matches!(status, 200 | 201), "{status} {channel}");
        text(&channel["channel_id"])
    }

    /// The direct channel of two accounts.
    pub(crate) fn direct(&self, token: &str, other: &str) -> String {
        self.channel(token, &json!({"kind": "direct", "user_id": other}))
    }

    /// A new group.
    pub(crate) fn group(&self, token: &str, title: &str, members: &[&str]) -> String {
        self.channel(token, &json!({"kind": "group", "title": title, "member_ids": members}))
    }

    /// Two accounts: their direct channel, and their tokens.
    pub(crate) fn two(&self) -> (String, [String; 2]) {
        let (_, ann) = self.sign_up("ann");
        let (bob_id, bob) = self.sign_up("bob");
        (self.direct(&ann, &bob_id), [ann, bob])
    }

    /// A device, connected.
    pub(crate) fn connect(&self, token: &str, device: &str) -> Client {
        let (client, reply) = Client::connect(&self.ws, token, device, None);
        assert!(reply["connect"].is_object(), "{reply}");
        client
    }
}
