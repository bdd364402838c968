//! Faults of the server: by script, one operation after the other, or at random by seed.
//!
//! Owns the decision alone; what a fault does is done where the operation is. A script goes first, then the rates.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::code::Code;

/// How one commit that writes ends, or one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// As it would.
    None,
    /// 1020, as if another had written what it read.
    Conflict,
    /// 1021, and the commit has happened if nothing stood against it.
    UnknownCommitted,
    /// 1021, and it has not.
    UnknownLost,
    /// 1007.
    TooOld,
    /// 1009.
    FutureVersion,
    /// 1037.
    Behind,
    /// The commit happens, and the connection is cut before the answer.
    CutCommitted,
    /// The connection is cut, and nothing happens.
    Cut,
}

impl Fault {
    /// The error of what is refused without being done.
    pub(super) fn code(self) -> Option<Code> {
        match self {
            Self::Conflict => Some(Code::NOT_COMMITTED),
            Self::UnknownLost => Some(Code::COMMIT_UNKNOWN_RESULT),
            Self::TooOld => Some(Code::TRANSACTION_TOO_OLD),
            Self::FutureVersion => Some(Code::FUTURE_VERSION),
            Self::Behind => Some(Code::PROCESS_BEHIND),
            Self::None | Self::UnknownCommitted | Self::CutCommitted | Self::Cut => None,
        }
    }
}

/// How often, in operations of 1,000, and how slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
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
    pub delay_ms: u64,
}

impl Faults {
    fn commits(&self) -> [(Fault, u32); 6] {
        [
            (Fault::Conflict, self.conflict),
            (Fault::UnknownCommitted, self.unknown_committed),
            (Fault::UnknownLost, self.unknown_lost),
            (Fault::TooOld, self.too_old),
            (Fault::FutureVersion, self.future),
            (Fault::Behind, self.behind),
        ]
    }

    fn reads(&self) -> [(Fault, u32); 3] {
        [
            (Fault::TooOld, self.read_too_old),
            (Fault::FutureVersion, self.read_future),
            (Fault::Behind, self.read_behind),
        ]
    }

    /// Refuses rates that come to more than always.
    ///
    /// # Errors
    /// What comes to how much.
    pub fn check(&self) -> Result<(), String> {
        for (of, rates) in [("commits", self.commits().as_slice()), ("reads", &self.reads())] {
            let permille: u64 = rates.iter().map(|(_, permille)| u64::from(*permille)).sum();
            if permille > 1_000 {
                return Err(format!("faults of {of} come to {permille} in 1,000"));
            }
        }
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = String;

    /// Like `conflict=50,unknown_lost=10,delay_ms=2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let faults: Self = toml::from_str(&text.replace(',', "\n")).map_err(|error| error.message().to_owned())?;
        faults.check().map(|()| faults)
    }
}

/// Decides.
#[derive(Debug)]
pub(super) struct Fate {
    random: fastrand::Rng,
    pub(super) faults: Faults,
    /// How the next commits and reads end.
    pub(super) commits: VecDeque<Fault>,
    pub(super) reads: VecDeque<Fault>,
    /// Commits that write are refused for load.
    pub(super) full: bool,
    /// Commits refused so far.
    refused: u64,
}

impl Fate {
    pub(super) fn new(seed: u64, faults: Faults) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { random, faults, commits: VecDeque::new(), reads: VecDeque::new(), full: false, refused: 0 }
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.faults.delay_ms)
    }

    /// The fate of a commit that writes, or its error where it finds the store full: by turns the two that a full
    /// cluster gives.
    pub(super) fn commit(&mut self) -> Result<Fault, Code> {
        if self.full {
            self.refused += 1;
            return Err(if self.refused.is_multiple_of(2) { Code::TAG_THROTTLED } else { Code::PROCESS_BEHIND });
        }
        let scripted = self.commits.pop_front();
        Ok(scripted.unwrap_or_else(|| draw(&mut self.random, &self.faults.commits())))
    }

    pub(super) fn read(&mut self) -> Fault {
        let scripted = self.reads.pop_front();
        scripted.unwrap_or_else(|| draw(&mut self.random, &self.faults.reads()))
    }
}

/// One of `rates`, each in so many of 1,000 cases, or none.
fn draw(random: &mut fastrand::Rng, rates: &[(Fault, u32)]) -> Fault {
    let mut drawn = random.u32(..1_000);
    for (fault, permille) in rates {
        match drawn.checked_sub(*permille) {
            Some(left) => drawn = left,
            None => return *fault,
        }
    }
    Fault::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_written_as_names_and_rates() {
        let check = |text: &str, expected: Result<Faults, &str>| match (text.parse::<Faults>(), expected) {
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{text}: {error}"),
            (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{text}"),
        };
        check("", Ok(Faults::default()));
        check("conflict=50", Ok(Faults { conflict: 50, ..Faults::default() }));
        check("unknown_lost=1,delay_ms=3", Ok(Faults { unknown_lost: 1, delay_ms: 3, ..Faults::default() }));
        check("conflict", Err("expected"));
        check("conflicts=1", Err("expected one of `conflict`, `unknown_committed`"));
        check("conflict=-1", Err("expected u32"));
        check("conflict=600,behind=401", Err("faults of commits come to 1001 in 1,000"));
        check("read_behind=1001", Err("faults of reads come to 1001 in 1,000"));
    }

    #[test]
    fn a_script_goes_first_and_a_seed_repeats_itself() {
        let faults = Faults { conflict: 300, unknown_lost: 300, read_behind: 500, ..Faults::default() };
        let run = |seed: u64| {
            let mut fate = Fate::new(seed, faults);
            fate.commits.extend([Fault::TooOld, Fault::None]);
            fate.reads.push_back(Fault::Cut);
            let scripted = [fate.commit(), fate.commit(), Ok(fate.read())];
            assert_eq!(scripted, [Ok(Fault::TooOld), Ok(Fault::None), Ok(Fault::Cut)]);
            (0..1_000).map(|_| (fate.commit().expect("not full"), fate.read())).collect::<Vec<_>>()
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
