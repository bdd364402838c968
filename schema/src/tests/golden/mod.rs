//! The bytes that clients, nodes and stores of other ages have: files under `testdata/`, one a case.
//!
//! Owns the files' form and their comparison: a line of text (JSON, or how Rust prints the value), an empty line, and
//! the FlatBuffers or packed bytes in hexadecimal, 32 a line. The files are the cases: what their bytes say has their
//! text, and encodes to these bytes. `ROOKERY_GOLDEN=write` adds what is missing, never where `CI` is set: the bytes to
//! a file that is a line of JSON alone, and a file with a value drawn by chance for what no case has yet. It changes
//! none.

mod client;
mod mesh;
mod record;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;

/// Values that are drawn for what no case has yet: every member of every union is among a few thousand.
const DRAWS_MAX: u32 = 100_000;

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
struct Case {
    text: String,
    /// None if the file has its text alone.
    bytes: Vec<u8>,
}

impl Case {
    /// How Rust prints the value, and its bytes.
    fn printed(value: &impl Debug, bytes: Vec<u8>) -> Self {
        Self { text: format!("{value:?}"), bytes }
    }

    fn read(path: &Path) -> Self {
        let content = fs::read_to_string(path).expect("it can be read");
        let (text, hex) = content.split_once("\n\n").unwrap_or((content.trim_end(), ""));
        let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        let byte = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).expect("two digits");
        Self { text: text.to_owned(), bytes: digits.chunks(2).map(byte).collect() }
    }

    fn write(&self, path: &Path) {
        let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
        let hex: String = self.bytes.chunks(32).map(line).collect();
        fs::write(path, format!("{}\n\n{hex}", self.text)).expect("it can be written");
    }
}

/// Compares each case of a directory with what its value is `again`, and looks that `all` members are in some case.
fn check(
    directory: &str,
    all: impl IntoIterator<Item = String>,
    members: impl Fn(&Case) -> BTreeSet<String>,
    again: impl Fn(&Case) -> Case,
    any: impl Strategy<Value = Case>,
) {
    let adds = std::env::var_os("ROOKERY_GOLDEN").is_some_and(|mode| mode == "write");
    assert!(!adds || std::env::var_os("CI").is_none(), "golden vectors are added by hand, never in CI");
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(directory);
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(&directory).expect("the directory is there") {
        let path = entry.expect("it can be listed").path();
        let case = Case::read(&path);
        let again = again(&case);
        if case.bytes.is_empty() && adds {
            again.write(&path);
        } else {
            assert_eq!(case, again, "{}", path.display());
        }
        seen.extend(members(&again));
    }
    let all = all.into_iter().collect();
    let mut runner = TestRunner::deterministic();
    for _ in 0..DRAWS_MAX {
        if !adds || seen == all {
            break;
        }
        let case = any.new_tree(&mut runner).expect("a value is drawn").current();
        let found = members(&case);
        if let Some(new) = found.difference(&seen).next() {
            case.write(&directory.join(new.replace('_', "-").to_lowercase() + ".txt"));
        }
        seen.extend(found);
    }
    assert_eq!(seen, all, "in the cases against all there are; ROOKERY_GOLDEN=write adds what is missing");
}

/// The members of a union but `NONE`, each as `union-member`.
fn members<T: Copy + PartialEq + Debug + Default>(of: &[T]) -> impl Iterator<Item = String> {
    let union = std::any::type_name::<T>().rsplit("::").next().expect("a path has a last name");
    of.iter().filter(|&&member| member != T::default()).map(move |member| format!("{union}-{member:?}"))
}
