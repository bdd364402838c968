//! Whoever finds the links' port and is no node of the cluster, and a node whose connection brings nonsense: each is
//! refused, counted and said by what was wrong, and nobody else notices.
//!
//! Two real `rookery run` processes with links, on a stand-in in this process, and strangers with sockets of their own.

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use link::Secret;
use link::handshake::{Dialer, Identity, Progress, VERSIONS, Versions};
use link::record::Record;
use rustix::process::{Resource, getrlimit, setrlimit};
use schema::Incarnation;
use serde_json::Value;

use cluster::{CLUSTER_SECRET, Cluster};
use support::{Client, Node, PATIENCE, client_msg_id, text};

/// Connections that say nothing, at once.
const SILENT: usize = 2_000;
/// What these may cost the node while they last.
const SILENT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A life that no node has.
const NOBODY: Incarnation = Incarnation(1);

/// A node of the cluster, as strangers know it.
struct Victim<'a> {
    node: &'a Node,
    life: Incarnation,
    links: String,
}

impl<'a> Victim<'a> {
    fn new(node: &'a Node) -> Self {
        let seen = nodes(node);
        let mine = seen["nodes"].as_array().expect("nodes").iter().find(|of| of["incarnation"] == seen["asked"]);
        let mine = mine.expect("who was asked is among them");
        Self { node, life: life(&mine["incarnation"]), links: text(&mine["links"]) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.links).expect("the node listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        stream.set_nodelay(true).expect("a socket takes that");
        stream
    }

    /// Connections that came to nothing for this.
    fn refused(&self, reason: &str) -> u64 {
        self.node.metric(&format!("rookery_links_refused_total{{reason=\"{reason}\"}}"))
    }

    /// Whether links are up, of which the nodes have two.
    fn is_linked(&self) -> bool {
        let seen = nodes(self.node);
        let links = seen["links"].as_array().expect("links");
        links.len() == 2 && links.iter().all(|link| link["state"] == "up")
    }
}

fn nodes(node: &Node) -> Value {
    let (status, body) = node.get("/admin/nodes");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn life(incarnation: &Value) -> Incarnation {
    Incarnation(u64::from_str_radix(&text(incarnation), 16).expect("hexadecimal digits"))
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Who a stranger says it is.
struct Guise {
    secret: [u8; 32],
    me: Incarnation,
    to: Incarnation,
    link: u16,
    versions: Versions,
}

impl Guise {
    /// A node of the cluster that no node knows.
    fn new(victim: &Victim<'_>) -> Self {
        Self { secret: CLUSTER_SECRET, me: NOBODY, to: victim.life, link: 0, versions: VERSIONS }
    }

    /// The first bytes, and what follows them.
    fn dialer(self) -> (Dialer, Vec<u8>) {
        let Self { secret, me, to, link, versions } = self;
        let secret = Secret::new(&secret).expect("long enough");
        let me = Identity { incarnation: me, shards: 2, versions };
        let mut out = Vec::new();
        (Dialer::new(secret, me, to, link, [3; 32], &mut out), out)
    }

    /// Introduces itself. What the node makes of that it says itself.
    fn introduce(self, mut stream: TcpStream) -> TcpStream {
        let (mut dialer, mut out) = self.dialer();
        loop {
            stream.write_all(&out).expect("the node reads");
            out.clear();
            let mut bytes = [0; 512];
            let Ok(count @ 1..) = stream.read(&mut bytes) else { return stream };
            match dialer.received(&bytes[..count], &mut out) {
                Ok(Progress::More(more)) => dialer = more,
                Ok(Progress::Done(_)) | Err(_) => return stream,
            }
        }
    }
}

/// Does this to a node, and sees it counted and said.
fn check(victim: &Victim<'_>, reason: &str, said: &str, act: impl FnOnce(TcpStream)) {
    let before = victim.refused(reason);
    act(victim.connect());
    until(&format!("{reason} is counted"), || victim.refused(reason) > before);
    victim.node.logged(said);
    assert!(victim.is_linked(), "{reason}: the links stay");
}

/// Does this as the other node, whose link breaks by it and is made again.
fn check_link(victim: &Victim<'_>, other: Incarnation, act: impl FnOnce(TcpStream)) {
    until("both links are up", || victim.is_linked());
    let before = victim.node.metric("rookery_links_connected_total");
    act(Guise { me: other, ..Guise::new(victim) }.introduce(victim.connect()));
    until("the stranger's and the other node's connection", || {
        victim.node.metric("rookery_links_connected_total") >= before + 2
    });
    until("both links are up again", || victim.is_linked());
}

/// Closes a connection so that the other end sees it reset.
fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket takes that");
}

#[test]
fn strangers_at_the_links_port_are_refused_and_nobody_notices() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit }).expect("up to the limit");
    let cluster = Cluster::start();
    let (one, two) = (cluster.linked("one").ready(), cluster.linked("two").ready());
    let (victim, other) = (Victim::new(&one), Victim::new(&two));
    until("both links are up", || victim.is_linked() && other.is_linked());
    let (channel, [ann, bob]) = one.two();
    let (mut ann, mut bob) = (one.connect(&ann, "a"), two.connect(&bob, "b"));
    let mut chatted = 0;
    let mut chat = |ann: &mut Client, bob: &mut Client| {
        chatted += 1;
        let body = format!("message {chatted}");
        let reply = ann.send(&channel, &client_msg_id(chatted), &body);
        assert_eq!(reply["send"]["seq"], chatted, "{reply}");
        assert_eq!(bob.push()["message"]["message"]["body"], body);
    };
    chat(&mut ann, &mut bob);

    let guise = || Guise::new(&victim);
    check(&victim, "garbage", "is not how a link between nodes begins", |mut stream| {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("the node reads");
    });
    check(&victim, "secret", "the other node has another cluster secret", |stream| {
        Guise { secret: [1; 32], ..guise() }.introduce(stream);
    });
    check(&victim, "version", "no version is common", |stream| {
        Guise { versions: Versions { oldest: 9, newest: 9 }, ..guise() }.introduce(stream);
    });
    check(&victim, "incarnation", "meant for incarnation 1, and reached", |stream| {
        Guise { to: NOBODY, me: Incarnation(2), ..guise() }.introduce(stream);
    });
    check(&victim, "malformed", "a hello of 65535 bytes is announced", |mut stream| {
        stream.write_all(b"\x89Rookery\xff\xff").expect("the node reads");
    });
    check(&victim, "closed", "closed by the other node before", |mut stream| {
        stream.write_all(&guise().dialer().1[..40]).expect("the node reads");
    });
    check(&victim, "late", "did not introduce itself within 3 s", |mut stream| {
        // As slowly as it may, and slower than it is waited for.
        for byte in guise().dialer().1 {
            thread::sleep(Duration::from_millis(50));
            if stream.write_all(&[byte]).is_err() {
                return;
            }
        }
        panic!("a hello of 74 bytes takes longer than it may");
    });
    check(&victim, "late", "did not introduce itself within 3 s", |mut stream| {
        assert_eq!(stream.read(&mut [0]).expect("it is closed, and not reset"), 0, "nothing is said to a stranger");
    });
    chat(&mut ann, &mut bob);

    // More than may be unproven at a time: the oldest make room, so that a node finds its way in among them.
    let bytes = one.metric("process_resident_memory_bytes");
    let silent: Vec<TcpStream> = (0..SILENT).map(|_| victim.connect()).collect();
    until("the oldest are closed", || victim.refused("crowded") >= SILENT as u64 - 256);
    check_link(&victim, other.life, drop);
    chat(&mut ann, &mut bob);
    let grown = one.metric("process_resident_memory_bytes").saturating_sub(bytes);
    assert!(grown < SILENT_BYTES_MAX, "{SILENT} connections cost {grown} bytes");
    drop(silent);

    // A node that has proven itself, and whose connection brings what is no record, or half of one.
    let resume = {
        let mut bytes = Vec::new();
        Record::Resume { birth: 1, generation: 1, received_through: 0 }.put(&mut bytes);
        bytes
    };
    check_link(&victim, other.life, |mut stream| stream.write_all(&[0xff; 64]).expect("the node reads"));
    one.logged("a link is closed");
    check_link(&victim, other.life, |mut stream| {
        stream.write_all(&resume).expect("the node reads");
        stream.write_all(&[0, 0, 1, 0, 2, 7, 7]).expect("the node reads");
        thread::sleep(Duration::from_millis(100));
        reset(&stream);
    });
    check_link(&victim, other.life, |mut stream| {
        // An announced megabyte that never comes: it is not waited for, the other node takes its link back.
        stream.write_all(&resume).expect("the node reads");
        stream.write_all(&[0, 0, 16, 0, 2, 7, 7]).expect("the node reads");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    });
    chat(&mut ann, &mut bob);
    for node in [one, two] {
        assert!(node.terminate().success());
    }
}
