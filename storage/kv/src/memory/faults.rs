//! Faults of the memory engine: what goes wrong on request, within what the interface allows.
//!
//! A fault is never a lie about what is durable.

use std::collections::VecDeque;

use crate::error::Error;

/// Decides, one operation after the other, what goes wrong. Called in the order of operations, so a deterministic
/// schedule makes deterministic faults.
pub trait Faults: Send + 'static {
    /// The error of the next read, if it fails.
    fn read(&mut self) -> Option<Error> {
        None
    }

    /// The fate of the next commit that writes.
    fn commit(&mut self) -> CommitFault {
        CommitFault::None
    }

    /// How many times the next operation lets other tasks run first.
    fn yields(&mut self) -> u32 {
        0
    }

    /// How many versions behind the newest the next cached read version is.
    fn cached_lag(&mut self) -> u64 {
        0
    }
}

/// What happens to one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// Nothing.
    None,
    /// Refused as if something it read had changed.
    Conflict,
    /// Refused for load.
    Throttled,
    /// Refused for age.
    TooOld,
    /// Judged and, if admitted, stored; the answer, once it is durable, is `UnknownResult`.
    UnknownCommitted,
    /// Not even judged; the answer is `UnknownResult`.
    UnknownLost,
}

/// Nothing goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}

/// Faults drawn from a seed.
#[derive(Debug, Clone)]
pub struct SeededFaults {
    state: u64,
    rates: FaultRates,
}

/// How often, in operations of 1,000. By default nothing goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// Reads that end in `TooOld` or `Throttled`.
    pub read_permille: u32,
    /// Reads that end in `Unavailable`.
    pub unavailable_permille: u32,
    /// Commits refused as conflicts.
    pub conflict_permille: u32,
    /// Commits refused as `Throttled` or `TooOld`.
    pub refused_permille: u32,
    /// Commits with an unknown result, half of them committed.
    pub unknown_permille: u32,
    /// Greatest number of times an operation lets others run.
    pub yields_max: u32,
    /// Greatest age of a cached read version, in versions.
    pub cached_lag_max: u64,
}

impl FaultRates {
    /// Often enough that every path of a retry loop is walked within some hundred transactions.
    pub const HOSTILE: Self = Self {
        read_permille: 5,
        unavailable_permille: 0,
        conflict_permille: 30,
        refused_permille: 10,
        unknown_permille: 30,
        yields_max: 2,
        cached_lag_max: 3,
    };
}

impl SeededFaults {
    /// The faults of `seed`.
    #[must_use]
    pub fn new(seed: u64, rates: FaultRates) -> Self {
        Self { state: seed, rates }
    }

    /// SplitMix64.
    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % below
    }
}

impl Faults for SeededFaults {
    fn read(&mut self) -> Option<Error> {
        let refused = u64::from(self.rates.read_permille);
        let unanswered = refused + u64::from(self.rates.unavailable_permille);
        match self.draw(1_000) {
            draw if draw < refused && draw % 2 == 0 => Some(Error::TooOld),
            draw if draw < refused => Some(Error::Throttled),
            draw if draw < unanswered => Some(Error::Unavailable),
            _ => None,
        }
    }

    fn commit(&mut self) -> CommitFault {
        let conflict = u64::from(self.rates.conflict_permille);
        let refused = conflict + u64::from(self.rates.refused_permille);
        let unknown = refused + u64::from(self.rates.unknown_permille);
        match self.draw(1_000) {
            draw if draw < conflict => CommitFault::Conflict,
            draw if draw < refused && draw % 2 == 0 => CommitFault::Throttled,
            draw if draw < refused => CommitFault::TooOld,
            draw if draw < unknown && draw % 2 == 0 => CommitFault::UnknownCommitted,
            draw if draw < unknown => CommitFault::UnknownLost,
            _ => CommitFault::None,
        }
    }

    fn yields(&mut self) -> u32 {
        let max = u64::from(self.rates.yields_max);
        u32::try_from(self.draw(max + 1)).expect("at most yields_max")
    }

    fn cached_lag(&mut self) -> u64 {
        self.draw(self.rates.cached_lag_max + 1)
    }
}

/// The commits' fates one by one; nothing goes wrong after the last.
#[derive(Debug, Clone, Default)]
pub struct ScriptedFaults(VecDeque<CommitFault>);

impl ScriptedFaults {
    /// In this order.
    #[must_use]
    pub fn new(fates: impl IntoIterator<Item = CommitFault>) -> Self {
        Self(fates.into_iter().collect())
    }
}

impl Faults for ScriptedFaults {
    fn commit(&mut self) -> CommitFault {
        self.0.pop_front().unwrap_or(CommitFault::None)
    }
}
