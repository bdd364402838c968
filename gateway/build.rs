//! Names the commit that `rookery --version` prints.
//!
//! Owns where it comes from: `ROOKERY_COMMIT` in the environment (for packagers), else git, else "unknown", as in a
//! source archive. Asks no network, and fails no build.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

fn main() -> std::io::Result<()> {
    let commit = match std::env::var("ROOKERY_COMMIT") {
        Ok(commit) => commit,
        Err(_) if is_ours() => git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned()),
        Err(_) => "unknown".to_owned(),
    };
    let mut cargo = std::io::stdout().lock();
    writeln!(cargo, "cargo:rustc-env=ROOKERY_COMMIT={commit}")?;
    writeln!(cargo, "cargo:rerun-if-env-changed=ROOKERY_COMMIT")?;
    writeln!(cargo, "cargo:rerun-if-changed=build.rs")?;
    // The log grows with each commit and each checkout. A path that does not exist would run this on every build.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| is_ours() && Path::new(path).exists());
    if let Some(log) = log {
        writeln!(cargo, "cargo:rerun-if-changed={log}")?;
    }
    Ok(())
}

/// Whether git knows this file: a source archive may lie inside some other repository.
fn is_ours() -> bool {
    git(&["ls-files", "--error-unmatch", "build.rs"]).is_some()
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
