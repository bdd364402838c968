//! The file that fjall writes its journal to, so that it is synced while the next batch is written.
//!
//! Owns which file that is. fjall syncs it too, but keeps everybody from writing meanwhile. Its files are `N.jnl`, the
//! greatest number is the one that is written; it syncs one whole before it begins the next, and the directory with it
//! (fjall 3.1, `journal/writer.rs`). So what was written when [`Journal::sync`] is called is in the newest file, or durable
//! already. A test looks for what it wrote in the file that is synced here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The newest file that is known.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    number: u64,
    file: File,
}

impl Journal {
    /// The journal of the rows in a directory that are open.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] if there is no such file.
    pub(super) fn find(directory: &Path) -> io::Result<Self> {
        let number = numbers(directory)?.into_iter().max().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { directory: directory.to_owned(), number, file: File::open(path(directory, number))? })
    }

    /// Makes durable what was written before.
    ///
    /// # Errors
    /// The system's: what was written since the last success may be lost.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.follow()?;
        self.file.sync_all()
    }

    /// Goes on to the newest file.
    fn follow(&mut self) -> io::Result<()> {
        loop {
            match File::open(path(&self.directory, self.number + 1)) {
                Ok(file) => (self.number, self.file) = (self.number + 1, file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The numbers of the files in a directory, in no order.
pub(super) fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".jnl")?.parse::<u64>().ok()));
    }
    Ok(numbers)
}

pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number}.jnl"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use bytes::Bytes;

    use super::super::rows::Rows;
    use super::*;

    /// What fjall writes is in the file that is synced here. Fails where another version of it keeps its journal
    /// elsewhere.
    #[test]
    fn what_is_stored_is_in_the_file_that_is_synced() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for value in ["before a restart", "after one"] {
            let rows = Rows::open(directory.path(), 1 << 20).expect("nobody else has it");
            let mut journal = Journal::find(directory.path()).expect("there is one");
            let row = (Bytes::from_static(b"key"), Some(Bytes::from_static(value.as_bytes())));
            rows.store(None, [row].into_iter()).expect("it can be written");
            journal.sync().expect("it can be synced");
            let bytes = fs::read(path(&journal.directory, journal.number)).expect("it can be read");
            assert!(bytes.windows(value.len()).any(|window| window == value.as_bytes()), "{value:?} is not in it");
        }
    }

    #[test]
    fn the_newest_file_is_synced_however_many_there_are_since() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let check = |made: &[u64], journal: &mut Journal, expected: u64| {
            for &number in made {
                fs::write(path(directory.path(), number), "").expect("it can be made");
            }
            journal.sync().expect("it can be synced");
            assert_eq!(journal.number, expected, "after {made:?}");
        };
        assert!(Journal::find(directory.path()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
        for number in [8, 9, 10] {
            fs::write(path(directory.path(), number), "").expect("it can be made");
        }
        let mut journal = Journal::find(directory.path()).expect("there are some");
        check(&[], &mut journal, 10);
        check(&[11], &mut journal, 11);
        check(&[12, 13], &mut journal, 13);
        fs::remove_file(path(directory.path(), 12)).expect("it is there");
        check(&[], &mut journal, 13);
    }
}
