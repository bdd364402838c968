//! The data directory, before the store opens it.
//!
//! Owns whether it may be made, and that it can be written. Its format and its lock are the store's.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{anyhow, bail};

use crate::config::{Config, Mode};

/// What is written and removed to learn whether anything can be.
const PROBE: &str = ".writable";

/// Makes the directory where it may, and writes to it once.
///
/// It may where nobody named it, and in dev. A named one that is missing in production is more likely an unmounted disk
/// than a first start, and a node that began anew there would look as if it had lost everything.
///
/// # Errors
/// Why the store cannot live there, with the remedy. Nothing was changed in it.
pub(crate) fn prepare(config: &Config, mode: Mode) -> anyhow::Result<()> {
    let (path, place) = (&config.data_dir, config.data_dir.display());
    let named = config.named_by("data.dir");
    let by = named.unwrap_or("default");
    let not_writable = |error| {
        let remedy = "give it to the user that runs rookery, or name another with --data";
        anyhow!("the data directory {place} is not writable: {error}; {remedy}")
    };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => bail!("{place} ({by}) is no directory; name one with --data"),
        Err(error) => match error.kind() {
            ErrorKind::NotFound if mode == Mode::Dev || named.is_none() => {
                fs::create_dir_all(path).map_err(|error| {
                    anyhow!("cannot make the data directory {place}: {error}; name another with --data")
                })?
            }
            ErrorKind::NotFound => {
                bail!("the data directory {place} ({by}) does not exist; mount it, or make it: mkdir -p {place}")
            }
            ErrorKind::NotADirectory => bail!("{place} ({by}) is no directory; name one with --data"),
            _ => return Err(not_writable(error)),
        },
    }
    write_once(path).map_err(not_writable)
}

/// Whether a file can be written in `directory`. Leaves nothing behind.
///
/// # Errors
/// The system's.
pub(crate) fn write_once(directory: &Path) -> io::Result<()> {
    let probe = directory.join(PROBE);
    OpenOptions::new().write(true).create(true).truncate(true).open(&probe)?;
    fs::remove_file(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mode: Mode, path: &Path, expected: &str) {
        let flag = ("data.dir", path.display().to_string());
        let config = Config::load(mode, None, [], &[flag]).expect("any path is legal");
        let outcome = prepare(&config, mode).map_or_else(|error| error.to_string(), |()| "ready".to_owned());
        assert_eq!(outcome.replace(&path.display().to_string(), "DIR"), expected, "{}", path.display());
    }

    #[test]
    fn a_named_directory_must_exist_in_production() {
        let root = tempfile::tempdir().expect("a temporary directory");
        check(Mode::Run, root.path(), "ready");
        assert_eq!(fs::read_dir(root.path()).expect("it is there").count(), 0, "the probe is gone");
        let absent = root.path().join("a/b");
        check(Mode::Run, &absent, {
            "the data directory DIR (flag --data) does not exist; mount it, or make it: mkdir -p DIR"
        });
        assert!(!absent.exists());
        check(Mode::Dev, &absent, "ready");
        assert!(absent.is_dir());
    }

    #[test]
    fn a_file_in_its_place_is_no_directory() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let file = root.path().join("file");
        fs::write(&file, "kept").expect("a file");
        check(Mode::Dev, &file, "DIR (flag --data) is no directory; name one with --data");
        check(Mode::Run, &file.join("below"), "DIR (flag --data) is no directory; name one with --data");
        assert_eq!(fs::read(&file).expect("it is there"), b"kept");
    }

    #[test]
    fn a_file_system_that_takes_no_file_is_not_writable() {
        // Nobody, root included, makes files there.
        check(Mode::Run, Path::new("/proc/self/fd"), {
            "the data directory DIR is not writable: No such file or directory (os error 2); give it to the user that \
             runs rookery, or name another with --data"
        });
    }
}
