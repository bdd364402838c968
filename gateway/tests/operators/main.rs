//! Operators of a cluster: what they see of its nodes, and how one of them leaves without anybody being cut off.
//!
//! Real `rookery run` processes with links, on a stand-in in this process.

#[path = "../cluster/mod.rs"]
mod cluster;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use cluster::Cluster;
use support::{Client, Node, PATIENCE, rookery, said, text};

const PARTITIONS: u64 = 4_096;

fn nodes(node: &Node) -> Value {
    let (status, body) = node.get("/admin/nodes");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Waits until a node sees this of the nodes.
fn until(node: &Node, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let seen = nodes(node);
        if is_so(&seen) {
            return seen;
        }
        assert!(Instant::now() < until, "{what}: {seen}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether each of so many nodes is a home and has its share, and all links are up.
fn shares(seen: &Value, count: usize) -> bool {
    let nodes = seen["nodes"].as_array().expect("nodes");
    let owned = |node: &Value| node["partitions"].as_u64().expect("a number");
    nodes.len() == count
        && nodes.iter().all(|node| node["standing"] == "home" && owned(node) > PARTITIONS / 2 / count as u64)
        && seen["links"].as_array().expect("links").iter().all(|link| link["state"] == "up")
}

/// A command to the node, by its internal listener.
fn operate(node: &Node, words: &[&str]) -> (i32, String) {
    let internal = node.internal.strip_prefix("http://").expect("an address");
    said(rookery(words).args(["--internal", internal]))
}

#[test]
fn an_operator_sees_every_node_its_share_and_its_links() {
    let cluster = Cluster::start();
    let one = cluster.linked("one").ready();
    assert!(shares(&nodes(&one), 1));
    let two = cluster.linked("two").ready();
    let seen = until(&one, "two nodes share", |seen| shares(seen, 2));
    let mine = seen["nodes"].as_array().expect("nodes").iter().find(|node| node["incarnation"] == seen["asked"]);
    let mine = mine.expect("who was asked is among them");
    assert_eq!((text(&mine["name"]), mine["silent"].as_bool()), ("one".to_owned(), Some(false)), "{mine}");
    assert_eq!(seen["links"].as_array().expect("links").len(), 2, "as many as shards: {seen}");
    one.until_metric("rookery_links_up{shard=\"0\"}", 1);
    // Each counts by the view that it goes by, and shares still move.
    until(&one, "no partition is lost or doubled", |_| {
        one.metric("rookery_partitions") + two.metric("rookery_partitions") == PARTITIONS
    });

    let (code, table) = operate(&one, &["nodes"]);
    assert_eq!(code, 0, "{table}");
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("NODE ") && rows[1].starts_with("one* ") && rows[2].starts_with("two "), "{table}");
    assert!(table.contains("\nLINK TO ") && rows.iter().filter(|row| row.contains(" up ")).count() == 2, "{table}");
    let (_, line) = operate(&two, &["nodes", "--json"]);
    assert!(shares(&serde_json::from_str(&line).expect("JSON"), 2), "{line}");

    // Where no node answers the store does.
    let (code, table) = said(&mut cluster.rookery(&["nodes", "--internal=127.0.0.1:1"]));
    assert!(code == 0 && table.contains("\ntwo ") && table.contains("as the store has it"), "{table}");
    let (code, error) = said(&mut rookery(&["nodes", "--internal=127.0.0.1:1"]));
    assert!(code == 1 && error.contains("no node answers at 127.0.0.1:1"), "{error}");

    let (_, best) = one.http("GET", "/v1/servers/best", None, None);
    let mut urls: Vec<String> = best.as_array().expect("a list").iter().map(|server| text(&server["url"])).collect();
    urls.sort();
    let mut expected = [&one, &two].map(|node| format!("{}/connection/websocket", node.ws));
    expected.sort();
    assert_eq!(urls, expected, "{best}");
}

#[test]
fn a_node_that_drains_sends_its_clients_to_another_and_leaves_nothing_behind() {
    let cluster = Cluster::start();
    let one = cluster.linked("one").ready();
    let two = cluster.linked("two").ready();
    until(&two, "two nodes share", |seen| shares(seen, 2));
    let (_, token) = one.sign_up("ann");
    let mut clients: Vec<Client> = (0..4).map(|device| one.connect(&token, &format!("device-{device}"))).collect();
    // The kernel spreads them over the shards as it likes.
    let sessions = || (0..2).map(|shard| one.metric(&format!("rookery_sessions{{shard=\"{shard}\"}}"))).sum::<u64>();
    until(&one, "four sessions", |_| sessions() == 4);

    let (code, said) = operate(&one, &["drain"]);
    assert_eq!(code, 0, "{said}");
    one.until_ready(Some("node: draining"));
    let began = Instant::now();
    let url = format!("{}/connection/websocket", two.ws);
    for client in &mut clients {
        let push = loop {
            let push = client.push();
            if push["drain"].is_object() {
                break push;
            }
        };
        assert_eq!((text(&push["drain"]["url"]), &push["drain"]["jitter_ms"]), (url.clone(), &json!(500)), "{push}");
    }
    let told = Instant::now();
    eprintln!("told after {:?}", told - began);
    // Whoever does not go by itself is closed once the time for that is over.
    for client in clients {
        assert_eq!(client.closed(), 3001);
    }
    assert!(told.elapsed() >= Duration::from_millis(300), "they had their time: {:?}", told.elapsed());
    let (status, _, log) = one.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("could not hand"), "{log}");
    let seen = until(&two, "it is alone", |seen| shares(seen, 1));
    assert_eq!(seen["nodes"][0]["partitions"], PARTITIONS);
    two.connect(&token, "device-0");
}

#[test]
fn a_node_that_is_alone_drains_as_fast_as_it_stops() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", directory.path(), &[]);
    assert!(shares(&nodes(&node), 1));
    let (_, token) = node.sign_up("ann");
    let client = node.connect(&token, "phone");
    let began = Instant::now();
    let (code, told) = operate(&node, &["drain", "--wait"]);
    assert!(code == 0 && told.contains("it has ended"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(client.closed(), 3001);
    assert_eq!(node.ended().0.code(), Some(0));
}
