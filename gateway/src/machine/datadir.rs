//! The data directory, before the store opens it.
//!
//! Owns whether it may be made, and that it can be written. Its format and its lock are the store's.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, Mode, Origin};

/// What is written and removed to learn whether anything can be.
const PROBE: &str = ".writable";

/// Why the store cannot live there. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// A name that was given names nothing: a typing error, or a disk that is not mounted.
    #[error("the data directory {} ({origin}) does not exist; mount it, or make it: mkdir -p {}", path.display(), path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// Who named it.
        origin: Origin,
    },
    /// A file is in its place.
    #[error("{} ({origin}) is no directory; name one with --data", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
        /// Who named it.
        origin: Origin,
    },
    /// It could not be made.
    #[error("cannot make the data directory {}: {source}; name another with --data", path.display())]
    Make {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No file can be written in it.
    #[error("the data directory {} is not writable: {source}; give it to the user that runs rookery, or name another with --data", path.display())]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes the directory where it may, and writes to it once.
///
/// It may where nobody named it, and in dev. A named one that is missing in production is more likely an unmounted disk
/// than a first start, and a node that began anew there would look as if it had lost everything.
///
/// # Errors
/// Each with its remedy.
pub(crate) fn prepare(config: &Config, mode: Mode) -> Result<(), DataDirError> {
    let path = &config.data.dir;
    let origin = config.origin("data.dir");
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(DataDirError::NotADirectory { path: path.clone(), origin }),
        Err(error) if error.kind() == io::ErrorKind::NotFound && (mode == Mode::Dev || origin == Origin::Default) => {
            fs::create_dir_all(path).map_err(|source| DataDirError::Make { path: path.clone(), source })?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DataDirError::Missing { path: path.clone(), origin });
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(DataDirError::NotADirectory { path: path.clone(), origin });
        }
        Err(source) => return Err(DataDirError::NotWritable { path: path.clone(), source }),
    }
    write_once(path).map_err(|source| DataDirError::NotWritable { path: path.clone(), source })
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
