//! A comparison as a table for people, or as one JSON object.

use std::fmt::Write as _;

use super::noise::Difference;
use super::{Compared, Row};

impl Compared {
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("it has only strings as keys and no number that JSON lacks")
    }

    pub(crate) fn text(&self) -> String {
        let Self { command, warnings, seconds, whole } = self;
        let mut text = format!("{command}: A before, B after\n");
        let mut line = |words: std::fmt::Arguments<'_>| {
            text.write_fmt(words).expect("a String takes everything");
            text.push('\n');
        };
        warnings.iter().for_each(|warning| line(format_args!("  ! {warning}")));
        let head = |what: &str| format!("{what:<46} {:>12} {:>12} {:>7} {:>8}", "A", "B", "B/A", "spread");
        line(format_args!("{}", head("medians of whole seconds")));
        seconds.iter().for_each(|row| line(format_args!("{}  {}", row.cells(), row.said())));
        line(format_args!("{}", head("of the whole run (no spread known)")));
        whole.iter().for_each(|row| line(format_args!("{}", row.cells())));
        text
    }
}

impl Row {
    fn cells(&self) -> String {
        let Self { metric, before, after, ratio, spread, .. } = self;
        let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}"));
        let spread = spread.map_or(String::new(), |spread| format!("±{:.1} %", 100.0 * spread));
        format!("  {metric:<44} {:>12} {:>12} {ratio:>7} {spread:>8}", figure(*before), figure(*after))
    }

    fn said(&self) -> &'static str {
        match self.difference {
            Difference::More => "MORE",
            Difference::Less => "LESS",
            Difference::Noise => "noise",
            Difference::NotKnown => "not known",
        }
    }
}

/// A figure with four digits or all that are before its point.
fn figure(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        ..10.0 => format!("{figure:.3}"),
        10.0..1_000.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}
