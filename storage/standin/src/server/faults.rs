//! Faults of the server: by script, one operation after the other, or at random by seed.
//!
//! Owns the decision alone; what a fault does is done where the operation is. A script goes first, then the rates.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use crate::code::Code;

/// How one commit that writes ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// As it would.
    None,
    /// 1020, as if another had written what it read.
    Conflict,
    /// 1021, and it has happened if nothing stood against it.
    UnknownCommitted,
    /// 1021, and it has not.
    UnknownLost,
    /// 1007.
    TooOld,
    /// 1009.
    FutureVersion,
    /// 1037.
    Behind,
    /// It happens, and the connection is cut before the answer.
    CutCommitted,
    /// The connection is cut, and it does not happen.
    CutLost,
}

/// How one read ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFault {
    /// As it would.
    None,
    /// 1007.
    TooOld,
    /// 1009.
    FutureVersion,
    /// 1037.
    Behind,
    /// The connection is cut.
    Cut,
}

/// How often, in operations of 1,000, and how slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Commits that end in 1020.
    pub conflict: u32,
    /// Commits that happen and end in 1021.
    pub unknown_committed: u32,
    /// Commits that do not happen and end in 1021.
    pub unknown_lost: u32,
    /// Commits that end in 1007.
    pub too_old: u32,
    /// Commits that end in 1009.
    pub future: u32,
    /// Commits that end in 1037.
    pub behind: u32,
    /// Reads that end in 1007.
    pub read_too_old: u32,
    /// Reads that end in 1009.
    pub read_future: u32,
    /// Reads that end in 1037.
    pub read_behind: u32,
    /// Every answer is held back for so long.
    pub delay: Duration,
}

/// What is wrong with a text of faults.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultsError {
    /// Not a fault.
    #[error(
        "{0:?} is not like `conflict=50`; names: conflict, unknown_committed, unknown_lost, too_old, future, behind, \
             read_too_old, read_future, read_behind (in operations of 1,000), delay_ms"
    )]
    Unknown(String),
    /// More than always.
    #[error("faults of {of} come to {permille} in 1,000")]
    TooMany {
        /// Commits or reads.
        of: &'static str,
        /// Their sum.
        permille: u64,
    },
}

impl Faults {
    /// Refuses rates that come to more than always.
    ///
    /// # Errors
    /// [`FaultsError::TooMany`].
    pub fn check(&self) -> Result<(), FaultsError> {
        let commits =
            [self.conflict, self.unknown_committed, self.unknown_lost, self.too_old, self.future, self.behind];
        let reads = [self.read_too_old, self.read_future, self.read_behind];
        for (of, rates) in [("commits", commits.as_slice()), ("reads", reads.as_slice())] {
            let permille = rates.iter().copied().map(u64::from).sum();
            if permille > 1_000 {
                return Err(FaultsError::TooMany { of, permille });
            }
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = FaultsError;

    /// Like `conflict=50,unknown_lost=10,delay_ms=2`.
    fn from_str(text: &str) -> Result<Self, FaultsError> {
        let mut faults = Self::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let unknown = || FaultsError::Unknown(word.to_owned());
            let (name, number) = word.split_once('=').ok_or_else(unknown)?;
            let number: u32 = number.parse().map_err(|_| unknown())?;
            match name {
                "conflict" => faults.conflict = number,
                "unknown_committed" => faults.unknown_committed = number,
                "unknown_lost" => faults.unknown_lost = number,
                "too_old" => faults.too_old = number,
                "future" => faults.future = number,
                "behind" => faults.behind = number,
                "read_too_old" => faults.read_too_old = number,
                "read_future" => faults.read_future = number,
                "read_behind" => faults.read_behind = number,
                "delay_ms" => faults.delay = Duration::from_millis(number.into()),
                _ => return Err(unknown()),
            }
        }
        faults.check()?;
        Ok(faults)
    }
}

/// Decides.
#[derive(Debug)]
pub(super) struct Fate {
    /// The state of the generator.
    random: u64,
    faults: Faults,
    commits: VecDeque<Fault>,
    reads: VecDeque<ReadFault>,
    full: bool,
    /// Commits refused for being full so far.
    refused: u64,
}

impl Fate {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        Self { random: seed, faults, commits: VecDeque::new(), reads: VecDeque::new(), full: false, refused: 0 }
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    pub(super) fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    pub(super) fn script(&mut self, commits: &[Fault], reads: &[ReadFault]) {
        self.commits.extend(commits);
        self.reads.extend(reads);
    }

    pub(super) fn delay(&self) -> Duration {
        self.faults.delay
    }

    /// The error of a commit that finds the store full: by turns the two that a full cluster gives.
    pub(super) fn full(&mut self) -> Option<Code> {
        if !self.full {
            return None;
        }
        self.refused += 1;
        Some(if self.refused.is_multiple_of(2) { Code::TAG_THROTTLED } else { Code::PROCESS_BEHIND })
    }

    pub(super) fn commit(&mut self) -> Fault {
        if let Some(fault) = self.commits.pop_front() {
            return fault;
        }
        let Faults { conflict, unknown_committed, unknown_lost, too_old, future, behind, .. } = self.faults;
        self.draw(&[
            (conflict, Fault::Conflict),
            (unknown_committed, Fault::UnknownCommitted),
            (unknown_lost, Fault::UnknownLost),
            (too_old, Fault::TooOld),
            (future, Fault::FutureVersion),
            (behind, Fault::Behind),
        ])
        .unwrap_or(Fault::None)
    }

    pub(super) fn read(&mut self) -> ReadFault {
        if let Some(fault) = self.reads.pop_front() {
            return fault;
        }
        let Faults { read_too_old, read_future, read_behind, .. } = self.faults;
        self.draw(&[
            (read_too_old, ReadFault::TooOld),
            (read_future, ReadFault::FutureVersion),
            (read_behind, ReadFault::Behind),
        ])
        .unwrap_or(ReadFault::None)
    }

    /// One of `rates`, each in so many of 1,000 cases.
    fn draw<T: Copy>(&mut self, rates: &[(u32, T)]) -> Option<T> {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mut drawn = (bits ^ (bits >> 31)) % 1_000;
        for (permille, fault) in rates {
            let permille = u64::from(*permille);
            if drawn < permille {
                return Some(*fault);
            }
            drawn -= permille;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_written_as_names_and_rates() {
        let check = |text: &str, expected: Result<Faults, FaultsError>| assert_eq!(text.parse(), expected, "{text}");
        check("", Ok(Faults::default()));
        check("conflict=50", Ok(Faults { conflict: 50, ..Faults::default() }));
        let two = Faults { unknown_lost: 1, delay: Duration::from_millis(3), ..Faults::default() };
        check("unknown_lost=1,delay_ms=3", Ok(two));
        check("conflict", Err(FaultsError::Unknown("conflict".to_owned())));
        check("conflicts=1", Err(FaultsError::Unknown("conflicts=1".to_owned())));
        check("conflict=-1", Err(FaultsError::Unknown("conflict=-1".to_owned())));
        check("conflict=600,behind=401", Err(FaultsError::TooMany { of: "commits", permille: 1_001 }));
        check("read_behind=1001", Err(FaultsError::TooMany { of: "reads", permille: 1_001 }));
    }

    #[test]
    fn a_script_goes_first_and_a_seed_repeats_itself() {
        let faults = Faults { conflict: 300, unknown_lost: 300, read_behind: 500, ..Faults::default() };
        let run = |seed: u64| {
            let mut fate = Fate::new(seed, faults);
            fate.script(&[Fault::TooOld, Fault::None], &[ReadFault::Cut]);
            assert_eq!([fate.commit(), fate.commit()], [Fault::TooOld, Fault::None]);
            assert_eq!(fate.read(), ReadFault::Cut);
            (0..1_000).map(|_| (fate.commit(), fate.read())).collect::<Vec<_>>()
        };
        let (first, again, other) = (run(1), run(1), run(2));
        assert_eq!(first, again);
        assert_ne!(first, other);
        let count = |fault: Fault| first.iter().filter(|(commit, _)| *commit == fault).count();
        for (fault, expected) in [(Fault::Conflict, 300), (Fault::UnknownLost, 300), (Fault::None, 400)] {
            assert!(count(fault).abs_diff(expected) < 60, "{} commits of 1,000 end in {fault:?}", count(fault));
        }
    }
}
