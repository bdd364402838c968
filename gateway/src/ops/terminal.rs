//! Standard output and standard error of a command.
//!
//! Owns that an error is one line, which begins with the program's name.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

/// Standard output, whose end may be a pager that was closed.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.context("cannot write to standard output")
}

/// One line on standard error.
pub(super) fn fail(message: &str, code: u8) -> ExitCode {
    let line = message.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "rookery: {line}");
    ExitCode::from(code)
}

/// Rows with aligned columns, a line each. The last column is as wide as it wants.
pub(super) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let line = |row: &[String; COLUMNS]| {
        let cells: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}

/// The error and its causes, each once: some name theirs in their own words.
pub(super) fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !told.contains(&cause) {
            told.push_str(if told.is_empty() { "" } else { ": " });
            told.push_str(&cause);
        }
    }
    told
}
