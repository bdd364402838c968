//! The bytes that clients, nodes and stores of other ages have: files under `testdata/`, one a case.
//!
//! Owns the files' form and their comparison: a line of text (JSON, or how Rust prints the value), an empty line, and the
//! FlatBuffers or packed bytes in hexadecimal, 32 a line. `ROOKERY_GOLDEN=write` writes them instead; never where `CI` is set.

mod client;
mod mesh;
mod record;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::PathBuf;

/// The files of one kind of value.
struct Golden {
    directory: &'static str,
    cases: BTreeSet<String>,
}

impl Golden {
    fn new(directory: &'static str) -> Self {
        Self { directory, cases: BTreeSet::new() }
    }

    fn directory(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(self.directory)
    }

    /// Compares a case with its file: the file's bytes decode to `value`, and `value` encodes to the file's bytes and text.
    fn check<T: PartialEq + Debug>(
        &mut self,
        name: &str,
        value: &T,
        text: &str,
        encode: impl Fn(&T) -> Vec<u8>,
        decode: impl Fn(&[u8]) -> T,
    ) {
        assert!(self.cases.insert(format!("{name}.txt")), "two cases are called {name}");
        let path = self.directory().join(format!("{name}.txt"));
        if std::env::var_os("ROOKERY_GOLDEN").is_some_and(|mode| mode == "write") {
            assert!(std::env::var_os("CI").is_none(), "golden vectors are written by hand, never in CI");
            fs::create_dir_all(self.directory()).expect("the directory can be made");
            fs::write(&path, file(text, &encode(value))).expect("the file can be written");
        }
        let written = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}; ROOKERY_GOLDEN=write makes it", path.display()));
        let (written_text, hex) = written.split_once("\n\n").expect("an empty line between the text and the bytes");
        assert_eq!(written_text, text, "{}", path.display());
        let bytes = unhex(hex);
        assert_eq!(decode(&bytes), *value, "{}", path.display());
        assert_eq!(file(text, &encode(value)), written, "{}", path.display());
    }

    /// Every file is a case.
    fn finish(self) {
        let files: BTreeSet<String> = fs::read_dir(self.directory())
            .expect("the directory is there")
            .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(files, self.cases, "files under testdata/{} against the cases", self.directory);
    }
}

fn file(text: &str, bytes: &[u8]) -> String {
    let mut file = format!("{text}\n\n");
    for line in bytes.chunks(32) {
        for byte in line {
            write!(file, "{byte:02x}").expect("writing to memory cannot fail");
        }
        file.push('\n');
    }
    file
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).expect("below 16"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "two digits a byte");
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

/// Every member of a union is in some case. `NONE` is in none.
fn check_complete<T: Copy + Ord + Debug + Default>(of: &str, all: &[T], seen: &BTreeSet<T>) {
    let all: BTreeSet<T> = all.iter().copied().filter(|&member| member != T::default()).collect();
    assert_eq!(*seen, all, "{of} in the cases against all there are");
}
