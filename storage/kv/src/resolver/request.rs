//! Commit requests, and their mutations once the stamp is known.

use bytes::{Bytes, BytesMut};

use super::spans::Span;
use crate::transaction::{Atomic, Stamp, Version};

/// A transaction as the resolver judges it.
#[derive(Debug)]
pub struct CommitRequest {
    /// Where it read.
    pub read_version: Version,
    /// What it read, snapshot reads aside.
    pub reads: Vec<Span>,
    /// Its writes, in their order.
    pub mutations: Vec<Mutation>,
    /// Its size as limits count it.
    pub size_bytes: usize,
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// Write a row.
    Set(Bytes, Bytes),
    /// Remove a row.
    Clear(Bytes),
    /// Remove the rows from the first (inclusive) to the second (exclusive).
    ClearRange(Bytes, Bytes),
    /// Change a number in place: key, operand.
    Atomic(Atomic, Bytes, Bytes),
    /// Write a row: the key's part before the stamp, its part after, the value.
    StampedKey(Bytes, Bytes, Bytes),
    /// Write a row: key, the value's part before the stamp, its part after.
    StampedValue(Bytes, Bytes, Bytes),
}

/// A mutation without a stamp left to fill in.
#[derive(Debug, PartialEq, Eq)]
pub enum Write {
    /// Write a row.
    Set(Bytes, Bytes),
    /// Remove a row.
    Clear(Bytes),
    /// Remove the rows of a range.
    ClearRange(Bytes, Bytes),
    /// Change a number in place: key, operand.
    Atomic(Atomic, Bytes, Bytes),
}

impl Mutation {
    /// The mutation with its stamp filled in.
    #[must_use]
    pub fn write(self, stamp: Stamp) -> Write {
        match self {
            Self::Set(key, value) => Write::Set(key, value),
            Self::Clear(key) => Write::Clear(key),
            Self::ClearRange(begin, end) => Write::ClearRange(begin, end),
            Self::Atomic(op, key, operand) => Write::Atomic(op, key, operand),
            Self::StampedKey(prefix, suffix, value) => Write::Set(stamped(&prefix, stamp, &suffix), value),
            Self::StampedValue(key, prefix, suffix) => Write::Set(key, stamped(&prefix, stamp, &suffix)),
        }
    }
}

fn stamped(prefix: &[u8], stamp: Stamp, suffix: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(prefix.len() + stamp.0.len() + suffix.len());
    bytes.extend_from_slice(prefix);
    bytes.extend_from_slice(&stamp.0);
    bytes.extend_from_slice(suffix);
    bytes.freeze()
}

impl Atomic {
    /// The stored value that `operand` makes of `value`. Its length is the operand's.
    #[must_use]
    pub fn apply(self, value: Option<&[u8]>, operand: &[u8]) -> Bytes {
        let value = value.unwrap_or_default();
        let digits = (0..operand.len()).map(|at| value.get(at).copied().unwrap_or(0));
        match self {
            Self::Add => {
                let mut carry = 0;
                let sum = digits.zip(operand).map(|(digit, added)| {
                    let sum = u16::from(digit) + u16::from(*added) + carry;
                    carry = sum >> 8;
                    sum as u8
                });
                sum.collect()
            }
            Self::Max => {
                if digits.clone().rev().gt(operand.iter().rev().copied()) {
                    digits.collect()
                } else {
                    Bytes::copy_from_slice(operand)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_little_endian_and_set_the_length() {
        let check = |op: Atomic, value: Option<&[u8]>, operand: &[u8], result: &[u8]| {
            assert_eq!(op.apply(value, operand), result, "{op:?} {value:?} {operand:?}");
        };
        check(Atomic::Add, None, &[5, 0], &[5, 0]);
        check(Atomic::Add, Some(&[]), &[5, 0], &[5, 0]);
        check(Atomic::Add, Some(&[255, 0]), &[1, 0], &[0, 1]);
        check(Atomic::Add, Some(&[255, 255]), &[1, 0], &[0, 0]);
        check(Atomic::Add, Some(&[255]), &[1, 0], &[0, 1]);
        check(Atomic::Add, Some(&[1, 9]), &[1], &[2]);
        check(Atomic::Add, Some(&[1]), &[], &[]);
        check(Atomic::Max, None, &[5, 0], &[5, 0]);
        check(Atomic::Max, Some(&[4, 1]), &[5, 0], &[4, 1]);
        check(Atomic::Max, Some(&[4, 1]), &[3, 2], &[3, 2]);
        check(Atomic::Max, Some(&[4]), &[3, 1], &[3, 1]);
        check(Atomic::Max, Some(&[9]), &[3, 0], &[9, 0]);
        check(Atomic::Max, Some(&[4, 1]), &[5], &[5]);
        check(Atomic::Max, Some(&[7, 1]), &[5], &[7]);
    }
}
