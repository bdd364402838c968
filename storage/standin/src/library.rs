//! The client half as it was built, for those who load it.

use std::path::PathBuf;

/// `libfdb_c.so` as cargo built it beside the running test, example or program.
///
/// # Panics
/// If it is not there: it is built with this crate, so a dependency on this crate is what brings it.
#[must_use]
pub fn library() -> PathBuf {
    let program = std::env::current_exe().expect("the system names the running program");
    let beside = program.ancestors().skip(1).take(2);
    let places = beside.flat_map(|directory| [directory.to_owned(), directory.join("deps")]);
    let mut libraries = places.map(|directory| directory.join("libfdb_c.so"));
    libraries
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("there is no libfdb_c.so beside {}", program.display()))
}
