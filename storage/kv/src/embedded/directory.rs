//! The data directory: who has it open, which format it has, and how it comes to be.
//!
//! `DIR/lock` is held for as long as the store is open. `DIR/store` appears complete, by a rename, or not at all: in it
//! `format`, a line of text, and `rows`, which is fjall's. Other files in DIR are not ours and stay untouched.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::journal_tail::{self, UNSYNCED_GROUPS_MAX};
use super::rows::Rows;
use crate::transaction::Generation;

/// What this program writes, and all that it reads. The second has views of several nodes.
pub const FORMAT: u32 = 2;

/// Begins the format file; the number follows.
const FORMAT_LINE: &str = "rookery store ";

/// Why a data directory could not be opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Operator's mistake, most likely a misspelt path: only the last part of it is created.
    #[error("{} does not exist; create it, or name another data directory", parent.display())]
    MissingParent {
        /// The directory that is missing.
        parent: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not a directory; name another data directory", path.display())]
    NotADirectory {
        /// The data directory.
        path: PathBuf,
    },
    /// Permissions, or a file system mounted read-only.
    #[error("{} is not writable; give this user the right to write there", path.display())]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Another process has it open, or this one already.
    #[error("{} is in use by another process; stop it, or name another data directory", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("{} has format {found}, this program knows {known}; use the newer program", path.display())]
    NewerFormat {
        /// The data directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// [`FORMAT`].
        known: u32,
    },
    /// An older program wrote it. Dumps are read by every program since.
    #[error(
        "{} has format {found}, this program knows {known}; export it with the older program, and import that with this \
         one into an empty data directory",
        path.display()
    )]
    OlderFormat {
        /// The data directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// [`FORMAT`].
        known: u32,
    },
    /// Not what this program writes: restored in part, or damaged.
    #[error("{} is damaged: {what}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The disk lost what had been synced: more of the journal is damaged than a power loss can damage.
    #[error(
        "{} is damaged at byte {at_bytes}: at least {groups} groups were written from there on ({len_bytes} bytes), all but \
         {UNSYNCED_GROUPS_MAX} of which the disk had said to be stored, so what was acknowledged is lost; restore it from a \
         backup, or keep a copy of it and give up all that was stored from there on: truncate --size={at_bytes} {}",
        path.display(),
        path.display()
    )]
    Journal {
        /// The file of the journal.
        path: PathBuf,
        /// Where its last whole group ends.
        at_bytes: u64,
        /// From there to the last byte that is not 0.
        len_bytes: u64,
        /// Groups that were written there, at least.
        groups: u64,
    },
    /// The system refused for another reason.
    #[error("{} cannot be opened", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// fjall refused; the row files may be damaged.
    #[error("the rows in {} cannot be opened", path.display())]
    Rows {
        /// Their directory.
        path: PathBuf,
        /// fjall's word.
        #[source]
        source: fjall::Error,
    },
}

/// A data directory that this process has to itself until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes possession of `path`, which is created if only it is missing.
    pub(super) fn lock(path: &Path) -> Result<Self, OpenError> {
        create(path)?;
        let file = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
        let lock = lock.map_err(|source| not_written(&file, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { path: file, source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the rows and finds their journal; an empty store of this `generation` if there is none yet.
    pub(super) fn open(&self, cache_bytes: u64, generation: Generation) -> Result<(Rows, Journal), OpenError> {
        let store = self.path.join("store");
        if !exists(&store)? {
            self.create(&store, generation)?;
        }
        self.check_format(&store)?;
        let path = store.join("rows");
        if !exists(&path)? {
            return Err(OpenError::Damaged { path, what: "it is missing" });
        }
        journal_tail::mend(&path)?;
        let rows = open_rows(&path, cache_bytes)?;
        let journal = Journal::find(&path).map_err(|source| OpenError::Io { path, source })?;
        Ok((rows, journal))
    }

    /// Makes an empty store beside its place and moves it there.
    fn create(&self, store: &Path, generation: Generation) -> Result<(), OpenError> {
        let new = self.path.join("store.new");
        let result = (|| {
            if new.try_exists()? {
                // A process died while it made it; nothing was ever stored there.
                fs::remove_dir_all(&new)?;
            }
            fs::create_dir(&new)?;
            let mut format = File::create_new(new.join("format"))?;
            format.write_all(format!("{FORMAT_LINE}{FORMAT}\n").as_bytes())?;
            format.sync_all()
        })();
        result.map_err(|source| not_written(&new, source))?;
        let path = new.join("rows");
        let rows = open_rows(&path, 1 << 20)?;
        rows.initialise(generation).map_err(|source| OpenError::Rows { path, source })?;
        drop(rows);
        let moved =
            sync_directory(&new).and_then(|()| fs::rename(&new, store)).and_then(|()| sync_directory(&self.path));
        moved.map_err(|source| not_written(store, source))
    }

    fn check_format(&self, store: &Path) -> Result<(), OpenError> {
        let path = store.join("format");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::Damaged { path, what: "it is missing" });
            }
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let number = text.strip_prefix(FORMAT_LINE).and_then(|rest| rest.trim_end().parse().ok());
        match number {
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => {
                Err(OpenError::NewerFormat { path: self.path.clone(), found, known: FORMAT })
            }
            Some(found) if found > 0 => Err(OpenError::OlderFormat { path: self.path.clone(), found, known: FORMAT }),
            Some(_) | None => Err(OpenError::Damaged { path, what: "it does not name a format of this program" }),
        }
    }
}

fn open_rows(path: &Path, cache_bytes: u64) -> Result<Rows, OpenError> {
    Rows::open(path, cache_bytes).map_err(|source| OpenError::Rows { path: path.to_owned(), source })
}

fn create(path: &Path) -> Result<(), OpenError> {
    if path.is_dir() {
        return Ok(());
    }
    match fs::create_dir(path) {
        Ok(()) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            sync_directory(parent).map_err(|source| OpenError::Io { path: parent.to_owned(), source })
        }
        Err(error) => Err(match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                OpenError::NotADirectory { path: path.to_owned() }
            }
            io::ErrorKind::NotFound => OpenError::MissingParent { parent: path.parent().unwrap_or(path).to_owned() },
            _ => not_written(path, error),
        }),
    }
}

fn not_written(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::NotWritable { path, source },
        _ => OpenError::Io { path, source },
    }
}

fn exists(path: &Path) -> Result<bool, OpenError> {
    path.try_exists().map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

/// Makes a rename or a creation in `path` survive a power loss.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
