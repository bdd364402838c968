//! A transaction's writes on their way to the server: checked, counted and kept as bytes.
//!
//! Owns FoundationDB's own limits on keys, values and transactions, in its arithmetic. The first refusal is kept and
//! nothing after it: functions of the C library that return nothing leave their error to the commit.

use kv::limits::{
    CONFLICT_OVERHEAD_BYTES, MUTATION_OVERHEAD_BYTES, STAMP_OFFSET_BYTES, TRANSACTION_BYTES_MAX, VALUE_BYTES_MAX,
};
use kv::transaction::{RESERVED, STAMP_BYTES};

use crate::code::Code;
use crate::frame::Write;

/// FoundationDB's limit on keys. Ends of ranges may be one longer.
pub(super) const KEY_BYTES_MAX: usize = 10_000;

/// Bytes at the end of a versionstamped operand: where the stamp goes. As in FoundationDB they count towards its limit.
const OFFSET_BYTES: usize = STAMP_OFFSET_BYTES;

/// What a transaction has written and not sent.
#[derive(Default)]
pub(super) struct Writes {
    /// [`Write`]s, one after the other.
    unsent: Vec<u8>,
    size_bytes: usize,
    /// It writes, or declares to: its commit changes the store.
    any: bool,
    refused: Option<Code>,
}

/// An operation on a key, by the C library's numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Atomic {
    Add,
    Max,
    StampedKey,
    StampedValue,
}

impl Atomic {
    pub(super) fn new(number: i32) -> Result<Self, Code> {
        match number {
            2 => Ok(Self::Add),
            12 => Ok(Self::Max),
            14 => Ok(Self::StampedKey),
            15 => Ok(Self::StampedValue),
            _ => Err(Code::INVALID_MUTATION_TYPE),
        }
    }
}

impl Writes {
    pub(super) fn any(&self) -> bool {
        self.any
    }

    pub(super) fn refused(&self) -> Option<Code> {
        self.refused
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// What was written since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unsent)
    }

    /// Nothing is written any more, and the commit fails.
    pub(super) fn refuse(&mut self, code: Code) {
        self.refused.get_or_insert(code);
        self.unsent = Vec::new();
    }

    /// A key was read: it may conflict.
    pub(super) fn count_read(&mut self, begin: &[u8], end: &[u8]) {
        self.size_bytes += begin.len() + end.len() + CONFLICT_OVERHEAD_BYTES;
    }

    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) {
        let check = check_key(key).and_then(|()| check_value(value.len()));
        self.push(check, &Write::Set(key, value), key.len() + value.len(), 2 * key.len() + 1);
    }

    pub(super) fn clear(&mut self, key: &[u8]) {
        self.push(check_key(key), &Write::Clear(key), 2 * key.len() + 1, 2 * key.len() + 1);
    }

    pub(super) fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        let bytes = begin.len() + end.len();
        self.push(check_range(begin, end), &Write::ClearRange(begin, end), bytes, bytes);
    }

    /// Unlike the others it can be refused at once.
    pub(super) fn read_conflict(&mut self, begin: &[u8], end: &[u8]) -> Result<(), Code> {
        check_range(begin, end)?;
        self.count_read(begin, end);
        if self.refused.is_none() {
            Write::Reads(begin, end).put(&mut self.unsent);
        }
        Ok(())
    }

    pub(super) fn atomic(&mut self, number: i32, key: &[u8], operand: &[u8]) {
        let refused = match Atomic::new(number) {
            Ok(Atomic::Add) => return self.change(&Write::Add(key, operand), key, operand),
            Ok(Atomic::Max) => return self.change(&Write::Max(key, operand), key, operand),
            Ok(Atomic::StampedKey) => stamp_place(key).map(|(prefix, suffix)| {
                let row = &key[..key.len() - OFFSET_BYTES];
                let check = check_key(row).and_then(|()| check_value(operand.len()));
                self.push(
                    check,
                    &Write::StampedKey(prefix, suffix, operand),
                    row.len() + operand.len(),
                    2 * row.len() + 1,
                );
            }),
            Ok(Atomic::StampedValue) => stamp_place(operand).map(|(prefix, suffix)| {
                let value_bytes = operand.len() - OFFSET_BYTES;
                let check = check_key(key).and_then(|()| check_value(operand.len()));
                self.push(check, &Write::StampedValue(key, prefix, suffix), key.len() + value_bytes, 2 * key.len() + 1);
            }),
            Err(code) => Err(code),
        };
        if let Err(code) = refused {
            self.refuse(code);
        }
    }

    fn change(&mut self, write: &Write<&[u8]>, key: &[u8], operand: &[u8]) {
        let check = check_key(key).and_then(|()| check_value(operand.len()));
        self.push(check, write, key.len() + operand.len(), 2 * key.len() + 1);
    }

    /// A write counts twice, as itself and as the conflict range that it makes for others.
    fn push(&mut self, check: Result<(), Code>, write: &Write<&[u8]>, row_bytes: usize, conflict_bytes: usize) {
        self.any = true;
        if let Err(code) = check {
            self.refuse(code);
        }
        if self.refused.is_some() {
            return;
        }
        self.size_bytes += row_bytes + MUTATION_OVERHEAD_BYTES + conflict_bytes + CONFLICT_OVERHEAD_BYTES;
        if self.size_bytes > TRANSACTION_BYTES_MAX {
            return self.refuse(Code::TRANSACTION_TOO_LARGE);
        }
        write.put(&mut self.unsent);
    }
}

/// What lies before and after the 10 bytes that the stamp replaces.
fn stamp_place(bytes: &[u8]) -> Result<(&[u8], &[u8]), Code> {
    let (row, offset) = bytes.split_last_chunk::<OFFSET_BYTES>().ok_or(Code::CLIENT_INVALID_OPERATION)?;
    let offset = u32::from_le_bytes(*offset) as usize;
    let (prefix, rest) = row.split_at_checked(offset).ok_or(Code::CLIENT_INVALID_OPERATION)?;
    let (_, suffix) = rest.split_at_checked(STAMP_BYTES).ok_or(Code::CLIENT_INVALID_OPERATION)?;
    Ok((prefix, suffix))
}

pub(super) fn check_key(key: &[u8]) -> Result<(), Code> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Code::KEY_TOO_LARGE);
    }
    if key >= RESERVED {
        return Err(Code::KEY_OUTSIDE_LEGAL_RANGE);
    }
    Ok(())
}

pub(super) fn check_range(begin: &[u8], end: &[u8]) -> Result<(), Code> {
    if begin > end {
        return Err(Code::INVERTED_RANGE);
    }
    if end > RESERVED {
        return Err(Code::KEY_OUTSIDE_LEGAL_RANGE);
    }
    if begin.len().max(end.len()) > KEY_BYTES_MAX + 1 {
        return Err(Code::KEY_TOO_LARGE);
    }
    Ok(())
}

fn check_value(len_bytes: usize) -> Result<(), Code> {
    if len_bytes > VALUE_BYTES_MAX { Err(Code::VALUE_TOO_LARGE) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// What is sent after `write`, or the refusal that the commit reports.
    fn check(write: impl FnOnce(&mut Writes), expected: Result<Vec<Write<&'static [u8]>>, Code>) {
        let mut writes = Writes::default();
        write(&mut writes);
        let found = match writes.refused() {
            Some(code) => Err(code),
            None => Ok(writes.take()),
        };
        let expected = expected.map(|writes| {
            let mut bytes = Vec::new();
            writes.iter().for_each(|write| write.put(&mut bytes));
            bytes
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stamp_goes_where_the_last_four_bytes_say() {
        const STAMPED: i32 = 14;
        let key = |row: &[u8], offset: u32| [row, &offset.to_le_bytes()].concat();
        let is = |prefix, suffix| Ok(vec![Write::StampedKey(prefix, suffix, b"v".as_slice())]);
        check(|writes| writes.atomic(STAMPED, &key(b"p..........s", 1), b"v"), is(b"p", b"s"));
        check(|writes| writes.atomic(STAMPED, &key(b"..........", 0), b"v"), is(b"", b""));
        check(|writes| writes.atomic(STAMPED, &key(b"..........s", 2), b"v"), Err(Code::CLIENT_INVALID_OPERATION));
        check(|writes| writes.atomic(STAMPED, &key(b".........", 0), b"v"), Err(Code::CLIENT_INVALID_OPERATION));
        check(|writes| writes.atomic(STAMPED, &key(b"", u32::MAX), b"v"), Err(Code::CLIENT_INVALID_OPERATION));
        check(|writes| writes.atomic(STAMPED, b"abc", b"v"), Err(Code::CLIENT_INVALID_OPERATION));
        let value = [b"<..........>".as_slice(), &1_u32.to_le_bytes()].concat();
        let is = Ok(vec![Write::StampedValue(b"k".as_slice(), b"<", b">")]);
        check(|writes| writes.atomic(15, b"k", &value), is);
    }

    #[test]
    fn limits_are_foundationdbs_and_the_first_refusal_stays() {
        let key = |len_bytes: usize| vec![b'k'; len_bytes];
        check(|writes| writes.set(&key(10_001), b""), Err(Code::KEY_TOO_LARGE));
        check(|writes| writes.set(b"k", &key(100_001)), Err(Code::VALUE_TOO_LARGE));
        check(|writes| writes.set(b"\xFF", b""), Err(Code::KEY_OUTSIDE_LEGAL_RANGE));
        check(|writes| writes.clear_range(b"b", b"a"), Err(Code::INVERTED_RANGE));
        check(|writes| writes.atomic(6, b"k", b"v"), Err(Code::INVALID_MUTATION_TYPE));
        let two = |writes: &mut Writes| {
            writes.set(b"k", &key(100_001));
            writes.set(b"\xFF", b"");
        };
        check(two, Err(Code::VALUE_TOO_LARGE));
        let many = |rows: u32| {
            move |writes: &mut Writes| (0..rows).for_each(|row| writes.set(&row.to_be_bytes(), &[0; 100_000]))
        };
        check(many(100), Err(Code::TRANSACTION_TOO_LARGE));
        let mut writes = Writes::default();
        many(99)(&mut writes);
        writes.set(&key(10_000), b"");
        assert_eq!(writes.refused(), None);
        assert!(Bytes::from(writes.take()).len() < crate::frame::FRAME_BYTES_MAX);
    }
}
