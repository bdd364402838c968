//! `loadgen` with the key of a real node: accounts that an operator made, and sessions without a password's cost.

mod real;
mod running;

use std::fs;

use real::Node;
use running::count;

#[test]
fn the_key_of_a_node_opens_sessions_of_accounts_without_a_password() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("a directory");
    let users = real::said(&["store", "accounts", "--prefix", "load_", "--count", "3", "--data"], &data);
    fs::write(directory.path().join("users"), &users).expect("written");
    fs::write(directory.path().join("two"), users.lines().take(2).collect::<Vec<_>>().join("\n")).expect("written");
    let node = Node::start(&data);
    let run = |arguments: &str| {
        let (ws, api, at) = (&node.ws, &node.api, directory.path().display());
        let files = format!("--token-key {at}/data/token.key --accounts {at}/accounts");
        running::run(&format!("{arguments} --url {ws} --api {api} --json {files}").replace("USERS", &format!("{at}/")))
    };
    let check = |arguments: &str, code: i32, expected: &str| {
        let (got, report, stderr) = run(arguments);
        assert!(got == code && stderr.contains(expected), "{arguments}: {got} {report} {stderr}");
        report
    };
    let report = check("idle --connections 48 --devices 16 --seconds 0.3 --users USERSusers", 0, "48 connections");
    assert_eq!((count(&report, "closed"), count(&report, "connections")), (0, 48));
    let report = check("echo --connections 6 --devices 2 --seconds 0.3 --warmup 0 --users USERSusers", 0, "");
    assert!(count(&report, "acked") > 0, "{report}");
    let report = check("chat --connections 2 --seconds 0.3 --warmup 0 --users USERSusers", 0, "");
    assert!(count(&report, "delivered") > 0, "{report}");
    // Accounts of its own, which are signed up and then spoken for by the key.
    let report = check("chat --connections 2 --seconds 0.3 --warmup 0", 0, "");
    assert!(count(&report, "delivered") > 0, "{report}");

    check("idle --connections 33 --devices 16 --users USERStwo", 2, "names 2 accounts, 3 are needed; make more with");
    fs::write(directory.path().join("none"), "load_0\n").expect("written");
    check("idle --connections 1 --users USERSnone", 2, "line 1: \"load_0\" does not begin with an account's id");
    fs::write(directory.path().join("others"), "7 ann\n").expect("written");
    check("idle --connections 1 --users USERSothers", 2, "does not know the accounts of --users");
}
