//! Citations of the invariants: each has its rule in ARCHITECTURE.md, an assertion, a checker of the simulator and a
//! test.
//!
//! A kind that cannot exist is excused by the rule itself, which says `No assertion:` or `No checker:` and why.

use crate::sources::{self, Line, Source};

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

/// The invariants that are reached, each with its rule.
fn rules() -> Vec<(&'static str, &'static str)> {
    let section = ARCHITECTURE.split("\n## Invariants\n").nth(1).expect("the section is there");
    let section = section.split("\n## ").next().expect("text before the next");
    let rules = section.split("\n- **").skip(1);
    rules.map(|rule| rule.split_once("** ").expect("- **I3** then its rule")).collect()
}

/// Whether the line names the invariant, and not one whose number begins with the same digit.
fn cites(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// The kinds of citation of one invariant among sources: assertion, checker, test.
fn kinds(name: &str, sources: &[Source]) -> [bool; 3] {
    let mut kinds = [false; 3];
    let message = format!("\"{name}");
    for source in sources {
        // This file names some to try itself.
        if source.path == "xtask/src/invariants.rs" {
            continue;
        }
        let tests = source.path.contains("/tests/") || source.path.ends_with("/tests.rs");
        for (line, text) in source.lines().filter(|(_, text)| cites(text, name)) {
            match line {
                _ if tests => kinds[2] = true,
                Line::Test => kinds[2] = true,
                Line::Product | Line::Comment if source.path.starts_with("sim/src/") => kinds[1] = true,
                Line::Product if text.contains(&message) => kinds[0] = true,
                Line::Product | Line::Comment | Line::Blank => {}
            }
        }
    }
    kinds
}

#[test]
fn every_invariant_that_is_reached_has_an_assertion_a_checker_and_a_test() {
    let sources = sources::all(None, &["rs", "toml"]).expect("git lists the sources");
    let names: Vec<_> = rules().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "I14", "I15"]);
    for (name, rule) in rules() {
        let found = kinds(name, &sources);
        for (kind, excuse, found) in [
            ("assertion", "No assertion:", found[0]),
            ("checker in sim/src", "No checker:", found[1]),
            ("test", "No test:", found[2]),
        ] {
            assert!(found != rule.contains(excuse), "{name}: {kind} found: {found}, and its rule is {rule:?}");
        }
    }
}

#[test]
fn a_citation_is_of_one_kind() {
    let check = |path: &str, text: &str, expected: [bool; 3]| {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(kinds("I1", &[source]), expected, "{path}: {text}");
    };
    check("router/src/a.rs", "assert!(a, \"I1: {a}\");", [true, false, false]);
    check("router/src/a.rs", "assert!(a, \"I12: {a}\");", [false; 3]);
    check("router/src/a.rs", "//! Upholds I1.", [false; 3]);
    check("router/clippy.toml", "reason = \"I1: no clock\"", [true, false, false]);
    check("router/tests/a.rs", "//! Nothing is lost (I1).", [false, false, true]);
    check("router/src/a.rs", "#[cfg(test)]\nmod tests {\nassert!(a, \"I1: {a}\");\n}", [false, false, true]);
    check("sim/src/a.rs", "//! I1: the rule.", [false, true, false]);
    check("sim/tests/a.rs", "\"I1\"", [false, false, true]);
}
