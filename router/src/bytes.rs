//! Bytes of a session that is logged in and idle, type by type: the table in docs/measurements.md is what this makes.
//!
//! Owns the table's form and what an entry of a map takes beside its bytes. `counts/` has the same counted by an allocator.

use std::fmt::Write as _;

use crate::{home, session, shard, timers};

/// The document, and what stands before and behind the table.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/measurements.md");
const BEGIN: &str = "<!-- bytes of a session: begin -->\n";
const END: &str = "<!-- bytes of a session: end -->\n";

/// Entries that a node of a `BTreeMap` has room for.
const NODE_ENTRIES: f64 = 11.0;
/// Bytes of a node beside its entries: its parent, its place there, their number; and of an inner one the nodes below it.
const NODE_BYTES: f64 = 16.0;
const BELOW_BYTES: f64 = 12.0 * 8.0;

/// How something is kept.
#[derive(Debug, Clone, Copy)]
enum Kept {
    /// By itself.
    Alone,
    /// In a map whose keys come in order: its nodes are left as they are split, with six entries.
    MapInOrder,
    /// In a map whose keys come in any order: seven of ten places are taken.
    MapInAnyOrder,
    /// In a list that doubles: three of four places are taken.
    List,
}

impl Kept {
    /// What an entry of so many bytes takes.
    fn bytes(self, entry: usize) -> f64 {
        let entry = entry as f64;
        let in_map = |taken: f64| {
            let leaf = NODE_ENTRIES * entry + NODE_BYTES;
            leaf / taken + (leaf + BELOW_BYTES) / taken / taken
        };
        match self {
            Self::Alone => entry,
            Self::MapInOrder => in_map(6.0),
            Self::MapInAnyOrder => in_map(0.7 * NODE_ENTRIES),
            Self::List => entry / 0.75,
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Alone => "by itself",
            Self::MapInOrder => "in a map in order",
            Self::MapInAnyOrder => "in a map in any order",
            Self::List => "in a list",
        }
    }
}

/// What it is, its bytes, and how it is kept.
fn rows() -> Vec<(&'static str, usize, Kept)> {
    use Kept::{Alone, List, MapInAnyOrder, MapInOrder};
    let parts: [&[(&'static str, usize)]; 4] = [&shard::BYTES, &session::BYTES, &timers::BYTES, &home::BYTES];
    let kept = [
        [MapInOrder; shard::BYTES.len()].as_slice(),
        &[Alone; session::BYTES.len()],
        &[List; timers::BYTES.len()],
        &[MapInAnyOrder, Alone, Alone, MapInAnyOrder, MapInAnyOrder],
    ];
    let all = parts.concat().into_iter().zip(kept.concat());
    all.map(|((what, bytes), kept)| (what, bytes, kept)).collect()
}

fn table() -> String {
    let mut text = "\n| in the router | bytes | kept | with its place |\n|---|---|---|---|\n".to_owned();
    let mut sum = 0.0;
    for (what, bytes, kept) in rows() {
        let with_place = kept.bytes(bytes);
        sum += with_place;
        writeln!(text, "| {what} | {bytes} | {} | {with_place:.0} |", kept.says()).expect("memory is there");
    }
    writeln!(text, "| all of it | | | **{sum:.0}** |\n").expect("memory is there");
    text
}

/// Between marks, written anew with `ROOKERY_GOLDEN=write`.
#[test]
#[expect(clippy::disallowed_methods, reason = "I1 is of what ships: a test may be told to write")]
fn the_document_has_the_bytes_of_a_session_as_they_are() {
    let document = std::fs::read_to_string(DOCUMENT).expect("the document");
    let (before, rest) = document.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where it ends");
    let made = format!("{before}{BEGIN}{}{END}{after}", table());
    if std::env::var("ROOKERY_GOLDEN").as_deref() == Ok("write") {
        std::fs::write(DOCUMENT, &made).expect("the document is written");
        return;
    }
    assert!(
        made == document,
        "docs/measurements.md has another table: ROOKERY_GOLDEN=write cargo test -p router bytes"
    );
}

#[test]
fn a_session_that_waits_is_small() {
    let of = |what: &str, rows: &[(&str, usize)], bound_bytes: usize| {
        let bytes: usize = rows.iter().map(|(_, bytes)| bytes).sum();
        assert!(bytes <= bound_bytes, "{what}: {bytes} bytes in {rows:?}");
    };
    of("before connect and live, without its device's name", &session::BYTES[..2], 96 + 96);
    of("at its home, with its device's name", &home::BYTES, 80 + 120 + 8 + 40 + 16);
}
