//! Errors of the loader about a library that it cannot use: the path, what is missing, what to do, on one line.
//!
//! Nothing here loads with success, since that is once for the whole process.

use std::error::Error;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;

use foundationdb_sys::{FDB_API_VERSION, SYMBOLS, fdb_get_max_api_version, load};

/// A library that exports these symbols, all of which return `number`.
fn library(directory: &Path, name: &str, symbols: &[&str], number: i32) -> PathBuf {
    let exported =
        |symbol: &&str| format!("#[unsafe(no_mangle)] pub extern \"C\" fn {symbol}() -> i32 {{ {number} }}\n");
    let source = directory.join(format!("{name}.rs"));
    let path = directory.join(format!("{name}.so"));
    std::fs::write(&source, symbols.iter().map(exported).collect::<String>()).expect("a fresh directory");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--crate-type", "cdylib", "--edition", "2024", "-C", "panic=abort", "-o"])
        .args([&path, &source])
        .output()
        .expect("the compiler that built this test runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    path
}

#[test]
fn a_library_that_cannot_be_used_is_named_with_what_is_missing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let check = |path: &Path, parts: &[&str]| {
        let error = load(Some(path)).expect_err("it is no client");
        let line = format!("{error}");
        assert_eq!(line.lines().count(), 1, "{line}");
        for part in [path.to_str().expect("made of ASCII"), "libfdb_c.so"].iter().chain(parts) {
            assert!(line.contains(part), "{part:?} in {line:?}");
        }
        error
    };

    check(&directory.path().join("none.so"), &["does not exist", "7.3"]);

    let text = directory.path().join("text.so");
    std::fs::write(&text, "not a library").expect("a fresh directory");
    let error = check(&text, &["cannot be opened", "install"]);
    assert!(error.source().expect("the loader's word").to_string().contains("text.so"));

    let empty = library(directory.path(), "empty", &[], 0);
    check(&empty, &["lacks the symbol fdb_get_max_api_version", "7.3"]);

    let (without, last) = SYMBOLS.split_at(SYMBOLS.len() - 1);
    let lacking = library(directory.path(), "lacking", without, 800);
    check(&lacking, &["lacks the symbol", last[0]]);

    let old = library(directory.path(), "old", SYMBOLS, 710);
    let error = load(Some(&old)).expect_err("too old");
    let line = error.to_string();
    assert!(
        line.contains("offers API version 710") && line.contains(&format!("{FDB_API_VERSION} is needed")),
        "{line}"
    );
    assert!(line.contains(old.to_str().expect("made of ASCII")) && line.lines().count() == 1, "{line}");
}

#[test]
fn calling_before_a_library_is_loaded_is_a_panic_that_says_so() {
    // SAFETY: it takes nothing and does not get as far as a library.
    let called = panic::catch_unwind(|| unsafe { fdb_get_max_api_version() });
    let said = called.expect_err("nothing is loaded");
    let said = said.downcast_ref::<String>().expect("the panic has a text");
    assert!(said.contains("foundationdb_sys::load"), "{said}");
}

#[test]
fn every_symbol_is_named_once() {
    let mut names = SYMBOLS.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), SYMBOLS.len());
    assert!(names.iter().all(|name| name.starts_with("fdb_")), "{names:?}");
}
