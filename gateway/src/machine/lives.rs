//! Lives of a node in its data directory: which process has it now, and which lives had it before and are over.
//!
//! Owns the lock that a process holds from before its life is known to anybody until the process has ended, however it
//! ends, and the lives that are written in the locked file. Whoever has the lock has the proof that those lives are
//! over, with no clock in it. That holds of the file in which they were written, under the same boot of the same
//! machine: of a copy, of another machine's and after a restart of the machine nothing is known, and the lease decides.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{anyhow, bail};
use schema::Incarnation;
use schema::limits::LIVES_KNOWN_MAX;

/// The embedded engine's lock, which the other engine does not have.
const FILE: &str = "lock";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// The last line: without it the file was not written to its end.
const END: &str = "end";

/// A data directory that this process has to itself until this is dropped.
#[derive(Debug)]
pub(crate) struct Lives {
    file: File,
    /// The identity of the file and of the machine's boot; none if the system does not say.
    place: Option<String>,
    /// The oldest first.
    over: Vec<Incarnation>,
}

impl Lives {
    /// Takes possession of a data directory that is there.
    ///
    /// # Errors
    /// Another process has it, or the system's, with the remedy.
    pub(crate) fn lock(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(FILE);
        let cannot = |error: io::Error| anyhow!("{} cannot be locked: {error}", path.display());
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("{} is in use by another process; stop it, or name another data directory", directory.display())
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        let place = place(&file);
        let mut text = String::new();
        // What cannot be read proves nothing.
        let over = match (&place, file.read_to_string(&mut text)) {
            (Some(place), Ok(_)) => read(&text, place).unwrap_or_default(),
            (_, _) => Vec::new(),
        };
        Ok(Self { file, place, over })
    }

    /// Lives that are over.
    pub(crate) fn over(&self) -> &[Incarnation] {
        &self.over
    }

    /// Writes down a life of this process, before anybody else may know of it. If it fails the next process waits for the
    /// lease.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn begin(&mut self, life: Incarnation) -> io::Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let before = self.over.len().saturating_sub(LIVES_KNOWN_MAX as usize - 1);
        let lives = self.over[before..].iter().chain([&life]);
        let lives: String = lives.map(|life| format!("{:016x}\n", life.0)).collect();
        let text = format!("{place}\n{lives}{END}\n");
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)
    }
}

fn place(file: &File) -> Option<String> {
    let (boot, of) = (std::fs::read_to_string(BOOT).ok()?, file.metadata().ok()?);
    Some(format!("boot {} device {} inode {}", boot.trim(), of.dev(), of.ino()))
}

/// Lives that were written in this place.
fn read(text: &str, place: &str) -> Option<Vec<Incarnation>> {
    let lives = text.strip_prefix(place)?.strip_prefix('\n')?.strip_suffix(&format!("{END}\n"))?;
    lives.lines().map(|life| u64::from_str_radix(life, 16).ok().map(Incarnation)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Processes that have the directory one after the other, each by the life that it begins. What the last one finds to
    /// be over.
    fn after(directory: &Path, lives: &[u64]) -> Vec<u64> {
        for &life in lives {
            Lives::lock(directory).expect("it is free").begin(Incarnation(life)).expect("it can be written");
        }
        Lives::lock(directory).expect("it is free").over().iter().map(|life| life.0).collect()
    }

    #[test]
    fn lives_that_had_the_lock_are_over_for_whoever_has_it() {
        let check = |lives: &[u64], expected: &[u64]| {
            let directory = tempfile::tempdir().expect("a directory");
            assert_eq!(after(directory.path(), lives), expected);
        };
        check(&[], &[]);
        check(&[7], &[7]);
        check(&[7, u64::MAX, 9], &[7, u64::MAX, 9]);
        // The oldest are forgotten.
        check(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], &[3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn one_process_at_a_time_has_a_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let held = Lives::lock(directory.path()).expect("it is free");
        let refused = Lives::lock(directory.path()).expect_err("it is held").to_string();
        assert_eq!(refused.replace(&directory.path().display().to_string(), "DIR"), {
            "DIR is in use by another process; stop it, or name another data directory"
        });
        drop(held);
        Lives::lock(directory.path()).expect("it is free again");
    }

    #[test]
    fn what_was_written_elsewhere_or_not_to_its_end_proves_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE);
        assert_eq!(after(directory.path(), &[7, 9]), [7, 9]);
        let text = fs::read_to_string(&path).expect("text");
        let check = |text: &str, expected: &[u64]| {
            fs::write(&path, text).expect("a file");
            assert_eq!(after(directory.path(), &[]), expected, "{text}");
        };
        check(&text, &[7, 9]);
        check(&text.replace("boot ", "boot a"), &[]);
        check(&text.replace("end\n", ""), &[]);
        check("", &[]);
        // A copy is another file.
        let copy = tempfile::tempdir().expect("a directory");
        fs::write(copy.path().join(FILE), &text).expect("a file");
        assert_eq!(after(copy.path(), &[]), [0; 0]);
    }
}
