//! `loadgen plan`: from who will use it and what was measured to nodes, memory, network and disk.
//!
//! Owns the order of the plan and its two forms, a text in which each line shows its arithmetic, and JSON. The figures
//! that go in are in `known`, the arithmetic in `estimate`. Connects to nothing.

mod estimate;
pub(crate) mod figures;
pub(crate) mod known;

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use self::estimate::estimate;
use self::figures::{Figures, Known};
use self::known::{CONSTANTS, PROFILE};

/// One figure of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) figure: f64,
    pub(crate) unit: &'static str,
    /// How it comes about, in numbers.
    pub(crate) arithmetic: String,
}

/// A plan.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    lines: Vec<Line>,
    warnings: Vec<String>,
    profile: Figures,
    constants: Figures,
}

/// The plan for a profile, by constants of a file that `calibrate` wrote, or by those of the documents.
///
/// # Errors
/// A file is wrong.
pub(crate) fn run(profile: &Path, constants: Option<&Path>) -> anyhow::Result<Plan> {
    let profile = Figures::read("--profile", profile, &PROFILE)?;
    let constants = match constants {
        Some(path) => Figures::read("--constants", path, &CONSTANTS)?,
        None => Figures::defaults(&CONSTANTS),
    };
    let (lines, warnings) = estimate(&profile, &constants);
    Ok(Plan { lines, warnings, profile, constants })
}

impl Plan {
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("it has only strings as keys and no number that JSON lacks")
    }

    pub(crate) fn text(&self) -> String {
        let Self { lines, warnings, profile, constants } = self;
        let mut text = String::new();
        for Line { what, figure, unit, arithmetic } in lines {
            writeln!(text, "{what:<34} {:>10} {unit:<12} = {arithmetic}", said(*figure)).expect("a String takes all");
        }
        for warning in warnings {
            writeln!(text, "! {warning}").expect("a String takes all");
        }
        text.push_str("\nPlanned for\n");
        for &Known { name, says, .. } in &PROFILE {
            writeln!(text, "  {name:<34} {:>10}  {says}", said(profile[name])).expect("a String takes all");
        }
        text.push_str("\nPlanned with\n");
        for &Known { name, default, says, source, .. } in &CONSTANTS {
            let figure = constants[name];
            let source = if default == Some(figure) { source } else { "--constants" };
            writeln!(text, "  {name:<34} {:>10}  {says} ({source})", said(figure)).expect("a String takes all");
        }
        text
    }
}

/// A number with three digits or so, and a word for its size.
pub(crate) fn said(figure: f64) -> String {
    let (scaled, word) = match figure.abs() {
        ..1e4 => (figure, ""),
        1e4..1e6 => (figure / 1e3, "k"),
        1e6..1e9 => (figure / 1e6, "M"),
        1e9..1e12 => (figure / 1e9, "G"),
        _ => (figure / 1e12, "T"),
    };
    let digits = match scaled.abs() {
        ..10.0 if scaled.fract() != 0.0 => 2,
        ..100.0 if scaled.fract() != 0.0 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$}{word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_said_short() {
        check(0.0, "0");
        check(2.0, "2");
        check(1.234, "1.23");
        check(44.6, "44.6");
        check(9_999.0, "9999");
        check(69_444.4, "69.4k");
        check(50e6, "50M");
        check(2.5e12, "2.50T");
    }

    fn check(figure: f64, expected: &str) {
        assert_eq!(said(figure), expected);
    }

    #[test]
    fn every_constant_is_in_the_document_that_it_names() {
        let documents = [
            ("docs/measurements.md", include_str!("../../../docs/measurements.md")),
            ("docs/foundationdb.md", include_str!("../../../docs/foundationdb.md")),
        ];
        for Known { name, source, .. } in &CONSTANTS {
            let (document, heading) = source.split_once(", ").expect("a document and its heading");
            let (_, text) = documents.iter().find(|(path, _)| *path == document).expect("one of the documents");
            assert!(text.lines().any(|line| line.trim_start_matches('#').trim() == heading), "{name}: {source}");
        }
    }
}
