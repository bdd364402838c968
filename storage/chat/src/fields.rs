//! Fields: what each type is in bytes, in keys and in the rows that no other program reads.
//!
//! Owns their widths, writing and reading. Numbers are big-endian, so that keys order as their fields do; a [`Compact`]
//! one takes as few bytes as it needs. A text is the last of its key, or stands behind its length.

use std::cmp::Reverse;

use schema::record::RecordError;
use schema::{
    Audience, ChannelId, ClientMsgId, DeviceId, Emoji, Epoch, Incarnation, MediaId, Medium, NoticeId, Owner, Position,
    Seq, ShardIndex, Stamp, UnixMs, UserId,
};

/// What reads a key or a row.
pub(crate) type Read<T> = fn(&[u8]) -> Result<T, RecordError>;

/// A type that may be a field, or several.
pub trait Field: Sized {
    /// What it is read back as.
    type Owned: Field;
    /// Bytes that it always has.
    const BYTES: usize;
    /// Whether it may have more.
    const VARIES: bool = false;

    /// Appends it.
    fn put(self, bytes: &mut Vec<u8>);
    /// Reads it from what is left. `None` if that is no such field.
    fn take(rest: &mut &[u8]) -> Option<Self::Owned>;
}

/// Fields in the making, behind a byte that says of what they are: a table's number, or a format.
#[derive(Debug)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    /// Bytes that hold most keys without growing: the longest of fixed width has 42, a reaction's some 10 less or up to
    /// 90.
    const CAPACITY: usize = 48;

    pub(crate) fn behind(first: u8) -> Self {
        let mut bytes = Vec::with_capacity(Self::CAPACITY);
        bytes.push(first);
        Self(bytes)
    }

    pub(crate) fn and(mut self, field: impl Field) -> Self {
        field.put(&mut self.0);
        self
    }

    /// A number as a [`Compact`] one.
    pub(crate) fn number(self, number: impl Into<u64>) -> Self {
        self.and(Compact(number.into()))
    }

    /// Bytes behind their number.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.number(bytes.len() as u64).and(bytes)
    }
}

/// Reads fields one after the other, behind their first byte.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    len_bytes: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins behind a table's number.
    pub(crate) fn of_key(what: &'static str, table: u8, key: &'a [u8]) -> Result<Self, RecordError> {
        let reader = Self { what, len_bytes: key.len(), rest: key.get(1..).unwrap_or_default() };
        if key.first() == Some(&table) { Ok(reader) } else { Err(reader.damaged("it is of another table")) }
    }

    /// Begins behind the format, which must not be newer than `known`, nor older.
    pub(crate) fn of_row(what: &'static str, known: u8, row: &'a [u8]) -> Result<Self, RecordError> {
        let reader = Self { what, len_bytes: row.len(), rest: row.get(1..).unwrap_or_default() };
        match row.first() {
            Some(&found) if found == known => Ok(reader),
            Some(&found) if found > known => Err(RecordError::Newer { what, found, known }),
            Some(_) | None => Err(reader.damaged("it begins with no format")),
        }
    }

    /// The next field.
    pub(crate) fn take<F: Field>(&mut self) -> Result<F::Owned, RecordError> {
        F::take(&mut self.rest).ok_or_else(|| self.damaged("a field is not one of its kind"))
    }

    /// The next number, which was written as a [`Compact`] one.
    pub(crate) fn number<N: TryFrom<u64>>(&mut self) -> Result<N, RecordError> {
        let Compact(number) = self.take::<Compact>()?;
        N::try_from(number).map_err(|_| self.damaged(format!("{number} is too large there")))
    }

    /// The number that lies so far above `below`.
    pub(crate) fn above(&mut self, below: u64) -> Result<u64, RecordError> {
        below.checked_add(self.number()?).ok_or_else(|| self.damaged("a number is too large"))
    }

    /// How many of what takes a byte each at least follow, so that what is reserved for them is bounded by what there
    /// is.
    pub(crate) fn count(&mut self) -> Result<usize, RecordError> {
        let count = self.number()?;
        if count <= self.rest.len() { Ok(count) } else { Err(self.damaged("it counts more than it has")) }
    }

    /// Bytes behind their number.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let count = self.count()?;
        let (bytes, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(bytes)
    }

    /// The last field.
    pub(crate) fn last<F: Field>(mut self) -> Result<F::Owned, RecordError> {
        let last = self.take::<F>()?;
        self.end(last)
    }

    /// What was read: nothing may be left.
    pub(crate) fn end<T>(self, read: T) -> Result<T, RecordError> {
        if self.rest.is_empty() { Ok(read) } else { Err(self.damaged("bytes are left over")) }
    }

    pub(crate) fn damaged(&self, why: impl Into<String>) -> RecordError {
        RecordError::Damaged { what: self.what, bytes: self.len_bytes, why: why.into() }
    }
}

fn split<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (field, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*field)
}

/// Types of a fixed number of bytes, and how they are made to bytes and from them.
macro_rules! of_bytes {
    ($($name:ty: $bytes:literal, $put:expr, $take:expr;)*) => {$(
        impl Field for $name {
            type Owned = Self;
            const BYTES: usize = $bytes;

            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&$put(self));
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                split(rest).map($take)
            }
        }
    )*};
}

of_bytes! {
    u8: 1, u8::to_be_bytes, u8::from_be_bytes;
    u16: 2, u16::to_be_bytes, u16::from_be_bytes;
    u32: 4, u32::to_be_bytes, u32::from_be_bytes;
    u64: 8, u64::to_be_bytes, u64::from_be_bytes;
    Stamp: 10, Stamp::to_bytes, Stamp::from_bytes;
    Position: 12, Position::to_bytes, Position::from_bytes;
    [u8; 16]: 16, std::convert::identity, std::convert::identity;
    [u8; 32]: 32, std::convert::identity, std::convert::identity;
    // The newest first: with every bit turned, later times and greater seqs come earlier.
    Reverse<UnixMs>: 8, |Reverse(at): Self| (!at.0).to_be_bytes(), |bytes| Reverse(UnixMs(!u64::from_be_bytes(bytes)));
    Reverse<Seq>: 8, |Reverse(seq): Self| (!seq.0).to_be_bytes(), |bytes| Reverse(Seq(!u64::from_be_bytes(bytes)));
}

/// Structs that are their fields in the order in which they are listed.
macro_rules! of_fields {
    ($($name:ident { $($field:tt: $type:ty),* })*) => {$(
        impl $crate::fields::Field for $name {
            type Owned = Self;
            const BYTES: usize = 0 $(+ <$type as $crate::fields::Field>::BYTES)*;

            fn put(self, bytes: &mut Vec<u8>) {
                $(self.$field.put(bytes);)*
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: <$type as $crate::fields::Field>::take(rest)?),* })
            }
        }
    )*};
}
pub(crate) use of_fields;

of_fields! {
    ChannelId { 0: u64 } MediaId { 0: u64 } UserId { 0: u64 } Seq { 0: u64 } UnixMs { 0: u64 } Epoch { 0: u64 } Incarnation { 0: u64 }
    ShardIndex { 0: u16 } ClientMsgId { 0: [u8; 16] } NoticeId { 0: [u8; 16] } Owner { incarnation: Incarnation, shard: ShardIndex }
}

macro_rules! tuples {
    ($(($($part:ident)*))*) => {$(
        #[expect(non_snake_case, reason = "a part is called like its type")]
        impl<$($part: Field),*> Field for ($($part,)*) {
            type Owned = ($($part::Owned,)*);
            const BYTES: usize = 0 $(+ $part::BYTES)*;

            fn put(self, bytes: &mut Vec<u8>) {
                let ($($part,)*) = self;
                $($part.put(bytes);)*
            }

            fn take(rest: &mut &[u8]) -> Option<Self::Owned> {
                Some(($($part::take(rest)?,)*))
            }
        }
    )*};
}

tuples! { (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) }

impl Field for Medium {
    type Owned = Self;
    const BYTES: usize = 1;

    fn put(self, bytes: &mut Vec<u8>) {
        (self as u8).put(bytes);
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        Self::of_number(u8::take(rest)?)
    }
}

impl Field for bool {
    type Owned = Self;
    const BYTES: usize = 1;

    fn put(self, bytes: &mut Vec<u8>) {
        u8::from(self).put(bytes);
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        match u8::take(rest)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Field for Audience {
    type Owned = Self;
    const BYTES: usize = 1;

    fn put(self, bytes: &mut Vec<u8>) {
        let number: u8 = match self {
            Self::Friends => 0,
            Self::Public => 1,
        };
        number.put(bytes);
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        match u8::take(rest)? {
            0 => Some(Self::Friends),
            1 => Some(Self::Public),
            _ => None,
        }
    }
}

/// Behind a byte that says whether it is there.
impl<F: Field<Owned = F>> Field for Option<F> {
    type Owned = Self;
    const BYTES: usize = 1;
    const VARIES: bool = true;

    fn put(self, bytes: &mut Vec<u8>) {
        u8::from(self.is_some()).put(bytes);
        if let Some(field) = self {
            field.put(bytes);
        }
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        match u8::take(rest)? {
            0 => Some(None),
            1 => F::take(rest).map(Some),
            _ => None,
        }
    }
}

impl Field for () {
    type Owned = Self;
    const BYTES: usize = 0;

    fn put(self, _: &mut Vec<u8>) {}

    fn take(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

/// All that is left.
impl<F: Field<Owned = F>> Field for Vec<F> {
    type Owned = Self;
    const BYTES: usize = 0;
    const VARIES: bool = true;

    fn put(self, bytes: &mut Vec<u8>) {
        self.into_iter().for_each(|field| field.put(bytes));
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        let mut fields = Self::new();
        while !rest.is_empty() {
            fields.push(F::take(rest)?);
        }
        Some(fields)
    }
}

/// What varies in length: how it is lent to be written, and what it is read back as.
macro_rules! lent {
    ($($lent:ty as $owned:ty: $bytes:literal, |$value:ident, $into:ident| $put:expr, |$rest:ident| $take:expr;)*) => {$(
        impl Field for $lent {
            type Owned = $owned;
            const BYTES: usize = $bytes;
            const VARIES: bool = true;

            fn put(self, $into: &mut Vec<u8>) {
                let $value = self;
                $put
            }

            fn take($rest: &mut &[u8]) -> Option<$owned> {
                $take
            }
        }

        impl Field for $owned {
            type Owned = Self;
            const BYTES: usize = $bytes;
            const VARIES: bool = true;

            fn put(self, bytes: &mut Vec<u8>) {
                let lent: $lent = &self;
                lent.put(bytes);
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                <$lent>::take(rest)
            }
        }
    )*};
}

lent! {
    // All that is left.
    &str as String: 0, |text, bytes| bytes.extend_from_slice(text.as_bytes()),
        |rest| String::from_utf8(Vec::take(rest)?).ok();
    &DeviceId as DeviceId: 0, |device, bytes| device.as_str().put(bytes), |rest| <&str>::take(rest)?.parse().ok();
    // Behind its length, so that an emoji which begins another has a range of its own.
    &Emoji as Emoji: 1,
        |emoji, bytes| {
            u8::try_from(emoji.as_str().len()).expect("an emoji has at most 64 bytes").put(bytes);
            emoji.as_str().put(bytes);
        },
        |rest| {
            let length = u8::take(rest)?;
            let (text, left) = rest.split_at_checked(usize::from(length))?;
            *rest = left;
            Emoji::accepted(std::str::from_utf8(text).ok()?).ok()
        };
}

/// All that is left.
impl Field for &[u8] {
    type Owned = Vec<u8>;
    const BYTES: usize = 0;
    const VARIES: bool = true;

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self);
    }

    fn take(rest: &mut &[u8]) -> Option<Vec<u8>> {
        Vec::take(rest)
    }
}

/// A number in as few bytes as it needs: seven bits a byte, the lowest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compact(pub(crate) u64);

impl Field for Compact {
    type Owned = Self;
    const BYTES: usize = 1;
    const VARIES: bool = true;

    fn put(self, bytes: &mut Vec<u8>) {
        let Self(mut value) = self;
        while value >= 0x80 {
            bytes.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }

    fn take(rest: &mut &[u8]) -> Option<Self> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = u8::take(rest)?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(Self(value));
            }
        }
        None
    }
}
