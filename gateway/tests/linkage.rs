//! The binary has the FoundationDB backend and needs no FoundationDB: to start, or to be built.

use std::process::Command;

#[test]
fn the_loader_is_not_asked_for_foundationdb() {
    let output = Command::new("ldd").arg(env!("CARGO_BIN_EXE_rookery")).output().expect("ldd comes with the C library");
    let needed = String::from_utf8(output.stdout).expect("paths in ASCII");
    assert!(output.status.success() && needed.contains("libc.so"), "ldd says what the binary needs: {needed}");
    assert!(!needed.contains("fdb"), "{needed}");
}
