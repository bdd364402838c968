//! Uncommitted writes of one transaction, as an overlay over what its reads find.
//!
//! Owns the ordered mutations that will be committed, and the size limits; the same writes by key are made once something
//! is read behind a write, which most transactions never do.
//! Knows nothing of versions of the store: what lies below is given to it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::limits;
use crate::resolver::{Mutation, Ranges};
use crate::transaction::{Atomic, RESERVED, STAMP_BYTES, Stamp, Version};

/// A transaction's own writes.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// Longest key that is taken.
    key_bytes_max: usize,
    mutations: Vec<Mutation>,
    /// Room for the bytes of further mutations.
    room: Room,
    /// Versions that the stamps of versionstamped keys are younger than, in the order of those.
    younger_than: Vec<Version>,
    by_key: OnceLock<ByKey>,
    size_bytes: usize,
    /// The first refusal. Nothing is kept after it.
    refused: Option<Error>,
}

/// Bytes of mutations, many in one allocation: they are made by one thread and let go of by another, which takes an
/// allocator longer than the copy.
#[derive(Debug, Default)]
struct Room {
    buffer: BytesMut,
    /// Of the last allocation.
    allocated: usize,
}

/// Of the first allocation, and of the largest: whatever is kept of it keeps all of it.
const ROOM_BYTES_FIRST: usize = 256;
const ROOM_BYTES_MAX: usize = 16 * 1024;

impl Room {
    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if bytes.is_empty() || bytes.len() > ROOM_BYTES_MAX / 4 {
            return Bytes::copy_from_slice(bytes);
        }
        if self.buffer.capacity() < bytes.len() {
            self.allocated = (self.allocated * 2).clamp(ROOM_BYTES_FIRST, ROOM_BYTES_MAX).max(bytes.len());
            self.buffer = BytesMut::with_capacity(self.allocated);
        }
        self.buffer.extend_from_slice(bytes);
        self.buffer.split().freeze()
    }
}

/// The writes by key.
#[derive(Debug, Default)]
struct ByKey {
    /// The last word on each key written since it was last in a cleared range.
    entries: BTreeMap<Bytes, Entry>,
    /// Ranges cleared; entries are on top.
    cleared: Ranges,
    /// Where versionstamped keys may come to lie.
    unreadable: Ranges,
}

/// What this transaction did to one key.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Wrote it, or removed it.
    Known(Option<Bytes>),
    /// Changed what lies below, in this order.
    Changed(Vec<(Atomic, Bytes)>),
    /// Wrote a versionstamp into its value.
    Stamped,
}

impl Entry {
    /// The value, given the one below. `Stamped` has been refused before.
    pub(crate) fn value(&self, below: Option<Bytes>) -> Option<Bytes> {
        match self {
            Self::Known(value) => value.clone(),
            Self::Changed(changes) => {
                changes.iter().fold(below, |value, (op, operand)| Some(op.apply(value.as_deref(), operand)))
            }
            Self::Stamped => unreachable!("reads that touch a stamped value are refused"),
        }
    }
}

impl ByKey {
    fn of(mutations: &[Mutation], younger_than: &[Version]) -> Self {
        let mut by_key = Self::default();
        let mut younger_than = younger_than.iter();
        for mutation in mutations {
            let younger_than = match mutation {
                Mutation::StampedKey(..) => *younger_than.next().expect("one for each"),
                Mutation::Set(..)
                | Mutation::Clear(..)
                | Mutation::ClearRange(..)
                | Mutation::Atomic(..)
                | Mutation::StampedValue(..) => Version(0),
            };
            by_key.add(mutation, younger_than);
        }
        by_key
    }

    /// `younger_than` bounds where a versionstamped key may lie.
    fn add(&mut self, mutation: &Mutation, younger_than: Version) {
        match mutation {
            Mutation::Set(key, value) => _ = self.entries.insert(key.clone(), Entry::Known(Some(value.clone()))),
            Mutation::Clear(key) => _ = self.entries.insert(key.clone(), Entry::Known(None)),
            Mutation::ClearRange(begin, end) => {
                self.entries.extract_if(begin.clone()..end.clone(), |_, _| true).for_each(drop);
                self.cleared.insert(begin.clone(), end.clone());
            }
            Mutation::Atomic(op, key, operand) => self.change(*op, key, operand),
            Mutation::StampedKey(prefix, suffix, _) => {
                let at = |stamp: [u8; STAMP_BYTES], after: &[u8]| {
                    Bytes::from([&prefix[..], &stamp, &suffix[..], after].concat())
                };
                let (first, last) = (Stamp::new(younger_than, 0).0, [0xFF; STAMP_BYTES]);
                self.unreadable.insert(at(first, &[]), at(last, &[0]));
            }
            Mutation::StampedValue(key, _, _) => _ = self.entries.insert(key.clone(), Entry::Stamped),
        }
    }

    fn change(&mut self, op: Atomic, key: &Bytes, operand: &Bytes) {
        match self.entries.get_mut(key) {
            Some(Entry::Known(value)) => *value = Some(op.apply(value.as_deref(), operand)),
            Some(Entry::Changed(changes)) => changes.push((op, operand.clone())),
            Some(Entry::Stamped) => {}
            None => {
                let entry = match self.cleared.contains(key) {
                    true => Entry::Known(Some(op.apply(None, operand))),
                    false => Entry::Changed(vec![(op, operand.clone())]),
                };
                self.entries.insert(key.clone(), entry);
            }
        }
    }
}

impl Overlay {
    pub(crate) fn new(key_bytes_max: usize) -> Self {
        Self {
            key_bytes_max,
            mutations: Vec::new(),
            room: Room::default(),
            younger_than: Vec::new(),
            by_key: OnceLock::new(),
            size_bytes: 0,
            refused: None,
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Whether there is nothing to commit.
    pub(crate) fn is_empty(&self) -> bool {
        self.mutations.is_empty() && self.refused.is_none()
    }

    /// What is to be committed, in order.
    ///
    /// # Errors
    /// The first refusal of a write.
    pub(crate) fn finish(self) -> Result<Vec<Mutation>, Error> {
        match self.refused {
            Some(error) => Err(error),
            None => Ok(self.mutations),
        }
    }

    pub(crate) fn set(&mut self, key: &[u8], value: &[u8]) {
        if self.refuses(self.check_key(key, 0).and_then(|()| check_value(value.len()))) {
            return;
        }
        let (key, value) = (self.room.copy(key), self.room.copy(value));
        self.push(Mutation::Set(key, value));
    }

    pub(crate) fn clear(&mut self, key: &[u8]) {
        if self.refuses(self.check_key(key, 0)) {
            return;
        }
        let key = self.room.copy(key);
        self.push(Mutation::Clear(key));
    }

    pub(crate) fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        if self.refuses(self.check_range(begin, end)) || begin == end {
            return;
        }
        // Whoever remembers what was cleared keeps no more than that.
        self.push(Mutation::ClearRange(Bytes::copy_from_slice(begin), Bytes::copy_from_slice(end)));
    }

    pub(crate) fn atomic(&mut self, op: Atomic, key: &[u8], operand: &[u8]) {
        if self.refuses(self.check_key(key, 0).and_then(|()| check_value(operand.len()))) {
            return;
        }
        let (key, operand) = (self.room.copy(key), self.room.copy(operand));
        self.push(Mutation::Atomic(op, key, operand));
    }

    /// `read_version` bounds where the key may lie: stamps are younger.
    pub(crate) fn set_versionstamped_key(&mut self, prefix: &[u8], suffix: &[u8], value: &[u8], read_version: Version) {
        let key = self.check_key(prefix, STAMP_BYTES + suffix.len());
        if self.refuses(key.and_then(|()| check_value(value.len()))) {
            return;
        }
        self.younger_than.push(read_version);
        let [prefix, suffix, value] = [prefix, suffix, value].map(|bytes| self.room.copy(bytes));
        self.push(Mutation::StampedKey(prefix, suffix, value));
    }

    pub(crate) fn set_versionstamped_value(&mut self, key: &[u8], prefix: &[u8], suffix: &[u8]) {
        let value = check_value(prefix.len() + STAMP_BYTES + suffix.len() + limits::STAMP_OFFSET_BYTES);
        if self.refuses(self.check_key(key, 0).and(value)) {
            return;
        }
        let [key, prefix, suffix] = [key, prefix, suffix].map(|bytes| self.room.copy(bytes));
        self.push(Mutation::StampedValue(key, prefix, suffix));
    }

    /// Keeps the first error for the commit.
    pub(crate) fn refuses(&mut self, check: Result<(), Error>) -> bool {
        if let Err(error) = check {
            self.refused.get_or_insert(error);
        }
        if self.refused.is_none() && self.size_bytes > limits::TRANSACTION_BYTES_MAX {
            self.refused = check_transaction(self.size_bytes).err();
        }
        self.refused.is_some()
    }

    fn push(&mut self, mutation: Mutation) {
        // A write counts twice, as itself and as the conflict range that it makes for others.
        let (row_bytes, conflict_bytes) = match &mutation {
            Mutation::Set(key, value) | Mutation::Atomic(_, key, value) => (key.len() + value.len(), 2 * key.len() + 1),
            Mutation::Clear(key) => (2 * key.len() + 1, 2 * key.len() + 1),
            Mutation::ClearRange(begin, end) => (begin.len() + end.len(), begin.len() + end.len()),
            Mutation::StampedKey(prefix, suffix, value) => {
                let key_bytes = prefix.len() + STAMP_BYTES + suffix.len();
                (key_bytes + value.len(), 2 * key_bytes + 1)
            }
            Mutation::StampedValue(key, prefix, suffix) => {
                (key.len() + prefix.len() + STAMP_BYTES + suffix.len(), 2 * key.len() + 1)
            }
        };
        self.size_bytes += row_bytes + limits::MUTATION_OVERHEAD_BYTES;
        self.size_bytes += conflict_bytes + limits::CONFLICT_OVERHEAD_BYTES;
        if let Some(by_key) = self.by_key.get_mut() {
            by_key.add(&mutation, self.younger_than.last().copied().unwrap_or_default());
        }
        self.mutations.push(mutation);
    }

    fn by_key(&self) -> &ByKey {
        self.by_key.get_or_init(|| ByKey::of(&self.mutations, &self.younger_than))
    }

    /// What this transaction did to `key`; a cleared range counts as `Known(None)`. `None` if it left it alone.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub(crate) fn entry(&self, key: &[u8]) -> Result<Option<&Entry>, Error> {
        const CLEARED: &Entry = &Entry::Known(None);
        if self.mutations.is_empty() {
            return Ok(None);
        }
        let by_key = self.by_key();
        if by_key.unreadable.contains(key) {
            return Err(Error::Unreadable);
        }
        match by_key.entries.get(key) {
            Some(Entry::Stamped) => Err(Error::Unreadable),
            Some(entry) => Ok(Some(entry)),
            None => Ok(by_key.cleared.contains(key).then_some(CLEARED)),
        }
    }

    /// What this transaction wrote into `begin..end`, ascending.
    ///
    /// # Errors
    /// [`Error::Unreadable`] if any of it is.
    pub(crate) fn entries(
        &self,
        begin: &[u8],
        end: &[u8],
    ) -> Result<impl DoubleEndedIterator<Item = (&Bytes, &Entry)>, Error> {
        const NOTHING: &ByKey = &ByKey { entries: BTreeMap::new(), cleared: Ranges::new(), unreadable: Ranges::new() };
        let by_key = if self.mutations.is_empty() { NOTHING } else { self.by_key() };
        let within = || {
            use std::ops::Bound::{Excluded, Included};
            by_key.entries.range::<[u8], _>((Included(begin), Excluded(end)))
        };
        let stamped = within().any(|(_, entry)| matches!(entry, Entry::Stamped));
        if stamped || by_key.unreadable.overlaps(begin, end) {
            return Err(Error::Unreadable);
        }
        Ok(within())
    }

    /// Whether `key`, of which there is no entry, was removed with a range.
    pub(crate) fn is_cleared(&self, key: &[u8]) -> bool {
        !self.mutations.is_empty() && self.by_key().cleared.contains(key)
    }

    /// `more_bytes` of key follow `key`.
    pub(crate) fn check_key(&self, key: &[u8], more_bytes: usize) -> Result<(), Error> {
        let len_bytes = key.len() + more_bytes;
        if len_bytes > self.key_bytes_max {
            return Err(Error::KeyTooLarge { len_bytes, limit_bytes: self.key_bytes_max });
        }
        if key >= RESERVED {
            return Err(Error::ReservedKey);
        }
        Ok(())
    }

    /// The end may be the first reserved key.
    pub(crate) fn check_range(&self, begin: &[u8], end: &[u8]) -> Result<(), Error> {
        if begin > end {
            return Err(Error::InvertedRange);
        }
        if end > RESERVED {
            return Err(Error::ReservedKey);
        }
        // One more: the end may be the key after the longest.
        match begin.len().max(end.len()) {
            len_bytes if len_bytes > self.key_bytes_max + 1 => {
                Err(Error::KeyTooLarge { len_bytes, limit_bytes: self.key_bytes_max })
            }
            _ => Ok(()),
        }
    }
}

fn check_value(len_bytes: usize) -> Result<(), Error> {
    if len_bytes > limits::VALUE_BYTES_MAX {
        return Err(Error::ValueTooLarge { len_bytes, limit_bytes: limits::VALUE_BYTES_MAX });
    }
    Ok(())
}

pub(crate) fn check_transaction(len_bytes: usize) -> Result<(), Error> {
    if len_bytes > limits::TRANSACTION_BYTES_MAX {
        let limit_bytes = limits::TRANSACTION_BYTES_MAX;
        return Err(Error::TransactionTooLarge { len_bytes, limit_bytes });
    }
    Ok(())
}
