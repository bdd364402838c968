//! Lists the files of the web page, so that a file which is put into `web/` is served without being named elsewhere.
//!
//! `web/rookery-client` is a link to `clients/js/src`, of which browsers need all but what is for Node.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Extensions of the files that browsers ask for; `package.json` only tells Node how to read the tests.
const SERVED: [&str; 4] = ["html", "js", "css", "svg"];
const NOT_SERVED: [&str; 2] = ["tests", "rookery-client/node"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../web");
    println!("cargo::rerun-if-changed=../clients/js/src");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../web");
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();

    let mut table = String::from("&[\n");
    for file in files {
        let path = file.strip_prefix(&root).expect("found below it").to_str().expect("the names are ASCII");
        writeln!(table, "    ({path:?}, include_bytes!({file:?}) as &[u8]),").expect("writing to memory cannot fail");
    }
    table.push(']');
    fs::write(PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("page.rs"), table)
}

/// The files below `directory` that a browser asks for.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            if !NOT_SERVED.iter().any(|folder| path.ends_with(folder)) {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| SERVED.iter().any(|served| extension == *served)) {
            files.push(path);
        }
    }
    Ok(())
}
