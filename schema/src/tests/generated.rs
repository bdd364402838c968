//! The generated code is that of the schemas beside it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Written by `cargo xtask flatbuffers`: a line for each schema, as `sha256sum` has it.
const MANIFEST: &str = include_str!("../generated/SCHEMAS.sha256");

#[test]
fn the_schemas_are_those_that_the_code_was_generated_from() {
    let schemas = [
        ("all.fbs", include_bytes!("../../all.fbs").as_slice()),
        ("mesh.fbs", include_bytes!("../../mesh.fbs")),
        ("record.fbs", include_bytes!("../../record.fbs")),
        ("rookery.fbs", include_bytes!("../../rookery.fbs")),
    ];
    let mut found = String::new();
    for (name, text) in schemas {
        for byte in Sha256::digest(text) {
            write!(found, "{byte:02x}").expect("writing to memory cannot fail");
        }
        writeln!(found, "  {name}").expect("writing to memory cannot fail");
    }
    assert_eq!(found, MANIFEST, "a schema changed: run `cargo xtask flatbuffers` and commit what it writes");
}
