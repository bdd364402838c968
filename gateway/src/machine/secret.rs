//! The cluster's secret on disk.
//!
//! Owns the check that nobody else can read it, and its size. What it is for is the links'.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use link::{SECRET_BYTES_MIN, Secret};

/// Bytes of a secret's file: more than any secret needs.
const FILE_BYTES_MAX: u64 = 1_024;

/// Reads the secret at `path`. A new line at its end, as editors leave it, is none of it, unless it would be too short
/// without: random bytes may end so.
///
/// # Errors
/// If there is none, if others than its owner may read it, if it is too short.
pub(crate) fn read(path: &Path) -> anyhow::Result<Secret> {
    let shown = path.display();
    let remedy = || format!("cluster.secret_file {shown}; `openssl rand -hex 32` makes what it may hold");
    let file = File::open(path).with_context(remedy)?;
    let mode = file.metadata().with_context(remedy)?.mode() & 0o7777;
    ensure!(mode & 0o077 == 0, "the secret {shown} has mode {mode:04o}, others may read it: `chmod 600 {shown}`");
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(remedy)?;
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "the secret {shown} has more than {FILE_BYTES_MAX} bytes");
    let line = bytes.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let secret = line.filter(|line| line.len() >= SECRET_BYTES_MIN).unwrap_or(&bytes);
    let length = secret.len();
    Secret::new(secret).map_err(|_| {
        anyhow::anyhow!(
            "the secret {shown} has {length} bytes, it needs {SECRET_BYTES_MIN}: `openssl rand -hex 32` makes one"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_that_others_may_read_or_that_is_too_short_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cluster.secret");
        let check = |bytes: &[u8], mode, expected: Option<&str>| {
            fs::write(&path, bytes).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            let found = read(&path).map_err(|error| format!("{error:#}"));
            match (found, expected) {
                (Ok(_), None) => {}
                (Err(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                (found, expected) => panic!("{:?} where {expected:?} is expected", found.err()),
            }
        };
        check(&[b'a'; 64], 0o600, None);
        check(&[b'a'; 64], 0o640, Some("chmod 600"));
        check(b"short", 0o600, Some("has 5 bytes"));
        check(&[b'\n'; 32], 0o600, None);
        check(&[b'a'; 2_000], 0o600, Some("more than 1024"));
        let missing = read(&directory.path().join("none")).expect_err("missing");
        assert!(format!("{missing:#}").contains("openssl rand -hex 32"));
    }

    #[test]
    fn a_new_line_at_the_end_is_none_of_the_secret() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cluster.secret");
        let fingerprint = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
            read(&path).expect("legal").fingerprint()
        };
        assert_eq!(fingerprint(&[b'a'; 64]), fingerprint(&[&[b'a'; 64][..], b"\r\n"].concat()));
    }
}
