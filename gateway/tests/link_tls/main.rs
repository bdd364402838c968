//! Nodes whose links are encrypted: those of one authority work as one, and nobody else is let in.
//!
//! Real `rookery run` processes with links, on a stand-in in this process, and certificates made for them.

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use cluster::Cluster;
use support::{Node, PATIENCE, client_msg_id, text};

/// Whose certificates nodes believe.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// What a node is told to use a certificate of this authority and to believe `believed`; the files are in `at`.
    fn flags(&self, at: &Path, node: &str, believed: &Self) -> [String; 3] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["rookery".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").pem();
        let files = [("certificate", certificate), ("key", key.serialize_pem()), ("ca", believed.pem.clone())];
        files.map(|(what, pem)| {
            let path = at.join(format!("{node}.{what}.pem"));
            fs::write(&path, pem).expect("written");
            format!("--cluster.tls_{what}_file={}", path.display())
        })
    }
}

fn start(cluster: &Cluster, name: &str, flags: &[String]) -> Node {
    cluster.linked_with(name, &flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What a node shows of all nodes, once both links are up.
fn linked(node: &Node) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let (_, body) = node.get("/admin/nodes");
        let seen: Value = serde_json::from_str(&body).expect("JSON");
        let links = seen["links"].as_array().expect("links");
        if links.len() == 2 && links.iter().all(|link| link["state"] == "up") {
            return seen;
        }
        assert!(Instant::now() < until, "both links are up: {body}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn nodes_of_one_authority_are_a_cluster_and_nobody_else_is_let_in() {
    let cluster = Cluster::start();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let flags = |name: &str| ours.flags(cluster.path(), name, &ours);
    let one = start(&cluster, "one", &flags("one")).ready();
    let two = start(&cluster, "two", &flags("two")).ready();
    let seen = linked(&one);
    let (channel, [ann, bob]) = one.two();
    let (mut ann, mut bob) = (one.connect(&ann, "a"), two.connect(&bob, "b"));
    for number in 1..=20 {
        // Some of more than one of TLS's records.
        let body = format!("{number} ").repeat(if number % 5 == 0 { 20_000 } else { 1 });
        let reply = ann.send(&channel, &client_msg_id(number), &body);
        assert_eq!(reply["send"]["seq"], number, "{reply}");
        let push = bob.push();
        assert!(push["message"]["message"]["body"] == body, "message {number}");
    }

    // A stranger without TLS hears nothing of a node, and is counted.
    let mine = seen["nodes"].as_array().expect("nodes").iter().find(|of| of["incarnation"] == seen["asked"]);
    let mut stranger = TcpStream::connect(text(&mine.expect("who was asked")["links"])).expect("the node listens");
    stranger.write_all(b"\x89Rookery").expect("the node reads");
    let mut heard = Vec::new();
    let _ = stranger.read_to_end(&mut heard);
    assert!(heard.len() < 16, "at most an alert: {heard:?}");
    one.until_metric("rookery_links_refused_total{reason=\"tls\"}", 1);
    one.logged("no TLS with the other end");

    // A node that is given something else says so, and is none.
    let check = |name: &str, flags: &[String], line: &str| {
        let (status, _, log) = start(&cluster, name, flags).ended();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(line), "{line}: {log}");
    };
    let other = "on this store has another cluster.secret_file or cluster.tls_ca_file";
    check("plain", &[], other);
    check("foreign", &theirs.flags(cluster.path(), "foreign", &theirs), other);
    assert_eq!(linked(&one)["nodes"].as_array().expect("nodes").len(), 2);
    for node in [one, two] {
        assert!(node.terminate().success());
    }
}

#[test]
fn a_certificate_that_is_none_of_the_cluster_ends_its_node_at_the_start() {
    let cluster = Cluster::start();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let data = tempfile::tempdir().expect("a directory");
    let check = |flags: &[String], said: &str| {
        let secret = cluster.path().join("cluster.secret");
        support::private_file(&secret, &cluster::CLUSTER_SECRET);
        let mut command = cluster.rookery(&["run", "--api=127.0.0.1:0", "--ws=127.0.0.1:0", "--internal=127.0.0.1:0"]);
        command.args(["--links=127.0.0.1:0", "--cluster.secret_file"]).arg(secret).args(flags);
        command.arg("--data").arg(data.path());
        let (code, error) = support::said(&mut command);
        assert!(code == 1 && error.contains(said), "{said}: {error}");
    };
    check(&theirs.flags(cluster.path(), "one", &ours), "no node would let ");
    check(&ours.flags(cluster.path(), "two", &ours)[..2], "name all three");
    let [certificate, _, ca] = ours.flags(cluster.path(), "three", &ours);
    let [_, key, _] = ours.flags(cluster.path(), "four", &ours);
    check(&[certificate, key, ca], "are no pair");
}
