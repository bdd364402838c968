//! `cargo xtask keys`: writes the table of keys in docs/foundationdb.md from the code, or checks that it is what would
//! be written.
//!
//! Owns the table's form. What is in it is `chat::keys::layouts`'s.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use chat::keys::{Layout, layouts};

use crate::Mode;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/foundationdb.md");
/// What stands before and behind the table.
const BEGIN: &str = "<!-- cargo xtask keys: begin -->\n";
const END: &str = "<!-- cargo xtask keys: end -->\n";

/// Makes the table, and then writes or compares.
///
/// # Errors
/// If the document has no place for it, or, when checking, if it differs.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let path = Path::new(DOCUMENT);
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let made = filled(&text)?;
    if mode.check {
        ensure!(made == text, "docs/foundationdb.md does not list the keys as they are: run `cargo xtask keys`");
        return Ok(());
    }
    fs::write(path, made).with_context(|| format!("write {}", path.display()))
}

/// The document with the table in its place.
fn filled(text: &str) -> Result<String> {
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("no line {BEGIN:?}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("no line {END:?}"))?;
    Ok(format!("{before}{BEGIN}{}{END}{after}", table()))
}

fn table() -> String {
    let mut text = "\n| first byte | key | bytes | a row says |\n|---|---|---|---|\n".to_owned();
    for Layout { number, name, fields, says } in layouts() {
        let key: Vec<&str> = std::iter::once(name).chain(fields.iter().map(|&(field, _)| field)).collect();
        let fixed = 1 + fields.iter().map(|&(_, bytes)| bytes).sum::<usize>();
        let varies = if fields.iter().any(|&(_, bytes)| bytes == 0) { "+" } else { "" };
        writeln!(text, "| {number} | {} | {fixed}{varies} | {says} |", key.join(" · "))
            .expect("writing to memory cannot fail");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_keys_are_those_of_the_code() {
        run(Mode { check: true }).expect("it is up to date");
    }

    #[test]
    fn the_table_stands_between_its_marks_and_nowhere_else() {
        let made = filled(&format!("a\n{BEGIN}what was here\n{END}b\n")).expect("it has both marks");
        assert!(made.starts_with(&format!("a\n{BEGIN}\n| first byte |")) && made.ends_with(&format!("\n{END}b\n")));
        assert!(made.contains("| 18 | message · channel · seq | 17 |") && !made.contains("what was here"), "{made}");
        assert!(made.contains("| 26 | reaction · channel · seq · length · emoji · user | 25+ |"), "{made}");
        assert!(filled("no marks").is_err());
    }
}
