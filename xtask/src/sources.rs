//! Rust sources of the workspace, line by line.
//!
//! Owns which files there are, in the working tree or in a commit, and what each line is: product, test, comment or
//! blank. Reads text and no grammar, which the style of this repository allows: one item a line, tests at the end of a
//! file.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The root of the repository.
pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path below the root.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Blank,
    Comment,
    Product,
    /// Below `#[cfg(test)] mod …`, or in a file of tests, benches or examples.
    Test,
}

/// Every file with one of these extensions, as committed in `commit` or as it lies in the working tree.
///
/// # Errors
/// There is no git, or no such commit.
pub(crate) fn all(commit: Option<&str>, extensions: &[&str]) -> Result<Vec<Source>> {
    let names = match commit {
        Some(commit) => git(&["ls-tree", "-r", "--name-only", commit])?,
        None => git(&["ls-files", "--cached", "--others", "--exclude-standard"])?,
    };
    let wanted = |path: &&str| Path::new(path).extension().is_some_and(|of| extensions.iter().any(|ext| of == *ext));
    let mut sources = Vec::new();
    for path in names.lines().filter(wanted) {
        let text = match commit {
            Some(commit) => git(&["show", &format!("{commit}:{path}")])?,
            None => match std::fs::read_to_string(Path::new(ROOT).join(path)) {
                Ok(text) => text,
                // Listed and deleted.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("read {path}")),
            },
        };
        sources.push(Source { path: path.to_owned(), text });
    }
    Ok(sources)
}

fn git(words: &[&str]) -> Result<String> {
    let output = Command::new("git").arg("-C").arg(ROOT).args(words).output().context("run git")?;
    ensure!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).context("git prints text")
}

impl Source {
    /// The folder of its crate: `router`, `storage/kv`.
    pub(crate) fn package(&self) -> String {
        let depth = if self.path.starts_with("storage/") { 2 } else { 1 };
        self.path.split('/').take(depth).collect::<Vec<_>>().join("/")
    }

    /// Whether the whole file is for tests and measurements.
    fn is_test(&self) -> bool {
        let names = ["tests", "benches", "examples", "tests.rs"];
        self.path.split('/').any(|part| names.contains(&part))
    }

    /// Each line with what it is.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (Line, &str)> {
        let mut test = self.is_test();
        let mut block = false;
        let mut lines = self.text.lines().peekable();
        std::iter::from_fn(move || {
            let line = lines.next()?;
            let trimmed = line.trim();
            // What stands behind a module of tests in the file is counted with it.
            test |= line == "#[cfg(test)]"
                && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
            let starts = trimmed.starts_with("/*") || trimmed.starts_with("<!--");
            let commented = block
                || starts
                || trimmed.starts_with("//")
                || self.path.ends_with(".toml") && trimmed.starts_with('#');
            block = (block || starts) && !(trimmed.ends_with("*/") || trimmed.ends_with("-->"));
            let what = if trimmed.is_empty() {
                Line::Blank
            } else if commented {
                Line::Comment
            } else if test {
                Line::Test
            } else {
                Line::Product
            };
            Some((what, line))
        })
    }
}
