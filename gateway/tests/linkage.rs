//! Content of the binary: the FoundationDB backend without a FoundationDB, and nothing that is for tests.

use std::ffi::OsString;
use std::{env, fs};

use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::FileHeader as _;

/// The binary that was built with this test, or the one that the gate names.
fn binary() -> OsString {
    env::var_os("ROOKERY_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_rookery").into())
}

/// Read from the file: `ldd` runs it to find out, and a start that fails fails the question.
#[test]
fn the_loader_is_not_asked_for_foundationdb() {
    let binary = fs::read(binary()).expect("it was built");
    let elf = FileHeader64::<Endianness>::parse(&*binary).expect("an ELF file of 64 bits");
    let endian = elf.endian().expect("an order of bytes");
    let sections = elf.sections(endian, &*binary).expect("sections");
    let table = sections.dynamic_table(endian, &*binary).expect("a table for the loader");
    let needed: Vec<_> = table
        .iter()
        .filter(|entry| entry.tag == DT_NEEDED)
        .map(|entry| String::from_utf8_lossy(table.string(entry).expect("a library's name")).into_owned())
        .collect();
    assert!(needed.iter().any(|library| library.starts_with("libc.so")), "{needed:?}");
    assert!(!needed.iter().any(|library| library.contains("fdb")), "{needed:?}");
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
