//! Free disk space, and whether it is still enough to accept messages.
//!
//! Owns the decision with its hysteresis. When to look, and what a change stops, is the node's: sends are refused with
//! 115 and `/health/ready` says no while [`DiskWatch::is_low`].

use std::io;
use std::path::Path;

/// What part of the reserve must be free on top of it before messages are accepted again, so that the answer does not
/// change with each of them: an eighth.
const RETURN_SHARE: u64 = 8;

/// A change that the node acts on and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskChange {
    /// Less than the reserve is free: accept nothing more.
    Low {
        /// Bytes free now.
        free_bytes: u64,
    },
    /// Enough is free again.
    Enough {
        /// Bytes free now.
        free_bytes: u64,
    },
}

/// Watches one file system.
#[derive(Debug, Clone)]
pub(crate) struct DiskWatch {
    reserve_bytes: u64,
    low: bool,
}

impl DiskWatch {
    /// A watch that has seen enough so far. A reserve of 0 is never touched.
    #[must_use]
    pub(crate) fn new(reserve_bytes: u64) -> Self {
        Self { reserve_bytes, low: false }
    }

    /// Takes a measurement. `Some` if it changes anything.
    pub(crate) fn observe(&mut self, free_bytes: u64) -> Option<DiskChange> {
        let wanted_bytes = if self.low { self.return_bytes() } else { self.reserve_bytes };
        let low = free_bytes < wanted_bytes;
        if low == self.low {
            return None;
        }
        self.low = low;
        Some(if low { DiskChange::Low { free_bytes } } else { DiskChange::Enough { free_bytes } })
    }

    /// Whether less than enough was free at the last measurement.
    #[must_use]
    pub(crate) fn is_low(&self) -> bool {
        self.low
    }

    /// Free bytes at which a low disk is enough again.
    #[must_use]
    pub(crate) fn return_bytes(&self) -> u64 {
        self.reserve_bytes.saturating_add(self.reserve_bytes / RETURN_SHARE)
    }
}

/// Bytes that this process may still write to the file system of `path`.
///
/// # Errors
/// The system's, if there is no such path.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(path)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each measurement changes, with a reserve of 800 bytes.
    fn check(measured: &[u64], expected: &[&str]) {
        let mut watch = DiskWatch::new(800);
        let mut seen = |free| match watch.observe(free) {
            Some(DiskChange::Low { free_bytes }) => format!("low {free_bytes}"),
            Some(DiskChange::Enough { free_bytes }) => format!("enough {free_bytes}"),
            None => "-".to_owned(),
        };
        assert_eq!(measured.iter().map(|free| seen(*free)).collect::<Vec<_>>(), expected, "{measured:?}");
    }

    #[test]
    fn low_is_below_the_reserve_and_enough_an_eighth_above_it() {
        check(&[5000, 801, 800], &["-", "-", "-"]);
        check(&[800, 799], &["-", "low 799"]);
        check(&[799, 0, 800, 899], &["low 799", "-", "-", "-"]);
        check(&[799, 900, 800, 799], &["low 799", "enough 900", "-", "low 799"]);
    }

    #[test]
    fn no_reserve_is_never_low() {
        let mut watch = DiskWatch::new(0);
        assert_eq!(watch.observe(0), None);
        assert!(!watch.is_low());
    }

    #[test]
    fn a_file_system_has_free_bytes_and_an_absent_path_has_none() {
        assert!(free_bytes(Path::new("/")).expect("there is a root") > 0);
        assert_eq!(free_bytes(Path::new("/absent")).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }
}
