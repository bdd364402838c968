//! STOMP by clients that nobody here wrote, against real nodes: `@stomp/stompjs` in Node.
//!
//! `ROOKERY_STOMPJS` names a directory whose `node_modules` has what `package.json` here lists; without it these tests say
//! that they check nothing. The gate sets it.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::Node;

/// Runs a script of this directory, which fails if its checks do. Scripts find packages where they lie, so they are copied
/// to the packages.
fn check(script: &str, facts: &Value) {
    let Some(packages) = std::env::var_os("ROOKERY_STOMPJS") else {
        eprintln!("NOT CHECKED: ROOKERY_STOMPJS names no directory with @stomp/stompjs and ws");
        return;
    };
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stomp");
    let copy = Path::new(&packages).join(format!("{}-{script}", std::process::id()));
    std::fs::copy(here.join(script), &copy).expect("ROOKERY_STOMPJS is a directory that can be written");
    let output = Command::new("node").arg(&copy).arg(facts.to_string()).output().expect("node runs");
    std::fs::remove_file(&copy).expect("it was written above");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("OK\n"), "{script} with {facts}:\n{said}{wrong}");
}

#[test]
fn two_clients_talk_in_each_version() {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "2"]);
    let (ann_id, ann) = node.sign_up("ann");
    let (bob_id, bob) = node.sign_up("bob");
    let channel = node.direct(&ann, &bob_id);
    for versions in [json!(["1.2", "1.1", "1.0"]), json!(["1.1"]), json!(["1.0"])] {
        let facts = json!({
            "ws": node.ws, "channel": channel, "versions": versions,
            "ann": {"id": ann_id, "token": ann}, "bob": {"id": bob_id, "token": bob},
        });
        check("talk.js", &facts);
    }
}
