//! `loadgen feed` as a user runs it, with a node of its own that was built beside, at a size that a test may have.

mod running;

use serde_json::Value;

/// A run of few accounts that is compared and comes out clean, with what it tells of feeds.
#[track_caller]
fn clean(arguments: &str) -> Value {
    let small = "--json --users 80 --friends 6 --stars 2 --friends-of-stars 40 --publish 15 --read 40 --lives 1";
    let (code, report, stderr) = running::run(&format!("feed {small} {arguments}"));
    assert_eq!(code, 0, "{report} {stderr}");
    let faults = ["lost", "duplicated", "out_of_order"].map(|name| running::count(&report, name));
    let of_feeds = ["forbidden", "stale", "mismatched", "miscounted", "unacknowledged"];
    let others = of_feeds.map(|name| running::count(&report["feed"], name));
    assert_eq!((faults, others), ([0; 3], [0; 5]), "{report} {stderr}");
    assert!(running::count(&report["feed"], "compared") > 80, "{report}");
    assert!(running::count(&report, "acked") > 20 && running::count(&report, "delivered") > 500, "{report}");
    report
}

#[test]
fn what_people_write_comes_into_the_feeds_of_their_friends() {
    let report = clean("--port 22100 --seconds 5 --seed 3");
    let rows = running::count(&report["feed"]["burst"], "rows");
    assert_eq!(rows, 2 * 4 * 40, "each of four posts of two authors into forty feeds: {report}");
    for what in ["publish", "page", "like", "warm", "cold", "warm-many", "cold-many"] {
        assert!(running::count(&report["latencies_us"][what], "count") > 0, "{what} in {report}");
    }
}

#[test]
fn a_node_that_is_killed_loses_and_doubles_nothing() {
    let report = clean("--port 22120 --seconds 8 --kills 2");
    assert_eq!(running::count(&report["feed"]["kills"], "kills"), 2, "{report}");
}

#[test]
fn an_author_that_crosses_the_border_is_read_as_before() {
    let report = clean("--port 22140 --seconds 6 --cross --read-fanout-from 40");
    let crossing = &report["feed"]["crossing"];
    assert!(running::count(crossing, "up") >= 1 && running::count(crossing, "down") >= 1, "{report}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_started() {
    let check = |arguments: &str, expected: &str| {
        let (code, _, stderr) = running::run(&format!("feed {arguments}"));
        assert!(code == 2 && stderr.contains(expected), "{arguments}: {code} {stderr}");
    };
    check("--users 50 --stars 4 --friends-of-stars 47", "4 authors with 47 friends each need more than 50 accounts");
    check("--stars 0 --kills 1", "--kills needs --stars");
    check("--fail-if feed.chat.ratio>2", "this report has no metric \"feed.chat.ratio\"");
    check("--rookery no-such-file", "no-such-file is missing");
}
