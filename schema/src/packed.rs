//! Packed bytes: fields one after the other, without padding.
//!
//! Owns how each small type lies in a packed row, in either byte order, and rows of such fields behind a format
//! version. A row ends where its last field does: bytes beyond are damage, as are bytes missing. This crate's records
//! are little-endian; keys, and the rows that hold parts of keys, are big-endian, so that bytes order as values do.

use std::borrow::Cow;

use crate::emoji::Emoji;
use crate::id::{ChannelId, ClientMsgId, MediaId, Seq, UserId};
use crate::notice::NoticeId;
use crate::position::{Position, Stamp};
use crate::time::UnixMs;
use crate::view::{Epoch, Incarnation, Owner, ShardIndex};

/// Why bytes are no field.
pub type Why = Cow<'static, str>;

/// Which byte of a number comes first.
pub trait ByteOrder {
    /// Whether it is the highest.
    const HIGH_FIRST: bool;
}

/// The lowest byte first.
#[derive(Debug)]
pub enum LittleEndian {}

/// The highest byte first, so that unsigned numbers order as their bytes do.
#[derive(Debug)]
pub enum BigEndian {}

impl ByteOrder for LittleEndian {
    const HIGH_FIRST: bool = false;
}

impl ByteOrder for BigEndian {
    const HIGH_FIRST: bool = true;
}

/// Bytes in the store that are not what their key says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer version of this software.
    #[error("a {what} record has format {found}, this version reads up to {known}: use the newer version")]
    Newer {
        /// The name of the record, as its key begins.
        what: &'static str,
        /// The format in the store.
        found: u8,
        /// The newest known here.
        known: u8,
    },
    /// Written by no version of this software, or changed since.
    #[error("a {what} record of {bytes} bytes is damaged: {why}")]
    Damaged {
        /// The name of the record, as its key begins.
        what: &'static str,
        /// Bytes of the whole row.
        bytes: usize,
        /// The first fault that was found.
        why: String,
    },
}

/// The bytes behind the format version.
pub(crate) fn behind_format<'a>(what: &'static str, known: u8, bytes: &'a [u8]) -> Result<&'a [u8], RecordError> {
    match bytes.split_first() {
        Some((&found, _)) if found > known => Err(RecordError::Newer { what, found, known }),
        Some((&found, rest)) if found > 0 => Ok(rest),
        Some(_) => {
            Err(RecordError::Damaged { what, bytes: bytes.len(), why: "its format is 0, which none has".into() })
        }
        None => Err(RecordError::Damaged { what, bytes: 0, why: "it is empty".into() }),
    }
}

/// A value that lies in a packed row or a key.
pub trait Packed: Sized {
    /// Appends it.
    fn put<O: ByteOrder>(&self, row: &mut Vec<u8>);

    /// Takes it off the front of what is left.
    ///
    /// # Errors
    /// If that is no such value. What is left then is not to be used.
    fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why>;
}

/// A row: a format version and the fields behind it.
#[must_use]
pub fn encode<O: ByteOrder>(format: u8, fields: &impl Packed) -> Vec<u8> {
    // Most rows have no more: those of inboxes 22.
    let mut row = Vec::with_capacity(32);
    row.push(format);
    fields.put::<O>(&mut row);
    row
}

/// The fields of a row of any format up to `known`.
///
/// # Errors
/// If the row is of a newer format, or does not have exactly these fields.
pub fn decode<O: ByteOrder, T: Packed>(what: &'static str, known: u8, row: &[u8]) -> Result<T, RecordError> {
    let mut rest = behind_format(what, known, row)?;
    let fields = T::take::<O>(&mut rest).and_then(|fields| match rest.len() {
        0 => Ok(fields),
        bytes => Err(format!("{bytes} bytes are left over").into()),
    });
    fields.map_err(|why| RecordError::Damaged { what, bytes: row.len(), why: why.into_owned() })
}

impl<const N: usize> Packed for [u8; N] {
    fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
        row.extend_from_slice(self);
    }

    fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
        let (field, left) = rest.split_first_chunk().ok_or("it ends within a field")?;
        *rest = left;
        Ok(*field)
    }
}

macro_rules! packed_numbers {
    ($($number:ident)*) => {$(
        impl Packed for $number {
            fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
                row.extend(if O::HIGH_FIRST { self.to_be_bytes() } else { self.to_le_bytes() });
            }

            fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
                let number = if O::HIGH_FIRST { Self::from_be_bytes } else { Self::from_le_bytes };
                Packed::take::<O>(rest).map(number)
            }
        }
    )*};
}

packed_numbers! { u8 u16 u32 u64 }

/// Types that lie as another does.
macro_rules! packed_as {
    ($($type:ty as $field:ty: |$value:ident| $put:expr, $take:expr;)*) => {$(
        impl $crate::packed::Packed for $type {
            fn put<O: $crate::packed::ByteOrder>(&self, row: &mut Vec<u8>) {
                let $value = self;
                <$field as $crate::packed::Packed>::put::<O>(&$put, row);
            }

            fn take<O: $crate::packed::ByteOrder>(rest: &mut &[u8]) -> Result<Self, $crate::packed::Why> {
                <$field as $crate::packed::Packed>::take::<O>(rest).map($take)
            }
        }
    )*};
}

packed_as! {
    bool as u8: |on| u8::from(*on), |byte| byte != 0;
    UserId as u64: |user| user.0, Self;
    ChannelId as u64: |channel| channel.0, Self;
    MediaId as u64: |media| media.0, Self;
    Seq as u64: |seq| seq.0, Self;
    UnixMs as u64: |at| at.0, Self;
    Epoch as u64: |epoch| epoch.0, Self;
    Incarnation as u64: |incarnation| incarnation.0, Self;
    ShardIndex as u16: |shard| shard.0, Self;
    ClientMsgId as [u8; 16]: |id| id.0, Self;
    NoticeId as [u8; 16]: |id| id.0, Self;
    // In the order of a versionstamp, since the store itself writes some of them.
    Stamp as [u8; Stamp::BYTES]: |stamp| stamp.to_bytes(), Self::from_bytes;
    Position as [u8; Position::BYTES]: |position| position.to_bytes(), Self::from_bytes;
    Owner as (Incarnation, ShardIndex): |owner| (owner.incarnation, owner.shard), |owner| {
        Self { incarnation: owner.0, shard: owner.1 }
    };
}

/// A text of at most 255 bytes, behind its length. `put` panics for a longer one.
impl Packed for String {
    fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
        put_short(self, row);
    }

    fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
        take_short(rest).map(str::to_owned)
    }
}

impl Packed for Emoji {
    fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
        put_short(self.as_str(), row);
    }

    fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
        Self::accepted(take_short(rest)?).map_err(|error| error.to_string().into())
    }
}

fn put_short(text: &str, row: &mut Vec<u8>) {
    row.push(u8::try_from(text.len()).expect("a short text has at most 255 bytes"));
    row.extend_from_slice(text.as_bytes());
}

fn take_short<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Why> {
    let bytes = u8::take::<LittleEndian>(rest)?;
    let (text, left) = rest.split_at_checked(bytes.into()).ok_or("it ends within a text")?;
    *rest = left;
    std::str::from_utf8(text).map_err(|error| error.to_string().into())
}

/// Behind their number. `put` panics for more than 65,535: a transaction has 8,000 rows at most.
impl<T: Packed> Packed for Vec<T> {
    fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
        u16::try_from(self.len()).expect("no more than a transaction has rows").put::<O>(row);
        row.reserve(self.len() * size_of::<T>());
        self.iter().for_each(|value| value.put::<O>(row));
    }

    fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
        let count = usize::from(u16::take::<O>(rest)?);
        // Each takes a byte at least.
        if count > rest.len() {
            return Err(format!("it counts {count} items where {} bytes are left", rest.len()).into());
        }
        // A damaged count reserves no more than about the row's own size.
        let mut list = Vec::with_capacity(count.min(rest.len() / size_of::<T>().max(1) + 1));
        for _ in 0..count {
            list.push(T::take::<O>(rest)?);
        }
        Ok(list)
    }
}

/// Values up to the end of a row, as many as there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToEnd<T>(pub Vec<T>);

impl<T: Packed> Packed for ToEnd<T> {
    fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
        self.0.iter().for_each(|value| value.put::<O>(row));
    }

    fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
        let mut list = Vec::new();
        while !rest.is_empty() {
            list.push(T::take::<O>(rest)?);
        }
        Ok(Self(list))
    }
}

/// A number in as few bytes as it needs: seven bits a byte, the lowest first, whatever the order of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Varint(pub u64);

impl Packed for Varint {
    fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
        let mut value = self.0;
        while value >= 0x80 {
            row.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        row.push(value as u8);
    }

    fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = u8::take::<O>(rest)?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(Self(value));
            }
        }
        Err("a number is too long".into())
    }
}

macro_rules! packed_tuples {
    ($(($($field:ident),*))*) => {$(
        #[expect(non_snake_case, reason = "a field is called like its type")]
        impl<$($field: Packed),*> Packed for ($($field),*) {
            fn put<O: ByteOrder>(&self, row: &mut Vec<u8>) {
                let ($($field),*) = self;
                $($field.put::<O>(row);)*
            }

            fn take<O: ByteOrder>(rest: &mut &[u8]) -> Result<Self, Why> {
                Ok(($($field::take::<O>(rest)?),*))
            }
        }
    )*};
}

packed_tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) }

/// Enums by numbers of one byte, which never change.
macro_rules! packed_enums {
    ($($name:ident { $($variant:ident = $number:expr),* })*) => {$(
        impl $crate::packed::Packed for $name {
            fn put<O: $crate::packed::ByteOrder>(&self, row: &mut Vec<u8>) {
                row.push(match self { $(Self::$variant => $number,)* });
            }

            fn take<O: $crate::packed::ByteOrder>(rest: &mut &[u8]) -> Result<Self, $crate::packed::Why> {
                let byte = <u8 as $crate::packed::Packed>::take::<O>(rest)?;
                $(if byte == $number {
                    return Ok(Self::$variant);
                })*
                Err(format!("no {} has number {byte}", stringify!($name)).into())
            }
        }

        #[cfg(test)]
        $crate::testing::any_variants! { $name { $($variant {})* } }
    )*};
}

/// Structs that lie in packed rows field by field.
macro_rules! packed_fields {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl $crate::packed::Packed for $name {
            fn put<O: $crate::packed::ByteOrder>(&self, row: &mut Vec<u8>) {
                $(self.$field.put::<O>(row);)*
            }

            fn take<O: $crate::packed::ByteOrder>(rest: &mut &[u8]) -> Result<Self, $crate::packed::Why> {
                Ok(Self { $($field: $crate::packed::Packed::take::<O>(rest)?),* })
            }
        }
    )*};
}

pub(crate) use {packed_enums, packed_fields};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_takes_as_few_bytes_as_its_number_needs() {
        for (number, expected) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)] {
            let row = encode::<BigEndian>(1, &Varint(number));
            assert_eq!((row.len() - 1, decode::<BigEndian, _>("row", 1, &row)), (expected, Ok(Varint(number))));
        }
        let damaged = decode::<BigEndian, Varint>("row", 1, &[&[1], [0xFF; 10].as_slice()].concat());
        assert!(damaged.is_err_and(|error| error.to_string().ends_with("a number is too long")));
    }

    #[test]
    fn big_endian_fields_order_as_their_values() {
        let row = |fields: (ChannelId, Seq)| encode::<BigEndian>(1, &(fields, ToEnd(vec![7_u16, 256])));
        assert!(row((ChannelId(1), Seq(256))) < row((ChannelId(256), Seq(1))));
        let end = ToEnd(vec![7_u16, 256]);
        assert_eq!(decode::<BigEndian, _>("row", 1, &row((ChannelId(1), Seq(2)))), Ok(((ChannelId(1), Seq(2)), end)));
    }
}
