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
const TOOLS: [&str; 7] = ["sim", "loadgen", "counts", "xtask", "storage/contract", "storage/lies", "storage/standin"];
/// Where generated code lies.
const GENERATED: &str = "schema/src/generated/";

/// The columns of the table.
const COLUMNS: [&str; 4] = ["product", "tests", "tools", "generated"];

/// The table of the working tree, or of a commit. In commits from before `storage/` was several crates, its folders are
/// counted as crates; the sum is right.
///
/// # Errors
/// Of git.
pub(crate) fn table(commit: Option<&str>) -> Result<String> {
    let mut counts: BTreeMap<String, [usize; COLUMNS.len()]> = BTreeMap::new();
    for source in sources::all(commit, &["rs", "js", "mjs", "css", "html"])? {
        let package = source.package();
        let tool = TOOLS.contains(&package.as_str());
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
    let sum: [usize; 4] = std::array::from_fn(|column| counts.values().map(|counts| counts[column]).sum());
    let mut table = format!("{:<18}", "crate");
    COLUMNS.iter().try_for_each(|column| write!(table, "{column:>11}"))?;
    for (package, counts) in counts.iter().map(|(package, counts)| (package.as_str(), counts)).chain([("all", &sum)]) {
        write!(table, "\n{package:<18}")?;
        counts.iter().try_for_each(|count| write!(table, "{count:>11}"))?;
    }
    writeln!(table, "\nby hand {}", sum[0] + sum[1] + sum[2])?;
    Ok(table)
}
