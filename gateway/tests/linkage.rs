//! Content of the binary: the FoundationDB backend without a FoundationDB, and nothing that is for tests.

use std::ffi::OsString;
use std::process::Command;
use std::{env, fs};

/// The binary that was built with this test, or the one that the gate names.
fn binary() -> OsString {
    env::var_os("ROOKERY_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_rookery").into())
}

#[test]
fn the_loader_is_not_asked_for_foundationdb() {
    let output = Command::new("ldd").arg(binary()).output().expect("ldd comes with the C library");
    let needed = String::from_utf8(output.stdout).expect("paths in ASCII");
    assert!(output.status.success() && needed.contains("libc.so"), "ldd says what the binary needs: {needed}");
    assert!(!needed.contains("fdb"), "{needed}");
}

/// Names in symbols, in line tables and in messages.
#[test]
fn nothing_in_the_binary_is_for_tests() {
    let binary = fs::read(binary()).expect("it was built");
    let text = String::from_utf8_lossy(&binary).to_lowercase();
    assert!(text.contains("foundationdb"), "it has names that can be found");
    for unwanted in ["planted", "proptest", "contract", "lyingengine", "turmoil"] {
        let found = text.find(unwanted).map(|at| text[at..].chars().take(80).collect::<String>());
        assert_eq!(found, None, "{unwanted} is in the binary");
    }
}
