//! The documents of a real node, by programs that nobody here wrote: schemathesis calls the API as `/openapi.json` says, and validators
//! read that and `/asyncapi.json`.
//!
//! `ROOKERY_SCHEMATHESIS` and `ROOKERY_OPENAPI_VALIDATOR` name programs, `ROOKERY_ASYNCAPI` a directory whose `node_modules` has what
//! `package.json` lists. A test without its program says that it checks nothing. The gate sets them.

#[path = "../support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Node, rookery, said};

/// Requests of each operation that are made up, beside those at the borders of its schema.
const EXAMPLES: &str = "20";

/// Operations that may refuse whatever is tried: no hook may call what is made up, members change settings of their own
/// alone, and nobody makes up a signature.
const SHUT_OUT: [&str; 5] = [
    "POST /v1/hooks",
    "POST /v1/hooks/{hook_id}/replay",
    "POST /v1/hooks/{hook_id}/resume",
    "PATCH /v1/channels/{channel_id}/members/{user_id}",
    "GET /v1/media/{media_id}/{variant}",
];

/// The value of a variable that names a program; without it, what is not checked.
fn program(variable: &str, what: &str) -> Option<OsString> {
    let program = std::env::var_os(variable);
    if program.is_none() {
        eprintln!("NOT CHECKED: {variable} names no {what}");
    }
    program
}

/// Fails if a command that is given the file of a document, as a node serves it, has anything against it. What it says else.
fn check(path: &str, command: &mut Command) -> String {
    let data = tempfile::tempdir().expect("a directory");
    let node = Node::start("run", data.path(), &["--shards", "1"]);
    let mut answer = ureq::get(format!("{}{path}", node.api)).call().expect("it is served");
    let file = data.path().join("document.json");
    fs::write(&file, answer.body_mut().read_to_string().expect("text")).expect("it is written");
    let output = command.arg(file).output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{path}: {told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

#[test]
fn the_document_of_the_api_is_one_of_openapi() {
    let Some(program) = program("ROOKERY_OPENAPI_VALIDATOR", "openapi-spec-validator") else { return };
    check("/openapi.json", Command::new(program).args(["--schema", "3.1", "--validation-errors", "all"]));
}

#[test]
fn the_document_of_the_websocket_is_one_of_asyncapi() {
    let Some(packages) = program("ROOKERY_ASYNCAPI", "directory with @asyncapi/parser") else { return };
    // Node looks for packages where a script lies.
    let script = tempfile::Builder::new().suffix("-asyncapi.js").tempfile_in(packages);
    let script = script.expect("ROOKERY_ASYNCAPI is a directory that can be written");
    fs::write(&script, include_str!("asyncapi.js")).expect("it is written");
    let told = check("/asyncapi.json", Command::new("node").arg(script.path()));
    assert_eq!(told, "3.0.0: 29 operations, 45 messages\n");
}

#[test]
fn no_answer_is_other_than_the_document_says() {
    let Some(program) = program("ROOKERY_SCHEMATHESIS", "schemathesis") else { return };
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
    // Whoever was not let in has tried nothing.
    let refused = told.lines().skip_while(|line| !line.starts_with("403 Forbidden (")).skip(1);
    let refused: Vec<_> = refused.map_while(|line| line.trim().strip_prefix("- ")).collect();
    assert!(refused.contains(&SHUT_OUT[0]), "{told}");
    assert!(refused.iter().all(|operation| SHUT_OUT.contains(operation)), "{told}");
    assert!(!told.contains("401 Unauthorized ("), "{told}");
    let passed = told.lines().find_map(|line| line.trim().split_once(" generated, ")).expect("it counts");
    assert!(passed.0.parse::<u32>().is_ok_and(|count| count > 1_000), "{told}");
    eprintln!("{} generated, {}", passed.0, passed.1);
}
