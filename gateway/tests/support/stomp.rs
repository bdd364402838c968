//! STOMP clients that nobody here wrote: `@stomp/stompjs` in Node and in Chromium, and PyPI's `stomp.py`.
//!
//! `ROOKERY_STOMPJS` names a directory whose `node_modules` has what `tests/stomp/package.json` lists, `ROOKERY_PYTHON` a Python
//! with `stomp.py` and `websocket-client`, `CHROMIUM` a browser. Without them the tests say that they check nothing. The gate sets the first two.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Place;

/// Two accounts with a direct channel, for scripts, and what else they need.
pub(crate) fn stomp_facts(place: &Place, more: &Value) -> Value {
    let (ann_id, ann) = place.sign_up("ann");
    let (bob_id, bob) = place.sign_up("bob");
    let mut facts = json!({
        "ws": place.ws, "channel": place.direct(&ann, &bob_id),
        "ann": {"id": ann_id, "token": ann}, "bob": {"id": bob_id, "token": bob},
    });
    let more = more.as_object().expect("an object").clone();
    facts.as_object_mut().expect("an object").extend(more);
    facts
}

/// Runs a script of `tests/stomp`, which fails if its checks do. Returns whether there was something to run it.
pub(crate) fn check_stomp(script: &str, facts: &Value) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stomp").join(script);
    if script.ends_with(".py") {
        let Some(python) = env::var_os("ROOKERY_PYTHON") else {
            eprintln!("NOT CHECKED: ROOKERY_PYTHON names no Python with stomp.py and websocket-client");
            return false;
        };
        run(Command::new(python).arg(&source), facts);
        return true;
    }
    let Some(packages) = env::var_os("ROOKERY_STOMPJS") else {
        eprintln!("NOT CHECKED: ROOKERY_STOMPJS names no directory with @stomp/stompjs and ws");
        return false;
    };
    // Node looks for packages where a script lies.
    let copy = tempfile::Builder::new().suffix(&format!("-{script}")).tempfile_in(&packages);
    let copy = copy.expect("ROOKERY_STOMPJS is a directory that can be written");
    std::fs::copy(source, &copy).expect("it can be written");
    run(Command::new("node").arg(copy.path()), facts);
    true
}

/// A browser, if there is one.
pub(crate) fn chromium() -> Option<OsString> {
    let names = ["chromium", "chromium-browser", "google-chrome"].map(OsString::from);
    let mut names = env::var_os("CHROMIUM").into_iter().chain(names);
    let found = names.find(|name| Command::new(name).arg("--version").output().is_ok_and(|said| said.status.success()));
    if found.is_none() {
        eprintln!("NOT CHECKED: there is no chromium here");
    }
    found
}

fn run(command: &mut Command, facts: &Value) {
    let output = command.arg(facts.to_string()).output().expect("it runs");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with("OK\n"), "{command:?}:\n{said}{wrong}");
}
