//! Secrets on disk: keys and passwords, each in a file of its own.
//!
//! Owns how they are read, and that they are never shown.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Bytes of a secret's file: a service account's key of Google has 2.4 KB.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a file holds that nobody is shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    /// Reads one. White space at its end is none of it.
    ///
    /// # Errors
    /// The operator's: there is none, others may read it, it is too long, empty or no text. With the remedy.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let failed = |error: std::io::Error| format!("cannot be read: {shown}: {error}");
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(format!("has mode {mode:04o}, others may read it: `chmod 600 {shown}`"));
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("has more than {FILE_BYTES_MAX} bytes, which no secret has: {shown}"));
        }
        text.truncate(text.trim_end().len());
        if text.is_empty() {
            return Err(format!("is empty, write the secret into it: {shown}"));
        }
        Ok(Self(text))
    }

    /// The secret itself, for whoever uses it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone_and_is_not_shown() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let check = |text: &[u8], mode, expected: Result<&str, &str>| {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            match (Secret::read(&path), expected) {
                (Ok(secret), Ok(expected)) => {
                    assert_eq!(secret.expose(), expected);
                    assert_eq!(format!("{secret:?}"), "Secret(…)");
                }
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (found, expected) => panic!("{found:?} where {expected:?} is expected"),
            }
        };
        check(b"hunter2\n", 0o600, Ok("hunter2"));
        check(b"two\nlines\r\n\n", 0o400, Ok("two\nlines"));
        check(b"hunter2", 0o640, Err("chmod 600"));
        check(b"hunter2", 0o604, Err("chmod 600"));
        check(b" \n", 0o600, Err("is empty"));
        check(&[0xff, 0xfe], 0o600, Err("cannot be read"));
        check(&[b'x'; 70_000], 0o600, Err("more than 65536 bytes"));
        assert!(Secret::read(&directory.path().join("none")).expect_err("missing").contains("cannot be read"));
    }
}
