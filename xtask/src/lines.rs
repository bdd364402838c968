//! `cargo xtask lines`: lines of code by crate, now or in a commit.
//!
//! Owns what counts: lines of Rust, and of the page's scripts, styles and markup, that are neither blank nor comment.
//! Tests are whole files below `tests`, `benches` and `examples`, files named `tests.rs`, and what follows
//! `#[cfg(test)] mod …` in a file. Tools are the crates that are not shipped, without their tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;

use crate::sources::{self, Line};

/// Crates that are not shipped.
const TOOLS: [&str; 4] = ["sim", "loadgen", "xtask", "storage/standin"];
/// Where generated code lies.
const GENERATED: &str = "schema/src/generated/";

/// The columns of the table.
const COLUMNS: [&str; 4] = ["product", "tests", "tools", "generated"];

/// The table of the working tree, or of a commit.
///
/// # Errors
/// Of git.
pub(crate) fn table(commit: Option<&str>) -> Result<String> {
    let mut counts: BTreeMap<String, [usize; COLUMNS.len()]> = BTreeMap::new();
    for source in sources::all(commit, &["rs", "js", "mjs", "css", "html"])? {
        let package = source.package();
        let tool = TOOLS.contains(&package.as_str()) || source.path.starts_with("storage/src/bin/");
        let generated = source.path.starts_with(GENERATED);
        for (line, _) in source.lines() {
            let column = match line {
                Line::Blank | Line::Comment => continue,
                Line::Product | Line::Test if generated => 3,
                Line::Test => 1,
                Line::Product if tool => 2,
                Line::Product => 0,
            };
            counts.entry(package.clone()).or_default()[column] += 1;
        }
    }
    let mut table = format!("{:<18}", "crate");
    for column in COLUMNS {
        write!(table, "{column:>11}")?;
    }
    let mut sum = [0; COLUMNS.len()];
    for counts in counts.values() {
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    for (package, counts) in counts.iter().map(|(package, counts)| (package.as_str(), counts)).chain([("all", &sum)]) {
        write!(table, "\n{package:<18}")?;
        for count in counts {
            write!(table, "{count:>11}")?;
        }
    }
    writeln!(table, "\nby hand {}", sum[0] + sum[1] + sum[2])?;
    Ok(table)
}
