//! The API as its own document describes it: schemathesis, which nobody here wrote, calls a real node by `/openapi.json`.
//!
//! `ROOKERY_SCHEMATHESIS` names the program; without it this test says that it checks nothing. The gate sets it.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use support::{Node, rookery, said};

/// Requests of each operation that are made up, beside those at the borders of its schema.
const EXAMPLES: &str = "20";

#[test]
fn no_answer_is_other_than_the_document_says() {
    let Some(program) = std::env::var_os("ROOKERY_SCHEMATHESIS") else {
        eprintln!("NOT CHECKED: ROOKERY_SCHEMATHESIS names no schemathesis");
        return;
    };
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let (_, token) = node.sign_up("ann");
    let internal = node.internal.trim_start_matches("http://").to_owned();
    let (code, app) = said(rookery(&["app", "create", "shop", "--server", "--internal"]).arg(internal));
    assert_eq!(code, 0, "{app}");
    let part = |name: &str| {
        let line = app.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {app}")).trim().to_owned()
    };
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/schemathesis.toml");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(config).arg("run").arg(format!("{}/openapi.json", node.api));
    command.args(["--url", &node.api, "--checks", "all", "--exclude-checks", "positive_data_acceptance"]);
    command.args(["--max-examples", EXAMPLES, "--seed", "1", "--phases", "examples,coverage,fuzzing"]);
    // What a user may ask in a second.
    command.args(["--rate-limit", "90/s", "--continue-on-failure", "--no-color"]);
    // It keeps what it has found beside where it runs.
    command.current_dir(data.path());
    command.env("ROOKERY_TOKEN", token).env("ROOKERY_APP_KEY", part("key")).env("ROOKERY_APP_SECRET", part("secret"));
    let output = command.output().expect("schemathesis runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    // Whoever was not let in has tried nothing; but no hook may call what it makes up.
    let shut_out = told.lines().find_map(|line| line.trim().strip_prefix("Authentication failed: "));
    assert!(shut_out.is_none_or(|rest| rest.starts_with("1 operation ")), "{told}");
    let passed = told.lines().find_map(|line| line.trim().split_once(" generated, ")).expect("it counts");
    assert!(passed.0.parse::<u32>().is_ok_and(|count| count > 1_000), "{told}");
    eprintln!("{} generated, {}", passed.0, passed.1);
}
