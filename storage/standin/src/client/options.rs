//! Options that the stand-in takes, with or without effect.
//!
//! An option that would change what a transaction means is refused rather than ignored.

use std::time::Duration;

use crate::code::Code;

/// Options of the network: before it is set up. Traces are not written, whatever is asked.
pub(super) fn network(option: i32) -> Result<(), Code> {
    match option {
        // Traces, knobs, several client versions at once, statistics and profiling.
        30..=40 | 60 | 67..=72 => Ok(()),
        _ => Err(Code::INVALID_OPTION),
    }
}

/// An option of a database that has an effect, for transactions begun after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// None here: it is about a cluster's inside.
    None,
    /// From a transaction's begin; zero is for ever.
    Timeout(Duration),
    /// It does not read what it wrote, so it is not to read at all once it wrote: reads here always do.
    OnlyWrites,
}

/// An option of a database.
pub(super) fn database(option: i32, value: &[u8]) -> Result<Effect, Code> {
    match option {
        500 => timeout(value),
        // Cache sizes, limit of watches, names of machine and data centre, logging, reading after others' commits.
        10 | 20..=22 | 405 | 504 | 505 => Ok(Effect::None),
        _ => Err(Code::INVALID_OPTION),
    }
}

/// An option of a transaction.
pub(super) fn transaction(option: i32, value: &[u8]) -> Result<Effect, Code> {
    match option {
        500 => timeout(value),
        51 => Ok(Effect::OnlyWrites),
        // Causal reads, read ahead, caches, priorities, logging and tags.
        10 | 20 | 23 | 40 | 52 | 200 | 201 | 401..=406 | 507..=511 | 710 | 800 | 801 | 1102 => Ok(Effect::None),
        _ => Err(Code::INVALID_OPTION),
    }
}

/// Milliseconds, as 8 bytes, little-endian.
fn timeout(value: &[u8]) -> Result<Effect, Code> {
    let bytes = value.try_into().map_err(|_| Code::INVALID_OPTION_VALUE)?;
    let ms = u64::try_from(i64::from_le_bytes(bytes)).map_err(|_| Code::INVALID_OPTION_VALUE)?;
    Ok(Effect::Timeout(Duration::from_millis(ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_the_meaning_is_refused() {
        let check = |option: i32, value: &[u8], expected: Result<Effect, Code>| {
            assert_eq!(transaction(option, value), expected, "option {option}");
        };
        check(500, &5_000_i64.to_le_bytes(), Ok(Effect::Timeout(Duration::from_secs(5))));
        check(500, &0_i64.to_le_bytes(), Ok(Effect::Timeout(Duration::ZERO)));
        check(500, &(-1_i64).to_le_bytes(), Err(Code::INVALID_OPTION_VALUE));
        check(500, b"", Err(Code::INVALID_OPTION_VALUE));
        check(200, b"", Ok(Effect::None));
        check(51, b"", Ok(Effect::OnlyWrites));
        for option in [30, 301, 505, 601, 1100] {
            check(option, b"", Err(Code::INVALID_OPTION));
        }
    }
}
